//! A patch is applied to a copy. A JSON Patch goes no further than can be afforded: a few bytes that copy what was copied
//! would grow to any size, and what is moved into itself by turns would nest to any depth. A FHIRPath Patch copies
//! nothing, and its paths have their own limits. A Merge Patch makes no more of a resource than both are together.

use json_patch::{PatchErrorKind, PatchOperation};
use schemas::gate::Limits;
use schemas::outcome::IssueType;
use schemas::resource::Body;
use schemas::time::Timestamp;
use serde_json::Value;

use crate::command::Patch;
use crate::refusal::{Refusal, RefusalKind};

/// What the copies and moves of one patch may carry, all together.
const CARRIED_LIMIT_BYTES: usize = 1 << 20;
/// Counted for each value beside its text.
const VALUE_BYTES: usize = 8;

/// The body as the patch leaves it.
pub(super) fn apply(before: &Body, patch: &Patch, now: Timestamp) -> Result<Body, Refusal> {
    match patch {
        Patch::Json(patch) => apply_json(before, patch),
        Patch::FhirPath(patch) => {
            patch.apply(before, now.date_time()).map_err(|issue| Refusal::new(RefusalKind::Unprocessable, vec![issue]))
        }
        Patch::Merge(patch) => {
            let mut body = before.clone();
            merge(&mut body, patch);
            Ok(body)
        }
    }
}

/// What is null goes, objects are merged, anything else (a list too) is replaced.
fn merge(into: &mut Body, patch: &Body) {
    for (name, value) in patch {
        match value {
            Value::Null => drop(into.shift_remove(name)),
            Value::Object(inner) => {
                let place = into.entry(name.as_str()).or_insert(Value::Null);
                if !place.is_object() {
                    *place = Value::Object(Body::new());
                }
                if let Value::Object(place) = place {
                    merge(place, inner);
                }
            }
            _ => drop(into.insert(name.clone(), value.clone())),
        }
    }
}

/// Operations are applied one by one and never undone: when one fails, the copy is dropped.
fn apply_json(before: &Body, patch: &json_patch::Patch) -> Result<Body, Refusal> {
    let mut value = Value::Object(before.clone());
    let mut carried = Allowance { bytes: CARRIED_LIMIT_BYTES };
    for (number, operation) in patch.iter().enumerate() {
        if !carried.covers(operation, &value) {
            let text = format!("operation {number} of the patch copies or moves too much, or nests too deep");
            return Err(Refusal::one(RefusalKind::Unprocessable, IssueType::TooCostly, "", text));
        }
        let applied = json_patch::patch_unsafe(&mut value, std::slice::from_ref(operation));
        applied.map_err(|error| refused(number, operation, &error.kind))?;
    }
    match value {
        Value::Object(body) => Ok(body),
        _ => Err(Refusal::rule("", "the patch replaces the resource by something else")),
    }
}

fn refused(number: usize, operation: &PatchOperation, why: &PatchErrorKind) -> Refusal {
    let what = match why {
        PatchErrorKind::TestFailed => "its test does not hold",
        _ => "it points to nothing that is there",
    };
    let text = format!("operation {number} at {} cannot be applied: {what}", operation.path());
    Refusal::one(RefusalKind::Unprocessable, IssueType::Processing, "", text)
}

struct Allowance {
    bytes: usize,
}

impl Allowance {
    /// Whether what this operation puts into the resource may be carried, and is not too deep where it goes.
    fn covers(&mut self, operation: &PatchOperation, resource: &Value) -> bool {
        let depth = operation.path().count();
        let from = match operation {
            PatchOperation::Copy(copy) => &copy.from,
            PatchOperation::Move(of) => &of.from,
            // What came with the patch is bounded by the body it came in.
            PatchOperation::Add(add) => return Self { bytes: usize::MAX }.takes(&add.value, depth),
            PatchOperation::Replace(replace) => return Self { bytes: usize::MAX }.takes(&replace.value, depth),
            PatchOperation::Remove(_) | PatchOperation::Test(_) => return true,
        };
        // Nothing is there: applying it says so.
        resource.pointer(from.as_str()).is_none_or(|value| self.takes(value, depth))
    }

    fn takes(&mut self, value: &Value, depth: usize) -> bool {
        let text = match value {
            Value::String(text) => text.len(),
            Value::Object(map) => map.keys().map(String::len).sum(),
            _ => 0,
        };
        let Some(left) = self.bytes.checked_sub(VALUE_BYTES + text) else { return false };
        self.bytes = left;
        depth <= Limits::default().depth
            && match value {
                Value::Array(items) => items.iter().all(|item| self.takes(item, depth + 1)),
                Value::Object(map) => map.values().all(|inner| self.takes(inner, depth + 1)),
                _ => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(operations: Value) -> Result<Value, Refusal> {
        let before = json!({ "resourceType": "Task", "status": "requested", "note": [{ "text": "x" }] });
        let patch = Patch::Json(serde_json::from_value(operations).unwrap());
        apply(before.as_object().unwrap(), &patch, Timestamp(0)).map(Value::Object)
    }

    #[test]
    fn an_operation_that_fails_is_named_whatever_went_before() {
        let add = json!({ "op": "add", "path": "/description", "value": "x" });
        let lost = json!({ "op": "move", "from": "/description", "path": "/nowhere/at/all" });
        let refusal = patched(json!([add, lost])).unwrap_err();
        assert!(refusal.text().contains("operation 1 at /nowhere/at/all"), "{}", refusal.text());
        let whole =
            json!([{ "op": "move", "from": "/status", "path": "" }, { "op": "test", "path": "/a", "value": 1 }]);
        assert!(patched(whole).is_err());
    }

    #[test]
    fn copies_of_copies_come_to_an_end() {
        let double = json!({ "op": "copy", "from": "/note", "path": "/note/-" });
        assert!(patched(json!(vec![&double; 3])).is_ok());
        assert_eq!(patched(json!(vec![&double; 60])).unwrap_err().issues[0].code, IssueType::TooCostly);
    }

    #[test]
    fn nothing_is_nested_deeper_than_a_body_may_be() {
        let bury = json!([
            { "op": "move", "from": "/note", "path": "/kept" },
            { "op": "add", "path": "/note", "value": [{}] },
            { "op": "move", "from": "/kept", "path": "/note/0/kept" },
        ]);
        let often: Vec<&Value> = std::iter::repeat_n(bury.as_array().unwrap(), 100).flatten().collect();
        assert_eq!(patched(json!(often)).unwrap_err().issues[0].code, IssueType::TooCostly);
    }

    #[test]
    fn what_a_merge_does_not_name_stays() {
        let before = json!({ "a": { "b": 1.50, "c": [1, 2] }, "d": "x", "e": true });
        let patch = json!({ "a": { "b": null, "c": [3], "f": { "g": null, "h": 1 } }, "d": { "i": null }, "j": null });
        let merged =
            apply(before.as_object().unwrap(), &Patch::Merge(patch.as_object().unwrap().clone()), Timestamp(0));
        assert_eq!(Value::Object(merged.unwrap()), json!({ "a": { "c": [3], "f": { "h": 1 } }, "d": {}, "e": true }));
    }

    #[test]
    fn a_patch_that_makes_no_resource_is_refused() {
        assert!(patched(json!([{ "op": "replace", "path": "", "value": [] }])).is_err());
    }
}
