//! The published table of transitions, read as data: nothing of the hub's own reading of it is used here.

use std::sync::LazyLock;

use serde_json::Value;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let table: Value = serde_json::from_str(include_str!("../../tables/task-transitions.json")).unwrap();
    let rows = |part: &str| table[part].as_array().unwrap().iter().filter(|row| row["off"] != true).map(row).collect();
    Table { work: rows("transitions"), derived: rows("derived") }
});

/// What an owner may pass on its way, and still have the work.
const ON_THE_WAY: [&str; 4] = ["received", "accepted", "in-progress", "on-hold"];

pub(crate) struct Table {
    work: Vec<Row>,
    derived: Vec<Row>,
}

struct Row {
    from: String,
    to: String,
    actors: Vec<String>,
}

fn row(row: &Value) -> Row {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Row {
        from: text(&row["from"]),
        to: text(&row["to"]),
        actors: row["actors"].as_array().unwrap().iter().map(text).collect(),
    }
}

impl Table {
    pub(crate) fn published() -> &'static Self {
        &TABLE
    }

    /// Whether one of `who` may move a Task on; `derived` Tasks have rows of their own.
    pub(crate) fn allows(&self, derived: bool, from: &str, to: &str, who: &[&str]) -> bool {
        let any = from != "*none*" && from != "entered-in-error";
        let rows = if derived { &self.derived } else { &self.work };
        rows.iter()
            .filter(|row| row.to == to && (row.from == from || (any && row.from == "*any*")))
            .any(|row| row.actors.iter().any(|actor| who.contains(&actor.as_str())))
    }

    /// Whether an owner comes from one state to another and keeps the work until then.
    pub(crate) fn owner_gets(&self, from: &str, to: &str) -> bool {
        let step = |from: &str, to: &str| self.allows(false, from, to, &["owner"]);
        let mut reached = vec![from];
        for _ in ON_THE_WAY {
            let is_next = |next: &&str| !reached.contains(next) && reached.iter().any(|here| step(here, next));
            let next: Vec<&str> = ON_THE_WAY.into_iter().filter(is_next).collect();
            reached.extend(next);
        }
        reached.iter().any(|here| step(here, to))
    }
}

/// Nothing follows but the word that it was an error.
pub(crate) fn is_terminal(status: &str) -> bool {
    ["rejected", "cancelled", "failed", "completed", "entered-in-error"].contains(&status)
}

pub(crate) fn is_on_offer(status: &str) -> bool {
    ["requested", "ready"].contains(&status)
}
