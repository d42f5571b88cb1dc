//! The plan engine beyond sequences: choices, optional steps, waits with a time, groups that wait for groups.

use crate::world::{World, referral};
use hub_domain::decide::Policy;
use hub_domain::workflow::{Catalogue, Offered};
use schemas::message::Act;
use serde_json::{Value, json};

/// A world whose one plan has these actions.
fn world_of(actions: Value) -> World {
    let plan = json!({
        "resourceType": "PlanDefinition",
        "url": "urn:test:plan",
        "status": "active",
        "action": [{
            "id": "whole",
            "trigger": [{ "type": "data-added", "data": [{ "type": "ServiceRequest" }] }],
            "action": actions,
        }],
    });
    let plans = vec![Offered::read(&plan.to_string()).unwrap()];
    World::with(Policy { catalogue: Catalogue::new(plans).unwrap(), ..Policy::default() })
}

fn step(id: &str, rest: Value) -> Value {
    let role = json!({ "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] });
    let mut step = json!({ "id": id, "participant": [{ "role": role }] });
    for (name, value) in rest.as_object().unwrap() {
        step[name] = value.clone();
    }
    step
}

fn after(id: &str) -> Value {
    json!({ "relatedAction": [{ "actionId": id, "relationship": "after-end" }] })
}

#[test]
fn of_exactly_one_the_first_that_is_claimed_wins() {
    let choice = json!({
        "id": "choice",
        "selectionBehavior": "exactly-one",
        "action": [step("a", json!({})), step("b", json!({}))],
    });
    let mut world = world_of(json!([choice, step("then", after("choice"))]));
    let order = world.submit(referral());
    assert_eq!(world.states(&order), "0 requested, 3 requested, 4 requested, 5 draft");
    world.report(&order, 4, "Organization/x", Act::Claim, 1).unwrap();
    assert_eq!(world.states(&order), "0 accepted, 3 requested, 4 accepted, 5 draft");
    world.report(&order, 4, "Organization/x", Act::Completed, 2).unwrap();
    world.does(&order, 5, "Organization/x");
    assert_eq!(world.states(&order), "0 completed, 3 cancelled, 4 completed, 5 completed");
    world.check_histories();
}

#[test]
fn an_optional_step_may_fail() {
    let mut world =
        world_of(json!([step("optional", json!({ "requiredBehavior": "could" })), step("then", after("optional")),]));
    let order = world.submit(referral());
    for offer in 1..=3 {
        world.report_offer(&order, 2, offer, "Organization/x", Act::Claim, 1).unwrap();
        world.report_offer(&order, 2, offer, "Organization/x", Act::Failed, 2).unwrap();
    }
    world.does(&order, 3, "Organization/x");
    assert_eq!(world.states(&order), "0 completed, 2 failed, 2.2 failed, 2.3 failed, 3 completed");
    world.check_histories();
}

#[test]
fn a_step_waits_for_its_time() {
    let wait = json!({ "relatedAction": [{
        "actionId": "first",
        "relationship": "after-end",
        "offsetDuration": { "value": 2, "unit": "h", "system": "http://unitsofmeasure.org", "code": "h" },
    }] });
    let mut world = world_of(json!([step("first", json!({})), step("later", wait)]));
    let order = world.submit(referral());
    world.does(&order, 2, "Organization/x");
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 draft");
    world.passes(2 * 3600 - 60);
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 draft");
    world.passes(120);
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 requested");
}

#[test]
fn a_step_may_come_before_another_and_a_group_after_a_group() {
    let before = json!({ "relatedAction": [{ "actionId": "b", "relationship": "before-start" }] });
    let first = json!({ "id": "first", "action": [step("a", before), step("b", json!({}))] });
    let mut second = json!({ "id": "second", "action": [step("c", json!({})), step("d", json!({}))] });
    second["relatedAction"] = after("first")["relatedAction"].clone();
    let mut world = world_of(json!([first, second]));
    let order = world.submit(referral());
    // 1 whole, 2 first, 3 a, 4 b, 5 second, 6 c, 7 d
    assert_eq!(world.states(&order), "0 requested, 3 requested, 4 draft, 6 draft, 7 draft");
    world.does(&order, 3, "Organization/x");
    assert_eq!(world.states(&order), "0 in-progress, 3 completed, 4 requested, 6 draft, 7 draft");
    world.does(&order, 4, "Organization/x");
    assert_eq!(world.states(&order), "0 in-progress, 3 completed, 4 completed, 6 requested, 7 requested");
}

#[test]
fn one_of_several_is_enough_and_the_rest_is_withdrawn() {
    let several = json!({
        "id": "several",
        "selectionBehavior": "one-or-more",
        "action": [step("a", json!({})), step("b", json!({}))],
    });
    let mut world = world_of(json!([several]));
    let order = world.submit(referral());
    world.does(&order, 3, "Organization/x");
    assert_eq!(world.states(&order), "0 completed, 3 completed, 4 cancelled");
    world.check_histories();
}

#[test]
fn what_cannot_run_is_no_plan() {
    let fault = |actions: Value| {
        let plan = json!({ "resourceType": "PlanDefinition", "name": "p", "action": actions });
        Offered::read(&plan.to_string()).unwrap_err().into_iter().map(|issue| issue.text).collect::<Vec<_>>().join("; ")
    };
    let cycle = fault(json!([step("a", after("c")), step("b", after("a")), step("c", after("b"))]));
    assert!(cycle.contains("a -> c -> b -> a"), "{cycle}");
    assert!(fault(json!([step("a", after("nothing"))])).contains("there is no action nothing"));
    assert!(fault(json!([step("a", json!({})), step("a", json!({}))])).contains("already that of"));
    assert!(fault(json!([step("a", after("a"))])).contains("related to itself"));
    assert!(fault(json!([{ "id": "nobody" }])).contains("who does it"));
    assert!(fault(json!([])).contains("at least one action"));
}
