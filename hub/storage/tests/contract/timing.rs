//! How long a batch takes: to be read, not asserted. `cargo test -p hub-storage -- --ignored --nocapture batch`

use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_domain::decision::{Decision, OutgoingId};
use hub_domain::registry::Committed;
use schemas::ids::TaskId;
use schemas::resource::{Key, Kind};
use schemas::task::Priority;
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::build::*;
use crate::place::Place;

const ORDERS: u64 = 64;
const BATCHES: u64 = 30;
const LANES: u64 = 4;

fn request(n: u64) -> Value {
    let note = "an order as a laboratory gets it, with what a clinician writes beside it. ".repeat(30);
    json!({
        "identifier": [{ "system": "urn:n", "value": n.to_string() }], "status": "active", "intent": "order",
        "priority": "urgent", "code": { "coding": [{ "system": "http://loinc.org", "code": "58410-2" }] },
        "category": [{ "coding": [{ "system": "http://snomed.info/sct", "code": "108252007" }] }],
        "subject": { "reference": format!("Patient/{}", n % 500) }, "requester": { "reference": "Practitioner/1" },
        "encounter": { "reference": format!("Encounter/{n}") }, "authoredOn": "2026-03-04T10:00:00Z",
        "performer": [{ "reference": "Organization/lab" }], "note": [{ "text": note }]
    })
}

fn task(n: u64, step: u32) -> Value {
    json!({
        "status": if step < 2 { "requested" } else { "draft" }, "intent": "order", "priority": "urgent",
        "code": { "coding": [{ "system": "urn:c", "code": format!("step-{step}") }] },
        "focus": { "reference": format!("ServiceRequest/{n}") },
        "basedOn": [{ "reference": format!("ServiceRequest/{n}") }],
        "for": { "reference": format!("Patient/{}", n % 500) }, "requester": { "reference": "Practitioner/1" },
        "owner": { "reference": format!("Organization/{step}") }, "authoredOn": "2026-03-04T10:00:00Z",
        "lastModified": "2026-03-04T10:00:00.000Z", "description": "take blood and bring it to the laboratory"
    })
}

/// A request and four Tasks, of which one is told.
fn submission(n: u64, now: Timestamp) -> Decision {
    let order = Uuid::from_u64_pair(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n);
    let mut deciding = deciding(now).on(order, None).receipt(&format!("key-{n}"));
    deciding = deciding.creates(order, Key::new(Kind::SERVICE_REQUEST, n.to_string()), request(n));
    for step in 0..4 {
        let key = Key::task(TaskId { root: order, step, occurrence: 1 });
        deciding = deciding.creates(order, key.clone(), task(n, step));
        if step == 1 {
            deciding = deciding.tells(&key, 1, Priority::Urgent);
        }
    }
    deciding.done()
}

/// The told Task goes on: what a report does.
fn report(n: u64, now: Timestamp) -> Decision {
    let order = Uuid::from_u64_pair(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n);
    let key = Key::task(TaskId { root: order, step: 1, occurrence: 1 });
    let mut body = task(n, 1);
    body["status"] = json!("in-progress");
    deciding(now).on(order, Some(1)).updates(order, key, 2, body).done()
}

pub(crate) async fn how_long_a_batch_takes(place: Place) {
    for (what, decide) in [("submissions", submission as fn(u64, Timestamp) -> Decision), ("reports", report)] {
        for lanes in [1, LANES] {
            // Reports follow the submissions of the same number of lanes.
            let base = lanes << 32;
            let began = Instant::now();
            let lane = |lane: u64| {
                let registry = Arc::clone(&place.registry);
                tokio::spawn(async move {
                    let (mut committing, mut sent) = (Duration::ZERO, Vec::<OutgoingId>::new());
                    for batch in 0..BATCHES {
                        let at = now(&*registry).await;
                        let first = base + (lane * BATCHES + batch) * ORDERS;
                        let decisions: Vec<Decision> = (first..first + ORDERS).map(|n| decide(n, at)).collect();
                        let from = Instant::now();
                        for (outcome, ids) in registry.commit(&decisions).await.unwrap() {
                            assert_eq!(outcome, Committed::Done);
                            sent.extend(ids);
                        }
                        committing += from.elapsed();
                        registry.sent(&std::mem::take(&mut sent)).await.unwrap();
                    }
                    committing
                })
            };
            let mut committing = Duration::ZERO;
            for lane in (0..lanes).map(lane).collect::<Vec<_>>() {
                committing += lane.await.unwrap();
            }
            let per_batch = committing / u32::try_from(lanes * BATCHES).unwrap();
            let rate = (lanes * BATCHES * ORDERS) as f64 / began.elapsed().as_secs_f64();
            eprintln!("{ORDERS} {what}, {lanes} lanes: {per_batch:?} a commit, {rate:.0} a second");
        }
    }
}
