//! Whether the history of a Task is a walk that the published table of transitions allows.

use std::sync::LazyLock;

use hub_domain::task_machine::TABLE;
use serde_json::Value;

use crate::rest::Client;

/// Read as data, not through the hub's own reading of it: whoever checks must not repeat the mistake.
static TRANSITIONS: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(TABLE).unwrap());

/// Reads the history of a Task: versions without a gap, and each step in the table (for a fulfilment Task: derived).
pub async fn walks_legally(client: &Client, reference: &str) {
    let mut versions = client.finds(&format!("{reference}/_history?_count=3")).await;
    versions.reverse();
    let numbers: Vec<String> = versions.iter().map(|v| v["meta"]["versionId"].as_str().unwrap().to_owned()).collect();
    let without_gap: Vec<String> = (1..=versions.len()).map(|n| n.to_string()).collect();
    assert_eq!(numbers, without_gap, "the versions of {reference}");
    let rows = if is_fulfilment(&versions[0]) { "derived" } else { "transitions" };
    let statuses: Vec<&str> = versions.iter().map(|v| v["status"].as_str().unwrap()).collect();
    for pair in statuses.windows(2).filter(|pair| pair[0] != pair[1]) {
        assert!(is_allowed(rows, pair[0], pair[1]), "{reference} went {statuses:?}, and {pair:?} is not allowed");
    }
}

fn is_fulfilment(task: &Value) -> bool {
    task["code"]["coding"][0]["code"] == "fulfill" && task["partOf"].is_null()
}

fn is_allowed(rows: &str, from: &str, to: &str) -> bool {
    let mut rows = TRANSITIONS[rows].as_array().unwrap().iter();
    rows.any(|row| row["off"] != true && (row["from"] == from || row["from"] == "*any*") && row["to"] == to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_table_does_not_say_is_not_allowed() {
        assert!(is_allowed("transitions", "requested", "accepted"));
        assert!(!is_allowed("transitions", "requested", "completed"));
        assert!(!is_allowed("transitions", "on-hold", "failed"), "known, and switched off");
        assert!(!is_allowed("derived", "requested", "completed"));
    }
}
