//! FHIRPath Patch: what is to be changed of a resource, told as a Parameters resource whose paths are expressions.
//!
//! Each operation is read and its path parsed before the first is applied. A path is asked of the resource as the
//! operations before have left it; where it leads is found by identity, since an expression gives the very elements that
//! are stored.

use schemas::gate::Limits;
use schemas::outcome::{Issue, IssueType};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::model::{Model, R4};
use crate::value::{Collection, Item, Node};
use crate::{Expression, Scope};

/// More operations than these are another resource.
const MOST_OPERATIONS: usize = 200;
/// Steps of all paths together.
const MOST_STEPS: usize = 400_000;

type Object = Map<String, Value>;

/// A patch that was read.
#[derive(Debug, Clone)]
pub struct Patch {
    operations: Vec<Operation>,
}

#[derive(Debug, Clone)]
struct Operation {
    /// Where it stands: `Parameters.parameter[2]`.
    place: String,
    path: Expression,
    deed: Deed,
}

#[derive(Debug, Clone)]
enum Deed {
    Add { name: String, value: Given },
    Insert { index: usize, value: Given },
    Replace { value: Given },
    Delete,
    Move { source: usize, destination: usize },
}

/// A value as a parameter gives it.
#[derive(Debug, Clone)]
enum Given {
    /// `valueHumanName`, what stands beside it if it is a primitive, and `HumanName`.
    Value {
        value: Value,
        companion: Option<Value>,
        suffix: String,
    },
    Resource(Value),
    /// An element without a type of its own, by its own elements.
    Parts(Vec<(String, Given)>),
}

/// One step on the way to an element.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

// ---- reading

impl Patch {
    /// Reads the patch; the fault of every operation at once.
    pub fn read(parameters: &Object) -> Result<Self, Vec<Issue>> {
        let all = parameters.get("parameter").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if all.len() > MOST_OPERATIONS {
            let text = format!("a patch has at most {MOST_OPERATIONS} operations");
            return Err(vec![Issue::error(IssueType::TooLong, "Parameters.parameter", text)]);
        }
        let (mut operations, mut faults) = (Vec::new(), Vec::new());
        for (n, parameter) in all.iter().enumerate() {
            match Operation::read(format!("Parameters.parameter[{n}]"), parameter) {
                Ok(operation) => operations.push(operation),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(Self { operations }) } else { Err(faults) }
    }

    /// The resource as the patch leaves it. The first operation that cannot be applied ends it.
    pub fn apply(&self, resource: &Object, now: OffsetDateTime) -> Result<Object, Issue> {
        let mut value = Value::Object(resource.clone());
        let steps = MOST_STEPS / self.operations.len().max(1);
        for operation in &self.operations {
            operation.apply(&mut value, steps, now)?;
        }
        if depth(&value) > Limits::default().depth {
            return Err(Issue::error(IssueType::TooCostly, "", "the patch nests elements deeper than a body may"));
        }
        match value {
            Value::Object(patched) => Ok(patched),
            // No operation leads to the resource itself.
            _ => Err(Issue::error(IssueType::Processing, "", "the patch leaves no resource")),
        }
    }
}

/// How many objects and lists stand in one another. Each operation adds less than a body's depth, so this ends soon.
fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(all) => all.iter().map(depth).max(),
        Value::Object(object) => object.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

/// The parts of an operation, each at most once.
struct Parts<'p> {
    place: &'p str,
    parts: &'p [Value],
}

const KNOWN: [&str; 7] = ["type", "path", "name", "value", "index", "source", "destination"];

impl<'p> Parts<'p> {
    fn fault<T>(&self, n: Option<usize>, code: IssueType, text: impl Into<String>) -> Result<T, Issue> {
        let place = n.map_or_else(|| self.place.to_owned(), |n| format!("{}.part[{n}]", self.place));
        Err(Issue::error(code, place, text))
    }

    fn find(&self, name: &str) -> Option<(usize, &'p Value)> {
        self.parts.iter().enumerate().find(|(_, part)| part["name"] == name)
    }

    fn needed(&self, name: &str) -> Result<(usize, &'p Value), Issue> {
        self.find(name).map_or_else(|| self.fault(None, IssueType::Required, format!("the part {name} is missing")), Ok)
    }

    fn text(&self, name: &str) -> Result<(usize, &'p str), Issue> {
        let (n, part) = self.needed(name)?;
        let text = ["valueString", "valueCode"].iter().find_map(|key| part[*key].as_str());
        text.map_or_else(
            || self.fault(Some(n), IssueType::Value, format!("{name} is a valueString")),
            |text| Ok((n, text)),
        )
    }

    fn number(&self, name: &str) -> Result<usize, Issue> {
        let (n, part) = self.needed(name)?;
        let number = part["valueInteger"].as_u64().and_then(|number| usize::try_from(number).ok());
        number
            .map_or_else(|| self.fault(Some(n), IssueType::Value, format!("{name} is a valueInteger of 0 or more")), Ok)
    }

    fn value(&self) -> Result<Given, Issue> {
        let (n, part) = self.needed("value")?;
        let given = part.as_object().and_then(Given::read);
        given
            .map_or_else(|| self.fault(Some(n), IssueType::Required, "a value has a value[x], a resource or parts"), Ok)
    }
}

impl Operation {
    fn read(place: String, parameter: &Value) -> Result<Self, Issue> {
        let all = parameter["part"].as_array().map_or(&[][..], Vec::as_slice);
        let parts = Parts { place: &place, parts: all };
        if parameter["name"] != "operation" {
            return parts.fault(None, IssueType::Value, "a parameter of a patch is called operation");
        }
        for (n, part) in all.iter().enumerate() {
            let name = part["name"].as_str().unwrap_or_default();
            if !KNOWN.contains(&name) {
                return parts.fault(Some(n), IssueType::Value, format!("a part is one of {}", KNOWN.join(", ")));
            }
            if parts.find(name).is_some_and(|(first, _)| first != n) {
                return parts.fault(Some(n), IssueType::Structure, format!("{name} is there twice"));
            }
        }
        let (at, kind) = parts.text("type")?;
        let deed = match kind {
            "add" => Deed::Add { name: parts.text("name")?.1.to_owned(), value: parts.value()? },
            "insert" => Deed::Insert { index: parts.number("index")?, value: parts.value()? },
            "replace" => Deed::Replace { value: parts.value()? },
            "delete" => Deed::Delete,
            "move" => Deed::Move { source: parts.number("source")?, destination: parts.number("destination")? },
            _ => return parts.fault(Some(at), IssueType::Value, "type is one of add, insert, delete, replace, move"),
        };
        let (at, path) = parts.text("path")?;
        let path = match Expression::parse(path) {
            Ok(path) => path,
            Err(fault) => return parts.fault(Some(at), IssueType::Value, format!("the path cannot be read: {fault}")),
        };
        Ok(Self { path, deed, place })
    }
}

impl Given {
    fn read(parameter: &Object) -> Option<Self> {
        if let Some(resource) = parameter.get("resource") {
            return Some(Self::Resource(resource.clone()));
        }
        if let Some(parts) = parameter.get("part").and_then(Value::as_array) {
            let part = |part: &Value| Some((part["name"].as_str()?.to_owned(), Self::read(part.as_object()?)?));
            return parts.iter().map(part).collect::<Option<_>>().map(Self::Parts);
        }
        let (key, value) = parameter.iter().find(|(key, _)| key.starts_with("value"))?;
        let companion = parameter.get(&format!("_{key}")).cloned();
        let suffix = key.strip_prefix("value")?.to_owned();
        Some(Self::Value { value: value.clone(), companion, suffix })
    }

    fn suffix(&self) -> &str {
        match self {
            Self::Value { suffix, .. } => suffix,
            Self::Resource(_) | Self::Parts(_) => "",
        }
    }

    /// As an element of this type has it: the value, and what stands beside it.
    fn built(&self, kind: &str) -> Result<(Value, Option<Value>), String> {
        match self {
            Self::Value { value, companion, .. } => Ok((value.clone(), companion.clone())),
            Self::Resource(resource) => Ok((resource.clone(), None)),
            Self::Parts(parts) => {
                let mut object = Object::new();
                for (name, given) in parts {
                    add(&mut object, kind, name, given)?;
                }
                Ok((Value::Object(object), None))
            }
        }
    }
}

// ---- applying

impl Operation {
    fn apply(&self, resource: &mut Value, steps: usize, now: OffsetDateTime) -> Result<(), Issue> {
        let done = match &self.deed {
            Deed::Add { name, value } => self.only(resource, steps, now).and_then(|place| {
                let kind = kind_at(resource, &place);
                let object = at_mut(resource, &place).and_then(Value::as_object_mut);
                let object = object.ok_or("the path leads to a primitive, which has no elements to add to")?;
                Ok(add(object, &kind, name, value)?)
            }),
            Deed::Insert { index, value } => self.list(resource, steps, now).and_then(|(place, name)| {
                let kind = kind_at(resource, &place);
                let member = R4.member(&kind, &name).filter(|member| member.many);
                let kind = member.ok_or_else(|| format!("{name} is no list"))?.kind;
                let (value, companion) = value.built(kind)?;
                let object = at_mut(resource, &place).and_then(Value::as_object_mut).ok_or("there is nothing")?;
                Ok(List::of(object, &name).insert(*index, value, companion)?)
            }),
            Deed::Move { source, destination } => self.list(resource, steps, now).and_then(|(place, name)| {
                let object = at_mut(resource, &place).and_then(Value::as_object_mut).ok_or("there is nothing")?;
                Ok(List::of(object, &name).shift(*source, *destination)?)
            }),
            Deed::Delete => self.found(resource, steps, now).and_then(|found| match &found[..] {
                [] => Ok(()),
                [place] => Ok(delete(resource, place)?),
                many => Err(format!("the path leads to {} elements, and only one is deleted", many.len()).into()),
            }),
            Deed::Replace { value } => {
                self.only(resource, steps, now).and_then(|place| Ok(replace(resource, &place, value)?))
            }
        };
        done.map_err(|no| {
            Issue::error(no.code, self.place.clone(), format!("the operation cannot be applied: {}", no.text))
        })
    }

    fn scope<'a>(steps: usize, now: OffsetDateTime) -> Scope<'a> {
        Scope { most_steps: steps, ..Scope::new(now) }
    }

    /// Where the path leads.
    fn found(&self, resource: &Value, steps: usize, now: OffsetDateTime) -> Result<Vec<Vec<Step>>, No> {
        let found = self.path.of(resource, &Self::scope(steps, now))?;
        places(resource, &found)
    }

    fn only(&self, resource: &Value, steps: usize, now: OffsetDateTime) -> Result<Vec<Step>, No> {
        single(self.found(resource, steps, now)?)
    }

    /// Where the list is that the path names by its last step, whether it has elements or not.
    fn list(&self, resource: &Value, steps: usize, now: OffsetDateTime) -> Result<(Vec<Step>, String), No> {
        let scope = Self::scope(steps, now);
        let last = self.path.of_last_step(resource, &scope);
        let (of, name) = last.ok_or("the path of a list ends with its name")??;
        Ok((single(places(resource, &of)?)?, name.to_owned()))
    }
}

/// Why an operation cannot be applied.
struct No {
    code: IssueType,
    text: String,
}

impl From<&str> for No {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for No {
    fn from(text: String) -> Self {
        Self { code: IssueType::Processing, text }
    }
}

impl From<crate::Fault> for No {
    fn from(fault: crate::Fault) -> Self {
        let costly = fault.kind == crate::FaultKind::TooCostly;
        let code = if costly { IssueType::TooCostly } else { IssueType::Processing };
        Self { code, text: fault.to_string() }
    }
}

fn single(mut places: Vec<Vec<Step>>) -> Result<Vec<Step>, No> {
    match places.len() {
        0 => Err("the path leads to nothing".into()),
        1 => Ok(places.remove(0)),
        many => Err(format!("the path leads to {many} elements").into()),
    }
}

fn places(resource: &Value, found: &Collection) -> Result<Vec<Vec<Step>>, No> {
    let place = |item: &Item| match item {
        Item::Node(node) => find(resource, node).map(|way| way.into_iter().rev().collect()),
        _ => None,
    };
    found.iter().map(|item| place(item).ok_or_else(|| "the path leads to no element of the resource".into())).collect()
}

/// The way to a very element, by where it is in memory; the last step first.
fn find(value: &Value, wanted: &Node) -> Option<Vec<Step>> {
    if wanted.value.is_some_and(|wanted| std::ptr::eq(wanted, value)) {
        return Some(Vec::new());
    }
    let after = |mut way: Vec<Step>, step: Step| {
        way.push(step);
        way
    };
    match value {
        Value::Array(all) => {
            all.iter().enumerate().find_map(|(n, inner)| Some(after(find(inner, wanted)?, Step::Index(n))))
        }
        Value::Object(object) => object.iter().find_map(|(key, inner)| {
            let within = find(inner, wanted).map(|way| after(way, Step::Key(key.clone())));
            within.or_else(|| beside(key, inner, wanted))
        }),
        _ => None,
    }
}

/// The way to a primitive that has no value, by what stands beside it.
fn beside(key: &str, inner: &Value, wanted: &Node) -> Option<Vec<Step>> {
    let bare = key.strip_prefix('_')?;
    let companion = wanted.companion.filter(|_| wanted.value.is_none())?;
    let is_it = |value: &Value| value.as_object().is_some_and(|object| std::ptr::eq(object, companion));
    let key = Step::Key(bare.to_owned());
    match inner {
        Value::Array(all) => all.iter().position(is_it).map(|n| vec![Step::Index(n), key]),
        one => is_it(one).then(|| vec![key]),
    }
}

fn at_mut<'v>(value: &'v mut Value, way: &[Step]) -> Option<&'v mut Value> {
    way.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(n) => value.get_mut(n),
    })
}

/// The type of the element at the end of a way.
fn kind_at(resource: &Value, way: &[Step]) -> String {
    let own = |value: Option<&Value>| value.and_then(|value| value.get("resourceType")?.as_str()).map(str::to_owned);
    let (mut value, mut kind) = (Some(resource), own(Some(resource)).unwrap_or_default());
    for step in way {
        value = match step {
            Step::Key(key) => {
                kind = R4.member(&kind, key).map_or("", |member| member.kind).to_owned();
                value.and_then(|value| value.get(key))
            }
            Step::Index(n) => value.and_then(|value| value.get(n)),
        };
        kind = own(value).unwrap_or(kind);
    }
    kind
}

/// Adds an element: to its list, or where none is yet.
fn add(object: &mut Object, of: &str, name: &str, given: &Given) -> Result<(), String> {
    let plain = R4.member(of, name).filter(|member| member.choice().is_none());
    let by_choice = format!("{name}{}", given.suffix());
    let choice = R4.member(of, &by_choice).filter(|member| member.choice() == Some(name));
    let (key, member) = match (plain, choice) {
        (Some(member), _) => (name, member),
        (None, Some(member)) => (by_choice.as_str(), member),
        (None, None) => return Err(format!("{of} has no element {name} that takes this value")),
    };
    let (value, companion) = given.built(member.kind)?;
    if member.many {
        let mut list = List::of(object, key);
        let end = list.len();
        return list.insert(end, value, companion);
    }
    let is_it = |known: &String| {
        let known = known.strip_prefix('_').unwrap_or(known);
        known == key
            || member.choice().is_some() && R4.member(of, known).is_some_and(|other| other.element == member.element)
    };
    if object.keys().any(is_it) {
        return Err(format!("{name} is there already, and is no list"));
    }
    object.insert(key.to_owned(), value);
    if let Some(companion) = companion {
        object.insert(format!("_{key}"), companion);
    }
    Ok(())
}

/// A list, and beside it what belongs to its primitives, place by place.
struct List<'o> {
    object: &'o mut Object,
    key: String,
    beside: String,
}

impl<'o> List<'o> {
    fn of(object: &'o mut Object, key: &str) -> Self {
        Self { object, key: key.to_owned(), beside: format!("_{key}") }
    }

    fn len(&self) -> usize {
        let many = |key: &str| self.object.get(key).and_then(Value::as_array).map_or(0, Vec::len);
        many(&self.key).max(many(&self.beside))
    }

    fn insert(&mut self, index: usize, value: Value, companion: Option<Value>) -> Result<(), String> {
        let len = self.len();
        if index > len {
            return Err(format!("the list has {len} elements, and there is no place {index} in it"));
        }
        self.each(companion.is_some(), |list, is_beside| {
            list.resize(len, Value::Null);
            list.insert(index, if is_beside { companion.clone().unwrap_or_default() } else { value.clone() });
        });
        Ok(())
    }

    fn shift(&mut self, source: usize, destination: usize) -> Result<(), String> {
        let len = self.len();
        if source.max(destination) >= len {
            return Err(format!(
                "the list has {len} elements, and there is no place {} in it",
                source.max(destination)
            ));
        }
        self.each(false, |list, _| {
            list.resize(len, Value::Null);
            let moved = list.remove(source);
            list.insert(destination, moved);
        });
        Ok(())
    }

    fn remove(&mut self, index: usize) {
        let len = self.len();
        self.each(false, |list, _| {
            list.resize(len, Value::Null);
            list.remove(index);
        });
    }

    fn set(&mut self, index: usize, value: Value, companion: Option<Value>) {
        let len = self.len();
        self.each(companion.is_some(), |list, is_beside| {
            list.resize(len, Value::Null);
            list[index] = if is_beside { companion.clone().unwrap_or_default() } else { value.clone() };
        });
    }

    /// The same with both lists; what holds nothing afterwards is dropped.
    fn each(&mut self, needs_beside: bool, deed: impl Fn(&mut Vec<Value>, bool)) {
        for (key, is_beside) in [(&self.key, false), (&self.beside, true)] {
            if is_beside && !needs_beside && !self.object.contains_key(key) {
                continue;
            }
            let list = self.object.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                deed(list, is_beside);
                let is_empty = list.iter().all(Value::is_null);
                if is_empty {
                    self.object.shift_remove(key);
                }
            }
        }
    }
}

/// Takes an element away, and whatever holds nothing then.
fn delete(resource: &mut Value, way: &[Step]) -> Result<(), String> {
    let (list, owner) = match way {
        [owner @ .., Step::Key(key), Step::Index(n)] => ((key, Some(*n)), owner),
        [owner @ .., Step::Key(key)] => ((key, None), owner),
        _ => return Err("a patch does not delete the resource: DELETE does".into()),
    };
    let object = at_mut(resource, owner).and_then(Value::as_object_mut).ok_or("there is nothing")?;
    match list {
        (key, Some(n)) => List::of(object, key).remove(n),
        (key, None) => {
            object.shift_remove(key);
            object.shift_remove(&format!("_{key}"));
        }
    }
    if object.is_empty() && !owner.is_empty() {
        return delete(resource, owner);
    }
    Ok(())
}

/// Puts a value in the place of another; of a choice, also one of another type.
fn replace(resource: &mut Value, way: &[Step], given: &Given) -> Result<(), String> {
    let (key, index, owner) = match way {
        [owner @ .., Step::Key(key), Step::Index(n)] => (key, Some(*n), owner),
        [owner @ .., Step::Key(key)] => (key, None, owner),
        _ => return Err("a patch does not replace the resource: PUT does".into()),
    };
    let kind = kind_at(resource, owner);
    let member = R4.member(&kind, key);
    let (value, companion) = given.built(member.map_or("", |member| member.kind))?;
    let object = at_mut(resource, owner).and_then(Value::as_object_mut).ok_or("there is nothing")?;
    if let Some(index) = index {
        List::of(object, key).set(index, value, companion);
        return Ok(());
    }
    let choice = member.and_then(|member| member.choice());
    let new_key = choice.map_or_else(|| key.clone(), |choice| format!("{choice}{}", given.suffix()));
    if new_key == *key {
        object.insert(new_key.clone(), value);
    } else {
        object.shift_remove(key);
        object.insert(new_key.clone(), value);
    }
    object.shift_remove(&format!("_{key}"));
    if let Some(companion) = companion {
        object.insert(format!("_{new_key}"), companion);
    }
    Ok(())
}
