//! How much is committed and not yet sent, so that new orders can be refused when the broker stays away.
//!
//! Nobody counts for a request. A job counts about once a second; what this hub commits and sends in between is added
//! and taken away in memory. What other hubs on the same outbox do is seen with the next count, so that the bound is
//! overshot by about a second's worth.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hub_domain::registry::Registry;
use tokio_util::sync::CancellationToken;

/// How often the outbox is counted, unless that takes long.
const PAUSE: Duration = Duration::from_secs(1);
/// After a count so many times its own length passes: a full outbox shall not be counted all the time.
const REST: u32 = 20;

/// The outbox as the door sees it.
#[derive(Debug)]
pub struct Backlog {
    messages: AtomicU64,
    /// All that this hub ever committed.
    grown: AtomicU64,
    full: AtomicBool,
    limit_messages: u64,
}

impl Backlog {
    /// Empty, and full at `limit_messages`.
    pub fn new(limit_messages: u64) -> Self {
        Self { messages: AtomicU64::new(0), grown: AtomicU64::new(0), full: AtomicBool::new(false), limit_messages }
    }

    /// Whether new work has to wait: from the limit on, until a tenth of it has left.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// So many were committed.
    pub(crate) fn grew(&self, messages: usize) {
        let messages = messages as u64;
        self.grown.fetch_add(messages, Ordering::Relaxed);
        self.judge(self.messages.fetch_add(messages, Ordering::Relaxed).saturating_add(messages));
    }

    /// So many were sent.
    pub(crate) fn shrank(&self, messages: usize) {
        // Some may have been committed by another hub since the last count.
        let less = |depth: u64| Some(depth.saturating_sub(messages as u64));
        let before = self.messages.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).unwrap_or_else(|same| same);
        self.judge(before.saturating_sub(messages as u64));
    }

    /// So many there are, and so many were already `grown` when it was begun to count. What was committed meanwhile may
    /// be in the count or not: it is added, for a full outbox shall not look as if it had room.
    fn counted(&self, messages: u64, grown: u64) {
        let messages = messages.saturating_add(self.grown.load(Ordering::Relaxed) - grown);
        self.messages.store(messages, Ordering::Relaxed);
        self.judge(messages);
    }

    /// Two marks, so that the door does not open and shut with every message.
    fn judge(&self, messages: u64) {
        let drained = self.limit_messages - self.limit_messages.div_ceil(10);
        if messages >= self.limit_messages && !self.full.swap(true, Ordering::Relaxed) {
            tracing::warn!(outbox.messages = messages, "the outbox is full: new orders are refused until it drains");
        } else if messages <= drained && self.is_full() && self.full.swap(false, Ordering::Relaxed) {
            tracing::info!(outbox.messages = messages, "the outbox has drained: new orders are accepted again");
        }
    }

    /// Counts, until it is stopped.
    pub(crate) async fn watch(self: Arc<Self>, registry: Arc<dyn Registry>, stop: CancellationToken) {
        loop {
            let (begin, grown) = (Instant::now(), self.grown.load(Ordering::Relaxed));
            match registry.outbox_depth(self.limit_messages).await {
                Ok(messages) => self.counted(messages, grown),
                // Without the database nothing is committed either.
                Err(trouble) => tracing::debug!(cause = %trouble, "the outbox cannot be counted"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE.max(begin.elapsed() * REST)) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_full_at_its_limit_and_until_a_tenth_has_left() {
        let backlog = Backlog::new(20);
        backlog.counted(17, 0);
        backlog.grew(2);
        assert!(!backlog.is_full());
        backlog.grew(1);
        assert!(backlog.is_full());
        backlog.shrank(1);
        assert!(backlog.is_full(), "19 of 20: it would be full again at once");
        backlog.shrank(1);
        assert!(!backlog.is_full());
    }

    #[test]
    fn a_count_corrects_what_was_added_up() {
        let backlog = Backlog::new(20);
        backlog.grew(15);
        backlog.counted(25, 15);
        assert!(backlog.is_full());
        backlog.counted(0, 15);
        backlog.shrank(5);
        backlog.grew(19);
        assert!(!backlog.is_full(), "what others had committed and we sent leaves no debt");
    }

    #[test]
    fn what_is_committed_while_it_counts_is_not_forgotten() {
        let backlog = Backlog::new(5);
        backlog.grew(4);
        let grown = backlog.grown.load(Ordering::Relaxed);
        backlog.grew(1);
        backlog.counted(4, grown);
        assert!(backlog.is_full());
    }

    #[test]
    fn a_limit_of_one_opens_again() {
        let backlog = Backlog::new(1);
        backlog.grew(1);
        assert!(backlog.is_full());
        backlog.shrank(1);
        assert!(!backlog.is_full());
    }
}
