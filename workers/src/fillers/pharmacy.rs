//! A pharmacy: dispense each item, then hand over.

use async_trait::async_trait;
use schemas::message::WorkOrder;
use schemas::resource::Body;
use serde_json::{Value, json};

use super::simulation::{Pace, Stage, day_number, request, stage};
use crate::filler::{Filler, Outcome};
use crate::output::{entry, kind, text};
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
        self.pace.play(order, progress, stages(&order.step), outputs(order)).await
    }
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
