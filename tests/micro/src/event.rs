//! One event of a running plan, with all that grows with the plan: its state is read as the head has it, what follows is
//! decided, and the state is written again. A small plan beside a large one, each half done.

use std::hint::black_box;

use hub_domain::plan::graph::Graph;
use hub_domain::plan::run::Run;
use hub_domain::workflow::Offered;
use schemas::message::Act as Reported;
use schemas::task::TaskStatus;
use schemas::time::Timestamp;
use serde_json::{Value, json};

use crate::registry::{self, Case, NOW, Registry, report};
use crate::{Work, orders};

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
/// Steps of a group: each waits for the one before, and each group for the group before.
const GROUP: usize = 10;

pub(crate) fn of_10() -> Work {
    living(completed(10))
}

pub(crate) fn of_1000() -> Work {
    living(completed(1000))
}

/// The middle step is completed, which releases the next.
fn completed(steps: usize) -> Case {
    let offered = Offered::read(&plan(steps).to_string()).unwrap();
    let graph = Graph::bind(&offered.plan, 1);
    let leaf = graph.leaves().nth(steps / 2).unwrap();
    let mut registry = Registry::with(vec![offered]);
    registry.execute(registry::submission(&orders::laboratory()));
    registry.revise(|run| {
        for (n, step) in graph.leaves().take(steps / 2).enumerate() {
            // Each took most of an hour, one after the other, the last until now.
            let begun = (steps / 2 - n) as i64 * HOUR_US;
            let at = |minutes: i64| Some(Timestamp(NOW.0 - begun + minutes * MINUTE_US));
            let task = &mut run.tasks[step];
            (task.status, task.sequence) = (Some(TaskStatus::Completed), 2);
            (task.released, task.started, task.ended) = (at(0), at(5), at(55));
        }
    });
    registry.release(leaf);
    registry.execute(report(leaf, Reported::Claim, 1));
    registry.case(report(leaf, Reported::Completed, 2))
}

fn plan(steps: usize) -> Value {
    let after = |before: Option<String>| {
        before.map_or(json!([]), |name| json!([{ "targetId": name, "relationship": "after-end" }]))
    };
    let role = json!({ "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "laboratory" }] });
    let step = |n: usize| {
        let before = (!n.is_multiple_of(GROUP)).then(|| format!("step-{}", n - 1));
        json!({ "id": format!("step-{n}"), "title": format!("Step {n}"), "relatedAction": after(before),
                "participant": [{ "role": role }] })
    };
    let group = |g: usize| {
        let steps: Vec<Value> = (g * GROUP..(g + 1) * GROUP).map(step).collect();
        let before = g.checked_sub(1).map(|g| format!("group-{g}"));
        json!({ "id": format!("group-{g}"), "relatedAction": after(before), "action": steps })
    };
    let groups: Vec<Value> = (0..steps / GROUP).map(group).collect();
    let trigger = json!([{ "type": "data-added", "data": [{ "type": "ServiceRequest" }] }]);
    json!({ "resourceType": "PlanDefinition", "url": "urn:example:steps", "status": "active",
            "action": [{ "id": "whole", "trigger": trigger, "action": groups }] })
}

fn living(case: Case) -> Work {
    let run = case.scene.heads.values().find_map(|head| head.run.as_ref()).unwrap();
    let text = serde_json::to_string(run).unwrap();
    Box::new(move || {
        black_box(serde_json::from_str::<Run>(black_box(&text)).unwrap());
        for write in &case.decided().heads {
            black_box(serde_json::to_string(&write.head.run).unwrap());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_ends_and_the_next_is_on_offer_however_many_there_are() {
        for steps in [10, 1000] {
            let decision = completed(steps).decided();
            let states: Vec<&str> = decision.writes.iter().filter_map(|write| write.resource.text("status")).collect();
            assert_eq!(states, ["in-progress", "completed", "requested"]);
            assert_eq!(decision.outbox.len(), 1);
        }
    }
}
