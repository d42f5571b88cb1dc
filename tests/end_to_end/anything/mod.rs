//! Whatever is created, updated, patched and deleted, alone, by conditions and in Bundles: what a search finds is what one
//! finds who reads everything.

mod changes;
mod edit;
mod naive;
mod questions;
mod random;
mod tables;

use std::cmp::Ordering;

use fastrand::Rng;
use serde_json::Value;
use tests::{Hub, World, say_once, stories};

use naive::{found, sort_key};
use questions::{Condition, asked};
use random::{KINDS, one};
use tables::{PARAMETERS, Parameter, Way};

stories![whatever_happens_a_search_finds_what_is_there];

const ROUNDS: usize = 16;
const CHANGES_A_ROUND: usize = 8;
const SEARCHES_A_ROUND: usize = 18;

/// What there should be, in the order in which it came: by that order things are chosen, since ids are new each time.
#[derive(Default)]
struct There(Vec<Value>);

impl There {
    fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |body| body["resourceType"] == kind)
    }

    /// Puts in what the hub has answered.
    fn put(&mut self, body: Value) {
        match self.0.iter_mut().find(|known| is_same(known, &body)) {
            Some(known) => *known = body,
            None => self.0.push(body),
        }
    }

    fn remove(&mut self, gone: &Value) {
        self.0.retain(|body| !is_same(body, gone));
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    one["resourceType"] == other["resourceType"] && one["id"] == other["id"]
}

/// It is told when something goes wrong: with it, the same happens again.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say_once(&format!("HUB_TEST_SEED={}", self.0));
        }
    }
}

async fn whatever_happens_a_search_finds_what_is_there(world: World) {
    let hub = world.hub().await;
    let given = std::env::var("HUB_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = Seed(given.unwrap_or_else(|| fastrand::u64(..)));
    let (mut rng, mut there, mut fruitful) = (Rng::with_seed(seed.0), There::default(), 0);
    for _ in 0..ROUNDS {
        for _ in 0..CHANGES_A_ROUND {
            changes::change(&hub, &mut rng, &mut there).await;
        }
        for _ in 0..SEARCHES_A_ROUND {
            fruitful += usize::from(search(&hub, &mut rng, &there).await);
        }
    }
    // Of nothing it would be easy to find all.
    assert!(fruitful * 5 > ROUNDS * SEARCHES_A_ROUND, "{fruitful} searches found something");
    for kind in KINDS {
        is_all(&hub.finds(&format!("{kind}?_count=200")).await, &found(&there, kind, &[]), kind);
    }
    hub.closes().await;
}

/// One search, and whether it found something.
async fn search(hub: &Hub, rng: &mut Rng, there: &There) -> bool {
    let kind = one(rng, &KINDS);
    let conditions: Vec<Condition> = (0..rng.usize(1..3)).map(|_| questions::condition(rng, there, kind)).collect();
    let query: Vec<String> = conditions.iter().map(asked).collect();
    let sort: Vec<Sort> = (0..rng.usize(..3)).map(|_| Sort::any(rng, kind)).collect();
    let names: Vec<String> = sort.iter().map(Sort::name).collect();
    let sorted = if sort.is_empty() { String::new() } else { format!("&_sort={}", names.join(",")) };
    let search = format!("{kind}?{}&_count={}{sorted}", query.join("&"), rng.usize(1..6));
    let told = hub.finds(&search).await;
    is_all(&told, &found(there, kind, &conditions), &format!("{search}: {conditions:#?}"));
    let is_in_order = |one: &Value, other: &Value| {
        sort.iter().map(|sort| sort.compare(one, other)).fold(Ordering::Equal, Ordering::then) != Ordering::Greater
    };
    assert!(told.is_sorted_by(is_in_order), "{search}: {told:#?}");
    if rng.u8(..4) == 0 {
        let counted = hub.get(&format!("{search}&_total=accurate")).await.is(200).body;
        assert_eq!(counted["total"], told.len(), "{search}: {conditions:#?}");
    }
    !told.is_empty()
}

/// Each once, as it was written.
#[track_caller]
fn is_all(told: &[Value], expected: &[&Value], search: &str) {
    let id = |body: &Value| body["id"].as_str().unwrap().to_owned();
    let mut ids: Vec<String> = told.iter().map(id).collect();
    ids.sort();
    let mut expected_ids: Vec<String> = expected.iter().map(|body| id(body)).collect();
    expected_ids.sort();
    assert_eq!(ids, expected_ids, "{search}");
    for body in told {
        assert!(expected.contains(&body), "{search}: {body} is not what was written");
    }
}

/// One key of an order.
enum Sort {
    Head(&'static str, bool),
    By(&'static Parameter, bool),
}

impl Sort {
    fn any(rng: &mut Rng, kind: &str) -> Self {
        let sorts = |parameter: &&Parameter| {
            parameter.of == kind && parameter.way != Way::Reference && parameter.name != "_source"
        };
        let parameters: Vec<&'static Parameter> = PARAMETERS.iter().filter(sorts).collect();
        match rng.u8(..4) {
            0 => Self::Head("_id", rng.bool()),
            1 => Self::Head("_lastUpdated", rng.bool()),
            _ => Self::By(one(rng, &parameters), rng.bool()),
        }
    }

    fn name(&self) -> String {
        let (name, descending) = match self {
            Self::Head(name, descending) => (*name, descending),
            Self::By(parameter, descending) => (parameter.name, descending),
        };
        format!("{}{name}", if *descending { "-" } else { "" })
    }

    fn compare(&self, one: &Value, other: &Value) -> Ordering {
        let turned = |order: Ordering, descending: bool| if descending { order.reverse() } else { order };
        match self {
            Self::Head(name, descending) => {
                let text = |body: &Value| match *name {
                    "_id" => body["id"].to_string(),
                    _ => body["meta"]["lastUpdated"].to_string(),
                };
                turned(text(one).cmp(&text(other)), *descending)
            }
            Self::By(parameter, descending) => {
                let [one, other] = [one, other].map(|body| sort_key(parameter, body, *descending));
                match (one, other) {
                    (Some(one), Some(other)) => turned(one.cmp(&other), *descending),
                    (one, other) => one.is_none().cmp(&other.is_none()),
                }
            }
        }
    }
}
