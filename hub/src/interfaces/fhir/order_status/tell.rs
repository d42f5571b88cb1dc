//! An order as it stands, in the words of the answer.

use hub_domain::decide::{CALLBACK_WORK, work_of};
use hub_domain::registry::Stored;
use schemas::ids::TaskId;
use schemas::resource::{Body, Key, Kind, glance, list, text_at};
use schemas::task::{TaskStatus, asked_code};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::answer::No;
use super::super::bundle::Writer;
use super::links::Links;
use crate::service::Service;

/// What of a Task tells how it stands.
const TOLD: [&str; 10] = [
    "id",
    "basedOn",
    "partOf",
    "status",
    "statusReason",
    "code",
    "description",
    "lastModified",
    "owner",
    "performerType",
];

pub(super) struct Standing {
    /// As they are stored, and what of them is [`TOLD`].
    tasks: Vec<Stored>,
    bodies: Vec<Body>,
    links: Links,
}

impl Standing {
    /// The order at this root; `asked`: by which of its resources it was asked for.
    pub(super) async fn of(service: &Service, root: Uuid, asked: Option<&Key>) -> Result<Self, No> {
        let parts = service.registry.parts_of(root).await?;
        let (tasks, requests): (Vec<Stored>, Vec<Stored>) =
            parts.into_iter().partition(|part| part.key.kind == Kind::TASK);
        // A Task's id tells an order, also one that never was.
        let is_here = |key: &Key| key.kind != Kind::TASK || tasks.iter().any(|task| task.key == *key);
        if let Some(key) = asked.filter(|key| !is_here(key)) {
            return Err(No::not_found(format!("{key} is not here")));
        }
        let bodies: Vec<Body> = tasks.iter().filter_map(|task| glance(&task.body, &TOLD).ok()).collect();
        let based_on = bodies.iter().flat_map(|task| list(task, "basedOn"));
        let based_on = based_on.filter_map(|on| Key::of_reference(on["reference"].as_str()?));
        let others = based_on.chain(asked.cloned()).filter(|key| key.kind.is_request()).collect();
        let links = Links::of(service, requests, others).await?;
        Ok(Self { tasks, bodies, links })
    }

    pub(super) fn tell(&self) -> Vec<Value> {
        let mut parameter = self.progress();
        parameter.extend(self.links.tell());
        parameter
    }

    /// The Parameters: what is told, and then all Tasks as they are stored.
    pub(super) fn answer(&self, base: &str) -> Vec<u8> {
        let mut result = Writer::new("collection", base);
        self.tasks.iter().for_each(|task| result.part(task));
        let told = json!({ "resourceType": "Parameters", "parameter": self.tell() });
        let mut answer = told.to_string().into_bytes();
        // The closing brackets of the list and of the whole come behind its last item.
        answer.truncate(answer.len() - 2);
        answer.extend_from_slice(br#",{"name":"result","resource":"#);
        answer.extend_from_slice(&result.finish());
        answer.extend_from_slice(b"}]}");
        answer
    }

    fn progress(&self) -> Vec<Value> {
        let newest = || self.bodies.iter().filter(|task| is_newest(task, &self.bodies));
        // An order that comes in issues stands where the one stands that is under way.
        let is_over = |task: &&Body| TaskStatus::of(task).is_some_and(TaskStatus::is_terminal);
        let wholes: Vec<&Body> = newest().filter(|task| !task.contains_key("partOf")).collect();
        let whole = wholes.iter().copied().find(|task| !is_over(task)).or(wholes.last().copied());
        let parts: Vec<&Body> = newest()
            .filter(|task| task.contains_key("partOf") && asked_code(task).is_none() && !is_call(task))
            .collect();
        let works: Vec<&Body> = parts.iter().copied().filter(|task| is_work(task)).collect();
        let of = |task: &&&Body| TaskStatus::of(task);
        let counted = works.iter().filter(|task| of(task) != Some(TaskStatus::Cancelled)).count();
        let done = works.iter().filter(|task| of(task) == Some(TaskStatus::Completed)).count();
        let status = whole.and_then(|task| text_at(task, &["status"])).unwrap_or("none");
        let mut parameter = vec![
            json!({ "name": "status", "valueCode": status }),
            json!({ "name": "done", "valueUnsignedInt": done }),
            json!({ "name": "total", "valueUnsignedInt": counted }),
        ];
        let open = |task: &&&Body| of(task).is_some_and(|s| !s.is_terminal() && s != TaskStatus::Draft);
        for task in parts.iter().filter(open) {
            parameter.push(json!({ "name": "waitingFor", "valueString": waiting_for(task) }));
        }
        if let Some(since) = whole.and_then(|task| text_at(task, &["lastModified"])) {
            parameter.push(json!({ "name": "since", "valueDateTime": since }));
        }
        if let Some(why) = whole.and_then(|task| task.get("statusReason")) {
            parameter.push(json!({ "name": "reason", "valueCodeableConcept": why }));
        }
        parameter
    }
}

fn id_of(task: &Body) -> Option<TaskId> {
    text_at(task, &["id"])?.parse().ok()
}

/// A step that was offered again counts once, by its newest Task.
fn is_newest(task: &Body, all: &[Body]) -> bool {
    match id_of(task) {
        Some(id) => {
            !all.iter().filter_map(id_of).any(|other| other.step == id.step && other.occurrence > id.occurrence)
        }
        None => true,
    }
}

/// A step of the plan is part of the whole; what is part of a step (a question about it, its twin at the filler) is no
/// step.
fn is_work(task: &Body) -> bool {
    let mut parents = list(task, "partOf").filter_map(|of| Key::of_reference(of["reference"].as_str()?));
    parents.all(|key| hub_domain::decide::task_id(&key).is_none_or(|id| id.step == 0))
}

/// That the placer is told how it ended is no part of the work.
fn is_call(task: &Body) -> bool {
    work_of(task) == CALLBACK_WORK
}

/// "Analyse the specimen (in-progress, Organization/lab-1)"
fn waiting_for(task: &Body) -> String {
    let code = task.get("code");
    let title = text_at(task, &["description"])
        .or_else(|| code.and_then(|code| code["text"].as_str()))
        .or_else(|| code.and_then(|code| code["coding"][0]["code"].as_str()))
        .unwrap_or("a Task");
    let status = text_at(task, &["status"]).unwrap_or_default();
    let owner = schemas::task::owner(task).map(|owner| format!(", {owner}")).unwrap_or_default();
    format!("{title} ({status}{owner})")
}
