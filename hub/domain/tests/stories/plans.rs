//! The plan engine beyond sequences: choices, units, optional steps, groups that wait for groups.

use crate::world::{World, referral};
use hub_domain::decide::Policy;
use hub_domain::workflow::{Catalogue, Offered};
use schemas::message::Act;
use serde_json::{Value, json};

/// A world whose one plan has these actions.
pub(crate) fn world_of(actions: Value) -> World {
    world_started_by("ServiceRequest", actions)
}

pub(crate) fn world_started_by(kind: &str, actions: Value) -> World {
    World::with(policy_of(kind, actions))
}

pub(crate) fn policy_of(kind: &str, actions: Value) -> Policy {
    let plan = json!({
        "resourceType": "PlanDefinition",
        "url": "urn:test:plan",
        "status": "active",
        "action": [{
            "id": "whole",
            "trigger": [{ "type": "data-added", "data": [{ "type": kind }] }],
            "action": actions,
        }],
    });
    let plans = vec![Offered::read(&plan.to_string()).unwrap()];
    Policy { catalogue: Catalogue::new(plans).unwrap(), ..Policy::default() }
}

pub(crate) fn step(id: &str, rest: Value) -> Value {
    let role = json!({ "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] });
    let mut step = json!({ "id": id, "participant": [{ "role": role }] });
    for (name, value) in rest.as_object().unwrap() {
        step[name] = value.clone();
    }
    step
}

pub(crate) fn after(id: &str) -> Value {
    json!({ "relatedAction": [{ "actionId": id, "relationship": "after-end" }] })
}

#[test]
fn the_plan_of_the_page_is_one() {
    let page = include_str!("../../../../docs/plans.md");
    let text = page.split("```json").nth(1).unwrap().split("```").next().unwrap();
    let mut world = World::with(Policy {
        catalogue: Catalogue::new(vec![Offered::read(text).unwrap()]).unwrap(),
        ..Policy::default()
    });
    let mut request = referral();
    request[0]["resourceType"] = "DeviceRequest".into();
    request[0]["codeCodeableConcept"] = request[0].as_object_mut().unwrap().remove("code").unwrap();
    let order = world.submit(request);
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft");
    world.does(&order, 2, "Organization/x");
    world.passes(24 * 3600 + 1);
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 requested");
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
    assert_eq!(world.states(&order), "0 accepted, 3 cancelled, 4 accepted, 5 draft");
    let late = world.report(&order, 3, "Organization/y", Act::Claim, 1);
    assert!(late.is_err(), "the other branch was taken");
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

/// Claimed and started by somebody who then fails, as often as it is offered.
pub(crate) fn fails(world: &mut World, order: &str, step: u32) {
    for offer in 1..=3 {
        for (n, act) in [Act::Claim, Act::InProgress, Act::Failed].into_iter().enumerate() {
            world.report_offer(order, step, offer, "Organization/x", act, n as u32 + 1).unwrap();
        }
    }
}

/// Claimed and given up, by everybody who is asked, before anything was started.
fn is_given_up(world: &mut World, order: &str, step: u32) {
    for offer in 1..=3 {
        for (n, act) in [Act::Claim, Act::Failed].into_iter().enumerate() {
            world.report_offer(order, step, offer, "Organization/x", act, n as u32 + 1).unwrap();
        }
    }
}

#[test]
fn what_an_end_takes_away_is_not_offered_first() {
    let choice = json!({
        "id": "choice",
        "extension": [{ "url": "urn:fhir-workflow-hub:extension:in-sequence", "valueBoolean": true }],
        "selectionBehavior": "exactly-one",
        "action": [step("here", json!({})), step("elsewhere", json!({}))],
    });
    let mut world = world_of(json!([choice, step("then", after("here"))]));
    let order = world.submit(referral());
    // 2 choice, 3 here, 4 elsewhere, 5 then
    fails(&mut world, &order, 3);
    assert!(world.states(&order).starts_with("0 failed"), "what waits for the first branch cannot come");
    assert_eq!(world.published().iter().filter(|told| told.ends_with("elsewhere")).count(), 0);
}

#[test]
fn a_choice_in_sequence_goes_on_while_what_was_done_is_undone() {
    let unit = json!({
        "id": "unit",
        "selectionBehavior": "all-or-none",
        "action": [step("bed", json!({ "extension": undone_by("no-bed") })), step("surgeon", json!({})), step("no-bed", json!({}))],
    });
    let choice = json!({
        "id": "choice",
        "extension": [{ "url": "urn:fhir-workflow-hub:extension:in-sequence", "valueBoolean": true }],
        "selectionBehavior": "exactly-one",
        "action": [unit, step("elsewhere", json!({}))],
    });
    let mut world = world_of(json!([choice]));
    let order = world.submit(referral());
    // 2 choice, 3 unit, 4 bed, 5 surgeon, 6 no bed, 7 elsewhere
    world.does(&order, 4, "Organization/x");
    fails(&mut world, &order, 5);
    world.report(&order, 6, "Organization/x", Act::Claim, 1).unwrap();
    assert!(world.states(&order).ends_with("6 accepted, 7 requested"), "who undoes it is not at the branch");
    world.does(&order, 7, "Organization/x");
    assert!(world.states(&order).starts_with("0 in-progress"), "and the whole ends with the last");
    world.report(&order, 6, "Organization/x", Act::Completed, 2).unwrap();
    assert!(world.states(&order).starts_with("0 completed"));
    world.check_histories();
}

#[test]
fn a_choice_in_sequence_offers_the_next_branch_when_the_last_came_to_nothing() {
    let mut choice = json!({
        "id": "choice",
        "extension": [{ "url": "urn:fhir-workflow-hub:extension:in-sequence", "valueBoolean": true }],
        "selectionBehavior": "exactly-one",
        "action": [step("a", json!({})), step("b", json!({})), step("c", json!({ "precheckBehavior": "yes" }))],
    });
    let mut world = world_of(json!([choice.clone()]));
    let order = world.submit(referral());
    assert_eq!(world.states(&order), "0 requested, 5 requested", "what is usual comes first");
    is_given_up(&mut world, &order, 5);
    assert_eq!(world.states(&order), "0 accepted, 3 requested, 5 failed, 5.2 failed, 5.3 failed");
    world.does(&order, 3, "Organization/x");
    assert_eq!(world.states(&order), "0 completed, 3 completed, 5 failed, 5.2 failed, 5.3 failed");
    world.check_histories();

    choice["selectionBehavior"] = "one-or-more".into();
    let mut world = world_of(json!([choice, step("then", after("choice"))]));
    let order = world.submit(referral());
    world.does(&order, 5, "Organization/x");
    assert_eq!(world.states(&order), "0 in-progress, 5 completed, 6 requested", "one is enough");
    world.check_histories();
}

#[test]
fn of_a_unit_all_is_done_or_none() {
    let named = json!([
        { "role": { "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] } },
        { "actorReference": { "reference": "Organization/x" } },
    ]);
    let unit = |behaviour: &str| {
        json!({
            "id": "unit",
            "selectionBehavior": behaviour,
            "requiredBehavior": "could",
            "action": [step("a", json!({ "participant": named })), step("b", json!({})), step("c", after("b"))],
        })
    };
    let actions = json!([unit("all-or-none"), step("beside", json!({}))]);
    let mut world = world_of(actions.clone());
    let order = world.submit(referral());
    world.report(&order, 3, "Organization/x", Act::Rejected, 1).unwrap();
    let none = "0 requested, 3 rejected, 4 cancelled, 5 cancelled, 6 requested";
    assert_eq!(world.states(&order), none, "nobody had taken any of it, and nothing is left of it");
    world.does(&order, 6, "Organization/x");
    assert!(world.states(&order).starts_with("0 completed"));
    world.check_histories();

    let mut world = world_of(actions);
    let order = world.submit(referral());
    world.does(&order, 4, "Organization/x");
    world.report(&order, 3, "Organization/x", Act::Rejected, 1).unwrap();
    let lost = "0 in-progress, 3 rejected, 4 completed, 5 cancelled, 6 requested";
    assert_eq!(world.states(&order), lost, "the rest of it is not begun any more");
    world.check_histories();

    let mut world = world_of(json!([unit("all"), step("beside", json!({}))]));
    let order = world.submit(referral());
    world.report(&order, 3, "Organization/x", Act::Rejected, 1).unwrap();
    let goes_on = "0 requested, 3 rejected, 4 requested, 5 draft, 6 requested";
    assert_eq!(world.states(&order), goes_on, "one that is no unit goes on");
}

#[test]
fn what_a_filler_is_to_know_goes_with_the_task() {
    let told = json!({ "documentation": [{ "type": "documentation", "display": "How it is done" }] });
    let mut world = world_of(json!([step("told", told), step("plain", json!({}))]));
    let order = world.submit(referral());
    let inputs = world.step_of(&order, 2)["input"].clone();
    assert_eq!(inputs[0]["valueRelatedArtifact"]["display"], "How it is done");
    assert_eq!(world.step_of(&order, 3)["input"], Value::Null);
}

pub(crate) fn undone_by(id: &str) -> Value {
    json!([{ "url": "urn:fhir-workflow-hub:extension:undone-by", "valueString": id }])
}

#[test]
fn what_was_done_of_a_unit_that_fails_is_undone_the_last_first() {
    let unit = |required: &str| {
        json!({
            "id": "unit",
            "selectionBehavior": "all-or-none",
            "requiredBehavior": required,
            "action": [
                step("bed", json!({ "extension": undone_by("no-bed") })),
                step("theatre", json!({ "extension": undone_by("no-theatre") })),
                step("blood", json!({ "extension": undone_by("no-blood") })),
                step("surgeon", json!({})),
            ],
        })
    };
    let undoing = ["no-bed", "no-theatre", "no-blood"].map(|id| step(id, json!({})));
    let actions = |required: &str| json!([unit(required), undoing[0], undoing[1], undoing[2]]);

    // 2 unit, 3 bed, 4 theatre, 5 blood, 6 surgeon, 7 no bed, 8 no theatre, 9 no blood
    let mut world = world_of(actions("must"));
    let order = world.submit(referral());
    assert_eq!(world.states(&order), "0 requested, 3 requested, 4 requested, 5 requested, 6 requested");
    world.does(&order, 4, "Organization/x");
    world.does(&order, 3, "Organization/x");
    world.report(&order, 5, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&order, 5, "Organization/x", Act::InProgress, 2).unwrap();
    fails(&mut world, &order, 6);
    assert!(world.states(&order).starts_with("0 in-progress, "), "it fails when all is undone");
    assert!(world.newest(&order, 7).is_none(), "somebody may still have done more of it");
    world.report(&order, 5, "Organization/x", Act::Completed, 3).unwrap();
    for (step, next) in [(9, Some(7)), (7, Some(8)), (8, None)] {
        assert_eq!(world.newest(&order, step).unwrap().text("status"), Some("requested"));
        assert!(next.is_none_or(|next| world.newest(&order, next).is_none()), "one after another");
        world.does(&order, step, "Organization/x");
    }
    assert!(world.states(&order).starts_with("0 failed, "));
    world.check_histories();

    let mut world = world_of(actions("could"));
    let order = world.submit(referral());
    world.does(&order, 3, "Organization/x");
    fails(&mut world, &order, 6);
    assert!(world.states(&order).starts_with("0 in-progress, "), "an optional unit is undone before the whole is done");
    fails(&mut world, &order, 7);
    assert!(world.states(&order).starts_with("0 completed, "), "and it is, even if that could not be undone");

    let mut world = world_of(actions("must"));
    let order = world.submit(referral());
    [3, 4, 5, 6].into_iter().for_each(|step| world.does(&order, step, "Organization/x"));
    assert_eq!(world.states(&order), "0 completed, 3 completed, 4 completed, 5 completed, 6 completed");
}

/// The end of the order is what makes the second unit one that is lost.
#[test]
fn of_two_units_what_was_done_last_is_undone_first() {
    let unit = |id: &str, part: &str, undoing: &str, rest: &str| {
        let parts = [step(part, json!({ "extension": undone_by(undoing) })), step(rest, json!({}))];
        json!({ "id": id, "selectionBehavior": "all-or-none", "action": parts })
    };
    let (stay, trip) = (unit("stay", "bed", "no-bed", "surgeon"), unit("trip", "ambulance", "no-ambulance", "driver"));
    let mut world = world_of(json!([stay, trip, step("no-bed", json!({})), step("no-ambulance", json!({}))]));
    let order = world.submit(referral());
    // 2 stay, 3 bed, 4 surgeon, 5 trip, 6 ambulance, 7 driver, 8 no bed, 9 no ambulance
    world.does(&order, 3, "Organization/x");
    world.does(&order, 6, "Organization/x");
    fails(&mut world, &order, 4);
    assert!(world.newest(&order, 8).is_none(), "the ambulance came after the bed");
    for step in [9, 8] {
        assert_eq!(world.newest(&order, step).unwrap().text("status"), Some("requested"));
        world.does(&order, step, "Organization/x");
    }
    assert!(world.states(&order).starts_with("0 failed, "));
    world.check_histories();
}

#[test]
fn a_unit_that_somebody_had_taken_stays_lost_when_that_claim_runs_out() {
    let unit = json!({
        "id": "unit",
        "selectionBehavior": "all-or-none",
        "action": [step("bed", json!({ "extension": undone_by("no-bed") })), step("surgeon", json!({}))],
    });
    for (acts, end) in [(&[Act::Claim][..], "0 rejected, "), (&[Act::Claim, Act::InProgress], "0 failed, ")] {
        let mut policy = policy_of("ServiceRequest", json!([unit, step("no-bed", json!({}))]));
        (policy.leases.1, policy.offers_max) = (Some(std::time::Duration::from_secs(60)), 1);
        let mut world = World::with(policy);
        let order = world.submit(referral());
        for (n, act) in (1..).zip(acts) {
            world.report(&order, 3, "Organization/x", *act, n).unwrap();
        }
        world.move_task(&order, 4, "rejected").unwrap();
        assert!(world.states(&order).contains("4 rejected"), "whoever is at the bed may end it yet");
        world.passes(61);
        assert!(world.states(&order).starts_with(end), "{}", world.states(&order));
        assert!(world.states(&order).ends_with("3.2 cancelled, 4 rejected"), "and nobody begins it anew");
        world.check_histories();
    }
}

#[test]
fn a_branch_of_a_race_that_nobody_took_is_not_chosen_when_the_winner_fails() {
    let any = json!({
        "id": "any", "selectionBehavior": "any", "action": [step("letter", json!({})), step("call", json!({}))],
    });
    let race = |behaviour: &str| json!([{ "id": "race", "selectionBehavior": behaviour, "action": [any, step("visit", json!({}))] }]);
    for (behaviour, end) in [("exactly-one", "0 rejected, "), ("at-most-one", "0 completed, ")] {
        let mut policy = policy_of("ServiceRequest", race(behaviour));
        policy.offers_max = 1;
        let mut world = World::with(policy);
        let order = world.submit(referral());
        world.report(&order, 6, "Organization/x", Act::Claim, 1).unwrap();
        world.report(&order, 6, "Organization/x", Act::Failed, 2).unwrap();
        assert!(world.states(&order).starts_with(end), "{behaviour}: {}", world.states(&order));
    }
}

#[test]
fn a_step_chooses_which_branches_come() {
    let by = json!([{ "url": "urn:fhir-workflow-hub:extension:chosen-by", "valueString": "ask" }]);
    let choice = |behaviour: &str| {
        let branches = ["knee", "hip", "back"].map(|id| step(id, json!({})));
        json!([step("ask", json!({})), { "id": "which", "selectionBehavior": behaviour, "extension": by, "action": branches }])
    };
    // 2 ask, 3 which, 4 knee, 5 hip, 6 back
    for (behaviour, names, then) in [
        ("exactly-one", &["hip", "back"][..], "4 cancelled, 5 requested, 6 cancelled"),
        ("one-or-more", &["hip", "back"], "4 cancelled, 5 requested, 6 requested"),
        ("any", &[], ""),
        ("exactly-one", &["nothing"], ""),
    ] {
        let mut world = world_of(choice(behaviour));
        let order = world.submit(referral());
        assert_eq!(world.states(&order), "0 requested, 2 requested", "nothing is on offer before it was chosen");
        let inputs = world.step_of(&order, 2)["input"].clone();
        assert_eq!(inputs[1]["valueCoding"], json!({ "code": "hip", "display": "hip" }));
        world.chooses(&order, 2, "Organization/x", names);
        let states = world.states(&order);
        match then {
            "" if behaviour == "any" => assert_eq!(states, "0 completed, 2 completed"),
            "" => assert_eq!(states, "0 failed, 2 completed", "what is no branch is not chosen"),
            then => {
                let left_out = then.replace("4 cancelled, ", "").replace(", 6 cancelled", "");
                assert_eq!(states, format!("0 in-progress, 2 completed, {left_out}"), "what was left out has no Task");
                world.does(&order, 5, "Organization/x");
            }
        }
        world.check_histories();
    }
}

#[test]
fn whoever_chooses_sees_the_branches_beside_what_else_there_is_to_know() {
    let told = json!([{ "type": "documentation", "display": "How it is chosen" }]);
    let choice = json!({ "id": "which", "selectionBehavior": "any",
        "extension": [{ "url": "urn:fhir-workflow-hub:extension:chosen-by", "valueString": "ask" }],
        "action": [step("a", json!({})), step("b", json!({}))] });
    let waiting = after("first");
    let mut ask = step("ask", json!({ "documentation": told }));
    for ask in [ask.clone(), {
        ask["relatedAction"] = waiting["relatedAction"].clone();
        ask
    }] {
        let mut world = world_of(json!([step("first", json!({})), ask, choice]));
        let order = world.submit(referral());
        world.does(&order, 2, "Organization/x");
        let inputs = world.step_of(&order, 3)["input"].clone();
        let told: Vec<&str> = inputs.as_array().unwrap().iter().filter_map(|i| i["type"]["text"].as_str()).collect();
        assert_eq!(told, ["documentation", "branch", "branch"]);
        world.check_histories();
    }
}

fn multiple(id: &str, rest: Value) -> Value {
    let mut step = step(id, rest);
    step["cardinalityBehavior"] = "multiple".into();
    step
}

#[test]
fn a_step_is_done_as_often_as_is_asked_for() {
    let mut world = world_of(json!([multiple("dress", json!({})), step("report", after("dress"))]));
    let order = world.submit(referral());
    // 2 stands for all times: the first is 3, the last would be 12.
    assert_eq!(world.states(&order), "0 requested, 3 requested, 13 draft");
    let again = |world: &mut World, step: u32, times: u32| {
        let task = format!("Task/{}", world.step_of(&order, step)["id"].as_str().unwrap());
        world.set(&task, json!({ "restriction": { "repetitions": times } }))
    };
    again(&mut world, 3, 2).unwrap();
    assert_eq!(world.states(&order), "0 requested, 3 requested, 4 requested, 13 draft");
    world.does(&order, 3, "Organization/x");
    assert_eq!(world.states(&order), "0 in-progress, 3 completed, 4 requested, 13 draft", "it waits for both");
    world.report(&order, 4, "Organization/y", Act::Claim, 1).unwrap();
    again(&mut world, 4, 3).unwrap();
    again(&mut world, 4, 2).unwrap();
    world.report(&order, 4, "Organization/y", Act::Completed, 2).unwrap();
    assert_eq!(world.states(&order), "0 in-progress, 3 completed, 4 completed, 5 requested, 13 draft");
    let refused = again(&mut world, 5, 11).unwrap_err();
    assert_eq!(refused.issues[0].path, "Task.restriction.repetitions");
    world.does(&order, 5, "Organization/x");
    world.does(&order, 13, "Organization/x");
    assert!(world.states(&order).starts_with("0 completed"));
    world.check_histories();
}

#[test]
fn once_more_is_asked_for_with_the_end_of_the_last_time_and_nobody_else_asks() {
    let mut world = world_of(json!([multiple("dress", json!({}))]));
    let order = world.submit(referral());
    let once = world.clone();
    world.report(&order, 3, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&order, 3, "Organization/x", Act::InProgress, 2).unwrap();
    let task = format!("Task/{}", world.step_of(&order, 3)["id"].as_str().unwrap());
    world.set(&task, json!({ "status": "completed", "restriction": { "repetitions": 2 } })).unwrap();
    assert_eq!(world.states(&order), "0 in-progress, 3 completed, 4 requested");
    assert!(world.set(&task, json!({ "restriction": { "repetitions": 3 } })).is_err(), "it has ended");
    world.does(&order, 4, "Organization/y");
    assert!(world.states(&order).starts_with("0 completed"));
    world = once;
    world.does(&order, 3, "Organization/x");
    assert_eq!(world.states(&order), "0 completed, 3 completed", "without that it is done once");
}

#[test]
fn each_time_counts_as_its_action_says() {
    for (required, end) in [("must", "0 failed"), ("could", "0 completed")] {
        let mut world = world_of(json!([multiple("dress", json!({ "requiredBehavior": required }))]));
        let order = world.submit(referral());
        let task = format!("Task/{}", world.step_of(&order, 3)["id"].as_str().unwrap());
        world.set(&task, json!({ "restriction": { "repetitions": 2 } })).unwrap();
        world.does(&order, 3, "Organization/x");
        for offer in 1..=3 {
            world.report_offer(&order, 4, offer, "Organization/x", Act::Claim, 1).unwrap();
            world.report_offer(&order, 4, offer, "Organization/x", Act::Failed, 2).unwrap();
        }
        assert!(world.states(&order).starts_with(end), "{required}: {}", world.states(&order));
    }
}

#[test]
fn whoever_chooses_names_a_branch_as_often_as_it_is_to_be_done() {
    let chosen = json!([{ "url": "urn:fhir-workflow-hub:extension:chosen-by", "valueString": "look" }]);
    let never = json!([{ "kind": "applicability", "expression": { "expression": "false" } }]);
    let plan = |selection: &str| {
        let group = json!({ "id": "wash", "cardinalityBehavior": "multiple", "action": [
            step("soap", json!({})), step("rinse", json!({ "condition": never })), step("dry", after("soap")),
        ] });
        json!([step("look", json!({})), {
            "id": "care", "selectionBehavior": selection, "extension": chosen, "action": [group, step("rest", json!({}))],
        }])
    };
    let mut world = world_of(plan("any"));
    let order = world.submit(referral());
    world.chooses(&order, 2, "Organization/x", &["wash", "rest", "wash"]);
    // 5 and 9 are the first two times of washing, with soap on 6 and 10; what does not apply does so never.
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 6 requested, 10 requested, 45 requested");
    world.does(&order, 10, "Organization/x");
    assert!(world.states(&order).ends_with("10 completed, 12 requested, 45 requested"), "{}", world.states(&order));
    for step in [12, 6, 8, 45] {
        world.does(&order, step, "Organization/x");
    }
    assert!(world.states(&order).starts_with("0 completed"));
    let mut world = world_of(plan("exactly-one"));
    let order = world.submit(referral());
    world.chooses(&order, 2, "Organization/x", &["wash", "rest", "wash"]);
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 6 requested, 10 requested");
    world.check_histories();
}
