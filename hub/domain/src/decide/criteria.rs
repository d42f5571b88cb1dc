//! The conditions of a plan, asked of the requests of the order and of its Tasks.

use hub_fhirpath::{Collection, Expression, Item, Node, Scope};
use schemas::plan::{Condition, ConditionKind};
use schemas::resource::{Key, Resource};
use serde_json::Value;

use super::Stop;
use super::order::Order;
use crate::plan::advance::Told;

/// The newest Tasks of all steps, in an expression: whoever asks for them has them loaded.
const TASKS: &str = "tasks";

/// The conditions of a node, and whether each holds.
struct Asked {
    node: usize,
    told: Vec<(ConditionKind, bool)>,
}

impl Order<'_, '_> {
    /// At the start: what does not apply is no part of the order.
    pub(super) fn apply(&mut self) -> Result<(), Stop> {
        if !self.graph.is_conditional {
            return Ok(());
        }
        for Asked { node, told } in self.ask_all(|kind| kind == ConditionKind::Applicability)? {
            let any = self.graph.nodes[node].action.as_ref().is_some_and(|action| action.any_applies);
            let applies = match any {
                true => told.iter().any(|(_, holds)| *holds),
                false => told.iter().all(|(_, holds)| *holds),
            };
            if !applies {
                for leaf in self.graph.leaves_of(node) {
                    self.state(leaf).withdrawn = true;
                }
            }
        }
        Ok(())
    }

    /// What holds now of what a step begins or stops by.
    pub(super) fn told(&mut self) -> Result<Told, Stop> {
        let mut all = Told::default();
        if self.graph.is_conditional {
            for Asked { node, told } in self.ask_all(|kind| kind != ConditionKind::Applicability)? {
                for kind in [ConditionKind::Start, ConditionKind::Stop] {
                    let mut of_kind = told.iter().filter(|(asked, _)| *asked == kind).peekable();
                    if of_kind.peek().is_some() && of_kind.all(|(_, holds)| *holds) {
                        all.holding.insert((node, kind));
                    }
                }
            }
        }
        Ok(all)
    }

    /// The nodes that have such conditions, and whether each holds.
    fn ask_all(&mut self, wanted: fn(ConditionKind) -> bool) -> Result<Vec<Asked>, Stop> {
        let of = |node: usize| -> Vec<Condition> {
            self.graph.conditions(node).iter().filter(|condition| wanted(condition.kind)).cloned().collect()
        };
        let asked: Vec<(usize, Vec<Condition>)> =
            (1..self.graph.nodes.len()).map(|node| (node, of(node))).filter(|(_, asked)| !asked.is_empty()).collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let requests: Vec<Value> = self.requests()?.iter().map(tree).collect();
        let sees_tasks = asked.iter().flat_map(|(_, asked)| asked).any(|asked| asked.expression.contains(TASKS));
        let tasks = if sees_tasks { self.newest_tasks()? } else { Vec::new() };
        let tell = |(node, asked): (usize, Vec<Condition>)| {
            let request = &requests[self.graph.nodes[node].item.unwrap_or(0)];
            let told = asked.iter().map(|condition| (condition.kind, self.holds(condition, request, &tasks))).collect();
            Asked { node, told }
        };
        Ok(asked.into_iter().map(tell).collect())
    }

    /// One that gives nothing, or fails on what is there, does not hold.
    fn holds(&self, condition: &Condition, request: &Value, tasks: &[Value]) -> bool {
        let Ok(expression) = Expression::parse(&condition.expression) else { return false };
        let tasks: Collection = tasks.iter().map(|task| Item::Node(Node::resource(task))).collect();
        let scope = Scope::new(self.draft.now().date_time()).with(TASKS, tasks);
        expression.holds(request, &scope).is_ok_and(|holds| holds == Some(true))
    }

    pub(super) fn newest_tasks(&mut self) -> Result<Vec<Value>, Stop> {
        let mut keys = Vec::new();
        for leaf in self.graph.leaves().collect::<Vec<_>>() {
            if self.state(leaf).occurrence > 0 {
                keys.push(Key::task(self.id_of(leaf)));
            }
        }
        Ok(self.draft.get_all(&keys)?.iter().map(tree).collect())
    }
}

fn tree(resource: &Resource) -> Value {
    Value::Object((*resource.body).clone())
}
