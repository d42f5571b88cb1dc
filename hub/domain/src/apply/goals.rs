//! The goals of a plan become Goals of somebody.

use schemas::resource::{Body, list};
use serde_json::{Map, Value, json};

/// What an action of R5 refers to, in R4.
const OF_ACTION: &str = "http://hl7.org/fhir/5.0/StructureDefinition/extension-RequestOrchestration.action.goal";
/// The same of the whole.
const OF_ALL: &str = "http://hl7.org/fhir/5.0/StructureDefinition/extension-RequestOrchestration.goal";

/// Those that there are so far.
#[derive(Default)]
pub(super) struct Goals {
    made: Vec<Value>,
    /// Of which plan, and what it calls each.
    known: Vec<(String, String)>,
}

impl Goals {
    /// All goals of a plan, named by what it is called.
    pub(super) fn take(&mut self, plan: &Body, called: &str, subject: &str) {
        for goal in list(plan, "goal") {
            let known = (called.to_owned(), goal["id"].as_str().unwrap_or_default().to_owned());
            if self.known.contains(&known) {
                continue;
            }
            self.known.push(known);
            self.made.push(self::goal(goal, &format!("goal-{}", self.known.len()), subject));
        }
    }

    /// Extensions that lead from an action to its goals.
    pub(super) fn of(&self, action: &Body, called: &str) -> Vec<Value> {
        let place = |id: &str| self.known.iter().position(|(plan, name)| plan == called && name == id);
        let places = list(action, "goalId").filter_map(|id| place(id.as_str()?));
        places.map(|n| link(OF_ACTION, n)).collect()
    }

    /// The Goals, to be contained, and the extensions that lead there.
    pub(super) fn finish(self) -> (Vec<Value>, Vec<Value>) {
        let links = (0..self.made.len()).map(|n| link(OF_ALL, n)).collect();
        (self.made, links)
    }
}

fn link(url: &str, n: usize) -> Value {
    json!({ "url": url, "valueReference": { "reference": format!("#goal-{}", n + 1) } })
}

fn goal(said: &Value, id: &str, subject: &str) -> Value {
    let mut goal = Map::new();
    for (name, value) in [("resourceType", "Goal"), ("id", id), ("lifecycleStatus", "proposed")] {
        goal.insert(name.into(), value.into());
    }
    goal.extend(said.get("category").map(|category| ("category".to_owned(), json!([category]))));
    for (name, there) in [("priority", "priority"), ("description", "description"), ("start", "startCodeableConcept")] {
        goal.extend(said.get(name).map(|value| (there.to_owned(), value.clone())));
    }
    goal.insert("subject".into(), json!({ "reference": subject }));
    let targets: Vec<Value> = said["target"].as_array().into_iter().flatten().map(target).collect();
    if !targets.is_empty() {
        goal.insert("target".into(), targets.into());
    }
    goal.into()
}

fn target(said: &Value) -> Value {
    let mut target = said.clone();
    if let Some(target) = target.as_object_mut()
        && let Some(due) = target.shift_remove("due")
    {
        target.insert("dueDuration".into(), due);
    }
    target
}
