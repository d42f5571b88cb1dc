//! The body of a message off a queue.

use hub_domain::command::Act;
use schemas::message::{ClaimReply, CloudEvent, StatusReport, WorkOrder};
use schemas::task::TaskStatus;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::registry::Registry;
use crate::resource::faults_are_told;

/// As each of the messages there are; a report goes on into the registry.
pub fn play(bytes: &[u8]) {
    comes_back::<WorkOrder>(bytes);
    comes_back::<ClaimReply>(bytes);
    if let Some(event) = comes_back::<StatusReport>(bytes) {
        // As it is, and of every Task that may be meant: a Task's id is seldom hit by chance.
        is_reported(event.data.clone());
        for task in Registry::furnished().tasks(|task| TaskStatus::of(task) != Some(TaskStatus::Draft)) {
            is_reported(StatusReport { task_id: task.id, ..event.data.clone() });
        }
    }
}

/// What is written is read again as it was.
fn comes_back<T>(bytes: &[u8]) -> Option<CloudEvent<T>>
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let event: CloudEvent<T> = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&event).ok();
    let again = written.and_then(|written| serde_json::from_slice::<CloudEvent<T>>(&written).ok());
    assert_eq!(again.as_ref(), Some(&event), "a message does not come back");
    Some(event)
}

/// Decided or refused; and when it comes twice, done once.
fn is_reported(report: StatusReport) {
    let mut registry = Registry::furnished();
    match registry.execute(Act::Report(report.clone())) {
        Err(refusal) => faults_are_told(&refusal.issues),
        Ok(_) => {
            let again = registry.execute(Act::Report(report));
            assert!(again.is_err() || again.is_ok_and(|again| again.writes.is_empty()), "a report is done twice");
        }
    }
}
