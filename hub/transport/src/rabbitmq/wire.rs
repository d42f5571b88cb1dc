//! Our message as the broker carries it, and back.

use std::time::Duration;

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::topology::{self, short};
use crate::queue::{Answered, BODY_LIMIT_BYTES, Message, PublishError, Routing};

const OURS: &str = "x-hub-";
const ROUTING: &str = "x-hub-routing";
const ATTEMPTS: &str = "x-hub-attempts";
const PARKED_WHY: &str = "x-hub-parked-why";
/// Who published it first, when somebody else puts it off or parks it.
const FIRST_USER: &str = "x-hub-user-id";
/// The broker's list of where a message died, the latest first.
const DEATHS: &str = "x-death";

const PERSISTENT: u8 = 2;
/// Of an answer to a worker: who does not get it asks again, so it need not wait for the disk.
const TRANSIENT: u8 = 1;
/// Bytes of a reason that are kept: it is for a list, not for a report.
const WHY_LIMIT_BYTES: usize = 500;

/// A message with its address, ready to go.
pub(super) struct Envelope {
    pub(super) exchange: ShortString,
    pub(super) key: ShortString,
    pub(super) id: ShortString,
    pub(super) properties: BasicProperties,
    pub(super) body: bytes::Bytes,
}

impl Envelope {
    pub(super) fn for_queue(self, queue: &str) -> Envelope {
        // The default exchange knows every queue by its name. An address that is too long is nobody's.
        let key = ShortString::try_new(queue).unwrap_or_default();
        Envelope { exchange: ShortString::default(), key, ..self }
    }

    /// Sooner than its queue would have it.
    pub(super) fn expires_in(self, rest: Duration) -> Envelope {
        let properties = self.properties.with_expiration(short(&rest.as_millis().to_string()));
        Envelope { properties, ..self }
    }

    pub(super) fn for_exchange(self, exchange: &str, key: &str) -> Envelope {
        Envelope { exchange: short(exchange), key: short(key), ..self }
    }
}

pub(super) fn envelope(message: &Message, user: &str) -> Result<Envelope, PublishError> {
    sealed(message, user, FieldTable::default())
}

/// The same message once more, put off or parked: `why` makes it parked.
pub(super) fn envelope_again(answered: &Answered<'_>, why: Option<&str>, user: &str) -> Result<Envelope, PublishError> {
    let mut ours = FieldTable::default();
    ours.insert(short(ATTEMPTS), AMQPValue::LongLongInt(answered.attempts.into()));
    if let Some(first) = answered.user_id {
        ours.insert(short(FIRST_USER), AMQPValue::LongString(first.into()));
    }
    if let Some(why) = why {
        let why = &why[..why.floor_char_boundary(WHY_LIMIT_BYTES)];
        ours.insert(short(PARKED_WHY), AMQPValue::LongString(why.into()));
    }
    sealed(answered.message, user, ours)
}

fn sealed(message: &Message, user: &str, mut headers: FieldTable) -> Result<Envelope, PublishError> {
    if message.body.len() > BODY_LIMIT_BYTES {
        return Err(PublishError::Refused(format!("a body has at most {BODY_LIMIT_BYTES} bytes")));
    }
    headers.insert(short(ROUTING), AMQPValue::LongString(message.routing.key().into()));
    for (name, value) in message.headers.iter().filter(|(name, _)| !name.starts_with(OURS)) {
        headers.insert(checked("a header's name", name)?, AMQPValue::LongString(value.as_str().into()));
    }
    let id = checked("the id", &message.id)?;
    let mut properties = BasicProperties::default()
        .with_message_id(id.clone())
        .with_content_type(checked("the content type", &message.content_type)?)
        .with_delivery_mode(if message.routing == Routing::Reply { TRANSIENT } else { PERSISTENT })
        .with_user_id(checked("the user", user)?)
        .with_headers(headers);
    if let Some(address) = &message.reply_to {
        properties = properties.with_reply_to(checked("reply_to", address)?);
    }
    if let Some(answers) = &message.correlation_id {
        properties = properties.with_correlation_id(checked("correlation_id", answers)?);
    }
    let (exchange, key) = match message.routing {
        Routing::Reports => (topology::REPORTS, String::new()),
        Routing::Work { .. } | Routing::Reply => (topology::WORK, message.routing.key()),
    };
    Ok(Envelope { exchange: short(exchange), key: short(&key), id, properties, body: message.body.clone() })
}

/// AMQP's short strings end at 255 bytes.
fn checked(what: &str, text: &str) -> Result<ShortString, PublishError> {
    ShortString::try_new(text).map_err(|_| PublishError::Refused(format!("{what} has more than 255 bytes")))
}

/// What came, opened.
pub(super) struct Opened {
    pub(super) message: Message,
    pub(super) attempts: u32,
    pub(super) user_id: Option<String>,
    pub(super) parked_why: Option<String>,
}

/// `from` is what the queue stands for. Parked messages and replies have it from their header.
pub(super) fn open(delivery: &mut Delivery, from: Option<&Routing>, own_user: &str) -> Opened {
    let body = std::mem::take(&mut delivery.data).into();
    let properties = &delivery.properties;
    let headers = properties.headers().clone().unwrap_or_default();
    let written = || text(&headers, ROUTING).as_deref().and_then(Routing::from_key);
    let message = Message {
        id: owned(properties.message_id()).unwrap_or_default(),
        routing: from.cloned().or_else(written).unwrap_or(Routing::Reply),
        content_type: owned(properties.content_type()).unwrap_or_default(),
        headers: foreign_texts(&headers),
        reply_to: owned(properties.reply_to()),
        correlation_id: owned(properties.correlation_id()),
        body,
    };
    Opened {
        message,
        attempts: attempts(&headers),
        user_id: first_user(owned(properties.user_id()), &headers, own_user),
        parked_why: if from.is_none() { parked_why(&headers) } else { None },
    }
}

/// The broker vouches for `user_id`. The header is believed only when it vouches that we wrote it ourselves.
fn first_user(vouched: Option<String>, headers: &FieldTable, own_user: &str) -> Option<String> {
    match vouched {
        Some(user) if user == own_user => text(headers, FIRST_USER).or(Some(user)),
        other => other,
    }
}

fn attempts(headers: &FieldTable) -> u32 {
    match headers.inner().get(ATTEMPTS) {
        Some(AMQPValue::LongLongInt(count)) => u32::try_from(*count).unwrap_or(0),
        _ => 0,
    }
}

/// Our reason, or else the broker's.
fn parked_why(headers: &FieldTable) -> Option<String> {
    let brokers = || match headers.inner().get(DEATHS)? {
        AMQPValue::FieldArray(deaths) => match deaths.as_slice().first()? {
            AMQPValue::FieldTable(latest) => text(latest, "reason").map(|reason| format!("the broker: {reason}")),
            _ => None,
        },
        _ => None,
    };
    text(headers, PARKED_WHY).or_else(brokers)
}

/// Neither ours nor the broker's own.
fn foreign_texts(headers: &FieldTable) -> Vec<(String, String)> {
    let foreign = |name: &&str| !name.starts_with(OURS) && !name.starts_with("x-first-death-") && *name != DEATHS;
    let names = headers.inner().keys().map(ShortString::as_str).filter(foreign);
    names.filter_map(|name| Some((name.to_owned(), text(headers, name)?))).collect()
}

fn text(headers: &FieldTable, name: &str) -> Option<String> {
    match headers.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

fn owned(property: &Option<ShortString>) -> Option<String> {
    property.as_ref().map(ShortString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_word_for_another_user_is_believed() {
        let mut headers = FieldTable::default();
        headers.insert(short(FIRST_USER), AMQPValue::LongString("lab-1".into()));
        assert_eq!(first_user(Some("hub".into()), &headers, "hub").as_deref(), Some("lab-1"));
        assert_eq!(first_user(Some("mallory".into()), &headers, "hub").as_deref(), Some("mallory"));
        assert_eq!(first_user(None, &headers, "hub"), None);
    }

    #[test]
    fn what_is_put_off_says_for_how_long() {
        let message = Message::json("1", Routing::Reports, "{}");
        let sealed = envelope(&message, "hub").map(|envelope| envelope.expires_in(Duration::from_millis(1500)));
        let expiration = sealed.ok().and_then(|envelope| owned(envelope.properties.expiration()));
        assert_eq!(expiration.as_deref(), Some("1500"));
    }

    #[test]
    fn what_amqp_cannot_carry_is_refused_and_not_a_panic() {
        let mut message = Message::json("x".repeat(256), Routing::Reports, "{}");
        assert!(matches!(envelope(&message, "hub"), Err(PublishError::Refused(_))));
        message.id = "1".into();
        message.body = vec![0; BODY_LIMIT_BYTES + 1].into();
        assert!(matches!(envelope(&message, "hub"), Err(PublishError::Refused(_))));
    }
}
