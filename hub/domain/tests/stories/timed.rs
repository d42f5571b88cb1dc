//! Plans and time: offsets, timings, and what is told when something is not done in time.

use std::time::Duration;

use crate::plans::{fails, policy_of, step, undone_by, world_of};
use crate::world::{World, referral};
use schemas::message::Act;
use serde_json::{Value, json};

const HOUR: u64 = 3600;

fn hours(value: u32) -> Value {
    json!({ "value": value, "unit": "h", "system": "http://unitsofmeasure.org", "code": "h" })
}

fn within(low: u32, high: u32) -> Value {
    json!({ "low": hours(low), "high": hours(high) })
}

fn after_with(id: &str, offset: &str, value: Value) -> Value {
    related(id, "after-end", offset, value)
}

fn related(id: &str, relationship: &str, offset: &str, value: Value) -> Value {
    json!({ "relatedAction": [{ "actionId": id, "relationship": relationship, offset: value }] })
}

fn until(world: &World, order: &str, step: u32) -> Value {
    world.step_of(order, step)["restriction"]["period"]["end"].clone()
}

fn said(world: &World, order: &str, step: u32) -> Value {
    world.step_of(order, step)["businessStatus"]["coding"][0]["code"].clone()
}

#[test]
fn a_step_waits_for_its_time() {
    let wait = after_with("first", "offsetDuration", hours(2));
    let mut world = world_of(json!([step("first", json!({})), step("later", wait)]));
    let order = world.submit(referral());
    world.does(&order, 2, "Organization/x");
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 draft");
    world.passes(2 * HOUR - 60);
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 draft");
    world.passes(120);
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 requested");
    assert_eq!(until(&world, &order, 3), Value::Null, "a duration has no end");
}

#[test]
fn the_low_of_a_range_is_waited_for_and_who_misses_its_high_is_told_so_once() {
    let wait = after_with("first", "offsetRange", within(1, 3));
    let mut world = world_of(json!([step("first", json!({})), step("later", wait)]));
    let order = world.submit(referral());
    world.does(&order, 2, "Organization/x");
    world.passes(HOUR - 60);
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 draft");
    world.passes(120);
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 requested");
    assert!(until(&world, &order, 3).is_string());
    assert_eq!(said(&world, &order, 3), Value::Null);
    world.report(&order, 3, "Organization/x", Act::Claim, 1).unwrap();
    world.passes(2 * HOUR);
    assert_eq!(said(&world, &order, 3), "overdue");
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 accepted", "nothing fails by being late");
    let versions = world.history(&order, 3).len();
    world.passes(24 * HOUR);
    assert_eq!(world.history(&order, 3).len(), versions, "it is told once");
    assert_eq!(world.all("Communication").len(), 1, "to the placer too");
    world.report(&order, 3, "Organization/x", Act::InProgress, 2).unwrap();
    world.report(&order, 3, "Organization/x", Act::Completed, 3).unwrap();
    assert_eq!(world.states(&order), "0 completed, 2 completed, 3 completed");
    world.check_histories();
}

#[test]
fn a_deadline_whose_timer_fires_before_it_stays() {
    let mut world = world_of(json!([step("first", json!({ "timingRange": within(0, 3) }))]));
    let order = world.submit(referral());
    world.passes(HOUR);
    world.fires_again(0);
    assert_eq!(said(&world, &order, 2), Value::Null);
    world.passes(2 * HOUR);
    assert_eq!(said(&world, &order, 2), "overdue");
    assert_eq!(world.all("Communication").len(), 1);
}

#[test]
fn who_is_in_time_is_told_nothing_and_whoever_comes_next_has_the_same_time() {
    let wait = after_with("first", "offsetRange", within(0, 3));
    let mut world = world_of(json!([step("first", json!({})), step("later", wait), step("beside", json!({}))]));
    let order = world.submit(referral());
    world.does(&order, 2, "Organization/x");
    let end = until(&world, &order, 3);
    world.report(&order, 3, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&order, 3, "Organization/x", Act::Failed, 2).unwrap();
    let again = world.offer_of(&order, 3, 2);
    assert!(world.all("Communication").is_empty());
    assert_eq!(again["restriction"]["period"]["end"], end);
    for (n, act) in [Act::Claim, Act::InProgress, Act::Completed].into_iter().enumerate() {
        world.report_offer(&order, 3, 2, "Organization/y", act, n as u32 + 1).unwrap();
    }
    world.passes(24 * HOUR);
    assert_eq!(world.offer_of(&order, 3, 2)["businessStatus"], Value::Null);
}

#[test]
fn whoever_is_next_has_the_deadline_also_when_nobody_knows_it_any_more() {
    let wait = related("first", "after-start", "offsetRange", within(0, 3));
    let mut world = world_of(json!([step("first", json!({})), step("along", wait)]));
    let order = world.submit(referral());
    world.report(&order, 2, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&order, 2, "Organization/x", Act::InProgress, 2).unwrap();
    let end = until(&world, &order, 3);
    assert!(end.is_string());
    world.report(&order, 2, "Organization/x", Act::Failed, 3).unwrap();
    world.report(&order, 3, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&order, 3, "Organization/x", Act::Failed, 2).unwrap();
    assert_eq!(world.offer_of(&order, 3, 2)["restriction"]["period"]["end"], end);
}

#[test]
fn a_deadline_that_is_put_off_is_not_missed_yet() {
    let wait = related("first", "after-start", "offsetRange", within(0, 3));
    let mut world = world_of(json!([step("first", json!({})), step("along", wait)]));
    let order = world.submit(referral());
    for offer in 1..=2 {
        for (n, act) in [Act::Claim, Act::InProgress].into_iter().enumerate() {
            world.report_offer(&order, 2, offer, "Organization/x", act, n as u32 + 1).unwrap();
        }
        assert_eq!(said(&world, &order, 3), Value::Null, "it counts from the start that counts");
        world.passes(3 * HOUR + 1);
        assert_eq!((said(&world, &order, 3), notices(&world).len()), (json!("overdue"), offer as usize));
        world.report_offer(&order, 2, offer, "Organization/x", Act::Failed, 3).unwrap();
    }
    world.check_histories();
}

#[test]
fn a_choice_is_done_with_the_first_and_that_is_what_counts() {
    let several = json!({ "id": "several", "selectionBehavior": "one-or-more", "action": [step("a", json!({})), step("b", json!({}))] });
    let mut world = world_of(json!([several, step("then", after_with("several", "offsetRange", within(1, 3)))]));
    let order = world.submit(referral());
    // 2 several, 3 a, 4 b, 5 then
    world.does(&order, 3, "Organization/x");
    world.passes(HOUR - 60);
    world.does(&order, 4, "Organization/x");
    world.passes(120);
    assert!(world.states(&order).ends_with("5 requested"));
    world.passes(2 * HOUR);
    assert_eq!(said(&world, &order, 5), "overdue");
}

#[test]
fn a_race_ends_with_the_branch_that_somebody_took() {
    let named = json!([
        { "role": { "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] } },
        { "actorReference": { "reference": "Organization/x" } },
    ]);
    let extra = step("extra", json!({ "participant": named }));
    let any = json!({ "id": "any", "selectionBehavior": "any", "action": [extra] });
    let race = json!({ "id": "race", "selectionBehavior": "exactly-one", "action": [any, step("other", json!({}))] });
    let wait = after_with("race", "offsetRange", within(1, 3));
    let mut world = world_of(json!([race, step("then", wait)]));
    let order = world.submit(referral());
    // 2 race, 3 any, 4 extra, 5 other, 6 then
    world.report(&order, 4, "Organization/x", Act::Rejected, 1).unwrap();
    world.passes(9 * HOUR);
    world.does(&order, 5, "Organization/x");
    assert_eq!(world.states(&order), "0 in-progress, 4 rejected, 5 completed, 6 draft");
    world.passes(HOUR + 1);
    assert!(world.states(&order).ends_with("6 requested"));
    assert_eq!(said(&world, &order, 6), Value::Null, "what was refused before does not count");
}

#[test]
fn a_step_has_a_timing_of_its_own() {
    // The world begins on 2026-09-21, at 14:13:20.
    let mut world = world_of(json!([
        step("at", json!({ "timingDateTime": "2026-09-22T00:00:00Z" })),
        step("between", json!({ "timingPeriod": { "start": "2026-09-22T06:00:00Z", "end": "2026-09-22T12:00:00Z" } })),
        step("past", json!({ "timingPeriod": { "end": "2026-09-20" } })),
        { "id": "group", "timingDuration": hours(1), "action": [
            step("soon", json!({})),
            step("later", json!({ "timingRange": within(1, 2) })),
        ] },
    ]));
    let order = world.submit(referral());
    let states = "0 requested, 2 draft, 3 draft, 4 requested, 6 draft, 7 draft";
    assert_eq!(world.states(&order), states);
    assert_eq!(said(&world, &order, 4), "overdue", "it comes too late already");
    world.passes(HOUR + 1);
    assert_eq!(world.states(&order), "0 requested, 2 draft, 3 draft, 4 requested, 6 requested, 7 draft");
    world.passes(HOUR);
    assert_eq!(world.states(&order), "0 requested, 2 draft, 3 draft, 4 requested, 6 requested, 7 requested");
    assert!(until(&world, &order, 7).is_string());
    world.passes(8 * HOUR);
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft, 4 requested, 6 requested, 7 requested");
    assert_eq!(said(&world, &order, 7), "overdue");
    world.passes(6 * HOUR);
    assert_eq!(until(&world, &order, 3), "2026-09-22T12:00:00.999Z");
    world.check_histories();
}

#[test]
fn who_must_be_done_at_once_is_late_at_once_and_the_later_time_is_forgotten() {
    let end = json!({
        "relatedAction": [{ "actionId": "along", "relationship": "before-end", "offsetRange": within(0, 0) }],
    });
    let by_then = json!({ "timingPeriod": { "end": "2099-01-01" } });
    let mut world = world_of(json!([step("first", end), step("along", by_then)]));
    let order = world.submit(referral());
    assert_eq!((said(&world, &order, 3), world.run(&order).1), (Value::Null, true));
    world.does(&order, 2, "Organization/x");
    assert_eq!((said(&world, &order, 3), world.run(&order).1), (json!("overdue"), false));
    world.check_histories();
}

#[test]
fn nobody_is_late_whose_claim_ran_out_when_the_order_was_revoked() {
    let wait = after_with("first", "offsetRange", within(0, 3));
    let mut policy = policy_of("ServiceRequest", json!([step("first", json!({})), step("later", wait)]));
    policy.leases.1 = Some(Duration::from_secs(60));
    let mut world = World::with(policy);
    let order = world.submit(referral());
    world.does(&order, 2, "Organization/x");
    world.report(&order, 3, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&order, 3, "Organization/x", Act::InProgress, 2).unwrap();
    world.set_status(&order, "revoked").unwrap();
    world.passes(61);
    assert_eq!(world.newest(&order, 3).unwrap().text("status"), Some("failed"));
    assert!(!world.run(&order).1, "no time is waited for any more");
    world.check_histories();
}

#[test]
fn an_end_can_be_counted_from_another_end() {
    let both = json!({ "relatedAction": [{
        "actionId": "first",
        "relationship": "after-start",
        "endRelationship": "after-end",
        "offsetRange": within(0, 2),
    }] });
    let mut world = world_of(json!([step("first", json!({})), step("along", both)]));
    let order = world.submit(referral());
    world.report(&order, 2, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&order, 2, "Organization/x", Act::InProgress, 2).unwrap();
    assert_eq!(world.states(&order), "0 in-progress, 2 in-progress, 3 requested");
    let first = until(&world, &order, 3);
    world.passes(HOUR);
    world.report(&order, 2, "Organization/x", Act::Completed, 3).unwrap();
    assert_eq!(until(&world, &order, 3), first, "the earlier bound holds");
    world.passes(HOUR + 1);
    assert_eq!(said(&world, &order, 3), "overdue");

    let end = json!({ "relatedAction": [{ "actionId": "along", "relationship": "before-end", "offsetRange": within(0, 2) }] });
    let mut world = world_of(json!([step("first", end), step("along", json!({}))]));
    let order = world.submit(referral());
    assert_eq!(until(&world, &order, 3), Value::Null);
    world.does(&order, 2, "Organization/x");
    assert!(until(&world, &order, 3).is_string(), "now it is known by when");
    world.passes(2 * HOUR + 1);
    assert_eq!(said(&world, &order, 3), "overdue");
    world.check_histories();
}

/// The order has failed, and ends when what was done of its unit is undone.
#[test]
fn who_is_let_run_at_the_end_keeps_to_its_time() {
    let undone = json!([{ "url": "urn:fhir-workflow-hub:extension:undone-by", "valueString": "no-bed" }]);
    let unit = json!({
        "id": "unit",
        "selectionBehavior": "all-or-none",
        "action": [step("bed", json!({ "extension": undone })), step("surgeon", json!({}))],
    });
    let end = json!({ "relatedAction": [{ "actionId": "along", "relationship": "before-end", "offsetRange": within(0, 2) }] });
    // 2 unit, 3 bed, 4 surgeon, 5 first, 6 along, 7 no bed
    let actions = json!([unit, step("first", end), step("along", json!({})), step("no-bed", json!({}))]);
    let mut world = world_of(actions);
    let order = world.submit(referral());
    world.does(&order, 3, "Organization/x");
    for step in [5, 6] {
        world.report(&order, step, "Organization/x", Act::Claim, 1).unwrap();
        world.report(&order, step, "Organization/x", Act::InProgress, 2).unwrap();
    }
    fails(&mut world, &order, 4);
    assert_eq!(until(&world, &order, 6), Value::Null);
    world.report(&order, 5, "Organization/x", Act::Completed, 3).unwrap();
    assert!(until(&world, &order, 6).is_string(), "now it is known by when");
    world.passes(2 * HOUR + 1);
    assert_eq!(said(&world, &order, 6), "overdue");
    world.check_histories();
}

/// The bed is offered again only to be taken away with its unit.
#[test]
fn what_is_on_offer_for_a_moment_at_the_end_moves_no_deadline() {
    let bed = step("bed", json!({ "extension": undone_by("no-bed") }));
    let unit = json!({ "id": "unit", "selectionBehavior": "all-or-none", "action": [bed, step("surgeon", json!({}))] });
    let wait = related("bed", "concurrent-with-start", "offsetRange", within(0, 4));
    let mut world = world_of(json!([unit, step("along", wait), step("no-bed", json!({}))]));
    let order = world.submit(referral());
    // 2 unit, 3 bed, 4 surgeon, 5 along, 6 no bed
    world.report(&order, 3, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&order, 5, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&order, 5, "Organization/x", Act::InProgress, 2).unwrap();
    let end = until(&world, &order, 5);
    fails(&mut world, &order, 4);
    world.passes(HOUR);
    world.report(&order, 3, "Organization/x", Act::Failed, 2).unwrap();
    assert!(world.states(&order).starts_with("0 failed"));
    assert_eq!(until(&world, &order, 5), end);
}

#[test]
fn nothing_is_early_for_what_does_not_come_any_more() {
    let later = json!({ "id": "later", "selectionBehavior": "any", "action": [step("a", json!({}))],
        "relatedAction": after_with("first", "offsetDuration", hours(0))["relatedAction"] });
    let end = json!({ "relatedAction": [{
        "actionId": "later", "relationship": "before-end", "endRelationship": "after-end",
    }] });
    let mut world = world_of(json!([step("first", json!({})), later, step("along", end)]));
    let order = world.submit(referral());
    // 2 first, 3 later, 4 a, 5 along
    world.report(&order, 5, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&order, 5, "Organization/x", Act::InProgress, 2).unwrap();
    let mut goes_on = world.clone();
    goes_on.report(&order, 5, "Organization/x", Act::Completed, 3).unwrap();
    assert_eq!(said(&goes_on, &order, 5), "early");
    world.set_status(&order, "completed").unwrap();
    world.report(&order, 5, "Organization/x", Act::Completed, 3).unwrap();
    assert_eq!(said(&world, &order, 5), Value::Null);
}

#[test]
fn a_cycle_is_done_as_often_as_it_says_and_each_time_waits_for_its_own() {
    let cycle = json!({
        "id": "cycle",
        "timingTiming": { "repeat": { "count": 2, "period": 21, "periodUnit": "d" } },
        "action": [
            step("give", json!({ "extension": [{
                "url": "http://hl7.org/fhir/StructureDefinition/timing-daysOfCycle",
                "extension": [{ "url": "day", "valueInteger": 1 }, { "url": "day", "valueInteger": 8 }],
            }] })),
            step("look", json!({ "relatedAction": [{ "targetId": "give", "relationship": "after-end" }] })),
        ],
    });
    let after = json!({ "relatedAction": [{ "targetId": "cycle", "relationship": "after-end" }] });
    let mut world = world_of(json!([cycle, step("report", after)]));
    let order = world.submit(referral());
    // 2 all cycles; 3 the first, 4 its giving on 5 and 6, 7 look; 8 the second, 9 its giving on 10 and 11, 12 look.
    let states = "0 requested, 5 requested, 6 draft, 7 draft, 10 draft, 11 draft, 12 draft, 13 draft";
    assert_eq!(world.states(&order), states);
    world.does(&order, 5, "Organization/x");
    world.passes(7 * 24 * HOUR + 1);
    world.does(&order, 6, "Organization/x");
    world.does(&order, 7, "Organization/x");
    let states = "0 in-progress, 5 completed, 6 completed, 7 completed, 10 draft, 11 draft, 12 draft, 13 draft";
    assert_eq!(world.states(&order), states);
    world.passes(14 * 24 * HOUR);
    assert!(world.states(&order).ends_with("10 requested, 11 draft, 12 draft, 13 draft"));
    world.does(&order, 10, "Organization/x");
    world.passes(7 * 24 * HOUR);
    for number in [11, 12, 13] {
        world.does(&order, number, "Organization/x");
    }
    assert!(world.states(&order).starts_with("0 completed"));
    world.check_histories();
}

#[test]
fn a_step_is_done_at_its_events() {
    let at = json!({ "timingTiming": { "event": ["2026-09-22", "2026-09-23"] } });
    let mut world = world_of(json!([step("at", at)]));
    let order = world.submit(referral());
    assert_eq!(world.states(&order), "0 requested, 3 draft, 4 draft");
    world.passes(12 * HOUR);
    assert_eq!(world.states(&order), "0 requested, 3 requested, 4 draft");
    world.passes(24 * HOUR);
    assert_eq!(world.states(&order), "0 requested, 3 requested, 4 requested");
}

#[test]
fn a_step_is_done_on_its_days_and_at_its_times() {
    // The world begins on Monday 2026-09-21, at 14:13:20.
    let mut world = world_of(json!([step(
        "give",
        json!({ "timingTiming": { "repeat": {
        "count": 3, "dayOfWeek": ["mon", "tue"], "timeOfDay": ["08:00:00", "20:00:00"] } } })
    )]));
    let order = world.submit(referral());
    let mut given = Vec::new();
    for hour in 1..=10 * 24 {
        for step in 2..=5 {
            if world.newest(&order, step).is_some_and(|task| task.text("status") == Some("requested")) {
                given.push(hour);
                world.does(&order, step, "Organization/x");
            }
        }
        world.passes(HOUR);
    }
    // Monday's morning is over: it begins on Tuesday, and goes on in the next week.
    assert_eq!(given, [19, 31, 19 + 6 * 24]);
    assert_eq!(world.status_of(&order), "completed");
}

fn notices(world: &World) -> Vec<Value> {
    let notices = world.all("Communication").into_iter();
    notices.map(|notice| Value::Object(notice.body.clone().into_body())).collect()
}

#[test]
fn the_placer_is_told_of_a_step_that_is_late_however_often_that_is_offered() {
    let wait = after_with("first", "offsetRange", within(0, 1));
    let mut world = world_of(json!([step("first", json!({})), step("later", wait)]));
    let mut request = referral();
    request[0]["requester"] = json!({ "reference": "Practitioner/1" });
    let order = world.submit(request);
    world.does(&order, 2, "Organization/x");
    world.passes(2 * HOUR);
    let told = notices(&world);
    let notice = told[0].as_object().unwrap().clone();
    assert_eq!(schemas::gate::check(&notice, Some("Communication")), Ok(()));
    assert_eq!(
        (&notice["basedOn"][0]["reference"], &notice["subject"]["reference"]),
        (&json!(order), &json!("Patient/1"))
    );
    assert_eq!(notice["about"][0]["reference"], format!("Task/{}", world.step_of(&order, 3)["id"].as_str().unwrap()));
    assert_eq!(notice["partOf"][0]["reference"], format!("Task/{}", world.step_of(&order, 0)["id"].as_str().unwrap()));
    assert_eq!(notice["recipient"][0]["reference"], "Practitioner/1");
    assert_eq!((&notice["topic"]["coding"][0]["code"], &notice["status"]), (&json!("overdue"), &json!("completed")));
    world.report(&order, 3, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&order, 3, "Organization/x", Act::Failed, 2).unwrap();
    assert_eq!(world.offer_of(&order, 3, 2)["businessStatus"]["coding"][0]["code"], "overdue");
    world.passes(HOUR);
    assert_eq!(notices(&world).len(), 1, "that was said");
}

#[test]
fn what_is_late_when_it_is_offered_is_told_at_once_and_once() {
    let mut world = world_of(json!([step("past", json!({ "timingPeriod": { "end": "2026-09-20" } }))]));
    let order = world.submit(referral());
    assert_eq!(said(&world, &order, 2), "overdue");
    world.does(&order, 2, "Organization/x");
    world.passes(HOUR);
    assert_eq!(notices(&world).len(), 1);
}

#[test]
fn what_ends_sooner_than_it_should_is_told_and_stays_done() {
    // What follows the other's end by an hour at least.
    let end = json!({ "relatedAction": [{
        "actionId": "first", "relationship": "after-start", "endRelationship": "after-end", "offsetRange": within(1, 9),
    }] });
    let mut world = world_of(json!([step("first", json!({})), step("along", end)]));
    let order = world.submit(referral());
    world.report(&order, 2, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&order, 2, "Organization/x", Act::InProgress, 2).unwrap();
    world.passes(HOUR + 1);
    let mut too_soon = world.clone();
    too_soon.does(&order, 3, "Organization/y");
    assert_eq!(said(&too_soon, &order, 3), "early", "the other has not ended");
    assert_eq!(too_soon.states(&order), "0 in-progress, 2 in-progress, 3 completed");
    assert_eq!(notices(&too_soon)[0]["topic"]["coding"][0]["code"], "early");
    world.report(&order, 2, "Organization/x", Act::Completed, 3).unwrap();
    world.passes(HOUR - 60);
    too_soon = world.clone();
    too_soon.does(&order, 3, "Organization/y");
    assert_eq!((said(&too_soon, &order, 3), too_soon.status_of(&order)), (json!("early"), "completed".to_owned()));
    world.passes(120);
    world.does(&order, 3, "Organization/y");
    assert_eq!((said(&world, &order, 3), notices(&world)), (Value::Null, Vec::new()));
    world.check_histories();
    too_soon.check_histories();
}

#[test]
fn a_group_ends_too_soon_with_the_last_that_it_needs() {
    let before = json!({ "relatedAction": [{ "actionId": "group", "relationship": "before-end" }] });
    let group = json!({ "id": "group", "action": [step("a", json!({})), step("b", json!({}))] });
    let mut world = world_of(json!([step("first", before), group]));
    let order = world.submit(referral());
    world.does(&order, 4, "Organization/x");
    assert_eq!(said(&world, &order, 4), Value::Null, "the group goes on");
    let mut in_time = world.clone();
    world.does(&order, 5, "Organization/x");
    assert_eq!(said(&world, &order, 5), "early");
    in_time.does(&order, 2, "Organization/x");
    in_time.does(&order, 5, "Organization/x");
    assert_eq!(said(&in_time, &order, 5), Value::Null);
}
