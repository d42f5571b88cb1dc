//! A registry that dies at a chosen moment, or breaks one of its promises: for those who prove that the promises
//! matter. Only with the feature `faults`, which no shipped binary has.
//!
//! `HUB_FAULT` says which: `crash:after-commit` (the first time) or `crash:after-report:3` (the third), or
//! `break:outbox`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hub_domain::decision::{Decision, Outgoing, OutgoingId, Timer};
use hub_domain::query::{Param, Query};
use hub_domain::registry::{Committed, Figures, HistoryOf, Page, Parked, Pointer, Registry, Stored, Trouble};
use hub_domain::scene::{Needs, Scene};
use schemas::resource::{Key, Resource};
use schemas::time::Timestamp;
use uuid::Uuid;

type Outcome = (Committed, Vec<OutgoingId>);

/// How long what is to be sent is known to this process only. On a fast machine it is less; then a kill seldom meets it,
/// and a short run would find nothing.
const BETWEEN: Duration = Duration::from_millis(100);

/// The registry, with the fault that the environment asks for.
pub(crate) fn armed(registry: Arc<dyn Registry>) -> Arc<dyn Registry> {
    match std::env::var("HUB_FAULT") {
        Ok(fault) => Arc::new(Faulty { inner: registry, fault, passed: AtomicU32::new(0), made_up: AtomicI64::new(0) }),
        Err(_) => registry,
    }
}

struct Faulty {
    inner: Arc<dyn Registry>,
    fault: String,
    /// How often the moment of a crash came.
    passed: AtomicU32,
    /// The last id of a message that is in no outbox.
    made_up: AtomicI64,
}

impl Faulty {
    /// Ends the process when this is the moment: no destructor, no last write.
    fn moment(&self, name: &str) {
        let Some(wanted) = self.fault.strip_prefix("crash:").and_then(|fault| fault.strip_prefix(name)) else { return };
        let wanted = wanted.strip_prefix(':').unwrap_or("1");
        let passed = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if wanted.parse() == Ok(passed) {
            std::process::abort();
        }
    }

    fn breaks(&self, promise: &str) -> bool {
        self.fault.strip_prefix("break:") == Some(promise)
    }

    /// The change and the promise to tell it are two things: what is to be sent is known to this process only.
    async fn commit_without_outbox(&self, decisions: &[Decision]) -> Result<Vec<Outcome>, Trouble> {
        let silent: Vec<Decision> =
            decisions.iter().map(|decision| Decision { outbox: Vec::new(), ..decision.clone() }).collect();
        let mut outcomes = self.inner.commit(&silent).await?;
        for ((committed, ids), decision) in outcomes.iter_mut().zip(decisions) {
            if *committed == Committed::Done {
                let next = || OutgoingId(self.made_up.fetch_sub(1, Ordering::SeqCst) - 1);
                *ids = decision.outbox.iter().map(|_| next()).collect();
            }
        }
        tokio::time::sleep(BETWEEN).await;
        Ok(outcomes)
    }

    /// Whoever writes last is right, whatever was there before.
    async fn commit_over(&self, decisions: &[Decision]) -> Result<Vec<Outcome>, Trouble> {
        let mut outcomes = Vec::with_capacity(decisions.len());
        for decision in decisions {
            let mut overtaken = 0;
            loop {
                let bold = self.on_top(decision.clone()).await?;
                let outcome = self.inner.commit(std::slice::from_ref(&bold)).await?.remove(0);
                overtaken += 1;
                if outcome.0 != Committed::Stale || overtaken > 20 {
                    outcomes.push(outcome);
                    break;
                }
            }
        }
        Ok(outcomes)
    }

    /// The decision as if it had been made upon what is there now.
    async fn on_top(&self, mut decision: Decision) -> Result<Decision, Trouble> {
        let needs = Needs {
            roots: decision.heads.iter().map(|head| head.root).collect(),
            resources: decision.writes.iter().map(|write| write.resource.key.clone()).collect(),
            ..Needs::default()
        };
        let scene = self.inner.load(&[needs]).await?.0.remove(0);
        for write in &mut decision.heads {
            if let Some(head) = scene.heads.get(&write.root) {
                write.expected = Some(head.version);
                write.head.version = head.version + 1;
            }
        }
        let mut newest = scene.resources;
        for write in &mut decision.writes {
            let Resource { key, last_updated, body, .. } = write.resource.clone();
            write.before = newest.get(&key).cloned();
            let version = write.before.as_ref().map_or(0, |before| before.version) + 1;
            write.resource = Resource::new(key.clone(), version, last_updated, body.into_body());
            newest.insert(key, write.resource.clone());
        }
        Ok(decision)
    }
}

#[async_trait]
impl Registry for Faulty {
    async fn load(&self, needs: &[Needs]) -> Result<(Vec<Scene>, Timestamp), Trouble> {
        let (mut scenes, now) = self.inner.load(needs).await?;
        if self.breaks("receipt") {
            scenes.iter_mut().for_each(|scene| scene.receipts.clear());
        }
        Ok((scenes, now))
    }

    async fn commit(&self, decisions: &[Decision]) -> Result<Vec<Outcome>, Trouble> {
        let outcomes = if self.breaks("outbox") {
            self.commit_without_outbox(decisions).await?
        } else if self.breaks("version") {
            self.commit_over(decisions).await?
        } else if self.breaks("receipt") {
            let forgetful: Vec<Decision> =
                decisions.iter().map(|decision| Decision { receipts: Vec::new(), ..decision.clone() }).collect();
            self.inner.commit(&forgetful).await?
        } else {
            self.inner.commit(decisions).await?
        };
        if decisions.iter().any(|decision| !decision.outbox.is_empty()) {
            self.moment("after-commit");
        }
        if decisions.iter().any(|decision| decision.reply.report.is_some()) {
            self.moment("after-report");
        }
        Ok(outcomes)
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Stored>, Trouble> {
        self.inner.read(keys).await
    }

    async fn version(&self, key: &Key, version: Option<u32>) -> Result<Option<Stored>, Trouble> {
        self.inner.version(key, version).await
    }

    async fn search(&self, query: &Query) -> Result<Page, Trouble> {
        self.inner.search(query).await
    }

    async fn count(&self, query: &Query) -> Result<u64, Trouble> {
        self.inner.count(query).await
    }

    async fn pointing(&self, to: &[Key], by: &[&'static Param], limit: u32) -> Result<Vec<Pointer>, Trouble> {
        self.inner.pointing(to, by, limit).await
    }

    async fn history(&self, of: &HistoryOf) -> Result<Page, Trouble> {
        self.inner.history(of).await
    }

    async fn root_of(&self, key: &Key) -> Result<Option<Uuid>, Trouble> {
        self.inner.root_of(key).await
    }

    async fn parts_of(&self, root: Uuid) -> Result<Vec<Stored>, Trouble> {
        self.inner.parts_of(root).await
    }

    async fn outgoing(&self, limit: u32, lease: Duration) -> Result<Vec<Outgoing>, Trouble> {
        self.inner.outgoing(limit, lease).await
    }

    async fn sent(&self, ids: &[OutgoingId]) -> Result<(), Trouble> {
        if !ids.is_empty() {
            self.moment("after-confirm");
        }
        self.inner.sent(ids).await
    }

    async fn republish(&self) -> Result<u64, Trouble> {
        self.inner.republish().await
    }

    async fn due(&self, limit: u32, lease: Duration) -> Result<Vec<Timer>, Trouble> {
        self.inner.due(limit, lease).await
    }

    async fn park(&self, messages: &[Parked]) -> Result<(), Trouble> {
        self.inner.park(messages).await
    }

    async fn parked(&self, after: i64, limit: u32) -> Result<Vec<Parked>, Trouble> {
        self.inner.parked(after, limit).await
    }

    async fn unpark(&self, id: i64) -> Result<bool, Trouble> {
        self.inner.unpark(id).await
    }

    async fn prune(&self, kept: Duration, limit: u32) -> Result<u64, Trouble> {
        self.inner.prune(kept, limit).await
    }

    async fn index_anew(&self, limit: u32) -> Result<Option<u64>, Trouble> {
        self.inner.index_anew(limit).await
    }

    async fn figures(&self) -> Result<Figures, Trouble> {
        self.inner.figures().await
    }

    async fn health(&self) -> Result<(), Trouble> {
        self.inner.health().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
