//! The bodies of Tasks: how the hub writes them, and what it reads out of them.

use schemas::ids::{TASK_IDENTIFIER, TaskId};
use schemas::order;
use schemas::plan::{Action, WORK};
use schemas::resource::{Body, Key, Kind, Resource, blank, list, text_at};
use schemas::task::{Priority, TaskStatus, task_code};
use schemas::time::Timestamp;
use serde_json::{Value, json};

/// What the Tasks of an order take over from its requests.
pub(crate) struct Asked<'a> {
    requests: Vec<&'a Resource>,
}

impl<'a> Asked<'a> {
    /// Never of nothing: an order has at least one request.
    pub(crate) fn new(requests: Vec<&'a Resource>) -> Self {
        Self { requests }
    }

    fn first(&self) -> &'a Body {
        &self.requests[0].body
    }

    fn kind(&self) -> Kind {
        self.requests[0].key.kind
    }

    /// The performer that is named by every request, if it is one and the same, and may own a Task.
    pub(crate) fn performer(&self) -> Option<&'a Value> {
        let first = order::named_performer(self.kind(), self.first())?;
        let same = |request: &&Resource| order::named_performer(request.key.kind, &request.body) == Some(first);
        (self.requests.iter().all(same) && (may_own(first))).then_some(first)
    }

    /// What a Task of the whole order, or of one item, is about: the request, or the number they share.
    fn focus(&self, item: Option<usize>) -> Value {
        match (item, self.requests.as_slice()) {
            (Some(item), requests) => requests[item].reference(),
            (None, [only]) => only.reference(),
            (None, requests) => {
                self.group().map_or_else(|| requests[0].reference(), |group| json!({ "identifier": group }))
            }
        }
    }

    /// The number that the requests share.
    fn group(&self) -> Option<&'a Value> {
        order::group_identifier(self.kind(), self.first()).filter(|group| !is_local(group))
    }

    /// Of one item its own; of the whole, that of the most urgent request.
    fn priority(&self, item: Option<usize>) -> Priority {
        match item {
            Some(item) => Priority::of(&self.requests[item].body),
            None => self.requests.iter().map(|request| Priority::of(&request.body)).min().unwrap_or_default(),
        }
    }

    fn based_on(&self, item: Option<usize>) -> Value {
        match item {
            Some(item) => json!([self.requests[item].reference()]),
            None => self.requests.iter().map(|request| request.reference()).collect(),
        }
    }

    /// What all Tasks of the order have alike.
    fn common(&self, id: TaskId, status: TaskStatus, item: Option<usize>, now: Timestamp) -> Body {
        let request = self.first();
        let mut task = blank();
        task.insert("identifier".into(), json!([{ "system": TASK_IDENTIFIER, "value": id.to_string() }]));
        task.insert("basedOn".into(), self.based_on(item));
        if let Some(group) = self.group() {
            task.insert("groupIdentifier".into(), group.clone());
        }
        task.insert("status".into(), status.code().into());
        task.insert("priority".into(), self.priority(item).code().into());
        task.insert("focus".into(), self.focus(item));
        for (name, value) in [("for", order::subject(request)), ("encounter", request.get("encounter"))] {
            if let Some(value) = value.filter(|value| !is_local(value)) {
                task.insert(name.into(), value.clone());
            }
        }
        task.insert("authoredOn".into(), now.to_string().into());
        task.insert("lastModified".into(), now.to_string().into());
        if let Some(requester) = order::requester(request).filter(|r| may_request(r)) {
            task.insert("requester".into(), requester.clone());
        }
        if let Some(owner) = self.performer() {
            task.insert("owner".into(), owner.clone());
        }
        task
    }

    pub(crate) fn fulfilment(&self, id: TaskId, title: Option<&str>, now: Timestamp) -> Body {
        let mut task = self.common(id, TaskStatus::Requested, None, now);
        task.insert("intent".into(), "order".into());
        task.insert("code".into(), task_code("fulfill"));
        if let Some(title) = title {
            task.insert("description".into(), title.into());
        }
        task
    }

    pub(crate) fn work_item(&self, id: TaskId, status: TaskStatus, step: &Step, now: Timestamp) -> Body {
        let mut task = self.common(id, status, step.item, now);
        let action = step.action;
        let title = action.title.as_deref().unwrap_or(&action.id);
        task.insert(
            "partOf".into(),
            json!([{ "reference": Key::task(TaskId { step: 0, occurrence: 1, ..id }).to_string() }]),
        );
        task.insert("intent".into(), "filler-order".into());
        task.insert("code".into(), action.code.clone().unwrap_or_else(|| json!({ "text": title })));
        task.insert("description".into(), title.into());
        if let Some(priority) = &action.priority {
            task.insert("priority".into(), priority.as_str().into());
        }
        match action.actors.as_slice() {
            // Who is named for the step goes before who is named for the whole.
            [actor] if may_own(actor) => drop(task.insert("owner".into(), actor.clone())),
            actors => mean(&mut task, actors),
        }
        if !action.inputs.is_empty() {
            task.insert("input".into(), action.inputs.clone().into());
        }
        if action.is_questionnaire() {
            // What is to be answered is an input; such a Task is about nothing else.
            task.shift_remove("focus");
        } else if let Some(definition) = action.definition.as_deref().filter(|of| !of.starts_with('#')) {
            task.insert("instantiatesCanonical".into(), definition.into());
        }
        let kinds = action.performer_types();
        if !kinds.is_empty() {
            task.insert("performerType".into(), kinds.into());
        }
        task
    }
}

/// A step of the plan, of one item where it is done per item.
pub(crate) struct Step<'a> {
    pub(crate) action: &'a Action,
    pub(crate) item: Option<usize>,
}

/// The Task that asks the owner of another Task to stop, pause or go on (`abort`, `suspend`, `resume`).
pub(crate) fn asking(id: TaskId, code: &str, of: &Resource, now: Timestamp) -> Body {
    let mut task = blank();
    let mut put = |name: &str, value: Value| task.insert(name.into(), value);
    put("identifier", json!([{ "system": TASK_IDENTIFIER, "value": id.to_string() }]));
    let shared = |name: &str| of.body.get(name).filter(|value| !is_local(value)).cloned();
    for name in ["basedOn", "groupIdentifier"] {
        shared(name).map(|value| put(name, value));
    }
    put("partOf", json!([{ "reference": Key::task(TaskId { step: 0, occurrence: 1, ..id }).to_string() }]));
    put("status", TaskStatus::Requested.code().into());
    put("intent", "order".into());
    put("priority", text_at(&of.body, &["priority"]).unwrap_or("routine").into());
    put("code", task_code(code));
    put("focus", of.reference());
    shared("for").map(|value| put("for", value));
    put("authoredOn", now.to_string().into());
    put("lastModified", now.to_string().into());
    for name in ["requester", "performerType", "owner"] {
        shared(name).map(|value| put(name, value));
    }
    task
}

/// The next offer of a step that was refused, failed or let lapse: as the last one was at first.
pub(crate) fn offered_again(id: TaskId, last: &Body, open: bool, now: Timestamp) -> Body {
    let mut task = last.clone();
    for name in ["statusReason", "businessStatus", "output", "executionPeriod", "note"] {
        task.shift_remove(name);
    }
    if open {
        task.shift_remove("owner");
    }
    task.insert("identifier".into(), json!([{ "system": TASK_IDENTIFIER, "value": id.to_string() }]));
    task.insert("status".into(), TaskStatus::Requested.code().into());
    task.insert("authoredOn".into(), now.to_string().into());
    task.insert("lastModified".into(), now.to_string().into());
    task
}

/// The queue of Tasks that name no kind of work.
pub(crate) const GENERAL_WORK: &str = "general";

/// The kind of work a Task is: the code of [`WORK`] among its performer types.
pub fn work_of(task: &Body) -> String {
    list(task, "performerType")
        .flat_map(|concept| concept["coding"].as_array().into_iter().flatten())
        .find(|coding| coding["system"] == WORK)
        .and_then(|coding| coding["code"].as_str())
        .unwrap_or(GENERAL_WORK)
        .to_owned()
}

/// Puts a Task into a state, with the times that go with it.
pub(crate) fn set_status(task: &mut Body, to: TaskStatus, now: Timestamp) {
    task.insert("status".into(), to.code().into());
    task.insert("lastModified".into(), now.to_string().into());
    let started = task.get("executionPeriod").is_some();
    if to == TaskStatus::InProgress && !started {
        task.insert("executionPeriod".into(), json!({ "start": now.to_string() }));
    } else if to.is_terminal()
        && let Some(period) = task.get_mut("executionPeriod")
    {
        period["end"] = now.to_string().into();
    }
}

/// R5's `Task.requestedPerformer` in a Task of R4.
const REQUESTED: &str = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Task.requestedPerformer";

/// Whom of all who do such work a Task is meant for. R4 has no place for some of them, and R5 has: that is an extension.
fn mean(task: &mut Body, actors: &[Value]) {
    let followed = actors.iter().filter(|actor| !is_local(actor));
    let (meant, others): (Vec<&Value>, Vec<&Value>) = followed.partition(|actor| may_receive(actor));
    if !meant.is_empty() {
        task.insert("restriction".into(), json!({ "recipient": meant }));
    }
    let asked = |actor| json!({ "url": REQUESTED, "extension": [{ "url": "reference", "valueReference": actor }] });
    if !others.is_empty() {
        task.insert("extension".into(), others.into_iter().map(asked).collect());
    }
}

/// As `Task.restriction.recipient` may be.
fn may_receive(reference: &Value) -> bool {
    const RECIPIENTS: [&str; 6] =
        ["Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Group", "Organization"];
    points_to(reference, &RECIPIENTS)
}

/// `Task.owner` and `Task.requester` take fewer types than a request's performer and requester.
fn may_own(reference: &Value) -> bool {
    const OWNERS: [&str; 8] = [
        "Practitioner",
        "PractitionerRole",
        "Organization",
        "CareTeam",
        "HealthcareService",
        "Patient",
        "Device",
        "RelatedPerson",
    ];
    points_to(reference, &OWNERS)
}

pub(super) fn may_request(reference: &Value) -> bool {
    const REQUESTERS: [&str; 6] =
        ["Device", "Organization", "Patient", "Practitioner", "PractitionerRole", "RelatedPerson"];
    points_to(reference, &REQUESTERS)
}

/// Whether something in it leads to what its resource contains, where no other can follow.
fn is_local(value: &Value) -> bool {
    let leads = |name: &str, text: &str| matches!(name, "reference" | "valueCanonical") && text.starts_with('#');
    match value {
        Value::Object(map) => map.iter().any(|(name, inner)| match inner {
            Value::String(text) => leads(name, text),
            _ => is_local(inner),
        }),
        Value::Array(items) => items.iter().any(is_local),
        _ => false,
    }
}

/// Logical references and URLs do not show their type: they are taken. A contained one stays with its container.
fn points_to(reference: &Value, kinds: &[&str]) -> bool {
    match reference.get("reference").and_then(Value::as_str) {
        _ if is_local(reference) => false,
        None => reference.get("identifier").is_some(),
        Some(text) => text.contains(':') || kinds.iter().any(|kind| text.split('/').next() == Some(kind)),
    }
}
