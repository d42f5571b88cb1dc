//! What the decisions of a batch that hold come to, together: each row written once, in its last state.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hub_domain::decision::{Decision, HeadWrite, Message, TimerId, Write};
use hub_domain::plan::kept::KeptPlan;
use hub_domain::registry::Trouble;
use hub_domain::scene::{Identifier, Receipt};
use schemas::resource::{Key, Kind};
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::load::PlanCache;
use crate::rows::{Current, Index, Prepared};

/// A batch with the bodies of its versions made ready, before any lock is held.
pub(crate) struct Batch<'a> {
    pub(crate) decisions: &'a [Decision],
    prepared: Vec<Vec<Prepared<'a>>>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(decisions: &'a [Decision]) -> Self {
        let mut first = HashMap::new();
        let mut prepare = |write: &'a Write| {
            let before = *first.entry(&write.resource.key).or_insert(write.before.as_ref());
            Prepared::new(write, before)
        };
        let prepared: Vec<Vec<_>> =
            decisions.iter().map(|decision| decision.writes.iter().map(&mut prepare).collect()).collect();
        // Of each resource the last: nearly always all of them hold.
        let last: HashMap<_, _> = prepared.iter().flatten().map(|row| (row.key(), row)).collect();
        for row in last.values() {
            row.found();
        }
        Self { decisions, prepared }
    }

    /// Every root that the batch touches.
    pub(crate) fn roots(&self) -> BTreeSet<Uuid> {
        self.decisions.iter().flat_map(|decision| &decision.heads).map(|write| write.root).collect()
    }

    pub(crate) fn changes(&self, holds: &[bool]) -> Changes<'a, '_> {
        let mut changes = Changes::default();
        for ((decision, prepared), holds) in self.decisions.iter().zip(&self.prepared).zip(holds) {
            if *holds {
                changes.add(decision, prepared);
            }
        }
        changes
    }
}

/// What happens to a head.
pub(crate) struct HeadFate<'a> {
    /// The version before this batch; none when it is new.
    pub(crate) expected: Option<u64>,
    pub(crate) last: &'a HeadWrite,
}

#[derive(Default)]
pub(crate) struct Changes<'a, 'p> {
    pub(crate) heads: BTreeMap<Uuid, HeadFate<'a>>,
    pub(crate) versions: Vec<&'p Prepared<'a>>,
    /// The last version of each resource.
    last: BTreeMap<&'a Key, &'p Prepared<'a>>,
    pub(crate) messages: Vec<&'a Message>,
    /// None: removed.
    timers: HashMap<&'a TimerId, Option<Timestamp>>,
    pub(crate) receipts: BTreeMap<&'a str, &'a Receipt>,
    pub(crate) claims: BTreeMap<&'a Identifier, &'a str>,
    plans: BTreeMap<&'a str, (&'a Arc<KeptPlan>, &'a str)>,
}

impl<'a, 'p> Changes<'a, 'p> {
    fn add(&mut self, decision: &'a Decision, prepared: &'p [Prepared<'a>]) {
        for write in &decision.heads {
            self.heads.entry(write.root).or_insert(HeadFate { expected: write.expected, last: write }).last = write;
        }
        for row in prepared {
            self.versions.push(row);
            self.last.insert(row.key(), row);
        }
        self.receipts.extend(decision.receipts.iter().map(|receipt| (receipt.key.as_str(), receipt)));
        self.claims.extend(decision.claims.iter().map(|(identifier, holder)| (identifier, holder.as_str())));
        self.messages.extend(&decision.outbox);
        // Done first: firing a timer and setting it anew is one decision.
        self.timers.extend(decision.timers_done.iter().map(|id| (id, None)));
        self.timers.extend(decision.timers.iter().map(|timer| (&timer.id, Some(timer.due))));
        self.plans.extend(decision.plans.iter().map(|(hash, plan, text)| (hash.as_str(), (plan, text.as_str()))));
    }

    fn of_kind(&self, task: bool) -> impl Iterator<Item = &'p Prepared<'a>> {
        self.last.values().copied().filter(move |row| (row.key().kind == Kind::TASK) == task)
    }

    /// Rows to insert: (resource, its columns).
    pub(crate) fn born(&self, task: bool) -> Vec<(&'p Prepared<'a>, &'p Current)> {
        let born = self.of_kind(task).filter(|row| row.before.is_none());
        born.filter_map(|row| Some((row, row.found().current.as_ref()?))).collect()
    }

    /// Rows to update.
    pub(crate) fn moved(&self, task: bool) -> Vec<(&'p Prepared<'a>, &'p Current)> {
        let moved = self.of_kind(task).filter(|row| row.before.is_some());
        moved.filter_map(|row| Some((row, row.found().current.as_ref()?))).collect()
    }

    /// Rows to delete.
    pub(crate) fn gone(&self, task: bool) -> Vec<&'a Key> {
        let gone = self.of_kind(task).filter(|row| row.before.is_some() && row.found().current.is_none());
        gone.map(Prepared::key).collect()
    }

    /// What searches have to find otherwise: resources that were there before, each with its index rows then and now, as
    /// far as they may differ.
    pub(crate) fn found_otherwise(&self) -> Vec<(&'a Key, &'p Index, &'p Index)> {
        static NOTHING: Index = Index { tokens: Vec::new(), dates: Vec::new(), values: Vec::new() };
        let changed = |row: &&'p Prepared<'a>| {
            let found = row.before.map(|_| row.found())?;
            let after = found.current.as_ref().map_or(&NOTHING, |current| &current.index);
            (found.before != *after).then_some((row.key(), &found.before, after))
        };
        self.last.values().filter_map(changed).collect()
    }

    /// Plans that are not known to be in the database.
    pub(crate) fn new_plans(&self, known: &PlanCache) -> impl Iterator<Item = (&'a str, &'a str)> {
        let new = self.plans.iter().filter(|(hash, _)| known.get(hash).is_none());
        new.map(|(hash, (_, text))| (*hash, *text))
    }

    /// Now they are.
    pub(crate) fn remember_plans(&self, known: &PlanCache) {
        for (hash, (plan, _)) in &self.plans {
            known.keep((*hash).to_owned(), (*plan).clone());
        }
    }

    /// The earliest moment of each type that is written.
    pub(crate) fn moments(&self) -> Vec<(Kind, Timestamp)> {
        let mut moments = BTreeMap::new();
        for row in &self.versions {
            let at = row.write.resource.last_updated;
            let earliest = moments.entry(row.key().kind).or_insert(at);
            *earliest = at.min(*earliest);
        }
        moments.into_iter().collect()
    }

    /// Timers to set, and timers to remove.
    pub(crate) fn timers(&self) -> (Vec<(&'a TimerId, Timestamp)>, Vec<&'a TimerId>) {
        let set = self.timers.iter().filter_map(|(id, due)| Some((*id, (*due)?)));
        let gone = self.timers.iter().filter(|(_, due)| due.is_none()).map(|(id, _)| *id);
        (set.collect(), gone.collect())
    }

    /// What kind of work a Task is, and which step: known from its messages.
    pub(crate) fn work(&self) -> HashMap<&'a str, (&'a str, &'a str)> {
        self.messages.iter().map(|m| (m.task.id.as_str(), (m.work.as_str(), m.step.as_str()))).collect()
    }

    /// Messages about Tasks of which no version is written here.
    pub(crate) fn unwritten(&self) -> Vec<&'a Message> {
        self.messages.iter().copied().filter(|message| !self.last.contains_key(&message.task)).collect()
    }
}

/// The run as `head` keeps it.
pub(crate) fn run_text(write: &HeadWrite) -> Result<Option<String>, Trouble> {
    let text = |run| serde_json::to_string(run).map_err(|_| Trouble::Failed("a run cannot be written".into()));
    write.head.run.as_ref().map(text).transpose()
}
