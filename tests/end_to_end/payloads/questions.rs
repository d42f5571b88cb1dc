//! Questions made of what a resource says.

use hub_domain::query::{Amount, IndexValue, Param, ParamType, codes_called, composed};
use schemas::resource::Resource;
use schemas::time::Timestamp;
use serde_json::Value;

/// What every resource is found by, which has no index rows.
pub(super) fn of_head(body: &Value) -> [(&'static str, String); 2] {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    [
        ("_id", format!("_id={}", text(&body["id"]))),
        ("_lastUpdated", format!("_lastUpdated={}", text(&body["meta"]["lastUpdated"]))),
    ]
}

/// The year 10,000.
const END_OF_THE_CALENDAR: Timestamp = Timestamp(253_402_300_800_000_000);

fn escaped(text: &str) -> String {
    ['\\', '|', ',', '$'].iter().fold(text.to_owned(), |text, sign| text.replace(*sign, &format!("\\{sign}")))
}

fn token(system: Option<&str>, code: &str) -> String {
    format!("{}|{}", system.map_or(String::new(), escaped), escaped(code))
}

fn asked(param: &Param, modifier: &str, value: &str) -> String {
    let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    format!("{}{modifier}={value}", param.name)
}

/// A number of a unit, or of what is called so, as it stands.
fn amounts(amount: &Amount) -> Vec<String> {
    let Some(value) = amount.low.or(amount.high) else { return Vec::new() };
    let named = |name: &String| format!("{value}||{}", escaped(name));
    match (&amount.unit.system, &amount.unit.code, &amount.unit.name) {
        (Some(system), Some(code), _) => {
            vec![format!("{value}|{}|{}", escaped(system), escaped(code)), value.to_string()]
        }
        (_, code, name) => code.iter().chain(name).map(named).chain([value.to_string()]).collect(),
    }
}

/// What a value is as a part of a composite.
fn part(value: &IndexValue) -> String {
    match value {
        IndexValue::Token { system: Some(system), code } => token(Some(system), code),
        IndexValue::Token { code, .. } => escaped(code),
        IndexValue::Reference(to) => escaped(to),
        IndexValue::Text(text) => escaped(text),
        IndexValue::ReferenceIdentifier { value, .. } => escaped(value),
        IndexValue::Date { low, .. } => format!("ge{low}"),
        IndexValue::Amount(amount) => amounts(amount).swap_remove(0),
    }
}

/// The ways to ask for what is no value of its own: parts that belong together, and what is written beside a code.
pub(super) fn questions_of_all(param: &Param, stored: &Resource) -> Vec<String> {
    let together = |parts: Vec<Vec<IndexValue>>| {
        let parts = parts.iter().map(|values| values.first().map(part)).collect::<Option<Vec<_>>>()?;
        Some(asked(param, "", &parts.join("$")))
    };
    match param.kind {
        ParamType::Composite => composed(param, &stored.body).into_iter().filter_map(together).collect(),
        ParamType::Token => {
            codes_called(param, &stored.body).iter().map(|text| asked(param, ":text", &escaped(text))).collect()
        }
        _ => Vec::new(),
    }
}

/// The ways to ask for a value, as a query has them.
pub(super) fn questions(param: &Param, value: &IndexValue) -> Vec<String> {
    let asked = |modifier: &str, value: String| asked(param, modifier, &value);
    match value {
        IndexValue::Text(text) => {
            let beginning: String = text.chars().take(5).collect();
            // From its middle on, where only `:contains` looks.
            let rest: String = text.chars().skip(3).collect();
            let mut questions = vec![
                asked("", escaped(text)),
                asked("", escaped(&beginning.to_uppercase())),
                asked(":exact", escaped(text)),
            ];
            questions.extend((!rest.is_empty()).then(|| asked(":contains", escaped(&rest))));
            questions
        }
        IndexValue::Amount(amount) if amount.low == amount.high => {
            let exactly = amounts(amount);
            let as_much =
                ["", "ge", "le", "ap"].into_iter().flat_map(|prefix| exactly.iter().map(move |it| (prefix, it)));
            as_much.map(|(prefix, amount)| asked("", format!("{prefix}{amount}"))).collect()
        }
        IndexValue::Amount(amount) => amounts(amount).into_iter().map(|it| asked("", format!("ap{it}"))).collect(),
        IndexValue::Token { code, .. } if param.kind == ParamType::Uri => vec![asked("", escaped(code))],
        IndexValue::Token { system, code } => {
            vec![asked("", escaped(code)), asked("", token(*system, code)), asked(":missing", "false".into())]
        }
        IndexValue::Reference(to) => vec![asked("", escaped(to)), asked(":missing", "false".into())],
        IndexValue::ReferenceIdentifier { system, value } => vec![asked(":identifier", token(*system, value))],
        IndexValue::Date { low, high } => {
            let prefixed = |prefix: &str, at: &Timestamp| asked("", format!("{prefix}{at}"));
            let mut questions = vec![prefixed("ge", low), prefixed("le", high)];
            // A Period without an end goes on to the end of the calendar: nothing is later.
            let later = Timestamp(high.0 + 1_000_000);
            questions.extend((later < END_OF_THE_CALENDAR).then(|| prefixed("lt", &later)));
            questions
        }
    }
}
