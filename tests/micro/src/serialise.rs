//! What leaves the hub as text: to the database, in an answer, in a message.

use std::hint::black_box;

use hub_domain::decision::Decision;
use schemas::message::{CloudEvent, Payload, WORK_ORDER, WorkOrder};
use schemas::resource::Resource;
use serde_json::value::to_raw_value;

use crate::registry::{Registry, submission};
use crate::{Work, orders};

/// The request and its four Tasks, as a commit writes them. Not by `Document::text`, which writes a body once only.
pub(crate) fn order() -> Work {
    let decision = submitted();
    Box::new(move || {
        for write in &decision.writes {
            black_box(to_raw_value(black_box(&*write.resource.body)).unwrap());
        }
    })
}

/// The work order of the first step, as the relay writes it: the texts of the resources are there already.
pub(crate) fn message() -> Work {
    let decision = submitted();
    let request = written(&decision, |resource| resource.key.kind.is_request()).clone();
    let message = decision.outbox[0].clone();
    let task = written(&decision, |resource| resource.key == message.task).clone();
    Box::new(move || {
        let order = WorkOrder {
            task_id: message.task.id.clone(),
            task_version: message.version,
            task_status: "requested".into(),
            work: message.work.clone(),
            step: message.step.clone(),
            priority: message.priority.code().into(),
            owner: message.owner.clone(),
            focus: Some(request.key.to_string()),
            payload: Payload::Full,
            task: Some(task.body.text()),
            resources: vec![request.body.text()],
        };
        let id = format!("{}/{}", order.task_id, order.task_version);
        let time = task.text("lastModified").unwrap().to_owned();
        let event = CloudEvent::new(WORK_ORDER, id, "urn:fhir-workflow-hub", &message.task.id, time, order);
        black_box(serde_json::to_vec(black_box(&event)).unwrap());
    })
}

fn submitted() -> Decision {
    Registry::new().execute(submission(&orders::laboratory()))
}

fn written(decision: &Decision, which: impl Fn(&Resource) -> bool) -> &Resource {
    decision.writes.iter().map(|write| &write.resource).find(|resource| which(resource)).unwrap()
}
