//! A search: `Type?name=value&name=value`.
//!
//! Of reading a query the domain has the table of parameters, the dates and the references; the commas, prefixes and
//! escapes are HTTP's and live with the interface, which this package does not know. What can be held here is that both
//! sides of a row agree: a resource that carries a value is found by that value.

use hub_domain::query::{
    Amount, AmountMatch, IndexValue, Param, ParamType, Prefix, Unit, UnitMatch, find, index, params,
};
use schemas::ids::Target;
use schemas::resource::{Body, Key, Kind, Resource};
use schemas::time::Timestamp;
use serde_json::{Value, json};

/// Looks each parameter up, reads its value, and asks for it of a resource that carries it.
pub fn play(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (kind, query) = text.split_once('?').unwrap_or(("Task", &text));
    let kind = Kind::parse(kind).unwrap_or(Kind::TASK);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let plain = name.split(':').next().unwrap_or_default();
        // A name that nobody knows stands for one that its length chooses.
        let known = params(kind).count().max(1);
        let param = find(kind, plain).or_else(|| params(kind).nth(plain.len() % known));
        if let Some(param) = param {
            is_found(kind, param, &value);
        }
    }
}

fn is_found(kind: Kind, param: &Param, value: &str) {
    let (element, wanted) = match param.kind {
        ParamType::Token => token(value),
        ParamType::Reference => (json!({ "reference": value }), reference(param, value)),
        ParamType::Date => (value.into(), date(value)),
        ParamType::Uri => (value.into(), Some(IndexValue::Token { system: None, code: value })),
        ParamType::String => (value.into(), Some(IndexValue::Text(value.into()))),
        ParamType::Number | ParamType::Quantity => return number(value),
        // Found by the values of its parts.
        ParamType::Composite => return,
    };
    // Of one element only, whose name is its path.
    if param.is_range || param.element.contains(|c: char| !c.is_ascii_alphanumeric() && c != '.') {
        return;
    }
    let resource = Resource::new(Key::new(kind, "1"), 1, Timestamp(0), carrying(kind, param.element, element));
    let rows = index(&resource);
    let found = rows.iter().filter(|(row, _)| *row == param).map(|(_, value)| value);
    assert_eq!(found.collect::<Vec<_>>(), wanted.iter().collect::<Vec<_>>(), "{} of a {kind}", param.name);
}

/// A body with this value at a dotted path.
fn carrying(kind: Kind, path: &str, value: Value) -> Body {
    let (mut names, mut body) = (path.rsplit('.'), Body::new());
    if let Some(last) = names.next() {
        body.insert(last.to_owned(), value);
    }
    let mut body = names.fold(body, |inner, name| Body::from_iter([(name.to_owned(), Value::Object(inner))]));
    body.insert("resourceType".into(), kind.name().into());
    body
}

fn token(value: &str) -> (Value, Option<IndexValue<'_>>) {
    let (system, code) = value.split_once('|').map_or((None, value), |(system, code)| (Some(system), code));
    let element = match system {
        Some(system) => json!({ "coding": [{ "system": system, "code": code }, { "system": system, "code": code }] }),
        None => code.into(),
    };
    (element, Some(IndexValue::Token { system, code }))
}

fn reference<'v>(param: &Param, value: &'v str) -> Option<IndexValue<'v>> {
    match Target::parse(value) {
        Target::Relative { kind, id, .. } => {
            // A key reads what a reference writes. A version stands behind that.
            let (key, plain) = (Key::of_reference(value), format!("{kind}/{id}"));
            assert!(value.starts_with(&plain), "{value:?}");
            let found = IndexValue::Reference(&value[..plain.len()]);
            assert_eq!(key.map(|key| key.to_string()), Kind::parse(kind).map(|_| plain));
            param.only.is_none_or(|only| only == kind).then_some(found)
        }
        Target::Absolute(url) => Some(IndexValue::Reference(url)),
        Target::Contained(_) | Target::Urn(_) | Target::Other(_) => None,
    }
}

/// A number that is asked for finds itself.
fn number(value: &str) {
    let (prefix, number) = Prefix::split(value);
    let Some(wanted) = AmountMatch::read(prefix, number, UnitMatch::Any) else { return };
    assert!(wanted.low <= wanted.value && wanted.value <= wanted.high, "{value:?}");
    let itself = Amount { low: Some(wanted.value), high: Some(wanted.value), unit: Unit::default() };
    let is_other = matches!(prefix, Prefix::Ne | Prefix::Gt | Prefix::Lt | Prefix::Sa | Prefix::Eb);
    // One of so many digits that its last one counts nothing means itself alone, to before which there is nothing.
    assert!(wanted.holds(&itself) != is_other || wanted.low == wanted.high, "{value:?}");
}

/// The range of a date: what it means begins before it ends, and its first instant lies in it when written out.
fn date(value: &str) -> Option<IndexValue<'static>> {
    let (low, high) = Timestamp::range(value)?;
    assert!(low <= high, "{value:?} ends before it begins");
    assert!(value.bytes().next().is_some_and(|first| first.is_ascii_digit()), "{value:?} is no date");
    if low.0 >= 0 {
        let again = Timestamp::range(&low.to_string());
        assert!(again.is_some_and(|(again, _)| again <= low && low.0 - again.0 < 1000), "{value:?} moves in writing");
    }
    Some(IndexValue::Date { low, high })
}
