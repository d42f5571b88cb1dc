//! Links that are no References: elements of the types uri, url, oid and uuid, and what narratives point to.

use super::DEEPEST;
use super::primitive::Primitive;
use super::tables::{R4, Shape, Type};
use serde_json::{Map, Value};

/// Replaces links throughout a resource, and the resources within it, where `replacement` has another one.
///
/// What a transaction may rewrite by the rules of FHIR R4, beside its References; a canonical stays as it is.
pub fn relink(resource: &mut Map<String, Value>, replacement: &dyn Fn(&str) -> Option<String>) {
    walk(type_of(resource), resource, replacement, 0);
}

fn type_of(resource: &Map<String, Value>) -> Option<&'static Type> {
    R4.resource(resource.get("resourceType").and_then(Value::as_str)?)
}

fn walk(
    of: Option<&'static Type>,
    map: &mut Map<String, Value>,
    replacement: &dyn Fn(&str) -> Option<String>,
    depth: usize,
) {
    let Some(of) = of.filter(|_| depth < DEEPEST) else { return };
    for (key, value) in map {
        let Some(place) = of.find(key) else { continue };
        let items = match value {
            Value::Array(items) => items.as_mut_slice(),
            one => std::slice::from_mut(one),
        };
        for item in items {
            match (place.shape, item) {
                (Shape::Primitive(kind), Value::String(text)) => replace(kind, text, replacement),
                (Shape::Object(id), Value::Object(inner)) => walk(Some(R4.get(id)), inner, replacement, depth + 1),
                (Shape::Resource, Value::Object(inner)) => walk(type_of(inner), inner, replacement, depth + 1),
                _ => {}
            }
        }
    }
}

fn replace(kind: Primitive, text: &mut String, replacement: &dyn Fn(&str) -> Option<String>) {
    match kind {
        Primitive::Uri | Primitive::Url | Primitive::Oid | Primitive::Uuid => {
            if let Some(other) = replacement(text) {
                *text = other;
            }
        }
        Primitive::Xhtml => *text = narrative(text, replacement),
        _ => {}
    }
}

/// The narrative with its `href` and `src` replaced.
fn narrative(text: &str, replacement: &dyn Fn(&str) -> Option<String>) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(equals) = rest.find('=') {
        let (before, after) = rest.split_at(equals + 1);
        written.push_str(before);
        rest = after;
        let name = before[..equals].trim_end();
        let points = ["href", "src"].iter().any(|attribute| name.ends_with(attribute));
        let spaces = after.len() - after.trim_start().len();
        let Some(quote) = after[spaces..].chars().next().filter(|c| points && matches!(c, '"' | '\'')) else {
            continue;
        };
        let begin = spaces + 1;
        let Some(length) = after[begin..].find(quote) else { continue };
        if let Some(other) = replacement(&after[begin..begin + length]) {
            written.push_str(&after[..begin]);
            written.push_str(&other);
            rest = &after[begin + length..];
        }
    }
    written.push_str(rest);
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn links_of_every_type_are_replaced_and_nothing_else() {
        let mut resource = json!({
            "resourceType": "DocumentReference",
            "text": { "div": "<div>urn:uuid:1 <a title='x' href = 'urn:uuid:1'>a</a><img src=\"urn:uuid:1\"/><a href=\"#b\"/></div>" },
            "identifier": [{ "system": "urn:ietf:rfc:3986", "value": "urn:uuid:1" }],
            "content": [{ "attachment": { "url": "urn:uuid:1" } }],
            "contained": [{ "resourceType": "Task", "instantiatesUri": "urn:uuid:1", "instantiatesCanonical": "urn:uuid:1" }],
        });
        let replacement = |link: &str| (link == "urn:uuid:1").then(|| "Binary/b".to_owned());
        relink(resource.as_object_mut().unwrap(), &replacement);
        let div = "<div>urn:uuid:1 <a title='x' href = 'Binary/b'>a</a><img src=\"Binary/b\"/><a href=\"#b\"/></div>";
        assert_eq!(resource["text"]["div"], div);
        assert_eq!(resource["identifier"][0]["value"], "urn:uuid:1");
        assert_eq!(resource["content"][0]["attachment"]["url"], "Binary/b");
        assert_eq!(resource["contained"][0]["instantiatesUri"], "Binary/b");
        assert_eq!(resource["contained"][0]["instantiatesCanonical"], "urn:uuid:1");
    }
}
