//! Every Reference in a resource.

use super::DEEPEST;
use super::path::Path;
use super::tables::{R4, Rule, Shape, Type};
use serde_json::{Map, Value};

/// Shows every Reference of a resource and of the resources within it (contained, in a Bundle), with its place.
pub fn references(resource: &Map<String, Value>, visit: &mut dyn FnMut(&Path, &Map<String, Value>)) {
    look(kind_of(resource), resource, &Path::root(type_name(resource)), visit);
}

/// Hands out every Reference, to be rewritten (`urn:uuid:` in a transaction becomes the id that was given).
pub fn references_mut(resource: &mut Map<String, Value>, visit: &mut dyn FnMut(&Path, &mut Map<String, Value>)) {
    let name = type_name(resource).to_owned();
    rewrite(kind_of(resource), resource, &Path::root(&name), visit);
}

/// What an object is: by its table, or beyond our tables, by its looks.
#[derive(Clone, Copy)]
enum Of {
    Type(&'static Type),
    Anything,
}

fn type_name(map: &Map<String, Value>) -> &str {
    map.get("resourceType").and_then(Value::as_str).unwrap_or_default()
}

fn kind_of(resource: &Map<String, Value>) -> Of {
    R4.resource(type_name(resource)).map_or(Of::Anything, Of::Type)
}

fn is_reference(of: Of, map: &Map<String, Value>) -> bool {
    match of {
        Of::Type(of) => of.rule == Some(Rule::Reference),
        Of::Anything => map.get("reference").is_some_and(Value::is_string),
    }
}

/// What the objects are that stand under a key.
fn within(of: Of, key: &str, map: &Map<String, Value>) -> Of {
    match of {
        Of::Anything if map.contains_key("resourceType") => kind_of(map),
        Of::Anything => Of::Anything,
        // A companion, whatever element it belongs to.
        Of::Type(_) if key.starts_with('_') => R4.companion().map_or(Of::Anything, Of::Type),
        Of::Type(of) => match of.find(key).map(|place| place.shape) {
            Some(Shape::Object(id)) => Of::Type(R4.get(id)),
            Some(Shape::Resource) => kind_of(map),
            Some(Shape::Primitive(_)) | None => Of::Anything,
        },
    }
}

/// The same walk twice: for those who look, and for those who write.
macro_rules! walk {
    ($name:ident $(, $mut:tt)?) => {
        fn $name(
            of: Of,
            map: &$($mut)? Map<String, Value>,
            path: &Path,
            visit: &mut dyn FnMut(&Path, &$($mut)? Map<String, Value>),
        ) {
            if path.depth() >= DEEPEST {
                return;
            }
            if is_reference(of, map) {
                visit(path, map);
            }
            for (key, value) in map {
                let here = path.name(key);
                match value {
                    Value::Object(inner) => $name(within(of, key, inner), inner, &here, visit),
                    Value::Array(items) => {
                        for (index, item) in std::iter::zip(0.., items) {
                            if let Value::Object(inner) = item {
                                $name(within(of, key, inner), inner, &here.index(index), visit);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    };
}

walk!(look);
walk!(rewrite, mut);
