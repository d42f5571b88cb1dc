//! An expression of FHIRPath, asked of an order, a Task-like part of it, and of nothing.

use std::sync::LazyLock;

use hub_fhirpath::{Collection, Expression, Fault, FaultKind, Item, Scope};
use serde_json::Value;

/// Less than the hub allows: a mutant in a loop is no find, and a thousand of them are a while.
const STEPS: usize = 20_000;

static ORDER: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../schemas/examples/repeat-dispensing.json")).unwrap_or_default()
});

/// It is read or refused at a place in it, and whatever it gives it gives within its steps, and again.
pub fn play(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let expression = match Expression::parse(&text) {
        Ok(expression) => expression,
        Err(fault) => {
            assert_eq!(fault.kind, FaultKind::Syntax);
            return is_in(&fault, &text);
        }
    };
    for resource in [&*ORDER, &Value::Null] {
        let first = asked(&expression, resource);
        match &first {
            Ok(found) => assert!(found.len() <= STEPS, "{} items", found.len()),
            Err(fault) => is_in(fault, &text),
        }
        assert_eq!(first, asked(&expression, resource));
    }
}

fn asked<'a>(expression: &'a Expression, resource: &'a Value) -> Result<Collection<'a>, Fault> {
    let scope = Scope { most_steps: STEPS, ..Scope::new(time::OffsetDateTime::UNIX_EPOCH) };
    let found = expression.of(resource, &scope)?;
    for item in &found {
        if let Some(Item::Moment(moment)) = item.value() {
            assert!(!moment.to_string().is_empty());
        }
    }
    Ok(found)
}

fn is_in(fault: &Fault, text: &str) {
    assert!((1..=text.chars().count() + 1).contains(&fault.at), "{fault}");
}
