//! What the decisions of a batch that hold come to, together: each row written once, in its last state.

use std::collections::{BTreeMap, HashMap};

use hub_domain::decision::{Decision, HeadWrite, Message, TimerId};
use hub_domain::registry::{Method, Trouble};
use schemas::resource::{Key, Kind};
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::rows::{Current, Prepared};

/// A batch with the bodies of its versions made ready, before any lock is held.
pub(crate) struct Batch<'a> {
    pub(crate) decisions: &'a [Decision],
    prepared: Vec<Vec<Prepared<'a>>>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(decisions: &'a [Decision]) -> Self {
        let prepare = |decision: &'a Decision| decision.writes.iter().map(Prepared::new).collect();
        Self { decisions, prepared: decisions.iter().map(prepare).collect() }
    }

    /// Every root that the batch touches, in the order of locking.
    pub(crate) fn roots(&self) -> BTreeMap<Uuid, Vec<&'a HeadWrite>> {
        let mut roots: BTreeMap<Uuid, Vec<_>> = BTreeMap::new();
        for write in self.decisions.iter().flat_map(|decision| &decision.heads) {
            roots.entry(write.root).or_default().push(write);
        }
        roots
    }

    /// At most so many current rows are new.
    pub(crate) fn creates(&self, task: bool) -> i32 {
        let writes = self.decisions.iter().flat_map(|decision| &decision.writes);
        let creates =
            writes.filter(|w| w.method == Method::Create && (w.resource.key.kind == Kind::TASK) == task).count();
        i32::try_from(creates).unwrap_or(i32::MAX)
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

/// What happened to the current row of a resource.
pub(crate) struct Fate<'a, 'p> {
    /// The version before this batch; 0 when the resource is new.
    pub(crate) before: u32,
    pub(crate) last: &'p Prepared<'a>,
}

#[derive(Default)]
pub(crate) struct Changes<'a, 'p> {
    pub(crate) heads: BTreeMap<Uuid, &'a HeadWrite>,
    pub(crate) versions: Vec<&'p Prepared<'a>>,
    fates: BTreeMap<&'a Key, Fate<'a, 'p>>,
    pub(crate) messages: Vec<&'a Message>,
    /// None: removed.
    timers: HashMap<&'a TimerId, Option<Timestamp>>,
    pub(crate) plans: BTreeMap<&'a str, &'a str>,
}

impl<'a, 'p> Changes<'a, 'p> {
    fn add(&mut self, decision: &'a Decision, prepared: &'p [Prepared<'a>]) {
        self.heads.extend(decision.heads.iter().map(|write| (write.root, write)));
        for row in prepared {
            self.versions.push(row);
            let before = if row.write.method == Method::Create { 0 } else { row.version() - 1 };
            self.fates.entry(row.key()).or_insert(Fate { before, last: row }).last = row;
        }
        self.messages.extend(&decision.outbox);
        // Done first: firing a timer and setting it anew is one decision.
        self.timers.extend(decision.timers_done.iter().map(|id| (id, None)));
        self.timers.extend(decision.timers.iter().map(|timer| (&timer.id, Some(timer.due))));
        self.plans.extend(decision.plans.iter().map(|(hash, _, text)| (hash.as_str(), text.as_str())));
    }

    fn of_kind(&self, task: bool) -> impl Iterator<Item = (&'a Key, &Fate<'a, 'p>)> {
        let fates = self.fates.iter().map(|(key, fate)| (*key, fate));
        fates.filter(move |(key, _)| (key.kind == Kind::TASK) == task)
    }

    /// Rows to insert: (resource, its columns).
    pub(crate) fn born(&self, task: bool) -> Vec<(&'p Prepared<'a>, &'p Current)> {
        let born = self.of_kind(task).filter(|(_, fate)| fate.before == 0);
        born.filter_map(|(_, fate)| Some((fate.last, fate.last.current.as_ref()?))).collect()
    }

    /// Rows to update.
    pub(crate) fn moved(&self, task: bool) -> Vec<Moved<'a, 'p>> {
        let moved = self.of_kind(task).filter(|(_, fate)| fate.before > 0);
        moved
            .filter_map(|(_, fate)| {
                Some(Moved { row: fate.last, current: fate.last.current.as_ref()?, before: fate.before })
            })
            .collect()
    }

    /// Rows to delete, with the last version that was found by searches.
    pub(crate) fn gone(&self, task: bool) -> Vec<(&'a Key, u32)> {
        let gone = self.of_kind(task).filter(|(_, fate)| fate.before > 0 && fate.last.current.is_none());
        gone.map(|(key, fate)| (key, fate.before)).collect()
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
        self.messages.iter().copied().filter(|message| !self.fates.contains_key(&message.task)).collect()
    }
}

pub(crate) struct Moved<'a, 'p> {
    pub(crate) row: &'p Prepared<'a>,
    pub(crate) current: &'p Current,
    pub(crate) before: u32,
}

/// The run as `head` keeps it.
pub(crate) fn run_text(write: &HeadWrite) -> Result<Option<String>, Trouble> {
    let text = |run| serde_json::to_string(run).map_err(|_| Trouble::Failed("a run cannot be written".into()));
    write.head.run.as_ref().map(text).transpose()
}
