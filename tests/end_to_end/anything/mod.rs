//! Whatever is created, updated, patched and deleted: what a search finds is what one finds who reads everything.

mod naive;
mod random;

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};
use tests::{Client, World, stories};

use naive::{Wanted, all_at, at};
use random::{Condition, KINDS};

stories![whatever_happens_a_search_finds_what_is_there];

const ROUNDS: usize = 16;
const CHANGES_A_ROUND: usize = 8;
const SEARCHES_A_ROUND: usize = 18;

/// What there should be, by type and id.
type There = BTreeMap<(&'static str, String), Value>;

async fn whatever_happens_a_search_finds_what_is_there(world: World) {
    let hub = world.hub().await;
    let seed =
        std::env::var("HUB_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    let (mut rng, mut there, mut fruitful) = (Rng::with_seed(seed), There::new(), 0);
    for _ in 0..ROUNDS {
        for _ in 0..CHANGES_A_ROUND {
            change(&hub, &mut rng, &mut there).await;
        }
        for _ in 0..SEARCHES_A_ROUND {
            let kind = KINDS[rng.usize(..KINDS.len())];
            let conditions: Vec<Condition> = (0..rng.usize(1..3)).map(|_| random::condition(&mut rng, kind)).collect();
            let query: Vec<String> = conditions.iter().map(asked).collect();
            let sort = ["", "&_sort=_id", "&_sort=-_lastUpdated"][rng.usize(..3)];
            let search = format!("{kind}?{}&_count={}{sort}", query.join("&"), rng.usize(1..6));
            let mut found: Vec<String> =
                hub.finds(&search).await.iter().map(|body| body["id"].as_str().unwrap().to_owned()).collect();
            if sort == "&_sort=_id" {
                assert!(found.is_sorted(), "HUB_TEST_SEED={seed}: {search}");
            }
            found.sort();
            let of_kind =
                there.iter().filter(|((of, _), body)| *of == kind && conditions.iter().all(|it| holds(it, body)));
            let expected: Vec<String> = of_kind.map(|((_, id), _)| id.clone()).collect();
            assert_eq!(found, expected, "HUB_TEST_SEED={seed}: {search}: {conditions:#?}");
            if rng.u8(..4) == 0 {
                let counted = hub.get(&format!("{search}&_total=accurate")).await.is(200).body;
                assert_eq!(counted["total"], found.len(), "HUB_TEST_SEED={seed}: {search}: {conditions:#?}");
            }
            fruitful += usize::from(!found.is_empty());
        }
    }
    // Of nothing it would be easy to find all.
    assert!(fruitful * 5 > ROUNDS * SEARCHES_A_ROUND, "HUB_TEST_SEED={seed}: {fruitful} searches found something");
    hub.closes().await;
}

async fn change(hub: &Client, rng: &mut Rng, there: &mut There) {
    let kind = KINDS[rng.usize(..KINDS.len())];
    let body = random::resource(rng, kind);
    let ids: Vec<String> = there.keys().filter(|(of, _)| *of == kind).map(|(_, id)| id.clone()).collect();
    let what = if ids.is_empty() { 0 } else { rng.u8(..10) };
    let id = ids.get(rng.usize(..ids.len().max(1))).cloned().unwrap_or_default();
    let reply = match what {
        // Of a Task not everything may be changed, nor by everybody.
        4.. if kind == "Task" => {
            let business = json!([{ "op": "add", "path": "/businessStatus", "value": body.get("businessStatus") }]);
            let reply = hub.patch(&format!("Task/{id}"), business).await;
            if body.get("businessStatus").is_none() || reply.status != 200 {
                return;
            }
            reply
        }
        0..4 => hub.post(kind, &body).await.is(201),
        4..7 => {
            let mut body = body;
            body["id"] = id.clone().into();
            hub.put(&format!("{kind}/{id}"), &body).await.is(200)
        }
        7..9 => {
            let elements: Vec<(&String, &Value)> = body.as_object().unwrap().iter().skip(1).collect();
            let Some((name, value)) = elements.get(rng.usize(..elements.len().max(1))) else { return };
            // Of a choice there is one.
            let before = &there[&(kind, id.clone())];
            let choice = ["value", "effective"].into_iter().find(|choice| name.starts_with(choice));
            let others =
                before.as_object().unwrap().keys().filter(|other| choice.is_some_and(|it| other.starts_with(it)));
            let removed = others.map(|other| json!({ "op": "remove", "path": format!("/{other}") }));
            let added = json!({ "op": "add", "path": format!("/{name}"), "value": value });
            hub.patch(&format!("{kind}/{id}"), removed.chain([added]).collect()).await.is(200)
        }
        _ => {
            assert!(matches!(hub.delete(&format!("{kind}/{id}")).await.status, 200 | 204));
            there.remove(&(kind, id));
            return;
        }
    };
    there.insert((kind, reply.body["id"].as_str().unwrap().to_owned()), reply.body);
}

fn holds(condition: &Condition, body: &Value) -> bool {
    match condition {
        Condition::Any(parameter, _, any) => {
            all_at(body, parameter.paths).iter().any(|value| any.iter().any(|wanted| wanted.is(value)))
        }
        Condition::Not(parameter, any) => !holds(&Condition::Any(parameter, "", any.clone()), body),
        Condition::Missing(parameter, missing) => all_at(body, parameter.paths).is_empty() == *missing,
        Condition::Together(_, paths, code, amount) => all_at(body, paths).iter().any(|element| {
            let is = |wanted: &Wanted, path| at(element, path).iter().any(|value| wanted.is(value));
            is(code, "code") && is(amount, "valueQuantity")
        }),
    }
}

/// As it stands in a URL.
fn asked(condition: &Condition) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    match condition {
        Condition::Any(parameter, modifier, any) => {
            let values: Vec<String> = any.iter().map(written).collect();
            format!("{}{modifier}={}", parameter.name, encode(&values.join(",")))
        }
        Condition::Not(parameter, any) => {
            format!("{}:not={}", parameter.name, encode(&any.iter().map(written).collect::<Vec<_>>().join(",")))
        }
        Condition::Missing(parameter, missing) => format!("{}:missing={missing}", parameter.name),
        Condition::Together(name, _, code, amount) => {
            format!("{name}={}", encode(&format!("{}${}", written(code), written(amount))))
        }
    }
}

fn written(wanted: &Wanted) -> String {
    let escaped = |text: &str| {
        ['\\', ',', '|', '$'].iter().fold(text.to_owned(), |text, sign| text.replace(*sign, &format!("\\{sign}")))
    };
    match wanted {
        Wanted::Begins(text) | Wanted::Contains(text) | Wanted::Exact(text) | Wanted::CodeText(text) => escaped(text),
        Wanted::Token { system, code } => {
            let code = code.as_deref().map(escaped).unwrap_or_default();
            system.as_deref().map_or(code.clone(), |system| format!("{}|{code}", escaped(system)))
        }
        Wanted::OfType { system, code, value } => [system, code, value].map(|part| escaped(part)).join("|"),
        Wanted::Below(uri) | Wanted::Above(uri) => (*uri).to_owned(),
        Wanted::Reference(to) => to.clone(),
        Wanted::Date { prefix, text } => format!("{prefix}{text}"),
        Wanted::Amount { prefix, text, unit: None } => format!("{prefix}{text}"),
        Wanted::Amount { prefix, text, unit: Some(unit) } => format!("{prefix}{text}|http://unitsofmeasure.org|{unit}"),
    }
}
