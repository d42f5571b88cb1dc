//! One connection, kept: made, watched, and made again.
//!
//! lapin can recover by itself, but then a broker that came back empty looks like one that was only slow, and what is
//! redeclared is what some channel once declared. Here every connection begins the same way: declare what must be
//! there, ask whether the broker is filled, tell the new [`Generation`].

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Error, ErrorKind, Event};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use super::{Broker, topology};
use crate::queue::{Depth, Generation, Place, Routing, Tier, Trouble};
use crate::{Options, counters};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const DECLARE_LIMIT: Duration = Duration::from_secs(30);
/// A broker that is silent for two of these is gone.
const HEARTBEAT_SECONDS: u16 = 15;
/// So long after a declaration are its queues safe from a power cut. RabbitMQ 3.10 notes a new queue on disk with half
/// a second of delay, and without that note it forgets messages that it confirmed meanwhile.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
const BACKOFF_FIRST_MS: u64 = 100;
const BACKOFF_LAST_MS: u64 = 10_000;
/// Events tell that a connection broke; a look now and then is the net below them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Link {
    uri: AMQPUri,
    options: Options,
    state: watch::Sender<State>,
    generation: watch::Sender<Generation>,
    places: Mutex<BTreeSet<Place>>,
    declared: Mutex<Instant>,
}

#[derive(Clone)]
enum State {
    Up(Arc<Connection>),
    Down(String),
    Closed,
}

impl Link {
    pub(super) fn new(mut uri: AMQPUri, options: Options) -> Link {
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        uri.query.connection_timeout.get_or_insert(CONNECT_LIMIT.as_millis() as u64);
        Link {
            uri,
            options,
            state: watch::Sender::new(State::Down("not connected yet".to_owned())),
            generation: watch::Sender::new(Generation::default()),
            places: Mutex::default(),
            declared: Mutex::new(Instant::now()),
        }
    }

    pub(super) fn connection(&self) -> Result<Arc<Connection>, String> {
        match &*self.state.borrow() {
            State::Up(connection) if connection.status().connected() => Ok(connection.clone()),
            State::Up(_) => Err("the connection was just lost".to_owned()),
            State::Down(why) => Err(why.clone()),
            State::Closed => Err("closed".to_owned()),
        }
    }

    pub(super) async fn channel(&self) -> Result<Channel, Trouble> {
        let connection = self.connection().map_err(Trouble::Disconnected)?;
        in_time(connection.create_channel()).await
    }

    pub(super) fn generation(&self) -> watch::Receiver<Generation> {
        self.generation.subscribe()
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.state.borrow(), State::Closed)
    }

    /// Waits until there is a connection or never will be.
    pub(super) async fn up_or_closed(&self) {
        let settled = |state: &State| !matches!(state, State::Down(_));
        // An error would mean that the sender is gone, and it is ours.
        let _ = self.state.subscribe().wait_for(settled).await;
    }

    pub(super) async fn closed(&self) {
        let _ = self.state.subscribe().wait_for(|state| matches!(state, State::Closed)).await;
    }

    /// One attempt, all of it: connect, declare, ask whether it is filled, and only then tell.
    pub(super) async fn connect(&self) -> Result<(), Trouble> {
        let connecting = async {
            let properties = ConnectionProperties::default().with_connection_name(self.options.name.as_str().into());
            let connection = Connection::connect_uri(self.uri.clone(), properties).await?;
            let empty = if self.options.declares { self.prepare(&connection).await? } else { false };
            Ok((connection, empty))
        };
        let made = match timeout(CONNECT_LIMIT + DECLARE_LIMIT, connecting).await {
            Ok(made) => made.map_err(|error| trouble(&error)),
            Err(_) => Err(Trouble::Disconnected("the broker did not answer in time".to_owned())),
        };
        match made {
            Ok((connection, empty)) => self.went_up(connection, empty),
            Err(why) => {
                self.went_down(why.to_string());
                return Err(why);
            }
        }
        Ok(())
    }

    /// Declares everything, and says whether the broker still has to be filled.
    async fn prepare(&self, connection: &Connection) -> lapin::Result<bool> {
        let places = self.places();
        topology::declare(&connection.create_channel().await?, &places).await?;
        *locked(&self.declared) = Instant::now();
        match topology::ask_filled(&connection.create_channel().await?).await {
            Ok(()) => Ok(false),
            Err(error) if reply_code(&error) == Some(404) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn went_up(&self, connection: Connection, empty: bool) {
        let was_open = self.change(State::Up(Arc::new(connection)));
        if !was_open {
            return;
        }
        self.generation.send_modify(|generation| {
            *generation = Generation { number: generation.number + 1, empty };
            if generation.number > 1 {
                counters::reconnected();
            }
        });
        let number = self.generation.borrow().number;
        tracing::info!(generation.number = number, generation.empty = empty, "connected to the broker");
    }

    fn went_down(&self, why: String) {
        self.change(State::Down(why));
    }

    /// Nothing follows upon `Closed`.
    fn change(&self, next: State) -> bool {
        self.state.send_if_modified(|state| {
            let open = !matches!(state, State::Closed);
            if open {
                *state = next;
            }
            open
        })
    }

    fn places(&self) -> BTreeSet<Place> {
        locked(&self.places).clone()
    }

    pub(super) async fn ensure(&self, places: &[Place]) -> Result<(), Trouble> {
        if !self.options.declares {
            return Err(Trouble::Refused("a worker declares no queues: the hub does".to_owned()));
        }
        locked(&self.places).extend(places.iter().cloned());
        let channel = self.channel().await?;
        let places = places.iter().cloned().collect();
        in_time(topology::declare_places(&channel, &places)).await?;
        *locked(&self.declared) = Instant::now();
        Ok(())
    }

    pub(super) async fn filled(&self) -> Result<(), Trouble> {
        let settled = *locked(&self.declared) + SETTLED_AFTER;
        sleep_until(settled).await;
        in_time(topology::set_filled(&self.channel().await?)).await?;
        self.generation.send_modify(|generation| generation.empty = false);
        Ok(())
    }

    pub(super) async fn depths(&self) -> Result<Vec<Depth>, Trouble> {
        let channel = self.channel().await?;
        let work = |place: Place| Tier::BOTH.map(|tier| Routing::work(place.clone(), tier).key());
        let mut queues: Vec<String> = self.places().into_iter().flat_map(work).collect();
        queues.extend(["parked".to_owned(), Routing::Reports.key()]);
        let mut depths = Vec::with_capacity(queues.len());
        for queue in queues {
            let ready = in_time(topology::ready(&channel, &format!("hub.v1.{queue}"))).await?;
            depths.push(Depth { queue, ready });
        }
        Ok(depths)
    }

    pub(super) async fn close(&self) {
        let connection = self.connection();
        self.forget();
        if let Ok(connection) = connection {
            // It may break while it is closed, and then it is closed too.
            let _ = timeout(CONNECT_LIMIT, connection.close(200, "closed by us".into())).await;
        }
    }

    /// Drops the connection, which closes it, without waiting for the broker's answer.
    pub(super) fn forget(&self) {
        self.state.send_replace(State::Closed);
    }
}

/// The job that keeps the link up until it is closed.
pub(super) async fn keep(broker: Arc<Broker>) {
    let link = &broker.link;
    let mut failures: u32 = 0;
    while !link.is_closed() {
        if let Ok(connection) = link.connection() {
            failures = 0;
            let why = broken(&connection).await;
            if link.is_closed() {
                return;
            }
            tracing::warn!(error = %why, "lost the broker");
            link.went_down(why);
        } else {
            let pause = backoff(failures);
            tokio::select! { () = sleep(pause) => {}, () = link.closed() => return }
            failures = failures.saturating_add(1);
            if let Err(error) = link.connect().await {
                tracing::debug!(%error, failures, "no broker yet");
            }
        }
    }
}

/// Returns when the connection is no more, with the last that was heard of it.
async fn broken(connection: &Connection) -> String {
    let mut events = connection.events_listener();
    let mut why = "the connection broke".to_owned();
    while connection.status().connected() {
        // A channel's error is told here too, and breaks nothing: only the status tells the difference.
        if let Ok(Some(Event::Error(error))) = timeout(LOOK_EVERY, events.next()).await {
            why = error.to_string();
        }
    }
    why
}

/// Longer with each failure, and never the same for two of us: a broker that comes back is not run over.
pub(super) fn backoff(failures: u32) -> Duration {
    let full_ms = BACKOFF_FIRST_MS.saturating_mul(1 << failures.min(16)).min(BACKOFF_LAST_MS);
    let chance = u64::from(Uuid::new_v4().as_bytes()[0]);
    Duration::from_millis(full_ms / 2 + full_ms * chance / 512)
}

/// Nothing panics while it holds one of these.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) async fn in_time<T>(declaring: impl Future<Output = lapin::Result<T>>) -> Result<T, Trouble> {
    match timeout(DECLARE_LIMIT, declaring).await {
        Ok(done) => done.map_err(|error| trouble(&error)),
        Err(_) => Err(Trouble::Disconnected("the broker did not answer in time".to_owned())),
    }
}

/// The number in the broker's refusal, when it is one.
pub(super) fn reply_code(error: &Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(refusal) => Some(refusal.get_id()),
        _ => None,
    }
}

/// Waiting does not heal a wrong password (403), a missing queue (404), other arguments (406) or a missing vhost (530).
pub(super) fn trouble(error: &Error) -> Trouble {
    match reply_code(error) {
        Some(403 | 404 | 406 | 530) => Trouble::Refused(error.to_string()),
        _ => Trouble::Disconnected(error.to_string()),
    }
}
