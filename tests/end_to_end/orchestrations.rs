//! Requests that belong together: RequestGroups in R4, RequestOrchestrations in R5.

use serde_json::{Value, json};
use tests::bodies::With;
use tests::{Client, World, stories};

stories![
    an_orchestration_is_one_resource_in_two_shapes,
    an_orchestration_is_found_by_what_is_deep_in_it,
    what_is_no_orchestration_is_refused_in_the_words_of_its_release,
    definitions_are_kept,
];

/// The same hub, at the base that speaks R5.
fn r5(hub: &Client) -> Client {
    Client::new(hub.base.replace("/fhir/R4", "/fhir/R5"))
}

fn medication(id: &str) -> Value {
    json!({
        "resourceType": "MedicationRequest", "id": id, "status": "active", "intent": "option",
        "medication": { "concept": { "text": id } }, "subject": { "reference": "Patient/1" },
    })
}

/// Two medications, the second one an hour after the first, as R5 says it.
fn treatment() -> Value {
    json!({
        "resourceType": "RequestOrchestration",
        "contained": [medication("first"), medication("second")],
        "identifier": [{ "system": "urn:treatments", "value": "1" }],
        "status": "draft",
        "intent": "order",
        "subject": { "reference": "Patient/1" },
        "reason": [{ "concept": { "text": "Treatment" } }],
        "action": [{
            "linkId": "both",
            "id": "both",
            "goal": [{ "display": "Health" }],
            "action": [
                {
                    "id": "one", "linkId": "one", "resource": { "reference": "#first" },
                    "participant": [{ "type": "organization", "actorReference": { "reference": "Organization/ward" } }],
                },
                {
                    "id": "two", "linkId": "two", "resource": { "reference": "MedicationRequest/elsewhere" },
                    "relatedAction": [{
                        "targetId": "one", "relationship": "after-end", "endRelationship": "before-end",
                        "offsetDuration": { "value": 1, "unit": "h" },
                    }],
                },
            ],
        }],
    })
}

async fn an_orchestration_is_one_resource_in_two_shapes(world: World) {
    let hub = world.hub().await;
    let r5 = r5(&hub);
    let created = r5.post("RequestOrchestration", &treatment()).await.is(201);
    let reference = created.reference();
    assert_eq!(created.header("location"), format!("{}/{reference}/_history/1", r5.base));
    let read = r5.get(&reference).await.is(200);
    assert_eq!(read.header("content-location"), created.header("location"));
    let mut shown = read.body.clone();
    for name in ["id", "meta"] {
        shown.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(shown, treatment(), "it comes back as it was sent");

    let group = hub.reads(&reference.replace("RequestOrchestration", "RequestGroup")).await;
    assert_eq!(group["id"], read.body["id"]);
    assert_eq!(group["reasonCode"][0]["text"], "Treatment");
    let second = &group["action"][0]["action"][1];
    assert_eq!((&second["id"], &second["relatedAction"][0]["actionId"]), (&json!("two"), &json!("one")));
    assert_eq!(group["contained"][0]["medicationCodeableConcept"]["text"], "first");

    // What R4 changes, R5 shows; what R4 cannot say has stayed.
    hub.put(
        &format!("RequestGroup/{}", group["id"].as_str().unwrap()),
        &group.clone().with(json!({ "priority": "urgent" })),
    )
    .await
    .is(200);
    let read = r5.reads(&reference).await;
    assert_eq!((&read["priority"], &read["action"][0]["goal"]), (&json!("urgent"), &json!([{ "display": "Health" }])));
    r5.put(&reference, &read.clone().with(json!({ "status": "revoked" }))).header("if-match", "W/\"1\"").await.is(412);
    r5.put(&reference, &read.clone().with(json!({ "status": "ended" }))).header("if-match", "W/\"2\"").await.is(200);
    assert_eq!(r5.reads(&reference).await["status"], "ended");
    let history = r5.get(&format!("{reference}/_history")).await.is(200);
    let statuses: Vec<Value> = history.resources().iter().map(|version| version["status"].clone()).collect();
    assert_eq!(statuses, ["ended", "draft", "draft"]);
    assert_eq!(history.resources()[2]["resourceType"], "RequestOrchestration");
    assert_eq!(r5.get(&format!("{reference}/_history/1")).await.is(200).body["status"], "draft");
    r5.delete(&reference).await.is(204);
    r5.get(&reference).await.is(410);
    hub.closes().await;
}

async fn an_orchestration_is_found_by_what_is_deep_in_it(world: World) {
    let hub = world.hub().await;
    let r5 = r5(&hub);
    let based = json!({
        "basedOn": [{ "reference": "CarePlan/1" }],
        "author": { "reference": "Practitioner/1" },
        "authoredOn": "2026-11-01",
        "code": { "coding": [{ "system": "urn:codes", "code": "regimen" }] },
        "encounter": { "reference": "Encounter/1" },
        "groupIdentifier": { "system": "urn:groups", "value": "7" },
        "instantiatesCanonical": ["http://example.org/plan"],
        "instantiatesUri": ["http://example.org/other"],
        "priority": "asap",
    });
    let wanted = r5.post("RequestOrchestration", &treatment().with(based)).await.is(201).reference();
    let other = json!({ "resourceType": "RequestOrchestration", "status": "active", "intent": "proposal" });
    r5.post("RequestOrchestration", &other).await.is(201);
    for query in [
        "author=Practitioner/1",
        "authored=2026-11-01",
        "based-on=CarePlan/1",
        "code=urn:codes|regimen",
        "encounter=Encounter/1",
        "group-identifier=urn:groups|7",
        "identifier=urn:treatments|1",
        "instantiates-canonical=http://example.org/plan",
        "instantiates-uri=http://example.org/other",
        "intent=order",
        "participant=Organization/ward",
        "patient=Patient/1",
        "priority=asap",
        "status=draft",
        "subject=Patient/1",
        "action-resource=MedicationRequest/elsewhere",
    ] {
        let found = r5.get(&format!("RequestOrchestration?{query}")).await.is(200);
        assert_eq!(found.body["entry"][0]["fullUrl"], format!("{}/{wanted}", r5.base), "{query}");
        assert_eq!(found.resources().len(), 1, "{query}");
        assert!(found.link("self").unwrap().starts_with(&format!("{}/RequestOrchestration?", r5.base)), "{query}");
        assert_eq!(hub.finds(&format!("RequestGroup?{query}")).await.len(), 1, "{query}");
    }
    let form = ("application/x-www-form-urlencoded", "status=draft&_include=RequestOrchestration:subject");
    let found = r5.request(reqwest::Method::POST, "RequestOrchestration/_search").body(form.0, form.1).await.is(200);
    assert_eq!(found.resources().len(), 1);
    let offered = r5.get("metadata").await.is(200).body;
    assert_eq!(offered["fhirVersion"], "5.0.0");
    let params = offered["rest"][0]["resource"][0]["searchParam"].as_array().unwrap();
    let own = params.iter().filter(|param| !param["name"].as_str().unwrap().starts_with('_'));
    assert_eq!(own.count(), 16);
    hub.closes().await;
}

async fn what_is_no_orchestration_is_refused_in_the_words_of_its_release(world: World) {
    let hub = world.hub().await;
    let r5 = r5(&hub);
    let wrong = treatment().with(json!({ "status": "over", "reasonCode": [{ "text": "x" }] }));
    let refused = r5.post("RequestOrchestration", &wrong).await.is(422);
    let paths: Vec<&str> = refused.body["issue"]
        .as_array()
        .unwrap()
        .iter()
        .map(|issue| issue["expression"][0].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["RequestOrchestration.status", "RequestOrchestration.reasonCode"]);
    // What R4 cannot keep is told as such, where it was said.
    let bare = json!({ "resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "option",
        "medication": { "concept": { "text": "x" }, "reference": { "reference": "Medication/1" } },
        "subject": { "reference": "Patient/1" } });
    r5.post("RequestOrchestration", &treatment().with(json!({ "contained": [bare] }))).await.is(422);
    let group = json!({ "resourceType": "RequestGroup", "status": "draft", "intent": "plan" });
    r5.post("RequestOrchestration", &group).await.is(422);
    r5.get("RequestGroup").await.is(404);
    r5.get("Patient").await.is(404);
    r5.get("RequestOrchestration/nobody").await.is(404);
    let patch = json!([{ "op": "add", "path": "/priority", "value": "stat" }]);
    r5.patch("RequestOrchestration/nobody", patch).await.is(405);
    let as_r5 = "application/fhir+json; fhirVersion=5.0";
    let sent = |client: &Client| {
        client.request(reqwest::Method::POST, "RequestOrchestration").body(as_r5, treatment().to_string())
    };
    sent(&r5).header("accept", as_r5).await.is(201);
    r5.get("metadata").header("accept", "application/fhir+json; fhirVersion=4.0").await.is(406);
    hub.get("metadata").header("accept", as_r5).await.is(406);
    hub.closes().await;
}

async fn definitions_are_kept(world: World) {
    let hub = world.hub().await;
    let plan = json!({ "resourceType": "PlanDefinition", "url": "http://example.org/plan", "status": "draft" });
    let activity = json!({ "resourceType": "ActivityDefinition", "url": "http://example.org/do", "status": "active" });
    for body in [plan, activity] {
        let kind = body["resourceType"].as_str().unwrap();
        let kept = hub.post(kind, &body).await.is(201).reference();
        let found = hub.finds(&format!("{kind}?url={}", body["url"].as_str().unwrap())).await;
        assert_eq!(format!("{kind}/{}", found[0]["id"].as_str().unwrap()), kept);
        hub.sets(&kept, "status", "retired").await.is(200);
        assert_eq!(hub.finds(&format!("{kind}?status=retired")).await.len(), 1);
    }
    hub.closes().await;
}
