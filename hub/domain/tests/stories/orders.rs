//! Orders on the built-in plans.

use crate::world::{World, laboratory, prescription, referral};
use hub_domain::command::{self, Caller, Command, Interaction};
use hub_domain::decide::{Moment, Policy, Verdict, decide, stamp};
use hub_domain::refusal::RefusalKind;
use hub_domain::scene::Scene;
use schemas::message::Act;
use schemas::resource::{Body, Kind};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

#[test]
fn a_referral_releases_its_steps_one_after_another() {
    let mut world = World::new();
    let order = world.submit(referral());
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft, 4 draft, 5 draft");
    world.does(&order, 2, "Organization/clinic");
    assert_eq!(world.states(&order), "0 in-progress, 2 completed, 3 requested, 4 draft, 5 draft");
    for step in 3..=5 {
        world.does(&order, step, "Organization/clinic");
    }
    assert_eq!(world.states(&order), "0 completed, 2 completed, 3 completed, 4 completed, 5 completed");
    assert_eq!(world.status_of(&order), "completed");
    world.check_histories();
}

#[test]
fn a_request_that_was_told_its_id_is_not_copied() {
    let Value::Object(sent) = laboratory().remove(0) else { panic!("no object") };
    let create = Interaction::Create { kind: Kind::SERVICE_REQUEST, body: sent.into(), unless: None };
    let id = Uuid::from_u128(1);
    let mut command =
        Command { id, caller: Caller::Local, act: command::Act::alone(create), repeat: None, traceparent: None };
    let (policy, now) = (World::policy(), Timestamp(1_790_000_000_000_000));
    stamp(&mut command, now);
    let Verdict::Decided(decision) = decide(&Scene::default(), &command, &Moment { now, policy: &policy }).unwrap()
    else {
        panic!("a lone request needs to see nothing");
    };
    let command::Act::Change(entries) = &command.act else { panic!("no change") };
    let Interaction::Create { body, .. } = &entries[0].interaction else { panic!("no create") };
    let written = &decision.writes[0].resource;
    assert_eq!(written.key.to_string(), format!("ServiceRequest/{id}"));
    assert!(std::ptr::eq::<Body>(&**body, &*written.body));
}

#[test]
fn a_laboratory_order_is_known_by_its_category() {
    let mut world = World::new();
    let order = world.submit(laboratory());
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft, 4 draft");
    assert_eq!(world.published(), ["laboratory collect"]);
}

#[test]
fn items_are_dispensed_side_by_side_and_handed_over_when_all_are() {
    let mut world = World::new();
    let order = world.submit(prescription(2));
    assert_eq!(world.states(&order), "0 requested, 3 requested, 4 requested, 5 draft");
    world.does(&order, 4, "Organization/pharmacy");
    assert_eq!(world.states(&order), "0 in-progress, 3 requested, 4 completed, 5 draft");
    world.does(&order, 3, "Organization/pharmacy");
    world.does(&order, 5, "Organization/pharmacy");
    assert_eq!(world.states(&order), "0 completed, 3 completed, 4 completed, 5 completed");
    world.check_histories();
}

#[test]
fn the_first_to_claim_has_it() {
    let mut world = World::new();
    let order = world.submit(referral());
    world.report(&order, 2, "Organization/a", Act::Claim, 1).unwrap();
    let refused = world.report(&order, 2, "Organization/b", Act::Claim, 1).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Conflict);
    // The same claim may be asked again: its first answer may have been lost.
    world.report(&order, 2, "Organization/a", Act::Claim, 1).unwrap();
    // Another claim is another worker's, of whatever performer.
    assert!(world.report(&order, 2, "Organization/a", Act::Claim, 2).is_err());
    assert_eq!(world.owner(&order, 2).as_deref(), Some("Organization/a"));
}

#[test]
fn an_open_step_is_offered_three_times_and_then_given_up() {
    let mut world = World::new();
    let order = world.submit(referral());
    for offer in 1..=3 {
        let who = format!("Organization/{offer}");
        world.report_offer(&order, 2, offer, &who, Act::Claim, 1).unwrap();
        world.report_offer(&order, 2, offer, &who, Act::InProgress, 2).unwrap();
        world.report_offer(&order, 2, offer, &who, Act::Failed, 3).unwrap();
    }
    assert_eq!(
        world.states(&order),
        "0 failed, 2 failed, 2.2 failed, 2.3 failed, 3 cancelled, 4 cancelled, 5 cancelled"
    );
    assert_eq!(world.status_of(&order), "active");
    world.check_histories();
}

#[test]
fn a_later_report_takes_the_task_through_the_skipped_steps() {
    let mut world = World::new();
    let order = world.submit(referral());
    world.report(&order, 2, "Organization/a", Act::Claim, 1).unwrap();
    world.report(&order, 2, "Organization/a", Act::Completed, 3).unwrap();
    // The one it overtook changes nothing.
    world.report(&order, 2, "Organization/a", Act::InProgress, 2).unwrap();
    assert_eq!(world.history(&order, 2), ["requested", "accepted", "in-progress", "completed"].to_vec());
    world.check_histories();
}

#[test]
fn a_revoked_request_cancels_what_nobody_has_started() {
    let mut world = World::new();
    let order = world.submit(referral());
    world.report(&order, 2, "Organization/a", Act::Claim, 1).unwrap();
    world.set_status(&order, "revoked").unwrap();
    assert_eq!(world.states(&order), "0 cancelled, 2 cancelled, 3 cancelled, 4 cancelled, 5 cancelled");
    world.check_histories();
}

#[test]
fn whoever_has_started_is_asked_to_stop() {
    let mut world = World::new();
    let order = world.submit(referral());
    world.report(&order, 2, "Organization/a", Act::Claim, 1).unwrap();
    world.report(&order, 2, "Organization/a", Act::InProgress, 2).unwrap();
    world.set_status(&order, "revoked").unwrap();
    assert_eq!(
        world.states(&order),
        "0 in-progress, 2 in-progress, 3 cancelled, 4 cancelled, 5 cancelled, 6 requested"
    );
    world.does(&order, 6, "Organization/a");
    assert_eq!(world.states(&order), "0 cancelled, 2 cancelled, 3 cancelled, 4 cancelled, 5 cancelled, 6 completed");
    world.check_histories();
}

#[test]
fn whoever_refuses_to_stop_finishes() {
    let mut world = World::new();
    let order = world.submit(referral());
    world.report(&order, 2, "Organization/a", Act::Claim, 1).unwrap();
    world.report(&order, 2, "Organization/a", Act::InProgress, 2).unwrap();
    world.set_status(&order, "revoked").unwrap();
    world.report(&order, 6, "Organization/a", Act::Rejected, 1).unwrap();
    world.report(&order, 2, "Organization/a", Act::Completed, 3).unwrap();
    assert_eq!(world.states(&order), "0 cancelled, 2 completed, 3 cancelled, 4 cancelled, 5 cancelled, 6 rejected");
    world.check_histories();
}

#[test]
fn whoever_ends_before_it_answers_is_not_asked_to_stop_any_more() {
    let mut world = World::new();
    let order = world.submit(referral());
    world.report(&order, 2, "Organization/a", Act::Claim, 1).unwrap();
    world.report(&order, 2, "Organization/a", Act::InProgress, 2).unwrap();
    world.set_status(&order, "revoked").unwrap();
    world.report(&order, 2, "Organization/a", Act::Completed, 3).unwrap();
    assert_eq!(world.states(&order), "0 cancelled, 2 completed, 3 cancelled, 4 cancelled, 5 cancelled, 6 cancelled");
    world.check_histories();
}

#[test]
fn on_hold_nothing_is_granted_and_the_pause_is_asked_for() {
    let mut world = World::new();
    let order = world.submit(prescription(2));
    world.report(&order, 3, "Organization/a", Act::Claim, 1).unwrap();
    world.report(&order, 3, "Organization/a", Act::InProgress, 2).unwrap();
    for request in world.requests(&order) {
        world.set_status(&request, "on-hold").unwrap();
    }
    assert_eq!(world.states(&order), "0 on-hold, 3 in-progress, 4 requested, 5 draft, 6 requested");
    assert!(world.report(&order, 4, "Organization/b", Act::Claim, 1).is_err());
    // To pause it must be granted, though all else is held.
    world.does(&order, 6, "Organization/a");
    assert_eq!(world.states(&order), "0 on-hold, 3 on-hold, 4 requested, 5 draft, 6 completed");
    for request in world.requests(&order) {
        world.set_status(&request, "active").unwrap();
    }
    assert_eq!(world.states(&order), "0 in-progress, 3 on-hold, 4 requested, 5 draft, 6 completed, 7 requested");
    world.does(&order, 7, "Organization/a");
    assert_eq!(world.states(&order), "0 in-progress, 3 in-progress, 4 requested, 5 draft, 6 completed, 7 completed");
    world.check_histories();
}

#[test]
fn an_order_that_is_under_way_is_no_draft_again_and_stays_whose_it_is() {
    let mut world = World::new();
    let order = world.submit(referral());
    let others =
        json!({ "subject": { "reference": "Patient/2" }, "requisition": { "value": "7" }, "status": "on-hold" });
    let refusal = world.set(&order, others).unwrap_err();
    let paths: Vec<&str> = refusal.issues.iter().map(|issue| issue.path.as_str()).collect();
    assert_eq!(paths, ["ServiceRequest.subject", "ServiceRequest.requisition"]);
    world.set(&order, json!({ "note": [{ "text": "By the back door" }] })).unwrap();
    for status in ["active", "on-hold"] {
        world.set_status(&order, status).unwrap();
        let before = world.states(&order);
        for back in ["draft", "unknown"] {
            let refusal = world.set_status(&order, back).unwrap_err();
            assert_eq!(refusal.issues[0].path, "ServiceRequest.status");
        }
        assert_eq!((world.status_of(&order).as_str(), world.states(&order)), (status, before));
    }
    world.set_status(&order, "revoked").unwrap();
    world.check_histories();
}

#[test]
fn one_item_of_two_may_be_withdrawn() {
    let mut world = World::new();
    let order = world.submit(prescription(2));
    let second = world.requests(&order)[1].clone();
    world.set_status(&second, "cancelled").unwrap();
    assert_eq!(world.states(&order), "0 requested, 3 requested, 4 cancelled, 5 draft");
    world.does(&order, 3, "Organization/a");
    world.does(&order, 5, "Organization/a");
    assert_eq!(world.states(&order), "0 completed, 3 completed, 4 cancelled, 5 completed");
    assert_eq!(world.status_of(&second), "cancelled");
    world.check_histories();
}

#[test]
fn a_placer_may_declare_it_complete() {
    let mut world = World::new();
    let order = world.submit(referral());
    world.report(&order, 2, "Organization/a", Act::Claim, 1).unwrap();
    world.report(&order, 2, "Organization/a", Act::InProgress, 2).unwrap();
    world.set_status(&order, "completed").unwrap();
    assert_eq!(world.states(&order), "0 in-progress, 2 in-progress, 3 cancelled, 4 cancelled, 5 cancelled");
    world.report(&order, 2, "Organization/a", Act::Completed, 3).unwrap();
    assert_eq!(world.states(&order), "0 completed, 2 completed, 3 cancelled, 4 cancelled, 5 cancelled");
    world.check_histories();
}

#[test]
fn a_lapsed_lease_ends_the_claim_and_offers_the_step_again() {
    let mut policy = World::policy();
    policy.leases.1 = Some(std::time::Duration::from_secs(60));
    let mut world = World::with(policy);
    let order = world.submit(referral());
    world.report(&order, 2, "Organization/a", Act::Claim, 1).unwrap();
    world.passes(30);
    world.report(&order, 2, "Organization/a", Act::InProgress, 2).unwrap();
    world.passes(59);
    assert_eq!(world.states(&order), "0 in-progress, 2 in-progress, 3 draft, 4 draft, 5 draft");
    world.passes(2);
    assert_eq!(world.states(&order), "0 in-progress, 2 failed, 2.2 requested, 3 draft, 4 draft, 5 draft");
    // The one who was late is told so.
    assert!(world.report(&order, 2, "Organization/a", Act::Completed, 3).is_err());
    world.check_histories();
}

#[test]
fn a_draft_becomes_an_order_by_an_update() {
    let mut world = World::new();
    let mut request = referral();
    request[0]["status"] = "draft".into();
    let order = world.submit(request);
    assert_eq!(world.states(&order), "");
    world.set_status(&order, "active").unwrap();
    assert_eq!(world.states(&order), "0 requested, 2 requested, 3 draft, 4 draft, 5 draft");
}

#[test]
fn what_asks_for_nothing_spawns_nothing() {
    for (element, value) in [
        ("intent", "proposal".into()),
        ("intent", "plan".into()),
        ("status", "on-hold".into()),
        ("doNotPerform", serde_json::Value::Bool(true)),
    ] {
        let mut world = World::new();
        let mut request = referral();
        request[0][element] = value;
        let order = world.submit(request);
        assert_eq!(world.states(&order), "", "{element}");
    }
}

#[test]
fn a_site_may_demand_the_actionable_tag() {
    let policy = Policy { require_actionable: true, ..World::policy() };
    let mut world = World::with(policy);
    let order = world.submit(referral());
    assert_eq!(world.states(&order), "");
}

#[test]
fn a_named_performer_owns_every_step_and_may_decline_the_whole() {
    let mut world = World::new();
    let mut request = referral();
    request[0]["performer"] = serde_json::json!([{ "reference": "Organization/clinic" }]);
    let order = world.submit(request.clone());
    assert!(world.report(&order, 2, "Organization/b", Act::Claim, 1).is_err());
    world.report(&order, 2, "Organization/clinic", Act::Claim, 1).unwrap();
    assert_eq!(world.states(&order), "0 accepted, 2 accepted, 3 draft, 4 draft, 5 draft");
    world.move_task(&order, 0, "rejected").unwrap();
    assert_eq!(world.states(&order), "0 rejected, 2 cancelled, 3 cancelled, 4 cancelled, 5 cancelled");
    world.check_histories();
}

#[test]
fn the_named_owners_refusal_ends_the_step() {
    let mut world = World::new();
    let mut request = referral();
    request[0]["performer"] = serde_json::json!([{ "reference": "Organization/clinic" }]);
    let order = world.submit(request);
    world.report(&order, 2, "Organization/clinic", Act::Rejected, 1).unwrap();
    assert_eq!(world.states(&order), "0 rejected, 2 rejected, 3 cancelled, 4 cancelled, 5 cancelled");
    world.check_histories();
}

#[test]
fn nobody_but_the_hub_moves_a_fulfilment_task() {
    let mut world = World::new();
    let order = world.submit(referral());
    let refusal = world.move_task(&order, 0, "completed").unwrap_err();
    assert!(refusal.text().contains("follows its work items"), "{}", refusal.text());
}

#[test]
fn an_illegal_step_is_refused_and_the_legal_ones_are_named() {
    let mut world = World::new();
    let order = world.submit(referral());
    let refusal = world.move_task(&order, 2, "completed").unwrap_err();
    assert!(refusal.text().contains("allowed to you now: "), "{}", refusal.text());
    assert!(refusal.text().contains("accepted"), "{}", refusal.text());
}
