//! What the actions of an orchestration carry: definitions, values, data, deeds.

use schemas::message::Act;
use serde_json::{Value, json};
use tests::bodies::With;
use tests::{Client, Report, World, stories};

stories![
    an_action_is_what_its_definition_says,
    a_definition_that_is_not_here_is_refused,
    what_a_step_comes_to_is_given_to_the_next,
];

/// The same hub, at the base that speaks R5.
fn r5(hub: &Client) -> Client {
    Client::new(hub.base.replace("/fhir/R4", "/fhir/R5"))
}

fn orchestration(actions: Value) -> Value {
    json!({
        "resourceType": "RequestOrchestration", "status": "active", "intent": "order",
        "subject": { "reference": "Patient/1" }, "action": actions,
    })
}

fn drug() -> Value {
    json!({
        "resourceType": "ActivityDefinition", "url": "http://example.org/drug", "version": "1", "status": "active",
        "title": "Give the drug", "kind": "MedicationRequest", "productCodeableConcept": { "text": "Paracetamol" },
    })
}

async fn an_action_is_what_its_definition_says(world: World) {
    let hub = world.hub().await;
    let patient = json!({ "resourceType": "Patient", "gender": "female" });
    let patient = hub.post("Patient", &patient).await.is(201).reference();
    hub.post("ActivityDefinition", &drug()).await.is(201);
    let course = json!({
        "resourceType": "PlanDefinition", "url": "http://example.org/course", "status": "active",
        "action": [{ "id": "give", "definitionCanonical": "http://example.org/drug|1" }],
    });
    hub.post("PlanDefinition", &course).await.is(201);
    let for_whom = json!({ "language": "text/fhirpath", "expression": "'for a ' + %subject.gender" });
    let asked = orchestration(json!([
        { "linkId": "now", "definitionCanonical": "http://example.org/drug",
          "dynamicValue": [{ "path": "note[0].text", "expression": for_whom }] },
        { "linkId": "then", "definitionCanonical": "http://example.org/course",
          "relatedAction": [{ "targetId": "now", "relationship": "after-end" }] },
        { "linkId": "ask", "title": "How it hurts", "definitionCanonical": "http://example.org/Questionnaire/pain",
          "relatedAction": [{ "targetId": "then", "relationship": "after-end" }] },
    ]));
    let asked = asked.with(json!({ "subject": { "reference": patient } }));
    let created = r5(&hub).post("RequestOrchestration", &asked).await.is(201);
    let shown = r5(&hub).reads(&created.reference()).await;
    assert_eq!(shown["action"][0]["definitionCanonical"], "http://example.org/drug", "it stays as it was sent");
    let order = hub.order_of(&created);
    let mut pharmacy = hub.worker("pharmacy", "Organization/pharmacy-1").await;
    assert_eq!(pharmacy.fulfils_next().await.step, "now");
    let first = hub.reads(order.tasks().await[1]["focus"]["reference"].as_str().unwrap()).await;
    assert_eq!(first["medicationCodeableConcept"]["text"], "Paracetamol");
    assert_eq!((&first["note"][0]["text"], &first["subject"]["reference"]), (&json!("for a female"), &json!(patient)));
    assert_eq!(pharmacy.fulfils_next().await.step, "then.give");
    let ask = order.tasks().await.pop().unwrap();
    assert_eq!(ask["code"]["coding"][0]["code"], "complete-questionnaire");
    let mut general = hub.worker("general", "Organization/front-desk").await;
    assert_eq!(general.fulfils_next().await.step, "ask");
    order.is("completed").await;
    order.walked_legally().await;
    drop((pharmacy, general));
    hub.closes().await;
}

async fn a_definition_that_is_not_here_is_refused(world: World) {
    let hub = world.hub().await;
    let r5 = r5(&hub);
    let step = |definition: &str| json!([{ "linkId": "now", "definitionCanonical": definition }]);
    let path = "RequestOrchestration.action[0].definitionCanonical";
    let unknown = orchestration(step("http://example.org/drug"));
    r5.post("RequestOrchestration", &unknown).await.refuses(422, "not-found", path);
    let round = json!({
        "resourceType": "PlanDefinition", "url": "http://example.org/round", "status": "active",
        "action": [{ "id": "again", "definitionCanonical": "http://example.org/round" }],
    });
    hub.post("PlanDefinition", &round).await.is(201);
    let inner = "RequestOrchestration.action[0].definition.action[0].definitionCanonical";
    let round = orchestration(step("http://example.org/round"));
    r5.post("RequestOrchestration", &round).await.refuses(422, "invariant", inner);
    assert_eq!(hub.finds("RequestGroup").await.len(), 0, "nothing is kept");
    hub.post("ActivityDefinition", &drug()).await.is(201);
    r5.post("RequestOrchestration", &unknown).await.is(201);
    hub.closes().await;
}

async fn what_a_step_comes_to_is_given_to_the_next(world: World) {
    let hub = world.hub().await;
    let old = json!({
        "resourceType": "MedicationRequest", "status": "active", "intent": "proposal",
        "medicationCodeableConcept": { "text": "Old" }, "subject": { "reference": "Patient/1" },
    });
    let old = hub.post("MedicationRequest", &old).await.is(201).reference();
    hub.post("ActivityDefinition", &drug()).await.is(201);
    let deed = |code: &str| json!({ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/action-type", "code": code }] });
    let steps = json!([
        { "linkId": "measure", "definitionCanonical": "http://example.org/drug",
          "output": [{ "id": "dose", "title": "Dose" }] },
        { "linkId": "give", "definitionCanonical": "http://example.org/drug", "input": [{ "relatedData": "dose" }],
          "dynamicValue": [{ "path": "note[0].text", "expression": {
              "language": "text/fhirpath", "expression": "%inputs.value" } }] },
        { "linkId": "stop", "type": deed("remove"), "resource": { "reference": old },
          "relatedAction": [{ "targetId": "give", "relationship": "after-end" }] },
    ]);
    let order = hub.order_of(&r5(&hub).post("RequestOrchestration", &orchestration(steps)).await.is(201));
    assert_eq!(order.statuses().await, ["requested", "requested", "draft", "draft"]);
    let mut pharmacy = hub.worker("pharmacy", "Organization/pharmacy-1").await;
    let work = pharmacy.claims_next().await;
    pharmacy.reports(Report::new(&work, Act::Completed, 2).output("dose", "5 mg")).await;
    let work = pharmacy.claims_next().await;
    let task = order.tasks().await.swap_remove(2);
    assert_eq!((work.step.as_str(), &task["input"][0]["valueString"]), ("give", &json!("5 mg")));
    let asked = hub.reads(task["focus"]["reference"].as_str().unwrap()).await;
    assert_eq!(asked["note"][0]["text"], "5 mg");
    pharmacy.ends(&work).await;
    assert_eq!(hub.reads(&old).await["status"], "active");
    assert_eq!(pharmacy.fulfils_next().await.step, "stop");
    assert_eq!(hub.reads(&old).await["status"], "cancelled");
    order.is("completed").await;
    order.walked_legally().await;
    drop(pharmacy);
    hub.closes().await;
}
