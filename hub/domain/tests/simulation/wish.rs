//! A command with what the world knows of it beside: who speaks, what it comes to, how to tell it.

use hub_domain::command::{Act, Command, Entry, Interaction, On};
use hub_domain::decision::Decision;
use hub_domain::registry::Method;
use schemas::resource::{Key, Kind};

use crate::model::{Expected, Speaker, Wanted};

#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) command: Command,
    pub(crate) speaker: Speaker,
    pub(crate) matter: Matter,
    /// In words.
    pub(crate) told: String,
}

/// What a command comes to, for the model.
#[derive(Debug, Clone)]
pub(crate) enum Matter {
    /// A new order.
    New,
    /// The same submission again: with the same body, or with another.
    Repeat {
        same: bool,
    },
    /// A report by somebody whom the broker knows as another.
    Forged,
    Move(Wanted),
    /// A Task about a Task.
    About,
    Change(String),
    /// A request says something else, at the status that it was read with.
    OtherWords(String),
    /// All is said by the command.
    Plain,
}

impl Wish {
    /// The resource that it names.
    pub(crate) fn addressed(&self) -> Option<Key> {
        match &self.command.act {
            Act::Change(entries) => match entries.as_slice() {
                [Entry { interaction: Interaction::Update { on: On::Key(key), .. }, .. }] => Some(key.clone()),
                [Entry { interaction: Interaction::Patch { on: On::Key(key), .. }, .. }] => Some(key.clone()),
                [Entry { interaction: Interaction::Delete { on: On::Key(key), .. }, .. }] => Some(key.clone()),
                _ => None,
            },
            Act::Report(report) => Some(Key::task(&report.task_id)),
            Act::Fire(_) | Act::Ask(_) => None,
        }
    }

    pub(crate) fn deletes(&self) -> bool {
        let deletes = |entry: &Entry| matches!(entry.interaction, Interaction::Delete { .. });
        matches!(&self.command.act, Act::Change(entries) if entries.iter().all(deletes))
    }

    /// What is expected where no resource is named, or what is named was deleted.
    pub(crate) fn of_nothing(&self) -> Option<Expected> {
        match (&self.matter, &self.command.act) {
            (Matter::New, _) => Some(Expected::Becomes("created".into())),
            (Matter::Repeat { same: true }, _) => Some(Expected::Nothing),
            // Deleting twice is deleting.
            _ if self.deletes() => Some(Expected::Nothing),
            (Matter::About, _) | (_, Act::Fire(_)) => None,
            _ => Some(Expected::Refused),
        }
    }

    /// What became of the resource that it names.
    pub(crate) fn happened(&self, decided: Option<&Decision>) -> Expected {
        let Some(decision) = decided else { return Expected::Refused };
        let Some(key) = self.addressed() else {
            let created = Expected::Becomes("created".into());
            return if decision.writes.is_empty() { Expected::Nothing } else { created };
        };
        let mut written = decision.writes.iter().filter(|write| write.resource.key == key);
        // A request may be completed by what its change sets off; a Task comes to rest where its report takes it.
        let counts = if key.kind == Kind::TASK { written.next_back() } else { written.next() };
        match counts {
            None => Expected::Nothing,
            Some(write) if write.method == Method::Delete => Expected::Becomes("deleted".into()),
            Some(write) => Expected::Becomes(write.resource.text("status").unwrap_or_default().to_owned()),
        }
    }
}
