//! The connections of the lanes and the queues, and those of the readers.
//!
//! A read is one way to the database and back, and a commit two, so that a pool which asks for a sign of life whenever a
//! connection is taken, and again when it is given back, doubles them and more. One that was at work a moment ago is
//! alive.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hub_domain::registry::Trouble;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::query::{Query, QueryAs};
use sqlx::{Connection, FromRow, Postgres};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout};

use crate::errors::trouble;

/// One that rested for longer is asked whether it lives.
const TRUSTED: Duration = Duration::from_millis(10);
/// One that is older is closed: what a server keeps for it may grow.
const LIFETIME: Duration = Duration::from_secs(1800);
/// Between two tries to reach a server that does not listen yet.
const TRY_EVERY: Duration = Duration::from_millis(50);

pub(super) struct Connections {
    connect: PgConnectOptions,
    patience: Duration,
    places: Semaphore,
    resting: Mutex<Vec<Resting>>,
}

struct Resting {
    connection: PgConnection,
    born: Instant,
    since: Instant,
}

/// A connection at work. It is closed when it is dropped, as after a failure: only one that is kept goes on.
pub(super) struct Taken<'c> {
    connection: PgConnection,
    born: Instant,
    home: &'c Connections,
    _place: SemaphorePermit<'c>,
}

impl Connections {
    /// At most so many; who comes too many waits for `patience`, as for a server that does not listen.
    pub(super) fn new(connect: PgConnectOptions, most: u32, patience: Duration) -> Self {
        let places = Semaphore::new(most.max(1) as usize);
        Self { connect, patience, places, resting: Mutex::default() }
    }

    pub(super) async fn take(&self) -> Result<Taken<'_>, sqlx::Error> {
        timeout(self.patience, self.find()).await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    async fn find(&self) -> Result<Taken<'_>, sqlx::Error> {
        let place = self.places.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        loop {
            let Some(mut resting) = self.resting().pop() else { break };
            if resting.born.elapsed() > LIFETIME {
                let _ = resting.connection.close().await;
            } else if resting.since.elapsed() < TRUSTED || resting.connection.ping().await.is_ok() {
                let Resting { connection, born, .. } = resting;
                return Ok(Taken { connection, born, home: self, _place: place });
            }
        }
        loop {
            match PgConnection::connect_with(&self.connect).await {
                Ok(connection) => {
                    return Ok(Taken { connection, born: Instant::now(), home: self, _place: place });
                }
                Err(error) if is_for_now(&error) => sleep(TRY_EVERY).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// The rows of one statement.
    pub(super) async fn all<'q, T>(&self, query: QueryAs<'q, Postgres, T, PgArguments>) -> Result<Vec<T>, Trouble>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let mut taken = self.take().await.map_err(trouble)?;
        let rows = query.fetch_all(taken.connection()).await.map_err(trouble);
        if !matches!(rows, Err(Trouble::Unavailable(_))) {
            taken.keep();
        }
        rows
    }

    /// The first row of one statement.
    pub(super) async fn first<'q, T>(&self, query: QueryAs<'q, Postgres, T, PgArguments>) -> Result<Option<T>, Trouble>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        Ok(self.all(query).await?.into_iter().next())
    }

    /// How many rows one statement changed.
    pub(super) async fn run(&self, query: Query<'_, Postgres, PgArguments>) -> Result<u64, Trouble> {
        let mut taken = self.take().await.map_err(trouble)?;
        let done = query.execute(taken.connection()).await.map_err(trouble)?;
        taken.keep();
        Ok(done.rows_affected())
    }

    pub(super) async fn close(&self) {
        self.places.close();
        let resting = std::mem::take(&mut *self.resting());
        for resting in resting {
            let _ = resting.connection.close().await;
        }
    }

    fn resting(&self) -> MutexGuard<'_, Vec<Resting>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken<'_> {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// For whoever comes next: nothing is under way on it.
    pub(super) fn keep(self) {
        if !self.home.places.is_closed() {
            let resting = Resting { connection: self.connection, born: self.born, since: Instant::now() };
            self.home.resting().push(resting);
        }
    }
}

/// A server that does not listen, or starts or ends.
fn is_for_now(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(cause) => cause.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}
