//! What holds after every commit, whoever wanted what. Kept from what was written, not from what the hub remembers.

use std::collections::{BTreeMap, BTreeSet};

use hub_domain::decision::{Decision, Write};
use hub_domain::registry::Method;
use schemas::ids::TaskId;
use schemas::resource::{Key, Kind};
use schemas::task::{asked_code, asks_for_information};
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::table::{Table, is_on_offer, is_terminal};

pub(crate) type Held = Result<(), String>;

pub(crate) fn law(holds: bool, broken: impl FnOnce() -> String) -> Held {
    if holds { Ok(()) } else { Err(broken()) }
}

/// The last version of a resource.
#[derive(Debug, Clone)]
struct Last {
    version: u32,
    at: Timestamp,
    status: String,
    /// A Task that asks for another to be stopped, or paused, or for information about it, is no work itself.
    asks: bool,
}

impl Last {
    /// Work that nobody has started.
    fn waits(&self) -> bool {
        !self.asks && ["draft", "requested", "received", "accepted", "ready"].contains(&self.status.as_str())
    }
}

#[derive(Default)]
pub(crate) struct Laws {
    last: BTreeMap<Key, Last>,
    /// The Tasks of each step.
    offers: BTreeMap<(Uuid, u32), BTreeSet<Key>>,
}

impl Laws {
    /// `movers`: in which capacities the one behind this decision may move a Task.
    pub(crate) fn check(
        &mut self,
        table: &Table,
        decision: &Decision,
        movers: impl Fn(&Key) -> Vec<&'static str>,
    ) -> Held {
        for (n, write) in decision.writes.iter().enumerate() {
            self.version(decision, write)?;
            if write.resource.key.kind == Kind::TASK && write.method != Method::Delete {
                let mut movers = movers(&write.resource.key);
                // What somebody has moved, the hub may move on: given back, for one, when nobody wants it any more.
                if decision.writes[..n].iter().any(|other| other.resource.key == write.resource.key) {
                    movers.push("hub");
                }
                self.walk(table, write, &movers)?;
                self.told(write, decision)?;
            }
            self.note(write);
        }
        for write in decision.writes.iter().filter(|write| write.resource.key.kind == Kind::TASK) {
            self.step(write)?;
        }
        Ok(())
    }

    fn version(&self, decision: &Decision, write: &Write) -> Held {
        let (key, version) = (&write.resource.key, write.resource.version);
        let last = self.last.get(key);
        law(version == last.map_or(1, |last| last.version + 1), || {
            format!("the versions of a resource have no gap: {key} is at {version}")
        })?;
        law(last.is_none_or(|last| last.at <= write.resource.last_updated), || {
            format!("lastUpdated never decreases: {key} version {version}")
        })?;
        law(decision.heads.iter().any(|head| head.root == write.root), || {
            format!("whatever is written raises the version of its head: {key}")
        })
    }

    fn walk(&self, table: &Table, write: &Write, movers: &[&str]) -> Held {
        let (key, to) = (&write.resource.key, write.resource.text("status").unwrap());
        let derived = key.id.ends_with(".0");
        let from = self.last.get(key).map_or("*none*", |last| last.status.as_str());
        law(!is_terminal(from) || from == to || to == "entered-in-error", || {
            format!("a Task that has ended keeps its status: {key} went from {from} to {to}")
        })?;
        let born = derived && from == "*none*" && to == "requested";
        law(from == to || born || table.allows(derived, from, to, movers), || {
            format!("every step of a Task is in the table: {key} went from {from} to {to}, moved by {movers:?}")
        })
    }

    /// Nothing comes on offer, and stays there, without a message of that version or of a later one.
    fn told(&self, write: &Write, decision: &Decision) -> Held {
        let (key, version) = (&write.resource.key, write.resource.version);
        let is_offered = |write: &Write| write.resource.text("status").is_some_and(is_on_offer);
        let stays = decision.writes.iter().rfind(|other| other.resource.key == *key).is_some_and(is_offered);
        let was = self.last.get(key).is_some_and(|last| is_on_offer(&last.status));
        let comes = is_offered(write) && stays && !was && !key.id.ends_with(".0");
        let told = decision.outbox.iter().any(|message| message.task == *key && message.version >= version);
        law(!comes || told, || format!("what comes on offer is told to its queue: {key}"))
    }

    fn note(&mut self, write: &Write) {
        let resource = &write.resource;
        let status =
            if write.method == Method::Delete { "deleted" } else { resource.text("status").unwrap_or_default() };
        let asks = asked_code(&resource.body).is_some() || asks_for_information(&resource.body);
        let (version, at) = (resource.version, resource.last_updated);
        let last = Last { version, at, status: status.to_owned(), asks };
        self.last.insert(resource.key.clone(), last);
        if let Ok(id) = resource.key.id.parse::<TaskId>() {
            self.offers.entry((id.root, id.step)).or_default().insert(resource.key.clone());
        }
    }

    fn status(&self, key: &Key) -> &str {
        self.last.get(key).map_or("", |last| &last.status)
    }

    fn step(&self, write: &Write) -> Held {
        let key = &write.resource.key;
        let Ok(id) = key.id.parse::<TaskId>() else { return Ok(()) };
        let offers = || self.offers[&(id.root, id.step)].iter().map(|key| self.status(key));
        let live = offers().filter(|status| !is_terminal(status) && *status != "deleted").count();
        law(live <= 1, || format!("a step has one live offer at most: {key} is one of {live}"))?;
        let completed = offers().filter(|status| *status == "completed").count();
        law(completed <= 1, || format!("a step is completed once at most: {key} is one of {completed}"))?;
        self.end(id)
    }

    fn end(&self, id: TaskId) -> Held {
        let whole = Key::task(TaskId { step: 0, occurrence: 1, ..id });
        if !is_terminal(self.status(&whole)) {
            return Ok(());
        }
        let steps = self.offers.range((id.root, 1)..=(id.root, u32::MAX)).flat_map(|(_, offers)| offers);
        let mut left = steps.filter(|key| self.last.get(*key).is_some_and(Last::waits));
        left.next().map_or(Ok(()), |key| Err(format!("an order that has ended leaves no work to begin: {key}")))
    }

    /// A message is about a version that is there, and on offer.
    pub(crate) fn messages(&self, decision: &Decision) -> Held {
        decision.outbox.iter().try_for_each(|message| {
            let version = self.last.get(&message.task).map_or(0, |last| last.version);
            law(message.version <= version, || format!("a message names a version that is there: {}", message.task))
        })
    }
}
