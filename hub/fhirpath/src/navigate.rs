//! From an element to those in it.

use serde_json::{Map, Value};

use crate::model::{Model, suffixed};
use crate::value::{Collection, Item, Node};

/// The elements of this name in a node: `value` finds `valueQuantity` too.
pub(crate) fn members<'a>(model: &dyn Model, node: Node<'a>, name: &str, into: &mut Collection<'a>) {
    let Some(object) = node.object().or(node.companion) else { return };
    if name == "resourceType" {
        return;
    }
    if let Some((key, value, kind)) = named(model, object, node.kind, name) {
        elements(object, key, value, kind, into);
    }
}

/// All elements of a node.
pub(crate) fn children<'a>(model: &dyn Model, node: Node<'a>, into: &mut Collection<'a>) {
    let Some(object) = node.object().or(node.companion) else { return };
    for key in object.keys() {
        let name = key.strip_prefix('_').unwrap_or(key);
        // What stands beside a primitive comes with it.
        let comes_with_it = name.len() < key.len() && object.contains_key(name);
        if key != "resourceType" && !comes_with_it {
            let kind = model.member(node.kind, name).map_or_else(|| guessed(model, name), |member| member.kind);
            elements(object, name, object.get(name), kind, into);
        }
    }
}

/// An element by its key, its value if it has one, and its type by that key.
type Found<'a> = (&'a str, Option<&'a Value>, &'a str);

fn named<'a>(model: &dyn Model, object: &'a Map<String, Value>, of: &str, name: &str) -> Option<Found<'a>> {
    if let Some((key, value)) = object.iter().find(|(key, _)| *key == name) {
        return match model.member(of, name) {
            // One of a choice is called by the choice's name only.
            Some(member) if member.choice().is_some() => None,
            Some(member) => Some((key, Some(value), member.kind)),
            None => Some((key, Some(value), guessed(model, name))),
        };
    }
    object.keys().find_map(|key| {
        let bare = key.strip_prefix('_').unwrap_or(key);
        let suffix = bare.strip_prefix(name)?;
        let kind = match model.member(of, bare) {
            Some(member) if suffix.is_empty() => member.choice().is_none().then_some(member.kind),
            Some(member) => (member.choice() == Some(name)).then_some(member.kind),
            None if suffix.is_empty() => Some(""),
            None if model.defines(of) => None,
            None => suffixed(model, suffix).filter(|_| suffix.starts_with(|c: char| c.is_ascii_uppercase())),
        };
        Some((bare, object.get(bare), kind?))
    })
}

/// The types of elements that every resource and data type has, for a type of which nothing is known.
fn guessed(model: &dyn Model, name: &str) -> &'static str {
    let member = model.member("DomainResource", name).or_else(|| model.member("Extension", name));
    member.map_or("", |member| member.kind)
}

/// The values under a key, each with what stands beside it.
pub(crate) fn elements<'a>(
    object: &'a Map<String, Value>,
    key: &str,
    value: Option<&'a Value>,
    kind: &'a str,
    into: &mut Collection<'a>,
) {
    let is_beside = |other: &str| other.as_bytes().first() == Some(&b'_') && other[1..] == *key;
    let beside = object.iter().find(|(other, _)| is_beside(other)).map(|(_, beside)| beside);
    let companion = |n: usize| match beside {
        Some(Value::Array(all)) => all.get(n)?.as_object(),
        Some(Value::Object(one)) if n == 0 => Some(one),
        _ => None,
    };
    let mut add = |value: Option<&'a Value>, companion: Option<&'a Map<String, Value>>| {
        let value = value.filter(|value| !value.is_null());
        if value.is_some() || companion.is_some() {
            into.push(Item::Node(Node::new(value, companion, kind)));
        }
    };
    match (value, beside) {
        (Some(Value::Array(all)), _) => all.iter().enumerate().for_each(|(n, value)| add(Some(value), companion(n))),
        (None, Some(Value::Array(all))) => (0..all.len()).for_each(|n| add(None, companion(n))),
        (value, _) => add(value, companion(0)),
    }
}
