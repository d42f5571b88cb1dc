//! Who is to do a step: by name, by kind, or one of several.

use crate::plans::{step, world_of};
use crate::world::referral;
use schemas::message::Act;
use schemas::plan::Plan;
use serde_json::{Value, json};

#[test]
fn who_is_named_for_a_step_owns_it() {
    let named = json!({
        "participant": [
            { "role": { "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] } },
            { "actorReference": { "reference": "Organization/a" } },
        ],
    });
    let group = json!({ "id": "group", "participant": named["participant"], "action": [
        { "id": "inherits" },
        step("own", json!({ "participant": [{ "actorReference": { "reference": "Organization/b" } }] })),
    ] });
    let mut world = world_of(json!([group, step("free", json!({}))]));
    let order = world.submit(referral());
    assert_eq!(world.owner(&order, 3).as_deref(), Some("Organization/a"));
    assert_eq!(world.owner(&order, 4).as_deref(), Some("Organization/b"));
    assert_eq!(world.owner(&order, 5), None);
    assert!(world.report(&order, 3, "Organization/b", Act::Claim, 1).is_err());
    world.report(&order, 3, "Organization/a", Act::Rejected, 1).unwrap();
    assert!(world.states(&order).starts_with("0 rejected, 3 rejected"), "nobody else is asked");
    assert_eq!(world.published(), ["clinic inherits", "clinic own", "clinic free"]);
}

#[test]
fn of_what_kind_whoever_does_a_step_is_to_be_goes_with_its_task() {
    let work = |code: &str| json!({ "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": code }] });
    let nurse = json!({ "system": "http://snomed.info/sct", "code": "106292003" });
    let both = json!({ "coding": [nurse, work("clinic")["coding"][0]], "text": "Nurse" });
    let of_type =
        |code: &str| json!({ "coding": [{ "system": "http://hl7.org/fhir/action-participant-type", "code": code }] });
    let described = |url: &str| json!({ "coding": [{ "system": "urn:ietf:rfc:3986", "code": url }] });
    let named = |who: Value| step("any", json!({ "participant": who }));
    let group = json!({ "id": "group", "participant": [{ "role": work("clinic") }, { "type": "device" }], "action": [
        { "id": "inherits" },
        { "id": "own", "participant": [{ "type": "patient" }] },
    ] });
    let plan = json!([
        named(json!([{ "type": "practitioner", "role": work("clinic") }])),
        step("nurse", json!({ "participant": [{ "type": "practitioner", "role": both }] })),
        step("typed", json!({ "participant": [{ "role": work("clinic") }, { "type": "patient" }] })),
        step(
            "described",
            json!({ "participant": [
            { "role": work("clinic") },
            { "actorCanonical": "http://a.example/robot|2" },
            { "typeCanonical": "http://a.example/arm", "type": "device", "role": { "text": "Holds" } },
        ] })
        ),
        step(
            "known",
            json!({ "participant": [
            { "role": work("clinic") },
            { "type": "organization", "actorReference": { "reference": "Organization/a" } },
        ] })
        ),
        group,
    ]);
    let mut world = world_of(plan);
    let order = world.submit(referral());
    let kinds = |step: u32| world.step_of(&order, step)["performerType"].clone();
    assert_eq!(kinds(2), json!([work("clinic")]), "R4 demands a type beside each kind of work: it says nothing more");
    assert_eq!(kinds(3), json!([work("clinic"), { "coding": [nurse], "text": "Nurse" }]));
    assert_eq!(kinds(4), json!([work("clinic"), of_type("patient")]));
    let robot = [described("http://a.example/robot|2"), json!({ "text": "Holds" }), described("http://a.example/arm")];
    assert_eq!(kinds(5), json!([work("clinic"), robot[0], robot[1], robot[2], of_type("device")]));
    assert_eq!(kinds(6), json!([work("clinic")]));
    assert_eq!(
        (kinds(8), kinds(9)),
        (json!([work("clinic"), of_type("device")]), json!([work("clinic"), of_type("patient")]))
    );
    assert!(world.published().iter().all(|sent| sent.starts_with("clinic ")), "the kind of work alone names the queue");
}

#[test]
fn an_actor_of_the_plan_is_a_participant_by_each_of_its_options() {
    let plan = |actor: &str| {
        json!({
            "resourceType": "PlanDefinition", "url": "urn:test:plan", "status": "active",
            "actor": [{ "id": "who", "option": [
                { "role": { "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] } },
                { "type": "device" },
                { "typeReference": { "reference": "Device/1" } },
            ] }],
            "action": [{ "id": "do", "trigger": [{ "type": "data-added", "data": [{ "type": "ServiceRequest" }] }],
                         "participant": [{ "actorId": actor }] }],
        })
    };
    let read = |actor: &str| Plan::parse(plan(actor).as_object().unwrap());
    let plan = read("who").unwrap();
    let action = &plan.actions[0];
    assert_eq!((action.work.as_deref(), action.kinds.len(), action.actors.len()), (Some("clinic"), 1, 1));
    let faults = read("nobody").unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(paths[0], "PlanDefinition.action[0].participant[0].actorId");
}

#[test]
fn of_several_who_are_named_for_a_step_one_claims_it_and_nobody_else_of_their_kind() {
    let named = |second: &str| {
        let who = |reference: &str| json!({ "actorReference": { "reference": reference } });
        let work = json!({ "role": { "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] } });
        json!([step("any", json!({ "participant": [work, who("Organization/a"), who(second)] }))])
    };
    let mut world = world_of(named("Organization/b"));
    let order = world.submit(referral());
    let refused = world.report(&order, 2, "Organization/x", Act::Claim, 1).unwrap_err();
    assert!(refused.text().contains("Organization/a, Organization/b"), "{}", refused.text());
    let task = world.newest(&order, 2).unwrap().key.to_string();
    let taken = json!({ "status": "accepted", "owner": { "reference": "Organization/x" } });
    let refused = world.set(&task, taken).unwrap_err();
    assert!(refused.text().contains("Organization/a, Organization/b"), "{}", refused.text());
    assert!(world.set(&task, json!({ "owner": { "reference": "Organization/x" } })).is_err());
    world.report(&order, 2, "Practitioner/x", Act::Claim, 1).unwrap();

    let mut world = world_of(named("Organization/b"));
    let order = world.submit(referral());
    world.does(&order, 2, "Organization/b");
    assert!(world.states(&order).starts_with("0 completed"));

    // One of several may be somebody of that organisation: that is not known here.
    let mut world = world_of(named("Practitioner/1"));
    let order = world.submit(referral());
    world.does(&order, 2, "Organization/x");
    assert!(world.states(&order).starts_with("0 completed"));
}

#[test]
fn whom_a_recipient_cannot_be_is_told_as_r5_tells_it() {
    let who = |reference: Value| json!({ "actorReference": reference });
    let work = json!({ "role": { "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] } });
    let of = |id: &str, actors: &[Value]| {
        let participants: Vec<Value> = [work.clone()].into_iter().chain(actors.iter().cloned().map(who)).collect();
        step(id, json!({ "participant": participants }))
    };
    let team = json!({ "reference": "CareTeam/1" });
    let ward = json!({ "reference": "Organization/1" });
    let group = json!({ "reference": "Group/1" });
    let nurse = json!({ "display": "A nurse" });
    let mut world = world_of(json!([
        of("a", &[team.clone(), ward.clone()]),
        of("b", std::slice::from_ref(&group)),
        of("c", std::slice::from_ref(&nurse))
    ]));
    let order = world.submit(referral());
    let told = |step: u32| {
        let task = world.step_of(&order, step);
        let others = task["extension"].as_array().cloned().unwrap_or_default();
        let others: Vec<Value> = others.iter().map(|one| one["extension"][0]["valueReference"].clone()).collect();
        (task["owner"].clone(), task["restriction"]["recipient"].clone(), others)
    };
    assert_eq!(told(2), (Value::Null, json!([ward]), vec![team]));
    assert_eq!(told(3), (Value::Null, json!([group]), vec![]));
    assert_eq!(told(4), (Value::Null, Value::Null, vec![nurse]));
}
