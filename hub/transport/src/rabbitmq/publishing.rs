//! Publishes and waits until the broker confirmed and routed.
//!
//! Confirms are awaited in bulk: publish a window, then await all of it. While a window is under way its channel is
//! nobody else's, for lapin hands a returned message to whichever confirm comes next, not to its own. Only when all
//! confirms of the channel are in, do the returned messages tell, by their id and key, which of the window they are.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use lapin::message::{BasicReturnMessage, Delivery};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{Channel, Confirmation, Error};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::link::{self, Link};
use super::wire::Envelope;
use crate::queue::{PublishError, Trouble};

/// Windows under way at once: the relay's, and the deliveries' own.
const CHANNELS: usize = 8;
const WINDOW_MESSAGES: usize = 1000;
/// A broker that is short of memory takes nothing and says nothing.
const CONFIRM_LIMIT: Duration = Duration::from_secs(30);

pub(super) struct Channels {
    idle: Mutex<Vec<Channel>>,
    permits: Semaphore,
}

impl Default for Channels {
    fn default() -> Channels {
        Channels { idle: Mutex::default(), permits: Semaphore::new(CHANNELS) }
    }
}

type Outcome = Result<(), PublishError>;
/// Exchange, key and id: enough to know a returned message again.
type Address = (ShortString, ShortString, ShortString);

impl Channels {
    pub(super) async fn publish_one(&self, link: &Link, envelope: Result<Envelope, PublishError>) -> Outcome {
        self.publish(link, vec![envelope]).await.pop().unwrap_or(Ok(()))
    }

    /// One outcome for each envelope, in order; a faulty one passes through.
    pub(super) async fn publish(&self, link: &Link, envelopes: Vec<Result<Envelope, PublishError>>) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(envelopes.len());
        for window in envelopes.chunks(WINDOW_MESSAGES) {
            match self.publish_window(link, window).await {
                Ok(confirmed) => outcomes.extend(confirmed),
                Err(why) => outcomes.extend(window.iter().map(|sealed| match sealed {
                    Ok(_) => Err(why.clone()),
                    Err(fault) => Err(fault.clone()),
                })),
            }
        }
        outcomes
    }

    async fn publish_window(
        &self,
        link: &Link,
        window: &[Result<Envelope, PublishError>],
    ) -> Result<Vec<Outcome>, PublishError> {
        // The semaphore is never closed; if it were, there would be nothing to limit.
        let _permit = self.permits.acquire().await;
        let channel = self.channel(link).await?;
        let limit = Instant::now() + CONFIRM_LIMIT;
        let confirmed = join_all(window.iter().map(|sealed| confirm(&channel, sealed, limit))).await;
        let outcomes = told_apart(window, confirmed);
        // Only a channel whose confirms are all in may serve again. One that is dropped here, also by a caller who
        // stopped waiting, closes by itself.
        if channel.status().connected() && !outcomes.iter().any(is_unknown) {
            self.idle().push(channel);
        }
        Ok(outcomes)
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
        self.idle().pop()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Channel>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outcome of one, and perhaps a returned message of any in the window.
async fn confirm(
    channel: &Channel,
    sealed: &Result<Envelope, PublishError>,
    limit: Instant,
) -> (Outcome, Option<Address>) {
    let envelope = match sealed {
        Ok(envelope) => envelope,
        Err(fault) => return (Err(fault.clone()), None),
    };
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

fn told_apart(window: &[Result<Envelope, PublishError>], confirmed: Vec<(Outcome, Option<Address>)>) -> Vec<Outcome> {
    let (outcomes, returned): (Vec<Outcome>, Vec<Option<Address>>) = confirmed.into_iter().unzip();
    let returned: HashSet<Address> = returned.into_iter().flatten().collect();
    let tell = |(outcome, sealed): (Outcome, &Result<Envelope, PublishError>)| match (outcome, sealed) {
        (Ok(()), Ok(envelope)) => {
            let address = (envelope.exchange.clone(), envelope.key.clone(), envelope.id.clone());
            if returned.contains(&address) { Err(PublishError::Unroutable(address.1.to_string())) } else { Ok(()) }
        }
        (outcome, _) => outcome,
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
