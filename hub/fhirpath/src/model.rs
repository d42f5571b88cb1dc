//! What a release of FHIR says about types: which elements they have, and what is a kind of what.

use schemas::gate::{self, Member};

/// The definitions of a release, as far as expressions ask for them.
pub trait Model: Sync {
    /// The element that a key of a JSON object of this type stands for: `valueQuantity` of `Observation` for `value[x]`.
    fn member(&self, of: &str, key: &str) -> Option<Member>;
    /// Whether the elements of this type are known: one of which nothing is known may have any.
    fn defines(&self, name: &str) -> bool;
    /// Whether there is such a type of resource.
    fn is_resource(&self, name: &str) -> bool;
}

/// FHIR R4, by the tables of the gate. Of a type that they lack an element is taken for what its JSON looks like.
#[derive(Debug, Clone, Copy, Default)]
pub struct R4;

impl Model for R4 {
    fn member(&self, of: &str, key: &str) -> Option<Member> {
        gate::member(of, key)
    }

    fn defines(&self, name: &str) -> bool {
        gate::defines(name)
    }

    fn is_resource(&self, name: &str) -> bool {
        gate::is_resource_type(name)
    }
}

/// The primitive types, and what each is a kind of.
const PRIMITIVES: [(&str, &str); 20] = [
    ("base64Binary", "Element"),
    ("boolean", "Element"),
    ("canonical", "uri"),
    ("code", "string"),
    ("date", "Element"),
    ("dateTime", "Element"),
    ("decimal", "Element"),
    ("id", "string"),
    ("instant", "Element"),
    ("integer", "Element"),
    ("markdown", "string"),
    ("oid", "uri"),
    ("positiveInt", "integer"),
    ("string", "Element"),
    ("time", "Element"),
    ("unsignedInt", "integer"),
    ("uri", "Element"),
    ("url", "uri"),
    ("uuid", "uri"),
    ("xhtml", "Element"),
];

/// Quantities with a meaning of their own.
const QUANTITIES: [&str; 6] = ["Age", "Count", "Distance", "Duration", "MoneyQuantity", "SimpleQuantity"];

/// Those that are made for machines only.
const PLAIN_RESOURCES: [&str; 3] = ["Binary", "Bundle", "Parameters"];

/// `string` of the key `valueString` after its choice's name, `Quantity` of `valueQuantity`.
pub(crate) fn suffixed<'k>(model: &dyn Model, suffix: &'k str) -> Option<&'k str> {
    // They differ in the case of the first letter only.
    let is_it = |name: &str| name.eq_ignore_ascii_case(suffix) && name.get(1..) == suffix.get(1..);
    let primitive = PRIMITIVES.iter().find(|(name, _)| is_it(name));
    primitive.map(|(name, _)| *name).or_else(|| is_type(model, suffix).then_some(suffix))
}

pub(crate) fn is_primitive(name: &str) -> bool {
    PRIMITIVES.iter().any(|(known, _)| *known == name)
}

pub(crate) fn is_quantity(name: &str) -> bool {
    name == "Quantity" || QUANTITIES.contains(&name)
}

/// Whether FHIR has a type of this name.
pub(crate) fn is_type(model: &dyn Model, name: &str) -> bool {
    is_primitive(name) || is_quantity(name) || model.defines(name) || model.is_resource(name)
}

/// Whether everything of the type `name` is one of `wanted`.
pub(crate) fn is_kind_of(model: &dyn Model, name: &str, wanted: &str) -> bool {
    let mut kind = name;
    loop {
        if kind == wanted {
            return true;
        }
        kind = match base(model, kind) {
            Some(base) => base,
            None => return false,
        };
    }
}

fn base(model: &dyn Model, name: &str) -> Option<&'static str> {
    if let Some((_, base)) = PRIMITIVES.iter().find(|(known, _)| *known == name) {
        return Some(base);
    }
    match name {
        "Element" | "Resource" | "" => None,
        "BackboneElement" => Some("Element"),
        "DomainResource" => Some("Resource"),
        _ if PLAIN_RESOURCES.contains(&name) => Some("Resource"),
        _ if QUANTITIES.contains(&name) => Some("Quantity"),
        _ if model.is_resource(name) => Some("DomainResource"),
        // Nested in a resource; what is nested in a data type has no modifiers.
        _ if name.split_once('.').is_some_and(|(of, _)| model.is_resource(of)) => Some("BackboneElement"),
        _ => Some("Element"),
    }
}
