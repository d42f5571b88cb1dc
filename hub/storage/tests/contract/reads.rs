use std::sync::Arc;
use std::time::Duration;

use hub_domain::plan::kept::KeptPlan;
use hub_domain::plan::run::{Run, TaskState};
use hub_domain::registry::{Committed, HistoryOf, Trouble};
use hub_domain::scene::Needs;
use schemas::plan::Plan;
use schemas::resource::{Key, Kind};
use schemas::task::TaskStatus;
use schemas::time::Timestamp;
use serde_json::json;

use crate::build::*;
use crate::place::{Place, options, pass};

fn request(id: &str) -> Key {
    Key::new(Kind::SERVICE_REQUEST, id)
}

/// Whether it is asked for, with what is looked up, or goes on from what was told last.
pub(crate) async fn time_never_goes_back(place: Place) {
    let registry = &*place.registry;
    let mut last = now(registry).await;
    for n in 0..200 {
        match n % 4 {
            0 => create(registry, n, request(&n.to_string()), json!({})).await,
            2 => pass(Duration::from_millis(2)).await,
            _ => {}
        }
        let asked = if n % 2 == 0 { vec![] } else { vec![needing(&request("none"))] };
        let (_, moment) = registry.load(&asked).await.unwrap();
        assert!(last <= moment, "{n}: {moment} after {last}");
        last = moment;
    }
}

pub(crate) async fn a_load_finds_heads_plans_existence_and_identifiers(place: Place) {
    let registry = &*place.registry;
    let work = json!({ "role": { "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "laboratory" }] } });
    let step = json!({ "id": "do", "title": "do it", "participant": [work] });
    let text = json!({ "resourceType": "PlanDefinition", "action": [step] }).to_string();
    let plan = Plan::parse(serde_json::from_str::<serde_json::Value>(&text).unwrap().as_object().unwrap()).unwrap();
    let plan = Arc::new(KeptPlan::new(plan));
    let status = Some(TaskStatus::Requested);
    let state = TaskState { status, occurrence: 1, open: true, ..TaskState::default() };
    let run = Run { plan: Some("hash".into()), tasks: [state].into_iter().collect(), ..Run::default() };
    let body = r#"{ "identifier": [{ "system": "urn:numbers", "value": "7" }], "value": 1.50 }"#;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let number = identifier(Kind::SERVICE_REQUEST, "7");
    let at = now(registry).await;
    let mut decision = deciding(at).on(root(1), None).creates(root(1), request("r"), body.clone()).receipt("k").done();
    decision.heads[0].head.run = Some(run.clone());
    decision.plans.push(("hash".into(), Arc::clone(&plan), text));
    decision.claims.push((number.clone(), "holder".into()));
    assert_eq!(commit(registry, &[decision]).await, [Committed::Done]);
    create(registry, 2, request("s"), body).await;

    // Another hub, which has nothing in memory.
    let registry = &*place.again(options()).await.registry;
    let needs = [
        Needs {
            existence: vec![request("r"), request("none")],
            receipts: vec!["k".into(), "l".into()],
            ..needing(&request("r"))
        },
        Needs { identifiers: vec![number.clone()], roots: vec![root(2), root(9)], ..Needs::default() },
        needing(&request("none")),
    ];
    let (scenes, moment) = registry.load(&needs).await.unwrap();
    let [first, second, third] = &scenes[..] else { panic!() };
    assert_eq!(first.heads[&root(1)].run, Some(run));
    assert_eq!((first.heads[&root(1)].version, first.heads[&root(1)].last), (1, at));
    assert_eq!(*first.plans["hash"], *plan);
    assert_eq!(first.roots[&request("r")], root(1));
    assert_eq!(first.resources[&request("r")].body["value"].to_string(), "1.50");
    assert_eq!(first.existing.iter().collect::<Vec<_>>(), [&request("r")]);
    assert_eq!(first.receipts.keys().collect::<Vec<_>>(), ["k"]);
    assert_eq!(second.heads.keys().collect::<Vec<_>>(), [&root(2)]);
    assert_eq!(second.identified[&number], ["holder", "r"]);
    assert!(third.resources.is_empty() && third.heads.is_empty());
    assert!(moment >= at);
    assert_eq!(registry.root_of(&request("s")).await.unwrap(), Some(root(2)));
    assert_eq!(registry.root_of(&request("none")).await.unwrap(), None);
}

pub(crate) async fn the_history_is_newest_first_and_pages_join_up(place: Place) {
    let registry = &*place.registry;
    create(registry, 1, request("a"), json!({})).await;
    create(registry, 2, request("b"), json!({})).await;
    let between = now(registry).await;
    pass(Duration::from_millis(3)).await;
    for version in 2..=5 {
        let decision = deciding(now(registry).await).on(root(1), Some(u64::from(version) - 1));
        let decision = decision.updates(root(1), request("a"), version, json!({ "n": version })).done();
        assert_eq!(commit(registry, &[decision]).await, [Committed::Done]);
    }
    for (id, count, all) in [(Some("a"), 2, 5), (None, 2, 6), (None, 100, 6), (Some("b"), 1, 1)] {
        let mut of = history_of(Kind::SERVICE_REQUEST, id, count);
        let mut seen = Vec::new();
        loop {
            let page = registry.history(&of).await.unwrap();
            assert!(page.entries.len() <= count as usize);
            seen.extend(page.entries);
            of.page = page.next;
            if of.page.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), all);
        assert!(seen.is_sorted_by(|newer, older| newer.last_updated >= older.last_updated));
    }
    let since = HistoryOf { since: Some(between), ..history_of(Kind::SERVICE_REQUEST, None, 10) };
    let later = registry.history(&since).await.unwrap().entries;
    assert!(later.iter().filter(|entry| entry.last_updated > between).count() == 4 && later.len() <= 6);
}

/// All types in one order of time, and what was current at a time.
pub(crate) async fn the_history_of_all_types_pages_and_knows_what_was_current(place: Place) {
    let registry = &*place.registry;
    let patient = Key::new(Kind::parse("Patient").unwrap(), "p");
    create(registry, 1, request("a"), json!({})).await;
    create(registry, 2, patient.clone(), json!({})).await;
    pass(Duration::from_millis(3)).await;
    let between = now(registry).await;
    pass(Duration::from_millis(3)).await;
    for version in 2..=4 {
        let decision = deciding(now(registry).await).on(root(1), Some(u64::from(version) - 1));
        let decision = decision.updates(root(1), request("a"), version, json!({ "n": version })).done();
        assert_eq!(commit(registry, &[decision]).await, [Committed::Done]);
        pass(Duration::from_millis(2)).await;
    }
    create(registry, 3, Key::task("t"), json!({ "status": "requested" })).await;
    let all = async |at, kind: Option<Kind>, id: Option<&str>, count| {
        let mut of = HistoryOf { kind, id: id.map(str::to_owned), at, ..history_of(Kind::TASK, None, count) };
        let mut seen = Vec::new();
        loop {
            let page = registry.history(&of).await.unwrap();
            assert!(page.entries.len() <= count as usize);
            seen.extend(page.entries.iter().map(|entry| format!("{}/{}", entry.key, entry.version)));
            of.page = page.next;
            if of.page.is_none() {
                return seen;
            }
        }
    };
    for count in [1, 2, 3, 6, 100] {
        let everything = all(None, None, None, count).await;
        let changes = ["Task/t/1", "ServiceRequest/a/4", "ServiceRequest/a/3", "ServiceRequest/a/2"];
        assert_eq!(everything, [&changes[..], &["Patient/p/1", "ServiceRequest/a/1"]].concat(), "{count} a page");
        let then = all(Some((between, between)), None, None, count).await;
        assert_eq!(then, ["Patient/p/1", "ServiceRequest/a/1"], "{count} a page");
        let since_then = all(Some((between, Timestamp::MAX)), Some(Kind::SERVICE_REQUEST), None, count).await;
        assert_eq!(since_then.len(), 4, "the first was current then");
        assert_eq!(
            all(Some((between, between)), Some(Kind::SERVICE_REQUEST), Some("a"), count).await,
            ["ServiceRequest/a/1"]
        );
    }
    // What was shown of all types is behind every later commit of each.
    let early = now(registry).await;
    pass(Duration::from_millis(3)).await;
    create(registry, 4, Key::task("u"), json!({ "status": "requested" })).await;
    assert_eq!(all(None, None, None, 100).await.len(), 7);
    let behind = deciding(early).on(root(5), None).creates(root(5), request("behind"), json!({})).done();
    assert_eq!(commit(registry, &[behind]).await, [Committed::Stale], "also of a type that had nothing new");
}

/// A poller that asks for what is newer than the newest it saw must meet everything.
pub(crate) async fn a_type_history_never_shows_what_a_late_commit_precedes(place: Place) {
    let registry = &*place.registry;
    let early = now(registry).await;
    pass(Duration::from_millis(5)).await;
    create(registry, 1, request("late"), json!({})).await;
    let before_any_read = deciding(early).on(root(2), None).creates(root(2), request("early"), json!({})).done();
    assert_eq!(commit(registry, &[before_any_read]).await, [Committed::Done]);
    assert_eq!(registry.history(&history_of(Kind::SERVICE_REQUEST, None, 10)).await.unwrap().entries.len(), 2);
    // Now that "late" was shown, nothing is committed behind it any more: it is decided again, later.
    let behind = |at| deciding(at).on(root(3), None).creates(root(3), request("behind"), json!({})).done();
    assert_eq!(commit(registry, &[behind(early)]).await, [Committed::Stale]);
    let other = place.again(options()).await.registry;
    if place.is_postgres() {
        assert_eq!(commit(&*other, &[behind(early)]).await, [Committed::Stale]);
    }
    assert_eq!(commit(registry, &[behind(now(registry).await)]).await, [Committed::Done]);
    let newest = &registry.history(&history_of(Kind::SERVICE_REQUEST, None, 10)).await.unwrap().entries[0];
    assert_eq!(newest.key, request("behind"));
    other.close().await;
}

pub(crate) async fn the_parts_of_an_order_are_its_requests_and_its_tasks_by_their_steps(place: Place) {
    let registry = &*place.registry;
    let (order, other) = (root(0xabc), root(0xabd));
    let body = || json!({ "status": "requested", "intent": "order" });
    let mut decision = deciding(now(registry).await).on(order, None).on(other, None);
    for id in
        [format!("{order}.10"), format!("{order}.2"), "own-id".into(), format!("{order}.0"), format!("{order}.2.2")]
    {
        decision = decision.creates(order, Key::task(id), body());
    }
    for id in ["second", "first", "gone"] {
        decision = decision.creates(order, request(id), body());
    }
    decision =
        decision.creates(order, request("of-no-part"), body()).creates(other, Key::task(format!("{other}.0")), body());
    let mut decision = decision.done();
    let requests = ["first", "second", "gone"].map(|id| request(id).to_string()).to_vec();
    let state = TaskState { status: Some(TaskStatus::Requested), occurrence: 1, ..TaskState::default() };
    let run = Some(Run { requests, tasks: [state].into_iter().collect(), ..Run::default() });
    decision.heads[0].head.run = run.clone();
    assert_eq!(commit(registry, &[decision]).await, [Committed::Done]);
    let later = deciding(now(registry).await).on(order, Some(1)).deletes(order, request("gone"), 2);
    let mut later = later.updates(order, request("first"), 2, json!({ "status": "active" })).done();
    later.heads[0].head.run = run;
    assert_eq!(commit_one(registry, later).await.0, Committed::Done);
    let parts = registry.parts_of(order).await.unwrap();
    let ids: Vec<String> = parts.iter().map(|part| format!("{}/{}", part.key.id, part.version)).collect();
    let steps = [".0", ".2", ".2.2", ".10"].map(|step| format!("{order}{step}/1"));
    assert_eq!(ids, [&["first/2".to_owned(), "second/1".to_owned()][..], &steps, &["own-id/1".to_owned()]].concat());
    let of_other = registry.parts_of(other).await.unwrap();
    assert_eq!(of_other.into_iter().map(|part| part.key).collect::<Vec<_>>(), [Key::task(format!("{other}.0"))]);
    assert_eq!(registry.parts_of(root(0xabe)).await.unwrap(), []);
}

pub(crate) async fn what_was_written_survives_a_restart(place: Place) {
    create(&*place.registry, 1, request("a"), json!({ "status": "active" })).await;
    place.registry.close().await;
    assert!(matches!(place.registry.read(&[request("a")]).await, Err(Trouble::Unavailable(_))));
    let again = place.again(options()).await.registry;
    again.health().await.unwrap();
    assert!(read(&*again, &request("a")).await.is_some());
    let active = token(Kind::SERVICE_REQUEST, "status", "active");
    assert_eq!(found(&*again, query_of(Kind::SERVICE_REQUEST, vec![active])).await, ["a"]);
    again.close().await;
}

pub(crate) async fn a_damaged_page_token_is_refused(place: Place) {
    let registry = &*place.registry;
    for page in ["", "x", "AAAAAAAAAAAAAAAA"] {
        let mut query = task_query(vec![]);
        query.page = Some(page.into());
        assert!(matches!(registry.search(&query).await, Err(Trouble::BadPage)));
        for id in [None, Some("1")] {
            let mut of = history_of(Kind::TASK, id, 2);
            of.page = Some(page.into());
            assert!(matches!(registry.history(&of).await, Err(Trouble::BadPage)));
        }
    }
}

/// Three writers in their own time, and one who asks again and again for what is newer than the newest it saw.
pub(crate) async fn a_poller_misses_nothing(place: Place) {
    const EACH: u128 = 60;
    let mut hubs = vec![Arc::clone(&place.registry)];
    if place.is_postgres() {
        hubs.push(place.again(options()).await.registry);
    }
    let writer = |w: u128| {
        let registry = Arc::clone(&hubs[w as usize % hubs.len()]);
        tokio::spawn(async move {
            for n in (0..EACH).map(|n| w * 1000 + n) {
                loop {
                    let at = now(&*registry).await;
                    pass(Duration::from_millis((n % 5) as u64)).await;
                    let key = request(&n.to_string());
                    let decision = deciding(at).on(root(n), None).creates(root(n), key, json!({})).done();
                    if commit_one(&*registry, decision).await.0 == Committed::Done {
                        break;
                    }
                }
            }
        })
    };
    let writers: Vec<_> = (1..=3).map(writer).collect();
    let mut seen = std::collections::HashSet::new();
    let mut newest = "2001-01-01T00:00:00.000Z".to_owned();
    loop {
        let ended = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let later = hub_domain::query::Filter::LastUpdated(date_match(hub_domain::query::Prefix::Gt, &newest));
        let page = hubs[hubs.len() - 1].search(&query_of(Kind::SERVICE_REQUEST, vec![later])).await.unwrap();
        for entry in &page.entries {
            assert!(seen.insert(entry.key.id.clone()), "told twice");
        }
        if let Some(last) = page.entries.last().filter(|_| page.next.is_none()) {
            newest = last.last_updated.to_string();
        } else if let Some(last) = page.entries.last() {
            // More of the same instant may follow on the next page: only what is surely complete is left behind.
            let complete = page.entries.iter().rev().find(|entry| entry.last_updated < last.last_updated);
            newest = complete.map_or(newest, |entry| entry.last_updated.to_string());
            seen.retain(|id| !page.entries.iter().any(|e| e.key.id == *id && e.last_updated == last.last_updated));
        } else if ended {
            break;
        }
        pass(Duration::from_millis(7)).await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(seen.len(), 3 * EACH as usize);
}

pub(crate) async fn a_database_in_memory_is_one_too(_: Place) {
    let registry = hub_storage::open("sqlite::memory:", options()).await.unwrap();
    create(&*registry, 1, request("a"), json!({ "status": "active" })).await;
    assert!(read(&*registry, &request("a")).await.is_some());
    assert_eq!(found(&*registry, query_of(Kind::SERVICE_REQUEST, vec![])).await, ["a"]);
    assert_eq!(registry.history(&history_of(Kind::SERVICE_REQUEST, None, 5)).await.unwrap().entries.len(), 1);
    registry.health().await.unwrap();
}

/// Every connection is cut; the next calls find new ones.
pub(crate) async fn a_lost_connection_is_replaced(place: Place) {
    let registry = &*place.registry;
    create(registry, 1, request("a"), json!({})).await;
    place.cut_connections().await;
    // One that was at work a moment ago is taken to live.
    tokio::time::sleep(Duration::from_millis(50)).await;
    create(registry, 2, request("b"), json!({})).await;
    assert!(read(registry, &request("a")).await.is_some());
    let nowhere = hub_storage::open("postgres://nobody@127.0.0.1:1/none", options()).await;
    assert!(matches!(nowhere.err(), Some(Trouble::Unavailable(_))));
    assert!(hub_storage::open("mysql://x", options()).await.is_err());
}
