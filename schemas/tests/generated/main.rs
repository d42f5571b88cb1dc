//! Writes `schemas/generated/` from the types, or says that it is not what the types say; and holds the example
//! messages, those of the documentation among them, against it.
//!
//! `HUB_WRITE_GENERATED=1 cargo test -p schemas --test generated` writes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what a test cannot have, ends it")]

mod asyncapi;
mod yaml;

use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemas::message::{CLAIM_REPLY, ClaimReply, CloudEvent, STATUS_REPORT, StatusReport, WORK_ORDER, WorkOrder};
use serde_json::Value;

const HOW: &str = "run `HUB_WRITE_GENERATED=1 cargo test -p schemas --test generated` and commit what it writes";

/// A message that travels: the name of its files, its event type, and its schema.
struct Contract {
    name: &'static str,
    kind: &'static str,
    schema: Value,
}

fn contracts() -> [Contract; 3] {
    [
        Contract { name: "work-order", kind: WORK_ORDER, schema: schema::<WorkOrder>(WORK_ORDER) },
        Contract { name: "status-report", kind: STATUS_REPORT, schema: schema::<StatusReport>(STATUS_REPORT) },
        Contract { name: "claim-reply", kind: CLAIM_REPLY, schema: schema::<ClaimReply>(CLAIM_REPLY) },
    ]
}

/// The envelope and what is in it, in one piece: a schema that refers to nothing can be pasted anywhere.
fn schema<T: JsonSchema>(kind: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<CloudEvent<T>>();
    schema.insert("$id".into(), format!("urn:{}", kind.replace('.', ":")).into());
    schema.insert("title".into(), format!("CloudEvent of {}", T::schema_name()).into());
    let mut schema = Value::from(schema);
    // What the types can only say in words.
    for (member, constant) in [("specversion", "1.0"), ("type", kind), ("datacontenttype", "application/json")] {
        schema["properties"][member]["const"] = constant.into();
    }
    schema
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn example(name: &str) -> Value {
    let path = home().join("tests/messages").join(format!("{name}.json"));
    read_json(&path)
}

fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn generated_files_say_what_the_types_say() {
    let contracts = contracts();
    let mut files = vec![("asyncapi.yaml".to_owned(), asyncapi::document(&contracts))];
    files.extend(contracts.iter().map(|contract| {
        let text = serde_json::to_string_pretty(&contract.schema).unwrap();
        (format!("{}.schema.json", contract.name), text + "\n")
    }));
    for (name, wanted) in files {
        let path = home().join("generated").join(&name);
        if std::env::var_os("HUB_WRITE_GENERATED").is_some() {
            fs::write(&path, wanted).unwrap();
        } else {
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert!(found == wanted, "schemas/generated/{name} is not what the types say: {HOW}");
        }
    }
}

/// Checks a message against the schema of its type, and that the program can read it too.
fn check(message: &Value) -> Result<(), String> {
    let kind = message["type"].as_str().unwrap_or_default();
    let contract = contracts().into_iter().find(|contract| contract.kind == kind).ok_or("no known event type")?;
    let validator = jsonschema::validator_for(&contract.schema).unwrap();
    let faults: Vec<_> = validator.iter_errors(message).map(|fault| fault.to_string()).collect();
    if !faults.is_empty() {
        return Err(faults.join("; "));
    }
    reads_as(kind, message).map_err(|error| error.to_string())
}

fn reads_as(kind: &str, message: &Value) -> serde_json::Result<()> {
    let text = message.to_string();
    match kind {
        WORK_ORDER => serde_json::from_str::<CloudEvent<WorkOrder>>(&text).map(drop),
        STATUS_REPORT => serde_json::from_str::<CloudEvent<StatusReport>>(&text).map(drop),
        _ => serde_json::from_str::<CloudEvent<ClaimReply>>(&text).map(drop),
    }
}

#[test]
fn examples_are_valid() {
    let mut seen = 0;
    for entry in fs::read_dir(home().join("tests/messages")).unwrap() {
        let path = entry.unwrap().path();
        check(&read_json(&path)).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        seen += 1;
    }
    assert!(seen >= 8, "{seen} examples");
}

#[test]
fn examples_in_the_documentation_are_valid() {
    let page = fs::read_to_string(home().join("../docs/messages.md")).unwrap();
    let blocks: Vec<_> = page.split("```json\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
    assert!(blocks.len() >= 4, "an example of each message");
    for block in blocks {
        let message = serde_json::from_str(block).unwrap_or_else(|error| panic!("{error} in {block}"));
        check(&message).unwrap_or_else(|fault| panic!("{fault} in {block}"));
    }
}

#[test]
fn schemas_refuse_what_the_hub_would() {
    let cases: [(&str, &str, Value); 5] = [
        ("claim", "/data/act", "finish".into()),
        ("claim", "/data/surprise", true.into()),
        ("claim", "/data/sequence", (-1).into()),
        ("granted", "/data/answer", "maybe".into()),
        ("work-order", "/specversion", "0.3".into()),
    ];
    for (name, pointer, value) in cases {
        let mut message = example(name);
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        message.pointer_mut(parent).unwrap()[member] = value;
        assert!(check(&message).is_err(), "{name} with another {pointer}");
    }
}
