//! What a plan must be before anything runs by it. Every fault is told, a cycle with its way round.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hub_fhirpath::Expression;
use schemas::gate;
use schemas::outcome::{Issue, IssueType};
use schemas::plan::{Action, MULTIPLE_LIMIT, Plan, Repeat, Required, Selection};
use serde_json::{Value, json};

use super::graph::Graph;
use super::offsets::{self, Late};
use super::variables::{OF_CONDITIONS, OF_TIMES, OF_VALUES};

/// More actions than this are refused: nested ones are counted, and each as often as it is repeated.
pub const ACTIONS_LIMIT: usize = 2_000;
/// Deeper nesting is refused.
pub const DEPTH_LIMIT: usize = 32;
/// More relations than this, in the whole plan, are refused.
pub const RELATIONS_LIMIT: usize = 10_000;
/// A condition of more bytes than this is refused.
pub const EXPRESSION_LIMIT_BYTES: usize = 10_000;

/// All faults of a plan: those that were found as it was read, and what else is wrong with what could be read of it.
pub fn check(plan: &Plan, found: Vec<Issue>) -> Vec<Issue> {
    let url = plan.name.split('|').next().unwrap_or_default();
    let mut faults = Faults { issues: found, places: HashMap::new(), count: 0, relations: 0, url };
    faults.carried("title", "description", plan.title.as_ref().map(|title| title.as_str().into()));
    faults.walk(&plan.actions, "action", 1, 1);
    faults.relations(&plan.actions, "action");
    if faults.issues.is_empty() {
        // As of several requests: what is done for each of them is more than one.
        let graph = Graph::bind(plan, 2);
        faults.undoing(&graph);
        faults.choosing(&graph);
        faults.impossible(&graph);
        if faults.issues.is_empty() {
            faults.cycle(&graph);
        }
        if faults.issues.is_empty() {
            faults.late(&graph);
        }
    }
    faults.issues.extend(plan.unresolved.iter().cloned());
    faults.issues
}

struct Faults<'a> {
    issues: Vec<Issue>,
    /// What an action may be called, and where it is.
    places: HashMap<&'a str, String>,
    count: usize,
    relations: usize,
    /// The plan's own.
    url: &'a str,
}

impl<'a> Faults<'a> {
    fn fault(&mut self, code: IssueType, path: &str, text: impl Into<String>) {
        self.issues.push(Issue::error(code, path, text));
    }

    /// A fault of what an action has to do with others.
    fn at(&mut self, name: &str, text: String) {
        let place = self.places.get(name).map_or("action", String::as_str).to_owned();
        self.fault(IssueType::Invariant, &place, text);
    }

    fn walk(&mut self, actions: &'a [Arc<Action>], path: &str, depth: usize, times: usize) {
        let often = |action: &Action| times.saturating_mul(repeats(action));
        self.count = actions.iter().map(|action| often(action)).fold(self.count, usize::saturating_add);
        if depth > DEPTH_LIMIT {
            return self.fault(IssueType::TooLong, path, format!("actions are nested deeper than {DEPTH_LIMIT}"));
        }
        if self.count > ACTIONS_LIMIT {
            return self.fault(
                IssueType::TooLong,
                path,
                format!("a plan has at most {ACTIONS_LIMIT} actions, counted as often as each is done"),
            );
        }
        for (i, action) in actions.iter().enumerate() {
            let path = format!("{path}[{i}]");
            self.names(action, &path);
            self.task(action, &path);
            self.choice(action, &path);
            self.conditions(action);
            action.point.iter().for_each(|point| self.expression(&point.expression, &OF_TIMES, &point.path));
            self.values(action);
            if action.definition.as_deref().is_some_and(|of| of.split('|').next() == Some(self.url)) {
                self.fault(IssueType::Invariant, &path, "the plan is a part of itself");
            }
            self.walk(&action.actions, &format!("{path}.action"), depth + 1, often(action));
        }
    }

    fn names(&mut self, action: &'a Action, path: &str) {
        // Its id is the first of its names, and its place where it has none.
        for name in std::iter::once(&action.id).chain(action.names.iter().skip(1)) {
            if let Some(first) = self.places.insert(name, path.to_owned()) {
                self.fault(IssueType::Duplicate, path, format!("the id {name} is already that of {first}"));
            }
        }
    }

    /// Of a choice not more is demanded than can be chosen. Where nobody says what must be, nobody demands anything.
    fn choice(&mut self, action: &Action, path: &str) {
        let is_said = action.actions.iter().any(|child| child.required != Required::Must);
        let is_demanded = |child: &&Arc<Action>| child.is_demanded || (is_said && child.required == Required::Must);
        let demanded = action.actions.iter().filter(is_demanded).count();
        if action.selection.is_exclusive() && demanded > 1 {
            self.fault(IssueType::Invariant, path, "one of these at most can be chosen, but more are demanded");
        }
    }

    fn conditions(&mut self, action: &Action) {
        for condition in &action.conditions {
            self.expression(&condition.expression, &OF_CONDITIONS, &condition.path);
        }
    }

    /// Values are set in what a step asks for.
    fn values(&mut self, action: &Action) {
        let asks = action.resource.is_some() || action.definition.is_some();
        for dynamic in &action.values {
            self.expression(&dynamic.expression, &OF_VALUES, &format!("{}.expression.expression", dynamic.path));
            if !asks && !dynamic.of_action {
                let text = "values are set in a request: this action asks for none";
                self.fault(IssueType::NotSupported, &dynamic.path, text);
            }
        }
    }

    /// `seen`: the variables that it may mention. One that nobody knows would never give anything.
    fn expression(&mut self, expression: &str, seen: &[&str], path: &str) {
        if expression.len() > EXPRESSION_LIMIT_BYTES {
            let text = format!("an expression has at most {EXPRESSION_LIMIT_BYTES} bytes");
            return self.fault(IssueType::TooLong, path, text);
        }
        match Expression::parse(expression) {
            Err(fault) => self.fault(IssueType::Invalid, path, format!("no FHIRPath: {fault}")),
            Ok(read) => {
                if let Some(name) = read.unknown_variable(seen) {
                    let known: Vec<String> = seen.iter().map(|name| format!("%{name}")).collect();
                    let text =
                        format!("%{name} is not known; there are FHIR's own variables, and {}", known.join(", "));
                    self.fault(IssueType::NotFound, path, text);
                }
            }
        }
    }

    /// What the Task of a step takes over as it stands.
    fn task(&mut self, action: &Action, path: &str) {
        let text = |text: &String| Value::from(text.as_str());
        self.carried(&format!("{path}.id"), "description", Some(text(&action.id)));
        self.carried(&format!("{path}.title"), "description", action.title.as_ref().map(text));
        self.carried(&format!("{path}.code"), "code", action.code.clone());
        self.carried(&format!("{path}.priority"), "priority", action.priority.as_ref().map(text));
        let all = |values: Vec<Value>| if values.is_empty() { None } else { Some(Value::from(values)) };
        self.carried(&format!("{path}.participant"), "performerType", all(action.performer_types()));
        self.carried(&format!("{path}.documentation"), "input", all(action.inputs.clone()));
    }

    /// Faults of what is to be an element of a Task, told where the plan has it: no Task may be less than FHIR.
    fn carried(&mut self, path: &str, element: &str, value: Option<Value>) {
        let Some(value) = value else { return };
        let task = json!({ "resourceType": "Task", "status": "draft", "intent": "order", element: value });
        let checked = task.as_object().map_or(Ok(()), |task| gate::check(task, Some("Task")));
        for fault in checked.err().into_iter().flatten() {
            let within = fault.path.strip_prefix("Task.").and_then(|path| path.strip_prefix(element));
            self.fault(fault.code, &format!("{path}{}", within.unwrap_or_default()), fault.text);
        }
    }

    fn relations(&mut self, actions: &'a [Arc<Action>], path: &str) {
        for (i, action) in actions.iter().enumerate() {
            let path = format!("{path}[{i}]");
            self.relations += action.related.len();
            if self.relations > RELATIONS_LIMIT {
                return self.fault(
                    IssueType::TooLong,
                    &path,
                    format!("a plan has at most {RELATIONS_LIMIT} relations"),
                );
            }
            for (j, related) in action.related.iter().enumerate() {
                let path = format!("{path}.relatedAction[{j}]");
                if action.names.contains(&related.target) {
                    self.fault(IssueType::Invariant, &path, format!("{} is related to itself", action.id));
                } else if !self.places.contains_key(related.target.as_str()) {
                    self.fault(IssueType::NotFound, &path, format!("there is no action {}", related.target));
                }
            }
            let named = action.undone_by.iter().chain(&action.chosen_by);
            for name in named.filter(|name| !self.places.contains_key(name.as_str())).collect::<Vec<_>>() {
                self.fault(IssueType::NotFound, &format!("{path}.extension"), format!("there is no action {name}"));
            }
            self.relations(&action.actions, &format!("{path}.action"));
        }
    }

    /// What undoes a step of a unit is a step by itself.
    fn undoing(&mut self, graph: &Graph) {
        let waits = |node: usize| graph.nodes[node].waits.iter().chain(&graph.nodes[node].ends);
        let waited: HashSet<usize> = (1..graph.nodes.len()).flat_map(waits).map(|wait| wait.on).collect();
        let once = graph.nodes.iter().filter(|node| node.is_first && !node.is_repeated);
        let names: Vec<&str> = once.filter_map(|node| node.action.as_ref()?.undone_by.as_deref()).collect();
        let twice = (1..names.len()).find(|n| names[..*n].contains(&names[*n])).map(|n| names[n]);
        if let Some(name) = twice {
            return self.at(name, format!("{name} undoes two actions: let it be one"));
        }
        let undone = |n: usize| graph.nodes.iter().filter(|node| node.undoes == Some(n)).count();
        let undo = |n: usize| graph.nodes[n].action.as_ref().and_then(|action| action.undone_by.as_deref());
        let mut undone = graph.leaves().filter_map(|n| Some((n, undo(n)?, undone(n))));
        if let Some((node, by, _)) = undone.find(|(.., times)| *times != 1) {
            let name = name(graph, node);
            let text = format!("{by} undoes {name}, and is not done as often: let both stand in what is repeated");
            self.at(name, text);
        }
        for (node, undone) in (0..).zip(&graph.nodes).filter_map(|(n, node)| Some((n, node.undoes?))) {
            let is_free = waits(node).next().is_none() && !waited.contains(&node) && graph.nodes[node].when.is_none();
            let is_step = graph.is_leaf(node) && graph.is_leaf(undone) && node != undone;
            let is_unit = |n: usize| graph.nodes[n].selection == Selection::AllOrNone;
            let (name, undone_name) = (name(graph, node), name(graph, undone));
            if !is_free || !is_step || !graph.nodes[node].conditions.is_empty() || graph.nodes[undone].undoes.is_some()
            {
                let text =
                    format!("{name} undoes {undone_name}: a step, which nothing else moves, undoes another step");
                self.at(name, text);
            } else if !graph.upwards(undone).any(is_unit) {
                let text = format!("{undone_name} is never undone: it is no part of a unit (all-or-none)");
                self.at(name, text);
            }
        }
    }

    /// Who chooses is a step, and none of what is chosen among.
    fn choosing(&mut self, graph: &Graph) {
        for (node, this, chooser) in (0..).zip(&graph.nodes).filter_map(|(n, node)| Some((n, node, node.chooser?))) {
            let is_within = graph.upwards(chooser).any(|n| n == node);
            // A branch waits for everybody who chooses.
            let waits = this.children.first().map_or(&[][..], |branch| &graph.nodes[*branch].waits);
            let is_one = waits.iter().all(|wait| wait.on == chooser || name(graph, wait.on) != name(graph, chooser));
            if !graph.is_leaf(chooser) || is_within || !is_one || graph.nodes[chooser].undoes.is_some() {
                let (name, chooser) = (name(graph, node), name(graph, chooser));
                let text =
                    format!("{chooser} chooses what comes of {name}: one step does that, which is no part of it");
                self.at(name, text);
            }
        }
    }

    /// Waits that nothing could ever end.
    fn impossible(&mut self, graph: &Graph) {
        for node in 1..graph.nodes.len() {
            let this = &graph.nodes[node];
            for wait in this.waits.iter().chain(&this.ends) {
                let names = || (name(graph, node), name(graph, wait.on));
                if graph.upwards(node).any(|n| n == wait.on) || graph.upwards(wait.on).any(|n| n == node) {
                    let (one, other) = names();
                    let text = format!("{one} and {other} are related, but one of them is a part of the other");
                    self.at(one, text);
                } else if is_either_or(graph, graph.meeting(node, wait.on)) {
                    let (one, other) = names();
                    let text = format!("{one} waits for {other}, but only one of both is ever done");
                    self.at(one, text);
                }
            }
        }
    }

    /// Deadlines that other waits let pass.
    fn late(&mut self, graph: &Graph) {
        let mut told: HashSet<&str> = HashSet::new();
        let late = offsets::late(graph).into_iter().filter(|late| told.insert(name(graph, late.node)));
        for Late { node, on, least_us } in late {
            let (one, other) = (name(graph, node), name(graph, on));
            let hours = least_us as f64 / 3_600e6;
            let text = format!(
                "{one} would have to be late: by what else it waits for it comes {hours} h after {other} at the earliest"
            );
            self.at(one, text);
        }
    }

    /// A node waits for its waits, and for those of everything above it; a group ends when its children do.
    fn cycle(&mut self, graph: &Graph) {
        let (mut done, mut way) = (HashSet::new(), Vec::new());
        for start in 1..graph.nodes.len() {
            if let Some(cycle) = search(graph, start, &mut way, &mut done) {
                let names: Vec<&str> = cycle.iter().map(|node| name(graph, *node)).collect();
                let text = format!("the actions wait for each other in a cycle: {}", names.join(" -> "));
                return self.at(names[0], text);
            }
        }
    }
}

fn repeats(action: &Action) -> usize {
    let asked = if action.multiple { MULTIPLE_LIMIT } else { 1 };
    action.repeat.as_ref().map_or(asked, Repeat::times).saturating_mul(action.days.len().max(1))
}

/// Of what is done within it, one branch excludes the other, or comes when that came to nothing.
fn is_either_or(graph: &Graph, node: usize) -> bool {
    graph.nodes[node].selection.is_exclusive() || graph.nodes[node].in_sequence
}

fn name(graph: &Graph, node: usize) -> &str {
    graph.nodes[node].action.as_ref().map(|action| action.id.as_str()).unwrap_or_default()
}

/// Depth first; the cycle that it finds, first node repeated at the end.
fn search(graph: &Graph, node: usize, way: &mut Vec<usize>, done: &mut HashSet<usize>) -> Option<Vec<usize>> {
    if let Some(from) = way.iter().position(|n| *n == node) {
        return Some([&way[from..], &[node]].concat());
    }
    if done.contains(&node) {
        return None;
    }
    way.push(node);
    for above in graph.upwards(node) {
        let waits = graph.nodes[above].waits.iter().map(|wait| wait.on);
        for on in waits.chain(graph.turns_before(above)) {
            for next in std::iter::once(on).chain(below(graph, on)) {
                if let Some(cycle) = search(graph, next, way, done) {
                    return Some(cycle);
                }
            }
        }
    }
    way.pop();
    done.insert(node);
    None
}

fn below(graph: &Graph, node: usize) -> Vec<usize> {
    graph.nodes[node].children.iter().flat_map(|child| [vec![*child], below(graph, *child)].concat()).collect()
}
