//! An ActivityDefinition becomes a request of the type that it names.

use schemas::gate;
use schemas::outcome::{Issue, IssueType};
use schemas::plan::element_of_action;
use schemas::resource::{Body, list, text_at};
use schemas::time::Timestamp;
use serde_json::{Map, Value, json};

use super::expression::values;
use super::{Given, TRANSFORM, canonical, expression};

/// Where what a definition says stands in a request: the first of these elements that its type has.
const ELEMENTS: [(&str, &[&str]); 15] = [
    ("priority", &["priority"]),
    ("doNotPerform", &["doNotPerform"]),
    ("code", &["code", "codeCodeableConcept", "itemCodeableConcept", "category"]),
    ("productCodeableConcept", &["medicationCodeableConcept", "codeCodeableConcept", "itemCodeableConcept"]),
    ("productReference", &["medicationReference", "codeReference", "itemReference"]),
    ("quantity", &["quantityQuantity", "quantity"]),
    ("dosage", &["dosageInstruction"]),
    ("bodySite", &["bodySite"]),
    ("location", &["locationReference"]),
    ("timingDateTime", &["occurrenceDateTime"]),
    ("timingPeriod", &["occurrencePeriod"]),
    ("timingTiming", &["occurrenceTiming"]),
    ("specimenRequirement", &["specimen"]),
    ("profile", &["profile"]),
    ("library", &["library"]),
];

/// Whom it is for and who asks, as the types of requests call them.
const SUBJECTS: [&str; 4] = ["subject", "patient", "deliverFor", "for"];
const REQUESTERS: [&str; 3] = ["requester", "orderer", "prescriber"];
const ENCOUNTERS: [&str; 1] = ["encounter"];
const TIMES: [&str; 2] = ["authoredOn", "dateTime"];

/// The request that an ActivityDefinition describes, by itself.
pub fn activity(definition: &Body, given: &Given) -> Result<Body, Vec<Issue>> {
    let mut request = option(definition, given)?;
    if request.get("intent").is_some() {
        let intent = text_at(definition, &["intent"]).unwrap_or("proposal");
        request.insert("intent".into(), intent.into());
    }
    let mut contained = Vec::new();
    bring_along(&request, &list(definition, "contained").collect::<Vec<_>>(), &mut contained);
    if !contained.is_empty() {
        request.insert("contained".into(), contained.into());
    }
    gate::check(&request, None)?;
    Ok(request)
}

/// The same as one of several that a plan offers.
pub(super) fn option(definition: &Body, given: &Given) -> Result<Body, Vec<Issue>> {
    let mut request = described(definition)?;
    let kind = text_at(&request, &["resourceType"]).unwrap_or_default().to_owned();
    let refer = |reference: &String| json!({ "reference": reference });
    let asker = given.practitioner.as_ref().or(given.organization.as_ref());
    let told = Told {
        subject: Some(refer(&given.subject)),
        encounter: given.encounter.as_ref().map(refer),
        requester: asker.map(refer),
        now: given.now,
    };
    told.tell(&kind, &mut request);
    set_values(definition, Some(&mut request), None, given, "ActivityDefinition")?;
    Ok(request)
}

/// What a definition says by itself of the request that it describes, for nobody yet.
pub(crate) fn described(definition: &Body) -> Result<Body, Vec<Issue>> {
    let fault = |path: &str, code, text: &str| vec![Issue::error(code, format!("ActivityDefinition.{path}"), text)];
    // Only medications have a dosage.
    let implied = definition.contains_key("dosage").then_some("MedicationRequest");
    let Some(kind) = text_at(definition, &["kind"]).or(implied) else {
        return Err(fault("kind", IssueType::Required, "which type of request it becomes"));
    };
    if !gate::known(kind) {
        return Err(fault("kind", IssueType::NotSupported, "no request of this type is made here"));
    }
    if definition.contains_key("transform") {
        return Err(fault("transform", IssueType::NotSupported, TRANSFORM));
    }
    let mut request = Map::from_iter([("resourceType".to_owned(), kind.into())]);
    if let Some(canonical) = canonical(definition) {
        put(kind, &mut request, &["instantiatesCanonical"], canonical.into());
    }
    put(kind, &mut request, &["status"], "draft".into());
    put(kind, &mut request, &["intent"], "option".into());
    for (name, there) in ELEMENTS {
        if let Some(value) = definition.get(name) {
            put(kind, &mut request, there, value.clone());
        }
    }
    if let Some(role) = list(definition, "participant").find_map(|participant| participant.get("role")) {
        put(kind, &mut request, &["performerType"], role.clone());
    }
    Ok(request)
}

/// Whom a request is for, and who asks when: types call that differently.
pub(crate) struct Told {
    pub(crate) subject: Option<Value>,
    pub(crate) encounter: Option<Value>,
    pub(crate) requester: Option<Value>,
    pub(crate) now: Timestamp,
}

impl Told {
    /// Where the request does not say it itself.
    pub(crate) fn tell(self, kind: &str, request: &mut Body) {
        let now = Some(self.now.to_string().into());
        let told: [(&[&str], Option<Value>); 4] =
            [(&SUBJECTS, self.subject), (&ENCOUNTERS, self.encounter), (&REQUESTERS, self.requester), (&TIMES, now)];
        for (names, value) in told {
            if let Some(value) = value.filter(|_| !names.iter().any(|name| request.contains_key(*name))) {
                put(kind, request, names, value);
            }
        }
    }
}

/// Sets the first of these elements that the type has.
fn put(kind: &str, request: &mut Body, names: &[&str], value: Value) {
    let found = names.iter().find_map(|name| Some((*name, gate::member(kind, name)?)));
    if let Some((name, member)) = found {
        let value = match value {
            Value::Array(mut items) if !member.many && !items.is_empty() => items.swap_remove(0),
            Value::Array(items) => Value::Array(items),
            one if member.many => json!([one]),
            one => one,
        };
        request.insert(name.to_owned(), value);
    }
}

/// Dynamic values, in their order, of the definition or the action that says them: in the request, or in what becomes of the
/// action.
pub(super) fn set_values(
    from: &Body,
    mut request: Option<&mut Body>,
    mut action: Option<&mut Body>,
    given: &Given,
    path: &str,
) -> Result<(), Vec<Issue>> {
    for (n, dynamic) in list(from, "dynamicValue").enumerate() {
        let path = format!("{path}.dynamicValue[{n}]");
        let told = |code, place: &str, text: String| vec![Issue::error(code, format!("{path}.{place}"), text)];
        let target = dynamic["path"].as_str().unwrap_or_default();
        let of_action = element_of_action(target);
        let (asked, seen) = (request.as_deref().cloned().unwrap_or_default(), action.as_deref().cloned());
        let into = if of_action.is_some() { action.as_deref_mut() } else { request.as_deref_mut() };
        let Some(into) = into else { continue };
        let found = values(&dynamic["expression"], &asked, given, seen.map(Value::Object).as_ref());
        let found = found.map_err(|(code, text)| told(code, "expression", text))?;
        let set = match of_action {
            _ if found.is_empty() => Ok(()),
            Some(element) => expression::set_of_action(into, element, found),
            None => expression::set(into, target, found),
        };
        set.map_err(|text| told(IssueType::Value, "path", text))?;
    }
    Ok(())
}

/// What a request points to in what contains it comes along, once.
pub(crate) fn bring_along(request: &Body, own: &[&Value], contained: &mut Vec<Value>) {
    let mut look = vec![Value::Object(request.clone())];
    while let Some(next) = look.pop() {
        let text = next.to_string();
        for inner in own {
            let Some(id) = inner["id"].as_str() else { continue };
            let pointed = text.contains(&format!("\"#{id}\""));
            if pointed && !contained.iter().any(|one| one["id"] == inner["id"]) {
                contained.push((*inner).clone());
                look.push((*inner).clone());
            }
        }
    }
}
