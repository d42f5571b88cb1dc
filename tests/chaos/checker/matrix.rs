//! The published tables of transitions, read as data.

use std::collections::HashSet;

use anyhow::{Context, Result};
use serde::Deserialize;

const TASKS: &str = include_str!("../../../hub/domain/tables/task-transitions.json");
const REFERRALS: &str = include_str!("../../../hub/domain/tables/ers.json");

#[derive(Deserialize)]
struct Table {
    transitions: Vec<Row>,
    /// Where there are none, a fulfilment Task goes as all others do.
    derived: Option<Vec<Row>>,
}

#[derive(Deserialize)]
struct Row {
    from: String,
    to: String,
    actors: Vec<String>,
    #[serde(default)]
    off: bool,
}

/// Which states may follow each other, whoever brings it about.
pub(super) struct Matrix {
    work: HashSet<(String, String)>,
    derived: HashSet<(String, String)>,
    /// In which the hub itself may create a Task.
    first: HashSet<String>,
}

impl Matrix {
    pub(super) fn read() -> Result<Self> {
        Self::of(TASKS)
    }

    /// That of the e-Referral Service.
    pub(super) fn of_referrals() -> Result<Self> {
        Self::of(REFERRALS)
    }

    fn of(table: &str) -> Result<Self> {
        let table: Table = serde_json::from_str(table).context("the table of transitions cannot be read")?;
        let on = |row: &&Row| !row.off;
        let pairs = |rows: &[Row]| rows.iter().filter(on).map(|row| (row.from.clone(), row.to.clone())).collect();
        let created = |row: &&Row| !row.off && row.from == "*none*" && row.actors.iter().any(|actor| actor == "hub");
        let first = table.transitions.iter().filter(created).map(|row| row.to.clone()).collect();
        Ok(Self {
            work: pairs(&table.transitions),
            derived: pairs(table.derived.as_ref().unwrap_or(&table.transitions)),
            first,
        })
    }

    /// A change of state of a Task, or of a fulfilment Task.
    pub(super) fn allows(&self, is_fulfilment: bool, from: &str, to: &str) -> bool {
        let rows = if is_fulfilment { &self.derived } else { &self.work };
        let has = |from: &str| rows.contains(&(from.to_owned(), to.to_owned()));
        from == to || has(from) || has("*any*")
    }

    /// A state in which the hub may create a Task. Every fulfilment Task begins with being requested: all rows that
    /// derive it come from there.
    pub(super) fn begins(&self, is_fulfilment: bool, status: &str) -> bool {
        if is_fulfilment { status == "requested" } else { self.first.contains(status) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_table_does_not_say_is_not_allowed() {
        let matrix = Matrix::read().expect("the table");
        for (is_fulfilment, from, to, is_allowed) in [
            (false, "requested", "accepted", true),
            (false, "accepted", "completed", false),
            (false, "on-hold", "failed", false),
            (false, "completed", "in-progress", false),
            (false, "completed", "entered-in-error", true),
            (true, "requested", "completed", false),
            (true, "in-progress", "completed", true),
            (true, "completed", "completed", true),
        ] {
            assert_eq!(matrix.allows(is_fulfilment, from, to), is_allowed, "{from} to {to}");
        }
        assert!(matrix.begins(false, "draft") && !matrix.begins(false, "accepted") && !matrix.begins(true, "draft"));
    }
}
