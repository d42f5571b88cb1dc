//! A resource of one release of FHIR in the shape of another: R5's RequestOrchestration is R4's RequestGroup.
//!
//! The tables of both releases say what an element is in each. What is the same in both goes over as it is; what is
//! named or built otherwise, by the few rows and rules below; what the other release has no place for, as an extension
//! whose url is made of the element's name, and it comes back from there. Nothing is lost either way.

use super::kept::{self, Kept};
use super::structure::{Scope, Walk};
use super::tables::{Place, R4, R5, Shape, Tables, Type};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Types that R5 and R4 call by different names.
const TYPES: [(&str, &str); 1] = [("RequestOrchestration", "RequestGroup")];

/// Elements that they do: of which type of R5, its name there, and in R4.
const ELEMENTS: [(&str, &str, &str); 2] = [
    ("RequestOrchestration.action", "linkId", "id"),
    ("RequestOrchestration.action.relatedAction", "targetId", "actionId"),
];

/// Codes that only R5 has (or R6), and which of R4's comes closest: the value set, R5's and R4's.
const CODES: [(&str, &str, &str); 4] = [
    ("medicationrequest-status", "ended", "stopped"),
    ("request-intent", "offer-response", "proposal"),
    ("request-intent", "solicit-offer", "proposal"),
    ("request-status", "ended", "revoked"),
];

/// Which way a resource goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From R5 to R4.
    Down,
    /// From R4 to R5.
    Up,
}

/// A resource of R5 in R4's shape. It is of R5's, which [`super::check_r5`] says.
pub fn to_r4(resource: &Map<String, Value>) -> Map<String, Value> {
    let mut down = across(Way::Down, resource);
    super::references_mut(&mut down, &mut |_, reference| rename(Way::Down, reference));
    down
}

/// A resource of R4 in R5's shape.
pub fn to_r5(resource: &Map<String, Value>) -> Map<String, Value> {
    let mut renamed = resource.clone();
    super::references_mut(&mut renamed, &mut |_, reference| rename(Way::Up, reference));
    across(Way::Up, &renamed)
}

/// A value of one of R5's data types in R4's shape: what that has no place for is an extension of it.
pub fn value_to_r4(of: &str, value: &Value) -> Value {
    match (value.as_object(), R5.named(of).zip(R4.named(of))) {
        (Some(value), Some((from, to))) => {
            Across { way: Way::Down, contained: HashSet::new() }.object(from, to, value).into()
        }
        _ => value.clone(),
    }
}

fn across(way: Way, resource: &Map<String, Value>) -> Map<String, Value> {
    let contained = resource.get("contained").and_then(Value::as_array).into_iter().flatten();
    let contained = contained.filter_map(|inner| inner["id"].as_str()).collect();
    Across { way, contained }.resource(resource)
}

/// A reference to a resource here that has another name there.
fn rename(way: Way, reference: &mut Map<String, Value>) {
    let Some(text) = reference.get("reference").and_then(Value::as_str) else { return };
    if let Some((kind, id)) = text.split_once('/')
        && way.of_type(kind) != kind
    {
        let renamed = format!("{}/{id}", way.of_type(kind));
        reference.insert("reference".into(), renamed.into());
    }
}

impl Way {
    pub(super) fn from(self) -> &'static Tables {
        if self == Self::Down { &R5 } else { &R4 }
    }

    pub(super) fn to(self) -> &'static Tables {
        if self == Self::Down { &R4 } else { &R5 }
    }

    /// The name of a type, or of what is nested in one, on the other side.
    fn of_type(self, name: &str) -> String {
        for (r5, r4) in TYPES {
            let (here, there) = if self == Self::Down { (r5, r4) } else { (r4, r5) };
            if let Some(rest) = name.strip_prefix(here).filter(|rest| rest.is_empty() || rest.starts_with('.')) {
                return format!("{there}{rest}");
            }
        }
        name.to_owned()
    }

    /// The name of an element on the other side.
    fn of_element<'k>(self, of: &str, key: &'k str) -> &'k str {
        let r5 = if self == Self::Down { of.to_owned() } else { self.of_type(of) };
        let row = ELEMENTS
            .iter()
            .find(|(named, in_r5, in_r4)| *named == r5 && key == if self == Self::Down { *in_r5 } else { *in_r4 });
        row.map_or(key, |(_, in_r5, in_r4)| if self == Self::Down { in_r4 } else { in_r5 })
    }
}

pub(super) struct Across<'v> {
    pub(super) way: Way,
    contained: HashSet<&'v str>,
}

/// One element as it is given, with what stands beside its value.
#[derive(Clone, Copy)]
struct Given<'v> {
    key: &'v str,
    place: Place,
    value: Option<&'v Value>,
    companion: Option<&'v Value>,
}

impl Across<'_> {
    fn resource(&self, resource: &Map<String, Value>) -> Map<String, Value> {
        let name = resource.get("resourceType").and_then(Value::as_str).unwrap_or_default();
        let there = self.way.of_type(name);
        match self.way.from().resource(name).zip(self.way.to().resource(&there)) {
            Some((from, to)) => self.object(from, to, resource),
            // Of what our tables do not know in both releases nothing can be said.
            None => resource.clone(),
        }
    }

    fn object(&self, from: &Type, to: &Type, object: &Map<String, Value>) -> Map<String, Value> {
        let Kept { returned, mut others } = kept::split(self, to, object);
        let mut made = Map::new();
        for (key, value) in object {
            let name = key.strip_prefix('_').unwrap_or(key);
            // A companion goes with its value.
            if key == "extension" || (name != key && object.contains_key(name)) {
                continue;
            }
            let Some(place) = from.find(name) else {
                let value = if key == "resourceType" { to.name.into() } else { value.clone() };
                made.insert(key.clone(), value);
                continue;
            };
            let link = object.get("linkId").filter(|_| name == "id" && self.way == Way::Down);
            if link.is_some_and(|link| link == value) {
                continue;
            }
            let companion = object.get(&format!("_{name}"));
            let given = Given { key: name, place, value: Some(value).filter(|_| key == name), companion };
            if link.is_some() || !self.element(from, to, given, &mut made) {
                let url = kept::url(self.way, from, name);
                others.extend(self.keep(self.way.from(), place.shape, &url, given.value, companion));
            }
        }
        self.name_action(to, &mut made);
        made.extend(returned);
        if !others.is_empty() {
            made.insert("extension".into(), others.into());
        }
        made
    }

    /// In R5 an action has both names, as it may be related to by either.
    fn name_action(&self, to: &Type, made: &mut Map<String, Value>) {
        if self.way == Way::Up
            && to.name == ELEMENTS[0].0
            && let Some(id) = made.get("linkId").cloned()
        {
            made.insert("id".into(), id);
        }
    }

    /// False when the other release has no place for it.
    fn element(&self, from: &Type, to: &Type, given: Given, made: &mut Map<String, Value>) -> bool {
        let key = self.way.of_element(from.name, given.key);
        let Some(there) = to.find(key) else { return self.as_reason(to, given, made) };
        let (here, tables) = (given.place.shape, (self.way.from(), self.way.to()));
        let nested = |value: &Value| match (here, there.shape) {
            (Shape::Resource, Shape::Resource) => each(value, &|object| self.resource(object)),
            (Shape::Object(a), Shape::Object(b)) if tables.0.get(a).is_nested() && tables.1.get(b).is_nested() => {
                each(value, &|object| self.object(tables.0.get(a), tables.1.get(b), object))
            }
            (Shape::Object(a), Shape::Object(b)) if is_participant(tables.0.get(a), tables.1.get(b)) => {
                each(value, &|object| self.participant(tables.0.get(a), tables.1.get(b), object))
            }
            _ => None,
        };
        if let Some(value) = given.value.and_then(nested) {
            made.insert(key.to_owned(), value);
            return true;
        }
        if self.is_coded_reference(here, tables.0) || self.is_coded_reference(there.shape, tables.1) {
            return self.as_reason(to, given, made);
        }
        self.as_it_is(from, to, given, key, made)
    }

    fn as_it_is(&self, from: &Type, to: &Type, given: Given, key: &str, made: &mut Map<String, Value>) -> bool {
        let mut beside = Map::new();
        if let Some(value) = given.value {
            let many = to.find(key).is_some_and(|there| to.element(there).many);
            beside.insert(key.to_owned(), counted(value, many));
        }
        if let Some(companion) = given.companion {
            beside.insert(format!("_{key}"), companion.clone());
        }
        self.recode(from, given, key, &mut beside);
        let fits = self.fits(to, key, &beside);
        if fits {
            made.extend(beside);
        }
        fits
    }

    /// A code that R4 has not is R4's next one, with the code itself beside it.
    fn recode(&self, from: &Type, given: Given, key: &str, beside: &mut Map<String, Value>) {
        let Some(code) = given.value.and_then(Value::as_str) else { return };
        let set = from.element(given.place).set();
        let rows = || CODES.iter().filter(|(named, ..)| set == Some(*named));
        let companion = format!("_{key}");
        match self.way {
            Way::Down => {
                if let Some((_, _, r4)) = rows().find(|(_, r5, _)| *r5 == code) {
                    let mut said = given.companion.and_then(Value::as_object).cloned().unwrap_or_default();
                    let kept = self.keep(
                        self.way.from(),
                        given.place.shape,
                        &kept::url(self.way, from, key),
                        given.value,
                        None,
                    );
                    kept::add(&mut said, kept);
                    beside.insert(key.to_owned(), (*r4).into());
                    beside.insert(companion, said.into());
                }
            }
            Way::Up => {
                let Some(Value::Object(said)) = beside.get_mut(&companion) else { return };
                let r5 = Way::Up.of_type(from.name);
                let code = code.to_owned();
                // It counts only as long as R4's own still is the next one.
                let kept = kept::take(said, &kept::url_of(Way::Down, &r5, key));
                let only = said.is_empty();
                let said = kept.as_ref().and_then(|kept| kept["valueCode"].as_str());
                if let Some((_, r5, _)) = rows().find(|(_, r5, r4)| *r4 == code && said == Some(*r5)) {
                    beside.insert(key.to_owned(), (*r5).into());
                }
                if only {
                    beside.shift_remove(&companion);
                }
            }
        }
    }

    pub(super) fn fits(&self, to: &Type, key: &str, beside: &Map<String, Value>) -> bool {
        let mut walk = Walk::over(self.way.to());
        walk.takes(to, key, beside, Scope { contained: &self.contained })
    }

    fn is_coded_reference(&self, shape: Shape, tables: &Tables) -> bool {
        matches!(shape, Shape::Object(id) if tables.get(id).name == "CodeableReference")
    }

    /// R5's CodeableReference is in R4 a choice, or an element for codes and another for references.
    fn as_reason(&self, to: &Type, given: Given, made: &mut Map<String, Value>) -> bool {
        match (self.way, given.value, given.companion) {
            (Way::Down, Some(value), None) => self.apart(to, given, value, made),
            (Way::Up, Some(value), None) => self.together(to, given, value, made),
            _ => false,
        }
    }

    fn apart(&self, to: &Type, given: Given, value: &Value, made: &mut Map<String, Value>) -> bool {
        if !self.is_coded_reference(given.place.shape, self.way.from()) {
            return false;
        }
        let parts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let of = |name: &str| -> Vec<Value> {
            parts.iter().filter(|part| is_only(part, name)).map(|part| part[name].clone()).collect()
        };
        let (concepts, references) = (of("concept"), of("reference"));
        // Codes come first when they are put together again, and what has both, or more, is neither.
        let in_order = parts.iter().take(concepts.len()).all(|part| is_only(part, "concept"));
        if !in_order || concepts.len() + references.len() != parts.len() {
            return false;
        }
        let mut beside = Vec::new();
        for (values, names) in
            [(concepts, ["CodeableConcept", "Code", ""]), (references, ["Reference", "Reference", ""])]
        {
            if values.is_empty() {
                continue;
            }
            let found = names.iter().find_map(|suffix| {
                let key = format!("{}{suffix}", given.key);
                let many = to.element(to.find(&key)?).many;
                let value = counted(&Value::Array(values.clone()), many);
                let one = Map::from_iter([(key.clone(), value)]);
                self.fits(to, &key, &one).then_some(one)
            });
            let Some(found) = found else { return false };
            beside.extend(found);
        }
        made.extend(beside);
        true
    }

    fn together(&self, to: &Type, given: Given, value: &Value, made: &mut Map<String, Value>) -> bool {
        let is_reference =
            matches!(given.place.shape, Shape::Object(id) if self.way.from().get(id).name == "Reference");
        let member = if is_reference { "reference" } else { "concept" };
        let stems = ["", "CodeableConcept", "Code", "Reference"].iter().filter_map(|end| given.key.strip_suffix(end));
        let there = stems.filter_map(|stem| Some((stem, to.find(stem)?)));
        let Some((key, there)) =
            there.into_iter().find(|(_, there)| self.is_coded_reference(there.shape, self.way.to()))
        else {
            return false;
        };
        let parts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let wrapped = parts.iter().map(|part| Value::Object(Map::from_iter([(member.to_owned(), part.clone())])));
        let before = made.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let (before, wrapped) = (before.into_iter(), wrapped.collect::<Vec<_>>().into_iter());
        let all: Vec<Value> =
            if is_reference { before.chain(wrapped).collect() } else { wrapped.chain(before).collect() };
        made.insert(key.to_owned(), counted(&Value::Array(all), to.element(there).many));
        true
    }

    /// Whom R4 only refers to has a type and a role in R5.
    fn participant(&self, from: &Type, to: &Type, object: &Map<String, Value>) -> Map<String, Value> {
        let mut made = Map::new();
        match self.way {
            Way::Down => {
                let actor = object.get(ACTOR).and_then(Value::as_object);
                made.extend(actor.cloned().unwrap_or_default());
                let mut said = Vec::new();
                for (key, value) in object.iter().filter(|(key, _)| *key != ACTOR) {
                    if let Some(place) = from.find(key) {
                        let url = kept::url(self.way, from, key);
                        said.extend(self.keep(self.way.from(), place.shape, &url, Some(value), None));
                    }
                }
                kept::add(&mut made, said);
            }
            Way::Up => {
                let Kept { returned, others } = kept::split(self, to, object);
                let mut actor = object.clone();
                actor.shift_remove("extension");
                kept::add(&mut actor, others);
                if !actor.is_empty() {
                    made.insert(ACTOR.to_owned(), actor.into());
                }
                made.extend(returned);
            }
        }
        made
    }
}

const ACTOR: &str = "actorReference";

fn is_participant(from: &Type, to: &Type) -> bool {
    let pair = [(from, to), (to, from)];
    pair.iter().any(|(one, other)| one.is_nested() && one.find(ACTOR).is_some() && other.name == "Reference")
}

fn is_only(part: &Value, name: &str) -> bool {
    part.as_object().is_some_and(|part| part.len() == 1 && part.contains_key(name))
}

type Change<'c> = &'c dyn Fn(&Map<String, Value>) -> Map<String, Value>;

/// Each object of an element's value changed; None where they are not objects.
fn each(value: &Value, change: Change) -> Option<Value> {
    match value {
        Value::Object(object) => Some(change(object).into()),
        Value::Array(items) => {
            items.iter().map(|item| item.as_object().map(|item| Value::Object(change(item)))).collect()
        }
        _ => None,
    }
}

/// A value as a list, or a list of one as that one.
fn counted(value: &Value, many: bool) -> Value {
    match value {
        Value::Array(items) if !many && items.len() == 1 => items[0].clone(),
        Value::Array(_) => value.clone(),
        _ if many => Value::Array(vec![value.clone()]),
        _ => value.clone(),
    }
}

/// Where faults are told, a place of one release by its name in the other.
pub fn path_in_r5(path: &str) -> String {
    let (kind, rest) = path.split_at(path.find('.').unwrap_or(path.len()));
    format!("{}{rest}", Way::Up.of_type(kind))
}
