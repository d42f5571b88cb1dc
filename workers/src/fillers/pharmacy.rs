//! A pharmacy: dispense each item, then hand over. A prescription of a prescription service comes whole: what is not in
//! stock is owed, and handed over later.

use async_trait::async_trait;
use schemas::message::WorkOrder;
use schemas::resource::{Body, list};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::simulation::{Pace, Stage, day_number, instruction, request, stage};
use crate::filler::{Filler, Outcome};
use crate::output::{business_status, concept, entry, kind, text};
use crate::reporter::Progress;

pub(super) const WORK: &str = "pharmacy";

pub(super) struct Pharmacy {
    pub(super) pace: Pace,
}

#[async_trait]
impl Filler for Pharmacy {
    fn work(&self) -> &str {
        WORK
    }

    async fn fulfil(&self, order: &WorkOrder, progress: &Progress) -> Outcome {
        if order.step == "prescription" && instruction(order).is_none() {
            return self.supply(order, progress).await;
        }
        self.pace.play(order, progress, stages(&order.step), outputs(order)).await
    }
}

impl Pharmacy {
    /// In two parts, where there is time for it: of a single item half is there, of several all but the last.
    async fn supply(&self, order: &WorkOrder, progress: &Progress) -> Outcome {
        let items = requests(order);
        if !self.pace.0.is_zero() {
            sleep(self.pace.0).await;
            let last = items.len().saturating_sub(1);
            let there = |(n, item): (usize, &String)| match n {
                n if n < last => told(DISPENSED, item),
                0 => told(PARTLY, item),
                _ => told(OWING, item),
            };
            let status = business_status("part-supplied", "Part of it is handed over, the rest is owed");
            progress.in_progress(status, items.iter().enumerate().map(there).collect()).await;
            sleep(self.pace.0).await;
        }
        Outcome::Completed { outputs: items.iter().map(|item| told(DISPENSED, item)).collect() }
    }
}

/// The service's own code system of what has become of an item, and some of its codes.
const ITEM_STATUS: &str = "https://fhir.nhs.uk/CodeSystem/medicationdispense-type";
const DISPENSED: (&str, &str) = ("0001", "Item fully dispensed");
const PARTLY: (&str, &str) = ("0003", "Item dispensed - partial");
const OWING: (&str, &str) = ("0004", "Item not dispensed - owing");

/// What has become of the item that this request asks for.
fn told((code, display): (&str, &str), request: &str) -> Body {
    entry(concept(ITEM_STATUS, code, display), "valueReference", json!({ "reference": request }))
}

/// The items in their order, as references.
fn requests(order: &WorkOrder) -> Vec<String> {
    let based_on = order.task.iter().flat_map(|task| list(task, "basedOn"));
    based_on.filter_map(|reference| reference["reference"].as_str().map(str::to_owned)).collect()
}

fn stages(step: &str) -> &'static [Stage] {
    match step {
        "dispense" => const { &[stage("clinical-check", "Clinical check", 1), stage("preparing", "Preparing", 1)] },
        "hand-over" => const { &[stage("ready-for-collection", "Ready for collection", 1)] },
        _ => const { &[stage("with-dispenser", "With the dispenser", 1)] },
    }
}

fn outputs(order: &WorkOrder) -> Vec<Body> {
    match order.step.as_str() {
        "dispense" => vec![
            entry(kind("quantity", "Quantity dispensed"), "valueQuantity", quantity(order)),
            text(kind("batch", "Batch"), format!("LOT-{}", day_number())),
        ],
        "hand-over" => vec![text(kind("hand-over", "Handed over to"), "The patient")],
        _ => Vec::new(),
    }
}

/// As much as was prescribed; a usual pack when the order does not say.
fn quantity(order: &WorkOrder) -> Value {
    let prescribed = || request(order)?.get("dispenseRequest")?.get("quantity").cloned();
    prescribed().unwrap_or_else(|| json!({ "value": 28, "unit": "tablet" }))
}
