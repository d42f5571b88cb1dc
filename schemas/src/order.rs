//! Requests as orders: the one language of states that all request types share, and when a request asks for work.

use crate::resource::{Body, Kind, list, text_at};

/// The state of a request. Each type spells its own (a MedicationRequest is `cancelled`, a ServiceRequest
/// `revoked`); inside the hub there is one word for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestStatus {
    Draft,
    Active,
    OnHold,
    /// revoked, cancelled, stopped
    Revoked,
    Completed,
    EnteredInError,
    Unknown,
}

impl RequestStatus {
    pub fn parse(code: &str) -> Self {
        match code {
            "draft" => Self::Draft,
            "active" => Self::Active,
            "on-hold" | "suspended" => Self::OnHold,
            "revoked" | "cancelled" | "stopped" | "ended" => Self::Revoked,
            "completed" => Self::Completed,
            "entered-in-error" => Self::EnteredInError,
            _ => Self::Unknown,
        }
    }

    pub fn of(body: &Body) -> Self {
        text_at(body, &["status"]).map_or(Self::Unknown, Self::parse)
    }
}

/// The word of a type for "withdrawn".
pub fn revoked_code(kind: Kind) -> &'static str {
    match kind.name() {
        "MedicationRequest" | "SupplyRequest" | "VisionPrescription" => "cancelled",
        _ => "revoked",
    }
}

/// Whether `kind` can say that it is completed. A VisionPrescription cannot.
pub fn can_complete(kind: Kind) -> bool {
    kind.is_request() && kind.name() != "VisionPrescription"
}

/// The tag by which a placer says "to be acted upon, not merely stored".
pub const ACTIONABLE: (&str, &str) = ("http://terminology.hl7.org/CodeSystem/common-tags", "actionable");

const ORDER_INTENTS: [&str; 5] = ["order", "original-order", "reflex-order", "filler-order", "instance-order"];

/// Whether this request asks for work to be done now: active, an order (a type without intent counts as one),
/// not a prohibition, and tagged actionable where the site demands the tag.
pub fn asks_for_work(body: &Body, require_actionable: bool) -> bool {
    RequestStatus::of(body) == RequestStatus::Active
        && text_at(body, &["intent"]).is_none_or(|intent| ORDER_INTENTS.contains(&intent))
        && body.get("doNotPerform").and_then(serde_json::Value::as_bool) != Some(true)
        && (!require_actionable || is_actionable(body))
}

fn is_actionable(body: &Body) -> bool {
    let tags = body.get("meta").and_then(|meta| meta.get("tag")).and_then(|tags| tags.as_array());
    tags.into_iter()
        .flatten()
        .any(|tag| (tag["system"].as_str(), tag["code"].as_str()) == (Some(ACTIONABLE.0), Some(ACTIONABLE.1)))
}

/// The performer that the placer named, when it named exactly one: of a prescription, who is to dispense it.
pub fn named_performer(kind: Kind, body: &Body) -> Option<&serde_json::Value> {
    if kind == Kind::MEDICATION_REQUEST {
        return body.get("dispenseRequest")?.get("performer");
    }
    let mut performers = list(body, "performer");
    let first = performers.next().or_else(|| body.get("performer").filter(|p| p.is_object()))?;
    if performers.next().is_some() { None } else { Some(first) }
}

/// The identifier that members of one order share.
pub fn group_identifier(kind: Kind, body: &Body) -> Option<&serde_json::Value> {
    body.get(if kind == Kind::SERVICE_REQUEST { "requisition" } else { "groupIdentifier" })
}

/// Who the order is for.
pub fn subject(body: &Body) -> Option<&serde_json::Value> {
    body.get("subject").or_else(|| body.get("patient")).or_else(|| body.get("deliverFor"))
}

/// Who asked for it; the types name that differently.
pub fn requester(body: &Body) -> Option<&serde_json::Value> {
    ["requester", "orderer", "prescriber", "author"].iter().find_map(|name| body.get(*name))
}

/// The requests that this one takes the place of, as it names them; the types name that differently.
pub fn replaced(kind: Kind, body: &Body) -> impl Iterator<Item = &str> {
    let name = match kind.name() {
        "MedicationRequest" => "priorPrescription",
        "DeviceRequest" => "priorRequest",
        _ => "replaces",
    };
    let one = body.get(name).filter(|value| value.is_object());
    one.into_iter().chain(list(body, name)).filter_map(|old| old["reference"].as_str())
}
