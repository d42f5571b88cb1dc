//! The queues themselves: names and what waits in each.

use std::collections::{BTreeMap, VecDeque};

use crate::queue::{Depth, Message, PublishError};

pub(super) const REPORTS: &str = "reports";
pub(super) const PARKED: &str = "parked";
/// A reply queue belongs to one consumer and is of no interest to a metric.
pub(super) const REPLIES_PREFIX: &str = "replies.";

pub(super) struct Queues {
    by_name: BTreeMap<String, MemoryQueue>,
    limit_messages: usize,
    closed: bool,
}

#[derive(Default)]
struct MemoryQueue {
    waiting: VecDeque<Waiting>,
    /// Put off: not here, but on their way back, and as much in memory.
    resting: usize,
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
        let held = queue.waiting.len() + queue.resting;
        if held >= self.limit_messages {
            return Err(PublishError::Refused(format!("{name} holds {held} messages, its limit")));
        }
        queue.waiting.push_back(waiting);
        Ok(())
    }

    /// One is put off.
    pub(super) fn rests(&mut self, name: &str) {
        if let Some(queue) = self.by_name.get_mut(name) {
            queue.resting += 1;
        }
    }

    /// It rested long enough, and goes behind all others. It had its place already, so no limit is asked.
    pub(super) fn rested(&mut self, name: &str, waiting: Waiting) {
        if let Some(queue) = self.by_name.get_mut(name) {
            queue.resting = queue.resting.saturating_sub(1);
            queue.waiting.push_back(waiting);
        }
    }

    /// Before all others: what was handed out and came back. It had its place already, so no limit is asked.
    pub(super) fn put_back(&mut self, name: &str, waiting: Waiting) {
        if let Some(queue) = self.by_name.get_mut(name) {
            queue.waiting.push_front(waiting);
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Waiting> {
        self.by_name.get_mut(name)?.waiting.pop_front()
    }

    pub(super) fn depths(&self) -> Vec<Depth> {
        let named = self.by_name.iter().filter(|(name, _)| !name.starts_with(REPLIES_PREFIX));
        named.map(|(name, queue)| Depth { queue: name.clone(), ready: queue.waiting.len() as u64 }).collect()
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Routing;

    #[test]
    fn what_rests_counts_as_what_waits() {
        let mut queues = Queues::new(2);
        let report = || Waiting::new(Message::json("1", Routing::Reports, "{}"));
        assert_eq!((queues.put(REPORTS, report()), queues.put(REPORTS, report())), (Ok(()), Ok(())));
        let taken = queues.take(REPORTS).expect("one of the two");
        queues.rests(REPORTS);
        assert!(matches!(queues.put(REPORTS, report()), Err(PublishError::Refused(_))), "it comes back, and is memory");
        queues.rested(REPORTS, taken);
        assert!(matches!(queues.put(REPORTS, report()), Err(PublishError::Refused(_))));
        queues.take(REPORTS);
        assert_eq!(queues.put(REPORTS, report()), Ok(()));
    }
}
