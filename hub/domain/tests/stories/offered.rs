//! Plans that are stored: orders start with them as with those of the hub's files, until they are retired.

use crate::world::{World, laboratory, referral};
use hub_domain::command::{Act, Caller, Interaction, On};
use hub_domain::refusal::{Refusal, RefusalKind};
use schemas::resource::Key;
use serde_json::{Value, json};

/// For requests of a type: one step after another.
fn plan(url: &str, of: &str, steps: &[&str]) -> Value {
    let step = |(n, id): (usize, &&str)| {
        let mut step = json!({
            "id": id,
            "participant": [{ "role": { "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] } }],
        });
        if n > 0 {
            step["relatedAction"] = json!([{ "actionId": steps[n - 1], "relationship": "after" }]);
        }
        step
    };
    json!({
        "resourceType": "PlanDefinition", "url": url, "status": "active",
        "action": [{
            "id": "whole",
            "trigger": [{ "type": "data-added", "data": [{ "type": of }] }],
            "action": steps.iter().enumerate().map(step).collect::<Vec<_>>(),
        }],
    })
}

fn device() -> Vec<Value> {
    vec![json!({
        "resourceType": "DeviceRequest", "status": "active", "intent": "order",
        "codeCodeableConcept": { "text": "Hearing aid" }, "subject": { "reference": "Patient/1" },
    })]
}

fn keep(world: &mut World, plan: Value) -> Result<String, Refusal> {
    world.create(plan, Caller::Local)
}

#[test]
fn orders_start_with_a_stored_plan_until_it_is_retired() {
    let mut world = World::new();
    world.submit(device());
    assert_eq!(world.published(), Vec::<String>::new(), "nobody has a plan for it");
    let kept = keep(&mut world, plan("urn:aid", "DeviceRequest", &["measure", "fit"])).unwrap();
    let order = world.submit(device());
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft");
    assert_eq!(world.published(), ["clinic measure"]);

    // Who runs keeps the version that it started with.
    let other = plan("urn:aid", "DeviceRequest", &["only"]);
    world.set(&kept, json!({ "action": other["action"] })).unwrap();
    world.does(&order, 2, "Organization/a");
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 requested");
    let next = world.submit(device());
    assert_eq!(world.states(&next), "0 requested, 2 requested");

    world.set_status(&kept, "retired").unwrap();
    let before = world.published().len();
    world.submit(device());
    assert_eq!(world.published().len(), before);
    world.does(&order, 3, "Organization/a");
    assert_eq!(world.status_of(&order), "completed");
}

#[test]
fn a_draft_starts_nothing_and_a_deleted_one_nothing_more() {
    let mut world = World::new();
    let mut draft = plan("urn:aid", "DeviceRequest", &["fit"]);
    draft["status"] = json!("draft");
    let kept = keep(&mut world, draft).unwrap();
    world.submit(device());
    assert_eq!(world.published().len(), 0);
    world.set_status(&kept, "active").unwrap();
    world.submit(device());
    assert_eq!(world.published().len(), 1);
    let delete = Interaction::Delete { on: On::Key(Key::of_reference(&kept).unwrap()), if_match: None };
    world.commands(Act::alone(delete), Caller::Local).unwrap();
}

#[test]
fn a_stored_plan_takes_the_place_of_one_with_its_url_and_leaves_the_others() {
    let mut world = World::new();
    let mut own = plan("urn:fhir-workflow-hub:plan:referral", "ServiceRequest", &["phone"]);
    let built_in: Value = serde_json::from_str(hub_domain::workflow::BUILT_IN[0].1).unwrap();
    own["url"] = built_in["url"].clone();
    keep(&mut world, own).unwrap();
    let order = world.submit(referral());
    assert_eq!(world.published(), ["clinic phone"]);
    assert_eq!(world.states(&order), "0 requested, 2 requested");
    world.submit(laboratory());
    assert_eq!(world.published()[1], "laboratory collect", "the more specific one is still there");
}

#[test]
fn codes_of_a_choice_are_found_as_paths_call_it() {
    let filter = |path: Option<&str>| {
        let mut plan = plan("urn:aid", "DeviceRequest", &["fit"]);
        let mut filter = json!({ "code": [{ "system": "urn:devices", "code": "aid" }] });
        path.into_iter().for_each(|path| filter["path"] = json!(path));
        plan["action"][0]["trigger"][0]["data"][0]["codeFilter"] = json!([filter]);
        plan
    };
    for (path, code, starts) in [
        (Some("code"), "aid", 1),
        (None, "aid", 1),
        (Some("codeCodeableConcept"), "aid", 1),
        (Some("code"), "other", 0),
        (Some("reasonCode"), "aid", 0),
    ] {
        let mut world = World::new();
        keep(&mut world, filter(path)).unwrap();
        let mut coded = device();
        coded[0]["codeCodeableConcept"]["coding"] = json!([{ "system": "urn:devices", "code": code }]);
        world.submit(coded);
        assert_eq!(world.published().len(), starts, "{path:?} {code}");
    }
}

#[test]
fn a_plan_that_could_not_run_or_leaves_a_doubt_is_not_kept() {
    let mut world = World::new();
    let faulty = |change: &dyn Fn(&mut Value)| {
        let mut plan = plan("urn:aid", "DeviceRequest", &["measure", "fit"]);
        change(&mut plan);
        let refused = keep(&mut World::new(), plan).unwrap_err();
        (refused.kind, refused.issues[0].path.clone())
    };
    let within = |path: &str| (RefusalKind::Unprocessable, format!("PlanDefinition.action{path}"));
    let step = "/action/0/action/1";
    assert_eq!(
        faulty(&|plan| plan.pointer_mut(step).unwrap()["relatedAction"][0]["actionId"] = json!("nobody")),
        within("[0].action[1].relatedAction[0]")
    );
    assert_eq!(
        faulty(&|plan| {
            plan.pointer_mut(step).unwrap().as_object_mut().unwrap().shift_remove("participant");
        }),
        within("[0].action[1].participant")
    );
    let alchemy = json!([{ "role": { "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "alchemy" }] } }]);
    assert_eq!(faulty(&|plan| plan.pointer_mut(step).unwrap()["participant"] = alchemy.clone()), within(""));
    let doubt = keep(&mut world, plan("urn:other", "ServiceRequest", &["phone"])).unwrap_err();
    assert_eq!(doubt.kind, RefusalKind::Conflict, "the built-in referral starts with the same requests");
    keep(&mut world, plan("urn:one", "DeviceRequest", &["fit"])).unwrap();
    assert_eq!(keep(&mut world, plan("urn:two", "DeviceRequest", &["fit"])).unwrap_err().kind, RefusalKind::Conflict);
    // What no order starts is a definition, and kept as it is.
    let mut other = plan("urn:three", "DeviceRequest", &["fit"]);
    other["action"][0].as_object_mut().unwrap().remove("trigger");
    other["action"][0]["action"][0].as_object_mut().unwrap().remove("participant");
    keep(&mut world, other).unwrap();
}

#[test]
fn an_order_that_comes_of_an_event_starts_the_plan_of_that() {
    let mut world = World::new();
    let plan = |url: &str, trigger: Value| {
        let role = json!({ "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] });
        json!({ "resourceType": "PlanDefinition", "url": url, "status": "active", "action": [{
            "id": "whole", "trigger": [trigger], "action": [{ "id": "visit", "participant": [{ "role": role }] }] }] })
    };
    let event = json!({ "type": "named-event", "name": "discharge" });
    world.create(plan("urn:a", event.clone()), Caller::Local).unwrap();
    assert!(world.create(plan("urn:b", event), Caller::Local).is_err(), "of two nobody could choose");
    let tagged = |event: &str| {
        let mut request = referral();
        request[0]["meta"] = json!({ "tag": [{ "system": "urn:fhir-workflow-hub:event", "code": event }] });
        request
    };
    let order = world.submit(tagged("discharge"));
    assert_eq!(world.states(&order), "0 requested, 2 requested");
    let order = world.submit(tagged("admission"));
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft, 4 draft, 5 draft", "that of every referral");
    let nameless = plan("urn:c", json!({ "type": "named-event" }));
    let refused = world.create(nameless, Caller::Local).unwrap_err();
    assert_eq!(refused.issues[0].path, "PlanDefinition.action[0].trigger.name");
}
