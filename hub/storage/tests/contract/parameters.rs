//! Of each type each parameter finds what carries it, and nothing else.

use std::collections::HashSet;

use hub_domain::query::{Filter, Param, ParamType, Prefix, Sort, SortBy, SystemMatch, TextMatch, TokenMatch, params};
use hub_domain::registry::Committed;
use hub_domain::scene::{Identifier, Needs};
use schemas::ids::{TASK_IDENTIFIER, TaskId};
use schemas::resource::{Key, Kind};
use serde_json::{Value, json};

use crate::build::*;
use crate::place::Place;

const TASK: Kind = Kind::TASK;

/// What an Observation has that has another kind of value, and an extension that nobody uses.
const NOT_CARRIED: [&str; 6] = [
    "value-concept",
    "value-date",
    "value-string",
    "combo-value-concept",
    "component-value-concept",
    "mothersMaidenName",
];

/// The parameters that a test's resource can have a value for.
fn carried(kind: Kind) -> impl Iterator<Item = &'static Param> {
    params(kind).filter(|param| param.kind != ParamType::Composite && !NOT_CARRIED.contains(&param.name))
}

/// For each parameter of a type: what finds the full resource, and what does not.
fn questions(kind: Kind, body: &Value) -> Vec<(Filter, Filter)> {
    let resource = schemas::resource::Resource::new(
        Key::new(kind, "x"),
        1,
        schemas::time::Timestamp(0),
        body.as_object().unwrap().clone(),
    );
    let mut questions = Vec::new();
    for (param, value) in hub_domain::query::index(&resource) {
        use hub_domain::query::IndexValue::{Amount, Date, Reference, ReferenceIdentifier, Text, Token};
        let question = match value {
            Token { code, .. } if param.kind == ParamType::Uri => {
                let is = |code: String| Filter::Token {
                    param,
                    any: vec![TokenMatch { system: SystemMatch::Any, code: Some(code) }],
                };
                (is(code.to_owned()), is(format!("{code}x")))
            }
            Token { system, code } => {
                let text = |code: &str| system.map_or(code.to_owned(), |system| format!("{system}|{code}"));
                questions.push((token(kind, param.name, code), token(kind, param.name, "nonsense")));
                (token(kind, param.name, &text(code)), token(kind, param.name, &format!("urn:other|{code}")))
            }
            Reference(to) => (reference(kind, param.name, to), reference(kind, param.name, &format!("{to}x"))),
            ReferenceIdentifier { system, value } => {
                let system = system.unwrap_or_default();
                let right = reference_identifier(kind, param.name, &format!("{system}|{value}"));
                (right, reference_identifier(kind, param.name, &format!("{system}|{value}x")))
            }
            Text(words) => (
                text(kind, param.name, TextMatch::Begins, &words.to_uppercase()),
                text(kind, param.name, TextMatch::Begins, &format!("{words}x")),
            ),
            Amount(_) => (amount(kind, param.name, "ge1"), amount(kind, param.name, "lt1")),
            Date { .. } => {
                (date(kind, param.name, Prefix::Ge, "2026-03"), date(kind, param.name, Prefix::Lt, "2026-03"))
            }
        };
        questions.push(question);
    }
    let asked: HashSet<&str> = resource_params(&questions);
    let all: HashSet<&str> = carried(kind).map(|param| param.name).collect();
    assert_eq!(asked, all, "the test's resource has a value for every parameter");
    questions
}

fn resource_params(questions: &[(Filter, Filter)]) -> HashSet<&'static str> {
    let name = |(filter, _): &(Filter, Filter)| match filter {
        Filter::Token { param, .. }
        | Filter::Reference { param, .. }
        | Filter::ReferenceIdentifier { param, .. }
        | Filter::Text { param, .. }
        | Filter::Amount { param, .. }
        | Filter::Date { param, .. } => param.name,
        _ => "",
    };
    questions.iter().map(name).collect()
}

async fn every_parameter_finds(place: &Place, kind: Kind, full: Value, plain: Value) {
    let registry = &*place.registry;
    let mut full = full;
    full["meta"] = json!({
        "tag": [{ "system": "urn:tags", "code": "marked" }], "security": [coded("urn:s", "r")["coding"][0]],
        "profile": ["http://profiles.example/full|2"], "source": "http://source.example",
    });
    create(registry, 1, Key::new(kind, "full"), full.clone()).await;
    create(registry, 2, Key::new(kind, "plain"), plain).await;
    for (right, wrong) in questions(kind, &full) {
        assert_eq!(found(registry, query_of(kind, vec![right.clone()])).await, ["full"], "{right:?}");
        assert!(!found(registry, query_of(kind, vec![wrong.clone()])).await.contains(&"full".to_owned()), "{wrong:?}");
        // As one of two filters too, where another one may drive.
        let both = vec![right.clone(), Filter::Id(vec!["full".into(), "plain".into()])];
        assert_eq!(found(registry, query_of(kind, both)).await, ["full"], "{right:?}");
        let none = vec![wrong.clone(), Filter::Id(vec!["full".into()])];
        assert!(found(registry, query_of(kind, none)).await.is_empty(), "{wrong:?}");
    }
    for param in carried(kind) {
        // Every request and Task has these, and every patient is dead or not.
        if param.kind == ParamType::Date || !matches!(param.name, "status" | "intent" | "deceased") {
            let present = query_of(kind, vec![missing(kind, param.name, false)]);
            assert_eq!(found(registry, present).await, ["full"], "{}", param.name);
            let absent = query_of(kind, vec![missing(kind, param.name, true)]);
            assert_eq!(found(registry, absent).await, ["plain"], "{}", param.name);
        }
    }
    let all = query_of(kind, vec![]);
    assert_eq!(found(registry, all.clone()).await, ["plain", "full"], "the newest comes first");
    let recent = Filter::LastUpdated(date_match(Prefix::Ge, "2026-01"));
    assert_eq!(found(registry, query_of(kind, vec![recent])).await.len(), 2);
    let ancient = Filter::LastUpdated(date_match(Prefix::Lt, "2001"));
    assert!(found(registry, query_of(kind, vec![ancient])).await.is_empty());
}

pub(crate) async fn every_parameter_of_a_task_finds_it(place: Place) {
    let plain = json!({ "status": "draft", "intent": "plan" });
    every_parameter_finds(&place, TASK, full_task(), plain).await;
}

/// A lastModified that is the moment of the version has no place of its own, and is found as any other.
pub(crate) async fn a_task_is_found_by_when_it_was_modified(place: Place) {
    let registry = &*place.registry;
    let at = now(registry).await;
    let task = |modified: Option<&str>| {
        let mut task = json!({ "status": "draft", "intent": "plan" });
        if let Some(modified) = modified {
            task["lastModified"] = modified.into();
        }
        task
    };
    let decision = deciding(at)
        .on(root(1), None)
        .creates(root(1), Key::task("alike"), task(Some(&at.to_string())))
        .creates(root(1), Key::task("apart"), task(Some("2026-03-04T00:00:00Z")))
        .creates(root(1), Key::task("none"), task(None))
        .done();
    assert_eq!(commit_one(registry, decision).await.0, Committed::Done);
    let by = async |filter: Filter| found(registry, task_query(vec![filter])).await;
    assert_eq!(by(date(TASK, "modified", Prefix::Ge, "2026-03")).await, ["apart", "alike"]);
    assert_eq!(by(date(TASK, "modified", Prefix::Gt, "2026-03")).await, ["alike"]);
    assert_eq!(by(date(TASK, "modified", Prefix::Lt, "2026-04")).await, ["apart"]);
    assert_eq!(by(date(TASK, "modified", Prefix::Eq, &at.to_string())).await, ["alike"]);
    assert_eq!(by(missing(TASK, "modified", true)).await, ["none"]);
    assert_eq!(by(missing(TASK, "modified", false)).await, ["apart", "alike"]);
    assert_eq!(by(Filter::LastUpdated(date_match(Prefix::Ge, "2026-01"))).await.len(), 3);
    let oldest = [Sort { by: SortBy::Modified, descending: false }];
    assert_eq!(found(registry, sorted(task_query(vec![]), &oldest)).await, ["apart", "alike", "none"]);
}

/// What a Task points to in its own order has no index row: its id leads there, and its body decides.
pub(crate) async fn a_task_is_found_by_what_its_id_tells(place: Place) {
    let registry = &*place.registry;
    let root = root(7);
    let id = |step| TaskId { root, step, occurrence: 1 }.to_string();
    let request = format!("ServiceRequest/{root}");
    let task = |focus: &str| {
        let whole = format!("Task/{}", id(0));
        json!({
            "status": "requested", "intent": "filler-order", "focus": { "reference": focus },
            "basedOn": [{ "reference": request }], "partOf": [{ "reference": whole }],
        })
    };
    let own = |step| json!([{ "system": TASK_IDENTIFIER, "value": id(step) }, { "system": "urn:n", "value": id(5) }]);
    let with = |mut task: Value, identifiers: Value| {
        task["identifier"] = identifiers;
        task
    };
    let decision = deciding(now(registry).await)
        .on(root, None)
        .creates(root, Key::task(id(1)), with(task(&request), own(1)))
        .creates(root, Key::task(id(2)), task(&format!("Task/{}", id(1))))
        .done();
    assert_eq!(commit_one(registry, decision).await.0, Committed::Done);
    // One from elsewhere has a row.
    let stranger = json!({ "status": "requested", "intent": "order", "focus": { "reference": request } });
    create(registry, 8, Key::task("stranger"), stranger).await;

    let by = async |filters: Vec<Filter>| {
        let mut found = found(registry, task_query(filters)).await;
        found.sort_unstable();
        found
    };
    let focus = |to: &str| reference(TASK, "focus", to);
    assert_eq!(by(vec![focus(&request)]).await, [id(1), "stranger".to_owned()]);
    assert_eq!(by(vec![focus(&format!("Task/{}", id(1)))]).await, [id(2)]);
    assert_eq!(by(vec![focus(&format!("Task/{}", id(2)))]).await, Vec::<String>::new());
    assert_eq!(by(vec![reference(TASK, "based-on", &request)]).await, [id(1), id(2)]);
    assert_eq!(by(vec![reference(TASK, "part-of", &format!("Task/{}", id(0)))]).await, [id(1), id(2)]);
    assert_eq!(by(vec![token(TASK, "status", "requested"), focus(&request)]).await, [id(1), "stranger".to_owned()]);
    assert_eq!(by(vec![token(TASK, "intent", "filler-order")]).await, [id(1), id(2)]);
    assert_eq!(by(vec![token(TASK, "intent", "filler-order,order")]).await, [id(1), id(2), "stranger".to_owned()]);
    assert_eq!(by(vec![token(TASK, "intent", "order")]).await, ["stranger"]);

    for text in [id(1), format!("{TASK_IDENTIFIER}|{}", id(1)), format!("none,{}", id(1))] {
        assert_eq!(by(vec![token(TASK, "identifier", &text)]).await, [id(1)], "{text}");
    }
    assert_eq!(by(vec![token(TASK, "identifier", &id(1)), token(TASK, "status", "requested")]).await, [id(1)]);
    assert_eq!(by(vec![token(TASK, "identifier", &id(5))]).await, [id(1)]);
    // The second Task does not carry what its id would tell, nor has the first its own under another system.
    for text in [id(2), format!("|{}", id(1)), format!("urn:n|{}", id(1))] {
        assert_eq!(by(vec![token(TASK, "identifier", &text)]).await, Vec::<String>::new(), "{text}");
    }
    let number = Identifier { kind: TASK, system: TASK_IDENTIFIER.into(), value: id(1) };
    let needs = Needs { identifiers: vec![number.clone()], ..Needs::default() };
    assert_eq!(registry.load(&[needs]).await.unwrap().0[0].identified[&number], [id(1)]);
}

pub(crate) async fn every_parameter_of_a_request_finds_it(place: Place) {
    let service = json!({
        "identifier": [{ "system": "urn:numbers", "value": "R-1" }],
        "status": "active", "intent": "order", "priority": "stat",
        "subject": { "reference": "Patient/ada" }, "requester": { "reference": "Practitioner/dr" },
        "encounter": { "reference": "Encounter/e1" }, "code": coded("urn:c", "fbc"),
        "category": [coded("urn:k", "lab")], "requisition": { "system": "urn:g", "value": "G-1" },
        "performer": [{ "reference": "Organization/lab" }], "basedOn": [{ "reference": "ServiceRequest/r0" }],
        "replaces": [{ "reference": "ServiceRequest/r-1" }], "authoredOn": "2026-03",
        "occurrenceTiming": { "event": ["2026-03-09", "2026-04-01T10:00:00Z"] },
        "performerType": coded("urn:p", "lab"), "bodySite": [coded("urn:s", "arm")],
        "specimen": [{ "reference": "Specimen/s1" }], "instantiatesUri": ["http://protocols.example/fbc"],
        "instantiatesCanonical": ["http://plans.example/fbc|2"]
    });
    every_parameter_finds(&place, Kind::SERVICE_REQUEST, service, json!({ "status": "draft", "intent": "plan" })).await;
}

pub(crate) async fn every_parameter_of_a_patient_finds_it(place: Place) {
    let kind = Kind::parse("Patient").unwrap();
    let patient = json!({
        "identifier": [{ "system": "urn:nhs", "value": "9990548609" }], "active": false, "gender": "female",
        "birthDate": "2026-03-01", "deceasedDateTime": "2026-03-04",
        "name": [{ "family": "Müller-Lüdenscheidt", "given": ["Ada", "Zoë"], "prefix": ["Dr."] }],
        "address": [{
            "use": "home", "line": ["Straße 1"], "city": "Köln", "state": "NRW", "postalCode": "50667", "country": "DE"
        }],
        "communication": [{ "language": coded("urn:l", "de") }],
        "telecom": [{ "system": "phone", "use": "home", "value": "1" }, { "system": "email", "value": "a@b.example" }],
        "generalPractitioner": [{ "reference": "Practitioner/dr" }],
        "managingOrganization": { "reference": "Organization/surgery" },
        "link": [{ "other": { "reference": "Patient/old" }, "type": "replaces" }],
    });
    every_parameter_finds(&place, kind, patient, json!({})).await;
}

pub(crate) async fn every_parameter_of_an_observation_finds_it(place: Place) {
    let quantity = |value: u32| json!({ "value": value, "system": UCUM, "code": "mg" });
    let extension = |name: &str, value: Value| {
        let mut extension =
            json!({ "url": format!("http://hl7.org/fhir/StructureDefinition/observation-genetics{name}") });
        extension.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        extension
    };
    let observation = json!({
        "identifier": [{ "system": "urn:numbers", "value": "O-1" }], "status": "final",
        "category": [coded("urn:k", "vital")], "code": coded("urn:c", "weight"), "method": coded("urn:m", "scale"),
        "subject": { "reference": "Patient/ada" }, "focus": [{ "reference": "Patient/ada" }],
        "encounter": { "reference": "Encounter/e1" }, "device": { "reference": "Device/d1" },
        "specimen": { "reference": "Specimen/s1" }, "performer": [{ "reference": "Practitioner/dr" }],
        "basedOn": [{ "reference": "ServiceRequest/r0" }], "partOf": [{ "reference": "Procedure/p0" }],
        "hasMember": [{ "reference": "Observation/o1" }], "derivedFrom": [{ "reference": "Observation/o2" }],
        "effectivePeriod": { "start": "2026-03-04", "end": "2026-04-05" }, "dataAbsentReason": coded("urn:d", "unknown"),
        "valueQuantity": quantity(5), "component": [{
            "code": coded("urn:c", "fat"), "valueQuantity": quantity(2), "dataAbsentReason": coded("urn:d", "error"),
        }],
        "extension": [
            extension("AminoAcidChangeName", json!({ "valueString": "Val600Glu" })),
            extension("DnaVariant", json!({ "valueString": "NG_007873" })),
            extension("Gene", json!({ "valueCodeableConcept": coded("urn:g", "BRAF") })),
        ],
    });
    every_parameter_finds(&place, Kind::parse("Observation").unwrap(), observation, json!({ "status": "registered" }))
        .await;
}
