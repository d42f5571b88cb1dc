//! The AsyncAPI document: written by hand in `asyncapi.template.yaml`, except for what the types and the examples say.

use std::fmt::Write;

use super::{Contract, example, yaml};

const TEMPLATE: &str = include_str!("asyncapi.template.yaml");
const FIRST_LINE: &str =
    "# Generated from schemas/tests/generated/asyncapi.template.yaml and the types. Do not edit.\n";

/// The template, each `$insert: <schema>` and `$insert-example: <message>` replaced by that, at its indentation.
pub(crate) fn document(contracts: &[Contract]) -> String {
    let mut document = FIRST_LINE.to_owned();
    for line in TEMPLATE.lines() {
        let indent = line.len() - line.trim_start().len();
        let inserted = match line.trim_start().split_once(": ") {
            Some(("$insert", name)) => Some(schema(contracts, name)),
            Some(("$insert-example", name)) => Some(example(name)),
            _ => None,
        };
        match inserted {
            Some(value) => document.push_str(&yaml::block(&value, indent)),
            None => writeln!(document, "{line}").unwrap(),
        }
    }
    document
}

fn schema(contracts: &[Contract], name: &str) -> serde_json::Value {
    let found = contracts.iter().find(|contract| contract.name == name);
    found.unwrap_or_else(|| panic!("the template names a schema {name} that is not there")).schema.clone()
}

#[test]
fn the_document_has_no_gaps() {
    let document = document(&super::contracts());
    assert!(!document.contains("$insert"));
    // A tab ends a YAML parser, and so does nothing sooner than a person who edits.
    assert!(!document.contains('\t'));
    for constant in [schemas::message::WORK_ORDER, schemas::message::CONTENT_TYPE] {
        assert!(document.contains(constant), "{constant}");
    }
}
