//! SQLite's log, cut wherever a crash may have cut it: what is found again is what was committed before the cut, whole,
//! and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use hub_domain::decision::{Decision, Timer, TimerId};
use hub_domain::registry::{Committed, Registry};
use hub_domain::scene::Needs;
use hub_storage::{ClockOffset, Options};
use schemas::resource::{Key, Kind};
use schemas::task::Priority;
use schemas::time::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::build::*;
use crate::place::{Place, options};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// More than lies in the log: the last is for a log that lost nothing.
const BATCHES: u128 = 4;
const HOUR_US: i64 = 3_600_000_000;

/// One page of the log.
struct Frame {
    from: usize,
    to: usize,
    /// With it a transaction is complete.
    commits: bool,
}

fn frames(log: &[u8]) -> Vec<Frame> {
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let bytes = FRAME_HEADER_BYTES + number(8) as usize;
    let starts = (HEADER_BYTES..log.len()).step_by(bytes);
    starts.map(|from| Frame { from, to: from + bytes, commits: number(from + 4) != 0 }).collect()
}

/// Every order has a request and two Tasks; the second batch moves the orders of the first on, and so forth.
fn batch(number: u128, at: Timestamp) -> Vec<Decision> {
    let new = (0..2).map(|n| submission(number * 10 + n, at));
    let moved = (0..2).filter(|_| number > 0).map(|n| step(number * 10 - 10 + n, at));
    new.chain(moved).collect()
}

fn task(order: u128, step: u32) -> Key {
    Key::task(format!("{}.{step}", root(order)))
}

fn submission(order: u128, at: Timestamp) -> Decision {
    let request = Key::new(Kind::parse("ServiceRequest").unwrap(), root(order).to_string());
    let decision = deciding(at).on(root(order), None).creates(root(order), request, json!({ "status": "active" }));
    let decision = decision.creates(root(order), task(order, 0), json!({ "status": "requested" }));
    let decision = decision.creates(root(order), task(order, 1), json!({ "status": "requested" }));
    let decision = decision.tells(&task(order, 1), 1, Priority::Routine).receipt(&format!("submission {order}"));
    let mut decision = decision.claims(&identifier(Kind::TASK, &order.to_string()), &order.to_string()).done();
    decision.timers = vec![timer(order, "lease.1", at), timer(order, "wait.2", at)];
    decision
}

/// The first Task is accepted, and the whole with it.
fn step(order: u128, at: Timestamp) -> Decision {
    let accepted = json!({ "status": "accepted" });
    let decision = deciding(at).on(root(order), Some(1)).updates(root(order), task(order, 0), 2, accepted.clone());
    let decision = decision.updates(root(order), task(order, 1), 2, accepted).receipt(&format!("step {order}"));
    let mut decision = decision.tells(&task(order, 1), 2, Priority::Routine).done();
    decision.timers_done = vec![timer(order, "lease.1", at).id];
    decision
}

fn timer(order: u128, name: &str, due: Timestamp) -> Timer {
    Timer { id: TimerId { root: root(order), name: name.into() }, due }
}

/// All that a registry holds of these orders.
#[derive(Debug, Default, PartialEq, Eq)]
struct State {
    heads: BTreeMap<Uuid, u64>,
    /// All versions that there are of each.
    versions: BTreeMap<Key, Vec<u32>>,
    receipts: BTreeSet<String>,
    held: BTreeSet<String>,
    outbox: Vec<(Key, u32)>,
    timers: BTreeSet<(Uuid, String)>,
}

impl State {
    /// As these decisions leave it.
    fn after<'d>(decisions: impl Iterator<Item = &'d Decision>) -> Self {
        let mut state = Self::default();
        for decision in decisions {
            state.heads.extend(decision.heads.iter().map(|write| (write.root, write.head.version)));
            for write in &decision.writes {
                let versions = state.versions.entry(write.resource.key.clone()).or_default();
                versions.push(write.resource.version);
            }
            state.receipts.extend(decision.receipts.iter().map(|receipt| receipt.key.clone()));
            state.held.extend(decision.claims.iter().map(|(identifier, _)| identifier.value.clone()));
            state.outbox.extend(decision.outbox.iter().map(|message| (message.task.clone(), message.version)));
            let key = |id: &TimerId| (id.root, id.name.clone());
            state.timers.extend(decision.timers.iter().map(|timer| key(&timer.id)));
            decision.timers_done.iter().for_each(|id| assert!(state.timers.remove(&key(id))));
        }
        state
    }

    /// As a registry shows it that is an hour ahead: nothing is leased to anybody, and every timer is due.
    async fn of(registry: &dyn Registry, all: &Self) -> Self {
        let needs = Needs {
            roots: all.heads.keys().copied().collect(),
            receipts: all.receipts.iter().cloned().collect(),
            identifiers: all.held.iter().map(|value| identifier(Kind::TASK, value)).collect(),
            ..Needs::default()
        };
        let scene = registry.load(&[needs]).await.unwrap().0.remove(0);
        let mut state = Self::default();
        state.heads.extend(scene.heads.into_iter().map(|(root, head)| (root, head.version)));
        state.receipts.extend(scene.receipts.into_keys());
        state.held.extend(scene.identified.into_iter().filter(|(_, ids)| !ids.is_empty()).map(|(id, _)| id.value));
        for (key, versions) in &all.versions {
            let newest = registry.version(key, None).await.unwrap().map_or(0, |stored| stored.version);
            for version in 1..=*versions.last().unwrap() {
                if registry.version(key, Some(version)).await.unwrap().is_some() {
                    state.versions.entry(key.clone()).or_default().push(version);
                }
            }
            assert_eq!(state.versions.get(key).map_or(0, |all| *all.last().unwrap()), newest);
        }
        for root in state.heads.keys() {
            let tasks = registry.parts_of(*root).await.unwrap();
            let tasks: Vec<_> = tasks.into_iter().filter(|part| part.key.kind == Kind::TASK).collect();
            assert!(tasks.iter().all(|task| state.versions[&task.key].last() == Some(&task.version)));
            assert_eq!(tasks.len(), 2, "an order has all of its Tasks");
        }
        let outgoing = registry.outgoing(100, std::time::Duration::ZERO).await.unwrap();
        state.outbox.extend(outgoing.into_iter().map(|outgoing| (outgoing.message.task, outgoing.message.version)));
        let due = registry.due(100, std::time::Duration::ZERO).await.unwrap();
        state.timers.extend(due.into_iter().map(|timer| (timer.id.root, timer.id.name)));
        state
    }
}

/// A database whose log was never written back, and the batches that it holds but for the last.
struct Crashed {
    database: Vec<u8>,
    log: Vec<u8>,
    batches: Vec<Vec<Decision>>,
    /// Where the log ended after each.
    ends: Vec<usize>,
}

impl Crashed {
    async fn after_some_batches() -> Self {
        let place = Place::sqlite().await;
        let path = place.url.strip_prefix("sqlite:").unwrap().to_owned();
        let at = now(&*place.registry).await;
        let batches: Vec<_> = (0..BATCHES).map(|number| batch(number, at)).collect();
        let mut ends = Vec::new();
        for batch in &batches[..batches.len() - 1] {
            assert!(commit(&*place.registry, batch).await.iter().all(|done| *done == Committed::Done));
            ends.push(fs::read(format!("{path}-wal")).unwrap().len());
        }
        // Copied while it is open: closing writes the log back.
        let (database, log) = (fs::read(&path).unwrap(), fs::read(format!("{path}-wal")).unwrap());
        place.registry.close().await;
        Self { database, log, batches, ends }
    }

    /// Opens it with this log, of which so much is sound, and looks for what must be there. Then the next batch must
    /// find its place.
    async fn holds_what_was_committed(&self, log: &[u8], sound_bytes: usize) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.db");
        fs::write(&path, &self.database).unwrap();
        fs::write(path.with_extension("db-wal"), log).unwrap();
        let ahead = Options { clock_offset: ClockOffset::of_us(HOUR_US), fresh_lease_ms: 0, ..options() };
        let registry = hub_storage::open(&format!("sqlite:{}", path.display()), ahead).await.unwrap();

        let count = self.ends.iter().filter(|end| **end <= sound_bytes).count();
        let all = State::after(self.batches.iter().flatten());
        let expected = State::after(self.batches[..count].iter().flatten());
        assert_eq!(State::of(&*registry, &all).await, expected, "{sound_bytes} sound bytes of the log");
        let next = commit(&*registry, &self.batches[count]).await;
        assert!(next.iter().all(|done| *done == Committed::Done), "{next:?}");
        let expected = State::after(self.batches[..=count].iter().flatten());
        assert_eq!(State::of(&*registry, &all).await, expected);
        registry.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_ends_anywhere_holds_whole_commits() {
    let crashed = Crashed::after_some_batches().await;
    let frames = frames(&crashed.log);
    let commits: Vec<usize> = frames.iter().filter(|frame| frame.commits).map(|frame| frame.to).collect();
    assert!(commits.ends_with(&crashed.ends), "each batch is one transaction");
    // What comes before is the schema.
    let first = frames.iter().position(|frame| frame.to > commits[commits.len() - crashed.ends.len() - 1]).unwrap();
    for (n, frame) in frames.iter().enumerate().skip(first) {
        crashed.holds_what_was_committed(&crashed.log[..frame.from], frame.from).await;
        if n % 8 == 0 {
            let cut = frame.from + 1 + n * 797 % (frame.to - frame.from - 1);
            crashed.holds_what_was_committed(&crashed.log[..cut], frame.from).await;
            let mut flipped = crashed.log.clone();
            flipped[cut] ^= 0x10;
            crashed.holds_what_was_committed(&flipped, frame.from).await;
        }
    }
    crashed.holds_what_was_committed(&crashed.log, crashed.log.len()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_ends_within_the_schema_is_begun_anew() {
    let crashed = Crashed::after_some_batches().await;
    let frames = frames(&crashed.log);
    for frame in frames.iter().take_while(|frame| frame.to < crashed.ends[0]).step_by(12) {
        crashed.holds_what_was_committed(&crashed.log[..frame.from], frame.from).await;
    }
}
