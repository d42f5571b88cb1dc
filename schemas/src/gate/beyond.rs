//! What stands where no table of ours reaches: only the rules of FHIR's JSON can be held.

use super::DEEPEST;
use super::path::{Path, is_element_name};
use super::primitive::has_control_character;
use super::structure::{Walk, has, twin};
use crate::outcome::IssueType::{Structure, Value as BadValue};
use serde_json::{Map, Value};

impl Walk<'_> {
    /// One member of an object.
    pub(super) fn anything(&mut self, key: &str, beside: &Map<String, Value>, path: &Path) {
        let here = path.name(key);
        match beside.get(key) {
            _ if !is_element_name(key) => self.faults.add(Structure, &here, "this is no name of an element"),
            Some(Value::Array(items)) => self.any_list(items, key, beside, &here),
            Some(value) => self.any_value(value, &here),
            None => {}
        }
    }

    fn any_list(&mut self, items: &[Value], key: &str, beside: &Map<String, Value>, path: &Path) {
        if items.is_empty() {
            return self.faults.add(Structure, path, "a list must not be empty: leave the element out");
        }
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::Null if has(twin(key, beside), index) => {}
                Value::Array(_) => self.faults.add(Structure, &path.index(index), "takes one value, not a list"),
                _ => self.any_value(item, &path.index(index)),
            }
        }
    }

    fn any_value(&mut self, value: &Value, path: &Path) {
        match value {
            _ if path.depth() >= DEEPEST => self.faults.add(Structure, path, "nested too deep"),
            Value::Null => self.faults.add(Structure, path, "null is not a value: leave the element out"),
            Value::String(text) if text.is_empty() || has_control_character(text) => {
                self.faults.add(BadValue, path, "must not be empty, and hold no control characters");
            }
            Value::Object(map) if map.is_empty() => self.faults.add(Structure, path, "an object must hold something"),
            Value::Object(map) => map.keys().for_each(|key| self.anything(key, map, path)),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
        }
    }
}
