//! Search as FHIR describes it, read off the JSON of a resource: no index, no expression, nothing of the hub's.
//!
//! It is right for what `random` makes and no further: texts of its vocabulary, months of 31 days, numbers of three
//! decimals, milligrams and grams.

use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    Text,
    Token,
    Reference,
    Date,
    Amount,
}

#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) of: &'static str,
    pub(super) name: &'static str,
    pub(super) way: Way,
    /// Where its values stand.
    pub(super) paths: &'static [&'static str],
}

const fn by(of: &'static str, name: &'static str, way: Way, paths: &'static [&'static str]) -> Parameter {
    Parameter { of, name, way, paths }
}

pub(super) const PARAMETERS: [Parameter; 47] = [
    by("Patient", "name", Way::Text, &["name.text", "name.family", "name.given", "name.prefix", "name.suffix"]),
    by("Patient", "family", Way::Text, &["name.family"]),
    by("Patient", "given", Way::Text, &["name.given"]),
    by("Patient", "address", Way::Text, &["address.text", "address.line", "address.city", "address.postalCode"]),
    by("Patient", "address-city", Way::Text, &["address.city"]),
    by("Patient", "identifier", Way::Token, &["identifier"]),
    by("Patient", "gender", Way::Token, &["gender"]),
    by("Patient", "active", Way::Token, &["active"]),
    by("Patient", "birthdate", Way::Date, &["birthDate"]),
    by("Patient", "general-practitioner", Way::Reference, &["generalPractitioner"]),
    by("Patient", "_tag", Way::Token, &["meta.tag"]),
    by("Patient", "_source", Way::Token, &["meta.source"]),
    by("Observation", "status", Way::Token, &["status"]),
    by("Observation", "code", Way::Token, &["code"]),
    by("Observation", "category", Way::Token, &["category"]),
    by("Observation", "subject", Way::Reference, &["subject"]),
    by("Observation", "date", Way::Date, &["effectiveDateTime", "effectivePeriod"]),
    by("Observation", "value-quantity", Way::Amount, &["valueQuantity"]),
    by("Observation", "value-concept", Way::Token, &["valueCodeableConcept"]),
    by("Observation", "value-string", Way::Text, &["valueString", "valueCodeableConcept.text"]),
    by("Observation", "component-code", Way::Token, &["component.code"]),
    by("Observation", "component-value-quantity", Way::Amount, &["component.valueQuantity"]),
    by("Observation", "combo-code", Way::Token, &["code", "component.code"]),
    by("Observation", "combo-value-quantity", Way::Amount, &["valueQuantity", "component.valueQuantity"]),
    by("Observation", "_tag", Way::Token, &["meta.tag"]),
    by("Encounter", "status", Way::Token, &["status"]),
    by("Encounter", "class", Way::Token, &["class"]),
    by("Encounter", "date", Way::Date, &["period"]),
    by("Encounter", "length", Way::Amount, &["length"]),
    by("Encounter", "subject", Way::Reference, &["subject"]),
    by("Encounter", "_tag", Way::Token, &["meta.tag"]),
    by("ServiceRequest", "code", Way::Token, &["code"]),
    by("ServiceRequest", "identifier", Way::Token, &["identifier"]),
    by("ServiceRequest", "requisition", Way::Token, &["requisition"]),
    by("ServiceRequest", "authored", Way::Date, &["authoredOn"]),
    by("ServiceRequest", "occurrence", Way::Date, &["occurrenceDateTime", "occurrencePeriod"]),
    by("ServiceRequest", "subject", Way::Reference, &["subject"]),
    by("ServiceRequest", "_tag", Way::Token, &["meta.tag"]),
    by("Task", "status", Way::Token, &["status"]),
    by("Task", "priority", Way::Token, &["priority"]),
    by("Task", "code", Way::Token, &["code"]),
    by("Task", "business-status", Way::Token, &["businessStatus"]),
    by("Task", "group-identifier", Way::Token, &["groupIdentifier"]),
    by("Task", "subject", Way::Reference, &["for"]),
    by("Task", "authored-on", Way::Date, &["authoredOn"]),
    by("Task", "modified", Way::Date, &["lastModified"]),
    by("Task", "period", Way::Date, &["executionPeriod"]),
];

/// Composites of an Observation: where the elements are that they are about. Of each they compare `code` and
/// `valueQuantity`.
pub(super) const COMPOSITES: [(&str, &[&str]); 3] = [
    ("code-value-quantity", &[""]),
    ("component-code-value-quantity", &["component"]),
    ("combo-code-value-quantity", &["", "component"]),
];

/// What is asked of one value.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    Begins(String),
    Contains(String),
    Exact(String),
    /// None: any. An empty system is none.
    Token {
        system: Option<String>,
        code: Option<String>,
    },
    CodeText(String),
    /// An identifier of this kind. An empty system is none.
    OfType {
        system: String,
        code: String,
        value: String,
    },
    /// A URI, and what lies below it or above.
    Below(&'static str),
    Above(&'static str),
    Reference(String),
    Date {
        prefix: &'static str,
        text: &'static str,
    },
    Amount {
        prefix: &'static str,
        text: &'static str,
        unit: Option<&'static str>,
    },
}

/// Everything at a dotted path, lists laid open.
pub(super) fn at<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut here = vec![value];
    for name in path.split('.').filter(|name| !name.is_empty()) {
        here = here.into_iter().filter_map(|value| value.get(name)).flat_map(each).collect();
    }
    here
}

fn each(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |several| several.iter().collect())
}

pub(super) fn all_at<'a>(value: &'a Value, paths: &[&str]) -> Vec<&'a Value> {
    paths.iter().flat_map(|path| at(value, path)).collect()
}

impl Wanted {
    pub(super) fn is(&self, value: &Value) -> bool {
        match self {
            Self::Begins(text) => value.as_str().is_some_and(|it| plain(it).starts_with(&plain(text))),
            Self::Contains(text) => value.as_str().is_some_and(|it| plain(it).contains(&plain(text))),
            Self::Exact(text) => value == text.as_str(),
            Self::Token { system, code } => tokens(value).iter().any(|(of, is)| {
                system.as_ref().is_none_or(|system| system == of) && code.as_ref().is_none_or(|code| code == is)
            }),
            Self::CodeText(text) => {
                let called = all_at(value, &["text", "display", "coding.display"]);
                called.into_iter().filter_map(Value::as_str).any(|it| plain(it).starts_with(&plain(text)))
            }
            Self::OfType { system, code, value: wanted } => {
                let kind = (system.clone(), code.clone());
                value["value"] == wanted.as_str() && value.get("type").is_some_and(|it| tokens(it).contains(&kind))
            }
            Self::Below(uri) => value.as_str().is_some_and(|it| it == *uri || it.starts_with(&format!("{uri}/"))),
            Self::Above(uri) => value.as_str().is_some_and(|it| it == *uri || uri.starts_with(&format!("{it}/"))),
            Self::Reference(to) => value["reference"] == to.as_str(),
            Self::Date { prefix, text } => lies(prefix, &span(&Value::from(*text)), &span(value)),
            Self::Amount { prefix, text, unit } => weighs(prefix, text, *unit, value),
        }
    }
}

/// In small letters, without the accents of the vocabulary.
fn plain(text: &str) -> String {
    let bare = |c: char| match c {
        'ä' | 'á' => 'a',
        'ö' => 'o',
        'ü' => 'u',
        'ñ' => 'n',
        'ë' => 'e',
        _ => c,
    };
    text.to_lowercase().chars().map(bare).collect()
}

/// The system, empty for none, and the code.
fn tokens(value: &Value) -> Vec<(String, String)> {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    match value {
        Value::String(code) => vec![(String::new(), code.clone())],
        Value::Bool(is) => vec![(String::new(), is.to_string())],
        _ if value.get("coding").is_some() => at(value, "coding").into_iter().flat_map(tokens).collect(),
        _ => {
            let code = text(value, "code").or_else(|| text(value, "value"));
            code.map(|code| (text(value, "system").unwrap_or_default(), code)).into_iter().collect()
        }
    }
}

/// The first and the last moment that a date or a Period means.
fn span(value: &Value) -> [String; 2] {
    const FIRST: &str = "0000-01-01T00:00:00.000";
    const LAST: &str = "9999-12-31T23:59:59.999";
    match value {
        Value::String(text) => {
            let text = text.trim_end_matches('Z');
            [FIRST, LAST].map(|filler| format!("{text}{}", &filler[text.len()..]))
        }
        _ => {
            let [low, high] = ["start", "end"].map(|name| value.get(name).map(span));
            [low.map_or(FIRST.into(), |[low, _]| low), high.map_or(LAST.into(), |[_, high]| high)]
        }
    }
}

fn lies(prefix: &str, [from, to]: &[String; 2], [low, high]: &[String; 2]) -> bool {
    let is_within = from <= low && high <= to;
    match prefix {
        "ne" => !is_within,
        "gt" => high > to,
        "lt" => low < from,
        "ge" => high > to || is_within,
        "le" => low < from || is_within,
        "sa" => low > to,
        "eb" => high < from,
        _ => is_within,
    }
}

/// In ten-thousandths.
fn scaled(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: i64 = format!("{whole}{fraction:0<4}").parse().unwrap();
    digits
}

fn weighs(prefix: &str, text: &str, unit: Option<&str>, value: &Value) -> bool {
    let Some(number) = value.get("value").and_then(Value::as_number) else { return false };
    let milligrams = |unit: &str| if unit == "g" { 1000 } else { 1 };
    let (stored, factors) =
        (scaled(number.as_str()), (unit.map(milligrams), value.get("code").and_then(Value::as_str)));
    // Without a unit, numbers are compared as they stand; with one, both in milligrams.
    let (asked, stored, factor) = match factors {
        (None, _) => (scaled(text), stored, 1),
        (Some(_), None) => return false,
        (Some(factor), Some(of)) => (scaled(text) * factor, stored * milligrams(of), factor),
    };
    let half = 5_000 / 10_i64.pow(text.split_once('.').map_or(0, |(_, after)| after.len() as u32)) * factor;
    let (low, high) = match value.get("comparator").and_then(Value::as_str) {
        Some("<") => (i64::MIN, stored),
        Some(">") => (stored, i64::MAX),
        _ => (stored, stored),
    };
    let is_rounded = low >= asked - half && high < asked + half;
    match prefix {
        "ne" => !is_rounded,
        "gt" => high > asked,
        "lt" => low < asked,
        "ge" => high >= asked,
        "le" => low <= asked,
        "sa" => low > asked,
        "eb" => high < asked,
        // A tenth more or less.
        "ap" => {
            low.saturating_mul(10) <= asked * 10 + asked.abs() && high.saturating_mul(10) >= asked * 10 - asked.abs()
        }
        _ => is_rounded,
    }
}
