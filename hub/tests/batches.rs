//! What is answered holds: nothing is told that follows from a commit before that commit is made.

#![expect(clippy::unwrap_used, reason = "a panic here is a failing test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hub::backlog::Backlog;
use hub::engine::{Engine, Options, settled};
use hub_domain::command::{Act, Caller, Command, Interaction, Repeat};
use hub_domain::decide::Policy;
use hub_domain::decision::{Decision, Outgoing, OutgoingId, Timer};
use hub_domain::query::Query;
use hub_domain::registry::{Committed, Figures, HistoryOf, Page, Parked, Registry, Stored, Trouble};
use hub_domain::scene::{Needs, Scene};
use schemas::resource::{Key, Kind};
use schemas::time::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// A registry whose database goes away at the moment of the commit, while `away`.
struct Fragile {
    kept: Arc<dyn Registry>,
    away: AtomicBool,
}

#[async_trait]
impl Registry for Fragile {
    async fn commit(&self, decisions: &[Decision]) -> Result<Vec<(Committed, Vec<OutgoingId>)>, Trouble> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Trouble::Unavailable("away".into()));
        }
        self.kept.commit(decisions).await
    }
    async fn load(&self, needs: &[Needs]) -> Result<(Vec<Scene>, Timestamp), Trouble> {
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
    async fn history(&self, of: &HistoryOf) -> Result<Page, Trouble> {
        self.kept.history(of).await
    }
    async fn root_of(&self, key: &Key) -> Result<Option<Uuid>, Trouble> {
        self.kept.root_of(key).await
    }
    async fn tasks_of(&self, root: Uuid) -> Result<Vec<Stored>, Trouble> {
        self.kept.tasks_of(root).await
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
    let create = Interaction::Create { kind: Kind::SERVICE_REQUEST, body, unless: None };
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
    let registry = Arc::new(Fragile { kept, away: AtomicBool::new(true) });
    let options = Options { lanes: 1, batch_limit_commands: 16, queue_limit_commands: 16 };
    let (fresh, _receiver) = mpsc::channel(16);
    let (policy, backlog) = (Arc::new(Policy::default()), Arc::new(Backlog::new(1000)));
    let engine = Engine::start(registry.clone(), policy, options, fresh, backlog, &TaskTracker::new());
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
