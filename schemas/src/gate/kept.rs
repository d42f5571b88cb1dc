//! What one release of FHIR has and another has no place for, kept as extensions: each is named by the element's type and
//! name, holds its value, or an extension for each part of it, and is read back by the tables of its own release.

use super::across::{Across, Way};
use super::tables::{Shape, Tables, Type};
use serde_json::{Map, Value};

const OF_R5: &str = "http://hl7.org/fhir/5.0/StructureDefinition/extension-";
const OF_R4: &str = "http://hl7.org/fhir/4.0/StructureDefinition/extension-";

/// The extension for an element of a type that is left behind on this way.
pub(super) fn url(way: Way, of: &Type, key: &str) -> String {
    url_of(way, of.name, key)
}

pub(super) fn url_of(way: Way, of: &str, key: &str) -> String {
    format!("{}{of}.{key}", if way == Way::Down { OF_R5 } else { OF_R4 })
}

/// The extensions of an object: those that were elements of the type that it becomes, and the others.
pub(super) struct Kept {
    pub(super) returned: Map<String, Value>,
    pub(super) others: Vec<Value>,
}

pub(super) fn split(across: &Across, to: &Type, object: &Map<String, Value>) -> Kept {
    let back = if across.way == Way::Down { Way::Up } else { Way::Down };
    let prefix = url(back, to, "");
    let all = object.get("extension").and_then(Value::as_array).into_iter().flatten();
    let (returned, others): (Vec<&Value>, Vec<&Value>) = all.partition(|extension| {
        let key = extension["url"].as_str().and_then(|url| url.strip_prefix(&prefix));
        key.is_some_and(|key| to.find(key).is_some())
    });
    let named = returned
        .into_iter()
        .filter_map(|extension| Some((extension["url"].as_str()?.strip_prefix(&prefix)?, extension.as_object()?)));
    Kept { returned: gather(across.way.to(), to, named), others: others.into_iter().cloned().collect() }
}

/// Takes the extension of this url out of an object.
pub(super) fn take(object: &mut Map<String, Value>, url: &str) -> Option<Value> {
    let all = object.get_mut("extension")?.as_array_mut()?;
    let found = all.iter().position(|extension| extension["url"] == url)?;
    let taken = all.remove(found);
    if all.is_empty() {
        object.shift_remove("extension");
    }
    Some(taken)
}

pub(super) fn add(object: &mut Map<String, Value>, extensions: Vec<Value>) {
    if extensions.is_empty() {
        return;
    }
    let mut all = object.get("extension").and_then(Value::as_array).cloned().unwrap_or_default();
    all.extend(extensions);
    object.insert("extension".into(), all.into());
}

impl Across<'_> {
    /// The extensions for an element: one for each of its values.
    pub(super) fn keep(
        &self,
        tables: &Tables,
        shape: Shape,
        url: &str,
        value: Option<&Value>,
        companion: Option<&Value>,
    ) -> Vec<Value> {
        let count = [value, companion].iter().flatten().filter_map(|one| one.as_array().map(Vec::len)).max();
        let at = |of: Option<&Value>, n: usize| match of {
            Some(Value::Array(items)) => items.get(n).filter(|item| !item.is_null()).cloned(),
            other => other.cloned(),
        };
        (0..count.unwrap_or(1)).map(|n| self.one(tables, shape, url, at(value, n), at(companion, n))).collect()
    }

    fn one(&self, tables: &Tables, shape: Shape, url: &str, value: Option<Value>, companion: Option<Value>) -> Value {
        let mut extension = Map::from_iter([("url".to_owned(), url.into())]);
        match (shape, value) {
            (Shape::Primitive(primitive), value) => {
                let key = value_key(primitive.name());
                let has = self.way.to().named("Extension").is_some_and(|extension| extension.find(&key).is_some());
                let key = if has { key } else { "valueString".to_owned() };
                companion.map(|companion| extension.insert(format!("_{key}"), companion));
                value.map(|value| extension.insert(key, value));
            }
            (Shape::Object(id), Some(Value::Object(object))) => {
                let of = tables.get(id);
                let one = Map::from_iter([(value_key(of.name), Value::Object(object.clone()))]);
                let whole = self.way.to().named("Extension");
                if !of.is_nested() && whole.is_some_and(|whole| self.fits(whole, &value_key(of.name), &one)) {
                    extension.extend(one);
                } else {
                    extension.insert("extension".into(), self.parts(tables, of, &object).into());
                }
            }
            _ => {}
        }
        extension.into()
    }

    fn parts(&self, tables: &Tables, of: &Type, object: &Map<String, Value>) -> Vec<Value> {
        let names = object.keys().map(|key| key.strip_prefix('_').unwrap_or(key));
        let mut seen = Vec::new();
        let mut parts = Vec::new();
        for name in names {
            if let Some(place) = of.find(name).filter(|_| !seen.contains(&name)) {
                let (value, companion) = (object.get(name), object.get(&format!("_{name}")));
                parts.extend(self.keep(tables, place.shape, name, value, companion));
                seen.push(name);
            }
        }
        parts
    }
}

/// `valueCodeableConcept`
fn value_key(of: &str) -> String {
    let (first, rest) = of.split_at(1);
    format!("value{}{rest}", first.to_ascii_uppercase())
}

/// The elements that these extensions, each by an element's name, were.
fn gather<'v>(
    tables: &Tables,
    of: &Type,
    extensions: impl Iterator<Item = (&'v str, &'v Map<String, Value>)>,
) -> Map<String, Value> {
    let mut made = Map::new();
    for (key, extension) in extensions {
        let Some(place) = of.find(key) else { continue };
        let many = of.element(place).many;
        let (value, companion) = read(tables, place.shape, extension);
        let companions = format!("_{key}");
        if !many {
            value.map(|value| made.insert(key.to_owned(), value));
            companion.map(|companion| made.insert(companions, companion));
            continue;
        }
        let before = made.get(key).and_then(Value::as_array).map_or(0, Vec::len);
        if companion.is_some() || made.contains_key(&companions) {
            let Value::Array(list) = made.entry(companions).or_insert_with(|| Value::Array(Vec::new())) else {
                continue;
            };
            list.resize(before, Value::Null);
            list.push(companion.unwrap_or_default());
        }
        if let Value::Array(list) = made.entry(key.to_owned()).or_insert_with(|| Value::Array(Vec::new())) {
            list.push(value.unwrap_or_default());
        }
    }
    made
}

/// The value that an extension holds, and what stands beside it.
fn read(tables: &Tables, shape: Shape, extension: &Map<String, Value>) -> (Option<Value>, Option<Value>) {
    let value = extension.iter().find(|(key, _)| key.starts_with("value")).map(|(_, value)| value.clone());
    let companion = extension.iter().find(|(key, _)| key.starts_with("_value")).map(|(_, value)| value.clone());
    if let (None, None, Shape::Object(id)) = (&value, &companion, shape) {
        let all = extension.get("extension").and_then(Value::as_array).into_iter().flatten();
        let parts = all.filter_map(|part| Some((part["url"].as_str()?, part.as_object()?)));
        return (Some(gather(tables, tables.get(id), parts).into()), None);
    }
    (value, companion)
}
