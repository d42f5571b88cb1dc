//! Orchestrations: a RequestGroup that asks for work is its own plan, and each of its steps asks for a request of its own.

use crate::world::World;
use hub_domain::command::Caller;
use hub_domain::decide::Policy;
use hub_domain::query;
use schemas::gate;
use schemas::message::Act;
use schemas::resource::Body;
use serde_json::{Value, json};

fn option(id: &str) -> Value {
    json!({
        "resourceType": "MedicationRequest", "id": id, "status": "unknown", "intent": "proposal",
        "medicationCodeableConcept": { "text": id }, "subject": { "reference": "Patient/1" },
    })
}

/// A step that asks for what is contained under the same name.
fn step(id: &str, rest: Value) -> Value {
    let mut step = json!({ "id": id, "title": id, "resource": { "reference": format!("#{id}") } });
    step.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    step
}

fn group(actions: Value) -> Value {
    json!({
        "resourceType": "RequestGroup",
        "contained": [option("a"), option("b"), option("c")],
        "groupIdentifier": { "system": "urn:groups", "value": "7" },
        "status": "active",
        "intent": "order",
        "priority": "urgent",
        "code": { "text": "Treatment" },
        "subject": { "reference": "Patient/1" },
        "author": { "reference": "Practitioner/1" },
        "action": actions,
    })
}

fn after(id: &str) -> Value {
    json!({ "relatedAction": [{ "actionId": id, "relationship": "after-end" }] })
}

fn two() -> Value {
    group(json!([step("a", json!({})), step("b", after("a"))]))
}

fn posted(world: &mut World, body: Value) -> String {
    world.create(body, Caller::Local).unwrap()
}

/// The request that a step asks for.
fn part(world: &World, order: &str, step: u32) -> Value {
    let reference = world.step_of(order, step)["focus"]["reference"].as_str().unwrap().to_owned();
    Value::Object(world.resource(&reference).body.clone().into_body())
}

#[test]
fn its_steps_ask_for_requests_of_their_own_in_its_order() {
    let mut world = World::new();
    let order = posted(&mut world, two());
    assert_eq!(world.states(&order), "0 requested, 1 requested, 2 draft");
    assert_eq!(world.published(), ["pharmacy a"], "whose work it is, the plan of such a request says");
    let whole = world.step_of(&order, 0);
    assert_eq!((&whole["focus"]["reference"], &whole["description"]), (&json!(order), &json!("Treatment")));
    assert_eq!(whole["requester"]["reference"], "Practitioner/1");

    let task = world.step_of(&order, 1);
    let asked = part(&world, &order, 1);
    assert_eq!(task["focus"]["reference"], format!("MedicationRequest/{}.1", &order["RequestGroup/".len()..]));
    assert_eq!((&task["basedOn"][0]["reference"], &task["groupIdentifier"]["value"]), (&json!(order), &json!("7")));
    assert_eq!((&task["code"]["coding"][0]["code"], &task["priority"]), (&json!("fulfill"), &json!("urgent")));
    assert_eq!((&asked["status"], &asked["intent"]), (&json!("active"), &json!("filler-order")));
    assert_eq!(asked["medicationCodeableConcept"]["text"], "a");
    assert_eq!((&asked["priority"], &asked["requester"]["reference"]), (&json!("urgent"), &json!("Practitioner/1")));
    assert_eq!(asked["extension"][0]["valueReference"]["reference"], order);
    let checked: Body = asked.as_object().unwrap().clone();
    assert_eq!(gate::check(&checked, Some("MedicationRequest")), Ok(()));
    assert_eq!(world.step_of(&order, 2)["focus"]["reference"], order, "what is not released asks for nothing yet");

    world.does(&order, 1, "Organization/a");
    assert_eq!(part(&world, &order, 1)["status"], "completed");
    assert_eq!(world.states(&order), "0 in-progress, 1 completed, 2 requested");
    world.does(&order, 2, "Organization/b");
    assert_eq!(
        (world.status_of(&order).as_str(), &part(&world, &order, 2)["status"]),
        ("completed", &json!("completed"))
    );
    assert_eq!(world.states(&order), "0 completed, 1 completed, 2 completed");
    world.check_histories();
}

#[test]
fn a_draft_or_plan_runs_nothing_until_it_is_an_active_order() {
    let mut world = World::new();
    let mut draft = two();
    draft["status"] = json!("draft");
    let order = posted(&mut world, draft);
    assert_eq!(world.published(), Vec::<String>::new());
    world.set_status(&order, "active").unwrap();
    assert_eq!(world.states(&order), "0 requested, 1 requested, 2 draft");
    world.set(&order, json!({ "priority": "stat" })).unwrap();
    assert_eq!(world.published().len(), 1, "it starts once");
    let mut plan = two();
    plan["intent"] = json!("plan");
    posted(&mut world, plan);
    assert_eq!(world.published().len(), 1);
}

#[test]
fn a_choice_asks_for_what_is_chosen() {
    let mut world = World::new();
    let choice = json!([{ "id": "either", "selectionBehavior": "exactly-one",
                          "action": [step("a", json!({})), step("b", json!({}))] }]);
    let order = posted(&mut world, group(choice));
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 requested");
    world.report(&order, 3, "Organization/b", Act::Claim, 1).unwrap();
    assert_eq!(world.states(&order), "0 accepted, 2 cancelled, 3 accepted");
    assert_eq!(part(&world, &order, 2)["status"], "cancelled");
    assert_eq!(part(&world, &order, 3)["status"], "active");
}

#[test]
fn who_is_named_does_it() {
    let mut world = World::new();
    let named = json!({ "participant": [{ "reference": "Organization/ward" }] });
    let mut body = group(json!([step("a", named), step("b", json!({}))]));
    body["contained"][1]["dispenseRequest"] = json!({ "performer": { "reference": "Organization/chemist" } });
    let order = posted(&mut world, body);
    assert_eq!(world.owner(&order, 1).as_deref(), Some("Organization/ward"));
    assert_eq!(world.owner(&order, 2).as_deref(), Some("Organization/chemist"), "whom the request itself names");
    assert!(world.report(&order, 1, "Organization/other", Act::Claim, 1).is_err());

    let wards = json!([{ "reference": "Organization/1" }, { "reference": "Organization/2" }]);
    let soon = json!({ "value": 1, "code": "h" });
    let several = step("a", json!({ "participant": wards, "timingRange": { "high": soon } }));
    let order = posted(&mut world, group(json!([several])));
    let task = world.step_of(&order, 1);
    assert_eq!((&task["owner"], &task["restriction"]["recipient"]), (&Value::Null, &wards));
    assert!(task["restriction"]["period"]["end"].is_string(), "beside its deadline");
}

#[test]
fn what_only_r5_says_of_a_document_goes_with_the_task_as_r4_can_say_it() {
    let said = json!({
        "resourceType": "RequestOrchestration", "status": "active", "intent": "order",
        "contained": [{ "resourceType": "ServiceRequest", "id": "look", "status": "active", "intent": "option",
            "code": { "concept": { "text": "Look" } }, "subject": { "reference": "Patient/1" } }],
        "subject": { "reference": "Patient/1" },
        "action": [{
            "linkId": "look", "resource": { "reference": "#look" },
            "documentation": [{ "type": "part-of", "display": "How", "publicationStatus": "active",
                "resourceReference": { "reference": "DocumentReference/1" } }],
            "input": [{ "title": "bp", "requirement": { "type": "Observation",
                "valueFilter": [{ "path": "value", "comparator": "gt", "valueDuration": { "value": 2, "code": "h" } }] } }],
        }],
    });
    let said = said.as_object().unwrap().clone();
    assert_eq!(gate::check_r5(&said, Some("RequestOrchestration")), Ok(()));
    let mut world = World::new();
    let order = posted(&mut world, Value::Object(gate::to_r4(&said)));
    let inputs = world.step_of(&order, 1)["input"].clone();
    let document = &inputs[0]["valueRelatedArtifact"];
    assert_eq!((&document["type"], &document["display"]), (&json!("documentation"), &json!("How")));
    let urls = document["extension"].as_array().unwrap().iter().map(|extension| extension["url"].as_str().unwrap());
    let urls: Vec<&str> = urls.map(|url| url.rsplit_once("extension-RelatedArtifact.").unwrap().1).collect();
    assert_eq!(urls, ["type", "publicationStatus", "resourceReference"]);
    let required = &inputs[1]["valueDataRequirement"];
    assert_eq!(required["type"], "Observation");
    assert!(required["extension"][0]["url"].as_str().unwrap().ends_with("extension-DataRequirement.valueFilter"));
    world.check_histories();
}

#[test]
fn it_is_found_by_its_participants_however_deep_and_also_by_a_canonical() {
    let who = json!([
        { "type": "organization", "actorReference": { "reference": "Organization/ward" } },
        { "actorCanonical": "http://example.org/robot" },
        { "type": "device" },
    ]);
    let said = json!({ "resourceType": "RequestOrchestration", "status": "draft", "intent": "order",
        "action": [{ "action": [{ "action": [{ "title": "Look", "participant": who }] }] }] });
    let kept = gate::to_r4(said.as_object().unwrap());
    let mut all = query::params(schemas::resource::Kind::REQUEST_GROUP);
    let participant = all.find(|param| param.name == "participant").unwrap();
    let found = query::values(participant, &kept);
    assert_eq!(found, ["Organization/ward", "http://example.org/robot"].map(query::IndexValue::Reference));
}

#[test]
fn it_is_withdrawn_as_a_whole() {
    for status in ["revoked", "entered-in-error"] {
        let mut world = World::new();
        let order =
            posted(&mut world, group(json!([step("a", json!({})), step("b", json!({})), step("c", after("a"))])));
        world.report(&order, 1, "Organization/a", Act::Claim, 1).unwrap();
        world.report(&order, 1, "Organization/a", Act::InProgress, 2).unwrap();
        world.set_status(&order, status).unwrap();
        assert_eq!(world.states(&order), "0 in-progress, 1 in-progress, 2 cancelled, 3 cancelled, 4 requested");
        assert_eq!(
            (&part(&world, &order, 1)["status"], &part(&world, &order, 2)["status"]),
            (&json!("active"), &json!("cancelled"))
        );
        world.does(&order, 4, "Organization/a");
        assert_eq!(world.states(&order), "0 cancelled, 1 cancelled, 2 cancelled, 3 cancelled, 4 completed");
        assert_eq!(part(&world, &order, 1)["status"], "cancelled");
        world.check_histories();
    }
}

#[test]
fn it_is_held_and_goes_on_and_its_author_may_call_it_complete() {
    let mut world = World::new();
    let order = posted(&mut world, two());
    world.set_status(&order, "on-hold").unwrap();
    assert!(world.report(&order, 1, "Organization/a", Act::Claim, 1).is_err());
    world.set_status(&order, "active").unwrap();
    world.does(&order, 1, "Organization/a");
    world.set_status(&order, "completed").unwrap();
    assert_eq!(world.states(&order), "0 completed, 1 completed, 2 cancelled");
    assert_eq!(part(&world, &order, 2)["status"], "cancelled");
}

#[test]
fn a_part_that_is_withdrawn_by_itself_leaves_the_others() {
    let mut world = World::new();
    let order = posted(&mut world, two());
    let first = world.step_of(&order, 1)["focus"]["reference"].as_str().unwrap().to_owned();
    world.set_status(&first, "cancelled").unwrap();
    assert_eq!(world.states(&order), "0 requested, 1 cancelled, 2 requested");
    world.does(&order, 2, "Organization/b");
    assert_eq!(world.status_of(&order), "completed");
}

#[test]
fn while_it_runs_only_what_was_not_released_changes() {
    let mut world = World::new();
    let order = posted(&mut world, two());
    let other = json!([step("a", json!({ "title": "Other" })), step("b", after("a"))]);
    let refused = world.set(&order, json!({ "action": other })).unwrap_err();
    assert_eq!(refused.issues[0].path, "RequestGroup.action[0]");
    let more = json!([step("a", json!({})), step("b", after("a")), step("c", json!({}))]);
    assert_eq!(world.set(&order, json!({ "action": more })).unwrap_err().issues[0].path, "RequestGroup.action");
    let mut contained = two()["contained"].clone();
    contained[0]["medicationCodeableConcept"]["text"] = json!("Other");
    assert!(world.set(&order, json!({ "contained": contained })).is_err());

    let mut contained = two()["contained"].clone();
    contained[1]["medicationCodeableConcept"]["text"] = json!("Other");
    let other = json!([
        step("a", json!({})),
        step("b", json!({ "title": "Later", "relatedAction": after("a")["relatedAction"] }))
    ]);
    world.set(&order, json!({ "action": other, "contained": contained })).unwrap();
    assert_eq!(world.step_of(&order, 2)["description"], "Later");
    // It waits for nothing any more.
    world.set(&order, json!({ "action": [step("a", json!({})), step("b", json!({ "title": "Now" }))] })).unwrap();
    assert_eq!(world.states(&order), "0 requested, 1 requested, 2 requested");
    assert_eq!(part(&world, &order, 2)["medicationCodeableConcept"]["text"], "Other");
    world.does(&order, 1, "Organization/a");
    world.does(&order, 2, "Organization/b");
    assert_eq!(world.status_of(&order), "completed");
    world.check_histories();
}

#[test]
fn what_is_kept_here_may_be_asked_for_and_brings_along_what_it_points_to() {
    let mut world = World::new();
    let mut proposal = option("x");
    proposal["status"] = json!("active");
    let kept = posted(&mut world, proposal);
    let mut body = group(json!([{ "id": "x", "resource": { "reference": kept } }, step("a", json!({}))]));
    body["contained"][0].as_object_mut().unwrap().remove("medicationCodeableConcept");
    body["contained"][0]["medicationReference"] = json!({ "reference": "#m" });
    let medication = json!({ "resourceType": "Medication", "id": "m", "code": { "text": "Gemcitabine" } });
    body["contained"].as_array_mut().unwrap().push(medication);
    let order = posted(&mut world, body);
    assert_eq!(part(&world, &order, 1)["basedOn"][0]["reference"], kept);
    assert_eq!(part(&world, &order, 2)["contained"][0]["code"]["text"], "Gemcitabine");
    assert_eq!(world.status_of(&kept), "active", "an option stays what it is");
}

#[test]
fn what_cannot_run_is_refused_with_every_fault() {
    let laboratory = json!({ "role": { "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "alchemy" }] } });
    let with_role = json!({ "extension": [{
        "url": "http://hl7.org/fhir/5.0/StructureDefinition/extension-RequestOrchestration.action.participant.role",
        "valueCodeableConcept": laboratory["role"],
    }] });
    let faults = [
        (
            json!([step("a", json!({ "resource": { "reference": "Patient/1" } }))]),
            "RequestGroup.action[0].resource.reference",
        ),
        (
            json!([step("a", json!({ "resource": { "reference": "MedicationRequest/nobody" } }))]),
            "RequestGroup.action[0].resource.reference",
        ),
        (
            json!([step("a", json!({ "resource": { "reference": "http://elsewhere/MedicationRequest/1" } }))]),
            "RequestGroup.action[0].resource",
        ),
        (json!([step("a", json!({ "resource": { "display": "?" } }))]), "RequestGroup.action[0].resource"),
        (json!([step("a", json!({ "participant": [with_role] }))]), "RequestGroup.action[0].participant[0].role"),
        (json!([step("a", json!({ "type": { "coding": [{ "code": "burn" }] } }))]), "RequestGroup.action[0].type"),
        (json!([step("a", after("z"))]), "RequestGroup.action[0].relatedAction[0]"),
        (json!([{ "id": "g", "title": "nothing" }]), "RequestGroup.action[0]"),
        (json!([step("a", after("b")), step("b", after("a"))]), "RequestGroup.action[0]"),
    ];
    for (actions, path) in faults {
        let mut world = World::new();
        let refused = world.create(group(actions), Caller::Local).unwrap_err();
        let paths: Vec<&str> = refused.issues.iter().map(|issue| issue.path.as_str()).collect();
        assert_eq!(paths, [path], "{refused:?}");
    }
    let mut world = World::new();
    let mut nothing = group(json!([]));
    nothing.as_object_mut().unwrap().remove("action");
    assert_eq!(world.create(nothing, Caller::Local).unwrap_err().issues[0].path, "RequestGroup.action");
}

#[test]
fn where_nobody_has_a_plan_for_such_requests_their_work_is_general() {
    let mut world = World::with(Policy::default());
    posted(&mut world, two());
    assert_eq!(world.published(), ["general a"]);
}

/// An official example, where they are at hand, as an active order in R4's shape.
fn example(name: &str) -> Option<Value> {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let shared = std::env::var("HUB_SHARED").unwrap_or_else(|_| shared.to_owned());
    let text = std::fs::read_to_string(format!("{shared}/examples/{name}")).ok()?;
    let sent: Body = serde_json::from_str(&text).unwrap();
    let mut body = Value::Object(if name.starts_with("r5") { gate::to_r4(&sent) } else { sent });
    for (name, value) in [("status", "active"), ("intent", "order")] {
        body[name] = json!(value);
    }
    Some(body)
}

#[test]
fn the_official_examples_run_with_an_hour_between_their_steps() {
    for name in ["r5/RequestOrchestration-example.json", "r4/RequestGroup-example.json"] {
        let Some(body) = example(name) else { return };
        let mut world = World::new();
        let order = posted(&mut world, body);
        assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft");
        assert_eq!(world.owner(&order, 2).as_deref(), Some("Practitioner/1"));
        world.does(&order, 2, "Practitioner/1");
        world.passes(3500);
        assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 draft");
        world.passes(200);
        assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 requested");
        world.does(&order, 3, "Practitioner/1");
        assert_eq!(world.states(&order), "0 completed, 2 completed, 3 completed");
        assert_eq!(part(&world, &order, 3)["medicationCodeableConcept"]["text"], "Medication 2");
    }
}

#[test]
fn the_official_chemotherapy_is_given_in_six_cycles_of_three_weeks() {
    for name in ["r5/RequestOrchestration-kdn5-example.json", "r4/RequestGroup-kdn5-example.json"] {
        let Some(body) = example(name) else { return };
        let mut world = World::new();
        let order = posted(&mut world, body);
        let mut given = Vec::new();
        for day in 1..=120 {
            let on_offer: Vec<u32> = (1..60)
                .filter(|step| world.newest(&order, *step).is_some_and(|task| task.text("status") == Some("requested")))
                .collect();
            for step in on_offer {
                given.push(day);
                world.does(&order, step, "Practitioner/1");
            }
            world.passes(24 * 3600);
        }
        let first_days = (0..6).map(|cycle| 1 + cycle * 21);
        let expected: Vec<u32> = first_days.flat_map(|day| [day, day, day + 7]).collect();
        assert_eq!(given, expected, "two drugs on the first day of each, one of them again on the eighth: {name}");
        assert_eq!(world.newest(&order, 0).unwrap().text("status"), Some("completed"));
    }
}
