//! From the order to its end: referral, laboratory, prescription.

use schemas::message::Act;
use serde_json::json;
use tests::bodies::{With, laboratory, prescription, referral, referral_bundle};
use tests::{Report, World, stories};

stories![
    a_referral_is_fulfilled_step_by_step,
    a_triage_is_answered_with_advice,
    a_laboratory_order_is_fulfilled,
    a_specimen_that_is_brought_is_not_collected,
    a_prescription_is_one_order_of_several_items,
    an_item_is_not_dispensed_for_a_reason,
    an_order_says_where_it_is_followed,
];

async fn a_referral_is_fulfilled_step_by_step(world: World) {
    let hub = world.hub().await;
    let referral = hub.submits(referral_bundle()).await;
    let mut clinic = hub.worker("clinic", "Organization/clinic-1").await;
    assert_eq!(referral.statuses().await, ["requested", "requested", "draft", "draft", "draft"]);

    for (n, step) in ["triage", "book", "attend", "report"].into_iter().enumerate() {
        let before = referral.standing().await;
        assert_eq!((before.done, before.total), (n as u64, 4));
        assert_eq!(before.waiting_for.len(), 1, "{before:?}");
        let order = clinic.claims_next().await;
        assert_eq!((order.step.as_str(), order.priority.as_str()), (step, "urgent"));
        referral.task_is(step, "accepted").await;
        clinic.ends(&order).await;
        referral.task_is(step, "completed").await;
    }

    let whole = referral.is("completed").await;
    assert_eq!(whole["code"]["coding"][0]["code"], "fulfill");
    assert_eq!(whole["focus"]["reference"], referral.request());
    let request = hub.reads(referral.request()).await;
    assert_eq!(request["status"], "completed", "the hub completes the request");
    let standing = referral.standing().await;
    assert_eq!((standing.status.as_str(), standing.done, standing.total), ("completed", 4, 4));
    assert_eq!(standing.waiting_for, Vec::<String>::new());
    referral.walked_legally().await;
    hub.closes().await;
}

async fn a_triage_is_answered_with_advice(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(referral()).await;
    let mut clinic = hub.worker("clinic", "Organization/clinic-1").await;
    let triage = clinic.claims_next().await;
    clinic.reports(Report::new(&triage, Act::Completed, 2).outcome("returned-with-advice")).await;
    let report = clinic.claims_next().await;
    assert_eq!(report.step, "report", "there is no appointment");
    assert_eq!(order.statuses().await, ["in-progress", "completed", "cancelled", "cancelled", "accepted"]);
    assert_eq!(order.task("attend").await["statusReason"]["coding"][0]["code"], "stop-condition");
    clinic.ends(&report).await;
    order.is("completed").await;
    assert_eq!(hub.reads(order.request()).await["status"], "completed");
    order.walked_legally().await;
    hub.closes().await;
}

async fn a_laboratory_order_is_fulfilled(world: World) {
    let hub = world.hub().await;
    hub.has_fillers().await;
    let order = hub.submits(laboratory()).await;
    order.is("completed").await;
    let analysed = order.task("analyse").await;
    let results = analysed["output"].as_array().unwrap();
    assert!(results.iter().all(|result| result["valueQuantity"]["value"].is_number()), "{results:?}");
    assert_eq!(order.task("report").await["output"][0]["valueReference"]["type"], "DiagnosticReport");
    order.walked_legally().await;
    hub.closes().await;
}

async fn a_specimen_that_is_brought_is_not_collected(world: World) {
    let hub = world.hub().await;
    let brought = json!({ "specimen": [{ "reference": "Specimen/1" }] });
    let order = hub.submits(laboratory().with(brought)).await;
    assert_eq!(order.statuses().await, ["requested", "requested", "draft"]);
    assert_eq!(order.standing().await.total, 2);
    hub.has_fillers().await;
    order.is("completed").await;
    assert!(order.offers("collect").await.is_empty());
    order.walked_legally().await;
    hub.closes().await;
}

async fn a_prescription_is_one_order_of_several_items(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(prescription()).await;
    assert_eq!(order.requests.len(), 2);
    let whole = hub.reads(&order.fulfilment).await;
    assert_eq!(whole["focus"]["identifier"], whole["groupIdentifier"], "of several requests the number is the focus");
    assert_eq!(whole["basedOn"].as_array().unwrap().len(), 2);
    assert_eq!(order.statuses().await, ["requested", "requested", "requested", "draft"]);

    let mut pharmacy = hub.worker("pharmacy", "Organization/pharmacy-1").await;
    let (first, second) = (pharmacy.fulfils_next().await, pharmacy.claims_next().await);
    assert_ne!(first.focus, second.focus, "each item is dispensed by itself");
    assert_eq!(order.task("hand-over").await["status"], "draft", "the hand-over waits for both");
    pharmacy.ends(&second).await;
    assert_eq!(pharmacy.fulfils_next().await.step, "hand-over");

    order.is("completed").await;
    for request in &order.requests {
        assert_eq!(hub.reads(request).await["status"], "completed");
    }
    order.walked_legally().await;
    hub.closes().await;
}

async fn an_item_is_not_dispensed_for_a_reason(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(prescription()).await;
    let mut pharmacy = hub.worker("pharmacy", "Organization/pharmacy-1").await;
    let dispensed = pharmacy.fulfils_next().await;
    for _ in 0..3 {
        let work = pharmacy.claims_next().await;
        assert_eq!(work.step, "dispense", "it is offered three times");
        pharmacy.reports(Report::new(&work, Act::Failed, 2).because("out of stock everywhere")).await;
    }
    assert_eq!(pharmacy.fulfils_next().await.step, "hand-over");
    order.is("completed").await;
    for request in &order.requests {
        let is_dispensed = dispensed.focus.as_deref() == Some(request.as_str());
        let status = hub.reads(request).await["status"].clone();
        assert_eq!(status, if is_dispensed { "completed" } else { "active" }, "{request}");
    }
    order.walked_legally().await;
    hub.closes().await;
}

async fn an_order_says_where_it_is_followed(world: World) {
    let hub = world.hub().await;
    let created = hub.post("ServiceRequest", &referral()).await.is(201);
    assert_eq!(created.header("etag"), "W/\"1\"");
    assert!(created.header("last-modified").ends_with(" GMT"));
    let location = created.header("location").to_owned();
    assert_eq!(location, format!("{}/{}/_history/1", hub.base, created.reference()));
    let link = created.header("link");
    assert!(link.contains(&format!("<{}/Task/", hub.base)) && link.contains("fulfilment"), "{link}");
    assert_eq!(hub.get(&location).await.is(200).body, created.body);

    let minimal = hub.post("ServiceRequest", &referral()).header("prefer", "return=minimal").await.is(201);
    assert_eq!(minimal.text, "");
    assert!(!minimal.header("location").is_empty() && !minimal.header("link").is_empty());
    let outcome = hub.post("ServiceRequest", &referral()).header("prefer", "return=OperationOutcome").await.is(201);
    assert_eq!(outcome.body["resourceType"], "OperationOutcome");
    let whole = hub.post("ServiceRequest", &referral()).header("prefer", "return=representation").await.is(201);
    assert_eq!(whole.body["meta"]["versionId"], json!("1"));

    let current = hub.get(&created.reference()).header("if-none-match", "W/\"1\"").await.is(304);
    assert_eq!((current.text.as_str(), current.header("etag")), ("", "W/\"1\""));
    hub.closes().await;
}
