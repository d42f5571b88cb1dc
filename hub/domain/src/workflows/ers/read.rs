//! The Parameters of an operation: each parameter by its name and kind of value, and every fault of them at once.

use schemas::outcome::Issue;
use schemas::resource::{Body, list, text_at};
use schemas::time::Timestamp;
use serde_json::Value;

use super::codes::{
    Code, INVALID_CODE, INVALID_FHIR_STRUCTURE, INVALID_VALUE, MISSING_VALUE, REC_BAD_REQUEST, UNEXPECTED_FIELD,
};
use crate::refusal::{Refusal, RefusalKind};
use crate::workflows::eps::number::is_nhs_number;

pub(super) const NHS_NUMBER: &str = "https://fhir.nhs.uk/Id/nhs-number";
/// The same, as the service's STU3 messages spell it.
const NHS_NUMBER_BEFORE: &str = "http://fhir.nhs.net/Id/nhs-number";

/// Longest comment or message, in characters.
const TEXT_LIMIT_CHARACTERS: usize = 100_000;

/// STU3 is refused as such: some of it would pass for R4, and mean something else.
pub fn check_release(sent: &Body) -> Result<(), Refusal> {
    fn is_stu3(value: &Value) -> bool {
        match value {
            Value::Object(members) => {
                let profiles = members.get("meta").and_then(|meta| meta["profile"].as_array());
                let mut profiles = profiles.into_iter().flatten().filter_map(Value::as_str);
                profiles.any(|profile| profile.contains("/STU3/")) || members.values().any(is_stu3)
            }
            Value::Array(items) => items.iter().any(is_stu3),
            _ => false,
        }
    }
    let has_profile = |sent: &Body| {
        list_of(sent.get("meta"), "profile").any(|profile| profile.as_str().is_some_and(|p| p.contains("/STU3/")))
    };
    if has_profile(sent) || sent.values().any(is_stu3) {
        return Err(REC_BAD_REQUEST.refusal());
    }
    Ok(())
}

fn list_of<'a>(value: Option<&'a Value>, name: &str) -> impl Iterator<Item = &'a Value> {
    value.and_then(|value| value[name].as_array()).into_iter().flatten()
}

/// Reads one parameter after the other, and collects what is wrong.
pub(super) struct Reader<'a> {
    parameters: Vec<&'a Value>,
    known: Vec<&'static str>,
    pub(super) faults: Vec<Issue>,
}

/// A value, and where it stands.
pub(super) struct Found<'a> {
    pub(super) path: String,
    pub(super) value: &'a Value,
}

impl<'a> Reader<'a> {
    pub(super) fn new(parameters: &'a Body) -> Self {
        Self { parameters: list(parameters, "parameter").collect(), known: Vec::new(), faults: Vec::new() }
    }

    pub(super) fn fault(&mut self, code: Code, path: &str) {
        self.faults.push(code.at(path));
    }

    /// All parameters of this name, each with the kind of value that it must have.
    pub(super) fn all(&mut self, name: &'static str, member: &str) -> Vec<Found<'a>> {
        self.known.push(name);
        let mut found = Vec::new();
        for (n, parameter) in self.parameters.iter().enumerate().filter(|(_, p)| p["name"] == name) {
            let path = format!("Parameters.parameter[{n}]");
            match parameter.get(member) {
                Some(value) => found.push(Found { path: format!("{path}.{member}"), value }),
                None => self.faults.push(INVALID_FHIR_STRUCTURE.because(&path, format!("{name} has a {member}"))),
            }
        }
        found
    }

    pub(super) fn one(&mut self, name: &'static str, member: &str) -> Option<Found<'a>> {
        let mut found = self.all(name, member);
        found.truncate(1);
        found.pop()
    }

    /// Of those that must be there.
    fn needed(&mut self, name: &'static str, member: &str) -> Option<Found<'a>> {
        let faults = self.faults.len();
        let found = self.one(name, member);
        if found.is_none() && self.faults.len() == faults {
            let path = format!("Parameters.parameter(\"{name}\")");
            self.faults.push(MISSING_VALUE.because(&path, format!("{name} is missing")));
        }
        found
    }

    pub(super) fn patient(&mut self) -> String {
        let Some(found) = self.needed("patient", "valueIdentifier") else { return String::new() };
        let number = found.value["value"].as_str().unwrap_or_default();
        let system = found.value["system"].as_str().unwrap_or_default();
        if ![NHS_NUMBER, NHS_NUMBER_BEFORE].contains(&system) || !is_nhs_number(number) {
            self.faults.push(INVALID_VALUE.because(&found.path, format!("the patient has a number of {NHS_NUMBER}")));
        }
        number.to_owned()
    }

    /// A code that is one of those known here.
    pub(super) fn code<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Option<T>, all: &[&str]) -> Option<T> {
        let found = self.one(name, "valueCoding")?;
        let parsed = parse(found.value["code"].as_str().unwrap_or_default());
        if parsed.is_none() {
            self.faults.push(INVALID_CODE.because(&found.path, format!("{name} is one of {}", all.join(", "))));
        }
        parsed
    }

    pub(super) fn needed_code<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
        all: &[&str],
    ) -> Option<T> {
        let faults = self.faults.len();
        let parsed = self.code(name, parse, all);
        if parsed.is_none() && self.faults.len() == faults {
            let path = format!("Parameters.parameter(\"{name}\")");
            self.faults.push(MISSING_VALUE.because(&path, format!("{name} is missing")));
        }
        parsed
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        let found = self.one(name, "valueString")?;
        let text = found.value.as_str().unwrap_or_default();
        if text.chars().count() > TEXT_LIMIT_CHARACTERS {
            let text = format!("{name} has at most {TEXT_LIMIT_CHARACTERS} characters");
            self.faults.push(INVALID_VALUE.because(&found.path, text));
        }
        Some(text.to_owned())
    }

    pub(super) fn needed_text(&mut self, name: &'static str) -> String {
        let faults = self.faults.len();
        let text = self.text(name);
        if text.is_none() && self.faults.len() == faults {
            let path = format!("Parameters.parameter(\"{name}\")");
            self.faults.push(MISSING_VALUE.because(&path, format!("{name} is missing")));
        }
        text.unwrap_or_default()
    }

    pub(super) fn person(&mut self, name: &'static str) -> Option<String> {
        let found = self.one(name, "valueIdentifier")?;
        Some(found.value["value"].as_str().unwrap_or_default().to_owned())
    }

    pub(super) fn number(&mut self, name: &'static str) -> Option<(String, i64)> {
        let found = self.one(name, "valueUnsignedInt")?;
        Some((found.path, found.value.as_i64().unwrap_or_default()))
    }

    pub(super) fn instant(&mut self, name: &'static str) -> Option<(String, Timestamp)> {
        let found = self.one(name, "valueInstant")?;
        let (instant, _) = found.value.as_str().and_then(Timestamp::range)?;
        Some((found.path, instant))
    }

    /// Resources of a type.
    pub(super) fn resources(&mut self, name: &'static str, kind: &str) -> Vec<(String, &'a Body)> {
        let mut all = Vec::new();
        for found in self.all(name, "resource") {
            match found.value.as_object() {
                Some(body) if text_at(body, &["resourceType"]) == Some(kind) => all.push((found.path, body)),
                _ => self.faults.push(INVALID_FHIR_STRUCTURE.because(&found.path, format!("{name} is a {kind}"))),
            }
        }
        all
    }

    pub(super) fn needed_resource(&mut self, name: &'static str, kind: &str) -> Option<(String, &'a Body)> {
        let faults = self.faults.len();
        let found = self.resources(name, kind).into_iter().next();
        if found.is_none() && self.faults.len() == faults {
            let path = format!("Parameters.parameter(\"{name}\")");
            self.faults.push(MISSING_VALUE.because(&path, format!("{name} is missing")));
        }
        found
    }

    /// All is read: what nobody asked for is a fault as well.
    pub(super) fn finish<T>(mut self, read: T) -> Result<T, Refusal> {
        for (n, parameter) in self.parameters.iter().enumerate() {
            let name = parameter["name"].as_str().unwrap_or_default();
            if !self.known.contains(&name) {
                let text = format!("the parameters here are {}", self.known.join(", "));
                self.faults.push(UNEXPECTED_FIELD.because(&format!("Parameters.parameter[{n}].name"), text));
            }
        }
        if self.faults.is_empty() { Ok(read) } else { Err(Refusal::new(RefusalKind::Unprocessable, self.faults)) }
    }
}
