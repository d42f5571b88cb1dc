//! Which exchanges and queues there are, and their arguments.
//!
//! | name | what |
//! |---|---|
//! | `hub.v1.work` | topic exchange; key `work.open.laboratory.urgent`. No alternate exchange: it would hide the unroutable |
//! | `hub.v1.work.<place>.<tier>` | a quorum queue for each place and tier |
//! | `hub.v1.reports` | exchange and quorum queue: from workers to the hub |
//! | `hub.v1.retry.<seconds>` | exchange and quorum queue without consumers: messages expire back to their own queue |
//! | `hub.v1.parked` | exchange and quorum queue: what was parked, by us or by the broker |
//! | `hub.v1.replies.<uuid>` | one classic queue for each worker |
//! | `hub.v1.filled` | an exchange nobody uses: it is there once the hub has published all there is to this broker |
//!
//! A queue that is declared with other arguments is refused, so the arguments belong to the name: change one, and `v1`
//! becomes `v2`. Only arguments that 3.10 and 4.x both know stand here. What an operator may want to change (lengths)
//! is left to policies.

use std::collections::BTreeSet;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use crate::queue::{Place, Routing, Tier};
use crate::resting::STEPS_SECONDS;

pub(super) const WORK: &str = "hub.v1.work";
pub(super) const REPORTS: &str = "hub.v1.reports";
pub(super) const PARKED: &str = "hub.v1.parked";
pub(super) const FILLED: &str = "hub.v1.filled";
pub(super) const REPLIES_PREFIX: &str = "hub.v1.replies.";

/// So often may a delivery be lost with its consumer before the broker parks it. Ours are answered with `again` or
/// `park`; only a message that ends the process each time gets here.
const DELIVERY_LIMIT: i32 = 50;

/// Of the parked, nothing may be dropped; and "no limit" cannot be said in words that 3.10 and 4.x both know.
const PARKED_DELIVERY_LIMIT: i32 = 1_000_000;

/// A worker that is away for longer asks anew.
const REPLIES_EXPIRE_MS: i32 = 10 * 60 * 1000;

/// The queue that a routing leads to.
pub(super) fn queue_of(routing: &Routing) -> String {
    format!("hub.v1.{}", routing.key())
}

/// The exchange of one step of backoff. Its queue has that time to live; each message has a shorter one of its own,
/// and the broker takes the shorter. A message expires at the head only, so one with a longer time holds up those
/// behind it: never beyond the step, and seldom at all, since [`Resting`](crate::resting::Resting) lets them rise.
pub(super) fn retry_name(seconds: u32) -> String {
    format!("hub.v1.retry.{seconds}s")
}

/// Everything that does not depend on places, then the places.
pub(super) async fn declare(channel: &Channel, places: &BTreeSet<Place>) -> lapin::Result<()> {
    exchange(channel, WORK, ExchangeKind::Topic).await?;
    let mut parked = quorum();
    parked.insert("x-delivery-limit".into(), PARKED_DELIVERY_LIMIT.into());
    fanout_queue(channel, PARKED, parked).await?;
    fanout_queue(channel, REPORTS, with_last_net()).await?;
    for seconds in STEPS_SECONDS {
        fanout_queue(channel, &retry_name(seconds), expiring_home(seconds)).await?;
    }
    declare_places(channel, places).await
}

pub(super) async fn declare_places(channel: &Channel, places: &BTreeSet<Place>) -> lapin::Result<()> {
    for place in places {
        for tier in Tier::BOTH {
            let routing = Routing::work(place.clone(), tier);
            let queue = queue_of(&routing);
            declare_queue(channel, &queue, with_last_net()).await?;
            bind(channel, &queue, WORK, &routing.key()).await?;
        }
    }
    Ok(())
}

/// A queue of its own name that outlives a lost connection. An exclusive one would not: the answer to a claim would
/// be lost with it, and while the broker still waits for the dead connection, its name could not be had again. Nor
/// would `amq.rabbitmq.reply-to`, which also ties the question to the channel that awaits the answer.
pub(super) async fn declare_replies(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("classic"));
    arguments.insert("x-expires".into(), REPLIES_EXPIRE_MS.into());
    declare_queue(channel, queue, arguments).await
}

pub(super) async fn set_filled(channel: &Channel) -> lapin::Result<()> {
    exchange(channel, FILLED, ExchangeKind::Fanout).await
}

/// Asks whether [`set_filled`] was. Its "no" costs the channel.
pub(super) async fn ask_filled(channel: &Channel) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(FILLED.into(), ExchangeKind::Fanout, options, FieldTable::default()).await
}

/// How many messages are ready. Fails, and costs the channel, when there is no such queue.
pub(super) async fn ready(channel: &Channel, queue: &str) -> lapin::Result<u64> {
    let options = QueueDeclareOptions::durable().passive();
    let found = channel.queue_declare(short(queue), options, FieldTable::default()).await?;
    Ok(found.message_count().into())
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    // A full queue (by a policy) says no to the publisher, instead of dropping its oldest.
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

fn dead_letters_to(exchange: &str) -> FieldTable {
    let mut arguments = quorum();
    arguments.insert("x-dead-letter-exchange".into(), text(exchange));
    // At most once, the default, loses what cannot be routed at that moment.
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments
}

fn with_last_net() -> FieldTable {
    let mut arguments = dead_letters_to(PARKED);
    arguments.insert("x-delivery-limit".into(), DELIVERY_LIMIT.into());
    arguments
}

/// The routing key of a message put off is the name of its queue, which the default exchange (`""`) understands.
fn expiring_home(seconds: u32) -> FieldTable {
    let mut arguments = dead_letters_to("");
    arguments.insert("x-message-ttl".into(), (i64::from(seconds) * 1000).into());
    arguments
}

/// An exchange and a queue of one name, so that a right to write to the one gives none to write elsewhere, as the
/// default exchange would.
async fn fanout_queue(channel: &Channel, name: &str, arguments: FieldTable) -> lapin::Result<()> {
    exchange(channel, name, ExchangeKind::Fanout).await?;
    declare_queue(channel, name, arguments).await?;
    bind(channel, name, name, "").await
}

async fn exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(short(name), kind, options, FieldTable::default()).await
}

async fn declare_queue(channel: &Channel, name: &str, arguments: FieldTable) -> lapin::Result<()> {
    channel.queue_declare(short(name), QueueDeclareOptions::durable(), arguments).await.map(drop)
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> lapin::Result<()> {
    let none = FieldTable::default();
    channel.queue_bind(short(queue), short(exchange), short(key), QueueBindOptions::default(), none).await
}

/// For our own names. They fit, since a place is limited to fewer bytes.
pub(super) fn short(text: &str) -> ShortString {
    text.into()
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::PLACE_LIMIT_BYTES;

    #[test]
    fn the_longest_place_still_has_a_queue_name() {
        let kind = "x".repeat(PLACE_LIMIT_BYTES - "open.".len());
        let place = Place::open(&kind).expect("a place");
        let queue = queue_of(&Routing::work(place, Tier::Routine));
        assert_eq!(short(&queue).as_str(), queue);
    }
}
