//! What an event of a large plan costs beside one of a small plan, through everything: over HTTP, loaded, decided and
//! committed, one after another. Orders of 10 steps and an order of 1,000, each step after the one before, are done from
//! the first step to the last.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tests::Client;
use tokio::time::Instant;

use super::Settings;
use crate::drive::{histogram, micros, quantile};
use crate::report::{Latency, Line, Point, Report};
use crate::stand::{Listening, Stand};

const SMALL: usize = 10;
const LARGE: usize = 1_000;
/// Steps that are done of either.
const STEPS: usize = 1_000;
const PERFORMER: &str = "Organization/laboratory-1";

pub(super) async fn on_postgres(settings: &Settings) -> Result<Report> {
    let stand = Stand::build(settings.programs.clone()).await?;
    let database = stand.database("hub").await?;
    let hub = stand.hub("hub", &database, &stand.queue()).await?;
    measured(settings, &stand, &hub).await
}

pub(super) async fn on_sqlite(settings: &Settings) -> Result<Report> {
    let stand = Stand::bare(settings.programs.clone())?;
    let hub = stand.hub("hub", &stand.file("hub"), "embedded").await?;
    measured(settings, &stand, &hub).await
}

async fn measured(settings: &Settings, stand: &Stand, hub: &Listening) -> Result<Report> {
    let mut report = Report::new("growth");
    report.notes = settings.notes(stand, None)?;
    let client = Client::new(format!("http://{}/fhir/R4", hub.address));
    for _ in 0..settings.rounds {
        // The first ones warm everything up, and are not counted.
        events(&client, SMALL, STEPS / 10).await?;
        let small = events(&client, SMALL, STEPS).await?;
        let large = events(&client, LARGE, STEPS).await?;
        for (steps, took) in [(SMALL, &small), (LARGE, &large)] {
            let rate = took.len() as f64 / Duration::from_micros(took.iter_recorded().map(sum).sum()).as_secs_f64();
            let point = Point::new("hub", format!("plans of {steps} actions"), "events", rate, Default::default());
            report.point(Point { latency: Some(Latency::of(took)), ..point });
        }
        let mean = large.mean() / small.mean();
        report.figure("an event of 1,000 actions over one of 10, mean", "x", mean, Line::at_most(3.0, 2.0));
        let median = quantile(&large, 0.5) / quantile(&small, 0.5);
        report.figure("an event of 1,000 actions over one of 10, p50", "x", median, Line::at_most(3.0, 2.0));
    }
    Ok(report)
}

fn sum(value: hdrhistogram::iterators::IterationValue<u64>) -> u64 {
    value.value_iterated_to() * value.count_at_value()
}

/// How long each event took until it was answered.
async fn events(client: &Client, actions: usize, steps: usize) -> Result<Histogram<u64>> {
    let mut took = histogram();
    for _ in 0..steps / actions {
        let reply = client.post("RequestGroup", &chain(actions)).attempt().await.context("no answer")?;
        ensure!(reply.status == 201, "a plan of {actions} actions is answered {}", reply.status);
        let root = reply.body["id"].as_str().unwrap_or_default().to_owned();
        for step in 1..=actions {
            for status in ["accepted", "in-progress", "completed"] {
                let mut change = vec![json!({ "op": "add", "path": "/status", "value": status })];
                if status == "accepted" {
                    change.push(json!({ "op": "add", "path": "/owner", "value": { "reference": PERFORMER } }));
                }
                let begun = Instant::now();
                let reply = client.patch(&format!("Task/{root}.{step}"), change.into()).attempt().await;
                let status = reply.context("no answer")?.status;
                ensure!(status == 200, "step {step} of {actions} is answered {status}");
                took.saturating_record(micros(begun.elapsed()));
            }
        }
    }
    Ok(took)
}

fn chain(actions: usize) -> Value {
    let category = json!([{ "coding": [{ "system": "http://snomed.info/sct", "code": "108252007" }] }]);
    let subject = json!({ "reference": "Patient/000000271828" });
    let panel = json!({
        "resourceType": "ServiceRequest", "id": "panel", "status": "active", "intent": "option", "category": category,
        "code": { "text": "Panel" }, "subject": subject,
    });
    let action = |n: usize| {
        let mut action = json!({ "id": format!("step-{n}"), "resource": { "reference": "#panel" } });
        if let Some(before) = n.checked_sub(1) {
            action["relatedAction"] = json!([{ "actionId": format!("step-{before}"), "relationship": "after-end" }]);
        }
        action
    };
    json!({
        "resourceType": "RequestGroup", "status": "active", "intent": "order", "subject": subject,
        "contained": [panel], "action": (0..actions).map(action).collect::<Vec<_>>(),
    })
}
