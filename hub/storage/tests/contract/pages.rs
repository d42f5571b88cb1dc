//! In which order a search answers, how much there is, and that its pages skip nothing.

use std::collections::HashSet;
use std::time::Duration;

use hub_domain::query::{Filter, Prefix, Query, Sort, SortBy};
use hub_domain::registry::Committed;
use schemas::resource::{Key, Kind};
use serde_json::{Value, json};

use crate::build::*;
use crate::place::{Place, pass};

const TASK: Kind = Kind::TASK;

const URGENT_FIRST: [Sort; 2] =
    [Sort { by: SortBy::Priority, descending: false }, Sort { by: SortBy::Authored, descending: false }];

pub(crate) async fn a_worklist_is_sorted_by_urgency_and_age(place: Place) {
    let priorities = ["routine", "stat", "urgent", "asap"];
    let mut expected = Vec::new();
    for n in 0..24_usize {
        let (priority, day) = (priorities[n % 4], 28 - n);
        let id = format!("{priority}-{day:02}");
        let owner = format!("Organization/{}", n % 3);
        let body = json!({ "status": if n % 2 == 0 { "requested" } else { "ready" }, "priority": priority,
            "authoredOn": format!("2026-01-{day:02}"), "owner": { "reference": owner } });
        create(&*place.registry, n as u128, Key::task(&id), body).await;
        let rank = ["stat", "asap", "urgent", "routine"].iter().position(|p| *p == priority).unwrap();
        expected.push((rank, day, id, owner));
    }
    expected.sort_unstable();
    let statuses = token(TASK, "status", "requested,ready");
    let query = |filters, sort: &[Sort]| Query { count: 5, ..sorted(task_query(filters), sort) };
    let all: Vec<&String> = expected.iter().map(|(.., id, _)| id).collect();
    let found_all = found(&*place.registry, query(vec![statuses.clone()], &URGENT_FIRST)).await;
    assert_eq!(found_all.iter().collect::<Vec<_>>(), all);
    let mut backwards = URGENT_FIRST;
    backwards.iter_mut().for_each(|sort| sort.descending = true);
    let found_backwards = found(&*place.registry, query(vec![statuses.clone()], &backwards)).await;
    assert_eq!(found_backwards.iter().rev().collect::<Vec<_>>(), all);
    let owned: Vec<&String> = expected.iter().filter(|e| e.3.ends_with('1')).map(|(.., id, _)| id).collect();
    let filters = vec![statuses.clone(), reference(TASK, "owner", "Organization/1")];
    let found_owned = found(&*place.registry, query(filters, &URGENT_FIRST)).await;
    assert_eq!(found_owned.iter().collect::<Vec<_>>(), owned);
    // The same without a status: sorted here, not by an index.
    assert_eq!(found(&*place.registry, query(vec![], &URGENT_FIRST)).await.iter().collect::<Vec<_>>(), all);
}

pub(crate) async fn other_sorts_are_right_too(place: Place) {
    let statuses = ["ready", "accepted", "requested", "entered-in-error", "completed"];
    for n in 0..10_usize {
        let body = json!({ "status": statuses[n % 5], "lastModified": format!("2026-02-{:02}", 20 - n) });
        create(&*place.registry, n as u128, Key::task(format!("id-{}", (n * 7) % 10)), body).await;
    }
    let by = |by, descending| {
        let sort = [Sort { by, descending }];
        found(&*place.registry, Query { count: 3, ..sorted(task_query(vec![]), &sort) })
    };
    let mut expected: Vec<String> = (0..10).map(|n| format!("id-{n}")).collect();
    assert_eq!(by(SortBy::Id, false).await, expected);
    expected.reverse();
    assert_eq!(by(SortBy::Id, true).await, expected);
    let created: Vec<String> = (0..10).map(|n| format!("id-{}", (n * 7) % 10)).collect();
    assert_eq!(by(SortBy::LastUpdated, false).await, created);
    assert!(by(SortBy::LastUpdated, true).await.iter().eq(created.iter().rev()));
    assert!(by(SortBy::Modified, false).await.iter().eq(created.iter().rev()));
    let by_status = by(SortBy::Status, false).await;
    let expected: Vec<&String> = [6, 1, 9, 4, 8, 3, 5, 0, 7, 2].iter().map(|n| &created[*n]).collect();
    assert_eq!(by_status.iter().collect::<Vec<_>>(), expected);
}

pub(crate) async fn what_no_index_orders_is_sorted_by_its_values(place: Place) {
    let registry = &*place.registry;
    let encounter = Kind::parse("Encounter").unwrap();
    let stays = [
        ("a", json!({ "status": "finished", "class": { "code": "IMP" }, "period": { "start": "2026-03-02" } })),
        ("b", json!({ "status": "planned", "class": { "code": "AMB" } })),
        (
            "c",
            json!({ "status": "finished", "class": { "code": "AMB" }, "period": { "start": "2026-03-01", "end": "2027" } }),
        ),
        (
            "d",
            json!({ "status": "arrived", "period": { "start": "2026-03-03" }, "type": [coded("urn:t", "b"), coded("urn:t", "y")] }),
        ),
        ("e", json!({ "status": "planned", "type": [coded("urn:t", "a"), coded("urn:t", "z")] })),
    ];
    for (n, (id, body)) in (1..).zip(stays) {
        create(registry, n, Key::new(encounter, id), body).await;
    }
    let by = |name: &str, descending| Sort {
        by: SortBy::Param(hub_domain::query::find(encounter, name).unwrap()),
        descending,
    };
    for (sort, expected) in [
        (vec![by("date", false)], "c a d e b"),
        (vec![by("date", true)], "d a c e b"),
        (vec![by("class", false)], "c b a e d"),
        (vec![by("class", false), by("date", true)], "c b a d e"),
        (vec![by("status", false), by("class", true)], "d a c b e"),
        // Of several values, the one that comes first.
        (vec![by("type", false)], "e d c b a"),
        (vec![by("type", true)], "e d c b a"),
        (vec![by("type", true), Sort { by: SortBy::Id, descending: false }], "e d a b c"),
    ] {
        for count in [2, 20] {
            let query = Query { count, ..sorted(query_of(encounter, vec![]), &sort) };
            assert_eq!(found(registry, query).await.join(" "), expected, "{sort:?}");
        }
        let finished = sorted(query_of(encounter, vec![token(encounter, "status", "finished")]), &sort);
        let of_them: Vec<&str> = expected.split(' ').filter(|id| matches!(*id, "a" | "c")).collect();
        assert_eq!(found(registry, finished).await, of_them, "{sort:?}");
    }
}

pub(crate) async fn texts_and_amounts_are_orders_too(place: Place) {
    let registry = &*place.registry;
    let [patient, observation] = ["Patient", "Observation"].map(|name| Kind::parse(name).unwrap());
    let named = |family: &str| json!({ "name": [{ "family": family }] });
    let measured = |value: Value| json!({ "status": "final", "valueQuantity": { "value": value, "unit": "mg" } });
    let texts = [("z", named("zorn")), ("a", named("Ärmel")), ("none", json!({})), ("b", named("BACH"))];
    let amounts = [
        ("ten", measured(json!(10))),
        ("less", measured(json!(-3.5))),
        ("none", json!({ "status": "final", "valueString": "much" })),
        ("five", measured(json!(5.25))),
    ];
    for (n, (kind, (id, body))) in
        texts.map(|text| (patient, text)).into_iter().chain(amounts.map(|amount| (observation, amount))).enumerate()
    {
        create(registry, n as u128 + 1, Key::new(kind, id), body).await;
    }
    for (kind, name, descending, expected) in [
        (patient, "family", false, "a b z none"),
        (patient, "family", true, "z b a none"),
        (observation, "value-quantity", false, "less five ten none"),
        (observation, "value-quantity", true, "ten five less none"),
    ] {
        let param = hub_domain::query::find(kind, name).unwrap();
        let query = sorted(query_of(kind, vec![]), &[Sort { by: SortBy::Param(param), descending }]);
        let found = found(registry, Query { count: 3, ..query }).await;
        assert_eq!(found.join(" "), expected, "{name}, descending: {descending}");
    }
}

pub(crate) async fn all_pages_are_counted(place: Place) {
    let registry = &*place.registry;
    let encounter = Kind::parse("Encounter").unwrap();
    for n in 0..30_usize {
        let mut task = json!({ "status": if n % 3 == 0 { "ready" } else { "draft" }, "intent": "order", "authoredOn": "2026-03-04" });
        if n % 2 == 0 {
            task["owner"] = json!({ "display": "somebody" });
        }
        create(registry, n as u128, Key::task(n.to_string()), task).await;
    }
    // Found at two places of the order in which they are read.
    let twice = json!({ "status": "planned", "location": [{ "period": { "start": "2026-01" } }, { "period": { "start": "2026-02" } }] });
    create(registry, 100, Key::new(encounter, "e"), twice).await;
    let status = token(TASK, "status", "ready");
    for (filters, expected) in [
        (vec![], 30),
        (vec![status.clone()], 10),
        (vec![missing(TASK, "owner", false)], 15),
        (vec![status.clone(), missing(TASK, "owner", true)], 5),
        (vec![Filter::Not(Box::new(status))], 20),
        (vec![date(TASK, "authored-on", Prefix::Ge, "2026")], 30),
        (vec![Filter::Id(vec!["1".into(), "2".into(), "x".into()])], 2),
    ] {
        let query = Query { count: 3, ..task_query(filters) };
        assert_eq!(registry.count(&query).await.unwrap(), expected, "{query:?}");
        // Whatever order, and from whichever page.
        let page = registry.search(&query).await.unwrap();
        let later = Query { page: page.next, ..sorted(query, &URGENT_FIRST) };
        assert_eq!(registry.count(&later).await.unwrap(), expected);
    }
    let stays = query_of(encounter, vec![date(encounter, "location-period", Prefix::Ge, "2026")]);
    assert_eq!(registry.count(&stays).await.unwrap(), 1);
}

pub(crate) async fn paging_while_others_insert_skips_nothing(place: Place) {
    let registry = &*place.registry;
    let body = || json!({ "status": "ready", "owner": { "reference": "Organization/a" } });
    for n in 0..30 {
        create(registry, n, Key::task(format!("old-{n}")), body()).await;
    }
    for filters in [vec![], vec![reference(TASK, "owner", "Organization/a")], vec![token(TASK, "status", "ready")]] {
        let mut query = Query { count: 4, ..task_query(filters) };
        let mut seen = Vec::new();
        loop {
            let page = registry.search(&query).await.unwrap();
            seen.extend(page.entries.into_iter().map(|entry| entry.key.id));
            let number = next();
            create(registry, number, Key::task(format!("new-{number}")), body()).await;
            query.page = page.next;
            if query.page.is_none() {
                break;
            }
        }
        let old: HashSet<_> = seen.iter().filter(|id| id.starts_with("old")).collect();
        assert_eq!(old.len(), 30);
        assert_eq!(seen.len(), seen.iter().collect::<HashSet<_>>().len());
    }
}

/// A number that no order here has yet.
fn next() -> u128 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(5_000);
    u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn paging_by_last_updated_skips_nothing_that_moves(place: Place) {
    let registry = &*place.registry;
    for n in 0..20 {
        create(registry, n, Key::task(n.to_string()), json!({ "status": "ready" })).await;
    }
    for descending in [true, false] {
        let sort = [Sort { by: SortBy::LastUpdated, descending }];
        let mut query = Query { count: 4, ..sorted(task_query(vec![]), &sort) };
        let mut seen = HashSet::new();
        for round in 0.. {
            let page = registry.search(&query).await.unwrap();
            seen.extend(page.entries.iter().map(|entry| entry.key.id.clone()));
            // While three pages are read, what lies on the last ones moves past.
            if round < 3 {
                let key = Key::task(if descending { round } else { 19 - round }.to_string());
                let scene = registry.load(&[needing(&key)]).await.unwrap().0.remove(0);
                let number: u128 = key.id.parse().unwrap();
                let decision = deciding(now(registry).await).on(root(number), Some(scene.heads[&root(number)].version));
                let version = scene.resources[&key].version + 1;
                let decision = decision.updates(root(number), key, version, json!({ "status": "ready" })).done();
                assert_eq!(commit(registry, &[decision]).await, [Committed::Done]);
                pass(Duration::from_millis(2)).await;
            }
            query.page = page.next;
            if query.page.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 20, "descending: {descending}");
    }
}
