//! Orders that are refused, that come again, and that are signed.

use serde_json::{Value, json};
use tests::prescription::{PATIENT, Prescription, code_of, nominated_release, response_of};
use tests::{World, stories};

use super::{OTHER, PHARMACY, passed, refuses, releases, sends, service, with_items};

stories![
    a_broken_rule_is_told_and_leaves_nothing,
    a_message_that_comes_again_is_answered_alike,
    where_roots_are_known_signatures_are_verified,
    where_it_is_switched_off_it_says_so,
];

/// Without the code of an organisation anywhere.
fn of_nobody(mut order: Value) -> Value {
    for entry in order["entry"].as_array_mut().unwrap() {
        match entry["resource"]["resourceType"].as_str() {
            Some("Organization") => drop(entry["resource"].as_object_mut().unwrap().remove("identifier")),
            Some("MessageHeader") => drop(entry["resource"].as_object_mut().unwrap().remove("sender")),
            _ => {}
        }
    }
    order
}

fn with_part(mut message: Value, kind: &str, change: impl Fn(&mut Value)) -> Value {
    let parts = message["entry"].as_array_mut().unwrap().iter_mut().map(|entry| &mut entry["resource"]);
    parts.filter(|part| part["resourceType"] == kind).for_each(change);
    message
}

fn no_message(mut bundle: Value) -> Value {
    bundle["type"] = "collection".into();
    bundle
}

async fn a_broken_rule_is_told_and_leaves_nothing(world: World) {
    let hub = world.hub().await;
    let service = service(&hub);
    let two = Prescription::new(2);
    let bad: Vec<(Value, &str, &str)> = vec![
        (Prescription::new(5).order(), "INVALID_NUMBER_MEDICATIONREQUESTS", ""),
        (
            Prescription { number: "24F5DA-A83008-7EFE6Y".into(), ..two.clone() }.order(),
            "FAILURE_TO_PROCESS_MESSAGE",
            "checksum",
        ),
        (Prescription { number: "24F5DA".into(), ..two.clone() }.order(), "FAILURE_TO_PROCESS_MESSAGE", "format"),
        (
            Prescription { patient: "9990548600".into(), ..two.clone() }.order(),
            "FAILURE_TO_PROCESS_MESSAGE",
            "nhsNumber",
        ),
        (two.unsigned(), "MISSING_DIGITAL_SIGNATURE", ""),
        (Prescription { items: vec![two.items[0]; 2], ..two.clone() }.order(), "DUPLICATE_MEDICATIONREQUEST_ID", ""),
        (Prescription::new(1).repeat_dispensing(200, "2026-11-01").order(), "INVALID_REPEAT_COUNT", ""),
        (
            with_items(two.order(), |n, item| {
                if n == 1 {
                    item["courseOfTherapyType"]["coding"][0]["code"] = "continuous-repeat-dispensing".into();
                }
            }),
            "INVALID_VALUE",
            "acute",
        ),
        (
            with_items(two.order(), |n, item| {
                if n == 1 {
                    item["groupIdentifier"]["value"] = "another".into();
                }
            }),
            "",
            "groupIdentifier",
        ),
        (
            with_items(two.order(), |_, item| drop(item.as_object_mut().unwrap().remove("groupIdentifier"))),
            "MISSING_VALUE",
            "groupIdentifier",
        ),
        (
            with_items(two.order(), |_, item| item["medicationReference"] = json!({ "reference": "Medication/1" })),
            "CONFLICTING_VALUES",
            "",
        ),
        (
            with_items(two.order(), |_, item| {
                item["dispenseRequest"]["validityPeriod"] = json!({ "start": "2026-02-01", "end": "2026-01-01" })
            }),
            "INVALID_DATE_FORMAT",
            "before",
        ),
        (with_items(two.order(), |_, item| item["intent"] = "plan".into()), "", "intent"),
        (with_part(two.order(), "Patient", |patient| patient["deceasedBoolean"] = true.into()), "PATIENT_DECEASED", ""),
        (no_message(two.order()), "", "is a message"),
        (of_nobody(two.order()), "INVALID_MESSAGE", ""),
    ];
    for (order, code, words) in bad {
        let reply = service.post("$process-message", &order).await.is(400);
        let issues = reply.body["issue"].as_array().unwrap();
        let told = |issue: &Value| {
            let named = issue["details"]["coding"][0]["code"].as_str().unwrap_or_default();
            named == code && issue["diagnostics"].as_str().unwrap().contains(words)
        };
        assert!(issues.iter().any(told), "{code} {words}: {}", reply.text);
        assert!(!reply.text.contains(PATIENT), "no patient in an answer about faults");
    }
    let mut unknown = two.order();
    unknown["entry"][0]["resource"]["eventCoding"]["code"] = "prescription-order-response".into();
    let reply = service.post("$process-message", &unknown).await.is(400);
    assert_eq!(reply.body["issue"][0]["severity"], "fatal");
    assert!(
        reply.says().contains("prescription-order, prescription-order-update, dispense-notification"),
        "{}",
        reply.text
    );
    let other = with_part(two.unsigned(), "MessageHeader", |header| {
        header["eventCoding"]["code"] = "prescription-order-update".into();
    });
    let reply = service.post("$prepare", &other).await.is(400);
    assert_eq!(reply.says(), "MessageHeader.eventCoding.code must be prescription-order.");
    let mut several = with_items(two.order(), |_, item| item["status"] = "draft".into());
    several["entry"].as_array_mut().unwrap().retain(|entry| entry["resource"]["resourceType"] != "Provenance");
    let reply = service.post("$process-message", &several).await.is(400);
    assert_eq!(reply.body["issue"].as_array().unwrap().len(), 2, "every broken rule: {}", reply.text);

    for query in ["", "identifier=http://a.example|1", "identifier=1&authored-on=2026", "identifier=1&identifier=2"] {
        service.get(&format!("Task?{query}")).await.is(400);
    }
    for kind in ["Task", "MedicationRequest", "Bundle", "MedicationDispense"] {
        assert_eq!(hub.finds(kind).await.len(), 0, "nothing is half done: {kind}");
    }
    let lenient = world.hub_with(&[("eps_check_character", "lenient")]).await;
    let wrong = Prescription { number: "24F5DA-A83008-7EFE6Y".into(), ..two };
    sends(&self::service(&lenient), &wrong.order()).await;
    lenient.closes().await;
    hub.closes().await;
}

async fn a_message_that_comes_again_is_answered_alike(world: World) {
    let hub = world.hub().await;
    let service = service(&hub);
    let prescription = Prescription::new(1).nominated(PHARMACY);
    let order = prescription.order();
    let all =
        futures_util::future::join_all((0..8).map(|_| async { service.post("$process-message", &order).await })).await;
    for reply in &all {
        assert_eq!((reply.status, &reply.text), (200, &all[0].text), "also while the first is under way");
    }
    let mut forged = order.clone();
    forged["entry"][0]["resource"]["sender"]["display"] = "SOMEBODY ELSE".into();
    let reply = service.post("$process-message", &forged).await.refuses(400, "business-rule", "");
    assert_eq!(reply.says(), "this Bundle.identifier was used before, with another body");

    let id = uuid::Uuid::new_v4().to_string();
    let ask = async || {
        let request = service.post("Task/$release", &nominated_release(PHARMACY));
        request.header("x-request-id", &id).header("x-correlation-id", "a thread").await.is(200)
    };
    let first = ask().await;
    assert_eq!(passed(&first.body).len(), 1);
    assert_eq!((first.header("x-request-id"), first.header("x-correlation-id")), (id.as_str(), "a thread"));
    assert_eq!(ask().await.body, first.body, "a lost answer comes again");
    let other = service.post("Task/$release", &nominated_release(OTHER)).header("x-request-id", &id).await;
    assert_eq!(other.refuses(400, "business-rule", "").says(), "this X-Request-ID was used before, with another body");
    let none = service.post("Task/$release", &nominated_release(PHARMACY)).await.is(200);
    assert_eq!(code_of(&none), "NO_MORE_PRESCRIPTIONS");

    let told = prescription.notification(PHARMACY, "0006", &["0001"]);
    sends(&service, &told).await;
    sends(&service, &told).await;
    assert_eq!(hub.finds("MedicationDispense").await.len(), 1);
    // An earlier word that comes after the last one is kept, and changes nothing.
    let late = Prescription::new(1);
    sends(&service, &late.order()).await;
    releases(&service, &late, OTHER).await;
    sends(&service, &late.notification_at(OTHER, "0006", &["0001"], "2026-11-23T12:00:00Z")).await;
    sends(&service, &late.notification_at(OTHER, "0003", &["0004"], "2026-11-23T11:00:00Z")).await;
    assert_eq!(late.stands(&service).await, [("0006".into(), vec!["0001".into()])]);
    hub.closes().await;
}

/// Messages that would be understood without its base, too.
async fn where_it_is_switched_off_it_says_so(world: World) {
    let hub = world.hub_with(&[("eps_base", "none")]).await;
    let prescription = Prescription::new(1).nominated(PHARMACY);
    let told = prescription.notification(PHARMACY, "0006", &["0001"]);
    for (path, body) in [
        ("$prepare", prescription.unsigned()),
        ("$process-message", prescription.order()),
        ("$process-message", told),
        ("Task/$release", nominated_release(PHARMACY)),
    ] {
        refuses(&hub, path, &body, "SERVICE_DISABLED").await;
    }
    let reply = hub.post("$process-message", &prescription.cancellation(None, None)).await.is(400);
    assert_eq!(response_of(&reply), "R-0009", "{}", reply.text);
    assert_eq!(hub.finds("Bundle").await.len(), 0);
    hub.closes().await;
}

async fn where_roots_are_known_signatures_are_verified(world: World) {
    let hub = world.hub().await;
    let unverified = Prescription::new(1).nominated(PHARMACY);
    let reply = service(&hub).post("$process-message", &unverified.order()).await.is(200);
    assert!(reply.says().contains("no verifier is configured"), "{}", reply.text);
    hub.closes().await;

    let roots = concat!(env!("CARGO_MANIFEST_DIR"), "/../hub/tests/keys/prescribers-root.pem");
    let hub = world.hub_with(&[("eps_signature_roots", roots)]).await;
    let service = service(&hub);
    let prescription = Prescription::new(2).nominated(PHARMACY);
    let prepared = service.post("$prepare", &prescription.unsigned()).await.is(200);
    let refused = |message: Value, why: &'static str| {
        let service = service.clone();
        async move {
            let reply = service.post("$process-message", &message).await.is(400);
            assert_eq!(code_of(&reply), "INVALID_VALUE", "{}", reply.text);
            assert!(reply.says().starts_with("Signature is invalid.") && reply.says().contains(why), "{}", reply.text);
        }
    };
    refused(prescription.order(), "names no digest").await;
    let mut changed = prescription.signed(&prepared);
    changed["entry"][1]["resource"]["dosageInstruction"][0]["text"] = "Ten, four times a day".into();
    refused(changed, "another prescription").await;
    assert!(prescription.stands(&service).await.is_empty(), "nothing of it was kept");
    let reply = service.post("$process-message", &prescription.signed(&prepared)).await.is(200);
    assert!(reply.says().contains("Its signature was verified"), "{}", reply.text);

    // What was taken in before is looked at when it is released, and given back at once.
    let reply = service.post("Task/$release", &nominated_release(PHARMACY)).await.is(200);
    assert_eq!(passed(&reply.body), std::slice::from_ref(&prescription.number));
    let failed = &reply.body["parameter"][1]["resource"];
    assert_eq!((&failed["total"], failed["entry"].as_array().unwrap().len()), (&json!(2), 2), "{failed}");
    let outcome = &failed["entry"][0]["resource"];
    assert_eq!(outcome["issue"][0]["details"]["coding"][0]["code"], "INVALID_VALUE");
    assert_eq!(outcome["issue"][0]["expression"][0], "Provenance.signature.data");
    let bundle = &failed["entry"][1]["resource"];
    assert_eq!(outcome["extension"][0]["valueReference"]["identifier"], bundle["identifier"]);
    assert_eq!(unverified.state(&service).await, "0001");
    let tasks = hub.finds(&format!("Task?group-identifier={}&status=cancelled", unverified.escaped())).await;
    assert!(tasks.iter().all(|task| task["statusReason"]["coding"][0]["code"] == "0005") && !tasks.is_empty());
    let none = service.post("Task/$release", &nominated_release(PHARMACY)).await.is(200);
    assert_eq!(code_of(&none), "NO_MORE_PRESCRIPTIONS", "it nominates nobody any more");
    hub.closes().await;
}
