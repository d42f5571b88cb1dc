//! The walk: a resource held against its definition, from the outside in.

use super::DEEPEST;
use super::faults::Faults;
use super::path::Path;
use super::primitive::Primitive;
use super::release::stu3_profiles;
use super::tables::{Element, Kind, Place, Shape, Tables, Type};
use crate::outcome::Issue;
use crate::outcome::IssueType::{CodeInvalid, Invalid, NotSupported, Required, Structure};
use serde_json::{Map, Value};
use std::collections::HashSet;

pub(super) struct Walk<'t> {
    pub(super) tables: &'t Tables,
    pub(super) faults: Faults,
}

/// What is in reach of a local reference (`#id`).
#[derive(Clone, Copy)]
pub(super) struct Scope<'v> {
    pub(super) contained: &'v HashSet<&'v str>,
}

/// One element as it is given.
#[derive(Clone, Copy)]
struct Given<'v> {
    element: &'v Element,
    shape: Shape,
    key: &'v str,
    value: &'v Value,
    /// The object it was found in, where its companion is.
    beside: &'v Map<String, Value>,
}

impl<'t> Walk<'t> {
    pub(super) fn over(tables: &'t Tables) -> Self {
        Self { tables, faults: Faults::default() }
    }

    pub(super) fn verdict(self) -> Result<(), Vec<Issue>> {
        self.faults.verdict()
    }

    /// The resource that was sent.
    pub(super) fn root(&mut self, resource: &Map<String, Value>, expected: Option<&str>) {
        let name = resource.get("resourceType").and_then(Value::as_str).unwrap_or_default();
        let path = Path::root(if self.tables.is_resource_type(name) { name } else { "" });
        match expected {
            Some(expected) if self.tables.is_resource_type(name) && name != expected => {
                self.faults.add(Invalid, &path, format!("this is a {name}, but a {expected} belongs here"));
            }
            _ => self.resource(resource, &path),
        }
    }

    /// Whether a type takes an element as it stands here, with its companion.
    pub(super) fn takes(&mut self, of: &Type, key: &str, beside: &Map<String, Value>, scope: Scope) -> bool {
        let Some(place) = of.find(key) else { return false };
        let (path, element) = (Path::root(of.name), of.element(place));
        let given = |key, value| Given { element, shape: place.shape, key, value, beside };
        if let Some(value) = beside.get(key) {
            self.element(given(key, value), &path, scope);
        }
        let companion = format!("_{key}");
        if let Some(value) = beside.get(&companion) {
            self.companion(given(&companion, value), &path, scope);
        }
        self.faults.is_empty()
    }

    /// A resource that stands for itself: its local references lead into its own `contained`.
    fn resource(&mut self, resource: &Map<String, Value>, path: &Path) {
        let contained = self.contained_ids(resource, path);
        self.typed(resource, path, Scope { contained: &contained });
    }

    /// A resource by the type it names.
    pub(super) fn typed(&mut self, resource: &Map<String, Value>, path: &Path, scope: Scope) {
        let here = path.name("resourceType");
        let name = match resource.get("resourceType") {
            Some(Value::String(name)) => name,
            Some(_) => return self.faults.add(Structure, &here, "must be a string in quotes"),
            None => return self.faults.add(Required, &here, "this element is missing"),
        };
        for n in stu3_profiles(resource) {
            let text = format!("this profile is of FHIR STU3; this base speaks {}", self.tables.release());
            self.faults.add(NotSupported, &path.name("meta").name("profile").index(n), text);
        }
        if let Some(known) = self.tables.resource(name) {
            self.object(known, resource, path, scope);
        } else if let Some(any) = self.tables.any_resource().filter(|_| self.tables.is_resource_type(name)) {
            self.object(any, resource, path, scope);
        } else {
            let text = self.tables.former(name).unwrap_or_else(|| "FHIR has no resource of this type".to_owned());
            self.faults.add(NotSupported, &here, text);
        }
    }

    pub(super) fn object(&mut self, of: &Type, map: &Map<String, Value>, path: &Path, scope: Scope) {
        if !self.may_enter(map, path) {
            return;
        }
        let mut seen = 0_u128;
        let mut chosen: Vec<Place> = Vec::new();
        for (key, value) in map {
            let (name, companion) = key.strip_prefix('_').map_or((key.as_str(), false), |name| (name, true));
            let Some(place) = of.find(name) else {
                self.stranger(of, key, map, path);
                continue;
            };
            seen |= 1 << place.element;
            let element = of.element(place);
            if is_second_choice(element, place, &mut chosen) {
                let text = format!("only one type of {} may be given", element.name);
                self.faults.add(Structure, &path.name(key), text);
            }
            let given = Given { element, shape: place.shape, key, value, beside: map };
            if companion { self.companion(given, path, scope) } else { self.element(given, path, scope) }
        }
        self.missing(of, of.required & !seen, path);
        if let Some(rule) = of.rule {
            self.hold(rule, map, path, scope);
        }
    }

    /// Whether an object has anything to look at, and is not absurdly deep (a patch can build what no body may).
    fn may_enter(&mut self, map: &Map<String, Value>, path: &Path) -> bool {
        if path.depth() >= DEEPEST {
            self.faults.add(Structure, path, "nested too deep");
            return false;
        }
        let says_something = map.keys().any(|key| key != "id");
        if !says_something {
            self.faults.add(Structure, path, "must hold something, and an id alone says nothing");
        }
        says_something
    }

    fn missing(&mut self, of: &Type, mut missing: u128, path: &Path) {
        while missing != 0 {
            let element = &of.elements[missing.trailing_zeros() as usize];
            self.faults.add(Required, &path.name(element.stem().unwrap_or(element.name)), "this element is missing");
            missing &= missing - 1;
        }
    }

    /// A key that the type does not have.
    fn stranger(&mut self, of: &Type, key: &str, map: &Map<String, Value>, path: &Path) {
        if key == "resourceType" && of.is_resource() {
            return;
        }
        if of.kind == Kind::Abstract {
            return self.anything(key, map, path);
        }
        let here = path.name(key);
        let text = match of.choice_meant_by(key) {
            Some(choice) => format!("{} has {}, but not of this type", of.name, choice.name),
            None => format!("{} has no such element", of.name),
        };
        self.faults.add(Structure, &here, text);
    }

    fn element(&mut self, given: Given, path: &Path, scope: Scope) {
        let here = path.name(given.key);
        match (given.element.many, given.value) {
            (true, Value::Array(items)) => self.list(given, items, &here, scope),
            (true, Value::Null) | (false, _) => self.one(given, given.value, &here, scope),
            (true, _) => self.faults.add(Structure, &here, "must be a list, in [ ]"),
        }
    }

    fn list(&mut self, given: Given, items: &[Value], path: &Path, scope: Scope) {
        if items.is_empty() {
            return self.faults.add(Structure, path, "a list must not be empty: leave the element out");
        }
        for (index, item) in items.iter().enumerate() {
            if !(item.is_null() && matches!(given.shape, Shape::Primitive(_)) && given.twin_has(index)) {
                self.one(given, item, &path.index(index), scope);
            }
        }
    }

    /// One value of an element.
    fn one(&mut self, given: Given, value: &Value, path: &Path, scope: Scope) {
        match (given.shape, value) {
            (_, Value::Null) => self.faults.add(Structure, path, "null is not a value: leave the element out"),
            (_, Value::Array(_)) => self.faults.add(Structure, path, "takes one value, not a list"),
            (Shape::Primitive(primitive), _) => self.primitive(given, primitive, value, path, scope),
            (Shape::Object(id), Value::Object(map)) => self.object(self.tables.get(id), map, path, scope),
            (Shape::Resource, Value::Object(map)) if given.key == "contained" => self.contained(map, path, scope),
            (Shape::Resource, Value::Object(map)) => self.resource(map, path),
            _ => self.faults.add(Structure, path, "must be an object, in { }"),
        }
    }

    fn primitive(&mut self, given: Given, primitive: Primitive, value: &Value, path: &Path, scope: Scope) {
        if let Some((code, rule)) = primitive.flaw(value) {
            return self.faults.add(code, path, rule);
        }
        let text = value.as_str().unwrap_or_default();
        if primitive == Primitive::Canonical {
            self.local_reference(text, path, scope);
        }
        if let Some(closed) = self.tables.closed_set(given.element).filter(|closed| !closed.has(text)) {
            self.faults.add(CodeInvalid, path, format!("must be one of the codes {}", closed.in_words()));
        }
    }

    /// `_birthDate`: what a primitive element carries beside its value.
    fn companion(&mut self, given: Given, path: &Path, scope: Scope) {
        let here = path.name(given.key);
        if !matches!(given.shape, Shape::Primitive(_)) {
            return self.faults.add(Structure, &here, "only a primitive element has a companion");
        }
        match (given.element.many, given.value) {
            (false, Value::Object(map)) => self.beside_value(map, given.twin().is_some(), &here, scope),
            (false, _) => self.faults.add(Structure, &here, "must be an object, in { }"),
            (true, Value::Array(items)) if !items.is_empty() => self.companions(given, items, &here, scope),
            (true, _) => self.faults.add(Structure, &here, "must be a list with something in it"),
        }
    }

    fn companions(&mut self, given: Given, items: &[Value], path: &Path, scope: Scope) {
        if matches!(given.twin(), Some(Value::Array(values)) if values.len() != items.len()) {
            self.faults.add(Structure, path, "must be as long as the list of values: fill up with null");
        }
        for (index, item) in items.iter().enumerate() {
            let here = path.index(index);
            match item {
                Value::Object(map) => self.beside_value(map, given.twin_has(index), &here, scope),
                Value::Null if given.twin_has(index) => {}
                Value::Null => self.faults.add(Structure, &here, "null, and no value at the same place"),
                _ => self.faults.add(Structure, &here, "must be an object or null"),
            }
        }
    }

    /// A companion's content. An id alone says nothing, unless there is a value that it marks.
    fn beside_value(&mut self, map: &Map<String, Value>, has_value: bool, path: &Path, scope: Scope) {
        match (map.get("id"), self.tables.companion()) {
            (Some(id), _) if has_value && map.len() == 1 => {
                if let Some((code, rule)) = Primitive::String.flaw(id) {
                    self.faults.add(code, &path.name("id"), rule);
                }
            }
            (_, Some(companion)) => self.object(companion, map, path, scope),
            (_, None) => {}
        }
    }
}

impl<'v> Given<'v> {
    fn twin(&self) -> Option<&'v Value> {
        twin(self.key, self.beside)
    }

    fn twin_has(&self, index: usize) -> bool {
        has(self.twin(), index)
    }
}

/// Whether a choice was given before with another type. Its own companion (`valueDate`, `_valueDate`) has the same.
fn is_second_choice(element: &Element, place: Place, chosen: &mut Vec<Place>) -> bool {
    if element.stem().is_none() {
        return false;
    }
    let first = chosen.iter().find(|first| first.element == place.element).copied();
    if first.is_none() {
        chosen.push(place);
    }
    first.is_some_and(|first| first.shape != place.shape)
}

/// The companion of a value, the value of a companion.
pub(super) fn twin<'v>(key: &str, beside: &'v Map<String, Value>) -> Option<&'v Value> {
    match key.strip_prefix('_') {
        Some(name) => beside.get(name),
        None => beside.get(&format!("_{key}")),
    }
}

/// Whether the twin of a list has something at this place.
pub(super) fn has(twin: Option<&Value>, index: usize) -> bool {
    twin.and_then(|twin| twin.get(index)).is_some_and(|item| !item.is_null())
}
