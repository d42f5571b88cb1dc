//! What is not kept for ever.

use serde_json::json;
use tests::bodies::{With, laboratory, referral};
use tests::{Client, Parts, Reply, World, tell, until};

/// So late that nothing is kept that is not kept for ever.
const LATER: [(&str, &str); 2] = [("receipts_kept", "7d"), ("now", "2090-01-01T00:00:00Z")];

async fn submits(hub: &Client, key: &str) -> Reply {
    let order = laboratory().with(json!({ "note": [{ "text": "first" }] }));
    hub.post("ServiceRequest", &order).header("idempotency-key", key).await
}

/// An order is never made twice: when its answer is gone, its key is refused.
async fn a_repeat_is_answered_alike_for_its_time_and_refused_after_it(world: World) {
    let hub = world.hub().await;
    let first = submits(&hub, "order 1").await.is(201);
    let request = first.reference();
    let patch = json!([{ "op": "add", "path": "/note/-", "value": { "text": "one more" } }]);
    let notes = async |hub: &Client| hub.patch(&request, patch.clone()).header("idempotency-key", "note").await.is(200);
    let noted = notes(&hub).await;
    hub.closes().await;

    let hub = world.hub().await;
    assert_eq!(submits(&hub, "order 1").await.is(201).body, first.body);
    assert_eq!(notes(&hub).await.header("etag"), noted.header("etag"));
    hub.closes().await;

    let hub = world.hub_with(&LATER).await;
    let late = until("the key is refused", async || submits(&hub, "order 1").await, |reply| reply.status == 409).await;
    late.refuses(409, "conflict", "");
    assert_eq!(hub.finds("ServiceRequest").await.len(), 1);
    assert_ne!(notes(&hub).await.header("etag"), noted.header("etag"), "a change is done anew");
    hub.post("ServiceRequest", &referral()).header("idempotency-key", "order 2").await.is(201);
    hub.closes().await;
}

#[test]
fn answers_are_kept_for_their_time_on_sqlite() {
    tell(Parts::SQLITE_EMBEDDED, a_repeat_is_answered_alike_for_its_time_and_refused_after_it);
}

#[test]
fn answers_are_kept_for_their_time_on_postgres() {
    tell(Parts::POSTGRES_EMBEDDED, a_repeat_is_answered_alike_for_its_time_and_refused_after_it);
}
