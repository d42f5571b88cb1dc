//! What was stored before somebody thought of a search parameter.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hub_domain::query::{Query, TextMatch};
use hub_domain::registry::{Committed, Registry};
use schemas::resource::{Key, Kind};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::sleep;

use crate::build::*;
use crate::place::{Place, options};
use crate::schema::run;

const PATIENTS: u128 = 45;

fn patient() -> Kind {
    Kind::parse("Patient").unwrap()
}

fn body(n: u128, times: u32) -> Value {
    json!({
        "name": [{ "family": format!("Family {}", n % 3), "given": [format!("Given {n} {times}")] }],
        "identifier": [{ "system": "urn:n", "value": format!("{n}-{times}") }, { "system": "urn:n", "value": n.to_string() }],
        "birthDate": "2026-03-04",
    })
}

fn key(n: u128) -> Key {
    Key::new(patient(), format!("p{n:02}"))
}

/// As a hub leaves it that has no search parameters at all.
async fn without_an_index(place: &Place) -> Place {
    for n in 0..PATIENTS {
        create(&*place.registry, n, key(n), body(n, 0)).await;
    }
    create(&*place.registry, 100, Key::task("t"), json!({ "status": "ready", "identifier": [{ "value": "7" }] })).await;
    run(place, "DELETE FROM search_token; DELETE FROM search_date; DELETE FROM search_value").await;
    run(place, "UPDATE indexed SET elements = ''").await;
    place.again(options()).await
}

async fn count(place: &Place, table: &str) -> i64 {
    let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    if place.is_postgres() {
        sqlx::query_scalar(count).fetch_one(&mut PgConnection::connect(&place.url).await.unwrap()).await.unwrap()
    } else {
        sqlx::query_scalar(count).fetch_one(&mut SqliteConnection::connect(&place.url).await.unwrap()).await.unwrap()
    }
}

async fn counts(place: &Place) -> [i64; 3] {
    [count(place, "search_token").await, count(place, "search_date").await, count(place, "search_value").await]
}

async fn index_all(registry: &dyn Registry, limit: u32) -> u64 {
    let mut indexed = 0;
    while let Some(resources) = registry.index_anew(limit).await.unwrap() {
        assert!(resources <= u64::from(limit));
        indexed += resources;
    }
    indexed
}

pub(crate) async fn what_was_stored_before_a_parameter_is_found_by_it(place: Place) {
    let complete = {
        let (scratch, number) = (place.again(options()).await, 500);
        create(&*scratch.registry, number, Key::new(patient(), "scratch"), body(number, 0)).await;
        let of_one = counts(&place).await;
        let gone = deciding(now(&*scratch.registry).await).on(root(number), Some(1));
        let gone = gone.deletes(root(number), Key::new(patient(), "scratch"), 2).done();
        assert_eq!(commit_one(&*scratch.registry, gone).await.0, Committed::Done);
        scratch.registry.close().await;
        assert_eq!(counts(&place).await, [0; 3], "what is deleted has no rows");
        of_one.map(|rows| rows * PATIENTS as i64)
    };
    let newer = without_an_index(&place).await;
    let registry = &*newer.registry;
    let families = |how, value| Query { count: 4, ..query_of(patient(), vec![text(patient(), "family", how, value)]) };
    let of_family =
        |rest: u128| -> BTreeSet<String> { (0..PATIENTS).filter(|n| n % 3 == rest).map(|n| key(n).id).collect() };
    let sorted = |ids: Vec<String>| -> BTreeSet<String> { ids.into_iter().collect() };

    // At once, though no index knows of them: the resources are asked.
    let before = registry.search(&families(TextMatch::Begins, "family 1")).await.unwrap();
    assert_eq!(sorted(found(registry, families(TextMatch::Begins, "FAMILY 1")).await), of_family(1));
    let number = query_of(patient(), vec![token(patient(), "identifier", "urn:n|7")]);
    assert_eq!(found(registry, number.clone()).await, ["p07"]);
    let both = vec![token(patient(), "identifier", "urn:n|7"), text(patient(), "family", TextMatch::Contains, "2")];
    assert_eq!(found(registry, query_of(patient(), both)).await, Vec::<String>::new());
    assert_eq!(found(registry, task_query(vec![token(Kind::TASK, "identifier", "7")])).await, ["t"]);
    assert!(registry.search(&number).await.unwrap().rows_read >= PATIENTS as u64);

    // One that stops is taken up by another.
    assert_eq!(registry.index_anew(10).await.unwrap(), Some(0), "of the first type nothing is stored");
    let other = place.again(options()).await;
    assert_eq!(index_all(&*other.registry, 10).await, PATIENTS as u64 + 1);
    assert_eq!(registry.index_anew(10).await.unwrap(), None);
    let [tokens, dates, values] = counts(&place).await;
    assert_eq!([tokens, dates, values], [complete[0] + 1, complete[1], complete[2]], "as if they had been stored now");

    // A search that began before goes on as it began.
    let rest = Query { page: before.next.clone(), ..families(TextMatch::Begins, "family 1") };
    let all = before.entries.iter().map(|entry| entry.key.id.clone()).chain(found(registry, rest).await);
    assert_eq!(sorted(all.collect()), of_family(1));
    for registry in [registry, &*other.registry] {
        let page = registry.search(&number).await.unwrap();
        assert_eq!((ids(&page), page.rows_read), (vec!["p07"], 1), "by the index");
        assert_eq!(sorted(found(registry, families(TextMatch::Exact, "Family 2")).await), of_family(2));
    }
    other.registry.close().await;
    newer.registry.close().await;
}

pub(crate) async fn hubs_index_anew_beside_writers(place: Place) {
    let newer = without_an_index(&place).await;
    let hubs = [place.again(options()).await, place.again(options()).await];
    let writer = newer.registry.clone();
    let writing = tokio::spawn(async move {
        for (turn, n) in (0..4).flat_map(|turn| (0..PATIENTS).map(move |n| (turn, n))) {
            let version = turn + 1;
            let decide = async || {
                let decision = deciding(now(&*writer).await).on(root(n), Some(u64::from(version)));
                match turn == 3 && n % 5 == 0 {
                    true => decision.deletes(root(n), key(n), version + 1).done(),
                    false => decision.updates(root(n), key(n), version + 1, body(n, version)).done(),
                }
            };
            // One that is overtaken is decided again.
            while commit_one(&*writer, decide().await).await.0 != Committed::Done {}
        }
    });
    let indexing = hubs.clone().map(|hub| tokio::spawn(async move { index_all(&*hub.registry, 3).await }));
    writing.await.unwrap();
    for indexing in indexing {
        indexing.await.unwrap();
    }
    let registry = &*hubs[0].registry;
    for n in 0..PATIENTS {
        for times in 0..=4 {
            let is_there = times == 4 && n % 5 != 0;
            let expected: Vec<String> = is_there.then(|| key(n).id).into_iter().collect();
            let value = format!("urn:n|{n}-{times}");
            let found = found(registry, query_of(patient(), vec![token(patient(), "identifier", &value)])).await;
            assert_eq!(found, expected, "{value}");
        }
        let always = found(registry, query_of(patient(), vec![token(patient(), "identifier", &n.to_string())])).await;
        assert_eq!(always.len(), usize::from(n % 5 != 0), "what no change touched has a row too");
    }
    let of_each = count(&place, "search_token").await - 1;
    assert_eq!(of_each % (PATIENTS as i64 * 4 / 5), 0, "nothing is left of what was");
    for hub in hubs.iter().chain([&newer]) {
        hub.registry.close().await;
    }
}

/// What it writes has no rows by what it does not know.
pub(crate) async fn a_hub_of_another_release_is_waited_for(place: Place) {
    let newer = without_an_index(&place).await;
    if place.is_postgres() {
        let older = PgConnection::connect(&format!("{}?application_name=fhir-workflow-hub", place.url)).await.unwrap();
        assert_eq!(newer.registry.index_anew(10).await.unwrap(), None);
        assert_eq!(
            found(&*newer.registry, query_of(patient(), vec![token(patient(), "identifier", "7")])).await,
            ["p07"]
        );
        older.close().await.unwrap();
    }
    // The server lets a connection that was closed linger for a moment.
    let patience = Instant::now() + Duration::from_secs(20);
    while index_all(&*newer.registry, 50).await == 0 {
        assert!(Instant::now() < patience, "nobody else is there any more");
        sleep(Duration::from_millis(50)).await;
    }
    // One that starts knows less than is written down, and takes it away.
    run(&place, "UPDATE indexed SET elements = elements || '\ntoken unheardOf' WHERE kind = 'Patient'").await;
    let older = place.again(options()).await;
    let left = "indexed WHERE kind = 'Patient' AND elements LIKE '%unheardOf%'";
    assert_eq!(count(&place, left).await, 0);
    assert_eq!(older.registry.index_anew(10).await.unwrap(), None);
    older.registry.close().await;
    newer.registry.close().await;
}
