//! A body that is to be a resource.

use hub_domain::command::{Act, Entry, Interaction};
use hub_domain::query::{IndexValue, ParamType, index, params};
use schemas::gate::{self, Limits};
use schemas::outcome::{Issue, Severity};
use schemas::resource::{Body, Key, Kind, Resource};
use schemas::time::Timestamp;
use serde_json::Value;

use crate::registry::{Registry, storable};

/// What the gate tells at most, and that there is more.
const FAULTS_LIMIT: usize = 101;

/// Through the gate; and what comes through, on into the registry.
pub fn play(bytes: &[u8]) {
    let read = gate::parse(bytes, &Limits::default());
    match read.and_then(|body| gate::check(&body, None).map(|()| body)) {
        Err(faults) => {
            assert!(faults.len() <= FAULTS_LIMIT, "as many as a person will read");
            faults_are_told(&faults);
        }
        Ok(body) => {
            comes_back(&body);
            holds_no_control_character(&Value::Object(body.clone()));
            is_submitted(body);
        }
    }
}

/// Each has its place; only of a body that could not be read at all, or is no resource, there is none to name.
pub(crate) fn faults_are_told(faults: &[Issue]) {
    assert!(!faults.is_empty(), "a refusal says why");
    for fault in faults {
        let placed = !fault.path.is_empty() || fault.severity == Severity::Information || faults.len() == 1;
        assert!(placed && !fault.text.is_empty(), "a fault without its place: {fault:?}");
    }
}

/// What is written is read again as it was.
fn comes_back(body: &Body) {
    let written = Value::Object(body.clone()).to_string();
    let read = gate::parse(written.as_bytes(), &Limits::default());
    let again = read.unwrap_or_else(|faults| panic!("written, and not read again: {faults:?}"));
    assert_eq!(&again, body);
    assert!(gate::check(&again, None).is_ok(), "passed once, and not again");
    // The stored text is read by serde_json's own reader.
    let stored: Option<Body> = serde_json::from_str(&written).ok();
    assert_eq!(stored.as_ref(), Some(body), "stored, and not read as it was");
}

fn holds_no_control_character(value: &Value) {
    match value {
        Value::String(text) => {
            let odd = text.chars().find(|c| *c < ' ' && !matches!(c, '\t' | '\n' | '\r'));
            assert_eq!(odd, None, "a control character came through the gate in {text:?}");
        }
        Value::Array(items) => items.iter().for_each(holds_no_control_character),
        Value::Object(map) => map.values().for_each(holds_no_control_character),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Alone, or as the entries of a transaction. Refused or decided; the registry looks at what was.
fn is_submitted(body: Body) {
    let entries = match body.get("entry") {
        Some(Value::Array(entries)) => entries.iter().filter_map(entry_of).collect(),
        _ => entry(body, None, String::new()).into_iter().collect::<Vec<_>>(),
    };
    entries.iter().for_each(is_found);
    match Registry::furnished().execute(Act::Change(entries)) {
        Ok(_) => {}
        Err(refusal) => faults_are_told(&refusal.issues),
    }
}

fn entry_of(value: &Value) -> Option<Entry> {
    let body = value.get("resource")?.as_object()?.clone();
    let url = value.get("fullUrl").and_then(Value::as_str).map(str::to_owned);
    entry(body, url, "Bundle.entry[0]".to_owned())
}

fn entry(body: Body, full_url: Option<String>, path: String) -> Option<Entry> {
    let kind = Kind::parse(body.get("resourceType")?.as_str()?)?;
    let interaction = Interaction::Create { kind, body: body.into(), unless: None };
    Some(Entry { full_url, path, ..Entry::new(interaction) })
}

/// By every date that it has, and by values that a database takes.
fn is_found(entry: &Entry) {
    let Interaction::Create { kind, body, .. } = &entry.interaction else { return };
    let resource = Resource::new(Key::new(*kind, "1"), 1, Timestamp(0), body.clone().into_body());
    let rows = index(&resource);
    for (_, value) in &rows {
        match value {
            IndexValue::Token { system, code: value } | IndexValue::ReferenceIdentifier { system, value } => {
                system.iter().chain([value]).for_each(|text| storable(text));
            }
            IndexValue::Reference(text) => storable(text),
            IndexValue::Date { low, high } => assert!(low <= high, "a date ends before it begins"),
            IndexValue::Text(_) => {}
            IndexValue::Amount(amount) => {
                assert!(amount.low.is_some() || amount.high.is_some(), "an amount may be anything");
            }
        }
    }
    for param in params(*kind).filter(|param| param.kind == ParamType::Date && !param.is_range) {
        let given = body.get(param.element).is_some_and(Value::is_string);
        assert!(!given || rows.iter().any(|(found, _)| *found == param), "not found by its {}", param.name);
    }
}
