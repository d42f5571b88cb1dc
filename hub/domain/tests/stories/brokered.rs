//! Orders that the hub offers to one service of its directory after another.

use crate::plans::{step, world_of};
use crate::world::{World, referral};
use hub_domain::command::Caller;
use hub_domain::decide::Policy;
use hub_domain::workflow::{Catalogue, Offered};
use schemas::message::Act;
use serde_json::{Value, json};

/// A world whose plan offers both of its steps, one after the other, to one service.
fn world(answer_within_s: Option<u32>) -> World {
    let mut marks = vec![json!({ "url": "urn:fhir-workflow-hub:extension:from-directory", "valueBoolean": true })];
    marks.extend(answer_within_s.map(|s| {
        json!({ "url": "urn:fhir-workflow-hub:extension:answer-within", "valueDuration": { "value": s, "code": "s" } })
    }));
    let role = json!({ "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] });
    let step = |id: &str| json!({ "id": id, "participant": [{ "role": role }] });
    let mut then = step("then");
    then["relatedAction"] = json!([{ "actionId": "first", "relationship": "after-end" }]);
    let plan = json!({
        "resourceType": "PlanDefinition",
        "url": "urn:test:plan",
        "status": "active",
        "action": [{
            "id": "whole",
            "extension": marks,
            "trigger": [{ "type": "data-added", "data": [{ "type": "ServiceRequest" }] }],
            "action": [step("first"), then],
        }],
    });
    let plans = vec![Offered::read(&plan.to_string()).unwrap()];
    World::with(Policy { catalogue: Catalogue::new(plans).unwrap(), ..Policy::default() })
}

fn concept(code: &str) -> Value {
    json!({ "coding": [{ "system": "urn:services", "code": code }] })
}

fn wants(code: &str) -> Vec<Value> {
    let mut request = referral();
    request[0]["code"] = concept(code);
    request
}

/// A service that an organization of this name provides; its reference.
fn provides(world: &mut World, organization: &str, elements: Value) -> String {
    let mut service = json!({
        "resourceType": "HealthcareService",
        "type": [concept("skin")],
        "providedBy": { "reference": organization },
    });
    for (name, value) in elements.as_object().unwrap() {
        service[name] = value.clone();
    }
    world.create(service, Caller::Local).unwrap()
}

#[test]
fn what_one_service_refuses_the_next_is_asked_for_and_it_does_the_rest() {
    let mut world = world(None);
    provides(&mut world, "Organization/a", json!({}));
    provides(&mut world, "Organization/b", json!({}));
    let order = world.submit(wants("skin"));
    assert_eq!(world.owner(&order, 2).as_deref(), Some("Organization/a"));
    assert!(world.report(&order, 2, "Organization/b", Act::Claim, 1).is_err(), "it is not its turn");
    world.report(&order, 2, "Organization/a", Act::Rejected, 1).unwrap();
    assert_eq!(world.states(&order), "0 requested, 2 rejected, 2.2 requested, 3 draft");
    for (n, act) in [Act::Claim, Act::InProgress, Act::Completed].into_iter().enumerate() {
        world.report_offer(&order, 2, 2, "Organization/b", act, n as u32 + 1).unwrap();
    }
    assert_eq!(world.owner(&order, 3).as_deref(), Some("Organization/b"), "what it has begun it goes on with");
    world.report(&order, 3, "Organization/b", Act::Rejected, 1).unwrap();
    assert_eq!(world.states(&order), "0 failed, 2 rejected, 2.2 completed, 3 rejected");
    world.check_histories();
}

#[test]
fn when_nobody_is_left_the_order_says_so() {
    let mut world = world(None);
    provides(&mut world, "Organization/a", json!({}));
    let order = world.submit(wants("skin"));
    world.report(&order, 2, "Organization/a", Act::Rejected, 1).unwrap();
    assert_eq!(world.states(&order), "0 rejected, 2 rejected, 3 cancelled");
    assert_eq!(world.step_of(&order, 0)["statusReason"]["coding"][0]["code"], "nobody-left");
    let order = world.submit(wants("bones"));
    assert_eq!(world.states(&order), "0 rejected, 2 cancelled");
    assert_eq!(world.step_of(&order, 0)["statusReason"]["coding"][0]["code"], "nobody-left");
    world.check_histories();
}

#[test]
fn only_what_fits_and_can_be_reached_is_asked() {
    let mut world = world(None);
    let closed = json!({ "resourceType": "Organization", "active": false });
    let closed = world.create(closed, Caller::Local).unwrap();
    let off = json!({ "resourceType": "Endpoint", "status": "off", "address": "https://b.example",
                      "connectionType": { "code": "hl7-fhir-rest" }, "payloadType": [{ "text": "any" }] });
    let off = world.create(off, Caller::Local).unwrap();
    provides(&mut world, &closed, json!({}));
    provides(&mut world, "Organization/b", json!({ "endpoint": [{ "reference": off }] }));
    provides(&mut world, "Organization/c", json!({ "active": false }));
    provides(&mut world, "Organization/d", json!({ "type": [concept("bones")] }));
    provides(&mut world, "Organization/e", json!({ "location": [{ "reference": "Location/south" }] }));
    let at = json!([{ "reference": "Location/north" }]);
    provides(&mut world, "Organization/f", json!({ "location": at, "specialty": [concept("children")] }));
    let mut request = wants("skin");
    request[0]["locationReference"] = at;
    request[0]["performerType"] = concept("children");
    let order = world.submit(request);
    assert_eq!(world.owner(&order, 2).as_deref(), Some("Organization/f"));
    world.report(&order, 2, "Organization/f", Act::Rejected, 1).unwrap();
    assert_eq!(world.states(&order), "0 rejected, 2 rejected, 3 cancelled", "no other fits");
}

#[test]
fn who_has_no_room_is_not_asked() {
    let mut world = world(None);
    let room = json!({ "extension": [{ "url": "urn:fhir-workflow-hub:extension:capacity", "valuePositiveInt": 1 }] });
    provides(&mut world, "Organization/a", room.clone());
    provides(&mut world, "Organization/b", room);
    let orders: Vec<String> = (0..3).map(|_| world.submit(wants("skin"))).collect();
    let owners: Vec<_> = orders.iter().map(|order| world.owner(order, 2)).collect();
    assert_eq!(owners, [Some("Organization/a".to_owned()), Some("Organization/b".to_owned()), None]);
}

#[test]
fn who_does_not_answer_in_time_is_passed_over() {
    let mut world = world(Some(60));
    provides(&mut world, "Organization/a", json!({}));
    provides(&mut world, "Organization/b", json!({}));
    let order = world.submit(wants("skin"));
    world.passes(61);
    assert_eq!(world.states(&order), "0 requested, 2 cancelled, 2.2 requested, 3 draft");
    assert_eq!(world.step_of(&order, 2)["statusReason"]["coding"][0]["code"], "not-answered");
    world.report_offer(&order, 2, 2, "Organization/b", Act::Claim, 1).unwrap();
    assert_eq!(world.left_over(), None, "its answer is here");
    world.passes(61);
    assert_eq!(world.states(&order), "0 accepted, 2 cancelled, 2.2 accepted, 3 draft", "who has answered keeps it");
    world.check_histories();
}

#[test]
fn an_answer_that_was_put_off_is_waited_for_though_its_timer_fires_once_more() {
    let mut world = world(Some(60));
    provides(&mut world, "Organization/a", json!({}));
    provides(&mut world, "Organization/b", json!({}));
    let order = world.submit(wants("skin"));
    world.set_status(&order, "on-hold").unwrap();
    world.passes(61);
    world.set_status(&order, "active").unwrap();
    // Another hub had seen the same timer due, before it was put off.
    world.fires_again(0);
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft");
    world.passes(61);
    assert_eq!(world.states(&order), "0 requested, 2 cancelled, 2.2 requested, 3 draft");
    world.check_histories();
}

#[test]
fn who_is_named_is_asked_and_the_directory_is_not() {
    let mut world = world(None);
    provides(&mut world, "Organization/a", json!({}));
    let mut request = wants("skin");
    request[0]["performer"] = json!([{ "reference": "Organization/named" }]);
    let order = world.submit(request);
    assert_eq!(world.owner(&order, 2).as_deref(), Some("Organization/named"));
    world.report(&order, 2, "Organization/named", Act::Rejected, 1).unwrap();
    assert_eq!(world.states(&order), "0 rejected, 2 rejected, 3 cancelled");
}

#[test]
fn a_single_step_goes_from_one_service_to_the_next_until_nobody_is_left() {
    let mark = json!([{ "url": "urn:fhir-workflow-hub:extension:from-directory", "valueBoolean": true }]);
    let mut world = world_of(json!([step("a", json!({ "extension": mark }))]));
    let services = ["Organization/a", "Organization/b", "Organization/c"];
    services.into_iter().for_each(|organization| drop(provides(&mut world, organization, json!({}))));
    let order = world.submit(wants("skin"));
    for (offer, who) in (1..).zip(services) {
        world.report_offer(&order, 2, offer, who, Act::Rejected, 1).unwrap();
    }
    assert_eq!(world.states(&order), "0 rejected, 2 rejected, 2.2 rejected, 2.3 rejected");
    world.check_histories();
}
