//! What hubs say in FHIR is written down for a validator that nobody here wrote: every answer whose like was not there
//! before. `tests/foreign/validate.py` reads it.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::io::Write as _;
use std::sync::{LazyLock, Mutex};

use serde_json::{Value, json};

use crate::rest::Reply;

/// Names the file, one answer a line.
const RECORD_VARIABLE: &str = "HUB_TEST_RECORD";

/// What is longer is no code, but somebody's words.
const CODE_LIMIT_BYTES: usize = 24;

static SEEN: LazyLock<Mutex<HashSet<u64>>> = LazyLock::new(Mutex::default);

pub(crate) fn write(asked: &str, reply: &Reply) {
    let Some(path) = std::env::var_os(RECORD_VARIABLE).filter(|_| reply.body["resourceType"].is_string()) else {
        return;
    };
    let mut seen = SEEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // The base, since each has its release of FHIR: the two parts behind `http://address/`.
    let base = asked.split('/').skip(3).take(2).collect::<Vec<_>>();
    let new = shapes(&reply.body).into_iter().filter(|shape| seen.insert(hash(&(&base, shape))));
    if new.count() == 0 {
        return;
    }
    let line = json!({ "asked": asked, "status": reply.status, "body": reply.text });
    // Still under the lock, so that no line is written into another.
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Of each resource in an answer, which elements it has, and which codes. Of a Bundle's entries each is one of its own.
fn shapes(body: &Value) -> Vec<BTreeSet<String>> {
    let (mut own, mut all) = (BTreeSet::new(), Vec::new());
    walk("", body, &mut own, &mut all);
    all.push(own);
    all
}

fn walk(path: &str, value: &Value, own: &mut BTreeSet<String>, all: &mut Vec<BTreeSet<String>>) {
    match value {
        Value::Object(members) if !path.is_empty() && members.contains_key("resourceType") => all.extend(shapes(value)),
        Value::Object(members) => {
            for (name, value) in members {
                walk(&format!("{path}.{name}"), value, own, all);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(path, item, own, all)),
        Value::String(text) if is_code(text) => drop(own.insert(format!("{path} {text}"))),
        _ => drop(own.insert(path.to_owned())),
    }
}

/// A short word of letters, as most of FHIR's codes are.
fn is_code(text: &str) -> bool {
    text.len() <= CODE_LIMIT_BYTES && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bodies::With as _;

    #[test]
    fn resources_of_one_type_with_the_same_elements_are_alike() {
        let task = |status: &str| json!({ "resourceType": "Task", "status": status, "note": [{ "text": status }] });
        let bundle = |of: &[Value]| {
            let entries: Vec<Value> = of.iter().map(|one| json!({ "resource": one })).collect();
            json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries })
        };
        let noted = |text: &str| task("draft").with(json!({ "note": [{ "text": text }] }));
        assert_eq!(shapes(&noted("Call her again.")), shapes(&noted("Call him, too.")));
        assert_ne!(shapes(&task("draft")), shapes(&task("ready")));
        let named = json!({ "resourceType": "Task", "status": "ready", "note": [{ "text": "x", "time": "2026" }] });
        assert_ne!(shapes(&task("draft")), shapes(&named));
        let of = |bundle: Value| shapes(&bundle).into_iter().collect::<BTreeSet<_>>();
        assert_eq!(of(bundle(&[task("ready"), task("ready")])), of(bundle(&[task("ready")])));
        assert!(of(bundle(std::slice::from_ref(&named))).is_superset(&of(named)));
    }
}
