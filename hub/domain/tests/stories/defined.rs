//! Orchestrations whose actions name definitions: an activity, a plan, a Questionnaire.

use crate::world::World;
use hub_domain::command::Caller;
use schemas::gate;
use schemas::resource::Body;
use serde_json::{Value, json};

const DRUG: &str = "http://example.org/ActivityDefinition/drug";

fn body(value: Value) -> Body {
    value.as_object().unwrap().clone()
}

/// R5's orchestration, as the R4 that is kept.
fn orchestration(actions: Value) -> Value {
    let said = json!({
        "resourceType": "RequestOrchestration", "status": "active", "intent": "order", "priority": "urgent",
        "subject": { "reference": "Patient/1" }, "encounter": { "reference": "Encounter/1" },
        "author": { "reference": "Practitioner/1" }, "action": actions,
    });
    assert_eq!(gate::check_r5(&body(said.clone()), Some("RequestOrchestration")), Ok(()));
    Value::Object(gate::to_r4(&body(said)))
}

fn drug() -> Value {
    json!({
        "resourceType": "ActivityDefinition", "url": DRUG, "version": "2", "status": "active",
        "title": "Give the drug", "kind": "MedicationRequest", "productCodeableConcept": { "text": "Paracetamol" },
        "dosage": [{ "text": "one a day" }],
    })
}

fn value(element: &str, expression: &str) -> Value {
    json!({ "path": element, "expression": { "language": "text/fhirpath", "expression": expression } })
}

fn kept(world: &mut World, body: Value) -> String {
    world.create(body, Caller::Local).unwrap()
}

fn part(world: &World, order: &str, step: u32) -> Value {
    let reference = world.step_of(order, step)["focus"]["reference"].as_str().unwrap().to_owned();
    let found = world.resource(&reference).body.clone().into_body();
    assert_eq!(gate::check(&found, None), Ok(()));
    Value::Object(found)
}

fn paths(world: &mut World, actions: Value) -> Vec<String> {
    let refused = world.create(orchestration(actions), Caller::Local).unwrap_err();
    refused.issues.into_iter().map(|issue| issue.path).collect()
}

#[test]
fn an_activity_becomes_what_its_step_asks_for() {
    let mut world = World::new();
    kept(&mut world, drug());
    let patient = json!({ "resourceType": "Patient", "gender": "female" });
    let patient = kept(&mut world, patient);
    let mut sent = orchestration(json!([{ "linkId": "one", "definitionCanonical": DRUG, "dynamicValue": [
        value("note[0].text", "'for a ' + %subject.gender"),
        value("dispenseRequest.quantity", "28 '{tablet}'"),
        value("reported", "%requests.priority = 'urgent'"),
        value("groupIdentifier", "{}"),
    ] }]));
    sent["subject"] = json!({ "reference": patient });
    let order = kept(&mut world, sent);
    assert_eq!(world.published(), ["pharmacy one"]);
    let (task, asked) = (world.step_of(&order, 1), part(&world, &order, 1));
    assert_eq!((&task["description"], &task["priority"]), (&json!("Give the drug"), &json!("urgent")));
    assert_eq!(task["instantiatesCanonical"], format!("{DRUG}|2"));
    assert_eq!((&asked["resourceType"], &asked["status"]), (&json!("MedicationRequest"), &json!("active")));
    assert_eq!(
        (&asked["intent"], &asked["dosageInstruction"][0]["text"]),
        (&json!("filler-order"), &json!("one a day"))
    );
    assert_eq!(
        (&asked["subject"]["reference"], &asked["encounter"]["reference"]),
        (&json!(patient), &json!("Encounter/1"))
    );
    assert_eq!(asked["requester"]["reference"], "Practitioner/1");
    assert_eq!((&asked["note"][0]["text"], &asked["reportedBoolean"]), (&json!("for a female"), &json!(true)));
    assert_eq!(asked["dispenseRequest"]["quantity"]["value"], 28);
    world.does(&order, 1, "Organization/x");
    assert_eq!(
        (world.status_of(&order).as_str(), part(&world, &order, 1)["status"].as_str()),
        ("completed", Some("completed"))
    );
}

#[test]
fn the_plan_of_an_action_becomes_its_actions() {
    let mut world = World::new();
    let activity = kept(&mut world, drug());
    let inner = json!({
        "resourceType": "PlanDefinition", "url": "http://example.org/course", "status": "active", "title": "Course",
        "goal": [{ "id": "g", "description": { "text": "No pain" } }],
        "contained": [{
            "resourceType": "ActivityDefinition", "id": "look", "status": "active", "kind": "ServiceRequest",
            "code": { "text": "Look" }, "dynamicValue": [value("patientInstruction", "'first'")],
        }],
        "action": [
            { "id": "give", "definitionCanonical": activity, "goalId": ["g"] },
            { "id": "look", "definitionCanonical": "#look",
              "dynamicValue": [value("patientInstruction", "patientInstruction + ' and last'")],
              "relatedAction": [{ "actionId": "give", "relationship": "after-end" }] },
        ],
    });
    kept(&mut world, inner);
    let twice = json!([
        { "linkId": "course", "definitionCanonical": "http://example.org/course" },
        { "linkId": "again", "definitionCanonical": "http://example.org/course",
          "relatedAction": [{ "targetId": "course", "relationship": "after-end" }] },
    ]);
    let order = kept(&mut world, orchestration(twice));
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft, 5 draft, 6 draft");
    assert_eq!(world.published(), ["pharmacy course.give"]);
    assert_eq!(world.step_of(&order, 2)["input"][0]["valueCodeableConcept"]["text"], "No pain");
    world.does(&order, 2, "Organization/x");
    assert_eq!(part(&world, &order, 3)["patientInstruction"], "first and last", "the plan has the last word");
    assert_eq!(world.step_of(&order, 3)["code"]["text"], "Look");
    for step in [3, 5, 6] {
        world.does(&order, step, "Organization/x");
    }
    assert_eq!(world.status_of(&order), "completed");
    world.check_histories();
}

#[test]
fn a_questionnaire_is_to_be_answered() {
    let mut world = World::new();
    let canonical = "http://example.org/Questionnaire/pain|1";
    let step = json!([{ "linkId": "ask", "title": "How it hurts", "definitionCanonical": canonical,
        "participant": [{ "type": "patient", "actorReference": { "reference": "Patient/1" } }] }]);
    let order = kept(&mut world, orchestration(step));
    let task = world.step_of(&order, 1);
    let sdc = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp";
    assert_eq!(task["code"]["coding"][0], json!({ "system": sdc, "code": "complete-questionnaire" }));
    assert_eq!(
        task["input"],
        json!([{ "type": { "coding": [{ "system": sdc, "code": "questionnaire" }] }, "valueCanonical": canonical }])
    );
    assert_eq!((task.get("focus"), &task["basedOn"][0]["reference"]), (None, &json!(order)));
    assert_eq!(
        (world.owner(&order, 1).as_deref(), world.published()),
        (Some("Patient/1"), vec!["general ask".to_owned()])
    );
    world.set_status(&order, "on-hold").unwrap();
    assert!(
        world.report(&order, 1, "Patient/1", schemas::message::Act::Claim, 1).is_err(),
        "it is work like any other"
    );
    world.set_status(&order, "active").unwrap();
    world.does(&order, 1, "Patient/1");
    assert_eq!(world.status_of(&order), "completed");
}

#[test]
fn what_runs_keeps_the_definitions_that_it_started_with() {
    let mut world = World::new();
    let activity = kept(&mut world, drug());
    let steps = |title: &str| {
        json!([
            { "linkId": "one", "definitionCanonical": DRUG },
            { "linkId": "two", "title": title, "definitionCanonical": DRUG,
              "relatedAction": [{ "targetId": "one", "relationship": "after-end" }] },
        ])
    };
    let order = kept(&mut world, orchestration(steps("Then")));
    world.set(&activity, json!({ "dosage": [{ "text": "two a day" }] })).unwrap();
    world.set(&order, json!({ "action": orchestration(steps("Later"))["action"] })).unwrap();
    world.does(&order, 1, "Organization/x");
    assert_eq!(world.step_of(&order, 2)["description"], "Later");
    assert_eq!(part(&world, &order, 2)["dosageInstruction"][0]["text"], "one a day");
    let next = kept(&mut world, orchestration(steps("Then")));
    assert_eq!(part(&world, &next, 1)["dosageInstruction"][0]["text"], "two a day");
}

#[test]
fn a_definition_that_cannot_be_carried_out_is_refused_with_its_place() {
    let mut world = World::new();
    kept(&mut world, drug());
    let plan = |url: &str, action: Value| json!({ "resourceType": "PlanDefinition", "url": url, "status": "active", "action": [action] });
    let (one, other) = ("http://example.org/one", "http://example.org/other");
    kept(&mut world, plan(one, json!({ "id": "a", "definitionCanonical": other })));
    kept(&mut world, plan(other, json!({ "id": "b", "definitionCanonical": one })));
    let mut transformed = drug();
    transformed["url"] = json!("urn:transformed");
    transformed["transform"] = json!("http://example.org/StructureMap/1");
    kept(&mut world, transformed);
    let bare = json!({ "resourceType": "ActivityDefinition", "url": "urn:bare", "status": "active", "kind": "MedicationRequest" });
    kept(&mut world, bare);
    let of = |canonical: &str, rest: Value| {
        let mut action = json!({ "linkId": "x", "definitionCanonical": canonical });
        action.as_object_mut().unwrap().extend(body(rest));
        json!([action])
    };
    let place = |name: &str| vec![format!("RequestGroup.action[0].{name}")];
    let canonical = "definitionCanonical";
    assert_eq!(paths(&mut world, of("http://example.org/nobody", json!({}))), place(canonical));
    assert_eq!(
        paths(&mut world, of(&format!("{DRUG}|1"), json!({}))),
        place(canonical),
        "of that version there is none"
    );
    assert_eq!(paths(&mut world, of("urn:transformed", json!({}))), place(canonical));
    assert_eq!(paths(&mut world, of("urn:bare", json!({}))), place(canonical), "it would be no MedicationRequest");
    assert_eq!(
        paths(&mut world, of(DRUG, json!({ "transform": "http://example.org/StructureMap/1" }))),
        place("transform")
    );
    assert_eq!(
        paths(&mut world, of(one, json!({}))),
        place("definition.action[0].definition.action[0].definitionCanonical"),
        "it is a part of itself"
    );
    let uri = json!([{ "linkId": "x", "definitionUri": "http://example.org/page" }]);
    assert_eq!(paths(&mut world, uri), place("definitionUri"));
    let set = |element: &str, expression: &str| json!({ "dynamicValue": [value(element, expression)] });
    let dynamic = |name: &str| place(&format!("dynamicValue[0]{name}"));
    assert_eq!(paths(&mut world, of(DRUG, set("priority", "'"))), dynamic(".expression.expression"));
    for stays in ["%action.linkId", "action.timingDuration", "$this", "/"] {
        assert_eq!(paths(&mut world, of(DRUG, set(stays, "'x'"))), dynamic(".path"), "{stays}");
    }
    assert_eq!(paths(&mut world, of(DRUG, set("nothing", "'x'"))), dynamic(""), "as it is on offer at once");
    assert_eq!(paths(&mut world, of(DRUG, set("priority", "'soon'"))), ["MedicationRequest.priority"]);
    let missing = set("medication.text", "'Ibuprofen'");
    assert_eq!(paths(&mut world, of("urn:bare", missing)).len(), 1);
    let added = set("medicationCodeableConcept.text", "'Ibuprofen'");
    let order = kept(&mut world, orchestration(of("urn:bare", added)));
    assert_eq!(
        part(&world, &order, 1)["medicationCodeableConcept"]["text"],
        "Ibuprofen",
        "values may add what is lacking"
    );
}

#[test]
fn a_task_is_called_what_values_of_its_action_say() {
    let mut world = World::new();
    kept(&mut world, drug());
    let after = json!([{ "targetId": "one", "relationship": "after-end" }]);
    let asks =
        |text: &str| json!([{ "kind": "start", "expression": { "language": "text/fhirpath", "expression": text } }]);
    let values = |title: &str| {
        json!([value("note.text", "%action.title"), value("%action.title", title), value("action.priority", "'stat'")])
    };
    let order = orchestration(json!([
        { "linkId": "one", "title": "Give", "definitionCanonical": DRUG, "dynamicValue": values("'Give ' + note.text") },
        { "linkId": "two", "title": "Again", "definitionCanonical": DRUG, "relatedAction": after,
          "condition": asks("%action.title = 'Again' and %action.linkId = 'two'"),
          "dynamicValue": values("'After ' + %tasks.where(status = 'completed').description") },
    ]));
    let order = kept(&mut world, order);
    let called = |world: &World, step| {
        let task = world.step_of(&order, step);
        (task["description"].clone(), task["priority"].clone(), part(world, &order, step)["note"][0]["text"].clone())
    };
    assert_eq!(called(&world, 1), (json!("Give Give"), json!("stat"), json!("Give")));
    world.does(&order, 1, "Organization/x");
    assert_eq!(called(&world, 2), (json!("After Give Give"), json!("stat"), json!("Again")));
    world.check_histories();
}

#[test]
fn a_step_whose_values_cannot_be_set_when_its_turn_comes_is_lost() {
    let mut world = World::new();
    kept(&mut world, drug());
    let late = json!([
        { "linkId": "one", "definitionCanonical": DRUG },
        { "linkId": "two", "definitionCanonical": DRUG, "requiredBehavior": "could",
          "dynamicValue": [value("priority", "'soon'")],
          "relatedAction": [{ "targetId": "one", "relationship": "after-end" }] },
    ]);
    let order = kept(&mut world, orchestration(late));
    world.does(&order, 1, "Organization/x");
    assert_eq!(world.states(&order), "0 completed, 1 completed, 2 cancelled");
    assert_eq!(world.step_of(&order, 2)["statusReason"]["coding"][0]["code"], "not-expressible");
}

/// A world whose plan for referrals has these actions, with the drug's definition.
fn planned(actions: Value) -> World {
    let mut world = World::with(crate::plans::policy_of("ServiceRequest", actions));
    kept(&mut world, drug());
    world
}

fn give(rest: Value) -> Value {
    let mut give = crate::plans::step("give", json!({ "definitionCanonical": DRUG }));
    give.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    give
}

#[test]
fn a_plan_that_orders_start_with_asks_for_what_its_definitions_describe() {
    let set = json!({ "dynamicValue": [value("note.text", "'for ' + %requests.code.text")] });
    let mut world = planned(json!([give(set), crate::plans::step("look", crate::plans::after("give"))]));
    let mut request = crate::world::referral().remove(0);
    request["requester"] = json!({ "reference": "Practitioner/1" });
    request["priority"] = "urgent".into();
    let order = kept(&mut world, request);
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft");
    let (task, asked) = (world.step_of(&order, 2), part(&world, &order, 2));
    assert_eq!(
        (&task["instantiatesCanonical"], &task["description"]),
        (&json!(format!("{DRUG}|2")), &json!("Give the drug"))
    );
    assert_eq!((&task["code"]["coding"][0]["code"], &task["priority"]), (&json!("fulfill"), &json!("urgent")));
    assert_eq!((&asked["status"], &asked["intent"]), (&json!("active"), &json!("filler-order")));
    assert_eq!(asked["medicationCodeableConcept"]["text"], "Paracetamol");
    assert_eq!(asked["note"][0]["text"], "for Referral to cardiology");
    assert_eq!(
        (&asked["basedOn"][0]["reference"], &asked["requester"]["reference"]),
        (&json!(order), &json!("Practitioner/1"))
    );
    assert_eq!((&asked["priority"], &asked["subject"]["reference"]), (&json!("urgent"), &json!("Patient/1")));
    world.does(&order, 2, "Organization/x");
    assert_eq!(part(&world, &order, 2)["status"], "completed");
    world.does(&order, 3, "Organization/x");
    assert_eq!(world.status_of(&order), "completed");
    world.check_histories();
}

#[test]
fn what_a_plan_asked_for_ends_with_its_step_and_may_be_withdrawn_by_itself() {
    let actions = || json!([give(json!({})), crate::plans::step("look", json!({}))]);
    let mut world = planned(actions());
    let order = kept(&mut world, crate::world::referral().remove(0));
    let reference = world.step_of(&order, 2)["focus"]["reference"].as_str().unwrap().to_owned();
    let mut alone = world.clone();
    world.set_status(&order, "revoked").unwrap();
    assert_eq!(world.status_of(&reference), "cancelled");
    alone.set_status(&reference, "cancelled").unwrap();
    assert_eq!(alone.states(&order), "0 requested, 2 cancelled, 3 requested", "the others go on without it");
    alone.does(&order, 3, "Organization/x");
    assert_eq!(alone.status_of(&order), "completed");
}

#[test]
fn an_order_keeps_the_definitions_that_its_plan_had_when_it_started() {
    let inner = json!({ "resourceType": "PlanDefinition", "url": "urn:test:course", "status": "active",
        "goal": [{ "id": "well", "description": { "text": "To be well" } }],
        "action": [{ "id": "one", "title": "One", "definitionCanonical": DRUG, "goalId": ["well"] }] });
    let course = crate::plans::step("course", json!({ "definitionCanonical": "urn:test:course" }));
    let mut world = planned(json!([crate::plans::step("first", json!({})), course]));
    let plan = kept(&mut world, inner);
    let order = kept(&mut world, crate::world::referral().remove(0));
    // 3 is the group that the course became.
    assert_eq!(world.states(&order), "0 requested, 2 requested, 4 requested");
    assert_eq!(world.step_of(&order, 4)["input"][0]["valueCodeableConcept"]["text"], "To be well");
    world.set(&plan, json!({ "action": [{ "id": "two", "title": "Two", "definitionCanonical": DRUG }, { "id": "three", "title": "Three", "definitionCanonical": DRUG }] })).unwrap();
    world.does(&order, 2, "Organization/x");
    world.does(&order, 4, "Organization/x");
    assert_eq!(world.states(&order), "0 completed, 2 completed, 4 completed");
    let other = kept(&mut world, crate::world::referral().remove(0));
    assert_eq!(
        world.states(&other),
        "0 requested, 2 requested, 4 requested, 5 requested",
        "orders to come have the new one"
    );
}

#[test]
fn an_order_whose_plan_names_what_is_not_here_is_refused_and_not_kept() {
    let mut world = World::with(crate::plans::policy_of("ServiceRequest", json!([give(json!({}))])));
    let refused = world.create(crate::world::referral().remove(0), Caller::Local).unwrap_err();
    assert_eq!(refused.issues[0].path, "PlanDefinition.action[0].action[0].definitionCanonical");
    assert!(world.all("ServiceRequest").is_empty() && world.all("Task").is_empty());
    kept(&mut world, drug());
    assert!(world.create(crate::world::referral().remove(0), Caller::Local).is_ok());
    let asks = crate::plans::step("ask", json!({ "definitionCanonical": "http://example.org/Questionnaire/pain" }));
    let mut world = World::with(crate::plans::policy_of("ServiceRequest", json!([asks])));
    let order = kept(&mut world, crate::world::referral().remove(0));
    assert_eq!(world.states(&order), "0 requested, 2 requested", "a Questionnaire need not be here");
}

#[test]
fn a_transform_and_what_is_no_canonical_are_refused_by_every_door() {
    for (name, uri) in [("transform", "http://example.org/StructureMap/x"), ("definitionUri", "urn:x")] {
        let plan = json!({
            "resourceType": "PlanDefinition", "url": "urn:test:odd", "status": "active", "action": [{
                "id": "whole", "trigger": [{ "type": "data-added", "data": [{ "type": "DeviceRequest" }] }],
                "title": "Odd", "definitionCanonical": DRUG, name: uri,
            }],
        });
        let path = format!("PlanDefinition.action[0].{name}");
        let of_file = hub_domain::workflow::Offered::read(&plan.to_string()).unwrap_err();
        assert_eq!(of_file.iter().map(|fault| fault.path.as_str()).collect::<Vec<_>>(), [path.as_str()]);
        let mut world = World::new();
        kept(&mut world, drug());
        let stored = world.create(plan.clone(), Caller::Local).unwrap_err();
        assert_eq!(stored.issues[0].path, path);
        let given = hub_domain::apply::Given {
            subject: "Patient/1".into(),
            encounter: None,
            practitioner: None,
            organization: None,
            seen: Vec::new(),
            now: schemas::time::Timestamp(0),
            definitions: [(DRUG.to_owned(), body(drug()))].into(),
        };
        let mut applied = plan.clone();
        applied["action"][0].as_object_mut().unwrap().remove("definitionCanonical");
        let applied = hub_domain::apply::plan(&body(applied), &given).unwrap_err();
        assert_eq!(applied[0].path, path);
        // A definition is one or the other.
        let mut action = json!([{ "linkId": "one", name: uri }]);
        if name == "transform" {
            action[0]["definitionCanonical"] = DRUG.into();
        }
        assert_eq!(paths(&mut world, action), [format!("RequestGroup.action[0].{name}")]);
    }
}
