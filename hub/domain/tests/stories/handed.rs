//! What actions hand on: outputs that are inputs elsewhere; and what is done to what is here already.

use crate::plans::{step as of_clinic, world_of};
use crate::world::{World, referral};
use hub_domain::command::Caller;
use schemas::gate;
use schemas::resource::Body;
use serde_json::{Value, json};

fn body(value: Value) -> Body {
    value.as_object().unwrap().clone()
}

/// R5's orchestration, as the R4 that is kept.
fn orchestration(actions: Value) -> Value {
    let drug = |id: &str| {
        json!({ "resourceType": "MedicationRequest", "id": id, "status": "draft", "intent": "option",
                "medication": { "concept": { "text": id } }, "subject": { "reference": "Patient/1" } })
    };
    let said = json!({
        "resourceType": "RequestOrchestration", "status": "active", "intent": "order",
        "contained": [drug("a"), drug("b"), drug("c")], "subject": { "reference": "Patient/1" }, "action": actions,
    });
    assert_eq!(gate::check_r5(&body(said.clone()), Some("RequestOrchestration")), Ok(()));
    Value::Object(gate::to_r4(&body(said)))
}

fn step(id: &str, rest: Value) -> Value {
    let mut step = json!({ "linkId": id, "resource": { "reference": format!("#{id}") } });
    step.as_object_mut().unwrap().extend(body(rest));
    step
}

fn posted(world: &mut World, actions: Value) -> String {
    world.create(orchestration(actions), Caller::Local).unwrap()
}

fn faults(actions: Value) -> Vec<String> {
    let refused = World::new().create(orchestration(actions), Caller::Local).unwrap_err();
    refused.issues.into_iter().map(|issue| issue.path).collect()
}

fn taken(id: &str) -> Value {
    json!([{ "id": "in", "title": "Dose", "relatedData": id }])
}

#[test]
fn what_one_step_comes_to_is_given_to_another_that_waits_for_it() {
    let values = json!([{ "path": "note[0].text", "expression": {
        "language": "text/fhirpath", "expression": "'give ' + %inputs.where(type.text = 'Dose').value" } }]);
    let mut world = World::new();
    let order = posted(
        &mut world,
        json!([
            step("b", json!({ "input": taken("dose"), "dynamicValue": values })),
            step(
                "a",
                json!({ "output": [{ "id": "dose", "title": "How much", "requirement": { "type": "Observation" } }] })
            ),
        ]),
    );
    assert_eq!(
        world.states(&order),
        "0 requested, 1 draft, 2 requested",
        "it waits, as it needs what comes of the other"
    );
    let output = json!([
        { "type": { "text": "remarks" }, "valueString": "none" },
        { "type": { "text": "dose" }, "valueString": "5 mg" },
    ]);
    world.does_with(&order, 2, "Organization/x", output);
    assert_eq!(world.states(&order), "0 in-progress, 1 requested, 2 completed");
    let task = world.step_of(&order, 1);
    assert_eq!(task["input"], json!([{ "type": { "text": "Dose" }, "valueString": "5 mg" }]));
    let asked = world.resource(task["focus"]["reference"].as_str().unwrap()).body.clone().into_body();
    assert_eq!(asked["note"][0]["text"], "give 5 mg");
    world.does(&order, 1, "Organization/x");
    assert_eq!(world.status_of(&order), "completed");
    world.check_histories();
}

#[test]
fn outputs_are_known_by_their_type_and_pass_through_groups() {
    let made = json!({ "output": [{ "id": "seen", "requirement": { "type": "Observation" } }] });
    let mut world = World::new();
    let order = posted(
        &mut world,
        json!([
            { "linkId": "first", "output": [{ "id": "all", "relatedData": "seen" }], "action": [step("a", made)] },
            { "linkId": "then", "input": [{ "id": "given", "relatedData": "all" }],
              "action": [step("b", json!({ "input": [{ "relatedData": "given" }] })), step("c", json!({}))] },
        ]),
    );
    assert_eq!(world.states(&order), "0 requested, 2 requested, 4 draft, 5 draft");
    let output = json!([
        { "type": { "text": "report" }, "valueReference": { "reference": "DiagnosticReport/1" } },
        { "type": { "text": "finding" }, "valueReference": { "reference": "Observation/1" } },
    ]);
    world.does_with(&order, 2, "Organization/x", output.clone());
    assert_eq!(world.step_of(&order, 4)["input"], json!([output[1]]));
    assert_eq!(world.step_of(&order, 5).get("input"), None, "who does not ask for it does not get it");
}

#[test]
fn what_nobody_makes_is_for_the_filler_to_find() {
    let needed = json!({ "type": "Observation", "codeFilter": [{ "path": "code", "code": [{ "code": "weight" }] }] });
    let mut world = World::new();
    let order =
        posted(&mut world, json!([step("a", json!({ "input": [{ "title": "Weight", "requirement": needed }] }))]));
    assert_eq!(
        world.step_of(&order, 1)["input"],
        json!([{ "type": { "text": "Weight" }, "valueDataRequirement": needed }])
    );
    // R4's plans have the requirement by itself.
    let mut world = world_of(json!([of_clinic("weigh", json!({ "input": [needed] }))]));
    let order = world.submit(referral());
    assert_eq!(world.step_of(&order, 2)["input"][0]["valueDataRequirement"]["type"], "Observation");
}

#[test]
fn a_stored_plan_hands_on_as_well() {
    let mut world = world_of(json!([
        of_clinic("look", json!({ "output": [{ "id": "seen" }] })),
        of_clinic("tell", json!({ "input": [{ "relatedData": "seen" }] })),
    ]));
    let order = world.submit(referral());
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft");
    world.does_with(&order, 2, "Organization/x", json!([{ "type": { "text": "any" }, "valueString": "well" }]));
    assert_eq!(world.step_of(&order, 3)["input"][0]["valueString"], "well");
}

#[test]
fn data_that_lead_nowhere_are_refused() {
    let place = "RequestGroup.action[0].input[0].relatedData";
    assert_eq!(faults(json!([step("a", json!({ "input": taken("nothing") }))])), [place]);
    let round = |id: &str, to: &str| json!({ "input": [{ "id": id, "relatedData": to }] });
    let both = json!([step("a", round("one", "other")), step("b", round("other", "one"))]);
    assert_eq!(faults(both), [place, "RequestGroup.action[1].input[0].relatedData"]);
    let own = json!({ "input": taken("out"), "output": [{ "id": "out", "title": "Out" }] });
    assert_eq!(faults(json!([step("a", own)])).len(), 1, "its own output");
    let each = |takes: &str, makes: &str| json!({ "input": taken(takes), "output": [{ "id": makes, "title": "Out" }] });
    let cycle = json!([step("a", each("y", "x")), step("b", each("x", "y"))]);
    assert_eq!(faults(cycle), ["RequestGroup.action[0]"], "they wait for each other");
}

fn deed(code: &str, rest: Value) -> Value {
    let system = "http://terminology.hl7.org/CodeSystem/action-type";
    let mut action = json!({ "linkId": "x", "type": { "coding": [{ "system": system, "code": code }] } });
    action.as_object_mut().unwrap().extend(body(rest));
    action
}

#[test]
fn what_is_here_already_is_changed_or_withdrawn() {
    let mut world = World::new();
    let old = world.submit(referral());
    assert_eq!(world.states(&old), "0 requested, 2 requested, 3 draft, 4 draft, 5 draft");
    let named = json!({ "resource": { "reference": old } });
    let order = posted(&mut world, json!([deed("update", named.clone())]));
    let task = world.step_of(&order, 1);
    assert_eq!((&task["focus"]["reference"], &task["code"]["coding"][0]["code"]), (&json!(old), &json!("update")));
    world.does(&order, 1, "Organization/x");
    assert_eq!(world.status_of(&old), "active", "to change it is whose work it was");

    let order = posted(&mut world, json!([deed("remove", named)]));
    assert_eq!((world.status_of(&old).as_str(), world.published().last().unwrap().as_str()), ("active", "clinic x"));
    world.does(&order, 1, "Organization/x");
    assert_eq!((world.status_of(&order).as_str(), world.status_of(&old).as_str()), ("completed", "revoked"));
    assert_eq!(world.states(&old), "0 cancelled, 2 cancelled, 3 cancelled, 4 cancelled, 5 cancelled");
    world.check_histories();
}

#[test]
fn somebody_is_told_of_an_event() {
    let mut world = World::new();
    let order = posted(
        &mut world,
        json!([
            step("a", json!({})),
            deed(
                "fire-event",
                json!({
        "title": "Tell the ward", "relatedAction": [{ "targetId": "a", "relationship": "after-end" }] })
            )
        ]),
    );
    world.does(&order, 1, "Organization/x");
    assert_eq!(world.published(), ["pharmacy a", "general x"]);
    let task = world.step_of(&order, 2);
    assert_eq!(
        (&task["code"]["coding"][0]["code"], &task["focus"]["reference"]),
        (&json!("fire-event"), &json!(order))
    );
    world.does(&order, 2, "Organization/x");
    assert_eq!(world.status_of(&order), "completed");
}

#[test]
fn deeds_that_cannot_be_done_are_refused() {
    let path = |name: &str| vec![format!("RequestGroup.action[0].{name}")];
    assert_eq!(faults(json!([deed("burn", json!({ "resource": { "reference": "#a" } }))])), path("type"));
    assert_eq!(faults(json!([deed("remove", json!({ "resource": { "reference": "#a" } }))])), path("resource"));
    let nobody = json!({ "resource": { "reference": "ServiceRequest/nobody" } });
    assert_eq!(faults(json!([deed("update", nobody)])), path("resource.reference"));
}
