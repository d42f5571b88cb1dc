//! What is answered holds: nothing is told that follows from a commit before that commit is made, nor what follows from
//! two looks between which another hub committed.

#![expect(clippy::unwrap_used, reason = "a panic here is a failing test")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hub::backlog::Backlog;
use hub::engine::{Engine, Options, settled};
use hub_domain::command::{Act, Caller, Command, Interaction, On, Patch, Repeat};
use hub_domain::decide::Policy;
use hub_domain::decision::{Decision, Outgoing, OutgoingId, Timer};

use hub_domain::query::{Param, Query};
use hub_domain::registry::{Committed, Figures, HistoryOf, Page, Parked, Pointer, Registry, Stored, Trouble};
use hub_domain::scene::{Needs, Scene};
use hub_domain::workflow::{Catalogue, Offered};
use schemas::resource::{Key, Kind};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// A registry whose database goes away at the moment of the commit, while `away`.
struct Fragile {
    kept: Arc<dyn Registry>,
    away: AtomicBool,
    /// The next commit panics.
    breaks: AtomicBool,
    meanwhile: Mutex<Option<Meanwhile>>,
    /// What another hub does before the next commit.
    overtaken: Mutex<Option<(Engine, Command)>>,
}

/// What another hub does before the second of the looks that follow.
struct Meanwhile {
    first: bool,
    other: Engine,
    command: Command,
}

impl Fragile {
    fn new(kept: Arc<dyn Registry>, away: bool) -> Arc<Self> {
        Arc::new(Self {
            kept,
            away: AtomicBool::new(away),
            breaks: AtomicBool::default(),
            meanwhile: Mutex::default(),
            overtaken: Mutex::default(),
        })
    }

    fn meanwhile(&self) -> Option<Meanwhile> {
        let mut place = self.meanwhile.lock().unwrap();
        match place.as_mut() {
            Some(Meanwhile { first, .. }) if *first => {
                *first = false;
                None
            }
            _ => place.take(),
        }
    }
}

#[async_trait]
impl Registry for Fragile {
    async fn commit(&self, decisions: &[Decision]) -> Result<Vec<(Committed, Vec<OutgoingId>)>, Trouble> {
        let overtaken = self.overtaken.lock().unwrap().take();
        if let Some((other, command)) = overtaken {
            other.execute(command).await.unwrap();
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(Trouble::Unavailable("away".into()));
        }
        assert!(!self.breaks.swap(false, Ordering::SeqCst), "it breaks");
        self.kept.commit(decisions).await
    }
    async fn load(&self, needs: &[Needs]) -> Result<(Vec<Scene>, Timestamp), Trouble> {
        if let Some(Meanwhile { other, command, .. }) = self.meanwhile() {
            other.execute(command).await.unwrap();
        }
        self.kept.load(needs).await
    }
    async fn read(&self, keys: &[Key]) -> Result<Vec<Stored>, Trouble> {
        self.kept.read(keys).await
    }
    async fn version(&self, key: &Key, version: Option<u32>) -> Result<Option<Stored>, Trouble> {
        self.kept.version(key, version).await
    }
    async fn search(&self, query: &Query) -> Result<Page, Trouble> {
        self.kept.search(query).await
    }
    async fn count(&self, query: &Query) -> Result<u64, Trouble> {
        self.kept.count(query).await
    }
    async fn pointing(&self, to: &[Key], by: &[&'static Param], limit: u32) -> Result<Vec<Pointer>, Trouble> {
        self.kept.pointing(to, by, limit).await
    }

    async fn history(&self, of: &HistoryOf) -> Result<Page, Trouble> {
        self.kept.history(of).await
    }
    async fn root_of(&self, key: &Key) -> Result<Option<Uuid>, Trouble> {
        self.kept.root_of(key).await
    }
    async fn parts_of(&self, root: Uuid) -> Result<Vec<Stored>, Trouble> {
        self.kept.parts_of(root).await
    }
    async fn outgoing(&self, limit: u32, lease: Duration) -> Result<Vec<Outgoing>, Trouble> {
        self.kept.outgoing(limit, lease).await
    }
    async fn sent(&self, ids: &[OutgoingId]) -> Result<(), Trouble> {
        self.kept.sent(ids).await
    }
    async fn republish(&self) -> Result<u64, Trouble> {
        self.kept.republish().await
    }
    async fn due(&self, limit: u32, lease: Duration) -> Result<Vec<Timer>, Trouble> {
        self.kept.due(limit, lease).await
    }
    async fn park(&self, messages: &[Parked]) -> Result<(), Trouble> {
        self.kept.park(messages).await
    }
    async fn parked(&self, after: i64, limit: u32) -> Result<Vec<Parked>, Trouble> {
        self.kept.parked(after, limit).await
    }
    async fn unpark(&self, id: i64) -> Result<bool, Trouble> {
        self.kept.unpark(id).await
    }
    async fn prune(&self, kept: Duration, limit: u32) -> Result<u64, Trouble> {
        self.kept.prune(kept, limit).await
    }
    async fn index_anew(&self, limit: u32) -> Result<Option<u64>, Trouble> {
        self.kept.index_anew(limit).await
    }
    async fn figures(&self) -> Result<Figures, Trouble> {
        self.kept.figures().await
    }
    async fn health(&self) -> Result<(), Trouble> {
        self.kept.health().await
    }
    async fn close(&self) {
        self.kept.close().await;
    }
}

fn engine(registry: Arc<dyn Registry>, policy: Policy) -> Engine {
    let options = Options { lanes: 1, one_writer: true, batch_limit_commands: 16, queue_limit_commands: 16 };
    let (fresh, _) = mpsc::channel(16);
    Engine::start(registry, Arc::new(policy), options, fresh, Arc::new(Backlog::new(1000)), &TaskTracker::new())
}

fn submission() -> Command {
    let body = json!({
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "subject": { "reference": "Patient/1" },
    });
    let body = body.as_object().unwrap().clone();
    let repeat =
        Repeat { key: "local create ServiceRequest k".into(), fingerprint: "f".into(), called: "Idempotency-Key" };
    let create = Interaction::Create { kind: Kind::SERVICE_REQUEST, body: body.into(), unless: None };
    Command {
        id: repeat.command_id(),
        caller: Caller::Local,
        act: Act::alone(create),
        repeat: Some(repeat),
        traceparent: None,
    }
}

#[tokio::test]
async fn a_repeat_is_answered_only_when_the_first_is_committed() {
    let kept = hub_storage::open("sqlite::memory:", hub_storage::Options::default()).await.unwrap();
    let registry = Fragile::new(kept, true);
    let engine = engine(registry.clone(), Policy::default());
    // On this runtime of one thread the lane begins only when we wait: all of these are one batch.
    let twice = [engine.put(submission()).await, engine.put(submission()).await];
    for pending in twice {
        assert!(settled(pending).await.is_err(), "answered though nothing was committed");
    }
    registry.away.store(false, Ordering::SeqCst);
    let twice = [engine.put(submission()).await, engine.put(submission()).await];
    let mut answers = Vec::new();
    for pending in twice {
        answers.push(settled(pending).await.unwrap().reply);
    }
    assert_eq!(answers[0], answers[1]);
    assert!(
        registry.version(&Key::of_reference(&answers[0].entries[0].reference).unwrap(), None).await.unwrap().is_some()
    );
}

#[tokio::test]
async fn a_batch_that_breaks_fails_its_own_commands_and_the_lane_goes_on() {
    let kept = hub_storage::open("sqlite::memory:", hub_storage::Options::default()).await.unwrap();
    let registry = Fragile::new(kept, false);
    let engine = engine(registry.clone(), Policy::default());
    registry.breaks.store(true, Ordering::SeqCst);
    assert!(engine.execute(submission()).await.is_err());
    // Of the same order: the lane that broke does not hold it any more.
    engine.execute(submission()).await.unwrap();
}

/// A step that is followed by another one than the next.
fn plan() -> Value {
    let role = json!({ "coding": [{ "system": "urn:fhir-workflow-hub:work", "code": "clinic" }] });
    let step = |id: &str| json!({ "id": id, "participant": [{ "type": "practitioner", "role": role }] });
    let mut last = step("last");
    last["relatedAction"] = json!([{ "actionId": "first", "relationship": "after-end" }]);
    let trigger = json!([{ "type": "data-added", "data": [{ "type": "ServiceRequest" }] }]);
    json!({
        "resourceType": "PlanDefinition",
        "url": "urn:test:plan",
        "status": "active",
        "action": [{ "id": "whole", "trigger": trigger, "action": [step("first"), step("beside"), last] }],
    })
}

/// Sets elements of what is there.
fn setting(reference: &str, elements: Value) -> Command {
    let (on, patch) = (On::Key(Key::of_reference(reference).unwrap()), elements.as_object().unwrap().clone());
    let act = Act::alone(Interaction::Patch { on, patch: Patch::Merge(patch), if_match: None });
    Command { id: Uuid::now_v7(), caller: Caller::Local, act, repeat: None, traceparent: None }
}

/// One hub completes a step, and another one revokes the request, after the first has seen the order, and before it has
/// seen the step that it releases: that this one does not go from cancelled to requested is nobody's fault.
#[tokio::test]
async fn what_follows_from_two_moments_is_decided_again() {
    let kept = hub_storage::open("sqlite::memory:", hub_storage::Options::default()).await.unwrap();
    let plans = || Catalogue::new(vec![Offered::read(&plan().to_string()).unwrap()]).unwrap();
    let policy = || Policy { catalogue: plans(), ..Policy::default() };
    let registry = Fragile::new(kept.clone(), false);
    let (one, other) = (engine(registry.clone(), policy()), engine(kept, policy()));
    let mut submission = submission();
    if let Act::Change(entries) = &mut submission.act
        && let Interaction::Create { body, .. } = &mut entries[0].interaction
    {
        let mut active = body.clone().into_body();
        active.insert("status".into(), "active".into());
        *body = active.into();
    }
    let submitted = one.execute(submission).await.unwrap().reply.entries.remove(0);
    let first = submitted.fulfilment.unwrap().replace(".0", ".2");
    let claim = json!({ "status": "accepted", "owner": { "reference": "Organization/a" } });
    one.execute(setting(&first, claim)).await.unwrap();
    one.execute(setting(&first, json!({ "status": "in-progress" }))).await.unwrap();

    let command = setting(&submitted.reference, json!({ "status": "revoked" }));
    *registry.meanwhile.lock().unwrap() = Some(Meanwhile { first: true, other, command });
    let completed = one.execute(setting(&first, json!({ "status": "completed" }))).await;
    assert!(registry.meanwhile.lock().unwrap().is_none(), "it looked twice");
    assert!(completed.is_ok(), "{completed:?}");
}

/// Two placers revoke a request at once, and another hub completes it before that is committed. The second changed nothing,
/// as it would have been revoked by then: it must not be told so.
#[tokio::test]
async fn who_changes_nothing_after_what_is_not_committed_is_decided_again() {
    let kept = hub_storage::open("sqlite::memory:", hub_storage::Options::default()).await.unwrap();
    let registry = Fragile::new(kept.clone(), false);
    let (one, other) = (engine(registry.clone(), Policy::default()), engine(kept, Policy::default()));
    let request = one.execute(submission()).await.unwrap().reply.entries.remove(0).reference;
    let says = |status: &str, key: Option<&str>| {
        let repeat = key.map(|key| Repeat { key: key.into(), fingerprint: "f".into(), called: "Idempotency-Key" });
        Command { repeat, ..setting(&request, json!({ "status": status })) }
    };
    *registry.overtaken.lock().unwrap() = Some((other, says("completed", None)));
    let both = [one.put(says("revoked", Some("k1"))).await, one.put(says("revoked", Some("k2"))).await];
    for pending in both {
        let answer = settled(pending).await;
        assert!(answer.is_err(), "told that it is revoked: {answer:?}");
    }
    assert!(registry.overtaken.lock().unwrap().is_none(), "the other hub was first");
}
