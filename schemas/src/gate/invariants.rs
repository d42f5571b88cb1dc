//! The rules that a table of elements cannot say. Few: those whose breach would mislead the hub.

use super::calendar;
use super::path::Path;
use super::structure::{Scope, Walk};
use super::tables::Rule;
use crate::outcome::IssueType::{Duplicate, Invariant, NotFound, Required, Structure};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::HashSet;

impl Walk<'_> {
    pub(super) fn hold(&mut self, rule: Rule, map: &Map<String, Value>, path: &Path, scope: Scope) {
        match rule {
            Rule::Extension => self.extension(map, path),
            Rule::Reference => self.reference(map, path, scope),
            Rule::Task => self.task(map, path),
        }
    }

    /// ext-1
    fn extension(&mut self, map: &Map<String, Value>, path: &Path) {
        let has_value = map.keys().any(|key| key.strip_prefix('_').unwrap_or(key).starts_with("value"));
        if has_value == map.contains_key("extension") {
            self.faults.add(Invariant, path, "an extension holds either a value or extensions");
        }
    }

    /// At least one of reference, identifier and display, unless an extension speaks for them.
    fn reference(&mut self, map: &Map<String, Value>, path: &Path, scope: Scope) {
        let says =
            |key: &String| matches!(key.trim_start_matches('_'), "reference" | "identifier" | "display" | "extension");
        if !map.keys().any(says) {
            self.faults.add(Invariant, path, "a reference needs a reference, an identifier or a display");
        }
        if let Some(Value::String(target)) = map.get("reference") {
            self.local_reference(target, &path.name("reference"), scope);
        }
    }

    /// ref-1: `#id` is in `contained`. `#` alone is the resource that contains.
    pub(super) fn local_reference(&mut self, target: &str, path: &Path, scope: Scope) {
        match target.strip_prefix('#') {
            Some(id) if !id.is_empty() && !scope.contained.contains(id) => {
                self.faults.add(NotFound, path, "no contained resource has this id");
            }
            _ => {}
        }
    }

    /// inv-1
    fn task(&mut self, map: &Map<String, Value>, path: &Path) {
        let text = |key| map.get(key).and_then(Value::as_str);
        if let (Some(authored), Some(modified)) = (text("authoredOn"), text("lastModified"))
            && calendar::order(modified, authored) == Some(Ordering::Less)
        {
            self.faults.add(Invariant, &path.name("lastModified"), "must not be before authoredOn");
        }
    }

    /// What a resource contains, by id; two of one id could not be told apart.
    pub(super) fn contained_ids<'v>(&mut self, resource: &'v Map<String, Value>, path: &Path) -> HashSet<&'v str> {
        let mut ids = HashSet::new();
        let path = path.name("contained");
        for (index, contained) in resource.get("contained").and_then(Value::as_array).into_iter().flatten().enumerate()
        {
            if let Some(id) = contained.get("id").and_then(Value::as_str)
                && !ids.insert(id)
            {
                self.faults.add(Duplicate, &path.index(index).name("id"), "another contained resource has this id");
            }
        }
        ids
    }

    /// A contained resource lives only where it is, so it needs an id to be spoken of, and contains no other.
    pub(super) fn contained(&mut self, resource: &Map<String, Value>, path: &Path, scope: Scope) {
        if !resource.contains_key("id") {
            self.faults.add(Required, &path.name("id"), "a contained resource needs an id");
        }
        if resource.contains_key("contained") {
            self.faults.add(Structure, &path.name("contained"), "a contained resource cannot contain another");
        }
        self.typed(resource, path, scope);
    }
}
