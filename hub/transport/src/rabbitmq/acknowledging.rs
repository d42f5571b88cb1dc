//! Acknowledges the deliveries of one channel, together as far as they lie side by side: a quorum queue writes its log
//! for every acknowledgement, be it of one delivery or of a hundred.
//!
//! The broker numbers the deliveries of a channel from 1. An acknowledgement of several is of all up to a number, so it
//! may say no more than that all of those were answered, also those that nobody here has looked at yet.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub(super) struct Ledger {
    channel: Channel,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answers: Answers,
    told: Vec<oneshot::Sender<()>>,
    /// Somebody is about to acknowledge what is done.
    is_flushing: bool,
}

/// What was answered, by the numbers of the deliveries.
#[derive(Default)]
struct Answers {
    /// All up to here were, and the broker knows it.
    settled: u64,
    /// To be acknowledged.
    done: BTreeSet<u64>,
    /// Answered one by one, behind one that is not.
    single: BTreeSet<u64>,
}

/// What to tell the broker.
#[derive(Debug, Default, PartialEq, Eq)]
struct Acknowledgements {
    up_to: Option<u64>,
    single: Vec<u64>,
}

impl Answers {
    fn acknowledge(&mut self) -> Acknowledgements {
        let before = self.settled;
        while self.done.contains(&(self.settled + 1)) || self.single.contains(&(self.settled + 1)) {
            self.settled += 1;
        }
        let beyond = self.done.split_off(&(self.settled + 1));
        // To acknowledge again what was answered one by one would be an error of ours: the last one has to be new.
        let up_to = self.done.last().copied().filter(|last| *last > before);
        self.done.clear();
        self.single = self.single.split_off(&(self.settled + 1));
        self.single.extend(&beyond);
        Acknowledgements { up_to, single: beyond.into_iter().collect() }
    }
}

impl Ledger {
    pub(super) fn new(channel: Channel, runtime: Handle) -> Arc<Self> {
        Arc::new(Self { channel, runtime, state: Mutex::default() })
    }

    /// Returns when the broker was told.
    pub(super) async fn acknowledge(self: Arc<Self>, number: u64) {
        let (tell, told) = oneshot::channel();
        let begins = {
            let mut state = self.state();
            state.answers.done.insert(number);
            state.told.push(tell);
            !std::mem::replace(&mut state.is_flushing, true)
        };
        if begins {
            self.runtime.spawn(self.clone().flush());
        }
        // Nobody drops it untold but a runtime that ends, and then the connection does.
        let _ = told.await;
    }

    /// Back to its queue, for whoever drops a delivery, which may be outside of the runtime.
    pub(super) fn give_back(self: Arc<Self>, number: u64) {
        self.clone().runtime.spawn(async move {
            // Too late is as good: a closed channel gives back everything.
            let _ = self.channel.basic_nack(number, BasicNackOptions { requeue: true, multiple: false }).await;
            // Not before the broker was told: until then no acknowledgement may reach beyond it.
            self.state().answers.single.insert(number);
        });
    }

    async fn flush(self: Arc<Self>) {
        loop {
            // Those who are done at the same moment come in.
            tokio::task::yield_now().await;
            let (acknowledgements, told) = {
                let mut state = self.state();
                if state.answers.done.is_empty() {
                    state.is_flushing = false;
                    return;
                }
                (state.answers.acknowledge(), std::mem::take(&mut state.told))
            };
            let up_to = acknowledgements.up_to.map(|number| (number, true));
            for (number, multiple) in up_to.into_iter().chain(acknowledgements.single.into_iter().map(|n| (n, false))) {
                // A failure means that the channel is gone; then the broker delivers again, which everybody expects.
                if let Err(error) = self.channel.basic_ack(number, BasicAckOptions { multiple }).await {
                    tracing::debug!(%error, "an acknowledgement was too late");
                }
            }
            // Whoever does not wait any more need not be told.
            for tell in told {
                let _ = tell.send(());
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(done: &[u64]) -> Answers {
        Answers { done: done.iter().copied().collect(), ..Answers::default() }
    }

    fn told(up_to: Option<u64>, single: &[u64]) -> Acknowledgements {
        Acknowledgements { up_to, single: single.to_vec() }
    }

    #[test]
    fn those_side_by_side_are_told_as_one() {
        let mut answers = answers(&[1, 2, 3]);
        assert_eq!(answers.acknowledge(), told(Some(3), &[]));
        answers.done.extend([4, 5]);
        assert_eq!(answers.acknowledge(), told(Some(5), &[]));
        assert_eq!(answers.acknowledge(), told(None, &[]));
    }

    #[test]
    fn none_is_told_for_one_that_is_not_answered() {
        let mut answers = answers(&[1, 3, 4]);
        assert_eq!(answers.acknowledge(), told(Some(1), &[3, 4]));
        answers.done.extend([6, 2]);
        assert_eq!(answers.acknowledge(), told(Some(2), &[6]), "3 and 4 were told before");
        answers.done.extend([5, 7]);
        assert_eq!(answers.acknowledge(), told(Some(7), &[]));
    }

    #[test]
    fn one_that_went_back_is_no_gap() {
        let mut answers = answers(&[1, 3]);
        answers.single.insert(2);
        assert_eq!(answers.acknowledge(), told(Some(3), &[]));
        answers.single.insert(5);
        assert_eq!(answers.acknowledge(), told(None, &[]));
        answers.done.insert(4);
        assert_eq!(answers.acknowledge(), told(Some(4), &[]));
        assert_eq!(answers.settled, 5);
    }
}
