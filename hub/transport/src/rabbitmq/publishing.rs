//! Publishes and waits until the broker confirmed and routed.
//!
//! Whoever publishes shares a window with all who do at that moment. A quorum queue writes its log once for what comes
//! together, so a message of a window costs the broker a fraction of one that comes alone.
//!
//! While a window is under way its channel is nobody else's, for lapin hands a returned message to whichever confirm
//! comes next, not to its own. Only when all confirms of the channel are in, do the returned messages tell, by their id
//! and key, which of the window they are.

use std::collections::{HashSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, join_all, ready};
use lapin::message::{BasicReturnMessage, Delivery};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{Channel, Confirmation, Error};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use super::Broker;
use super::link::{self, Link};
use super::wire::Envelope;
use crate::queue::{PublishError, Trouble};

/// Windows under way while all is well: one travels while the broker writes the other.
const WINDOWS: usize = 2;
/// Windows under way when some are slow, as one is that a queue without a leader is in: the others need not wait for it.
const WINDOWS_LIMIT: usize = 8;
/// A window that takes longer is slow.
const SLOW: Duration = Duration::from_millis(50);
const WINDOW_MESSAGES: usize = 1000;
/// A broker that is short of memory takes nothing and says nothing.
const CONFIRM_LIMIT: Duration = Duration::from_secs(30);

pub(super) type Outcome = Result<(), PublishError>;
/// Exchange, key and id: enough to know a returned message again.
type Address = (ShortString, ShortString, ShortString);

#[derive(Default)]
pub(super) struct Windows(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    under_way: usize,
    idle: Vec<Channel>,
}

/// A message that is in no window yet.
struct Waiting {
    envelope: Envelope,
    tell: oneshot::Sender<Outcome>,
}

pub(super) async fn publish_one(broker: &Arc<Broker>, envelope: Result<Envelope, PublishError>) -> Outcome {
    publish(broker, vec![envelope]).await.pop().unwrap_or(Ok(()))
}

/// One outcome for each envelope, in order; a faulty one passes through. Whoever stops waiting does not stop the
/// messages.
pub(super) async fn publish(broker: &Arc<Broker>, envelopes: Vec<Result<Envelope, PublishError>>) -> Vec<Outcome> {
    let mut answers = Vec::with_capacity(envelopes.len());
    {
        let mut state = broker.windows.state();
        for envelope in envelopes {
            answers.push(match envelope {
                Ok(envelope) => {
                    let (tell, answer) = oneshot::channel();
                    state.waiting.push_back(Waiting { envelope, tell });
                    Either::Left(told(answer))
                }
                Err(fault) => Either::Right(ready(Err(fault))),
            });
        }
    }
    open_window(broker, WINDOWS);
    let mut all = pin!(join_all(answers));
    loop {
        match timeout(SLOW, &mut all).await {
            Ok(outcomes) => return outcomes,
            Err(_) => open_window(broker, WINDOWS_LIMIT),
        }
    }
}

async fn told(answer: oneshot::Receiver<Outcome>) -> Outcome {
    answer.await.unwrap_or_else(|_| Err(PublishError::Disconnected("its window was given up".to_owned())))
}

/// Starts one more window when something waits for it, up to so many.
fn open_window(broker: &Arc<Broker>, limit: usize) {
    let mut state = broker.windows.state();
    if state.under_way < limit && !state.waiting.is_empty() {
        state.under_way += 1;
        broker.runtime.spawn(windows(UnderWay(broker.clone())));
    }
}

/// Counted as under way until it is dropped.
struct UnderWay(Arc<Broker>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.windows.state().under_way -= 1;
    }
}

/// One window after another, each with what has come meanwhile.
async fn windows(under_way: UnderWay) {
    let Broker { windows, link, .. } = &*under_way.0;
    loop {
        let (envelopes, tells): (Vec<Envelope>, Vec<_>) = {
            let mut state = windows.state();
            let size = state.waiting.len().min(WINDOW_MESSAGES);
            state.waiting.drain(..size).map(|waiting| (waiting.envelope, waiting.tell)).unzip()
        };
        if envelopes.is_empty() {
            return;
        }
        let since = Instant::now();
        for (tell, outcome) in tells.into_iter().zip(windows.publish_window(link, &envelopes).await) {
            // Whoever does not wait any more need not be told.
            let _ = tell.send(outcome);
        }
        if since.elapsed() > SLOW && windows.state().under_way > WINDOWS {
            return;
        }
    }
}

impl Windows {
    async fn publish_window(&self, link: &Link, window: &[Envelope]) -> Vec<Outcome> {
        let outcomes = self.try_window(link, window).await;
        if window.len() == 1 {
            return outcomes.into_iter().map(|(outcome, _)| outcome).collect();
        }
        let mut alone = Vec::with_capacity(window.len());
        for (envelope, (outcome, closed)) in window.iter().zip(outcomes) {
            alone.push(match closed {
                // One of them made the broker close the channel, and only alone can it be told which.
                true => self.try_window(link, std::slice::from_ref(envelope)).await.pop().map_or(outcome, |one| one.0),
                false => outcome,
            });
        }
        alone
    }

    /// The outcome of each, and whether it is what the broker said when it closed the channel.
    async fn try_window(&self, link: &Link, window: &[Envelope]) -> Vec<(Outcome, bool)> {
        let channel = match self.channel(link).await {
            Ok(channel) => channel,
            Err(why) => return window.iter().map(|_| (Err(why.clone()), false)).collect(),
        };
        let limit = Instant::now() + CONFIRM_LIMIT;
        let confirmed = join_all(window.iter().map(|envelope| confirm(&channel, envelope, limit))).await;
        let outcomes = told_apart(window, confirmed);
        // Only a channel whose confirms are all in may serve again. One that is dropped here closes by itself.
        let is_open = channel.status().connected();
        if is_open && !outcomes.iter().any(is_unknown) {
            self.state().idle.push(channel);
        }
        let says_closed = |outcome: &Outcome| !is_open && outcome.is_err() && !is_unknown(outcome);
        outcomes.into_iter().map(|outcome| (outcome.clone(), says_closed(&outcome))).collect()
    }

    async fn channel(&self, link: &Link) -> Result<Channel, PublishError> {
        // Fail fast: a channel of a lost connection may not know it yet.
        link.connection().map_err(PublishError::Disconnected)?;
        while let Some(channel) = self.take_idle() {
            if channel.status().connected() {
                return Ok(channel);
            }
        }
        let channel = link.channel().await.map_err(|trouble| match trouble {
            Trouble::Disconnected(why) => PublishError::Disconnected(why),
            other => PublishError::Refused(other.to_string()),
        })?;
        let selecting = timeout(CONFIRM_LIMIT, channel.confirm_select(ConfirmSelectOptions::default())).await;
        let unanswered = |_| PublishError::Disconnected("the broker did not answer in time".to_owned());
        selecting.map_err(unanswered)?.map_err(|error| failure(&error))?;
        Ok(channel)
    }

    fn take_idle(&self) -> Option<Channel> {
        self.state().idle.pop()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outcome of one, and perhaps a returned message of any in the window.
async fn confirm(channel: &Channel, envelope: &Envelope, limit: Instant) -> (Outcome, Option<Address>) {
    match timeout_at(limit, send(channel, envelope)).await {
        Ok(Ok(Confirmation::Ack(returned))) => (Ok(()), returned.map(address)),
        Ok(Ok(Confirmation::Nack(returned))) => {
            (refused("the queue is full or could not store it"), returned.map(address))
        }
        Ok(Ok(Confirmation::NotRequested)) => (refused("the channel does not confirm"), None),
        Ok(Err(error)) => (Err(failure(&error)), None),
        Err(_) => (Err(PublishError::Disconnected(format!("no confirm within {} s", CONFIRM_LIMIT.as_secs()))), None),
    }
}

async fn send(channel: &Channel, envelope: &Envelope) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let (exchange, key, properties) = (envelope.exchange.clone(), envelope.key.clone(), envelope.properties.clone());
    channel.basic_publish(exchange, key, options, &envelope.body, properties).await?.await
}

fn refused(why: &str) -> Outcome {
    Err(PublishError::Refused(why.to_owned()))
}

fn is_unknown(outcome: &Outcome) -> bool {
    matches!(outcome, Err(PublishError::Disconnected(_)))
}

fn address(returned: BasicReturnMessage) -> Address {
    let Delivery { exchange, routing_key, properties, .. } = returned.delivery;
    (exchange, routing_key, properties.message_id().clone().unwrap_or_default())
}

fn told_apart(window: &[Envelope], confirmed: Vec<(Outcome, Option<Address>)>) -> Vec<Outcome> {
    let (outcomes, returned): (Vec<Outcome>, Vec<Option<Address>>) = confirmed.into_iter().unzip();
    let returned: HashSet<Address> = returned.into_iter().flatten().collect();
    if returned.is_empty() {
        return outcomes;
    }
    let tell = |(outcome, envelope): (Outcome, &Envelope)| {
        let address = (envelope.exchange.clone(), envelope.key.clone(), envelope.id.clone());
        let is_returned = outcome.is_ok() && returned.contains(&address);
        if is_returned { Err(PublishError::Unroutable(address.1.to_string())) } else { outcome }
    };
    outcomes.into_iter().zip(window).map(tell).collect()
}

/// What the broker says by closing the channel.
fn failure(error: &Error) -> PublishError {
    match link::reply_code(error) {
        Some(404) => PublishError::Unroutable(error.to_string()),
        Some(403 | 406 | 311) => PublishError::Refused(error.to_string()),
        _ => PublishError::Disconnected(error.to_string()),
    }
}
