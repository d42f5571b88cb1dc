//! The states of prescriptions and items, as the published table has them (`tables/eps.json`). Whoever checks a history
//! reads the same file.

use std::sync::LazyLock;

use schemas::task::TaskStatus;
use serde::{Deserialize, Serialize};

use crate::task_machine::{Matrix, Transition};

/// The table as it is published.
pub const TABLE: &str = include_str!("../../../tables/eps.json");

pub const BUSINESS_STATUS: &str = "https://fhir.nhs.uk/CodeSystem/EPS-task-business-status";
pub const ITEM_STATUS: &str = "https://fhir.nhs.uk/CodeSystem/medicationdispense-type";

/// Where an issue of a prescription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    #[serde(rename = "0000")]
    AwaitingReleaseReady,
    #[serde(rename = "0001")]
    ToBeDispensed,
    #[serde(rename = "0002")]
    WithDispenser,
    #[serde(rename = "0003")]
    WithDispenserActive,
    #[serde(rename = "0004")]
    Expired,
    #[serde(rename = "0005")]
    Cancelled,
    #[serde(rename = "0006")]
    Dispensed,
    #[serde(rename = "0007")]
    NotDispensed,
    #[serde(rename = "0008")]
    Claimed,
    #[serde(rename = "0009")]
    NoClaimed,
    /// A later issue of repeat dispensing, before its turn.
    #[serde(rename = "9000")]
    FutureIssue,
    /// Dated ahead.
    #[serde(rename = "9001")]
    FutureDated,
    /// Cancelled before it arrived.
    #[serde(rename = "9005")]
    CancelledAhead,
}

/// Where one item of an issue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Item {
    #[serde(rename = "0001")]
    FullyDispensed,
    #[serde(rename = "0002")]
    NotDispensed,
    #[serde(rename = "0003")]
    PartiallyDispensed,
    #[serde(rename = "0004")]
    Owing,
    #[serde(rename = "0005")]
    Cancelled,
    #[serde(rename = "0006")]
    Expired,
    #[serde(rename = "0007")]
    ToBeDispensed,
    #[serde(rename = "0008")]
    WithDispenser,
}

/// What can happen to a prescription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    Order,
    Open,
    /// The issue before it was taken up again.
    Close,
    Ready,
    Release,
    Notify,
    Amend,
    Withdraw,
    Return,
    Cancel,
    Claim,
    AmendClaim,
    NoClaim,
    Expire,
}

#[derive(Debug, Deserialize)]
struct Table {
    prescription: Vec<Row<State>>,
    item: Vec<Row<Item>>,
    events: Vec<Rule<State>>,
    item_events: Vec<Rule<Item>>,
    transitions: Vec<Transition>,
}

#[derive(Debug, Deserialize)]
struct Row<S> {
    code: S,
    display: String,
    task: TaskStatusCode,
    kept: Option<TaskStatusCode>,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct TaskStatusCode(TaskStatus);

impl TryFrom<String> for TaskStatusCode {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        TaskStatus::parse(&code).map(Self).ok_or_else(|| format!("{code} is no Task status"))
    }
}

#[derive(Debug, Deserialize)]
struct Rule<S> {
    event: Event,
    from: Vec<S>,
    to: Vec<S>,
}

#[expect(clippy::expect_used, reason = "the table is part of the program, and a test reads it")]
static TABLES: LazyLock<(Table, Matrix)> = LazyLock::new(|| {
    let mut table: Table = serde_json::from_str(TABLE).expect("eps.json is readable");
    let matrix = Matrix::of_rows(std::mem::take(&mut table.transitions));
    (table, matrix)
});

/// How the hub's own Tasks of prescriptions may move.
pub fn matrix() -> &'static Matrix {
    &TABLES.1
}

fn row<S: PartialEq>(rows: &'static [Row<S>], of: S) -> Option<&'static Row<S>> {
    rows.iter().find(|row| row.code == of)
}

fn allows<S: PartialEq>(rules: &[Rule<S>], event: Event, from: S, to: S) -> bool {
    rules.iter().any(|rule| rule.event == event && rule.from.contains(&from) && rule.to.contains(&to))
}

impl State {
    pub fn code(self) -> &'static str {
        match self {
            Self::AwaitingReleaseReady => "0000",
            Self::ToBeDispensed => "0001",
            Self::WithDispenser => "0002",
            Self::WithDispenserActive => "0003",
            Self::Expired => "0004",
            Self::Cancelled => "0005",
            Self::Dispensed => "0006",
            Self::NotDispensed => "0007",
            Self::Claimed => "0008",
            Self::NoClaimed => "0009",
            Self::FutureIssue => "9000",
            Self::FutureDated => "9001",
            Self::CancelledAhead => "9005",
        }
    }

    pub fn parse(code: &str) -> Option<Self> {
        TABLES.0.prescription.iter().map(|row| row.code).find(|state| state.code() == code)
    }

    pub fn display(self) -> &'static str {
        row(&TABLES.0.prescription, self).map_or("", |row| &row.display)
    }

    /// What the service shows as Task.status.
    pub fn shown(self) -> TaskStatus {
        row(&TABLES.0.prescription, self).map_or(TaskStatus::Requested, |row| row.task.0)
    }

    /// The status of the hub's own Task.
    pub fn kept(self) -> TaskStatus {
        row(&TABLES.0.prescription, self).map_or(TaskStatus::Requested, |row| row.kept.unwrap_or(row.task).0)
    }

    /// Whether a prescription in this state may have an item in that.
    pub fn admits(self, item: Item) -> bool {
        row(&TABLES.0.prescription, self).is_some_and(|row| row.items.contains(&item))
    }

    pub fn may(self, event: Event, to: Self) -> bool {
        allows(&TABLES.0.events, event, self, to)
    }

    /// Whether anything of this event may happen now.
    pub fn is_open_to(self, event: Event) -> bool {
        TABLES.0.events.iter().any(|rule| rule.event == event && rule.from.contains(&self))
    }

    /// Whether the service is done with it, claims apart.
    pub fn is_over(self) -> bool {
        use State::*;
        matches!(self, Expired | Cancelled | Dispensed | NotDispensed | Claimed | NoClaimed)
    }
}

impl Item {
    pub fn code(self) -> &'static str {
        match self {
            Self::FullyDispensed => "0001",
            Self::NotDispensed => "0002",
            Self::PartiallyDispensed => "0003",
            Self::Owing => "0004",
            Self::Cancelled => "0005",
            Self::Expired => "0006",
            Self::ToBeDispensed => "0007",
            Self::WithDispenser => "0008",
        }
    }

    pub fn parse(code: &str) -> Option<Self> {
        TABLES.0.item.iter().map(|row| row.code).find(|item| item.code() == code)
    }

    pub fn display(self) -> &'static str {
        row(&TABLES.0.item, self).map_or("", |row| &row.display)
    }

    pub fn kept(self) -> TaskStatus {
        row(&TABLES.0.item, self).map_or(TaskStatus::Draft, |row| row.kept.unwrap_or(row.task).0)
    }

    pub fn may(self, event: Event, to: Self) -> bool {
        allows(&TABLES.0.item_events, event, self, to)
    }

    /// Whether something is still to be done for it.
    pub fn is_active(self) -> bool {
        use Item::*;
        matches!(self, ToBeDispensed | WithDispenser | PartiallyDispensed | Owing)
    }

    /// What becomes of it when its prescription expires.
    pub fn expired(self) -> Self {
        let next = TABLES.0.item_events.iter().find(|rule| rule.event == Event::Expire && rule.from.contains(&self));
        next.and_then(|rule| rule.to.first().copied()).unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task_machine::Actor;

    #[test]
    fn every_state_is_in_the_table_once() {
        assert_eq!(TABLES.0.prescription.len(), 13);
        assert_eq!(TABLES.0.item.len(), 8);
        for row in &TABLES.0.prescription {
            assert_eq!(State::parse(row.code.code()), Some(row.code));
        }
        for row in &TABLES.0.item {
            assert_eq!(Item::parse(row.code.code()), Some(row.code));
        }
    }

    /// A rule of the service that the hub's own Task could follow only out of a terminal state adds a Task instead.
    #[test]
    fn each_rule_can_be_shown_by_a_task_or_by_a_new_one() {
        for rule in &TABLES.0.events {
            for to in &rule.to {
                for from in &rule.from {
                    let (was, is) = (from.kept(), to.kept());
                    let moves = was == is || matrix().allows(Some(was), is, &[Actor::Hub]);
                    assert!(moves || matrix().allows(None, is, &[Actor::Hub]), "{from:?} to {to:?}");
                }
            }
        }
    }

    /// What a notification may tell of an item, another may tell in its place.
    #[test]
    fn an_amended_item_can_be_shown_by_its_task_or_by_a_new_one() {
        let told = |rule: &&Rule<Item>| rule.event == Event::Notify;
        let told: Vec<Item> = TABLES.0.item_events.iter().filter(told).flat_map(|rule| rule.to.clone()).collect();
        for (from, to) in told.iter().flat_map(|from| told.iter().map(move |to| (from, to))) {
            let (was, is) = (from.kept(), to.kept());
            let moves = was == is || matrix().way(was, is, &[Actor::Hub]).is_some();
            assert!(moves || matrix().allows(None, is, &[Actor::Hub]), "{from:?} to {to:?}");
        }
    }

    #[test]
    fn nothing_leaves_a_terminal_state() {
        for from in TaskStatus::ALL.into_iter().filter(|status| status.is_terminal()) {
            assert!(matrix().next(Some(from), &[Actor::Hub]).is_empty(), "{from}");
        }
    }

    #[test]
    fn an_expired_prescription_has_only_items_that_it_may_have() {
        for row in &TABLES.0.prescription {
            for item in &row.items {
                if row.code.may(Event::Expire, State::Expired) {
                    assert!(State::Expired.admits(item.expired()), "{:?} {item:?}", row.code);
                }
                if row.code.may(Event::Expire, State::Dispensed) {
                    assert!(State::Dispensed.admits(item.expired()), "{:?} {item:?}", row.code);
                }
            }
        }
    }
}
