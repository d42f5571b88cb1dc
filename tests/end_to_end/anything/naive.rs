//! Search as FHIR describes it, read off the JSON of a resource: no index, no expression, nothing of the hub's.
//!
//! It is right for what `random` makes and no further: texts of its vocabulary, months of 31 days, numbers of three
//! decimals, milligrams and grams.

use serde_json::Value;

use super::There;
use super::questions::Condition;
use super::tables::{Link, Parameter, Way};

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
    /// A reference by the identifier that stands in it.
    Named {
        system: Option<String>,
        code: Option<String>,
    },
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
fn at<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut here = vec![value];
    for name in path.split('.').filter(|name| !name.is_empty()) {
        here = here.into_iter().filter_map(|value| value.get(name)).flat_map(each).collect();
    }
    here
}

fn each(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |several| several.iter().collect())
}

fn all_at<'a>(value: &'a Value, paths: &[&str]) -> Vec<&'a Value> {
    paths.iter().flat_map(|path| at(value, path)).collect()
}

impl Wanted {
    fn is(&self, value: &Value) -> bool {
        match self {
            Self::Begins(text) => value.as_str().is_some_and(|it| plain(it).starts_with(&plain(text))),
            Self::Contains(text) => value.as_str().is_some_and(|it| plain(it).contains(&plain(text))),
            Self::Exact(text) => value == text.as_str(),
            Self::Token { system, code } => has_token(value, system.as_ref(), code.as_ref()),
            Self::Named { system, code } => {
                value.get("identifier").is_some_and(|value| has_token(value, system.as_ref(), code.as_ref()))
            }
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

/// Whether a resource is what is asked for.
pub(super) fn holds(condition: &Condition, body: &Value, there: &There) -> bool {
    match condition {
        Condition::Any(parameter, _, any) => {
            all_at(body, parameter.paths).iter().any(|value| any.iter().any(|wanted| wanted.is(value)))
        }
        Condition::Not(parameter, any) => !holds(&Condition::Any(parameter, "", any.clone()), body, there),
        Condition::Missing(parameter, missing) => all_at(body, parameter.paths).is_empty() == *missing,
        Condition::Together(_, paths, code, amount) => all_at(body, paths).iter().any(|element| {
            let is = |wanted: &Wanted, path| at(element, path).iter().any(|value| wanted.is(value));
            is(code, "code") && is(amount, "valueQuantity")
        }),
        Condition::Ids(ids) => ids.iter().any(|id| body["id"] == id.as_str()),
        Condition::LastUpdated(prefix, wanted) => {
            let at = body["meta"]["lastUpdated"].as_str().unwrap();
            let at = [at, at].map(str::to_owned);
            lies(prefix, &[wanted.clone(), wanted.clone()], &at)
        }
        Condition::Chain(link, of) => there.of(link.to).any(|end| points(body, link, end) && holds(of, end, there)),
        Condition::Has(link, of) => there.of(link.of).any(|from| points(from, link, body) && holds(of, from, there)),
    }
}

fn points(from: &Value, link: &Link, to: &Value) -> bool {
    let name = format!("{}/{}", link.to, to["id"].as_str().unwrap());
    at(from, link.path).iter().any(|value| value["reference"] == name.as_str())
}

/// Of a type all that a search finds.
pub(super) fn found<'t>(there: &'t There, kind: &str, conditions: &[Condition]) -> Vec<&'t Value> {
    there.of(kind).filter(|body| conditions.iter().all(|condition| holds(condition, body, there))).collect()
}

/// What a resource is sorted by: of several values the one that comes first. What has none comes last.
pub(super) fn sort_key(parameter: &Parameter, body: &Value, descending: bool) -> Option<String> {
    if parameter.name == "priority" {
        // What is said of no urgency is done in its turn.
        let said = body["priority"].as_str().unwrap_or("routine");
        return ["stat", "asap", "urgent", "routine"].iter().position(|code| *code == said).map(|n| n.to_string());
    }
    // Numbers of one length, so that they compare as texts do.
    let number = |number: i64| format!("{:020}", i128::from(number) - i128::from(i64::MIN));
    let keys = all_at(body, parameter.paths).into_iter().flat_map(|value| match parameter.way {
        Way::Text => value.as_str().map(plain).into_iter().collect(),
        Way::Token => tokens(value).into_iter().map(|(_, code)| code).collect(),
        Way::Date => vec![span(value)[0].clone()],
        Way::Amount => value["value"].as_number().map(|it| number(scaled(it.as_str()))).into_iter().collect(),
        Way::Reference => Vec::new(),
    });
    if descending { keys.max() } else { keys.min() }
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

fn has_token(value: &Value, system: Option<&String>, code: Option<&String>) -> bool {
    let is = |of: &Option<&String>, it: &String| of.is_none_or(|of| of == it);
    tokens(value).iter().any(|(of, it)| is(&system, of) && is(&code, it))
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
