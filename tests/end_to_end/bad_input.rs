//! What cannot be taken, and the answer to it: a status, a code, the place.

use serde_json::{Value, json};
use tests::bodies::{With, laboratory, medication_request, referral, task};
use tests::{World, stories};

stories![
    what_is_no_json_of_fhir_is_refused_with_the_place,
    what_is_too_much_is_refused,
    what_does_not_exist_here_is_not_found,
    a_reference_into_nothing_is_refused,
    with_strict_references_everything_must_be_here,
    a_stale_update_is_refused,
    a_patch_that_does_not_fit_is_refused,
    a_fhirpath_patch_that_does_not_fit_is_refused,
    a_step_that_is_not_allowed_is_refused_and_told_what_is,
    what_a_task_is_does_not_change,
    a_bundle_that_cannot_be_taken_says_why,
    a_decimal_stays_as_it_was_written,
    a_plan_that_goes_in_a_circle_stops_the_start,
];

async fn what_is_no_json_of_fhir_is_refused_with_the_place(world: World) {
    let hub = world.hub().await;
    let texts = [
        ("not json at all", 400, "structure", ""),
        ("", 400, "structure", ""),
        ("[]", 400, "structure", ""),
        (
            r#"{"resourceType":"ServiceRequest","status":"active","status":"draft"}"#,
            400,
            "structure",
            "ServiceRequest.status",
        ),
    ];
    for (text, status, code, path) in texts {
        let reply = hub.post_text("ServiceRequest", text).await.is(status);
        assert_eq!(reply.body["issue"][0]["code"], code, "{text}: {}", reply.text);
        assert_eq!(reply.body["issue"][0]["expression"][0].as_str().unwrap_or_default(), path, "{text}");
    }
    let changes: [(Value, &str, &str); 9] = [
        (json!({ "colour": "blue" }), "structure", "ServiceRequest.colour"),
        (json!({ "status": 1 }), "structure", "ServiceRequest.status"),
        (json!({ "subject": "Patient/rosa" }), "structure", "ServiceRequest.subject"),
        (json!({ "subject": null }), "required", "ServiceRequest.subject"),
        (json!({ "status": "going" }), "code-invalid", "ServiceRequest.status"),
        (json!({ "intent": null }), "required", "ServiceRequest.intent"),
        (json!({ "authoredOn": "2026-02-30" }), "value", "ServiceRequest.authoredOn"),
        (json!({ "doNotPerform": "no" }), "structure", "ServiceRequest.doNotPerform"),
        (json!({ "performer": { "reference": "Organization/x" } }), "structure", "ServiceRequest.performer"),
    ];
    for (change, code, path) in changes {
        hub.post("ServiceRequest", &referral().with(change)).await.refuses(422, code, path);
    }
    let secret = hub.post("ServiceRequest", &referral().with(json!({ "status": "Rosa Example" }))).await;
    assert!(!secret.text.contains("Rosa"), "an answer quotes no value: {}", secret.text);
    assert_eq!(hub.finds("ServiceRequest").await, Vec::<Value>::new());
    hub.closes().await;
}

async fn what_is_too_much_is_refused(world: World) {
    let hub = world.hub().await;
    let huge = referral().with(json!({ "note": [{ "text": "x".repeat(20 << 20) }] }));
    hub.post("ServiceRequest", &huge).await.refuses(413, "too-long", "");
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep = format!(r#"{{"resourceType":"ServiceRequest","note":{deep}}}"#);
    let reply = hub.post_text("ServiceRequest", deep).await.is(400);
    assert_eq!(reply.body["issue"][0]["code"], "structure");
    hub.get("Task").header("x-long", "x".repeat(70_000)).await.is(431);
    let many = format!("Task?status={}", vec!["requested"; 65].join(","));
    hub.get(&many).await.refuses(400, "value", "status");
    hub.get("/health/live").await.is(200);
    hub.closes().await;
}

async fn what_does_not_exist_here_is_not_found(world: World) {
    let hub = world.hub().await;
    hub.post("Teapot", &json!({ "resourceType": "Teapot" })).await.refuses(404, "not-supported", "");
    hub.post("Account", &json!({ "resourceType": "Account" })).await.refuses(404, "not-supported", "");
    hub.get("Task/nobody").await.refuses(404, "not-found", "");
    for no_id in ["Task/%00", "Task/a%00b/_history", "Task/%00/_history/1", "Task/a%20b/$order-status"] {
        hub.get(no_id).await.refuses(404, "not-found", "");
    }
    hub.delete("Task/%00").await.refuses(404, "not-found", "");
    hub.get("ServiceRequest/nobody/_history").await.refuses(404, "not-found", "");
    hub.sets("Task/nobody", "status", "accepted").await.refuses(404, "not-found", "");
    hub.put("Task/nobody", &task().with(json!({ "id": "nobody" }))).await.refuses(405, "not-supported", "");
    hub.get("Task/a/b/c/d").await.refuses(404, "not-found", "");
    hub.delete("metadata").await.refuses(405, "not-supported", "");
    let mismatch = hub.post("Task", &referral()).await.is(422);
    assert_eq!(mismatch.body["resourceType"], "OperationOutcome");
    let xml = hub.request(reqwest::Method::POST, "ServiceRequest").body("application/fhir+xml", "<ServiceRequest/>");
    xml.await.refuses(415, "not-supported", "");
    hub.get("Task").header("accept", "application/fhir+xml").await.refuses(406, "not-supported", "");
    hub.closes().await;
}

async fn a_reference_into_nothing_is_refused(world: World) {
    let hub = world.hub().await;
    let urn = json!({ "reference": "urn:uuid:00000000-0000-4000-8000-000000000001" });
    let contained = json!({ "reference": "#nobody" });
    let to_nobody = json!({ "reference": "ServiceRequest/nobody" });
    let path = "ServiceRequest.subject.reference";
    hub.post("ServiceRequest", &referral().with(json!({ "subject": urn }))).await.refuses(422, "not-found", path);
    let reply = hub.post("ServiceRequest", &referral().with(json!({ "subject": contained }))).await.is(422);
    assert_eq!(reply.body["issue"][0]["expression"][0], path, "{}", reply.text);
    for (element, value, path) in [
        ("focus", to_nobody.clone(), "Task.focus.reference"),
        ("basedOn", json!([to_nobody]), "Task.basedOn[0].reference"),
        ("partOf", json!([{ "reference": "Task/nobody" }]), "Task.partOf[0].reference"),
    ] {
        hub.post("Task", &task().with(json!({ element: value }))).await.refuses(422, "not-found", path);
    }
    hub.post("ServiceRequest", &referral().with(json!({ "subject": { "reference": "Patient/elsewhere" } })))
        .await
        .is(201);
    hub.closes().await;
}

async fn with_strict_references_everything_must_be_here(world: World) {
    let hub = world.hub_with(&[("references", "strict")]).await;
    let path = "ServiceRequest.subject.reference";
    hub.post("ServiceRequest", &referral()).await.refuses(422, "not-found", path);
    let patient = hub.post("Patient", &json!({ "resourceType": "Patient" })).await.is(201).reference();
    let here = referral().with(json!({ "subject": { "reference": patient }, "requester": null }));
    hub.submits(here).await;
    hub.closes().await;
}

async fn a_stale_update_is_refused(world: World) {
    let hub = world.hub_with(&[("require_if_match", "true")]).await;
    let order = hub.submits(referral()).await;
    let request = hub.reads(order.request()).await;
    let changed = request.clone().with(json!({ "note": [{ "text": "new" }] }));
    hub.put(order.request(), &changed).await.refuses(428, "required", "");
    hub.put(order.request(), &changed).header("if-match", "W/\"7\"").await.refuses(412, "conflict", "");
    hub.put(order.request(), &changed).header("if-match", "one").await.refuses(400, "value", "");
    let updated = hub.put(order.request(), &changed).header("if-match", "W/\"1\"").await.is(200);
    assert_eq!(updated.header("etag"), "W/\"2\"");
    hub.put(order.request(), &changed).header("if-match", "W/\"1\"").await.refuses(412, "conflict", "");
    hub.put(order.request(), &request.with(json!({ "id": "other" }))).await.refuses(
        400,
        "invalid",
        "ServiceRequest.id",
    );
    hub.closes().await;
}

async fn a_fhirpath_patch_that_does_not_fit_is_refused(world: World) {
    let hub = world.hub().await;
    let request = hub.submits(referral()).await.request().to_owned();
    let operation = |kind: &str, path: &str, value: Value| {
        let parts = json!([
            { "name": "type", "valueCode": kind }, { "name": "path", "valueString": path },
            { "name": "name", "valueString": "colour" }, value.with(json!({ "name": "value" })),
        ]);
        json!({ "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": parts }] })
    };
    let (code, text) = (|code: &str| json!({ "valueCode": code }), json!({ "valueString": "x" }));
    let place = "Parameters.parameter[0]";
    for (patch, status, code, path) in [
        (json!([]), 400, "structure", ""),
        (json!({ "resourceType": "Task", "status": "draft", "intent": "order" }), 422, "invalid", "Task"),
        (operation("dance", "ServiceRequest", text.clone()), 400, "value", "Parameters.parameter[0].part[0]"),
        (operation("delete", "ServiceRequest.frist()", text.clone()), 400, "value", "Parameters.parameter[0].part[1]"),
        (operation("add", "ServiceRequest", text.clone()), 422, "processing", place),
        (operation("replace", "ServiceRequest.encounter", text.clone()), 422, "processing", place),
        (
            operation("replace", "ServiceRequest.descendants().repeat($this & '.')", text.clone()),
            422,
            "processing",
            place,
        ),
        (
            operation("replace", "ServiceRequest.iif(('a').repeat($this & 'a').empty(), note)", text),
            422,
            "too-costly",
            place,
        ),
        (operation("replace", "ServiceRequest.status", code("done")), 422, "code-invalid", "ServiceRequest.status"),
        (operation("delete", "ServiceRequest.subject", code("x")), 422, "required", "ServiceRequest.subject"),
        (operation("replace", "ServiceRequest.intent", code("plan")), 422, "business-rule", "ServiceRequest.intent"),
    ] {
        hub.fhirpath_patch(&request, &patch).await.refuses(status, code, path);
    }
    assert_eq!(hub.reads(&request).await["meta"]["versionId"], "1");
    hub.closes().await;
}

async fn a_patch_that_does_not_fit_is_refused(world: World) {
    let hub = world.hub().await;
    let request = hub.submits(referral()).await.request().to_owned();
    let patches = [
        (json!({ "op": "add" }), 400, "structure", ""),
        (json!([{ "op": "dance", "path": "/status" }]), 400, "structure", ""),
        (json!([{ "op": "replace", "path": "/nothing/here", "value": 1 }]), 422, "processing", ""),
        (json!([{ "op": "test", "path": "/status", "value": "draft" }]), 422, "processing", ""),
        (json!([{ "op": "add", "path": "/colour", "value": 1 }]), 422, "structure", "ServiceRequest.colour"),
        (json!([{ "op": "remove", "path": "/subject" }]), 422, "required", "ServiceRequest.subject"),
        (json!([{ "op": "replace", "path": "/id", "value": "other" }]), 422, "business-rule", "ServiceRequest.id"),
        (
            json!([{ "op": "replace", "path": "/intent", "value": "plan" }]),
            422,
            "business-rule",
            "ServiceRequest.intent",
        ),
    ];
    for (patch, status, code, path) in patches {
        hub.patch(&request, patch).await.refuses(status, code, path);
    }
    let merges = [
        (json!([]), 400, "structure", ""),
        (json!({ "colour": 1 }), 422, "structure", "ServiceRequest.colour"),
        (json!({ "subject": null }), 422, "required", "ServiceRequest.subject"),
        (json!({ "id": "other" }), 422, "business-rule", "ServiceRequest.id"),
        (json!({ "resourceType": "Task" }), 422, "invalid", "Task"),
    ];
    for (patch, status, code, path) in merges {
        hub.merge_patch(&request, &patch).await.refuses(status, code, path);
    }
    let wrong_type = hub.request(reqwest::Method::PATCH, &request).body("application/xml", "<a/>");
    wrong_type.await.refuses(415, "not-supported", "");
    assert_eq!(hub.reads(&request).await["meta"]["versionId"], "1");
    hub.closes().await;
}

async fn a_step_that_is_not_allowed_is_refused_and_told_what_is(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let task = order.step(2);
    let early = hub.sets(&task, "status", "completed").await.refuses(422, "business-rule", "Task.status");
    assert!(early.says().contains("accepted"), "{}", early.says());
    hub.sets(&task, "status", "accepted").await.refuses(422, "required", "Task.owner");
    hub.takes(&task, "Organization/lab-1").await.is(200);
    hub.takes(&task, "Organization/lab-2").await.refuses(409, "conflict", "Task.owner");
    let skipped = hub.sets(&task, "status", "completed").await.refuses(422, "business-rule", "Task.status");
    assert!(skipped.says().contains("in-progress"), "{}", skipped.says());
    let derived = hub.sets(&order.fulfilment, "status", "completed").await;
    derived.refuses(422, "business-rule", "Task.status");
    hub.sets(&order.step(3), "status", "in-progress").await.refuses(422, "business-rule", "Task.status");
    hub.sets(&task, "status", "in-progress").await.is(200);
    hub.sets(&task, "status", "completed").await.is(200);
    let over = hub.sets(&task, "status", "in-progress").await.refuses(422, "business-rule", "Task.status");
    assert!(over.says().contains("entered-in-error"), "{}", over.says());
    hub.closes().await;
}

async fn what_a_task_is_does_not_change(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let task = order.step(2);
    for (element, value) in [
        ("focus", json!({ "reference": "ServiceRequest/other" })),
        ("code", json!({ "text": "other" })),
        ("for", json!({ "reference": "Patient/other" })),
        ("intent", json!("plan")),
        ("authoredOn", json!("2020-01-01")),
    ] {
        let reply = hub.sets(&task, element, value).await.is(422);
        let path = reply.body["issue"][0]["expression"][0].as_str().unwrap_or_default();
        assert!(path.starts_with(&format!("Task.{element}")), "{element}: {}", reply.text);
    }
    assert_eq!(hub.reads(&task).await["meta"]["versionId"], "1");
    hub.closes().await;
}

async fn a_bundle_that_cannot_be_taken_says_why(world: World) {
    let hub = world.hub_with(&[("bundle_entries_limit", "3")]).await;
    let bundle = |entry: Value| json!({ "resourceType": "Bundle", "type": "transaction", "entry": entry });
    let post = |resource: Value| json!({ "resource": resource, "request": { "method": "POST", "url": resource["resourceType"] } });
    let collection = json!({ "resourceType": "Bundle", "type": "collection" });
    assert_eq!(hub.post("", &collection).await.status, 422);
    let five = bundle(vec![post(referral()); 5].into());
    hub.post("", &five).await.refuses(422, "too-long", "Bundle.entry");
    let update = json!([{ "resource": referral(), "request": { "method": "PUT", "url": "ServiceRequest/1" } }]);
    hub.post("", &bundle(update)).await.refuses(422, "invalid", "Bundle.entry[0].resource.id");
    let elsewhere = json!([{ "resource": referral(), "request": { "method": "POST", "url": "Task" } }]);
    hub.post("", &bundle(elsewhere)).await.refuses(422, "invalid", "Bundle.entry[0].request.url");
    let bad = bundle(json!([post(medication_request()), post(referral().with(json!({ "status": "going" })))]));
    hub.post("", &bad).await.refuses(422, "code-invalid", "Bundle.entry[1].resource.status");
    assert_eq!(hub.finds("MedicationRequest").await, Vec::<Value>::new(), "all or nothing");
    hub.closes().await;
}

async fn a_decimal_stays_as_it_was_written(world: World) {
    let hub = world.hub().await;
    let text = medication_request().to_string();
    let quantity = r#","dispenseRequest":{"quantity":{"value":1.50},"numberOfRepeatsAllowed":2}}"#;
    let body = format!("{}{quantity}", text.strip_suffix('}').unwrap());
    let created = hub.post_text("MedicationRequest", body).await.is(201);
    let read = hub.get(&created.reference()).await.is(200);
    assert!(read.text.contains(r#""value":1.50"#), "{}", read.text);
    hub.closes().await;
}

async fn a_plan_that_goes_in_a_circle_stops_the_start(world: World) {
    let plans = world.folder().join("plans");
    std::fs::create_dir(&plans).unwrap();
    let mut plan: Value = serde_json::from_str(include_str!("../../schemas/plans/laboratory.json")).unwrap();
    let steps = &mut plan["action"][0]["action"];
    assert_eq!((&steps[0]["id"], &steps[2]["id"]), (&json!("collect"), &json!("report")));
    steps[0]["relatedAction"] = json!([{ "actionId": "report", "relationship": "after-end" }]);
    std::fs::write(plans.join("own.json"), plan.to_string()).unwrap();
    let why = world.no_hub_with(&[("plans", plans.to_str().unwrap())]).await;
    assert!(why.contains("own.json"), "{why}");
    assert!(["collect", "analyse", "report"].iter().all(|step| why.contains(step)), "the circle is told: {why}");
}
