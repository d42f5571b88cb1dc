//! The transport of one process: the queues are memory, and end with it.
//!
//! The hub's truth is its database, so a restart loses nothing: the first generation is empty, and the hub
//! publishes again what is released and unfinished, exactly as for a RabbitMQ that came back without its data.

mod consumer;
mod queues;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Notify, watch};

use crate::queue::{
    BODY_LIMIT_BYTES, Consumer, Depth, Generation, Message, Place, PublishError, Publisher, Routing, Source, Tier,
    Transport, Trouble,
};
use crate::resting::Resting;
use crate::{Options, counters};
use consumer::MemoryConsumer;
use queues::{Queues, REPLIES_PREFIX, Waiting};

pub(crate) fn open(options: &Options) -> Arc<dyn Transport> {
    Arc::new(InProcess {
        memory: Arc::new(Memory {
            queues: Mutex::new(Queues::new(options.memory_limit_messages)),
            changed: Notify::new(),
            resting: Resting::default(),
        }),
        generation: watch::Sender::new(Generation { number: 1, empty: true }),
    })
}

struct InProcess {
    memory: Arc<Memory>,
    generation: watch::Sender<Generation>,
}

/// The queues, and a bell that rings whenever a waiting consumer may find something.
struct Memory {
    queues: Mutex<Queues>,
    changed: Notify,
    resting: Resting,
}

impl Memory {
    /// Nothing panics while it holds this lock; if it did, the queues would still be whole.
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, queue: &str, message: &Message) -> Result<(), PublishError> {
        if message.body.len() > BODY_LIMIT_BYTES {
            return Err(PublishError::Refused(format!("a body has at most {BODY_LIMIT_BYTES} bytes")));
        }
        let put = self.lock().put(queue, Waiting::new(message.clone()));
        self.changed.notify_waiters();
        put
    }
}

#[async_trait]
impl Publisher for InProcess {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PublishError>> {
        let results: Vec<_> = messages.iter().map(|message| self.memory.put(&message.routing.key(), message)).collect();
        counters::published(&results);
        results
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn consume(&self, source: Source, prefetch: u16) -> Result<Box<dyn Consumer>, Trouble> {
        Ok(Box::new(MemoryConsumer::new(self.memory.clone(), source, prefetch)))
    }

    async fn reply(&self, to: &str, message: &Message) -> Result<(), PublishError> {
        // The address came with a message: it must not let a stranger write into another queue of ours.
        if !to.starts_with(REPLIES_PREFIX) {
            return Err(PublishError::Unroutable("that is no reply address".to_owned()));
        }
        match self.memory.put(to, message) {
            // Whoever asked is gone.
            Err(PublishError::Unroutable(_)) => Ok(()),
            other => other,
        }
    }

    async fn ensure(&self, places: &[Place]) -> Result<(), Trouble> {
        let mut queues = self.memory.lock();
        for place in places {
            for tier in Tier::BOTH {
                queues.make(&Routing::work(place.clone(), tier).key());
            }
        }
        Ok(())
    }

    fn generation(&self) -> watch::Receiver<Generation> {
        self.generation.subscribe()
    }

    async fn filled(&self) -> Result<(), Trouble> {
        self.generation.send_modify(|generation| generation.empty = false);
        Ok(())
    }

    fn health(&self) -> Result<(), String> {
        if self.memory.lock().is_closed() { Err("closed".to_owned()) } else { Ok(()) }
    }

    async fn depths(&self) -> Result<Vec<Depth>, Trouble> {
        Ok(self.memory.lock().depths())
    }

    async fn close(&self) {
        self.memory.lock().close();
        self.memory.changed.notify_waiters();
    }
}
