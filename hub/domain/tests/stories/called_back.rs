//! Whoever asked to be called when the order has ended is called, again when that fails, and not for ever.

use crate::world::{World, referral};
use hub_domain::decide::Policy;
use schemas::message::Act;
use serde_json::{Value, json};

/// A site that calls.
fn world() -> World {
    World::with(Policy { calls_back: true, ..World::policy() })
}

fn with_callback() -> Vec<Value> {
    let mut request = referral();
    request[0]["extension"] =
        json!([{ "url": "urn:fhir-workflow-hub:extension:callback", "valueUrl": "https://surgery.example/hook" }]);
    request
}

#[test]
fn the_placer_is_called_when_the_order_has_ended_and_again_when_that_failed() {
    let mut world = world();
    let order = world.submit(with_callback());
    world.set_status(&order, "revoked").unwrap();
    assert_eq!(world.states(&order), "0 cancelled, 2 cancelled, 3 cancelled, 4 cancelled, 5 cancelled, 6 requested");
    let call = world.step_of(&order, 6);
    assert_eq!(call["input"][0]["valueUrl"], "https://surgery.example/hook");
    assert_eq!(world.published().last().unwrap(), "callback task");
    for (offer, pause) in [(1, 2), (2, 4)] {
        world.report_offer(&order, 6, offer, "Device/hub", Act::Claim, 1).unwrap();
        world.report_offer(&order, 6, offer, "Device/hub", Act::Failed, 2).unwrap();
        let before = world.states(&order);
        world.passes(pause - 1);
        assert_eq!(world.states(&order), before, "not at once");
        world.passes(2);
        assert!(world.states(&order).ends_with(&format!("6.{} requested", offer + 1)), "{}", world.states(&order));
    }
    world.report_offer(&order, 6, 3, "Device/hub", Act::Claim, 1).unwrap();
    world.report_offer(&order, 6, 3, "Device/hub", Act::Completed, 2).unwrap();
    world.passes(100_000);
    assert!(world.states(&order).ends_with("6 failed, 6.2 failed, 6.3 completed"), "{}", world.states(&order));
    world.check_histories();
}

#[test]
fn calls_come_to_an_end() {
    let mut world = world();
    let order = world.submit(with_callback());
    world.set_status(&order, "revoked").unwrap();
    for offer in 1..=20 {
        world.report_offer(&order, 6, offer, "Device/hub", Act::Claim, 1).unwrap();
        world.report_offer(&order, 6, offer, "Device/hub", Act::Failed, 2).unwrap();
        world.passes(3_601);
    }
    assert!(world.states(&order).ends_with("6.20 failed"), "{}", world.states(&order));
}

#[test]
fn nobody_is_called_who_did_not_ask_or_by_a_site_that_does_not_call() {
    for (mut world, request) in [(world(), referral()), (World::new(), with_callback())] {
        let order = world.submit(request);
        world.set_status(&order, "revoked").unwrap();
        assert_eq!(world.states(&order), "0 cancelled, 2 cancelled, 3 cancelled, 4 cancelled, 5 cancelled");
    }
}

#[test]
fn whoever_dies_while_it_calls_leaves_the_call_to_another() {
    let mut policy = Policy { calls_back: true, ..World::policy() };
    policy.leases.0.insert("callback".to_owned(), Some(std::time::Duration::from_secs(60)));
    let mut world = World::with(policy);
    let order = world.submit(with_callback());
    world.set_status(&order, "revoked").unwrap();
    world.report(&order, 6, "Device/hub", Act::Claim, 1).unwrap();
    world.passes(61);
    world.passes(3);
    assert!(world.states(&order).ends_with("6 cancelled, 6.2 requested"), "{}", world.states(&order));
    world.check_histories();
}

#[test]
fn the_placer_is_called_when_something_is_late_too() {
    let policy = crate::plans::policy_of(
        "ServiceRequest",
        json!([crate::plans::step(
            "look",
            json!({
                "timingRange": { "low": { "value": 0, "code": "h" }, "high": { "value": 1, "code": "h" } },
            })
        )]),
    );
    let mut world = World::with(Policy { calls_back: true, ..policy });
    let order = world.submit(with_callback());
    world.passes(3_601);
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 requested");
    let call = world.step_of(&order, 3);
    let notice = world.all("Communication")[0].key.to_string();
    assert_eq!(
        (&call["focus"]["reference"], &call["input"][0]["valueUrl"]),
        (&json!(notice), &json!("https://surgery.example/hook"))
    );
    world.does(&order, 2, "Organization/x");
    assert_eq!(world.states(&order), "0 completed, 2 completed, 3 requested, 4 requested");
    assert_ne!(world.step_of(&order, 4)["focus"], call["focus"], "of the end by another call");
}
