//! Times that are counted from a point outside of the plan: an age, and R6's relative times.

use crate::plans::{after, step, world_of};
use crate::world::{World, referral};
use hub_domain::command::Caller;
use schemas::gate;
use serde_json::{Value, json};

// The world begins on 2026-09-21, at 14:13:20.
const HOUR: u64 = 3600;

fn of(value: u32, code: &str) -> Value {
    json!({ "value": value, "unit": code, "system": "http://unitsofmeasure.org", "code": code })
}

/// A referral of somebody who was born then.
fn born(world: &mut World, date: &str) -> Value {
    let patient = json!({ "resourceType": "Patient", "birthDate": date });
    let patient = world.create(patient, Caller::Local).unwrap();
    let mut request = referral().remove(0);
    request["subject"] = json!({ "reference": patient });
    request
}

/// An R5 orchestration of one step with this time, as the R4 that is kept.
fn orchestration(actions: Value) -> Value {
    let said = json!({
        "resourceType": "RequestOrchestration", "status": "active", "intent": "order",
        "contained": [{ "resourceType": "ServiceRequest", "id": "look", "status": "active", "intent": "option",
            "code": { "concept": { "text": "Look" } }, "subject": { "reference": "Patient/1" } }],
        "subject": { "reference": "Patient/1" }, "authoredOn": "2026-09-21T12:00:00Z", "action": actions,
    });
    let said = said.as_object().unwrap().clone();
    assert_eq!(gate::check_r5(&said, Some("RequestOrchestration")), Ok(()));
    Value::Object(gate::to_r4(&said))
}

fn look(id: &str, time: Value) -> Value {
    json!({ "linkId": id, "resource": { "reference": "#look" }, "timingRelativeTime": time })
}

#[test]
fn an_age_is_waited_for_and_what_that_is_was_found_at_the_start() {
    let mut world = world_of(json!([
        step("now", json!({ "timingAge": of(17, "a") })),
        step("grown", json!({ "timingAge": of(18, "a") })),
    ]));
    let request = born(&mut world, "2008-09-22");
    let patient = request["subject"]["reference"].as_str().unwrap().to_owned();
    let order = world.create(request, Caller::Local).unwrap();
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft");
    world.set(&patient, json!({ "birthDate": "2007-01-01" })).unwrap();
    world.does(&order, 2, "Organization/x");
    world.passes(9 * HOUR);
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 draft", "as it was when the order started");
    world.passes(HOUR);
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 requested");
}

#[test]
fn an_order_whose_times_count_from_what_nobody_knows_is_refused_and_not_kept() {
    let aged = |rest: Value| {
        let mut aged = step("aged", rest);
        aged["timingAge"] = of(18, "a");
        json!([step("first", json!({})), aged])
    };
    let mut world = world_of(aged(json!({})));
    let refused = world.create(referral().remove(0), Caller::Local).unwrap_err();
    assert_eq!(refused.issues[0].path, "PlanDefinition.action[0].action[1].timingAge");
    assert!(refused.issues[0].text.contains("%subject.birthDate of the request"), "{}", refused.issues[0].text);
    assert!(world.all("ServiceRequest").is_empty() && world.all("Task").is_empty());
    let unborn = json!({ "resourceType": "Patient", "gender": "female" });
    let patient = world.create(unborn, Caller::Local).unwrap();
    let mut request = referral().remove(0);
    request["subject"] = json!({ "reference": patient });
    assert!(world.create(request, Caller::Local).is_err());

    let known = json!({ "expression": "%subject.birthDate.exists()" });
    let mut world = world_of(aged(json!({ "condition": [{ "kind": "applicability", "expression": known }] })));
    let order = world.submit(referral());
    assert_eq!(world.states(&order), "0 requested, 2 requested", "what does not apply needs no age");
}

#[test]
fn a_relative_time_is_counted_from_an_element_of_a_resource_or_of_the_request() {
    let mut world = World::new();
    let visit = json!({ "resourceType": "Encounter", "status": "planned", "class": { "code": "AMB" },
        "period": { "start": "2026-09-21T15:00:00Z" } });
    let visit = world.create(visit, Caller::Local).unwrap();
    let window = json!({ "low": of(1, "h"), "high": of(4, "h") });
    let mut sent = orchestration(json!([
        look(
            "visit",
            json!({ "contextReference": { "reference": visit }, "contextPath": "period.start",
            "offsetRange": window })
        ),
        look(
            "admitted",
            json!({ "contextCode": { "coding": [{ "system": "http://hl7.org/fhir/evidence-variable-event",
            "code": "hospital-admission" }] } })
        ),
        look("written", json!({ "contextPath": "authoredOn", "offsetDuration": of(3, "h") })),
        look(
            "begun",
            json!({ "contextCode": { "coding": [{ "system": "http://hl7.org/fhir/evidence-variable-event",
            "code": "treatment-start" }] }, "offsetDuration": of(1, "h") })
        ),
    ]));
    sent["encounter"] = json!({ "reference": visit });
    let order = world.create(sent, Caller::Local).unwrap();
    assert_eq!(world.states(&order), "0 requested, 1 draft, 2 draft, 3 draft, 4 draft");
    let mut begun = Vec::new();
    for quarter in 1..=8 {
        world.passes(HOUR / 4);
        let is_new = |world: &World, begun: &[(u32, u64)], step| {
            let is_offered = world.step_of(&order, step)["status"] == "requested";
            is_offered && !begun.iter().any(|(known, _)| *known == step)
        };
        for step in 1..=4 {
            if is_new(&world, &begun, step) {
                begun.push((step, quarter));
            }
        }
    }
    // Counted in quarters of an hour from 14:13: 15:00 is after three of them.
    assert_eq!(begun, [(2, 4), (3, 4), (4, 4), (1, 8)]);
    assert_eq!(world.step_of(&order, 1)["restriction"]["period"]["end"], "2026-09-21T19:00:00.000Z");
}

#[test]
fn a_relative_time_may_be_counted_from_an_action_and_is_a_wait_like_any_other() {
    let from = |id: &str, path: Option<&str>| {
        let mut time = json!({ "contextCode": { "coding": [{ "system": "urn:fhir-workflow-hub:action", "code": id }] },
            "offsetDuration": of(2, "h") });
        path.into_iter().for_each(|path| time["contextPath"] = path.into());
        json!({ "timingRelativeTime": time })
    };
    let mut world = world_of(json!([step("first", json!({})), step("later", from("first", None))]));
    let order = world.submit(referral());
    world.does(&order, 2, "Organization/x");
    world.passes(2 * HOUR - 60);
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 draft");
    world.passes(120);
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 requested");

    let mut world = world_of(json!([step("first", json!({})), step("later", from("first", Some("start")))]));
    let order = world.submit(referral());
    world.passes(3 * HOUR);
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft");
    world.does(&order, 2, "Organization/x");
    world.passes(2 * HOUR + 1);
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 requested");
}

#[test]
fn what_a_running_orchestration_counts_from_stays_as_it_was_found() {
    let started = json!({ "coding": [{ "system": "http://hl7.org/fhir/evidence-variable-event",
        "code": "treatment-start" }] });
    let actions = |hours: u32, first: Value| {
        let later = json!({ "contextCode": started, "offsetDuration": of(hours, "h") });
        json!([look("first", first), look("later", later)])
    };
    let at_once = json!({ "contextPath": "authoredOn" });
    let mut world = World::new();
    let order = world.create(orchestration(actions(5, at_once.clone())), Caller::Local).unwrap();
    assert_eq!(world.states(&order), "0 requested, 1 requested, 2 draft");
    world.passes(HOUR);
    let sent = orchestration(actions(2, at_once));
    world.set(&order, json!({ "action": sent["action"] })).unwrap();
    assert_eq!(world.states(&order), "0 requested, 1 requested, 2 draft");
    world.passes(HOUR - 60);
    assert_eq!(world.states(&order), "0 requested, 1 requested, 2 draft");
    world.passes(120);
    assert_eq!(
        world.states(&order),
        "0 requested, 1 requested, 2 requested",
        "two hours after the start, not after now"
    );
    let other = orchestration(actions(2, json!({ "contextPath": "authoredOn", "offsetDuration": of(9, "d") })));
    assert!(world.set(&order, json!({ "action": other["action"] })).is_err(), "it was released");
}

#[test]
fn each_day_of_a_cycle_is_counted_from_that_point_too() {
    let days = json!([{ "url": "http://hl7.org/fhir/StructureDefinition/timing-daysOfCycle",
        "extension": [{ "url": "day", "valueInteger": 1 }, { "url": "day", "valueInteger": 3 }] }]);
    let mut world = world_of(json!([step("give", json!({ "timingAge": of(18, "a"), "extension": days }))]));
    let request = born(&mut world, "2008-09-20");
    let order = world.create(request, Caller::Local).unwrap();
    // The second is due on the third day from the birthday on: on the 22nd.
    assert_eq!(world.states(&order), "0 requested, 3 requested, 4 draft");
    world.passes(10 * HOUR);
    assert_eq!(world.states(&order), "0 requested, 3 requested, 4 requested");
}

#[test]
fn the_event_that_starts_a_plan_is_a_point_in_time() {
    let system = "urn:fhir-workflow-hub:event";
    let plan = |trigger: Value| {
        let context = json!({ "coding": [{ "system": system, "code": "discharge" }] });
        let time = json!({ "timingRelativeTime": { "contextCode": context, "offsetDuration": of(1, "h") } });
        json!({
            "resourceType": "PlanDefinition", "url": "urn:test:plan", "status": "active",
            "action": [{ "id": "whole", "trigger": [trigger], "action": [step("visit", time)] }],
        })
    };
    let read = |plan: Value| hub_domain::workflow::Offered::read(&plan.to_string());
    let offered = read(plan(json!({ "type": "named-event", "name": "discharge" }))).unwrap();
    let catalogue = hub_domain::workflow::Catalogue::new(vec![offered]).unwrap();
    let mut world = World::with(hub_domain::decide::Policy { catalogue, ..World::policy() });
    let mut request = referral().remove(0);
    request["meta"] = json!({ "tag": [{ "system": system, "code": "discharge" }] });
    let order = world.create(request, Caller::Local).unwrap();
    assert_eq!(world.states(&order), "0 requested, 2 draft");
    world.passes(HOUR + 1);
    assert_eq!(world.states(&order), "0 requested, 2 requested");
    let faults = read(plan(json!({ "type": "named-event", "name": "birth" }))).unwrap_err();
    assert_eq!(faults[0].path, "PlanDefinition.action[0].action[0].timingRelativeTime.contextCode");
}

#[test]
fn what_no_time_can_be_counted_from_is_refused_with_its_reason() {
    let faults = |time: Value, wait: Value| {
        let mut timed = step("timed", wait);
        timed["timingRelativeTime"] = time;
        let plan = json!({ "resourceType": "PlanDefinition", "url": "urn:test:plan", "status": "active",
            "action": [step("first", after("timed")), timed] });
        let faults = hub_domain::workflow::Offered::read(&plan.to_string()).err().unwrap_or_default();
        faults.into_iter().map(|fault| format!("{}: {}", fault.path, fault.text)).collect::<Vec<_>>()
    };
    let action = |id: &str| json!({ "coding": [{ "system": "urn:fhir-workflow-hub:action", "code": id }] });
    let event =
        |code: &str| json!({ "coding": [{ "system": "http://hl7.org/fhir/evidence-variable-event", "code": code }] });
    let encounter = json!({ "reference": "Encounter/1" });
    let place = "PlanDefinition.action[1].timingRelativeTime";
    let cases = [
        (json!({}), "", "which event it counts from"),
        (json!({ "text": "soon" }), "", "which event it counts from"),
        (json!({ "contextDefinition": "urn:x" }), ".contextDefinition", "which event of this kind"),
        (json!({ "contextReference": encounter }), ".contextPath", "which element"),
        (json!({ "contextReference": { "display": "it" }, "contextPath": "x" }), ".contextReference", "Type/id"),
        (json!({ "contextReference": encounter, "contextCode": event("treatment-start") }), "", "not both"),
        (
            json!({ "contextCode": event("study-start") }),
            ".contextCode",
            "known are treatment-start, hospital-admission",
        ),
        (json!({ "contextCode": { "text": "birth" } }), ".contextCode", "nobody here knows"),
        (json!({ "contextCode": event("treatment-start"), "contextPath": "x" }), ".contextPath", "known where"),
        (json!({ "contextCode": action("first"), "contextPath": "x" }), ".contextPath", "start or its end"),
        (json!({ "contextPath": "x", "offsetDuration": of(1, "mg") }), "", "UCUM"),
    ];
    for (time, element, text) in cases {
        let found = faults(time.clone(), json!({}));
        let is_told = |fault: &String| fault.starts_with(&format!("{place}{element}: ")) && fault.contains(text);
        assert!(found.iter().any(is_told), "{time}: {found:?}");
    }
    let broken = faults(json!({ "contextPath": "period." }), json!({}));
    assert!(broken[0].contains("no FHIRPath"), "{broken:?}");
    let unknown = faults(json!({ "contextCode": action("nobody") }), json!({}));
    assert!(unknown[0].contains("there is no action nobody"), "{unknown:?}");
    let cycle = faults(json!({ "contextCode": action("first") }), json!({}));
    assert!(cycle[0].contains("wait for each other in a cycle"), "{cycle:?}");
}
