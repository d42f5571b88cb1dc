//! Two orders of 4 to 5 KB as a placer sends them: those of the benchmark (`tests/load/orders`), filled in once.

use schemas::gate;
use schemas::resource::{Body, Kind};
use serde_json::{Value, json};

/// What stands in the place of numbers, and the numbers.
const PLACES: [(&str, &str); 4] = [
    ("###order####", "000000004711"),
    ("###patient##", "000000271828"),
    ("###doctor###", "000000003141"),
    ("###site#####", "000000000577"),
];

/// An order's text, and its type.
pub(crate) struct Order {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

pub(crate) fn laboratory() -> Order {
    let mut body = read(include_str!("../../load/orders/laboratory.json"));
    body["code"] = coded("http://loinc.org", "58410-2", "CBC panel - Blood by Automated count");
    filled(Kind::SERVICE_REQUEST, body)
}

pub(crate) fn prescription() -> Order {
    let mut body = read(include_str!("../../load/orders/prescription.json"));
    body["medicationCodeableConcept"] = coded("http://snomed.info/sct", "318857002", "Ramipril 5 mg oral capsule");
    filled(Kind::MEDICATION_REQUEST, body)
}

impl Order {
    /// As it is behind the gate.
    pub(crate) fn body(&self) -> Body {
        gate::parse(self.text.as_bytes(), &gate::Limits::default()).unwrap()
    }
}

fn read(template: &str) -> Value {
    serde_json::from_str(template).unwrap()
}

fn coded(system: &str, code: &str, display: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code, "display": display }], "text": display })
}

fn filled(kind: Kind, mut body: Value) -> Order {
    body["note"][0]["text"] = "Was seen last week for the same reason; compare with what was found then.".into();
    let text = PLACES.iter().fold(body.to_string(), |text, (place, number)| text.replace(place, number));
    Order { kind, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_of_four_to_five_kilobytes_with_nothing_left_to_fill_in() {
        for order in [laboratory(), prescription()] {
            assert!((4_000..5_000).contains(&order.text.len()), "{} bytes", order.text.len());
            assert!(!order.text.contains("###"));
        }
    }
}
