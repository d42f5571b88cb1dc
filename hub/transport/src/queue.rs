//! What a queue is to the hub and to a worker. The traits and their words only; who keeps them is elsewhere.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

pub use crate::place::{NotAPlace, PLACE_LIMIT_BYTES, Place, Routing, Tier};

/// Largest body in bytes: what RabbitMQ 4.x takes unless told otherwise (3.10 takes more).
pub const BODY_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// One message. The body is somebody else's business: bytes in, bytes out.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Told again with every delivery of the message; empty when a stranger sent none.
    pub id: String,
    pub routing: Routing,
    pub content_type: String,
    /// Text beside the body, such as `traceparent`. Names that begin with `x-hub-` are the transport's own.
    pub headers: Vec<(String, String)>,
    /// Where an answer is awaited: the [`Consumer::reply_address`] of whoever asks.
    pub reply_to: Option<String>,
    /// The id of the message that this one answers.
    pub correlation_id: Option<String>,
    pub body: Bytes,
}

impl Message {
    /// A JSON message without headers; the other fields are set where they are needed.
    pub fn json(id: impl Into<String>, routing: Routing, body: impl Into<Bytes>) -> Message {
        Message {
            id: id.into(),
            routing,
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            reply_to: None,
            correlation_id: None,
            body: body.into(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the body: a debug line ends in a log, and a body is about a patient.
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("routing", &self.routing)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why a message was not taken. After any of them the message may be published again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no queue for this place: nobody called [`Transport::ensure`] for it.
    #[error("no queue takes {0}")]
    Unroutable(String),
    /// The queue said no, or is full, or the message is larger than [`BODY_LIMIT_BYTES`].
    #[error("refused: {0}")]
    Refused(String),
    /// No connection, or it broke before the confirm. The message may have arrived nevertheless.
    #[error("disconnected: {0}")]
    Disconnected(String),
}

/// Something other than a publish went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("transport url: {0}")]
    BadUrl(String),
    /// The broker answered, and the answer is no: a wrong password, a missing right, a queue with other arguments.
    #[error("the broker refused: {0}")]
    Refused(String),
    #[error("disconnected: {0}")]
    Disconnected(String),
}

#[async_trait]
pub trait Publisher: Send + Sync {
    /// One result for each message, in order. `Ok` only after the broker confirmed *and* routed it.
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PublishError>>;
}

/// What a consumer reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Both tiers of each place, an urgent one first, with a share for routine.
    Work { places: Vec<Place> },
    /// What workers report to the hub.
    Reports,
    /// What was parked, by [`Delivery::park`] or by the broker.
    Parked,
    /// Answers to this consumer's own [`Consumer::reply_address`].
    Replies,
}

/// Which connection this is. A new one is told by a new number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// 0 until the first connection.
    pub number: u64,
    /// The broker does not hold what was published before: whoever keeps the truth publishes it all again and then
    /// says [`Transport::filled`].
    pub empty: bool,
}

/// How many messages wait in one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    /// The routing key (`work.open.laboratory.urgent`, `reports`) or `parked`: fit for a metric's label.
    pub queue: String,
    pub ready: u64,
}

/// A queue as [`crate::look`] found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// As the broker calls it.
    pub queue: String,
    /// None: there is no such queue.
    pub standing: Option<Standing>,
}

/// What waits in a queue, and who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub ready: u64,
    pub consumers: u32,
}

#[async_trait]
pub trait Transport: Publisher {
    /// Starts to read. `prefetch` is how many unanswered deliveries this consumer may hold *of each queue*
    /// (a place of work has two).
    ///
    /// A broker that is away or a queue that is not there yet is no error: the consumer subscribes when it can.
    async fn consume(&self, source: Source, prefetch: u16) -> Result<Box<dyn Consumer>, Trouble>;

    /// Answers to a reply address. Best effort: whoever asked may be gone, and asks again when it is not.
    async fn reply(&self, to: &str, message: &Message) -> Result<(), PublishError>;

    /// Makes the queues of these places, now and on every later connection. For the hub; a worker makes none.
    ///
    /// When the broker is away the places are remembered all the same, so the error need not be tried again.
    async fn ensure(&self, places: &[Place]) -> Result<(), Trouble>;

    /// Tells of every new connection. The first value is the one that [`crate::open`] found.
    fn generation(&self) -> watch::Receiver<Generation>;

    /// All that had to be published has been: the broker is not [`Generation::empty`] any more.
    ///
    /// Said by the hub only, after it published. A hub that dies half-way has not said it, and is asked again. It may
    /// wait a moment until the broker's new queues are safe on disk.
    async fn filled(&self) -> Result<(), Trouble>;

    /// `Err` says since what error there is no connection.
    fn health(&self) -> Result<(), String>;

    /// Of all ensured places, the reports and the parked.
    async fn depths(&self) -> Result<Vec<Depth>, Trouble>;

    /// Ends the connection and every consumer; what is unanswered returns to its queue.
    async fn close(&self);
}

#[async_trait]
pub trait Consumer: Send {
    /// The next delivery. `None` only after [`Transport::close`]: a lost connection is mended inside, and what was
    /// unanswered then comes again. Dropping the future loses nothing.
    async fn next(&mut self) -> Option<Delivery>;

    /// Waits for one and takes what else is already here, at most `max`. Empty only after [`Transport::close`].
    async fn next_batch(&mut self, max: usize) -> Vec<Delivery>;

    /// For [`Source::Replies`]: what to put in [`Message::reply_to`]. It outlives a lost connection.
    fn reply_address(&self) -> Option<&str>;
}

/// A message that waits for an answer: `done`, `again` or `park`. Dropping it without one returns it to its queue.
pub struct Delivery {
    pub message: Message,
    /// How often it was put off by [`Delivery::again`]; 0 at first.
    pub attempts: u32,
    /// Who published it. The broker checked that, so it is proof; `None` when the publisher did not say.
    pub user_id: Option<String>,
    /// It was delivered before and not answered, so perhaps it was acted upon.
    pub redelivered: bool,
    /// For [`Source::Parked`]: why. The message's routing says where it was.
    pub parked_why: Option<String>,
    receipt: Box<dyn Receipt>,
}

/// Before a delivery that could not be moved goes back, so that a full queue makes no busy loop.
pub(crate) const PAUSE_BEFORE_BACK: Duration = Duration::from_secs(1);

/// How a transport takes the answer. One that is dropped before it was settled puts its delivery back, so that
/// neither an early return nor a cancelled future can lose one.
#[async_trait]
pub(crate) trait Receipt: Send + Sync {
    async fn done(self: Box<Self>);
    async fn put_off(self: Box<Self>, delivery: Answered<'_>, after: Duration);
    async fn park(self: Box<Self>, delivery: Answered<'_>, why: &str);
}

/// What a receipt has to know of its delivery in order to publish it once more.
pub(crate) struct Answered<'a> {
    pub(crate) message: &'a Message,
    /// As they are to be when it comes again.
    pub(crate) attempts: u32,
    pub(crate) user_id: Option<&'a str>,
}

impl Delivery {
    pub(crate) fn new(message: Message, receipt: Box<dyn Receipt>) -> Delivery {
        Delivery { message, attempts: 0, user_id: None, redelivered: false, parked_why: None, receipt }
    }

    /// It is settled and will not come again (unless the connection breaks at this very moment).
    pub async fn done(self) {
        self.receipt.done().await;
    }

    /// Not now: it comes back to the same queue with one more in `attempts`, after between one half and the whole of
    /// the step of backoff that `after` fits into, so that what failed together does not come back together. The last
    /// step is one hour. When that cannot be arranged it goes back at once.
    pub async fn again(mut self, after: Duration) {
        self.attempts = self.attempts.saturating_add(1);
        self.later(after).await;
    }

    /// The same through no fault of its own, and so not counted: whoever has to deal with it is away.
    pub async fn later(self, after: Duration) {
        let Delivery { message, attempts, user_id, receipt, .. } = self;
        receipt.put_off(Answered { message: &message, attempts, user_id: user_id.as_deref() }, after).await;
    }

    /// Never by itself: it goes to [`Source::Parked`] with this reason. No patient data in a reason.
    pub async fn park(self, why: &str) {
        let Delivery { message, attempts, user_id, receipt, .. } = self;
        receipt.park(Answered { message: &message, attempts, user_id: user_id.as_deref() }, why).await;
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("message", &self.message)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
