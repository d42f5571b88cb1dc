//! What is given back, or offered again, or ended for a reason.

use crate::plans::{after, policy_of, step, world_of};
use crate::world::{World, referral};
use schemas::message::Act;
use serde_json::json;

/// Somebody started a step and gave it back, and another has claimed it.
fn is_with_another(world: &mut World, order: &str, number: u32) {
    world.report(order, number, "Organization/x", Act::Claim, 1).unwrap();
    world.report(order, number, "Organization/x", Act::InProgress, 2).unwrap();
    world.move_task(order, number, "ready").unwrap();
    world.report(order, number, "Organization/y", Act::Claim, 3).unwrap();
}

#[test]
fn whoever_claimed_what_was_given_back_has_it_when_the_order_was_on_hold_meanwhile() {
    let mut world = world_of(json!([step("a", json!({}))]));
    let order = world.submit(referral());
    is_with_another(&mut world, &order, 2);
    let granted = world.newest(&order, 2).unwrap().version;
    world.set_status(&order, "on-hold").unwrap();
    world.set_status(&order, "active").unwrap();
    assert_eq!(world.newest(&order, 2).unwrap().version, granted, "it is not on offer");
    world.report(&order, 2, "Organization/y", Act::Completed, 4).unwrap();
    assert_eq!(world.states(&order), "0 completed, 2 completed");
    world.check_histories();
}

#[test]
fn whoever_claimed_what_was_given_back_is_let_run_as_any_other() {
    let any = json!({ "id": "any", "selectionBehavior": "one-or-more", "action": [
        step("a", json!({})),
        step("b", json!({})),
    ] });
    let mut world = world_of(json!([any]));
    let order = world.submit(referral());
    is_with_another(&mut world, &order, 3);
    world.does(&order, 4, "Organization/x");
    assert_eq!(world.states(&order), "0 in-progress, 3 ready, 4 completed", "somebody is at it");
    world.move_task(&order, 3, "in-progress").unwrap();
    world.move_task(&order, 3, "ready").unwrap();
    assert_eq!(world.states(&order), "0 completed, 3 cancelled, 4 completed", "nobody is");
    world.check_histories();
}

#[test]
fn only_whoever_ended_it_gives_a_reason_and_not_the_hub() {
    let optional = step("unless", json!({ "requiredBehavior": "must-unless-documented" }));
    let any = json!({ "id": "any", "selectionBehavior": "any", "action": [optional] });
    let actions = json!([any, step("then", after("unless"))]);
    for (reason, then) in [(Some("the machine broke"), "requested"), (None, "cancelled")] {
        let mut policy = policy_of("ServiceRequest", actions.clone());
        policy.offers_max = 1;
        let mut world = World::with(policy);
        let order = world.submit(referral());
        world.report(&order, 3, "Organization/x", Act::Claim, 1).unwrap();
        match reason {
            Some(why) => world.fails_because(&order, 3, 1, "Organization/x", why, 2).unwrap(),
            None => world.report(&order, 3, "Organization/x", Act::Failed, 2).unwrap(),
        }
        assert!(world.states(&order).ends_with(&format!("4 {then}")), "{}", world.states(&order));
        world.check_histories();
    }
}

#[test]
fn whoever_is_still_at_something_at_the_end_may_be_stopped() {
    let stops = json!({ "kind": "stop", "expression": { "expression": "note.exists()" } });
    let any = json!({ "id": "any", "selectionBehavior": "one-or-more", "action": [
        step("a", json!({ "condition": [stops] })),
        step("b", json!({})),
    ] });
    let mut world = world_of(json!([any]));
    let order = world.submit(referral());
    world.report(&order, 3, "Organization/x", Act::Claim, 1).unwrap();
    world.does(&order, 4, "Organization/x");
    assert_eq!(world.states(&order), "0 in-progress, 3 accepted, 4 completed");
    world.set(&order, json!({ "note": [{ "text": "enough" }] })).unwrap();
    assert_eq!(world.states(&order).split(", 5").next(), Some("0 completed, 3 cancelled, 4 completed"));
    world.check_histories();
}
