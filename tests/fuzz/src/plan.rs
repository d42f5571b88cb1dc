//! A plan: a site's own file.

use std::sync::Arc;

use hub_domain::command::Act;
use hub_domain::plan::kept::KeptPlan;
use hub_domain::workflow::Offered;
use schemas::message::Act as Reported;
use schemas::plan::{Action, ConditionKind, Plan, Trigger};
use schemas::resource::{Body, Key, Kind};
use schemas::task::TaskStatus;
use serde_json::json;

use crate::registry::{Registry, body, report};
use crate::resource::faults_are_told;

/// Reports and timers of one order; a plan that needs more is let be.
const STEPS_LIMIT: usize = 200;

/// Read and checked; and a plan that is accepted is lived through, well and badly.
pub fn play(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Offered::read(text) {
        Err(faults) => faults_are_told(&faults),
        Ok(offered) => [0, 1, 2].into_iter().for_each(|luck| is_lived_through(&offered, luck)),
    }
}

/// The same plan, started by every ServiceRequest.
fn started_by_all(offered: &Offered) -> Offered {
    let triggers = vec![Trigger { kind: Some(Kind::SERVICE_REQUEST), event: None, filters: Vec::new() }];
    let plan = KeptPlan::new(Plan { triggers, ..(**offered.plan).clone() });
    Offered { plan: Arc::new(plan), ..offered.clone() }
}

/// Every step is claimed and ended, and every timer fires. Then nothing is left, and the whole has ended.
fn is_lived_through(offered: &Offered, luck: usize) {
    let mut registry = Registry::new(vec![started_by_all(offered)]);
    registry.submit(vec![body(json!({
        "resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "code": { "text": "Heart" }, "subject": { "reference": "Patient/1" },
    }))]);
    for step in 0..STEPS_LIMIT {
        let Some(task) = registry.tasks(is_doable).into_iter().next() else {
            if registry.fire() {
                continue;
            }
            let open = registry.tasks(|task| TaskStatus::of(task).is_some_and(|status| !status.is_terminal()));
            if may_wait(&offered.plan.actions) {
                return;
            }
            assert!(open.is_empty(), "nobody can do anything, and these are open: {open:?}");
            return;
        };
        let end = if luck > 0 && step % (luck + 1) == 0 { Reported::Failed } else { Reported::Completed };
        is_done(&mut registry, &task, end);
    }
}

/// What begins by a condition may never begin.
fn may_wait(actions: &[Arc<Action>]) -> bool {
    let waits = |action: &Action| action.conditions.iter().any(|condition| condition.kind == ConditionKind::Start);
    actions.iter().any(|action| waits(action) || may_wait(&action.actions))
}

/// On offer, and no fulfilment Task: that one follows.
fn is_doable(task: &Body) -> bool {
    TaskStatus::of(task).is_some_and(TaskStatus::is_offered) && task.contains_key("partOf")
}

fn is_done(registry: &mut Registry, task: &Key, end: Reported) {
    for (sequence, act) in (1..).zip([Reported::Claim, Reported::InProgress, end]) {
        let done = registry.execute(Act::Report(report(&task.id, act, sequence)));
        assert!(done.is_ok(), "{act:?} of a Task on offer is refused: {:?}", done.err());
    }
}
