//! What `/metadata` says is what is there: every interaction, parameter and operation that a base offers is called, and
//! what it does not offer is refused.

use std::collections::BTreeSet;

use reqwest::Method;
use schemas::resource::Kind;
use schemas::time::Timestamp;
use serde_json::{Value, json};
use tests::bodies::{With, laboratory, referral, transaction};
use tests::{Client, Reply, World, stories};

stories![
    every_type_does_what_is_offered,
    the_whole_base_does_what_is_offered,
    every_parameter_that_is_offered_is_taken_and_no_other,
    every_operation_that_is_offered_is_there_and_no_other,
    the_other_bases_have_the_doors_that_they_tell_of,
    what_a_site_configures_is_said,
];

const FORM: &str = "application/x-www-form-urlencoded";

/// FHIR's interactions with a type, and how each is asked for.
const INTERACTIONS: [(&str, Method, &str); 9] = [
    ("create", Method::POST, ""),
    ("search-type", Method::GET, ""),
    ("history-type", Method::GET, "/_history"),
    ("read", Method::GET, "/nobody"),
    ("update", Method::PUT, "/nobody"),
    ("patch", Method::PATCH, "/nobody"),
    ("delete", Method::DELETE, "/nobody"),
    ("history-instance", Method::GET, "/nobody/_history"),
    ("vread", Method::GET, "/nobody/_history/1"),
];

async fn offered(base: &Client) -> Value {
    let mut statement = base.get("metadata").await.is(200).body;
    assert_eq!(statement["resourceType"], "CapabilityStatement");
    has_no_empty_list(&statement);
    statement["rest"][0].take()
}

fn has_no_empty_list(value: &Value) {
    match value {
        Value::Array(items) => {
            assert!(!items.is_empty(), "FHIR knows no empty lists");
            items.iter().for_each(has_no_empty_list);
        }
        Value::Object(members) => members.values().for_each(has_no_empty_list),
        _ => {}
    }
}

fn list<'v>(of: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    of[name].as_array().into_iter().flatten()
}

fn texts<'v>(of: &'v Value, list: &str, name: &str) -> BTreeSet<&'v str> {
    self::list(of, list).map(|one| one[name].as_str().unwrap()).collect()
}

/// As little as a resource of a type may have, and nothing that anybody works on.
fn least(kind: &str) -> Value {
    let text = |text: &str| json!({ "text": text });
    let to = |reference: &str| json!({ "reference": reference });
    let elements = match kind {
        "ServiceRequest" => json!({ "status": "draft", "intent": "plan", "subject": to("Patient/1") }),
        "MedicationRequest" => json!({
            "status": "draft", "intent": "plan", "subject": to("Patient/1"), "medicationCodeableConcept": text("m"),
        }),
        "DeviceRequest" => {
            json!({ "intent": "plan", "status": "draft", "codeCodeableConcept": text("d"), "subject": to("Patient/1") })
        }
        "NutritionOrder" => {
            json!({ "status": "draft", "intent": "plan", "patient": to("Patient/1"), "dateTime": "2026-11-20" })
        }
        "SupplyRequest" => json!({ "status": "draft", "itemCodeableConcept": text("s"), "quantity": { "value": 1 } }),
        "VisionPrescription" => json!({
            "status": "draft", "created": "2026-11-20", "patient": to("Patient/1"), "dateWritten": "2026-11-20",
            "prescriber": to("Practitioner/1"), "lensSpecification": [{ "product": text("lens"), "eye": "left" }],
        }),
        "CommunicationRequest" => json!({ "status": "draft" }),
        "RequestGroup" => {
            json!({ "status": "draft", "intent": "plan", "action": [{ "resource": to("ServiceRequest/1") }] })
        }
        "CarePlan" => json!({ "status": "draft", "intent": "plan", "subject": to("Patient/1") }),
        "Task" => json!({ "status": "draft", "intent": "order", "code": text("t"), "for": to("Patient/1") }),
        "Organization" => json!({ "name": "o" }),
        "Endpoint" => json!({
            "status": "active", "connectionType": { "code": "hl7-fhir-rest" }, "payloadType": [text("any")],
            "address": "http://127.0.0.1/",
        }),
        "Encounter" => json!({ "status": "planned", "class": { "code": "AMB" } }),
        "Condition" => json!({ "subject": to("Patient/1") }),
        "Observation" => json!({ "status": "final", "code": text("o") }),
        "DiagnosticReport" => json!({ "status": "final", "code": text("d") }),
        "DocumentReference" => json!({ "status": "current", "content": [{ "attachment": { "title": "d" } }] }),
        "Communication" => json!({ "status": "completed" }),
        "MedicationDispense" => json!({ "status": "completed", "medicationCodeableConcept": text("m") }),
        "Appointment" => {
            json!({ "status": "proposed", "participant": [{ "actor": to("Patient/1"), "status": "accepted" }] })
        }
        "Schedule" => json!({ "actor": [to("Practitioner/1")] }),
        "Slot" => json!({
            "schedule": to("Schedule/1"), "status": "free", "start": "2027-01-01T09:00:00Z", "end": "2027-01-01T09:10:00Z",
        }),
        "Provenance" => json!({
            "target": [to("Patient/1")], "recorded": "2026-11-20T09:00:00Z", "agent": [{ "who": to("Practitioner/1") }],
        }),
        "AuditEvent" => json!({
            "type": { "code": "rest" }, "recorded": "2026-11-20T09:00:00Z", "agent": [{ "requestor": true }],
            "source": { "observer": to("Practitioner/1") },
        }),
        "Bundle" => json!({ "type": "collection" }),
        "Claim" => json!({
            "status": "draft", "type": text("c"), "use": "claim", "patient": to("Patient/1"), "created": "2026-11-20",
            "provider": to("Organization/1"), "priority": text("p"),
            "insurance": [{ "sequence": 1, "focal": true, "coverage": to("Coverage/1") }],
        }),
        "Binary" => json!({ "contentType": "text/plain" }),
        "PlanDefinition" => json!({
            "status": "draft", "url": "urn:example:plan", "title": "p",
            "action": [{ "title": "one", "definitionCanonical": "urn:example:activity" }],
        }),
        "ActivityDefinition" => json!({ "status": "active", "url": "urn:example:activity", "kind": "ServiceRequest" }),
        _ => json!({}),
    };
    json!({ "resourceType": kind }).with(elements)
}

async fn every_type_does_what_is_offered(world: World) {
    let hub = world.hub().await;
    let rest = offered(&hub).await;
    let kinds: BTreeSet<&str> = texts(&rest, "resource", "type");
    assert_eq!(kinds, Kind::ALL.iter().map(|kind| kind.name()).collect(), "each type that is kept");
    for resource in list(&rest, "resource") {
        let codes = texts(resource, "interaction", "code");
        assert_eq!(codes, INTERACTIONS.iter().map(|(code, ..)| *code).collect(), "{resource}");
        does_all(&hub, resource).await;
    }
    for other in ["List", "Consent", "Parameters", "Nothing"] {
        hub.get(other).await.refuses(404, "not-supported", "");
        hub.post(other, &json!({ "resourceType": other })).await.refuses(404, "not-supported", "");
    }
    hub.closes().await;
}

/// What is offered of a type, from the first version of a resource to the last.
async fn does_all(hub: &Client, offered: &Value) {
    let kind = offered["type"].as_str().unwrap();
    let created = hub.post(kind, &least(kind)).await.is(201);
    let (path, id) = (created.reference(), created.body["id"].as_str().unwrap().to_owned());
    let found_by = format!("{kind}?_id={id}");
    let read = hub.get(&path).await.is(200);
    hub.get(&format!("{path}/_history/1")).await.is(200);

    let speaks = |language: &str| created.body.clone().with(json!({ "language": language }));
    hub.put(&path, &speaks("en")).await.is(200);
    let replaced = json!([{ "op": "replace", "path": "/language", "value": "fr" }]);
    hub.patch(&path, replaced.clone()).await.is(200);
    hub.merge_patch(&path, &json!({ "language": "de" })).await.is(200);
    hub.request(Method::PATCH, &path).body("application/json", r#"{ "language": "nl" }"#).await.is(200);
    let part = |name: &str, kind: &str, value: &str| json!({ "name": name, kind: value });
    let operation = [
        part("type", "valueCode", "replace"),
        part("path", "valueString", &format!("{kind}.language")),
        part("value", "valueCode", "it"),
    ];
    let parameters = json!({ "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": operation }] });
    assert_eq!(hub.fhirpath_patch(&path, &parameters).await.is(200).body["language"], "it");

    assert_eq!(offered["readHistory"], true);
    assert_eq!(hub.finds(&format!("{path}/_history")).await.len(), 6, "{kind}");
    assert!(hub.finds(&format!("{kind}/_history?_count=100")).await.len() >= 6, "{kind}");
    assert_eq!(hub.finds(&found_by).await.len(), 1);
    let posted = hub.request(Method::POST, &format!("{kind}/_search")).body(FORM, format!("_id={id}")).await.is(200);
    assert_eq!(posted.resources().len(), 1);

    assert_eq!(offered["conditionalRead"], "full-support");
    let now = hub.get(&path).await.is(200);
    hub.get(&path).header("if-none-match", now.header("etag")).await.is(304);
    hub.get(&path).header("if-modified-since", now.header("last-modified")).await.is(304);
    hub.get(&path).header("if-none-match", read.header("etag")).await.is(200);
    assert_eq!(offered["conditionalCreate"], true);
    hub.post(kind, &least(kind)).header("if-none-exist", format!("_id={id}")).await.is(200);
    assert_eq!(offered["conditionalUpdate"], true);
    assert_eq!(hub.put(&found_by, &speaks("es")).await.is(200).reference(), path);
    hub.patch(&found_by, replaced).await.is(200);
    assert_eq!((&offered["updateCreate"], &offered["versioning"]), (&json!(false), &json!("versioned")));
    let mine = least(kind).with(json!({ "id": "mine" }));
    hub.put(&format!("{kind}/mine"), &mine).await.refuses(405, "not-supported", "");

    assert_eq!(offered["conditionalDelete"], "single");
    has_ended(hub, &path).await;
    hub.delete(&found_by).await.is(204);
    hub.get(&path).await.refuses(410, "deleted", "");
    let other = hub.post(kind, &least(kind)).await.is(201).reference();
    has_ended(hub, &other).await;
    hub.delete(&other).await.is(204);
    hub.get(&other).await.refuses(410, "deleted", "");
}

/// Nobody's Task is deleted while it is to be done.
async fn has_ended(hub: &Client, path: &str) {
    if path.starts_with("Task/") {
        hub.sets(path, "status", "cancelled").await.is(200);
    }
}

async fn the_whole_base_does_what_is_offered(world: World) {
    let hub = world.hub().await;
    let rest = offered(&hub).await;
    let all = ["transaction", "batch", "search-system", "history-system"];
    assert_eq!(texts(&rest, "interaction", "code"), BTreeSet::from(all));
    for root in ["", "/fhir/R4/"] {
        let bundle = transaction(&[least("Patient"), least("Location")]);
        assert_eq!(hub.post(root, &bundle).await.is(200).body["type"], "transaction-response");
        assert_eq!(
            hub.post(root, &bundle.with(json!({ "type": "batch" }))).await.is(200).body["type"],
            "batch-response"
        );
        assert_eq!(hub.finds(&format!("{root}?_type=Patient,Location&_count=1")).await.len() % 4, 0);
    }
    let posted = hub.request(Method::POST, "_search").body(FORM, "_type=Location").await.is(200);
    assert_eq!(posted.resources().len(), 4);
    assert_eq!(hub.finds("_history").await.len(), 8);
    let of_every = texts(&rest, "searchParam", "name");
    for (name, value) in [
        ("_type", "Task"),
        ("_sort", "_id"),
        ("_count", "1"),
        ("_total", "accurate"),
        ("_summary", "true"),
        ("_elements", "id"),
    ] {
        assert!(of_every.contains(name), "{name}");
        let search = if name == "_type" { format!("?_type={value}") } else { format!("Patient?{name}={value}") };
        hub.get(&search).await.is(200);
    }
    assert_eq!(of_every.len(), 6);
    assert_eq!(hub.get("/health/live").await.is(200).body["status"], "live");
    assert_eq!(hub.get("/health/ready").await.is(200).body["queue"], "ready");
    assert!(hub.get("/metrics").await.is(200).text.contains("hub_outbox_depth"));
    hub.closes().await;
}

async fn every_parameter_that_is_offered_is_taken_and_no_other(world: World) {
    let hub = world.hub().await;
    let r5 = Client::new(hub.base.replace("R4", "R5"));
    let rest = offered(&hub).await;
    for (base, rest) in [(&hub as &Client, &rest), (&r5, &offered(&r5).await)] {
        for resource in list(rest, "resource").filter(|resource| resource["searchParam"].is_array()) {
            takes_all(base, resource).await;
        }
    }
    // What a type is not searched by: its neighbour's parameters, and what FHIR has and the hub has not.
    let all: Vec<&Value> = list(&rest, "resource").collect();
    for (n, resource) in all.iter().enumerate() {
        let (kind, own) = (resource["type"].as_str().unwrap(), texts(resource, "searchParam", "name"));
        let of_neighbour = texts(all[(n + 1) % all.len()], "searchParam", "name");
        let absent = ["colour", "phonetic", "near", "_text", "_content", "_list", "_filter", "_query", "_contained"];
        for name in of_neighbour.difference(&own).chain(&absent) {
            let asked = || hub.get(&format!("{kind}?{name}=x"));
            asked().header("prefer", "handling=strict").await.refuses(400, "not-supported", name);
            let ignored = asked().header("prefer", "handling=lenient").await.is(200);
            assert!(!ignored.link("self").unwrap().contains(name), "{kind}: {name}");
        }
    }
    hub.closes().await;
}

async fn takes_all(base: &Client, resource: &Value) {
    let kind = resource["type"].as_str().unwrap();
    for param in list(resource, "searchParam") {
        let (name, value) = (param["name"].as_str().unwrap(), value_for(param));
        base.get(&format!("{kind}?{name}={value}")).header("prefer", "handling=strict").await.is(200);
    }
    for (list, name) in [("searchInclude", "_include"), ("searchRevInclude", "_revinclude")] {
        for value in self::list(resource, list) {
            base.get(&format!("{kind}?{name}={}", value.as_str().unwrap())).await.is(200);
        }
    }
}

fn value_for(param: &Value) -> &'static str {
    match param["type"].as_str().unwrap() {
        "date" => "2026-01-01",
        "reference" => "Patient/x",
        "number" | "quantity" => "5",
        "composite" => match param["name"].as_str().unwrap() {
            name if name.ends_with("-date") => "x$2026",
            name if name.ends_with("-quantity") => "x$5",
            _ => "x$x",
        },
        _ => "x",
    }
}

/// Whether somebody is behind a door, whatever is answered to what was sent.
fn is_there(reply: &Reply) -> bool {
    let nobody = ["there is nothing at this path", "this base has RequestOrchestration"];
    reply.status != 405 && !(reply.status == 404 && nobody.iter().any(|text| reply.says().starts_with(text)))
}

/// The ways to call an operation, as its documentation lists them: `GET [base]/Task/[id]/$order-status`.
fn calls(operation: &Value) -> Vec<(Method, String)> {
    let (_, calls) = operation["documentation"].as_str().unwrap().rsplit_once(": ").unwrap();
    let call = |call: &str| {
        let (verb, path) = call.split_once(' ').unwrap();
        (verb.parse().unwrap(), path.strip_prefix("[base]/").unwrap().to_owned())
    };
    calls.split(", ").map(call).collect()
}

fn parameters(all: Value) -> Value {
    json!({ "resourceType": "Parameters", "parameter": all })
}

async fn every_operation_that_is_offered_is_there_and_no_other(world: World) {
    let hub = world.hub().await;
    let rest = offered(&hub).await;
    let order = hub.submits(laboratory()).await;
    let of_base = texts(&rest, "operation", "name");
    assert_eq!(of_base, BTreeSet::from(["order-status", "prepare", "process-message", "submit"]));
    for operation in list(&rest, "operation") {
        assert!(operation["definition"].as_str().unwrap().contains(':'), "a canonical: {operation}");
        for (verb, path) in calls(operation) {
            let request = hub.request(verb.clone(), &path);
            let reply = match path.as_str() {
                "$order-status" => hub.get("$order-status?identifier=LAB-2026-0001").await.is(200),
                "$submit" => {
                    let request = parameters(json!([{ "name": "request", "resource": referral() }]));
                    hub.post(&path, &request).await.is(200)
                }
                _ => request.body("application/fhir+json", "{}").await,
            };
            assert!(is_there(&reply), "{verb} {path}: {}", reply.text);
        }
    }
    hub.post("ActivityDefinition", &least("ActivityDefinition")).await.is(201);
    let every: BTreeSet<&str> = list(&rest, "resource").flat_map(|it| texts(it, "operation", "name")).collect();
    assert_eq!(every, BTreeSet::from(["apply", "graph", "order-status", "release", "validate"]));
    for resource in list(&rest, "resource") {
        let kind = resource["type"].as_str().unwrap();
        let one = hub.post(kind, &least(kind)).await.is(201).reference();
        let own = texts(resource, "operation", "name");
        for operation in list(resource, "operation") {
            assert!(operation["definition"].as_str().unwrap().contains(':'), "a canonical: {operation}");
            for (verb, path) in calls(operation) {
                is_called(&hub, kind, &one, (&verb, &path)).await;
            }
        }
        for other in every.iter().chain(&of_base).filter(|other| !own.contains(*other)) {
            for path in [format!("{kind}/${other}"), format!("{one}/${other}")] {
                let reply = hub.post(&path, &parameters(json!([{ "name": "x", "valueString": "x" }]))).await;
                assert!(matches!(reply.status, 404 | 405), "{path} is not offered: {}", reply.text);
            }
        }
    }
    hub.get(&format!("{}/$order-status", order.request())).await.is(200);
    hub.closes().await;
}

/// One way to call an operation of a type, with what it needs.
async fn is_called(hub: &Client, kind: &str, one: &str, (verb, path): (&Method, &str)) {
    let of_one = path.contains("[id]");
    let path = path.replace(&format!("{kind}/[id]"), one);
    let called = |query: &str| hub.request(verb.clone(), &format!("{path}{query}"));
    let (_, name) = path.rsplit_once('$').unwrap();
    let reply = match name {
        "validate" => called("").body("application/fhir+json", least(kind).to_string()).await.is(200),
        "graph" => called("").await.is(200),
        "apply" => {
            let named = if kind == "PlanDefinition" { "planDefinition" } else { "activityDefinition" };
            let subject = json!({ "name": "subject", "valueString": "Patient/1" });
            let url = least(kind)["url"].clone();
            let asked = if of_one { json!([subject]) } else { json!([subject, { "name": named, "valueUri": url }]) };
            if *verb == Method::POST {
                hub.post(&path, &parameters(asked)).await.is(200)
            } else {
                let url = if of_one { String::new() } else { format!("&{named}={}", url.as_str().unwrap()) };
                called(&format!("?subject=Patient/1{url}")).await.is(200)
            }
        }
        // Of what no order carries there is nothing to tell.
        "order-status" if of_one => called("").await,
        "order-status" => called("?identifier=nobody").await.is(404),
        _ => called("").body("application/fhir+json", "{}").await,
    };
    assert!(is_there(&reply), "{verb} {path}: {}", reply.text);
}

async fn the_other_bases_have_the_doors_that_they_tell_of(world: World) {
    let hub = world.hub().await;
    let root = hub.base.trim_end_matches("/fhir/R4");
    for (path, types) in [("/fhir/R5", 3), ("/eps/FHIR/R4", 3), ("/psu", 0), ("/erp", 1), ("/ers", 11)] {
        let base = Client::new(format!("{root}{path}"));
        let asks = |verb: &Method, path: &str| {
            let request = base.request(verb.clone(), path).header("nhsd-ers-business-function", "REFERRING_CLINICIAN");
            let request = request.header("nhsd-end-user-organisation-ods", "R68");
            if *verb == Method::GET { request } else { request.body("application/fhir+json", "{}") }
        };
        let rest = offered(&base).await;
        assert_eq!(list(&rest, "resource").count(), types, "{path}");
        if texts(&rest, "interaction", "code").contains("transaction") {
            assert!(
                is_there(&asks(&Method::POST, "").await) && is_there(&asks(&Method::POST, &format!("{path}/")).await)
            );
        } else {
            assert!(!is_there(&asks(&Method::POST, "").await), "{path}");
        }
        for resource in list(&rest, "resource") {
            let (kind, codes) = (resource["type"].as_str().unwrap(), texts(resource, "interaction", "code"));
            for (code, verb, suffix) in &INTERACTIONS {
                let reply = asks(verb, &format!("{kind}{suffix}")).await;
                // Who may read has a door at any last part of a path.
                let is_another = *code == "history-type" && codes.contains("read");
                assert!(
                    is_another || is_there(&reply) == codes.contains(code),
                    "{code} {kind} at {path}: {}",
                    reply.text
                );
            }
            for (verb, call) in list(resource, "operation").flat_map(calls) {
                let call = call.replace("[id]", "nobody").replace("[number]", "nobody");
                assert!(is_there(&asks(&verb, &call).await), "{verb} {call} at {path}");
            }
            for param in list(resource, "searchParam") {
                let name = param["name"].as_str().unwrap();
                let reply = asks(&Method::GET, &format!("{kind}?{name}={}", value_for(param))).await;
                let refused = &reply.body["issue"][0];
                let is_refused = refused["code"] == "not-supported" && refused["expression"][0] == name;
                assert!(is_there(&reply) && !is_refused, "{kind}?{name} at {path}: {}", reply.text);
            }
            if path == "/ers" && codes.contains("search-type") {
                let refused = asks(&Method::GET, &format!("{kind}?colour=x")).header("prefer", "handling=strict").await;
                refused.refuses(400, "not-supported", "colour");
            }
        }
        for (verb, call) in list(&rest, "operation").flat_map(calls) {
            assert!(is_there(&asks(&verb, &call).await), "{verb} {call} at {path}");
        }
    }
    hub.closes().await;
}

async fn what_a_site_configures_is_said(world: World) {
    let first = world.hub().await;
    let before = first.post("Patient", &least("Patient")).await.is(201).body["meta"]["lastUpdated"].clone();
    first.closes().await;
    let hub = world.hub_with(&[("update_create", "true"), ("require_if_match", "true"), ("ers_base", "none")]).await;
    let after = hub.post("Patient", &least("Patient")).await.is(201).body["meta"]["lastUpdated"].clone();
    let statement = hub.get("metadata").await.is(200).body;
    let [before, said, after] = [&before, &statement["date"], &after].map(|at| Timestamp::range(at.as_str().unwrap()));
    assert!(before <= said && said <= after, "since when that is so: {before:?} {said:?} {after:?}");
    for resource in list(&statement["rest"][0], "resource") {
        assert_eq!((&resource["updateCreate"], &resource["versioning"]), (&json!(true), &json!("versioned-update")));
    }
    let mine = least("Patient").with(json!({ "id": "mine" }));
    hub.put("Patient/mine", &mine).await.is(201);
    hub.put("Patient/mine", &mine).await.is(428);
    hub.put("Patient/mine", &mine).header("if-match", "W/\"1\"").await.is(200);
    let elsewhere = hub.get("/ers/metadata").await.is(404);
    assert!(!is_there(&elsewhere));
    let proxied = hub.get("metadata").header("x-forwarded-proto", "https").await.is(200).body;
    assert!(proxied["implementation"]["url"].as_str().unwrap().starts_with("https://"));
    hub.closes().await;
}
