//! What is done several times: for each request of an order, and in cycles.

use crate::plans::{after, step, world_of, world_started_by};
use crate::world::{World, prescription, referral};
use schemas::message::Act;
use serde_json::{Value, json};

const HOUR: u64 = 3600;

fn marked(name: &str) -> Value {
    json!([{ "url": format!("urn:fhir-workflow-hub:extension:{name}"), "valueBoolean": true }])
}

fn cycle(id: &str, rest: Value) -> Value {
    let mut cycle = step(id, json!({ "timingTiming": { "repeat": { "count": 2, "period": 2, "periodUnit": "h" } } }));
    cycle.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    cycle
}

fn per_item(id: &str, rest: Value) -> Value {
    let mut step = step(id, rest);
    step["extension"] = marked("per-item");
    step
}

/// A world of this plan, and the requests of an order in it.
fn ordered(actions: Value, items: usize) -> (World, Vec<String>) {
    let mut world = world_started_by("MedicationRequest", actions);
    let order = world.submit(prescription(items));
    let requests = world.requests(&order);
    (world, requests)
}

#[test]
fn a_cycle_is_not_an_item_of_the_same_number() {
    let actions = json!([cycle("give", json!({})), per_item("pack", after("give"))]);
    let (mut world, requests) = ordered(actions, 2);
    // 2 all cycles, 3 and 4 each; 5 and 6 the items.
    world.does(&requests[0], 3, "Organization/x");
    let states = "0 in-progress, 3 completed, 4 draft, 5 draft, 6 draft";
    assert_eq!(world.states(&requests[0]), states, "each item waits for both cycles");
    world.passes(2 * HOUR);
    world.does(&requests[0], 4, "Organization/x");
    assert!(world.states(&requests[0]).ends_with("5 requested, 6 requested"));

    let (mut world, requests) = ordered(json!([per_item("pack", json!({})), cycle("give", after("pack"))]), 2);
    world.does(&requests[0], 2, "Organization/x");
    let states = "0 in-progress, 2 completed, 3 requested, 5 draft, 6 draft";
    assert_eq!(world.states(&requests[0]), states, "each cycle waits for both items");
}

#[test]
fn cycles_that_wait_for_the_same_come_one_after_another_once_that_is_done() {
    for (first, give) in [
        (step("agree", json!({})), cycle("give", after("agree"))),
        (
            step("agree", json!({ "relatedAction": [{ "targetId": "give", "relationship": "before-start" }] })),
            cycle("give", json!({})),
        ),
    ] {
        let mut world = world_of(json!([first, give]));
        let order = world.submit(referral());
        world.passes(9 * HOUR);
        world.does(&order, 2, "Organization/x");
        assert_eq!(world.states(&order), "0 in-progress, 2 completed, 4 requested, 5 draft", "not both at once");
        world.passes(2 * HOUR);
        assert_eq!(world.states(&order), "0 in-progress, 2 completed, 4 requested, 5 requested");
        world.check_histories();
    }
}

#[test]
fn of_two_that_are_repeated_each_time_waits_for_its_own() {
    let mut world = world_of(json!([cycle("test", json!({})), cycle("give", after("test"))]));
    let order = world.submit(referral());
    world.does(&order, 3, "Organization/x");
    assert_eq!(world.states(&order), "0 in-progress, 3 completed, 4 draft, 6 requested, 7 draft");
    world.passes(2 * HOUR);
    assert_eq!(world.states(&order), "0 in-progress, 3 completed, 4 requested, 6 requested, 7 draft");
}

/// Of each item a choice, whose first branch somebody takes.
fn chosen_for_each() -> (World, Vec<String>) {
    let mut choice = json!({ "id": "choice", "selectionBehavior": "exactly-one", "action": [
        step("a", json!({})),
        step("b", json!({})),
    ] });
    choice["extension"] = marked("per-item");
    let (mut world, requests) = ordered(json!([choice]), 2);
    // 2 the first choice, 3 and 4 its branches; 5 the second, 6 and 7.
    world.report(&requests[0], 3, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&requests[0], 3, "Organization/x", Act::InProgress, 2).unwrap();
    (world, requests)
}

#[test]
fn what_was_not_chosen_for_an_item_is_not_missed_when_that_is_withdrawn() {
    let (mut world, requests) = chosen_for_each();
    world.set_status(&requests[0], "cancelled").unwrap();
    assert!(world.states(&requests[0]).starts_with("0 in-progress, 3 in-progress, 4 cancelled, 6 requested"));
    world.does(&requests[0], 6, "Organization/x");
    assert!(world.states(&requests[0]).starts_with("0 completed"), "{}", world.states(&requests[0]));
    world.check_histories();
}

#[test]
fn what_follows_when_an_item_is_withdrawn_follows_from_all_that_is_said_then() {
    let group = json!({ "id": "both", "action": [per_item("pack", json!({}))] });
    let (mut world, requests) = ordered(json!([group, step("send", after("both"))]), 2);
    // 3 and 4 the items, 5 what waits for both.
    world.does(&requests[0], 4, "Organization/x");
    world.set_status(&requests[1], "on-hold").unwrap();
    world.set_status(&requests[0], "cancelled").unwrap();
    let held = "0 on-hold, 3 cancelled, 4 completed, 5 draft";
    assert_eq!(world.states(&requests[0]), held, "what still stands is on hold");
    world.set_status(&requests[1], "active").unwrap();
    assert_eq!(world.states(&requests[0]), "0 in-progress, 3 cancelled, 4 completed, 5 requested");
    world.check_histories();
}

#[test]
fn whoever_took_a_part_of_a_unit_took_it_though_that_is_withdrawn_since() {
    let unit = json!({ "id": "unit", "selectionBehavior": "all-or-none", "action": [
        per_item("bed", json!({})),
        step("surgeon", json!({})),
    ] });
    let (mut world, requests) = ordered(json!([unit]), 2);
    // 3 and 4 the beds, 5 the surgeon.
    world.report(&requests[0], 3, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&requests[0], 3, "Organization/x", Act::InProgress, 2).unwrap();
    world.set_status(&requests[0], "cancelled").unwrap();
    for _ in 1..=3 {
        let surgeon = world.newest(&requests[0], 5).unwrap().key.to_string();
        world.set_status(&surgeon, "rejected").unwrap();
    }
    assert!(world.states(&requests[0]).starts_with("0 failed"), "{}", world.states(&requests[0]));
}

#[test]
fn whoever_chooses_names_a_branch_that_is_done_for_each_item_once() {
    let choice = json!({
        "id": "which",
        "selectionBehavior": "any",
        "extension": [{ "url": "urn:fhir-workflow-hub:extension:chosen-by", "valueString": "ask" }],
        "action": [per_item("pack", json!({})), step("send", json!({}))],
    });
    let (mut world, requests) = ordered(json!([step("ask", json!({})), choice]), 2);
    // 2 ask, 4 and 5 the items, 6 send.
    let inputs = world.step_of(&requests[0], 2)["input"].clone();
    let shown = inputs.as_array().unwrap().iter().map(|input| input["valueCoding"]["code"].as_str());
    assert_eq!(shown.flatten().collect::<Vec<_>>(), ["pack", "send"]);
    world.chooses(&requests[0], 2, "Organization/x", &["pack"]);
    assert_eq!(world.states(&requests[0]), "0 in-progress, 2 completed, 4 requested, 5 requested");
    world.check_histories();
}

fn multiple(mut action: Value) -> Value {
    action["cardinalityBehavior"] = "multiple".into();
    action
}

#[test]
fn a_group_is_done_again_when_that_is_asked_for_of_one_of_its_steps() {
    let visit = multiple(json!({ "id": "visit", "action": [
        step("dress", json!({})),
        step("write", after("dress")),
    ] }));
    let mut world = world_of(json!([visit, step("report", after("visit"))]));
    let order = world.submit(referral());
    // 2 stands for all visits: the first is 3, with 4 and 5; the second 6, with 7 and 8; the report is 33.
    world.does(&order, 4, "Organization/x");
    world.asks_again(&order, 5, 2, None).unwrap();
    assert_eq!(world.states(&order), "0 in-progress, 4 completed, 5 requested, 7 requested, 33 draft");
    for step in [5, 7, 8] {
        world.does(&order, step, "Organization/x");
    }
    assert!(world.states(&order).ends_with("33 requested"), "{}", world.states(&order));
    world.check_histories();
}

#[test]
fn what_is_done_again_within_what_is_done_again_is_done_once_each_time() {
    let visit = multiple(json!({ "id": "visit", "action": [
        multiple(step("dress", json!({}))),
        step("write", json!({})),
    ] }));
    let mut world = world_of(json!([visit]));
    let order = world.submit(referral());
    // Of the first visit (3) 4 stands for all dressings, 5 to 14; then 15. Of the second (16), 17, 18 to 27; then 28.
    world.asks_again(&order, 5, 2, None).unwrap();
    assert_eq!(world.states(&order), "0 requested, 5 requested, 6 requested, 15 requested");
    world.asks_again(&order, 15, 2, None).unwrap();
    assert!(world.states(&order).ends_with("15 requested, 18 requested, 28 requested"), "{}", world.states(&order));
    world.asks_again(&order, 18, 3, None).unwrap();
    assert!(world.states(&order).ends_with("18 requested, 19 requested, 20 requested, 28 requested"));
    world.check_histories();
}

#[test]
fn once_more_is_asked_for_while_the_request_is_on_hold_and_comes_when_it_goes_on() {
    let mut world = world_of(json!([multiple(step("dress", json!({})))]));
    let order = world.submit(referral());
    world.set_status(&order, "on-hold").unwrap();
    world.asks_again(&order, 3, 2, None).unwrap();
    assert_eq!(world.states(&order), "0 requested, 3 requested");
    let task = world.newest(&order, 3).unwrap().key.to_string();
    let taken = json!({ "owner": { "reference": "Organization/x" } });
    assert!(world.set(&task, taken).unwrap_err().text().contains("on hold"), "nobody takes it now");
    world.set_status(&order, "active").unwrap();
    assert_eq!(world.states(&order), "0 requested, 3 requested, 4 requested");
    world.check_histories();
}
