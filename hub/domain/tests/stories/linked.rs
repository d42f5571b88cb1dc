//! What joins an order, and what takes its place: Tasks that somebody writes about one of its Tasks, requests that replace
//! its own.

use crate::world::{World, referral};
use hub_domain::command::{Caller, Role};
use hub_domain::refusal::RefusalKind;
use schemas::message::Act;
use serde_json::{Value, json};

fn known(organization: &str, role: Role) -> Caller {
    Caller::Known { organization: organization.to_owned(), roles: [role].into() }
}

/// A referral whose triage is under way at a clinic.
fn begun(world: &mut World) -> String {
    let mut request = referral();
    request[0]["requester"] = json!({ "reference": "Organization/surgery" });
    let order = world.submit(request);
    world.report(&order, 2, "Organization/a", Act::Claim, 1).unwrap();
    world.report(&order, 2, "Organization/a", Act::InProgress, 2).unwrap();
    order
}

/// A Task about the triage of an order.
fn about(order: &str, rest: Value) -> Value {
    let task = format!("Task/{}.2", order.strip_prefix("ServiceRequest/").unwrap());
    let mut body = json!({ "resourceType": "Task", "status": "requested", "intent": "order" });
    for (name, value) in rest.as_object().unwrap() {
        body[name] = match value.as_str() {
            Some("the triage") => json!({ "reference": task }),
            Some("part of the triage") => json!([{ "reference": task }]),
            Some("the request") => json!({ "reference": order }),
            _ => value.clone(),
        };
    }
    body
}

fn code(code: &str) -> Value {
    json!({ "coding": [{ "system": "http://hl7.org/fhir/CodeSystem/task-code", "code": code }] })
}

#[test]
fn a_placer_asks_for_a_stop_and_the_owner_may_do_so_or_refuse() {
    for (answer, triage, whole) in
        [(Act::Completed, "cancelled", "failed"), (Act::Rejected, "in-progress", "in-progress")]
    {
        let mut world = World::new();
        let order = begun(&mut world);
        let abort = about(&order, json!({ "code": code("abort"), "focus": "the triage" }));
        let stranger = known("Organization/stranger", Role::Placer);
        assert_eq!(world.create(abort.clone(), stranger).unwrap_err().kind, RefusalKind::Forbidden);
        let surgery = known("Organization/surgery", Role::Placer);
        let asked = world.create(abort, surgery).unwrap();
        assert!(asked.ends_with(".6"), "it is a Task of the order: {asked}");
        assert_eq!(world.owner(&order, 6).as_deref(), Some("Organization/a"), "it is for whoever works");
        if answer == Act::Completed {
            world.does(&order, 6, "Organization/a");
        } else {
            world.report(&order, 6, "Organization/a", answer, 1).unwrap();
        }
        let states = world.states(&order);
        assert!(states.starts_with(&format!("0 {whole}, 2 {triage}")), "{states}");
        world.check_histories();
    }
}

/// Who was asked to go on has given the work back meanwhile: it is anybody's, and stays on offer.
#[test]
fn what_was_given_back_does_not_go_on_without_an_owner() {
    let mut world = World::new();
    let order = begun(&mut world);
    let resume = about(&order, json!({ "code": code("resume"), "focus": "the triage" }));
    world.create(resume, known("Organization/surgery", Role::Placer)).unwrap();
    world.move_task(&order, 2, "ready").unwrap();
    world.does(&order, 6, "Organization/a");
    assert!(world.states(&order).starts_with("0 in-progress, 2 ready"), "{}", world.states(&order));
    assert_eq!(world.owner(&order, 2), None);
}

#[test]
fn a_twin_ends_with_an_order_that_is_declined() {
    let mut world = World::new();
    let mut request = referral();
    request[0]["performer"] = json!([{ "reference": "Organization/a" }]);
    let order = world.submit(request);
    let twin = about(
        &order,
        json!({ "partOf": "part of the triage", "focus": "the request", "status": "accepted",
                                     "owner": { "reference": "Organization/a" } }),
    );
    world.create(twin, known("Organization/a", Role::Filler)).unwrap();
    world.move_task(&order, 0, "rejected").unwrap();
    let states = world.states(&order);
    assert!(states.starts_with("0 rejected, 2 cancelled") && states.ends_with("6 cancelled"), "{states}");
}

#[test]
fn nobody_is_asked_to_stop_what_nobody_has_or_what_has_ended() {
    let mut world = World::new();
    let order = world.submit(referral());
    let abort = about(&order, json!({ "code": code("abort"), "focus": "the triage" }));
    assert_eq!(world.create(abort.clone(), Caller::Local).unwrap_err().kind, RefusalKind::Unprocessable);
    world.does(&order, 2, "Organization/a");
    assert_eq!(world.create(abort, Caller::Local).unwrap_err().kind, RefusalKind::Conflict);
    let whole = format!("Task/{}.0", order.strip_prefix("ServiceRequest/").unwrap());
    let of_all = json!({ "resourceType": "Task", "status": "requested", "intent": "order", "code": code("abort"),
                         "focus": { "reference": whole } });
    assert!(world.create(of_all, Caller::Local).unwrap_err().text().contains("revoke"));
}

#[test]
fn a_question_holds_the_work_up_and_its_answer_is_an_input() {
    let mut world = World::new();
    let order = begun(&mut world);
    let question =
        about(&order, json!({ "partOf": "part of the triage", "focus": { "reference": "Questionnaire/skin" } }));
    let other = known("Organization/b", Role::Filler);
    assert_eq!(world.create(question.clone(), other).unwrap_err().kind, RefusalKind::Forbidden);
    let asked = world.create(question, known("Organization/a", Role::Filler)).unwrap();
    assert_eq!(world.owner(&order, 6).as_deref(), Some("Organization/surgery"), "whoever asked for the work is asked");
    let business = |world: &World| world.step_of(&order, 2)["businessStatus"]["coding"][0]["code"].clone();
    assert_eq!(business(&world), "awaiting-information");
    world.set(&asked, json!({ "status": "accepted" })).unwrap();
    world.set(&asked, json!({ "status": "in-progress" })).unwrap();
    let output = json!([{ "type": { "text": "answers" }, "valueString": "Since May" }]);
    world.set(&asked, json!({ "status": "completed", "output": output })).unwrap();
    assert_eq!(business(&world), "information-received");
    assert_eq!(world.step_of(&order, 2)["input"], output);
    assert_eq!(world.states(&order), "0 in-progress, 2 in-progress, 3 draft, 4 draft, 5 draft, 6 completed");
    world.check_histories();
}

#[test]
fn a_question_about_work_that_has_ended_is_asked_no_more() {
    let mut world = World::new();
    let order = begun(&mut world);
    let question =
        about(&order, json!({ "partOf": "part of the triage", "focus": { "reference": "Questionnaire/skin" } }));
    world.create(question, Caller::Local).unwrap();
    world.report(&order, 2, "Organization/a", Act::Completed, 3).unwrap();
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 requested, 4 draft, 5 draft, 6 cancelled");
    world.check_histories();
}

#[test]
fn a_step_and_its_twin_at_the_filler_move_together() {
    let mut world = World::new();
    let order = world.submit(referral());
    let twin = about(
        &order,
        json!({ "status": "accepted", "partOf": "part of the triage", "focus": "the request",
                                     "owner": { "reference": "Organization/a" } }),
    );
    let other = known("Organization/b", Role::Filler);
    assert_eq!(world.create(twin.clone(), other).unwrap_err().kind, RefusalKind::Forbidden);
    let twin = world.create(twin, known("Organization/a", Role::Filler)).unwrap();
    assert_eq!(world.states(&order), "0 accepted, 2 accepted, 3 draft, 4 draft, 5 draft, 6 accepted");
    assert_eq!(world.owner(&order, 2).as_deref(), Some("Organization/a"));
    world.set(&twin, json!({ "status": "in-progress", "businessStatus": { "text": "read" } })).unwrap();
    assert_eq!(world.step_of(&order, 2)["businessStatus"]["text"], "read");
    assert!(world.set(&twin, json!({ "status": "ready" })).is_err(), "a twin gives nothing back");
    let output = json!([{ "type": { "text": "outcome" }, "valueString": "urgent" }]);
    world.set(&twin, json!({ "status": "completed", "output": output })).unwrap();
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 requested, 4 draft, 5 draft, 6 completed");
    assert_eq!(world.step_of(&order, 2)["output"], output);
    world.check_histories();
}

#[test]
fn a_twin_that_is_refused_leaves_the_step_to_the_next() {
    let mut world = World::new();
    let order = world.submit(referral());
    let twin = about(
        &order,
        json!({ "status": "rejected", "partOf": "part of the triage", "focus": "the request",
                                     "owner": { "reference": "Organization/a" }, "statusReason": { "text": "full" } }),
    );
    world.create(twin, Caller::Local).unwrap();
    assert_eq!(world.states(&order), "0 requested, 2 rejected, 2.2 requested, 3 draft, 4 draft, 5 draft, 6 rejected");
    assert_eq!(world.step_of(&order, 2)["statusReason"]["text"], "full");
    world.check_histories();
}

#[test]
fn a_twin_ends_with_the_order() {
    let mut world = World::new();
    let order = world.submit(referral());
    let twin = about(
        &order,
        json!({ "status": "accepted", "partOf": "part of the triage", "focus": "the request",
                                     "owner": { "reference": "Organization/a" } }),
    );
    world.create(twin, Caller::Local).unwrap();
    world.set_status(&order, "revoked").unwrap();
    assert_eq!(world.states(&order), "0 cancelled, 2 cancelled, 3 cancelled, 4 cancelled, 5 cancelled, 6 cancelled");
    world.check_histories();
}

#[test]
fn a_request_that_replaces_another_ends_it() {
    let mut world = World::new();
    let order = begun(&mut world);
    let mut request = referral();
    request[0]["replaces"] = json!([{ "reference": order }, { "reference": "ServiceRequest/elsewhere" }]);
    let new = world.submit(request);
    assert_eq!(world.status_of(&order), "revoked");
    assert_eq!(
        world.states(&order),
        "0 in-progress, 2 in-progress, 3 cancelled, 4 cancelled, 5 cancelled, 6 requested"
    );
    assert_eq!(world.states(&new), "0 requested, 2 requested, 3 draft, 4 draft, 5 draft");
    world.does(&order, 6, "Organization/a");
    assert_eq!(world.step_of(&order, 0)["statusReason"]["coding"][0]["code"], "stopped-on-request");
    assert_eq!(world.step_of(&order, 3)["statusReason"]["coding"][0]["code"], "request-replaced");
    world.check_histories();
}

#[test]
fn a_draft_replaces_another_when_it_becomes_an_order() {
    let mut world = World::new();
    let order = world.submit(referral());
    let mut request = referral();
    request[0]["status"] = "draft".into();
    request[0]["replaces"] = json!([{ "reference": order }]);
    let new = world.submit(request);
    assert_eq!(world.status_of(&order), "active");
    world.set_status(&new, "active").unwrap();
    assert_eq!(world.status_of(&order), "revoked");
    assert_eq!(world.step_of(&order, 0)["statusReason"]["coding"][0]["code"], "request-replaced");
}

#[test]
fn what_a_filler_proposes_instead_shows_on_the_whole() {
    let mut world = World::new();
    let mut request = referral();
    request[0]["performer"] = json!([{ "reference": "Organization/clinic" }]);
    let order = world.submit(request);
    let mut proposal = referral().remove(0);
    proposal["intent"] = "proposal".into();
    let clinic = known("Organization/clinic", Role::Filler);
    let proposal = world.create(proposal, clinic.clone()).unwrap();
    assert_eq!(
        world.create(referral().remove(0), clinic).unwrap_err().kind,
        RefusalKind::Forbidden,
        "it orders nothing"
    );
    let output = json!([{ "type": { "text": "proposal" }, "valueReference": { "reference": proposal } }]);
    let triage = format!("Task/{}.2", order.strip_prefix("ServiceRequest/").unwrap());
    world.set(&triage, json!({ "status": "rejected", "output": output })).unwrap();
    let whole = world.step_of(&order, 0);
    assert_eq!((&whole["status"], &whole["output"]), (&json!("rejected"), &output));
    world.check_histories();
}
