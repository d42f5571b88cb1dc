//! A clinic that takes referrals: triage, book, attend, report.

use async_trait::async_trait;
use schemas::message::WorkOrder;
use schemas::resource::Body;
use uuid::Uuid;

use super::simulation::{Pace, Stage, in_days, stage};
use crate::filler::{Filler, Outcome};
use crate::output::{concept, date_time, document, entry, kind, text};
use crate::reporter::Progress;

pub(super) const WORK: &str = "clinic";

const LETTER: &str = "Outpatient letter";
const APPOINTMENT_DAYS: i64 = 14;

pub(super) struct Clinic {
    pub(super) pace: Pace,
}

#[async_trait]
impl Filler for Clinic {
    fn work(&self) -> &str {
        WORK
    }

    async fn fulfil(&self, order: &WorkOrder, progress: &Progress) -> Outcome {
        self.pace.play(order, progress, stages(&order.step), outputs(&order.step)).await
    }
}

fn stages(step: &str) -> &'static [Stage] {
    match step {
        "triage" => const { &[stage("awaiting-triage", "Awaiting triage", 1), stage("in-triage", "In triage", 1)] },
        "book" => const { &[stage("visit-pending", "Looking for an appointment", 1)] },
        "attend" => const { &[stage("visit-scheduled", "Visit scheduled", 1), stage("visit-arrived", "Arrived", 1)] },
        "report" => const { &[stage("awaiting-interpretation", "Letter being written", 1)] },
        _ => const { &[stage("in-clinic", "With the clinic", 1)] },
    }
}

fn outputs(step: &str) -> Vec<Body> {
    match step {
        "triage" => {
            let accepted = concept(crate::output::BUSINESS_STATUS, "accepted-for-visit", "Accepted for a visit");
            vec![entry(kind("triage-outcome", "Outcome of the triage"), "valueCodeableConcept", accepted)]
        }
        "book" => vec![
            date_time(kind("appointment", "Appointment"), in_days(APPOINTMENT_DAYS)),
            text(kind("place", "Where"), "Outpatients, desk 2"),
        ],
        "attend" => vec![text(kind("visit-outcome", "Outcome of the visit"), "Seen; discharged with advice")],
        "report" => vec![document(kind("report", LETTER), "DocumentReference", Uuid::now_v7(), LETTER)],
        _ => Vec::new(),
    }
}
