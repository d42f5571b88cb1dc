//! What is refused for reading too much has not read it: many patients, each of them weighed once, and a limit that is
//! small beside them. How SQLite reads is looked at in `bound`.

use hub_domain::query::{Filter, Inner, Query, Sort, SortBy, TextMatch, find};
use hub_domain::registry::{Committed, Trouble};
use hub_storage::Options;
use schemas::resource::{Key, Kind};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::bound::honest;
use crate::build::*;
use crate::place::{Place, options};

const PATIENTS: u32 = 6_000;
const AT_ONCE: usize = 250;
const ROWS_LIMIT: u32 = 200;
/// A row is touched in an index, by its number, and for each link that is followed from it; and a query is tried by a few
/// plans.
const TOUCHES_A_ROW: i64 = 20;

fn kind(name: &str) -> Kind {
    Kind::parse(name).unwrap()
}

async fn fill(place: &Place) {
    let registry = &*place.registry;
    for numbers in (0..PATIENTS).collect::<Vec<_>>().chunks(AT_ONCE) {
        let at = now(registry).await;
        let one = |n: &u32| {
            let root = root(u128::from(*n) << 64 | 1);
            let patient =
                json!({ "name": [{ "family": format!("Alike {n}") }], "gender": "male", "birthDate": "1960-01-01" });
            let weight = json!({
                "status": "final", "subject": { "reference": format!("Patient/{n}") }, "valueString": "much",
                "code": { "text": "weight" },
            });
            let decision = deciding(at).on(root, None).creates(root, Key::new(kind("Patient"), n.to_string()), patient);
            decision.creates(root, Key::new(kind("Observation"), n.to_string()), weight).done()
        };
        let decisions: Vec<_> = numbers.iter().map(one).collect();
        assert!(commit(registry, &decisions).await.iter().all(|outcome| *outcome == Committed::Done));
    }
}

/// None finds anything near at hand.
fn queries() -> Vec<Query> {
    let (patient, observation) = (kind("Patient"), kind("Observation"));
    let male = || token(patient, "gender", "male");
    let has = |filters| Filter::Has {
        param: find(observation, "subject").unwrap(),
        from: Inner { kind: observation, filters },
    };
    let chain =
        |filters| Filter::Chain { param: find(observation, "subject").unwrap(), to: Inner { kind: patient, filters } };
    let called = |any: &str| Filter::CodeText { param: find(observation, "code").unwrap(), any: vec![any.into()] };
    let contains = |of, name, part| text(of, name, TextMatch::Contains, part);
    let by = |by| [Sort { by, descending: false }];
    let family = SortBy::Param(find(patient, "family").unwrap());
    vec![
        query_of(patient, vec![Filter::Not(Box::new(male()))]),
        query_of(patient, vec![contains(patient, "name", "nobody")]),
        query_of(patient, vec![contains(patient, "family", "nobody"), male()]),
        query_of(patient, vec![missing(patient, "birthdate", true)]),
        query_of(patient, vec![has(vec![token(observation, "status", "final")])]),
        query_of(patient, vec![has(vec![contains(observation, "value-string", "little")]), male()]),
        query_of(patient, vec![has(vec![called("height")])]),
        query_of(observation, vec![called("height")]),
        query_of(observation, vec![chain(vec![male()])]),
        query_of(
            observation,
            vec![chain(vec![contains(patient, "name", "nobody")]), token(observation, "status", "final")],
        ),
        sorted(query_of(patient, vec![]), &by(SortBy::Id)),
        sorted(query_of(patient, vec![male()]), &by(family)),
    ]
}

pub(crate) async fn what_is_refused_has_not_read_much_more(place: Place) {
    fill(&place).await;
    let strict = Options { search_rows_limit: ROWS_LIMIT, read_connections: 1, ..options() };
    let registry = place.again(strict.clone()).await.registry;
    for query in queries() {
        let refused = registry.search(&query).await;
        assert!(matches!(refused, Err(Trouble::TooCostly | Trouble::TooWide { .. })), "{refused:?}: {query:?}");
        let counted = registry.count(&query).await;
        assert!(matches!(counted, Err(Trouble::TooCostly | Trouble::TooWide { .. })), "{counted:?}: {query:?}");
    }
    registry.close().await;
    if place.is_postgres() {
        place.registry.close().await;
        let mut server = PgConnection::connect(&place.url).await.unwrap();
        honest::everybody_left(&mut server).await;
        sqlx::raw_sql("ANALYZE").execute(&mut server).await.unwrap();
        for query in queries() {
            let (rows, refused) = honest::touched_for(&place, strict.clone(), &query, &mut server).await;
            assert!(refused.is_err());
            let allowed = TOUCHES_A_ROW * i64::from(ROWS_LIMIT);
            assert!(rows <= allowed, "{rows} rows touched, {allowed} allowed: {query:?}");
            assert!(rows >= i64::from(ROWS_LIMIT) / 2, "the counters counted nothing: {query:?}");
        }
        server.close().await.unwrap();
    }
}
