//! A transport that dies at a chosen moment, or breaks its promise: for those who prove that the promise matters.
//! Only with the feature `faults`, which no shipped binary has.
//!
//! `HUB_FAULT` says which: `crash:after-publish`, `crash:before-completed`, `crash:after-answer` (the first time) or
//! `crash:after-answer:2` (the second), or `break:confirm`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::queue::{
    Consumer, Depth, Generation, Message, Place, PublishError, Publisher, Routing, Source, Transport, Trouble,
};

/// How long a message that nobody awaits the confirm of is in this process and its sockets only. On a fast machine it is
/// less; then a kill seldom meets it, and a short run would find nothing.
const IN_BUFFERS: Duration = Duration::from_millis(300);

/// The transport, with the fault that the environment asks for.
pub(crate) fn armed(transport: Arc<dyn Transport>) -> Arc<dyn Transport> {
    match std::env::var("HUB_FAULT") {
        Ok(fault) => Arc::new(Faulty { inner: transport, fault, passed: AtomicU32::new(0) }),
        Err(_) => transport,
    }
}

struct Faulty {
    inner: Arc<dyn Transport>,
    fault: String,
    /// How often the moment of a crash came.
    passed: AtomicU32,
}

impl Faulty {
    /// Ends the process when this is the moment: no destructor, no last word.
    fn moment(&self, name: &str) {
        let Some(wanted) = self.fault.strip_prefix("crash:").and_then(|fault| fault.strip_prefix(name)) else { return };
        let wanted = wanted.strip_prefix(':').unwrap_or("1");
        let passed = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if wanted.parse() == Ok(passed) {
            std::process::abort();
        }
    }
}

#[async_trait]
impl Publisher for Faulty {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PublishError>> {
        if messages.iter().any(says_completed) {
            self.moment("before-completed");
        }
        if self.fault == "break:confirm" {
            let (inner, messages) = (self.inner.clone(), messages.to_vec());
            let told = messages.iter().map(|_| Ok(())).collect();
            tokio::spawn(async move {
                tokio::time::sleep(IN_BUFFERS).await;
                inner.publish(&messages).await
            });
            return told;
        }
        let results = self.inner.publish(messages).await;
        if messages.iter().any(|message| matches!(message.routing, Routing::Work { .. })) {
            self.moment("after-publish");
        }
        results
    }
}

/// A worker's last word on work that is done.
fn says_completed(message: &Message) -> bool {
    let act = br#""act":"completed""#;
    message.routing == Routing::Reports && message.body.windows(act.len()).any(|part| part == act)
}

#[async_trait]
impl Transport for Faulty {
    async fn consume(&self, source: Source, prefetch: u16) -> Result<Box<dyn Consumer>, Trouble> {
        self.inner.consume(source, prefetch).await
    }

    async fn reply(&self, to: &str, message: &Message) -> Result<(), PublishError> {
        let replied = self.inner.reply(to, message).await;
        self.moment("after-answer");
        replied
    }

    async fn ensure(&self, places: &[Place]) -> Result<(), Trouble> {
        self.inner.ensure(places).await
    }

    fn generation(&self) -> watch::Receiver<Generation> {
        self.inner.generation()
    }

    async fn filled(&self) -> Result<(), Trouble> {
        self.inner.filled().await
    }

    fn health(&self) -> Result<(), String> {
        self.inner.health()
    }

    async fn depths(&self) -> Result<Vec<Depth>, Trouble> {
        self.inner.depths().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
