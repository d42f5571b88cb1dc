//! The transport over RabbitMQ (AMQP 0-9-1), for 3.10 and later.
//!
//! `link` keeps one connection, `topology` says which exchanges and queues there are, `publishing` waits for confirms,
//! `consuming` subscribes and hands out, `receipt` takes the answers and `acknowledging` tells them to the broker, `wire`
//! turns our message into the broker's and back.

mod acknowledging;
mod consuming;
mod link;
mod look;
mod publishing;
mod receipt;
mod topology;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use lapin::uri::AMQPUri;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::queue::{Consumer, Depth, Generation, Message, Place, PublishError, Publisher, Source, Transport, Trouble};
use crate::resting::Resting;
use crate::{Options, counters};
use link::Link;
pub(crate) use look::look;
use publishing::Windows;

pub(crate) async fn open(url: &str, options: Options) -> Result<Arc<dyn Transport>, Trouble> {
    // The parser's words may quote the URL, and that holds a password.
    let uri: AMQPUri =
        url.parse().map_err(|_| Trouble::BadUrl("not of the form amqp://user:password@host:port/vhost".to_owned()))?;
    let broker = Arc::new(Broker {
        user: uri.authority.userinfo.username.clone(),
        link: Link::new(uri, options),
        windows: Windows::default(),
        resting: Resting::default(),
        runtime: Handle::current(),
    });
    let first = broker.link.connect().await;
    if let Err(refused @ Trouble::Refused(_)) = first {
        return Err(refused);
    }
    let keeping = tokio::spawn(link::keep(broker.clone()));
    Ok(Arc::new(RabbitMq { broker, keeping }))
}

struct RabbitMq {
    broker: Arc<Broker>,
    keeping: JoinHandle<()>,
}

/// What consumers and receipts share with the transport.
struct Broker {
    link: Link,
    windows: Windows,
    resting: Resting,
    /// Who we are to the broker. It refuses a message that names another.
    user: String,
    /// A delivery may be dropped outside of the runtime, and has to say so to the broker even there.
    runtime: Handle,
}

#[async_trait]
impl Publisher for RabbitMq {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PublishError>> {
        let envelopes = messages.iter().map(|message| wire::envelope(message, &self.broker.user)).collect();
        let results = publishing::publish(&self.broker, envelopes).await;
        counters::published(&results);
        results
    }
}

#[async_trait]
impl Transport for RabbitMq {
    async fn consume(&self, source: Source, prefetch: u16) -> Result<Box<dyn Consumer>, Trouble> {
        Ok(Box::new(consuming::BrokerConsumer::open(self.broker.clone(), source, prefetch).await))
    }

    async fn reply(&self, to: &str, message: &Message) -> Result<(), PublishError> {
        // The address came with a message: it must not let a stranger write into another queue of ours.
        if !to.starts_with(topology::REPLIES_PREFIX) {
            return Err(PublishError::Unroutable("that is no reply address".to_owned()));
        }
        let envelope = wire::envelope(message, &self.broker.user).map(|envelope| envelope.for_queue(to));
        match publishing::publish_one(&self.broker, envelope).await {
            Err(PublishError::Unroutable(_)) => Ok(()),
            other => other,
        }
    }

    async fn ensure(&self, places: &[Place]) -> Result<(), Trouble> {
        self.broker.link.ensure(places).await
    }

    fn generation(&self) -> watch::Receiver<Generation> {
        self.broker.link.generation()
    }

    async fn filled(&self) -> Result<(), Trouble> {
        self.broker.link.filled().await
    }

    fn health(&self) -> Result<(), String> {
        let connection = self.broker.link.connection()?;
        if connection.status().blocked() {
            return Err("the broker blocks publishers: it is short of memory or disk".to_owned());
        }
        Ok(())
    }

    async fn depths(&self) -> Result<Vec<Depth>, Trouble> {
        self.broker.link.depths().await
    }

    async fn close(&self) {
        self.broker.link.close().await;
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        // The job holds the link, so without this it would keep the connection for ever.
        self.keeping.abort();
        self.broker.link.forget();
    }
}
