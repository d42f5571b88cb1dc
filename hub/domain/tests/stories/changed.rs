//! A request that is under way says something else: who has its work is told, and who takes it later takes it as it is now.

use crate::world::{World, laboratory, prescription, referral};
use hub_domain::refusal::RefusalKind;
use schemas::message::Act;
use serde_json::{Value, json};

const CLINIC: &str = "Organization/a";

fn note(text: &str) -> Value {
    json!({ "note": [{ "text": text }] })
}

/// `Task/<order>.<step>`
fn step(order: &str, step: u32) -> String {
    format!("Task/{}.{step}", order.split_once('/').unwrap().1)
}

/// A referral whose triage a clinic has begun.
fn begun() -> (World, String) {
    let mut world = World::new();
    let order = world.submit(referral());
    world.report(&order, 2, CLINIC, Act::Claim, 1).unwrap();
    world.report(&order, 2, CLINIC, Act::InProgress, 2).unwrap();
    (world, order)
}

#[test]
fn whoever_has_the_work_is_told_and_says_whether_it_heeds_that() {
    for (answer, told) in [(Act::Completed, "completed"), (Act::Rejected, "rejected")] {
        let (mut world, order) = begun();
        let published = world.published().len();
        world.set(&order, note("She is free on Mondays")).unwrap();
        let task = world.step_of(&order, 6);
        assert_eq!(task["code"]["coding"][0]["code"], "change");
        assert_eq!(task["focus"]["reference"], format!("{order}/_history/2"), "that version is to be heeded");
        assert_eq!(task["partOf"][0]["reference"], step(&order, 2), "for this work");
        assert_eq!(task["owner"]["reference"], CLINIC);
        assert_eq!(world.published()[published..], ["clinic change"], "it is queued as work is");
        match answer {
            Act::Completed => world.does(&order, 6, CLINIC),
            answer => world.report(&order, 6, CLINIC, answer, 1).unwrap(),
        }
        assert_eq!(world.resource(&step(&order, 6)).text("status"), Some(told));
        assert_eq!(world.resource(&step(&order, 2)).text("status"), Some("in-progress"), "the work goes on");
        world.check_histories();
    }
}

#[test]
fn each_change_is_told_and_none_outlives_the_work() {
    let (mut world, order) = begun();
    world.set(&order, note("On Mondays")).unwrap();
    world.set(&order, note("On Tuesdays")).unwrap();
    assert_eq!(world.step_of(&order, 7)["focus"]["reference"], format!("{order}/_history/3"));
    world.report(&order, 2, CLINIC, Act::Completed, 3).unwrap();
    for asked in [6, 7] {
        let task = world.step_of(&order, asked);
        assert_eq!(
            (&task["status"], &task["statusReason"]["coding"][0]["code"]),
            (&json!("cancelled"), &json!("target-ended"))
        );
    }
    world.check_histories();
}

#[test]
fn what_nobody_has_is_offered_as_it_is_now() {
    let mut world = World::new();
    let order = world.submit(referral());
    world.set(&order, note("On Mondays")).unwrap();
    assert_eq!(world.published(), ["clinic triage", "clinic triage"]);
    assert!(world.newest(&order, 6).is_none(), "nobody is told, for nobody has it");
    let early = world.claims(&order, 2, CLINIC, 1).unwrap_err();
    assert_eq!(early.kind, RefusalKind::Conflict);
    assert!(early.text().contains("offered anew"), "{}", early.text());
    world.claims(&order, 2, CLINIC, 2).unwrap();
    assert_eq!(world.owner(&order, 2).as_deref(), Some(CLINIC));
    world.check_histories();
}

#[test]
fn what_says_nothing_else_of_the_work_tells_nobody() {
    let (mut world, order) = begun();
    let aside = json!({ "text": { "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>" },
                        "meta": { "tag": [{ "code": "seen" }] } });
    world.set(&order, aside).unwrap();
    world.set_status(&order, "on-hold").unwrap();
    assert_eq!(world.step_of(&order, 6)["code"]["coding"][0]["code"], "suspend");
    assert!(world.newest(&order, 7).is_none());
}

/// Told while it is on hold, and not stopped with the holding; on offer again as it is then.
#[test]
fn on_hold_it_is_told_and_offered_again_when_it_goes_on() {
    let (mut world, order) = begun();
    world.set(&order, json!({ "status": "on-hold", "note": [{ "text": "On Mondays" }] })).unwrap();
    let codes = |world: &World| -> Vec<String> {
        let code =
            |n| world.newest(&order, n).map(|task| task.body["code"]["coding"][0]["code"].as_str().unwrap().to_owned());
        (6..10).filter_map(code).collect()
    };
    assert_eq!(codes(&world), ["suspend", "change"]);
    world.set_status(&order, "active").unwrap();
    assert_eq!(world.status_of(&step(&order, 6)), "cancelled");
    assert_eq!(world.status_of(&step(&order, 7)), "requested");

    let mut world = World::new();
    let order = world.submit(laboratory());
    world.set(&order, json!({ "status": "on-hold", "note": [{ "text": "On Mondays" }] })).unwrap();
    assert_eq!(world.published().len(), 1, "nothing is on offer now");
    world.set_status(&order, "active").unwrap();
    assert!(world.claims(&order, 2, CLINIC, 1).is_err());
    world.claims(&order, 2, CLINIC, 2).unwrap();
}

/// Of an order of several requests only the work of that one is concerned, and what is for all of them.
#[test]
fn only_the_work_of_that_request_is_told() {
    let mut world = World::new();
    let order = world.submit(prescription(2));
    let steps: Vec<u32> = (1..10).filter(|n| world.newest(&order, *n).is_some()).collect();
    for step in &steps {
        if world.newest(&order, *step).unwrap().text("status") == Some("requested") {
            world.report(&order, *step, CLINIC, Act::Claim, 1).unwrap();
        }
    }
    let before = world.states(&order);
    let items = world.requests(&order);
    world.set(&items[1], note("With food")).unwrap();
    let after = world.states(&order);
    let told: Vec<&str> = after.strip_prefix(&before).unwrap().split(", ").filter(|state| !state.is_empty()).collect();
    let about = |state: &&str| {
        let task = world.step_of(&order, state.split(' ').next().unwrap().parse().unwrap());
        let work = task["partOf"][0]["reference"].as_str().unwrap().to_owned();
        (task["focus"]["reference"].clone(), world.resource(&work).body["focus"].clone())
    };
    assert!(!told.is_empty(), "{before}");
    for (focus, of) in told.iter().map(about) {
        assert_eq!(focus, json!(format!("{}/_history/2", items[1])));
        assert_ne!(of["reference"], json!(items[0]), "that is another item's work");
    }
}
