//! The four combinations of database and queue, and where their servers are.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Mutex;

use services::{AMQP_VARIABLE, POSTGRES_VARIABLE};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    Embedded,
    RabbitMq,
}

/// What a hub stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    pub database: Database,
    pub queue: Queue,
}

impl Parts {
    pub const SQLITE_EMBEDDED: Self = Self { database: Database::Sqlite, queue: Queue::Embedded };
    pub const SQLITE_RABBITMQ: Self = Self { database: Database::Sqlite, queue: Queue::RabbitMq };
    pub const POSTGRES_EMBEDDED: Self = Self { database: Database::Postgres, queue: Queue::Embedded };
    pub const POSTGRES_RABBITMQ: Self = Self { database: Database::Postgres, queue: Queue::RabbitMq };

    /// Whether the servers that these parts need are given. What is left out for want of one is said, once for each
    /// server, where it cannot be overlooked.
    pub(crate) fn are_given(self) -> bool {
        let wanted = [
            (self.database == Database::Postgres, POSTGRES_VARIABLE, "PostgreSQL"),
            (self.queue == Queue::RabbitMq, AMQP_VARIABLE, "RabbitMQ"),
        ];
        let missing = wanted.into_iter().find(|(wanted, variable, _)| *wanted && server(variable).is_none());
        if let Some((_, variable, name)) = missing {
            leave_out(&format!("stories on {name} ({variable} is not set; ./tests/run sets it)"));
        }
        missing.is_none()
    }
}

/// The URL of a server that tests may use.
pub(crate) fn server(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|url| !url.is_empty())
}

/// Set by `./tests/run`: all is there, so nothing may be left out.
const COMPLETE_VARIABLE: &str = "HUB_TEST_COMPLETE";

/// What `./tests/run` has said that it cannot provide on this machine, in a word each.
const WITHOUT_VARIABLE: &str = "HUB_TEST_WITHOUT";

/// Says what is not tested for want of something that `./tests/run` provides. There it is a failure.
pub(crate) fn leave_out(what: &str) {
    assert!(std::env::var_os(COMPLETE_VARIABLE).is_none(), "this run is to be complete, and lacks: {what}");
    say_once(&format!("left out: {what}"));
}

/// The same of what `./tests/run` cannot provide everywhere: there it is a failure unless the run has said so, by this word.
pub fn leave_out_for_want_of(word: &str, what: &str) {
    let told = std::env::var(WITHOUT_VARIABLE).unwrap_or_default();
    if told.split_whitespace().any(|told| told == word) {
        say_once(&format!("left out: {what}"));
    } else {
        leave_out(what);
    }
}

/// Says something past the harness, which keeps the output of a test that passes to itself.
pub fn say_once(what: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let is_new = SAID.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(what.to_owned());
    if is_new {
        let _ = writeln!(std::io::stderr(), "{what}");
    }
}
