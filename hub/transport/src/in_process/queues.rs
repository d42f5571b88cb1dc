//! The queues themselves: names and what waits in each.

use std::collections::{BTreeMap, VecDeque};

use crate::queue::{Depth, Message, PublishError};

pub(super) const REPORTS: &str = "reports";
pub(super) const PARKED: &str = "parked";
/// A reply queue belongs to one consumer and is of no interest to a metric.
pub(super) const REPLIES_PREFIX: &str = "replies.";

pub(super) struct Queues {
    by_name: BTreeMap<String, VecDeque<Waiting>>,
    limit_messages: usize,
    closed: bool,
}

#[derive(Clone)]
pub(super) struct Waiting {
    pub(super) message: Message,
    pub(super) attempts: u32,
    pub(super) redelivered: bool,
    pub(super) parked_why: Option<String>,
}

impl Waiting {
    pub(super) fn new(message: Message) -> Waiting {
        Waiting { message, attempts: 0, redelivered: false, parked_why: None }
    }
}

impl Queues {
    pub(super) fn new(limit_messages: usize) -> Queues {
        let mut queues = Queues { by_name: BTreeMap::new(), limit_messages, closed: false };
        queues.make(REPORTS);
        queues.make(PARKED);
        queues
    }

    pub(super) fn make(&mut self, name: &str) {
        self.by_name.entry(name.to_owned()).or_default();
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// Behind all others: what is new.
    pub(super) fn put(&mut self, name: &str, waiting: Waiting) -> Result<(), PublishError> {
        if self.closed {
            return Err(PublishError::Disconnected("closed".to_owned()));
        }
        let queue = self.by_name.get_mut(name).ok_or_else(|| PublishError::Unroutable(name.to_owned()))?;
        if queue.len() >= self.limit_messages {
            return Err(PublishError::Refused(format!("{name} holds {} messages, its limit", queue.len())));
        }
        queue.push_back(waiting);
        Ok(())
    }

    /// Behind all others and whatever the limit: what was put off, and so was taken in before.
    pub(super) fn put_behind(&mut self, name: &str, waiting: Waiting) {
        if let Some(queue) = self.by_name.get_mut(name) {
            queue.push_back(waiting);
        }
    }

    /// Before all others: what was handed out and came back. It had its place already, so no limit is asked.
    pub(super) fn put_back(&mut self, name: &str, waiting: Waiting) {
        if let Some(queue) = self.by_name.get_mut(name) {
            queue.push_front(waiting);
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Waiting> {
        self.by_name.get_mut(name)?.pop_front()
    }

    pub(super) fn depths(&self) -> Vec<Depth> {
        let named = self.by_name.iter().filter(|(name, _)| !name.starts_with(REPLIES_PREFIX));
        named.map(|(name, queue)| Depth { queue: name.clone(), ready: queue.len() as u64 }).collect()
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}
