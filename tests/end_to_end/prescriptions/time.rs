//! What time does to prescriptions.

use tests::prescription::{Prescription, nominated_release, response_of};
use tests::{Client, Parts, World, tell, until};

use super::{PHARMACY, passed, refuses, releases, sends, service};

/// Issues open one after another, at their dates; the dates come as the clock is set on.
async fn repeat_dispensing_lives_through_its_issues(world: World) {
    let at = async |now: &str| world.hub_with(&[("now", now)]).await;
    let hub = at("2026-01-01T10:00:00Z").await;
    let client = service(&hub);
    let prescription = Prescription::new(1).repeat_dispensing(3, "2026-01-01").nominated(PHARMACY);
    sends(&client, &prescription.order()).await;
    let states = async |client: &Client| -> Vec<String> {
        prescription.stands(client).await.into_iter().map(|(state, _)| state).collect()
    };
    assert_eq!(states(&client).await, ["0001", "9000", "9000"]);
    releases(&client, &prescription, PHARMACY).await;
    sends(&client, &prescription.notification(PHARMACY, "0006", &["0001"])).await;
    assert_eq!(
        states(&client).await,
        ["0006", "0000", "9000"],
        "the next may be had a week before this one is used up"
    );
    refuses(&client, "Task/$release", &prescription.release_by(PHARMACY), "PRESCRIPTION_INVALID_STATE_TRANSITION")
        .await;
    hub.closes().await;

    let hub = at("2026-01-23T10:00:00Z").await;
    let client = service(&hub);
    until("the second issue is ready", async || states(&client).await, |all| all[..] == ["0006", "0001", "9000"]).await;
    let reply = client.post("Task/$release", &nominated_release(PHARMACY)).await.is(200);
    assert_eq!(passed(&reply.body).len(), 1);
    sends(&client, &prescription.notification(PHARMACY, "0007", &["0002"])).await;
    assert_eq!(states(&client).await, ["0006", "0007", "0000"]);
    let answer = client.post("$process-message", &prescription.cancellation(None, None)).await.is(200);
    assert_eq!(response_of(&answer), "R-0001");
    assert_eq!(states(&client).await, ["0006", "0007", "0005"]);
    hub.closes().await;

    // Nobody claimed for the first issue in half a year; then all of it is over, and forgotten in time.
    let hub = at("2026-07-05T10:00:00Z").await;
    let client = service(&hub);
    until("nobody claims any more", async || states(&client).await, |all| all[0] == "0009").await;
    hub.closes().await;
    let hub = at("2027-01-15T10:00:00Z").await;
    let client = service(&hub);
    until("the record is deleted", async || states(&client).await, Vec::is_empty).await;
    for kind in ["Task", "MedicationRequest", "Bundle", "MedicationDispense"] {
        assert_eq!(hub.finds(kind).await.len(), 0, "{kind}");
    }
    refuses(&client, "$process-message", &prescription.order(), "DUPLICATE_PRESCRIPTION_ID").await;
    hub.closes().await;
}

#[test]
fn repeat_dispensing_on_sqlite() {
    tell(Parts::SQLITE_EMBEDDED, repeat_dispensing_lives_through_its_issues);
}

#[test]
fn repeat_dispensing_on_postgres() {
    tell(Parts::POSTGRES_RABBITMQ, repeat_dispensing_lives_through_its_issues);
}

/// What is not acted upon ends: unreleased as expired, partly dispensed as dispensed.
async fn time_ends_what_nobody_ends(world: World) {
    let hub = world.hub_with(&[("now", "2026-01-01T10:00:00Z")]).await;
    let client = service(&hub);
    let dated = |day: &str| Prescription { authored: Some(day.into()), ..Prescription::new(2) };
    let (unreleased, active, ahead) = (dated("2026-01-01"), dated("2026-01-01"), dated("2026-03-01"));
    for prescription in [&unreleased, &active, &ahead] {
        sends(&client, &prescription.order()).await;
    }
    assert_eq!(ahead.state(&client).await, "9001", "dated ahead");
    releases(&client, &active, PHARMACY).await;
    let told = active.notification_at(PHARMACY, "0003", &["0003", "0004"], "2026-01-02T10:00:00Z");
    sends(&client, &told).await;
    let awaited = dated("2026-07-01");
    client.post("$process-message", &awaited.cancellation(None, None)).await.is(400);
    hub.closes().await;
    let hub = world.hub_with(&[("now", "2026-07-02T10:00:00Z")]).await;
    let client = service(&hub);
    until("it expires", async || unreleased.state(&client).await, |state| state == "0004").await;
    assert_eq!(unreleased.stands(&client).await, [("0004".into(), vec!["0006".into(), "0006".into()])]);
    until("it counts as dispensed", async || active.state(&client).await, |state| state == "0006").await;
    assert_eq!(active.stands(&client).await, [("0006".into(), vec!["0001".into(), "0002".into()])]);
    until("its day has come", async || ahead.state(&client).await, |state| state == "0001").await;
    refuses(&client, "Task/$release", &unreleased.release_by(PHARMACY), "PRESCRIPTION_EXPIRED").await;
    let late = client.post("$process-message", &unreleased.cancellation(None, None)).await.is(400);
    assert_eq!(response_of(&late), "R-0005");
    sends(&client, &awaited.order()).await;
    assert_eq!(awaited.state(&client).await, "0001", "it was to be cancelled 180 days ago");
    // A notification that comes again when its answer is gone was told before, whatever else it says now.
    let mut again = told.clone();
    again["entry"][0]["resource"]["sender"]["display"] = "SOMEBODY ELSE".into();
    let send = async || client.post("$process-message", &again).await.status;
    until("its answer is not kept any more", send, |status| *status == 200).await;
    assert_eq!(hub.finds("MedicationDispense").await.len(), 2);
    let past = dated("2020-01-01");
    sends(&client, &past.order()).await;
    until("what is long past is taken in, and expires", async || past.state(&client).await, |s| s == "0004").await;
    hub.closes().await;
}

#[test]
fn time_ends_what_nobody_ends_on_sqlite() {
    tell(Parts::SQLITE_EMBEDDED, time_ends_what_nobody_ends);
}

#[test]
fn time_ends_what_nobody_ends_on_postgres() {
    tell(Parts::POSTGRES_EMBEDDED, time_ends_what_nobody_ends);
}
