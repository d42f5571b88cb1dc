//! Steps that apply, begin and stop by what their requests and Tasks say.

use crate::plans::{after, fails, policy_of, step, undone_by, world_of};
use crate::world::{World, laboratory, prescription, referral};
use hub_domain::decide::Policy;
use schemas::message::Act;
use serde_json::{Value, json};

fn when(kind: &str, expression: &str) -> Value {
    json!({ "condition": [{ "kind": kind, "expression": { "language": "text/fhirpath", "expression": expression } }] })
}

#[test]
fn what_does_not_apply_is_no_part_of_the_order() {
    let has_category = when("applicability", "category.exists()");
    let mut world = world_of(json!([
        step("always", json!({})),
        step("of-category", has_category.clone()),
        step("then", after("of-category")),
    ]));
    let without = world.submit(referral());
    assert_eq!(world.states(&without), "0 requested, 2 requested, 4 requested", "nobody waits for what is not there");
    let with = world.submit(laboratory());
    assert_eq!(world.states(&with), "0 requested, 2 requested, 3 requested, 4 draft");
    world.does(&without, 2, "Organization/x");
    world.does(&without, 4, "Organization/x");
    assert_eq!(world.states(&without), "0 completed, 2 completed, 4 completed");
    world.check_histories();
}

#[test]
fn of_several_all_must_hold_or_one_is_enough() {
    let conditions = json!([
        when("applicability", "category.exists()")["condition"][0],
        when("applicability", "code.exists()")["condition"][0],
    ]);
    let all = step("all", json!({ "condition": conditions }));
    let any = step("any", json!({ "condition": conditions, "applicabilityBehavior": "any" }));
    let mut world = world_of(json!([all, any]));
    let order = world.submit(referral());
    assert_eq!(world.states(&order), "0 requested, 3 requested");
}

#[test]
fn an_order_of_which_nothing_applies_is_complete() {
    let mut world = world_of(json!([step("never", when("applicability", "false"))]));
    let order = world.submit(referral());
    assert_eq!(world.states(&order), "0 completed");
    world.check_histories();
}

#[test]
fn a_step_begins_when_its_request_says_so() {
    let mut world = world_of(json!([step("agreed", when("start", "note.exists()"))]));
    let order = world.submit(referral());
    assert_eq!(world.states(&order), "0 requested, 2 draft");
    world.set(&order, json!({ "note": [{ "text": "agreed" }] })).unwrap();
    assert_eq!(world.states(&order), "0 requested, 2 requested");
    world.set(&order, json!({ "note": [{ "text": "again" }] })).unwrap();
    assert_eq!(world.states(&order), "0 requested, 2 requested");
}

#[test]
fn a_step_begins_by_what_another_brought() {
    let found = when("start", "%tasks.where(description = 'first').businessStatus.text = 'found'");
    let mut world = world_of(json!([step("first", json!({})), step("second", found)]));
    let order = world.submit(referral());
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft");
    let task = format!("Task/{}", world.step_of(&order, 2)["id"].as_str().unwrap());
    world.set(&task, json!({ "businessStatus": { "text": "found" } })).unwrap();
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 requested");
}

#[test]
fn a_step_that_is_to_stop_is_not_wanted_any_more() {
    let mut world = world_of(json!([
        step("first", json!({})),
        step("until", when("stop", "note.exists()")),
        step("then", after("until")),
    ]));
    let order = world.submit(referral());
    world.set(&order, json!({ "note": [{ "text": "enough" }] })).unwrap();
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 cancelled, 4 requested");
    assert_eq!(world.step_of(&order, 3)["statusReason"]["coding"][0]["code"], "stop-condition");
    world.does(&order, 2, "Organization/x");
    world.does(&order, 4, "Organization/x");
    assert_eq!(world.states(&order), "0 completed, 2 completed, 3 cancelled, 4 completed");

    let order = world.submit(referral());
    world.report(&order, 3, "Organization/x", Act::Claim, 1).unwrap();
    world.report(&order, 3, "Organization/x", Act::InProgress, 2).unwrap();
    world.set(&order, json!({ "note": [{ "text": "enough" }] })).unwrap();
    let asked = "0 in-progress, 2 requested, 3 in-progress, 4 requested, 5 requested";
    assert_eq!(world.states(&order), asked, "who has begun is asked to stop");
    world.set(&order, json!({ "note": [{ "text": "really" }] })).unwrap();
    assert_eq!(world.states(&order), asked, "once");
    world.check_histories();
}

/// Neither what never applied nor what undoes another keeps a group from its end.
#[test]
fn what_has_come_to_its_end_is_not_stopped_any_more() {
    let mut tests = when("stop", "note.exists()");
    (tests["id"], tests["action"]) = (
        "tests".into(),
        json!([step("never", when("applicability", "false")), step("image", json!({})), step("no-bed", json!({}))]),
    );
    let bed = step("bed", json!({ "extension": undone_by("no-bed") }));
    let unit = json!({
        "id": "unit",
        "selectionBehavior": "all-or-none",
        "requiredBehavior": "could",
        "action": [bed, step("nurse", json!({})), tests],
    });
    let mut world = world_of(json!([unit, step("beside", json!({}))]));
    let order = world.submit(referral());
    // 2 unit, 3 bed, 4 nurse, 5 tests, 6 never, 7 image, 8 no bed
    world.does(&order, 3, "Organization/x");
    world.report(&order, 4, "Organization/x", Act::Claim, 1).unwrap();
    fails(&mut world, &order, 7);
    world.set(&order, json!({ "note": [{ "text": "enough" }] })).unwrap();
    world.report(&order, 4, "Organization/x", Act::Completed, 2).unwrap();
    assert!(world.states(&order).contains("8 requested"), "the image is missed all the same, and the bed not needed");
    world.check_histories();
}

#[test]
fn conditions_see_whom_the_order_is_for_as_far_as_that_is_here() {
    let mut world = world_of(json!([
        step("women", when("applicability", "%subject.gender = 'female'")),
        step("all", when("applicability", "%encounter.empty() and %requests.code.exists()")),
    ]));
    let patient = json!({ "resourceType": "Patient", "gender": "female" });
    let patient = world.create(patient, hub_domain::command::Caller::Local).unwrap();
    let mut request = referral();
    request[0]["subject"] = json!({ "reference": patient });
    let order = world.submit(request);
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 requested");
    let order = world.submit(referral());
    assert_eq!(world.states(&order), "0 requested, 3 requested", "who is not here is nothing");
}

#[test]
fn each_item_is_asked_by_itself() {
    let mut each = step("each", when("applicability", "priority = 'urgent'"));
    each["extension"] = json!([{ "url": "urn:fhir-workflow-hub:extension:per-item", "valueBoolean": true }]);
    let mut world = world_of_prescriptions(json!([each]));
    let mut items = prescription(2);
    items[1]["priority"] = "urgent".into();
    let order = world.submit(items);
    assert_eq!(world.states(&order), "0 requested, 3 requested");
}

#[test]
fn what_is_for_all_requests_goes_by_the_first_that_has_not_ended() {
    for end in ["cancelled", "completed"] {
        let mut world = world_of_prescriptions(json!([step("all", when("start", "priority = 'urgent'"))]));
        let mut items = prescription(2);
        items[1]["priority"] = "urgent".into();
        let order = world.submit(items);
        assert_eq!(world.states(&order), "0 requested, 2 draft");
        world.set_status(&order, end).unwrap();
        assert_eq!(world.states(&order), "0 requested, 2 requested", "{end}");
    }
}

fn world_of_prescriptions(actions: Value) -> crate::world::World {
    crate::plans::world_started_by("MedicationRequest", actions)
}

/// Where references are checked it is known that a patient is here before anybody has read what it says.
#[test]
fn whom_the_order_is_for_is_seen_also_where_references_are_checked() {
    let of_women = step("of-women", when("applicability", "%subject.gender = 'female'"));
    let policy = policy_of("ServiceRequest", json!([step("always", json!({})), of_women]));
    let mut world = World::with(Policy { strict_references: true, ..policy });
    let patient = world.submit(vec![json!({ "resourceType": "Patient", "gender": "female" })]);
    let mut request = referral();
    request[0]["subject"] = json!({ "reference": patient });
    let order = world.submit(request);
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 requested");
}
