//! What a plan says is what happens: choices, events, times that are counted from elsewhere, and what is told of them.

use schemas::message::Act;
use serde_json::{Value, json};
use tests::bodies::{With, transaction};
use tests::{Client, Report, World, stories, until};

stories![
    somebody_chooses_which_branches_come,
    an_event_starts_its_plan_by_whatever_door_it_comes,
    a_time_is_counted_from_a_birth_or_an_event,
    the_placer_is_told_who_is_late,
    a_step_is_done_again_when_asked_for,
    a_plan_asks_for_what_its_definitions_describe,
    an_odd_option_is_remarked_upon_and_taken,
];

fn r5(hub: &Client) -> Client {
    Client::new(hub.base.replace("/fhir/R4", "/fhir/R5"))
}

fn step(id: &str, rest: Value) -> Value {
    let role = json!({ "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] });
    json!({ "id": id, "title": id, "code": [{ "coding": [{ "system": "urn:test", "code": id }] }],
        "participant": [{ "type": "practitioner", "role": role }] })
    .with(rest)
}

fn plan(trigger: Value, actions: Value) -> Value {
    json!({
        "resourceType": "PlanDefinition", "url": "urn:example:plan", "status": "active",
        "action": [{ "id": "whole", "trigger": [trigger], "action": actions }],
    })
}

fn by_data() -> Value {
    json!({ "type": "data-added", "data": [{ "type": "DeviceRequest" }] })
}

fn aid() -> Value {
    json!({
        "resourceType": "DeviceRequest", "status": "active", "intent": "order",
        "codeCodeableConcept": { "text": "Hearing aid" }, "subject": { "reference": "Patient/1" },
    })
}

fn orchestration(actions: Value) -> Value {
    json!({
        "resourceType": "RequestOrchestration", "status": "active", "intent": "order",
        "contained": [{ "resourceType": "ServiceRequest", "id": "look", "status": "active", "intent": "option",
            "code": { "concept": { "text": "Look" } }, "subject": { "reference": "Patient/1" } }],
        "subject": { "reference": "Patient/1" }, "action": actions,
    })
}

async fn somebody_chooses_which_branches_come(world: World) {
    let hub = world.hub().await;
    let chosen = json!([{ "url": "urn:fhir-workflow-hub:extension:chosen-by", "valueString": "measure" }]);
    let actions = json!([step("measure", json!({})), {
        "id": "aid", "title": "aid", "selectionBehavior": "exactly-one", "extension": chosen,
        "action": [step("in-ear", json!({})), step("behind-ear", json!({})), step("none", json!({}))],
    }]);
    hub.post("PlanDefinition", &plan(by_data(), actions)).await.is(201);
    let order = hub.submits(aid()).await;
    let mut clinic = hub.worker("clinic", "Organization/clinic-1").await;
    let work = clinic.claims_next().await;
    let shown = order.task("measure").await;
    let branches: Vec<&str> =
        shown["input"].as_array().unwrap().iter().filter_map(|one| one["valueCoding"]["code"].as_str()).collect();
    assert_eq!((work.step.as_str(), branches), ("measure", vec!["in-ear", "behind-ear", "none"]));
    clinic.reports(Report::new(&work, Act::Completed, 2).output("branch", "behind-ear")).await;
    assert_eq!(clinic.fulfils_next().await.step, "behind-ear");
    order.is("completed").await;
    assert_eq!(order.statuses().await, ["completed", "completed", "completed"], "of the others there is no Task");
    drop(clinic);
    hub.closes().await;
}

async fn an_event_starts_its_plan_by_whatever_door_it_comes(world: World) {
    let hub = world.hub().await;
    let event = json!({ "type": "named-event", "name": "discharge" });
    hub.post("PlanDefinition", &plan(event, json!([step("visit", json!({}))]))).await.is(201);
    let told = |code: &str| {
        aid().with(json!({ "meta": { "tag": [{ "system": "urn:fhir-workflow-hub:event", "code": code }] } }))
    };
    assert_eq!(hub.post("DeviceRequest", &told("admission")).await.is(201).header("link"), "", "of another event");
    let order = hub.submits(told("discharge")).await;
    assert_eq!(order.task("visit").await["status"], "requested");
    hub.post("", &transaction(&[told("discharge")])).await.is(200);
    let mut clinic = hub.worker("clinic", "Organization/clinic-1").await;
    for _ in 0..2 {
        assert_eq!(clinic.fulfils_next().await.step, "visit");
    }
    order.is("completed").await;
    drop(clinic);
    hub.closes().await;
}

async fn a_time_is_counted_from_a_birth_or_an_event(world: World) {
    let hub = world.hub().await;
    let years = |value: u32| json!({ "value": value, "unit": "a", "system": "http://unitsofmeasure.org", "code": "a" });
    let visit = json!({ "resourceType": "Encounter", "status": "finished", "class": { "code": "AMB" },
        "period": { "start": "2026-01-01T08:00:00Z" } });
    let visit = hub.post("Encounter", &visit).await.is(201).reference();
    let actions = json!([
        { "linkId": "grown", "resource": { "reference": "#look" }, "timingAge": years(18) },
        { "linkId": "old", "resource": { "reference": "#look" }, "timingAge": years(150) },
        { "linkId": "seen", "resource": { "reference": "#look" }, "timingRelativeTime": {
            "contextReference": { "reference": visit }, "contextPath": "period.start", "offsetDuration": years(0) } },
    ]);
    let sent = orchestration(actions);
    let path = "RequestOrchestration.action[0].timingAge";
    r5(&hub).post("RequestOrchestration", &sent).await.refuses(422, "not-found", path);
    assert_eq!(hub.finds("RequestGroup").await, Vec::<Value>::new());
    let patient = json!({ "resourceType": "Patient", "birthDate": "1990-05-01" });
    let patient = hub.post("Patient", &patient).await.is(201).reference();
    let sent = sent.with(json!({ "subject": { "reference": patient } }));
    let order = hub.order_of(&r5(&hub).post("RequestOrchestration", &sent).await.is(201));
    assert_eq!(order.statuses().await, ["requested", "requested", "draft", "requested"]);
    hub.closes().await;
}

async fn the_placer_is_told_who_is_late(world: World) {
    let hub = world.hub().await;
    let seconds =
        |value: u32| json!({ "value": value, "unit": "s", "system": "http://unitsofmeasure.org", "code": "s" });
    let soon = json!({ "timingRange": { "low": seconds(0), "high": seconds(1) } });
    hub.post("PlanDefinition", &plan(by_data(), json!([step("visit", soon)]))).await.is(201);
    let order = hub.submits(aid().with(json!({ "requester": { "reference": "Practitioner/1" } }))).await;
    let find = format!("Communication?based-on={}&recipient=Practitioner/1", order.request());
    let found = until("the placer is told", async || hub.finds(&find).await, |found| !found.is_empty()).await;
    let late = order.task("visit").await;
    assert_eq!(
        (&late["status"], &late["businessStatus"]["coding"][0]["code"]),
        (&json!("requested"), &json!("overdue"))
    );
    assert_eq!(found[0]["about"][0]["reference"], format!("Task/{}", late["id"].as_str().unwrap()));
    assert_eq!(found[0]["topic"]["coding"][0]["code"], "overdue");
    let told = order.order_status().await.to_string();
    assert!(told.contains(&format!("Communication/{}", found[0]["id"].as_str().unwrap())), "{told}");
    let mut clinic = hub.worker("clinic", "Organization/clinic-1").await;
    clinic.fulfils_next().await;
    order.is("completed").await;
    assert_eq!(hub.finds(&find).await.len(), 1, "once");
    drop(clinic);
    hub.closes().await;
}

async fn a_step_is_done_again_when_asked_for(world: World) {
    let hub = world.hub().await;
    let often = json!({ "cardinalityBehavior": "multiple" });
    hub.post("PlanDefinition", &plan(by_data(), json!([step("visit", often)]))).await.is(201);
    let order = hub.submits(aid()).await;
    let task = order.task("visit").await;
    let twice = task.clone().with(json!({ "restriction": { "repetitions": 2 } }));
    let reference = format!("Task/{}", task["id"].as_str().unwrap());
    hub.put(&reference, &twice).await.is(200);
    let more = task.with(json!({ "restriction": { "repetitions": 99 } }));
    hub.put(&reference, &more).await.refuses(422, "too-costly", "Task.restriction.repetitions");
    let mut clinic = hub.worker("clinic", "Organization/clinic-1").await;
    for _ in 0..2 {
        assert_eq!(clinic.fulfils_next().await.step, "visit");
    }
    order.is("completed").await;
    assert_eq!(order.offers("visit").await.len(), 2);
    drop(clinic);
    hub.closes().await;
}

async fn a_plan_asks_for_what_its_definitions_describe(world: World) {
    let hub = world.hub().await;
    let drug = json!({
        "resourceType": "ActivityDefinition", "url": "http://example.org/drug", "version": "1", "status": "active",
        "title": "Give the drug", "kind": "MedicationRequest", "productCodeableConcept": { "text": "Paracetamol" },
    });
    let note = json!({ "language": "text/fhirpath", "expression": "'with a ' + %requests.code.text" });
    let give = step(
        "give",
        json!({ "definitionCanonical": "http://example.org/drug",
        "dynamicValue": [{ "path": "note[0].text", "expression": note }] }),
    );
    hub.post("PlanDefinition", &plan(by_data(), json!([give]))).await.is(201);
    let path = "PlanDefinition.action[0].action[0].definitionCanonical";
    hub.post("DeviceRequest", &aid()).await.refuses(422, "not-found", path);
    hub.post("ActivityDefinition", &drug).await.is(201);
    let order = hub.submits(aid()).await;
    let asked = order.task("give").await["focus"]["reference"].as_str().unwrap().to_owned();
    let asked_for = hub.reads(&asked).await;
    assert_eq!(asked_for["note"][0]["text"], "with a Hearing aid");
    assert_eq!((&asked_for["intent"], &asked_for["status"]), (&json!("filler-order"), &json!("active")));
    let mut clinic = hub.worker("clinic", "Organization/clinic-1").await;
    clinic.fulfils_next().await;
    order.is("completed").await;
    assert_eq!(hub.reads(&asked).await["status"], "completed");
    drop(clinic);
    hub.closes().await;
}

async fn an_odd_option_is_remarked_upon_and_taken(world: World) {
    let hub = world.hub().await;
    let actions = json!([{ "linkId": "look", "resource": { "reference": "#look" } }]);
    let odd = |intent: &str| {
        let mut sent = orchestration(actions.clone());
        sent["contained"][0]["intent"] = intent.into();
        sent
    };
    let hub5 = r5(&hub);
    let posts = async |sent: &Value| {
        hub5.post("RequestOrchestration", sent).header("prefer", "return=OperationOutcome").await.is(201)
    };
    let told = posts(&odd("proposal")).await;
    let severities = |told: &Value| -> Vec<String> {
        told["issue"].as_array().unwrap().iter().map(|issue| issue["severity"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(severities(&told.body), ["information", "warning"], "{}", told.text);
    assert_eq!(told.body["issue"][1]["expression"][0], "RequestOrchestration.contained[0].intent");
    assert_eq!(severities(&posts(&odd("option")).await.body), ["information"]);
    assert_eq!(hub.finds("RequestGroup").await.len(), 2, "it is taken all the same");
    hub.closes().await;
}
