use std::collections::BTreeMap;
use std::time::Duration;

use hub_domain::decision::{Decision, Timer, TimerId};
use hub_domain::registry::{Committed, Parked, Registry};
use hub_storage::Options;
use schemas::resource::Key;
use schemas::task::Priority;
use schemas::time::Timestamp;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::bound::honest;
use crate::build::*;
use crate::place::{Place, options, pass};

const LEASE: Duration = Duration::from_millis(200);

fn task(id: &str) -> Key {
    Key::task(id)
}

fn offered() -> serde_json::Value {
    json!({ "status": "requested", "intent": "order", "priority": "urgent" })
}

pub(crate) async fn a_fresh_message_is_left_to_its_hub_and_then_to_anybody(place: Place) {
    let registry = &*place.registry;
    let decision = deciding(now(registry).await).on(root(1), None).creates(root(1), task("a"), offered());
    let decision = decision.tells(&task("a"), 1, Priority::Urgent).done();
    let message = decision.outbox[0].clone();
    let (outcome, given) = commit_one(registry, decision).await;
    assert_eq!((outcome, given.len()), (Committed::Done, 1));
    assert!(registry.outgoing(10, LEASE).await.unwrap().is_empty());

    pass(Duration::from_millis(350)).await;
    let left = registry.outgoing(10, LEASE).await.unwrap();
    assert_eq!((left.len(), left[0].id), (1, given[0]));
    assert_eq!(left[0].message, message);
    assert!(registry.outgoing(10, LEASE).await.unwrap().is_empty());
    pass(LEASE + Duration::from_millis(50)).await;
    assert_eq!(registry.outgoing(10, LEASE).await.unwrap().len(), 1);
    registry.sent(&given).await.unwrap();
    pass(LEASE + Duration::from_millis(50)).await;
    assert!(registry.outgoing(10, LEASE).await.unwrap().is_empty());
}

pub(crate) async fn urgent_messages_go_first(place: Place) {
    let registry = &*place.registry;
    let at = now(registry).await;
    let ranks = [Priority::Routine, Priority::Stat, Priority::Urgent, Priority::Stat];
    let tells = |(n, priority): (u128, Priority)| {
        let key = task(&n.to_string());
        deciding(at).on(root(n), None).creates(root(n), key.clone(), offered()).tells(&key, 1, priority).done()
    };
    let decisions: Vec<_> = (0..).zip(ranks).map(tells).collect();
    let given: Vec<_> = registry.commit(&decisions).await.unwrap().into_iter().flat_map(|(_, ids)| ids).collect();
    pass(Duration::from_millis(350)).await;
    let order =
        |left: Vec<hub_domain::decision::Outgoing>| left.into_iter().map(|m| m.message.task.id).collect::<Vec<_>>();
    let left = registry.outgoing(3, Duration::from_secs(60)).await.unwrap();
    assert_eq!(left.iter().map(|m| m.id).collect::<Vec<_>>(), [given[1], given[3], given[2]]);
    assert_eq!(order(left), ["1", "3", "2"]);
    assert_eq!(order(registry.outgoing(3, LEASE).await.unwrap()), ["0"]);
}

/// Orders that each offer a Task, tell of it, and wait for something.
const WAITING: u128 = 500;

fn waits(n: u128, at: Timestamp) -> Decision {
    let key = task(&n.to_string());
    let decision = deciding(at).on(root(n), None).creates(root(n), key.clone(), offered());
    let mut decision = decision.tells(&key, 1, Priority::Urgent).done();
    decision.timers = vec![Timer { id: waiting(n), due: at }];
    decision
}

fn waiting(n: u128) -> TimerId {
    TimerId { root: root(n), name: "wait".into() }
}

/// A hub of one connection, which makes the plans of `asks` while nothing waits, and keeps them when much does; and how
/// many rows of outbox and timer it then read.
async fn read_by_plans_made_before(place: Place, asks: impl AsyncFn(&dyn Registry, bool)) -> BTreeMap<String, i64> {
    const READ: &str = "SELECT relname::text, seq_tup_read + coalesce(idx_tup_fetch, 0)
                          FROM pg_stat_user_tables WHERE relname IN ('outbox', 'timer')";
    let mut server = PgConnection::connect(&place.url).await.unwrap();
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut server).await.unwrap();
    let hub = place.again(Options { write_connections: 1, ..options() }).await.registry;
    asks(&*hub, false).await;
    let at = now(&*place.registry).await;
    let decisions: Vec<_> = (1..=WAITING).map(|n| waits(n, at)).collect();
    assert!(commit(&*place.registry, &decisions).await.iter().all(|outcome| *outcome == Committed::Done));
    place.registry.close().await;
    pass(Duration::from_millis(350)).await;
    asks(&*hub, true).await;
    hub.close().await;
    honest::everybody_left(&mut server).await;
    let read: Vec<(String, i64)> = sqlx::query_as(READ).fetch_all(&mut server).await.unwrap();
    server.close().await.unwrap();
    read.into_iter().collect()
}

pub(crate) async fn what_is_leased_is_found_by_its_keys(place: Place) {
    if !place.is_postgres() {
        return;
    }
    let read = read_by_plans_made_before(place, async |hub, is_full| {
        let leased = if is_full { 10 } else { 0 };
        assert_eq!(hub.outgoing(10, LEASE).await.unwrap().len(), leased);
        assert_eq!(hub.due(10, LEASE).await.unwrap().len(), leased);
    })
    .await;
    assert!(read.values().all(|rows| (10..100).contains(rows)), "rows read to lease ten of each: {read:?}");
}

pub(crate) async fn a_timer_that_is_over_is_found_by_its_key(place: Place) {
    if !place.is_postgres() {
        return;
    }
    let read = read_by_plans_made_before(place, async |hub, is_full| {
        let order = if is_full { WAITING } else { WAITING + 1 };
        if !is_full {
            assert_eq!(commit(hub, &[deciding(now(hub).await).on(root(order), None).done()]).await, [Committed::Done]);
        }
        let mut decision = deciding(now(hub).await).on(root(order), Some(1)).done();
        decision.timers_done = vec![waiting(order)];
        assert_eq!(commit(hub, &[decision]).await, [Committed::Done]);
    })
    .await;
    assert!((1..50).contains(&read["timer"]), "rows read to delete one: {read:?}");
}

pub(crate) async fn what_is_on_offer_is_held_against_the_outbox_once(place: Place) {
    if !place.is_postgres() {
        return;
    }
    let read = read_by_plans_made_before(place, async |hub, _| {
        assert_eq!(hub.republish().await.unwrap(), 0);
    })
    .await;
    let all = i64::try_from(WAITING).unwrap();
    assert!((all..2 * all).contains(&read["outbox"]), "rows read of an outbox of {WAITING}: {read:?}");
}

pub(crate) async fn every_task_on_offer_is_published_again(place: Place) {
    let registry = &*place.registry;
    let at = now(registry).await;
    let mut given = Vec::new();
    for (n, body) in [(1, offered()), (2, offered()), (3, json!({ "status": "in-progress" })), (4, offered())] {
        let key = task(&n.to_string());
        let mut decision = deciding(at).on(root(n), None).creates(root(n), key.clone(), body);
        // The fourth is directed to somebody who polls: nobody was ever told.
        if n != 4 {
            decision = decision.tells(&key, 1, Priority::Urgent);
        }
        given.extend(commit_one(registry, decision.done()).await.1);
    }
    // Only the second is still to be sent.
    registry.sent(&[given[0], given[2]]).await.unwrap();
    let decision = deciding(now(registry).await).on(root(1), Some(1)).updates(root(1), task("1"), 2, offered()).done();
    assert_eq!(commit(registry, &[decision]).await, [Committed::Done]);
    assert_eq!(registry.republish().await.unwrap(), 1);
    assert_eq!(registry.republish().await.unwrap(), 0);
    let left = registry.outgoing(10, LEASE).await.unwrap();
    assert_eq!((left[0].message.task.id.as_str(), left[0].message.version), ("1", 2));
    assert_eq!((left[0].message.work.as_str(), left[0].message.step.as_str()), ("laboratory", "collect"));
    assert_eq!(left[0].message.priority, Priority::Urgent);
}

pub(crate) async fn timers_are_replaced_fire_and_are_leased(place: Place) {
    let registry = &*place.registry;
    let at = now(registry).await;
    let timer = |name: &str, due: Timestamp| Timer { id: TimerId { root: root(1), name: name.into() }, due };
    let hour = at.plus(Duration::from_secs(3600));
    let mut first = deciding(at).on(root(1), None).done();
    first.timers = vec![timer("lease.1", at), timer("wait.2", at), timer("wait.3", at), timer("far", hour)];
    let mut second = deciding(at).on(root(1), Some(1)).done();
    second.timers = vec![timer("wait.2", hour)];
    second.timers_done = vec![timer("wait.3", at).id];
    assert_eq!(commit(registry, &[first, second]).await, [Committed::Done, Committed::Done]);

    assert_eq!(registry.due(10, LEASE).await.unwrap(), [timer("lease.1", at)]);
    assert!(registry.due(10, LEASE).await.unwrap().is_empty());
    pass(LEASE + Duration::from_millis(50)).await;
    assert_eq!(registry.due(10, LEASE).await.unwrap().len(), 1);

    // Setting it anew frees it; firing it is deleting it.
    let mut third = deciding(at).on(root(1), Some(2)).done();
    third.timers = vec![timer("lease.1", at)];
    assert_eq!(commit(registry, &[third]).await, [Committed::Done]);
    assert_eq!(registry.due(10, LEASE).await.unwrap().len(), 1);
    let mut fourth = deciding(at).on(root(1), Some(3)).done();
    fourth.timers_done = vec![timer("lease.1", at).id];
    assert_eq!(commit(registry, &[fourth]).await, [Committed::Done]);

    // A clock that is ahead by two hours.
    let ahead = hub_storage::Options { clock_offset: hub_storage::ClockOffset::of_us(7_200_000_000), ..options() };
    let ahead = place.again(ahead).await.registry;
    assert!(now(&*ahead).await > hour);
    let due: Vec<String> = ahead.due(10, LEASE).await.unwrap().into_iter().map(|timer| timer.id.name).collect();
    assert_eq!(due.len(), 2);
    ahead.close().await;
}

pub(crate) async fn figures_count_what_is_there(place: Place) {
    let registry = &*place.registry;
    let at = now(registry).await;
    assert_eq!(registry.figures().await.unwrap(), hub_domain::registry::Figures::default());
    for n in 1..=3 {
        let key = task(&n.to_string());
        let decision = deciding(at).on(root(n), None).creates(root(n), key.clone(), offered());
        let mut decision = decision.tells(&key, 1, Priority::Urgent).done();
        decision.timers.push(Timer { id: TimerId { root: root(n), name: "t".into() }, due: at });
        assert_eq!(commit(registry, &[decision]).await, [Committed::Done]);
    }
    create(registry, 9, task("9"), json!({ "status": "completed" })).await;
    let figures = registry.figures().await.unwrap();
    assert_eq!(figures.open_tasks, [("laboratory".to_owned(), "requested".to_owned(), 3)]);
    assert_eq!((figures.outbox_depth, figures.overdue_timers), (3, 3));
    assert_eq!((figures.oldest_offers.len(), figures.oldest_offers[0].0.as_str()), (1, "laboratory"));
    assert!(figures.outbox_age > Duration::ZERO && figures.outbox_age < Duration::from_secs(30));
}

pub(crate) async fn parked_messages_wait_for_a_person(place: Place) {
    let registry = &*place.registry;
    let message = |n: u8| Parked {
        id: 0,
        at: Timestamp(0),
        queue: "reports".into(),
        why: "no JSON: \0".into(),
        message_id: format!("m{n}"),
        content_type: "application/cloudevents+json".into(),
        attempts: 3,
        headers: vec![("traceparent".into(), "00-1-2-01".into())],
        body: vec![n, 0, 0xff],
    };
    registry.park(&[message(1), message(2)]).await.unwrap();
    // The delivery came again; the third only has the same id.
    registry.park(&[message(2), Parked { body: vec![3], ..message(2) }]).await.unwrap();
    registry.park(&[]).await.unwrap();
    let all = registry.parked(0, 10).await.unwrap();
    assert_eq!(all.iter().map(|parked| parked.body[0]).collect::<Vec<_>>(), [1, 2, 3]);
    let mut first = all[0].clone();
    assert!(first.at.0 > 0);
    (first.id, first.at, first.why) = (0, Timestamp(0), message(1).why);
    assert_eq!(first, message(1));
    assert_eq!(registry.parked(all[0].id, 1).await.unwrap(), [all[1].clone()]);
    assert_eq!(registry.figures().await.unwrap().parked, 3);
    assert!(registry.unpark(all[1].id).await.unwrap());
    assert!(!registry.unpark(all[1].id).await.unwrap());
    assert_eq!(registry.parked(0, 10).await.unwrap().len(), 2);
    // Sent again, it was parked again before the first was forgotten: it is not forgotten with it.
    registry.park(&[message(1)]).await.unwrap();
    assert!(!registry.unpark(all[0].id).await.unwrap());
    assert_eq!(registry.parked(0, 10).await.unwrap().iter().map(|parked| parked.body[0]).collect::<Vec<_>>(), [3, 1]);
}
