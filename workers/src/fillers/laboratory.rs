//! A laboratory: collect, analyse, report.

use async_trait::async_trait;
use schemas::message::WorkOrder;
use schemas::resource::{Body, list};
use uuid::Uuid;

use super::simulation::{Pace, Stage, day_number, request, stage};
use crate::filler::{Filler, Outcome};
use crate::output::{LOINC, concept, document, identifier, kind, quantity};
use crate::reporter::Progress;

pub(super) const WORK: &str = "laboratory";

const SPECIMENS: &str = "urn:fhir-workflow-hub:specimen";
const REPORT: &str = "Laboratory report";

pub(super) struct Laboratory {
    pub(super) pace: Pace,
}

#[async_trait]
impl Filler for Laboratory {
    fn work(&self) -> &str {
        WORK
    }

    async fn fulfil(&self, order: &WorkOrder, progress: &Progress) -> Outcome {
        self.pace.play(order, progress, stages(&order.step), outputs(order)).await
    }
}

fn stages(step: &str) -> &'static [Stage] {
    match step {
        "collect" => const { &[stage("collection-scheduled", "On the phlebotomy round", 1)] },
        "analyse" => {
            const { &[stage("specimen-received", "Specimen received", 1), stage("in-analysis", "In analysis", 2)] }
        }
        "report" => const { &[stage("preliminary-outcome", "Awaiting validation", 1)] },
        _ => const { &[stage("in-laboratory", "With the laboratory", 1)] },
    }
}

fn outputs(order: &WorkOrder) -> Vec<Body> {
    match order.step.as_str() {
        "collect" => {
            let number = format!("{}-{}", day_number(), &Uuid::new_v4().simple().to_string()[..6]);
            vec![identifier(kind("specimen", "Specimen"), SPECIMENS, &number)]
        }
        "analyse" => results(order),
        "report" => vec![document(kind("report", REPORT), "DiagnosticReport", Uuid::now_v7(), REPORT)],
        _ => Vec::new(),
    }
}

/// LOINC code, name, value, UCUM unit.
type Analyte = (&'static str, &'static str, &'static str, &'static str);

const BLOOD_COUNT: &[Analyte] = &[
    ("718-7", "Haemoglobin", "13.80", "g/dL"),
    ("6690-2", "Leukocytes", "6.4", "10*3/uL"),
    ("777-3", "Platelets", "251", "10*3/uL"),
];
const BASIC_METABOLIC: &[Analyte] = &[
    ("2951-2", "Sodium", "139", "mmol/L"),
    ("2823-3", "Potassium", "4.10", "mmol/L"),
    ("2160-0", "Creatinine", "0.90", "mg/dL"),
];
const HBA1C: &[Analyte] = &[("4548-4", "Haemoglobin A1c", "5.6", "%")];

/// What was asked for, by its LOINC code; a blood count for all else.
fn results(order: &WorkOrder) -> Vec<Body> {
    let analytes = match ordered(order) {
        Some("51990-0" | "24320-4") => BASIC_METABOLIC,
        Some("4548-4") => HBA1C,
        _ => BLOOD_COUNT,
    };
    let result = |&(code, name, value, unit): &Analyte| quantity(concept(LOINC, code, name), value, unit);
    analytes.iter().map(result).collect()
}

fn ordered(order: &WorkOrder) -> Option<&str> {
    let code = request(order)?.get("code")?.as_object()?;
    list(code, "coding").find(|coding| coding["system"] == LOINC)?.get("code")?.as_str()
}
