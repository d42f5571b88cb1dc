//! Changes by chance, through every door there is: alone, by a condition, and several in a Bundle.

use fastrand::Rng;
use serde_json::{Value, json};
use tests::{Client, Reply};
use uuid::Uuid;

use super::There;
use super::edit::Edit;
use super::naive::found;
use super::questions::{asked, condition};
use super::random::{KINDS, one, resource};

/// Of a Task not everything may be changed, nor by everybody: of these all may.
const FREE: [&str; 4] = ["Patient", "Observation", "Encounter", "ServiceRequest"];

pub(super) async fn change(hub: &Client, rng: &mut Rng, there: &mut There) {
    match rng.u8(..8) {
        0 => several(hub, rng, there).await,
        1 | 2 => what_is_found(hub, rng, there).await,
        _ => one_of_them(hub, rng, there).await,
    }
}

/// A body comes back as it was sent, but for what the hub writes.
#[track_caller]
fn is_as_sent(sent: &Value, told: &Value) {
    let own = |body: &Value| {
        let mut body = body.as_object().unwrap().clone();
        body.remove("id");
        let meta = body.remove("meta").unwrap_or_default();
        (body, meta["tag"].clone(), meta["source"].clone())
    };
    assert_eq!(own(sent), own(told));
}

fn any_id(rng: &mut Rng, there: &There, kind: &str) -> Option<String> {
    let ids: Vec<&str> = there.of(kind).map(|body| body["id"].as_str().unwrap()).collect();
    if ids.is_empty() { None } else { Some(one(rng, &ids).to_owned()) }
}

fn named(kind: &str, id: &str) -> Value {
    json!({ "resourceType": kind, "id": id })
}

async fn one_of_them(hub: &Client, rng: &mut Rng, there: &mut There) {
    let kind = one(rng, &KINDS);
    let body = resource(rng, there, kind);
    let id = any_id(rng, there, kind);
    let what = rng.u8(..10);
    let Some(id) = id.filter(|_| what > 3) else {
        let told = hub.post(kind, &body).await.is(201).body;
        if kind != "Task" {
            is_as_sent(&body, &told);
        }
        return there.put(told);
    };
    let path = format!("{kind}/{id}");
    match what {
        _ if kind == "Task" => {
            let business = json!([{ "op": "add", "path": "/businessStatus", "value": body.get("businessStatus") }]);
            let reply = hub.patch(&path, business).await;
            if body.get("businessStatus").is_some() && reply.status == 200 {
                there.put(reply.body);
            }
        }
        4 | 5 => {
            let mut body = body;
            body["id"] = id.into();
            let told = hub.put(&path, &body).await.is(200).body;
            is_as_sent(&body, &told);
            there.put(told);
        }
        6..9 => {
            let Some(edit) = Edit::any(rng, there, kind, &id) else { return };
            let told = edit.sent(hub, &path).await.is(200).body;
            edit.is_done(&told);
            there.put(told);
        }
        _ => {
            assert!(matches!(hub.delete(&path).await.status, 200 | 204));
            there.remove(&named(kind, &id));
        }
    }
}

/// What a condition finds is changed when it is one.
async fn what_is_found(hub: &Client, rng: &mut Rng, there: &mut There) {
    let kind = one(rng, &FREE);
    let conditions = [condition(rng, there, kind)];
    let query = asked(&conditions[0]);
    let ids: Vec<String> =
        found(there, kind, &conditions).iter().map(|body| body["id"].as_str().unwrap().to_owned()).collect();
    let by = |none: u16, one: u16| match ids.len() {
        0 => none,
        1 => one,
        _ => 412,
    };
    let path = format!("{kind}?{query}");
    let body = resource(rng, there, kind);
    let reply = match rng.u8(..4) {
        0 => hub.post(kind, &body).header("if-none-exist", &query).await.is(by(201, 200)),
        1 => hub.put(&path, &body).await.is(by(201, 200)),
        2 => {
            let edit = ids.first().and_then(|id| Edit::any(rng, there, kind, id));
            let Some(edit) = edit.or_else(|| ids.is_empty().then(Edit::of_nothing)) else { return };
            edit.sent(hub, &path).await.is(by(404, 200))
        }
        _ => {
            hub.delete(&path).await.is(by(204, 204));
            if let [id] = ids.as_slice() {
                there.remove(&named(kind, id));
            }
            return;
        }
    };
    if reply.status < 300 {
        assert!(ids.is_empty() || reply.body["id"] == ids[0].as_str(), "{path}: {}", reply.text);
        there.put(reply.body);
    }
}

/// What one entry of a Bundle does when it is done.
enum Deed {
    Created(Value),
    Updated(Value),
    Edited(Edit),
    Deleted(&'static str, String),
    /// It cannot be.
    Refused,
}

async fn several(hub: &Client, rng: &mut Rng, there: &mut There) {
    let is_whole = rng.bool();
    let mut touched = Vec::new();
    let mut entries: Vec<(Value, Deed)> =
        (0..rng.usize(1..6)).filter_map(|_| entry(rng, there, &mut touched)).collect();
    if is_whole && rng.bool() {
        entries.extend(linked(rng, there));
    }
    let is_spoiled = rng.u8(..4) == 0 && spoil(rng, there, &mut touched, &mut entries);
    let kind = if is_whole { "transaction" } else { "batch" };
    let sent: Vec<&Value> = entries.iter().map(|(entry, _)| entry).collect();
    let bundle = json!({ "resourceType": "Bundle", "type": kind, "entry": sent });
    if entries.is_empty() {
        return;
    }
    let reply = hub.post("", &bundle).header("prefer", "return=representation").await;
    if is_whole && is_spoiled {
        // All or nothing.
        reply.is(412);
        return;
    }
    let reply: Reply = reply.is(200);
    let told = reply.body["entry"].as_array().unwrap();
    for ((_, deed), told) in entries.iter().zip(told) {
        done(there, deed, told);
    }
}

fn done(there: &mut There, deed: &Deed, told: &Value) {
    let (status, body) = (told["response"]["status"].as_str().unwrap(), told["resource"].clone());
    let is = |code: &str| assert!(status.starts_with(code), "{told}");
    match deed {
        Deed::Created(sent) => {
            is("201");
            // What it points to within the Bundle has its id now.
            if !sent["subject"]["reference"].as_str().is_some_and(|to| to.starts_with("urn:uuid:")) {
                is_as_sent(sent, &body);
            }
            there.put(body);
        }
        Deed::Updated(sent) => {
            is("200");
            is_as_sent(sent, &body);
            there.put(body);
        }
        Deed::Edited(edit) => {
            is("200");
            edit.is_done(&body);
            there.put(body);
        }
        Deed::Deleted(kind, id) => {
            is("204");
            there.remove(&named(kind, id));
        }
        Deed::Refused => is("412"),
    }
}

fn request(method: &str, url: String, resource: Option<&Value>) -> Value {
    let mut entry = json!({ "request": { "method": method, "url": url } });
    resource.into_iter().for_each(|resource| entry["resource"] = resource.clone());
    entry
}

/// An entry on a resource that no other entry touches.
fn entry(rng: &mut Rng, there: &There, touched: &mut Vec<String>) -> Option<(Value, Deed)> {
    let kind = one(rng, &FREE);
    let mut body = resource(rng, there, kind);
    let id = any_id(rng, there, kind).filter(|id| !touched.contains(id));
    let what = rng.u8(..4);
    let Some(id) = id.filter(|_| what > 0) else {
        return Some((request("POST", kind.to_owned(), Some(&body)), Deed::Created(body)));
    };
    touched.push(id.clone());
    let url = format!("{kind}/{id}");
    Some(match what {
        1 => {
            body["id"] = id.into();
            (request("PUT", url, Some(&body)), Deed::Updated(body))
        }
        2 => {
            let edit = Edit::any(rng, there, kind, &id)?;
            (request("PATCH", url, Some(&edit.as_resource())), Deed::Edited(edit))
        }
        _ => (request("DELETE", url, None), Deed::Deleted(kind, id)),
    })
}

/// Somebody new, and what is said of her in the same Bundle.
fn linked(rng: &mut Rng, there: &There) -> [(Value, Deed); 2] {
    let name = format!("urn:uuid:{}", Uuid::from_u128(rng.u128(..)));
    let patient = resource(rng, there, "Patient");
    let mut encounter = resource(rng, there, "Encounter");
    encounter["subject"] = json!({ "reference": name });
    let mut first = request("POST", "Patient".into(), Some(&patient));
    first["fullUrl"] = name.into();
    let second = request("POST", "Encounter".into(), Some(&encounter));
    [(first, Deed::Created(patient)), (second, Deed::Created(encounter))]
}

/// Adds what was overtaken long ago.
fn spoil(rng: &mut Rng, there: &There, touched: &mut Vec<String>, entries: &mut Vec<(Value, Deed)>) -> bool {
    let Some(id) = any_id(rng, there, "Patient").filter(|id| !touched.contains(id)) else { return false };
    let mut body = resource(rng, there, "Patient");
    body["id"] = id.clone().into();
    let mut entry = request("PUT", format!("Patient/{id}"), Some(&body));
    entry["request"]["ifMatch"] = "W/\"1000\"".into();
    entries.insert(rng.usize(..=entries.len()), (entry, Deed::Refused));
    touched.push(id);
    true
}
