//! Requests that belong together: RequestGroups in R4, RequestOrchestrations in R5.

use serde_json::{Value, json};
use tests::bodies::With;
use tests::{Client, World, stories};

stories![
    an_orchestration_is_one_resource_in_two_shapes,
    an_orchestration_is_found_by_what_is_deep_in_it,
    what_is_no_orchestration_is_refused_in_the_words_of_its_release,
    definitions_are_kept,
    an_active_orchestration_runs_to_its_end,
    by_whatever_door_it_becomes_an_active_order_it_starts_once,
    what_cannot_run_is_refused_and_not_kept,
    an_orchestration_is_withdrawn_with_all_its_parts,
    a_running_orchestration_changes_only_where_nothing_was_released,
    a_definition_is_applied_and_what_comes_of_it_runs,
    what_cannot_be_applied_is_refused,
    orders_start_with_a_stored_plan_until_it_is_retired,
    an_orchestration_is_drawn,
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
                    "participant": [
                        { "type": "organization", "actorReference": { "reference": "Organization/ward" } },
                        { "actorCanonical": "http://example.org/robot" },
                    ],
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
        "participant=http://example.org/robot",
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

/// The treatment as one that can run: both medications are contained, and nobody waits for an hour.
fn active() -> Value {
    let mut body = treatment().with(json!({ "status": "active" }));
    let steps = body["action"][0]["action"].as_array_mut().unwrap();
    steps[0].as_object_mut().unwrap().remove("participant");
    steps[1]["resource"] = json!({ "reference": "#second" });
    steps[1]["relatedAction"][0].as_object_mut().unwrap().remove("offsetDuration");
    body
}

async fn an_active_orchestration_runs_to_its_end(world: World) {
    let hub = world.hub().await;
    let created = r5(&hub).post("RequestOrchestration", &active()).await.is(201);
    let order = hub.order_of(&created);
    assert_eq!(order.statuses().await, ["requested", "requested", "draft"]);
    let mut pharmacy = hub.worker("pharmacy", "Organization/pharmacy-1").await;
    let work = pharmacy.claims_next().await;
    assert_eq!(work.step, "one");
    let asked = hub.reads(order.tasks().await[1]["focus"]["reference"].as_str().unwrap()).await;
    assert_eq!((&asked["resourceType"], &asked["intent"]), (&json!("MedicationRequest"), &json!("filler-order")));
    drop(pharmacy);
    hub.closes().await;

    // Its plan is not among the hub's own: it is kept with the order.
    let hub = world.hub().await;
    let order = order.at(&hub);
    let mut pharmacy = hub.worker("pharmacy", "Organization/pharmacy-1").await;
    pharmacy.ends(&work).await;
    assert_eq!(pharmacy.fulfils_next().await.step, "two");
    let whole = order.is("completed").await;
    assert_eq!(whole["focus"]["reference"], created.reference().replace("RequestOrchestration", "RequestGroup"));
    assert_eq!(r5(&hub).reads(&created.reference()).await["status"], "completed");
    for task in &order.tasks().await[1..] {
        assert_eq!(hub.reads(task["focus"]["reference"].as_str().unwrap()).await["status"], "completed");
    }
    let standing = order.standing().await;
    assert_eq!((standing.status.as_str(), standing.done, standing.total), ("completed", 2, 2));
    order.walked_legally().await;
    hub.closes().await;
}

async fn by_whatever_door_it_becomes_an_active_order_it_starts_once(world: World) {
    let hub = world.hub().await;
    let r5 = r5(&hub);
    let tasks = async || hub.finds("Task?code=fulfill&part-of:missing=true").await.len();
    let draft = active().with(json!({ "status": "draft" }));
    let kept = r5.post("RequestOrchestration", &draft).await.is(201).reference();
    let other = r5.post("RequestOrchestration", &draft).await.is(201).reference();
    r5.post("RequestOrchestration", &active().with(json!({ "intent": "plan" }))).await.is(201);
    assert_eq!(tasks().await, 0, "drafts and plans run nothing");

    let put = r5.put(&kept, &r5.reads(&kept).await.with(json!({ "status": "active" }))).await.is(200);
    assert_eq!(hub.order_of(&put).statuses().await.len(), 3);
    hub.sets(&other.replace("RequestOrchestration", "RequestGroup"), "status", "active").await.is(200);
    let sent = async || r5.post("RequestOrchestration", &active()).header("idempotency-key", "once").await.is(201);
    let (first, again) = (sent().await, sent().await);
    assert_eq!(first.reference(), again.reference());
    let mut group = hub.reads(&kept.replace("RequestOrchestration", "RequestGroup")).await;
    group.as_object_mut().unwrap().remove("id");
    hub.submits(tests::bodies::transaction(&[group])).await;
    assert_eq!(tasks().await, 4);
    hub.closes().await;
}

async fn what_cannot_run_is_refused_and_not_kept(world: World) {
    let hub = world.hub().await;
    let r5 = r5(&hub);
    let mut wrong = active();
    wrong["action"][0]["action"][0]["resource"] = json!({ "reference": "MedicationRequest/elsewhere" });
    wrong["action"][0]["action"][0]["transform"] = json!("http://example.org/StructureMap/1");
    wrong["action"][0]["action"][1]["relatedAction"][0]["targetId"] = json!("nobody");
    let refused = r5.post("RequestOrchestration", &wrong).await.is(422);
    let mut paths: Vec<&str> = refused.body["issue"]
        .as_array()
        .unwrap()
        .iter()
        .map(|issue| issue["expression"][0].as_str().unwrap())
        .collect();
    paths.sort_unstable();
    let step = |rest: &str| format!("RequestOrchestration.action[0].action{rest}");
    let expected = ["[0].resource.reference", "[0].transform", "[1].relatedAction[0]"];
    assert_eq!(paths, expected.map(step));
    // Two that wait for each other.
    let mut round = active();
    round["action"][0]["action"][0]["relatedAction"] = json!([{ "targetId": "two", "relationship": "after" }]);
    let path = "RequestOrchestration.action[0].action[0]";
    let refused = r5.post("RequestOrchestration", &round).await.refuses(422, "invariant", path);
    assert!(refused.says().contains("one -> two -> one"), "{}", refused.says());
    assert_eq!(hub.finds("RequestGroup").await.len(), 0);
    // As a draft it is nobody's business yet; to start it is refused, and it stays a draft.
    let draft = r5.post("RequestOrchestration", &round.with(json!({ "status": "draft" }))).await.is(201).reference();
    r5.put(&draft, &r5.reads(&draft).await.with(json!({ "status": "active" }))).await.is(422);
    assert_eq!(r5.reads(&draft).await["status"], "draft");
    hub.closes().await;
}

async fn an_orchestration_is_withdrawn_with_all_its_parts(world: World) {
    let hub = world.hub().await;
    let r5 = r5(&hub);
    let mut both = active();
    both["action"][0]["action"][1].as_object_mut().unwrap().remove("relatedAction");
    let created = r5.post("RequestOrchestration", &both).await.is(201);
    let order = hub.order_of(&created);
    let part = |task: &Value| task["focus"]["reference"].as_str().unwrap().to_owned();
    let parts: Vec<String> = order.tasks().await[1..].iter().map(part).collect();
    hub.takes(&order.step(2), "Organization/pharmacy-1").await.is(200);
    hub.sets(&order.step(2), "status", "in-progress").await.is(200);
    r5.put(&created.reference(), &r5.reads(&created.reference()).await.with(json!({ "status": "ended" })))
        .await
        .is(200);
    let abort = order.asks_to("abort").await;
    let statuses = order.statuses().await;
    assert_eq!(statuses, ["in-progress", "in-progress", "cancelled", "requested"]);
    assert_eq!(hub.reads(&parts[1]).await["status"], "cancelled");
    assert_eq!(hub.reads(&parts[0]).await["status"], "active", "who has begun is asked");
    let abort = format!("Task/{}", abort["id"].as_str().unwrap());
    for status in ["accepted", "in-progress", "completed"] {
        hub.sets(&abort, "status", status).await.is(200);
    }
    order.is("cancelled").await;
    assert_eq!(hub.reads(&parts[0]).await["status"], "cancelled");
    assert_eq!(r5.reads(&created.reference()).await["status"], "ended");
    order.walked_legally().await;
    hub.closes().await;
}

async fn a_running_orchestration_changes_only_where_nothing_was_released(world: World) {
    let hub = world.hub().await;
    let r5 = r5(&hub);
    let created = r5.post("RequestOrchestration", &active()).await.is(201);
    let (reference, order) = (created.reference(), hub.order_of(&created));
    let mut body = r5.reads(&reference).await;
    body["action"][0]["action"][0]["title"] = json!("Something else");
    let path = "RequestOrchestration.action[0].action[0]";
    r5.put(&reference, &body).await.refuses(422, "business-rule", path);
    let mut body = r5.reads(&reference).await;
    body["action"][0]["action"][1]["title"] = json!("Later");
    body["contained"][1]["medication"]["concept"]["text"] = json!("third");
    r5.put(&reference, &body).await.is(200);
    assert_eq!(order.tasks().await[2]["description"], "Later");
    let mut pharmacy = hub.worker("pharmacy", "Organization/pharmacy-1").await;
    pharmacy.fulfils_next().await;
    pharmacy.fulfils_next().await;
    order.is("completed").await;
    let asked = hub.reads(order.tasks().await[2]["focus"]["reference"].as_str().unwrap()).await;
    assert_eq!(asked["medicationCodeableConcept"]["text"], "third");
    hub.closes().await;
}

/// Two prescriptions, one after the other, the second for women only.
fn definitions() -> (Value, Value) {
    let drug = json!({
        "resourceType": "ActivityDefinition", "url": "http://example.org/drug", "version": "1", "status": "active",
        "kind": "MedicationRequest", "productCodeableConcept": { "text": "Paracetamol" },
    });
    let only = json!([{ "kind": "applicability", "expression": { "language": "text/fhirpath", "expression": "gender = 'female'" } }]);
    let plan = json!({
        "resourceType": "PlanDefinition", "url": "http://example.org/pain", "title": "Pain", "status": "active",
        "action": [
            { "id": "one", "title": "First", "definitionCanonical": "http://example.org/drug|1" },
            { "id": "two", "title": "Then", "definitionCanonical": "http://example.org/drug", "condition": only,
              "relatedAction": [{ "actionId": "one", "relationship": "after-end" }] },
        ],
    });
    (drug, plan)
}

async fn a_definition_is_applied_and_what_comes_of_it_runs(world: World) {
    let hub = world.hub().await;
    let (drug, plan) = definitions();
    let drug = hub.post("ActivityDefinition", &drug).await.is(201).reference();
    let plan = hub.post("PlanDefinition", &plan).await.is(201).reference();
    let patient = async |gender: &str| {
        hub.post("Patient", &json!({ "resourceType": "Patient", "gender": gender })).await.is(201).reference()
    };
    let (rosa, tom) = (patient("female").await, patient("male").await);

    let request = hub.get(&format!("{drug}/$apply?subject={rosa}&practitioner=Practitioner/1")).await.is(200).body;
    assert_eq!((&request["resourceType"], &request["status"]), (&json!("MedicationRequest"), &json!("draft")));
    assert_eq!(request["requester"]["reference"], "Practitioner/1");
    let by_url =
        hub.get(&format!("ActivityDefinition/$apply?url=http://example.org/drug&subject={rosa}")).await.is(200);
    assert_eq!(by_url.body["medicationCodeableConcept"]["text"], "Paracetamol");

    // In R4 a CarePlan around the group; of Tom one step only.
    let parameters = |subject: &str| json!({ "resourceType": "Parameters", "parameter": [{ "name": "subject", "valueString": subject }] });
    let care = hub.post(&format!("{plan}/$apply"), &parameters(&tom)).await.is(200).body;
    assert_eq!(
        (&care["resourceType"], &care["activity"][0]["reference"]["reference"]),
        (&json!("CarePlan"), &json!("#group"))
    );
    assert_eq!(care["contained"][0]["action"].as_array().unwrap().len(), 1);
    assert_eq!(care["contained"].as_array().unwrap().len(), 2);
    hub.post("CarePlan", &care).await.is(201);

    // In R5 a Bundle, whose orchestration can be submitted as it is.
    let r5 = r5(&hub);
    let request = r5.get(&format!("{drug}/$apply?subject={rosa}")).await.is(200).body;
    assert_eq!(request["medication"]["concept"]["text"], "Paracetamol", "R5's MedicationRequest");
    let bundle = r5.get(&format!("{plan}/$apply?subject={rosa}")).await.is(200).body;
    let orchestration = bundle["entry"][0]["resource"].clone().with(json!({ "status": "active", "intent": "order" }));
    assert_eq!(orchestration["instantiatesCanonical"][0], "http://example.org/pain");
    assert_eq!(hub.finds("RequestGroup").await.len(), 0, "nothing was kept");
    let order = hub.order_of(&r5.post("RequestOrchestration", &orchestration).await.is(201));
    let mut pharmacy = hub.worker("pharmacy", "Organization/pharmacy-1").await;
    assert_eq!(pharmacy.fulfils_next().await.step, "one");
    assert_eq!(pharmacy.fulfils_next().await.step, "two");
    order.is("completed").await;
    hub.closes().await;
}

async fn what_cannot_be_applied_is_refused(world: World) {
    let hub = world.hub().await;
    let (_, plan) = definitions();
    let plan = hub.post("PlanDefinition", &plan).await.is(201).reference();
    let path = "PlanDefinition.action[0].definitionCanonical";
    hub.get(&format!("{plan}/$apply?subject=Patient/1")).await.refuses(422, "not-found", path);
    hub.get(&format!("{plan}/$apply")).await.is(400);
    hub.get(&format!("{plan}/$apply?subject=Patient/1&subject=Patient/2")).await.is(400);
    hub.get("PlanDefinition/$apply?subject=Patient/1").await.is(400);
    hub.get("PlanDefinition/$apply?subject=Patient/1&url=http://example.org/nothing").await.is(404);
    hub.get("PlanDefinition/nobody/$apply?subject=Patient/1").await.is(404);
    hub.get("Patient/1/$apply?subject=Patient/1").await.is(404);
    // One that comes with the call.
    let alone = json!({ "resourceType": "PlanDefinition", "status": "active", "action": [{ "title": "Rest" }] });
    let parameters = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "planDefinition", "resource": alone },
        { "name": "subject", "valueReference": { "reference": "Patient/1" } },
    ] });
    let care = hub.post("PlanDefinition/$apply", &parameters).await.is(200).body;
    assert_eq!(care["contained"][0]["action"][0]["title"], "Rest");
    hub.closes().await;
}

async fn orders_start_with_a_stored_plan_until_it_is_retired(world: World) {
    let hub = world.hub().await;
    let step = |id: &str| {
        json!({ "id": id, "title": id, "participant": [
            { "type": "practitioner", "role": { "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] } },
        ] })
    };
    let plan = json!({
        "resourceType": "PlanDefinition", "url": "urn:example:hearing-aid", "status": "active",
        "action": [{
            "id": "whole", "trigger": [{ "type": "data-added", "data": [{ "type": "DeviceRequest" }] }],
            "action": [step("measure"), step("fit").with(json!({ "relatedAction": [{ "actionId": "measure", "relationship": "after" }] }))],
        }],
    });
    let aid = json!({
        "resourceType": "DeviceRequest", "status": "active", "intent": "order",
        "codeCodeableConcept": { "text": "Hearing aid" }, "subject": { "reference": "Patient/1" },
    });
    assert_eq!(hub.post("DeviceRequest", &aid).await.is(201).header("link"), "", "nobody has a plan for it");
    let kept = hub.post("PlanDefinition", &plan).await.is(201).reference();
    let order = hub.submits(aid.clone()).await;
    assert_eq!(order.statuses().await, ["requested", "requested", "draft"]);
    // Who runs keeps the version that it started with.
    let simpler = hub
        .reads(&kept)
        .await
        .with(json!({ "action": [plan["action"][0].clone().with(json!({ "action": [step("only")] }))] }));
    hub.put(&kept, &simpler).await.is(200);
    assert_eq!(hub.submits(aid.clone()).await.statuses().await.len(), 2);
    let mut round = simpler.clone();
    round["action"][0]["action"][0]["relatedAction"] = json!([{ "actionId": "only", "relationship": "after" }]);
    hub.put(&kept, &round).await.refuses(422, "invariant", "PlanDefinition.action[0].action[0].relatedAction[0]");
    let twin = plan.clone().with(json!({ "url": "urn:example:other" }));
    hub.post("PlanDefinition", &twin).await.is(409);
    hub.sets(&kept, "status", "retired").await.is(200);
    assert_eq!(hub.post("DeviceRequest", &aid).await.is(201).header("link"), "");
    let mut clinic = hub.worker("clinic", "Organization/clinic-1").await;
    let mut done = Vec::new();
    for _ in 0..3 {
        done.push(clinic.fulfils_next().await.step);
    }
    done.sort();
    assert_eq!(done, ["fit", "measure", "only"]);
    order.is("completed").await;
    drop(clinic);
    hub.closes().await;

    // Another hub knows of it by the database alone.
    let hub = world.hub().await;
    hub.sets(&kept, "status", "active").await.is(200);
    assert_eq!(hub.submits(aid).await.statuses().await.len(), 2);
    hub.closes().await;
}

async fn an_orchestration_is_drawn(world: World) {
    let hub = world.hub().await;
    let r5 = r5(&hub);
    // Also one that does not run: it is a draft.
    let reference = r5.post("RequestOrchestration", &treatment()).await.is(201).reference();
    let group = reference.replace("RequestOrchestration", "RequestGroup");
    let told = r5.get(&format!("{reference}/$graph")).await.is(200).body;
    let ids: Vec<&str> =
        told["actions"].as_array().unwrap().iter().map(|action| action["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["both", "one", "two"]);
    let wait = told["waits"].as_array().unwrap().iter().find(|wait| wait["to"] == 3).unwrap();
    assert_eq!((&wait["from"], &wait["to"], &wait["notBeforeSeconds"]), (&json!(2), &json!(3), &json!(3600)));
    assert_eq!(hub.get(&format!("{group}/$graph?as=json")).await.is(200).body, told);
    let mermaid = hub.get(&format!("{group}/$graph?as=mermaid")).await.is(200);
    assert!(mermaid.text.starts_with("flowchart"), "{}", mermaid.text);
    let svg = hub.get(&format!("{group}/$graph?as=svg")).await.is(200);
    assert!(svg.text.starts_with("<svg") && svg.header("content-type") == "image/svg+xml", "{}", svg.text);
    hub.get(&format!("{group}/$graph?as=png")).await.is(400);
    hub.get("RequestGroup/nobody/$graph").await.is(404);
    hub.get("Patient/1/$graph").await.is(404);
    let empty = json!({ "resourceType": "RequestGroup", "status": "draft", "intent": "plan" });
    let empty = hub.post("RequestGroup", &empty).await.is(201).reference();
    hub.get(&format!("{empty}/$graph")).await.refuses(422, "required", "RequestGroup.action");
    hub.closes().await;
}
