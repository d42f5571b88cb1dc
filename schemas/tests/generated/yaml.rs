//! JSON as YAML that a person likes to read. Strings keep their quotes, so no `no` becomes a boolean.

use serde_json::Value;

/// The value as lines, each indented; the first one too.
pub(crate) fn block(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().map(|(name, member)| format!("{pad}{}:{}", key(name), after(member, indent))).collect()
        }
        Value::Array(items) if !items.is_empty() => items.iter().map(|item| list_item(item, indent)).collect(),
        scalar => format!("{pad}{scalar}\n"),
    }
}

/// What stands behind a key: a scalar on its line, all else below.
fn after(member: &Value, indent: usize) -> String {
    match member {
        Value::Array(items) if items.iter().all(is_scalar) => format!(" {}\n", flow(items)),
        Value::Object(members) if !members.is_empty() => format!("\n{}", block(member, indent + 2)),
        Value::Array(_) => format!("\n{}", block(member, indent + 2)),
        scalar => format!(" {scalar}\n"),
    }
}

fn list_item(item: &Value, indent: usize) -> String {
    let inner = block(item, indent + 2);
    format!("{}- {}", " ".repeat(indent), &inner[indent + 2..])
}

fn flow(items: &[Value]) -> String {
    let items: Vec<_> = items.iter().map(Value::to_string).collect();
    format!("[{}]", items.join(", "))
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Object(_))
}

fn key(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$'));
    if plain && !name.is_empty() { name.to_owned() } else { Value::from(name).to_string() }
}

#[test]
fn nested_json_becomes_indented_yaml() {
    let value = serde_json::json!({ "a": [{ "b": 1, "c": ["x", "y"] }, { "b": {} }], "d e": "no" });
    let expected = "  a:\n    - b: 1\n      c: [\"x\", \"y\"]\n    - b: {}\n  \"d e\": \"no\"\n";
    assert_eq!(block(&value, 2), expected);
}
