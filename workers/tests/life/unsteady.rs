//! A transport whose broker is away now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use hub_transport::{Consumer, Depth, Generation, Message, Place, PublishError, Publisher, Source, Transport, Trouble};
use tokio::sync::watch;

pub(crate) struct Unsteady {
    pub(crate) steady: Arc<dyn Transport>,
    /// So many publishes are taken by nobody.
    pub(crate) losses: AtomicUsize,
    /// So many more arrive, but their confirm does not.
    pub(crate) lost_confirms: AtomicUsize,
}

fn take_one(from: &AtomicUsize) -> bool {
    from.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl Publisher for Unsteady {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PublishError>> {
        let away = || vec![Err(PublishError::Disconnected("as the test asked".into())); messages.len()];
        if take_one(&self.losses) {
            return away();
        }
        let results = self.steady.publish(messages).await;
        if take_one(&self.lost_confirms) { away() } else { results }
    }
}

#[async_trait]
impl Transport for Unsteady {
    async fn consume(&self, source: Source, prefetch: u16) -> Result<Box<dyn Consumer>, Trouble> {
        self.steady.consume(source, prefetch).await
    }

    async fn reply(&self, to: &str, message: &Message) -> Result<(), PublishError> {
        self.steady.reply(to, message).await
    }

    async fn ensure(&self, places: &[Place]) -> Result<(), Trouble> {
        self.steady.ensure(places).await
    }

    fn generation(&self) -> watch::Receiver<Generation> {
        self.steady.generation()
    }

    async fn filled(&self) -> Result<(), Trouble> {
        self.steady.filled().await
    }

    fn health(&self) -> Result<(), String> {
        self.steady.health()
    }

    async fn depths(&self) -> Result<Vec<Depth>, Trouble> {
        self.steady.depths().await
    }

    async fn close(&self) {
        self.steady.close().await;
    }
}
