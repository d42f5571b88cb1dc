//! What time does to referrals: reminders, by timers that outlive a hub.

use serde_json::Value;
use tests::{Parts, World, tell, until};

use super::{directory, letter, parameters, practice, referral_of};

async fn whoever_has_to_know_is_reminded(world: World) {
    let hub = world.hub_with(&[("now", "2026-01-01T10:00:00Z")]).await;
    let desk = practice(&hub);
    let service = directory(&hub, "BOOKABLE").await;
    let wanted = referral_of(&[&service], "TWO_WEEK_WAIT");
    let path = "ServiceRequest/$ers.createReferral";
    let forgotten = desk.post(path, &wanted).await.is(201).reference();
    let lettered = desk.post(path, &wanted).await.is(201).reference();
    let attached = parameters(serde_json::json!([letter(&desk, "referralLetterFile", "letter.txt").await]));
    desk.acts(&lettered, "$ers.maintainReferralLetter", &attached).await.is(200);
    hub.closes().await;

    let hub = world.hub_with(&[("now", "2026-01-08T11:00:00Z")]).await;
    let desk = practice(&hub);
    let reminded = async |referral: &str| -> Vec<String> {
        let found = practice(&hub).get(&format!("Communication?based-on={referral}")).await.is(200);
        let code = |one: &Value| one["category"][0]["coding"][0]["code"].as_str().unwrap().to_owned();
        found.resources().iter().map(code).collect()
    };
    until("the letter is missed", async || reminded(&forgotten).await, |all| all[..] == ["LETTER_OUTSTANDING"]).await;
    assert!(reminded(&lettered).await.is_empty(), "its letter came");
    assert_eq!(desk.version(&forgotten).await, "W/\"1\"", "a reminder is no change of the referral");
    hub.closes().await;

    let hub = world.hub_with(&[("now", "2026-01-15T11:00:00Z")]).await;
    let reminded = async |referral: &str| {
        practice(&hub).get(&format!("Communication?based-on={referral}")).await.is(200).resources().len()
    };
    until("two weeks are over", async || reminded(&lettered).await, |count| *count == 1).await;
    until("two weeks are over", async || reminded(&forgotten).await, |count| *count == 2).await;
    hub.closes().await;
}

#[test]
fn whoever_has_to_know_is_reminded_on_sqlite() {
    tell(Parts::SQLITE_EMBEDDED, whoever_has_to_know_is_reminded);
}

#[test]
fn whoever_has_to_know_is_reminded_on_postgres() {
    tell(Parts::POSTGRES_EMBEDDED, whoever_has_to_know_is_reminded);
}
