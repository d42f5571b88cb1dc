//! Orders as a placer sends them: 4 to 5 KB of JSON, of a patient, a practitioner and a site each, with identifiers of
//! their own. A number brings the same order each time.
//!
//! Bodies are texts with places of equal width, so that one more order costs a copy and a few digits: the driver shares
//! the machine with what it measures.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use serde_json::{Value, json};

/// Digits of a number in a body; what stands in its place in the templates is as wide.
const WIDTH: usize = 12;
const ORDER: &str = "###order####";
const PATIENT: &str = "###patient##";
const DOCTOR: &str = "###doctor###";
const SITE: &str = "###site#####";

/// How many there are of each, and where their numbers begin: no two have the same.
pub(crate) const PATIENTS: u64 = 1_000_000;
const DOCTORS: u64 = 20_000;
const DOCTORS_FROM: u64 = 2_000_000;
const SITES: u64 = 2_000;
const SITES_FROM: u64 = 3_000_000;

/// LOINC's.
const PANELS: [(&str, &str); 6] = [
    ("58410-2", "CBC panel - Blood by Automated count"),
    ("24331-1", "Lipid 1996 panel - Serum or Plasma"),
    ("51990-0", "Basic metabolic panel - Blood"),
    ("24320-4", "Basic metabolic 1998 panel - Serum or Plasma"),
    ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"),
    ("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma"),
];

/// SNOMED CT's.
const MEDICINES: [(&str, &str); 6] = [
    ("318857002", "Ramipril 5 mg oral capsule"),
    ("319775004", "Aspirin 75 mg oral tablet"),
    ("320031004", "Simvastatin 40 mg oral tablet"),
    ("325072002", "Levothyroxine sodium 50 microgram oral tablet"),
    ("317896006", "Digoxin 125 microgram oral tablet"),
    ("322236009", "Paracetamol 500 mg oral tablet"),
];

const NOTES: [&str; 4] = [
    "Known to the practice for years; veins are difficult on the left arm, so please use the right one.",
    "Lives alone and is hard of hearing: letters are better than calls, and a neighbour may collect what is left here.",
    "Was seen last week for the same reason; compare with what was found then and tell us when it has grown worse.",
    "Travels next month, so an early answer would help. No change of the other medicines was made at this visit.",
];

/// A submission.
pub(crate) struct Order {
    pub(crate) kind: &'static str,
    /// As it stands in the body.
    pub(crate) number: u64,
    pub(crate) who: Who,
    pub(crate) body: Bytes,
}

/// Whom an order is about, and who sends it, and from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who {
    pub(crate) patient: u64,
    pub(crate) doctor: u64,
    pub(crate) site: u64,
}

impl Who {
    /// The same for the same number, and any as likely as another.
    pub(crate) fn of(number: u64) -> Self {
        let chance = mixed(number);
        Self {
            patient: 1 + chance % PATIENTS,
            doctor: DOCTORS_FROM + (chance >> 20) % DOCTORS,
            site: SITES_FROM + (chance >> 40) % SITES,
        }
    }
}

/// All orders there are, one after another.
pub(crate) struct Orders {
    seed: u64,
    templates: Vec<Template>,
    next: AtomicU64,
}

impl Orders {
    pub(crate) fn new(seed: u64) -> Result<Self> {
        let laboratory: Value = serde_json::from_str(include_str!("orders/laboratory.json"))?;
        let prescription: Value = serde_json::from_str(include_str!("orders/prescription.json"))?;
        let mut templates = Vec::new();
        for (n, (panel, medicine)) in PANELS.iter().zip(&MEDICINES).enumerate() {
            let note = NOTES[n % NOTES.len()];
            let asked = coded("http://loinc.org", *panel);
            templates.push(Template::new("ServiceRequest", laboratory.clone(), "code", asked, note)?);
            let asked = coded("http://snomed.info/sct", *medicine);
            let element = "medicationCodeableConcept";
            templates.push(Template::new("MedicationRequest", prescription.clone(), element, asked, note)?);
        }
        Ok(Self { seed, templates, next: AtomicU64::new(1) })
    }

    pub(crate) fn next(&self) -> Order {
        self.numbered(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The kinds come in turn.
    pub(crate) fn numbered(&self, number: u64) -> Order {
        let template = &self.templates[(number % self.templates.len() as u64) as usize];
        let who = Who::of(self.seed ^ number);
        let Who { patient, doctor, site } = who;
        let numbers = [(Slot::Order, number), (Slot::Patient, patient), (Slot::Doctor, doctor), (Slot::Site, site)];
        Order { kind: template.kind, number, who, body: template.filled(&numbers.map(|(slot, n)| (slot, digits(n)))) }
    }
}

/// A number as it stands in bodies.
pub(crate) fn digits(number: u64) -> [u8; WIDTH] {
    let mut digits = [b'0'; WIDTH];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

fn coded(system: &str, (code, display): (&str, &str)) -> Value {
    json!({ "coding": [{ "system": system, "code": code, "display": display }], "text": display })
}

/// Numbers in a row become numbers without order (the finaliser of SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Order,
    Patient,
    Doctor,
    Site,
}

struct Template {
    kind: &'static str,
    text: String,
    places: Vec<(usize, Slot)>,
}

impl Template {
    fn new(kind: &'static str, mut body: Value, element: &str, asked: Value, note: &str) -> Result<Self> {
        body[element] = asked;
        *body.pointer_mut("/note/0/text").context("a template has a note")? = note.into();
        let text = body.to_string();
        let marks = [(ORDER, Slot::Order), (PATIENT, Slot::Patient), (DOCTOR, Slot::Doctor), (SITE, Slot::Site)];
        let places = marks.iter().flat_map(|(mark, slot)| text.match_indices(mark).map(|(at, _)| (at, *slot)));
        Ok(Self { kind, places: places.collect(), text })
    }

    fn filled(&self, numbers: &[(Slot, [u8; WIDTH])]) -> Bytes {
        let mut body = self.text.clone().into_bytes();
        for (at, slot) in &self.places {
            if let Some((_, digits)) = numbers.iter().find(|(of, _)| of == slot) {
                body[*at..*at + WIDTH].copy_from_slice(digits);
            }
        }
        body.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_fhir_of_four_to_five_kilobytes_and_no_other() {
        let orders = Orders::new(7).unwrap();
        for n in 1..=12 {
            let order = orders.next();
            assert!((4_000..5_000).contains(&order.body.len()), "{} bytes", order.body.len());
            let body = schemas::gate::parse(&order.body, &schemas::gate::Limits::default()).unwrap();
            schemas::gate::check(&body, Some(order.kind)).unwrap();
            assert!(!String::from_utf8_lossy(&order.body).contains("###"));
            assert_eq!(order.body, orders.numbered(n).body);
            assert_ne!(order.body, orders.numbered(n + 12).body);
        }
    }
}
