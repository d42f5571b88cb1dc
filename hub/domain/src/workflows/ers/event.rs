//! What the service reports while it works: visits, results, the discharge letter. Each is kept with the referral that it
//! is based on, and the fulfilment Task names it among its outputs.

use schemas::ids::TaskId;
use schemas::resource::{Body, Key, Kind, list, text_at};
use serde_json::{Value, json};
use uuid::Uuid;

use super::codes::{INVALID_REQUEST_STATE, MISSING_VALUE, NO_RELATIONSHIP, REC_FORBIDDEN};
use super::record::Speaker;
use super::table::{Of, Side};
use super::{OUTPUT, find, request_id, root_of_id};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::Refusal;
use crate::workflows::{Answer, Outcome};

/// The types that are taken, each with the element that names the referral.
pub const EVENTS: [(&str, &str); 4] = [
    ("Encounter", "basedOn"),
    ("DiagnosticReport", "basedOn"),
    ("Observation", "basedOn"),
    // R4 knows no basedOn of a document.
    ("DocumentReference", "context.related"),
];

#[derive(Debug, Clone)]
pub struct Event {
    kind: Kind,
    body: Body,
}

/// The event, and the id of its referral.
pub(super) fn read(kind: &str, body: &Body) -> Result<(String, Event), Refusal> {
    let element = EVENTS.iter().find(|(name, _)| *name == kind).map_or("basedOn", |(_, element)| element);
    let (outer, inner) = element.split_once('.').unwrap_or((element, ""));
    let references: Vec<&Value> = match inner {
        "" => list(body, outer).collect(),
        inner => body.get(outer).and_then(|outer| outer[inner].as_array()).into_iter().flatten().collect(),
    };
    let mut ids = references.iter().filter_map(|reference| request_id(reference["reference"].as_str()?));
    match (ids.next(), Kind::parse(kind)) {
        (Some(id), Some(kind)) => Ok((id, Event { kind, body: body.clone() })),
        _ => {
            let text = "what happened is based on a referral: ServiceRequest/r.<uuid>";
            Err(MISSING_VALUE.refused(&format!("{kind}.{element}"), text))
        }
    }
}

pub(super) fn attach(draft: &mut Draft, by: &Speaker, id: &str, event: &Event) -> Result<Answer, Stop> {
    if by.role.side() != Side::Provider {
        return Err(REC_FORBIDDEN.refused("", "what a service did is reported by the service").into());
    }
    let root = root_of_id(id);
    let mut record = find(draft, root)?;
    if !record.concerns(by) {
        return Err(NO_RELATIONSHIP.refusal().into());
    }
    // A letter may come when all is closed; of what was cancelled nothing is reported.
    if record.state.of() != Of::Referral || record.state.request() == "revoked" {
        return Err(INVALID_REQUEST_STATE.refused("", "nothing is reported of a referral in this state").into());
    }
    let whole = Key::task(TaskId { root, step: 0, occurrence: 1 });
    let mut task = draft.get(&whole)?.body.clone().into_body();
    let created = draft.create(root, Key::new(event.kind, record.next_id(root).to_string()), event.body.clone());
    let kind = text_at(&event.body, &["resourceType"]).unwrap_or_default();
    let output = json!({
        "type": { "coding": [{ "system": OUTPUT, "code": kind }], "text": kind },
        "valueReference": created.reference(),
    });
    match task.get_mut("output").and_then(Value::as_array_mut) {
        Some(outputs) => outputs.push(output),
        None => drop(task.insert("output".into(), json!([output]))),
    }
    task.insert("lastModified".into(), draft.now().to_string().into());
    draft.replace(root, &whole, task)?;
    remember(draft, root, record);
    Ok(Answer { outcome: Outcome::Created, body: Value::Object(created.body.into_body()) })
}

/// The referral itself does not change: whoever read it may still act on what it read.
fn remember(draft: &mut Draft, root: Uuid, record: super::Record) {
    draft.head(root).run.get_or_insert_default().record = Some(crate::workflows::Record::Ers(Box::new(record)));
}
