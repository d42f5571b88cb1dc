//! The values by which a resource is found, extracted by the published expressions.

use std::borrow::Cow;

use hub_fhirpath::Item;
use schemas::ids::Target;
use schemas::resource::{Body, Kind, Resource, member};
use schemas::time::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::TypedIdentifier;
use super::amount::{Amount, amount};
use super::params::{Param, ParamType, concerned, params};
use super::text::{beside_code, texts};

/// One value by which a resource is found, as it stands in that.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IndexValue<'a> {
    Token {
        system: Option<&'a str>,
        code: &'a str,
    },
    /// `Type/id`, or the URL as it stands.
    Reference(&'a str),
    /// The identifier of a logical reference: found by `:identifier`.
    ReferenceIdentifier {
        system: Option<&'a str>,
        value: &'a str,
    },
    Date {
        low: Timestamp,
        high: Timestamp,
    },
    /// As it stands; or as it was made of what stands there.
    Text(Cow<'a, str>),
    Amount(Amount),
}

/// What a registry keeps of a value to find it by: as short as any other, and not that of the same value of another
/// element. `element` is its path, with `:identifier` behind it for a logical reference. It is stored, so it stays.
///
/// The first four bytes are its place in an index: what is asked for together lies together there.
pub fn digest(kind: Kind, element: [&str; 2], value: &str) -> Uuid {
    // Of one piece where that is short, which it nearly always is.
    let (mut whole, mut length) = ([0; 192], 0);
    let parts = [kind.name(), ".", element[0], element[1], "=", value].map(str::as_bytes);
    let sum = if parts.iter().map(|part| part.len()).sum::<usize>() <= whole.len() {
        for part in parts {
            whole[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        }
        Sha256::digest(&whole[..length])
    } else {
        parts.iter().fold(Sha256::new(), |sum, part| sum.chain_update(part)).finalize()
    };
    let mut digest = [0; 16];
    digest.copy_from_slice(&sum[..16]);
    digest[..4].copy_from_slice(&place(value));
    Uuid::from_bytes(digest)
}

/// Of what stands behind the last slash: a reference and the identifier that is its id lie side by side, whatever element
/// says them. Three bytes are of all but the last two, which neighbours of a sequence share, as numbers of orders and
/// encounters often are given; the fourth is of those too.
fn place(value: &str) -> [u8; 4] {
    let last = value.rsplit_once('/').map_or(value, |(_, last)| last).as_bytes();
    let (stem, tail) = last.split_at(last.len().saturating_sub(2));
    let stem = spread(0x811c_9dc5, stem);
    let whole = spread(stem, tail);
    let ([first, second, third, _], [.., fourth]) = (stem.to_be_bytes(), whole.to_be_bytes());
    [first, second, third, fourth]
}

/// FNV-1a of 32 bits: only to spread values evenly.
fn spread(hash: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Every value by which `resource` is found, with its parameter. A resource is found once by a value, however often it
/// carries it.
pub fn index(resource: &Resource) -> Vec<(&'static Param, IndexValue<'_>)> {
    index_by(resource, params(resource.key.kind))
}

/// The same, by some parameters of its type.
pub fn index_by(
    resource: &Resource,
    params: impl IntoIterator<Item = &'static Param>,
) -> Vec<(&'static Param, IndexValue<'_>)> {
    let mut rows = Vec::new();
    let is_concerned = concerned(resource);
    // A composite is found by the values of its parts, which are parameters too.
    for param in params.into_iter().filter(|param| is_concerned(param) && param.kind != ParamType::Composite) {
        let from = rows.len();
        extract(param, &param.found(&resource.body), &mut |value| {
            if !rows[from..].iter().any(|(_, known)| *known == value) {
                rows.push((param, value));
            }
        });
    }
    rows
}

/// The values of one parameter.
pub fn values<'a>(param: &'a Param, body: &'a Body) -> Vec<IndexValue<'a>> {
    let mut values = Vec::new();
    extract(param, &param.found(body), &mut |value| values.push(value));
    values
}

/// The values of a composite: of each element that it is about, those of each of its parts.
pub fn composed<'a>(param: &'a Param, body: &'a Body) -> Vec<Vec<Vec<IndexValue<'a>>>> {
    let values = |(param, items): (&'static Param, Vec<Item<'a>>)| {
        let mut values = Vec::new();
        extract(param, &items, &mut |value| values.push(value));
        values
    };
    param.composed(body).map(|parts| param.parts().zip(parts).map(values).collect()).collect()
}

/// What is written beside the codes of a token: found by `:text`.
pub fn codes_called<'a>(param: &'a Param, body: &'a Body) -> Vec<&'a str> {
    let mut called = Vec::new();
    param.found(body).iter().for_each(|item| beside_code(item, &mut |text| called.push(text)));
    called
}

/// The identifiers of a token, each with its kind: found by `:of-type`.
pub fn typed(param: &Param, body: &Body) -> Vec<TypedIdentifier> {
    let mut identifiers = Vec::new();
    for item in param.found(body) {
        let Some((Value::Object(identifier), "Identifier")) = stored(&item) else { continue };
        let codings = identifier.get("type").and_then(|kind| kind.get("coding")).and_then(Value::as_array);
        for coding in codings.into_iter().flatten().filter_map(Value::as_object) {
            let of = |object, name| text(object, name).unwrap_or_default().to_owned();
            let (system, code, value) = (of(coding, "system"), of(coding, "code"), of(identifier, "value"));
            identifiers.push(TypedIdentifier { system, code, value });
        }
    }
    identifiers
}

fn extract<'a>(param: &Param, items: &[Item<'a>], push: &mut impl FnMut(IndexValue<'a>)) {
    for item in items {
        match param.kind {
            ParamType::Token => tokens(item, push),
            ParamType::Reference => references(param, item, push),
            ParamType::Uri => uris(item, push),
            ParamType::Date => range(item).into_iter().for_each(|(low, high)| push(IndexValue::Date { low, high })),
            ParamType::String => texts(item, &mut |text| push(IndexValue::Text(text))),
            ParamType::Number | ParamType::Quantity => {
                amount(item).map(IndexValue::Amount).into_iter().for_each(&mut *push)
            }
            ParamType::Composite => {}
        }
    }
}

/// What is stored of an item, whatever its type.
fn stored<'a>(item: &Item<'a>) -> Option<(&'a Value, &'a str)> {
    match item {
        Item::Node(node) => Some((node.value?, node.kind)),
        _ => None,
    }
}

/// A code, a Boolean, an Identifier, a Coding, a CodeableConcept or a ContactPoint as tokens.
fn tokens<'a>(item: &Item<'a>, push: &mut impl FnMut(IndexValue<'a>)) {
    let plain = |code| IndexValue::Token { system: None, code };
    let truth = |value| plain(if value { "true" } else { "false" });
    let Some((value, kind)) = stored(item) else {
        if let Item::Boolean(value) = item {
            push(truth(*value));
        }
        return;
    };
    match value {
        Value::String(code) => push(plain(code)),
        Value::Bool(value) => push(truth(*value)),
        Value::Object(object) => match member(object, "coding").and_then(Value::as_array) {
            Some(codings) => codings.iter().filter_map(Value::as_object).filter_map(token).for_each(push),
            // Its system is the kind of device, and nobody's code system: FHIR searches by how it is used.
            None if kind == "ContactPoint" => {
                if let Some(code) = text(object, "value") {
                    push(IndexValue::Token { system: text(object, "use"), code });
                }
            }
            None => token(object).into_iter().for_each(push),
        },
        _ => {}
    }
}

/// A Coding or an Identifier.
fn token(object: &Map<String, Value>) -> Option<IndexValue<'_>> {
    let code = text(object, "code").or_else(|| text(object, "value"))?;
    Some(IndexValue::Token { system: text(object, "system"), code })
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    member(object, name).and_then(Value::as_str)
}

/// A URI; the canonical URL of a definition with its version and without.
fn uris<'a>(item: &Item<'a>, push: &mut impl FnMut(IndexValue<'a>)) {
    let Some((Value::String(uri), kind)) = stored(item) else { return };
    let bare = uri.split_once('|').filter(|_| kind == "canonical").map(|(bare, _)| bare);
    for code in bare.into_iter().chain([uri.as_str()]) {
        push(IndexValue::Token { system: None, code });
    }
}

/// A Reference, or the canonical URL of a definition, with its version and without.
fn references<'a>(param: &Param, item: &Item<'a>, push: &mut impl FnMut(IndexValue<'a>)) {
    let Some((value, _)) = stored(item) else { return };
    // Nobody can ask for what is contained.
    if let Some(url) = value.as_str().filter(|url| !url.starts_with('#')) {
        push(IndexValue::Reference(url));
        if let Some((bare, _)) = url.split_once('|') {
            push(IndexValue::Reference(bare));
        }
    }
    let Some(reference) = value.as_object() else { return };
    if let Some(to) = text(reference, "reference") {
        match Target::parse(to) {
            Target::Relative { kind, id, .. } if param.only.is_none_or(|only| only == kind) => {
                // Without the version.
                push(IndexValue::Reference(&to[..kind.len() + 1 + id.len()]));
            }
            Target::Absolute(url) => push(IndexValue::Reference(url)),
            _ => {}
        }
    }
    let named_type = text(reference, "type");
    if let Some(identifier) = member(reference, "identifier").and_then(Value::as_object)
        && let Some(value) = text(identifier, "value")
        && param.only.is_none_or(|only| named_type.is_none_or(|kind| kind == only))
    {
        push(IndexValue::ReferenceIdentifier { system: text(identifier, "system"), value });
    }
}

/// Where a Period has no start or no end.
const FIRST: Timestamp = Timestamp(-62_135_596_800_000_000);
const LAST: Timestamp = Timestamp(253_402_300_799_999_999);

/// The first and the last instant that a date, a Period or a Timing may mean.
fn range(item: &Item) -> Option<(Timestamp, Timestamp)> {
    let (value, kind) = stored(item)?;
    let of = |value: &Value| value.as_str().and_then(Timestamp::range);
    match (value, kind) {
        (Value::String(_), _) => of(value),
        (Value::Object(period), "Period") => period_range(period),
        (Value::Object(timing), "Timing") => {
            let events = timing.get("event").and_then(Value::as_array).into_iter().flatten().filter_map(of);
            let events = events.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
            let bounds = || timing.get("repeat")?.get("boundsPeriod")?.as_object();
            events.or_else(|| period_range(bounds()?))
        }
        _ => None,
    }
}

fn period_range(period: &Map<String, Value>) -> Option<(Timestamp, Timestamp)> {
    let end = |name: &str| text(period, name).and_then(Timestamp::range);
    match (end("start"), end("end")) {
        (None, None) => None,
        (start, last) => {
            let (low, high) = (start.map_or(FIRST, |start| start.0), last.map_or(LAST, |last| last.1));
            // One that ends before it begins means all between.
            Some((low.min(high), low.max(high)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_lies_with_its_identifier_and_a_number_with_its_neighbours() {
        assert_eq!(place("Patient/9449304130"), place("9449304130"));
        assert_eq!(place("urn:a/b/9449304130"), place("9449304130"));
        assert_eq!(place("L-000017")[..3], place("L-000018")[..3]);
        assert_ne!(place("L-000017"), place("L-000018"));
        assert_ne!(place("L-000017")[..3], place("L-000117")[..3]);
        // Which may be as short as they like, or cut within a letter.
        assert_eq!(place("")[..3], place("ö")[..3]);
        assert_ne!(place("€"), place("ö"));
    }

    #[test]
    fn what_elements_say_of_one_value_lies_together_and_is_not_the_same() {
        let (subject, identifier) = (["for", ""], ["for", ":identifier"]);
        let of = |element| digest(Kind::TASK, element, "Patient/9449304130");
        assert_eq!(of(subject).as_bytes()[..4], place("9449304130"));
        assert_eq!(of(subject).as_bytes()[..4], of(identifier).as_bytes()[..4]);
        assert_ne!(of(subject), of(identifier));
    }
}
