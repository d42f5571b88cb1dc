//! What an expression gives: elements of a resource, and values of the language's own types.

use std::borrow::Cow;

use rust_decimal::Decimal;
use schemas::resource::member;
use serde_json::{Map, Value};

use crate::model;
use crate::moment::{Form, Moment};

/// One item of a collection.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<'a> {
    Boolean(bool),
    Integer(i64),
    Decimal(Decimal),
    String(Cow<'a, str>),
    Moment(Moment),
    Quantity(Quantity<'a>),
    /// What `type()` gives: a namespace and a name in it.
    Type(&'static str, Cow<'a, str>),
    Node(Node<'a>),
}

pub type Collection<'a> = Vec<Item<'a>>;

/// A number of something.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity<'a> {
    pub value: Decimal,
    /// A unit of UCUM, or a word of the calendar in the singular.
    pub unit: Cow<'a, str>,
}

/// An element of a resource, where it is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node<'a> {
    /// None for a primitive of which only extensions are told, and for a resource of which only the type is known.
    pub value: Option<&'a Value>,
    /// Id and extensions of a primitive, which JSON keeps beside it.
    pub companion: Option<&'a Map<String, Value>>,
    /// Its type in FHIR; empty where it is not known.
    pub kind: &'a str,
}

impl<'a> Node<'a> {
    /// A whole resource, of the type that it says itself.
    pub fn resource(value: &'a Value) -> Self {
        Self { value: Some(value), companion: None, kind: kind_of(value).unwrap_or_default() }
    }

    /// A whole resource that is held as its members.
    pub fn body(members: &'a Map<String, Value>) -> Self {
        let kind = member(members, "resourceType").and_then(Value::as_str);
        Self { value: None, companion: Some(members), kind: kind.unwrap_or_default() }
    }

    /// A resource of which nothing but its type is known.
    pub fn of_type(kind: &'a str) -> Self {
        Self { value: None, companion: None, kind }
    }

    /// An element, of the type that its definition gives it.
    pub(crate) fn new(value: Option<&'a Value>, companion: Option<&'a Map<String, Value>>, kind: &'a str) -> Self {
        // Only a resource says its type itself. Of what no definition is known, JSON says the least.
        let own = match (kind, value) {
            ("Resource" | "", Some(value @ Value::Object(_))) => kind_of(value).unwrap_or(kind),
            ("", Some(Value::String(_))) => "string",
            ("", Some(Value::Bool(_))) => "boolean",
            _ => kind,
        };
        Self { value, companion, kind: own }
    }

    pub(crate) fn object(&self) -> Option<&'a Map<String, Value>> {
        self.value?.as_object()
    }

    /// A member of its object, or of what stands beside a primitive.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        member(self.object().or(self.companion)?, name)
    }

    /// Whether a primitive has a value, and not only extensions.
    pub(crate) fn has_value(&self) -> bool {
        self.value.is_some_and(|value| !value.is_object() && !value.is_array() && !value.is_null())
    }
}

fn kind_of(value: &Value) -> Option<&str> {
    member(value.as_object()?, "resourceType")?.as_str()
}

impl<'a> Item<'a> {
    pub fn string(text: impl Into<Cow<'a, str>>) -> Self {
        Self::String(text.into())
    }

    /// The value of the language that an element stands for: none for a structure, and for a primitive without one.
    pub fn value(&self) -> Option<Item<'a>> {
        match self {
            Self::Node(node) => node_value(*node),
            Self::Type(..) => None,
            other => Some(other.clone()),
        }
    }

    /// Namespace and name of its type.
    pub fn kind(&self) -> (&'static str, Cow<'a, str>) {
        let system = match self {
            Self::Boolean(_) => "Boolean",
            Self::Integer(_) => "Integer",
            Self::Decimal(_) => "Decimal",
            Self::String(_) => "String",
            Self::Moment(moment) => form_name(moment.form()),
            Self::Quantity(_) => "Quantity",
            Self::Type(..) => "TypeInfo",
            Self::Node(node) => return (FHIR, node.kind.into()),
        };
        (SYSTEM, system.into())
    }

    /// How an error calls it: a type, never a value.
    pub(crate) fn noun(&self) -> String {
        match self.kind() {
            (_, name) if name.is_empty() => "an element".into(),
            (namespace, name) => format!("{namespace}.{name}"),
        }
    }
}

pub(crate) const SYSTEM: &str = "System";
pub(crate) const FHIR: &str = "FHIR";

fn form_name(form: Form) -> &'static str {
    match form {
        Form::Date => "Date",
        Form::DateTime => "DateTime",
        Form::Time => "Time",
    }
}

fn node_value(node: Node<'_>) -> Option<Item<'_>> {
    match node.value? {
        Value::Bool(value) => Some(Item::Boolean(*value)),
        Value::Number(number) => number_value(number.as_str(), node.kind),
        Value::String(text) => Some(text_value(text, node.kind)),
        Value::Object(object) if model::is_quantity(node.kind) => quantity_value(object),
        Value::Object(_) | Value::Array(_) | Value::Null => None,
    }
}

fn number_value(text: &str, kind: &str) -> Option<Item<'static>> {
    let is_whole = kind != "decimal" && !text.contains(['.', 'e', 'E']);
    let integer = text.parse().ok().filter(|_| is_whole).map(Item::Integer);
    integer.or_else(|| decimal(text).map(Item::Decimal))
}

/// Also `1.5e3`, which JSON may have.
pub fn decimal(text: &str) -> Option<Decimal> {
    let plain = Decimal::from_str_exact(text).ok();
    plain.or_else(|| Decimal::from_scientific(text).ok()).or_else(|| text.parse().ok())
}

fn text_value<'a>(text: &'a str, kind: &str) -> Item<'a> {
    let moment = match kind {
        "date" => Moment::date(text),
        "dateTime" | "instant" => Moment::date_time(text),
        "time" => Moment::time(text),
        _ => None,
    };
    moment.map_or(Item::String(text.into()), Item::Moment)
}

/// The code of its unit where that is told, else the unit as people read it. One with a comparator is not a number.
fn quantity_value(object: &Map<String, Value>) -> Option<Item<'_>> {
    if object.contains_key("comparator") {
        return None;
    }
    let value = decimal(object.get("value")?.as_number()?.as_str())?;
    let unit = object.get("code").or_else(|| object.get("unit")).and_then(Value::as_str);
    Some(Item::Quantity(Quantity { value, unit: unit.unwrap_or("1").into() }))
}

impl std::fmt::Display for Quantity<'_> {
    /// As a literal: `7 days`, `4 'mg'`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match crate::units::unit_of_word(&self.unit) {
            Some(_) if self.value == Decimal::ONE => write!(f, "{} {}", self.value, self.unit),
            Some(_) => write!(f, "{} {}s", self.value, self.unit),
            None => write!(f, "{} '{}'", self.value, self.unit),
        }
    }
}
