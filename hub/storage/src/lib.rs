//! The registry on a database: PostgreSQL for a site, SQLite for one machine and for tests.
//!
//! Every change is one [`commit`](hub_domain::registry::Registry::commit) of a batch of decisions: versions of
//! resources, their history, what searches need of them, and the messages still to be sent, in one transaction. Both
//! back ends share what is said about rows and searches here (`rows`, `batch`, `search`) and write their own SQL
//! for locking and for many rows at once.
//!
//! To add a database: 1. a folder beside `postgres/` and `sqlite/` that implements `Registry`; 2. its migrations;
//! 3. an arm in [`open`]; 4. `tests/contract.rs` says when it is done.

mod batch;
mod body;
mod changes;
mod clock;
mod errors;
#[cfg(feature = "faults")]
mod faults;
mod history;
mod indexed;
mod inspect;
mod load;
mod metered;
mod options;
mod outcome;
mod pages;
mod postgres;
mod queues;
mod rows;
mod schema;
mod search;
mod sqlite;
mod values;

use std::sync::Arc;

use hub_domain::registry::{Registry, Trouble};

pub use inspect::{Inspection, Schema, file, inspect};
pub use options::{ClockOffset, Options};

/// Opens the registry at `sqlite:PATH`, `sqlite::memory:` or `postgres://…`, its schema brought up to date.
pub async fn open(url: &str, options: Options) -> Result<Arc<dyn Registry>, Trouble> {
    let registry: Arc<dyn Registry> = match url.split(':').next() {
        Some("sqlite") => Arc::new(sqlite::Sqlite::open(url, options).await?),
        Some("postgres" | "postgresql") => Arc::new(postgres::Postgres::open(url, options).await?),
        _ => return Err(Trouble::Failed("a database is named sqlite:PATH or postgres://HOST/DATABASE".into())),
    };
    #[cfg(feature = "faults")]
    let registry = faults::armed(registry);
    Ok(registry)
}
