//! What the built-in plans make of the model: a specimen that is brought, advice instead of an appointment, a letter that is
//! late, an item that cannot be supplied.

use crate::world::{World, laboratory, prescription, referral};
use schemas::message::Act;
use serde_json::{Value, json};

const WEEK: u64 = 7 * 24 * 3600;

/// What a clinic says of a triage.
fn outcome(code: &str) -> Value {
    let coding = json!([{ "system": "urn:fhir-workflow-hub:business-status", "code": code }]);
    json!([{ "type": { "text": "Outcome of the triage" }, "valueCodeableConcept": { "coding": coding } }])
}

/// An item that nobody can supply, as often as it is offered; with a reason, or without one.
fn is_not_supplied(world: &mut World, order: &str, step: u32, why: Option<&str>) {
    for offer in 1..=3 {
        world.report_offer(order, step, offer, "Organization/a", Act::Claim, 1).unwrap();
        match why {
            Some(why) => world.fails_because(order, step, offer, "Organization/a", why, 2).unwrap(),
            None => world.report_offer(order, step, offer, "Organization/a", Act::Failed, 2).unwrap(),
        }
    }
}

#[test]
fn a_specimen_that_comes_with_the_order_is_not_collected() {
    let mut world = World::new();
    let mut brought = laboratory();
    brought[0]["specimen"] = json!([{ "reference": "Specimen/1" }]);
    let order = world.submit(brought);
    assert_eq!(world.states(&order), "0 requested, 3 requested, 4 draft");
    assert_eq!(world.published(), ["laboratory analyse"]);
    world.does(&order, 3, "Organization/laboratory");
    world.does(&order, 4, "Organization/laboratory");
    assert_eq!(world.states(&order), "0 completed, 3 completed, 4 completed");
    assert_eq!(world.status_of(&order), "completed");
    world.check_histories();
}

#[test]
fn a_triage_may_be_answered_with_advice_instead_of_an_appointment() {
    let mut world = World::new();
    let order = world.submit(referral());
    world.does_with(&order, 2, "Organization/clinic", outcome("returned-with-advice"));
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 cancelled, 4 cancelled, 5 requested");
    for step in [3, 4] {
        assert_eq!(world.step_of(&order, step)["statusReason"]["coding"][0]["code"], "stop-condition");
    }
    world.does(&order, 5, "Organization/clinic");
    assert_eq!(world.states(&order), "0 completed, 2 completed, 3 cancelled, 4 cancelled, 5 completed");
    assert_eq!(world.status_of(&order), "completed");
    world.check_histories();
}

#[test]
fn whatever_else_a_triage_says_an_appointment_is_booked() {
    let advice = json!([{ "type": { "text": "Advice" }, "valueString": "returned-with-advice" }]);
    for said in [outcome("accepted-for-visit"), advice, json!([])] {
        let mut world = World::new();
        let order = world.submit(referral());
        world.does_with(&order, 2, "Organization/clinic", said.clone());
        assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 requested, 4 draft, 5 draft", "{said}");
    }
}

#[test]
fn a_letter_that_is_not_there_a_week_after_the_visit_is_told_to_the_referrer() {
    let mut world = World::new();
    let mut request = referral();
    request[0]["requester"] = json!({ "reference": "Practitioner/1" });
    let order = world.submit(request);
    for step in 2..=4 {
        world.does(&order, step, "Organization/clinic");
    }
    let said = |world: &World| world.step_of(&order, 5)["businessStatus"]["coding"][0]["code"].clone();
    world.passes(WEEK - 60);
    assert_eq!((said(&world), world.all("Communication").len()), (Value::Null, 0));
    world.passes(120);
    assert_eq!((said(&world), world.all("Communication").len()), (json!("overdue"), 1));
    assert_eq!(world.all("Communication")[0].body["recipient"][0]["reference"], "Practitioner/1");
    world.does(&order, 5, "Organization/clinic");
    assert_eq!(world.status_of(&order), "completed", "late is not failed");
    world.check_histories();
}

#[test]
fn an_item_that_is_not_supplied_for_a_reason_does_not_keep_the_others() {
    let mut world = World::new();
    let order = world.submit(prescription(2));
    world.does(&order, 3, "Organization/a");
    is_not_supplied(&mut world, &order, 4, Some("Out of stock everywhere"));
    assert_eq!(world.states(&order), "0 in-progress, 3 completed, 4 failed, 4.2 failed, 4.3 failed, 5 requested");
    world.does(&order, 5, "Organization/a");
    assert!(world.states(&order).starts_with("0 completed, "));
    let statuses = world.requests(&order).iter().map(|request| world.status_of(request)).collect::<Vec<_>>();
    assert_eq!(statuses, ["completed", "active"], "what was not supplied is the prescriber's to decide");
    world.check_histories();
}

#[test]
fn an_item_that_is_not_supplied_and_nobody_says_why_ends_the_prescription() {
    let mut world = World::new();
    let order = world.submit(prescription(2));
    world.does(&order, 3, "Organization/a");
    is_not_supplied(&mut world, &order, 4, None);
    assert_eq!(world.states(&order), "0 failed, 3 completed, 4 failed, 4.2 failed, 4.3 failed, 5 cancelled");
    world.check_histories();
}

#[test]
fn a_prescription_of_which_nothing_is_supplied_is_not_completed() {
    for items in [1, 2] {
        let mut world = World::new();
        let order = world.submit(prescription(items));
        for n in 0..items as u32 {
            is_not_supplied(&mut world, &order, 3 + n, Some("Out of stock everywhere"));
        }
        let states = world.states(&order);
        assert!(states.starts_with("0 rejected, ") && states.ends_with(" cancelled"), "{states}");
        assert!(world.requests(&order).iter().all(|request| world.status_of(request) == "active"));
        world.check_histories();
    }
}
