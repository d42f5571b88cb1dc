//! What a plan must be before anything runs by it. Every fault is told, a cycle with its way round.

use std::collections::{HashMap, HashSet};

use schemas::gate;
use schemas::outcome::{Issue, IssueType};
use schemas::plan::{Action, Plan, Required, Selection, WORK};
use serde_json::{Value, json};

use super::graph::Graph;

/// More actions than this (nested ones counted) are refused.
pub const ACTIONS_LIMIT: usize = 2_000;
/// Deeper nesting is refused.
pub const DEPTH_LIMIT: usize = 32;

pub fn check(plan: &Plan) -> Vec<Issue> {
    let mut faults = Faults { issues: Vec::new(), ids: HashMap::new(), count: 0 };
    faults.carried("title", "description", plan.title.as_ref().map(|title| title.as_str().into()));
    faults.walk(&plan.actions, "action", 1);
    faults.relations(&plan.actions, "action");
    if faults.issues.is_empty() {
        faults.cycle(plan);
    }
    faults.issues
}

struct Faults {
    issues: Vec<Issue>,
    ids: HashMap<String, String>,
    count: usize,
}

impl Faults {
    fn fault(&mut self, code: IssueType, path: &str, text: String) {
        self.issues.push(Issue::error(code, path, text));
    }

    fn walk(&mut self, actions: &[Action], path: &str, depth: usize) {
        self.count += actions.len();
        if depth > DEPTH_LIMIT {
            return self.fault(IssueType::TooLong, path, format!("actions are nested deeper than {DEPTH_LIMIT}"));
        }
        if self.count > ACTIONS_LIMIT {
            return self.fault(IssueType::TooLong, path, format!("a plan has at most {ACTIONS_LIMIT} actions"));
        }
        for (i, action) in actions.iter().enumerate() {
            let path = format!("{path}[{i}]");
            if let Some(first) = self.ids.insert(action.id.clone(), path.clone()) {
                self.fault(IssueType::Duplicate, &path, format!("the id {} is already that of {first}", action.id));
            }
            self.task(action, &path);
            let exclusive = matches!(action.selection, Selection::ExactlyOne | Selection::AtMostOne);
            let demanded = action.actions.iter().filter(|child| child.required == Required::Must).count();
            let explicit = action.actions.iter().any(|child| child.required != Required::Must);
            if exclusive && explicit && demanded > 1 {
                let text = "one of these at most can be chosen, but more are demanded".to_owned();
                self.fault(IssueType::Invariant, &path, text);
            }
            self.walk(&action.actions, &format!("{path}.action"), depth + 1);
        }
    }

    /// What the Task of a step takes over as it stands.
    fn task(&mut self, action: &Action, path: &str) {
        let text = |text: &String| Value::from(text.as_str());
        let work = |code: &String| json!([{ "coding": [{ "system": WORK, "code": code }] }]);
        self.carried(&format!("{path}.id"), "description", Some(text(&action.id)));
        self.carried(&format!("{path}.title"), "description", action.title.as_ref().map(text));
        self.carried(&format!("{path}.code"), "code", action.code.clone());
        self.carried(&format!("{path}.priority"), "priority", action.priority.as_ref().map(text));
        self.carried(&format!("{path}.participant"), "performerType", action.work.as_ref().map(work));
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

    fn relations(&mut self, actions: &[Action], path: &str) {
        for (i, action) in actions.iter().enumerate() {
            let path = format!("{path}[{i}]");
            for (j, related) in action.related.iter().enumerate() {
                let path = format!("{path}.relatedAction[{j}]");
                if related.target == action.id {
                    self.fault(IssueType::Invariant, &path, format!("{} is related to itself", action.id));
                } else if !self.ids.contains_key(&related.target) {
                    self.fault(IssueType::NotFound, &path, format!("there is no action {}", related.target));
                }
            }
            self.relations(&action.actions, &format!("{path}.action"));
        }
    }

    /// A node waits for its waits, and for those of everything above it; a group ends when its children do.
    fn cycle(&mut self, plan: &Plan) {
        let graph = Graph::bind(plan, 1);
        let (mut done, mut way) = (HashSet::new(), Vec::new());
        for start in 1..graph.nodes.len() {
            if let Some(cycle) = search(&graph, start, &mut way, &mut done) {
                let names: Vec<&str> = cycle
                    .iter()
                    .filter_map(|n| graph.nodes[*n].action.as_ref().map(|action| action.id.as_str()))
                    .collect();
                let text = format!("the actions wait for each other in a cycle: {}", names.join(" -> "));
                return self.fault(IssueType::Invariant, "action", text);
            }
        }
    }
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
        for wait in &graph.nodes[above].waits {
            let ends = std::iter::once(wait.on).chain(below(graph, wait.on));
            for next in ends {
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
