//! A look at the tables as they are.

use std::str::FromStr;

use hub_domain::registry::Trouble;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::BUSY;
use super::queues::FIGURES;
use crate::Options;
use crate::clock::SystemClock;
use crate::errors::trouble;
use crate::inspect::{APPLIED, Applied, Inspection, Schema};
use crate::queues::{FigureRow, figures};

const ABOUT: &str = "-- inspect
    SELECT 'SQLite ' || sqlite_version(),
           EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations')";

pub(crate) async fn look(url: &str, options: &Options) -> Result<Inspection, Trouble> {
    let connect = SqliteConnectOptions::from_str(url)
        .map_err(|_| Trouble::Failed("a SQLite database is named sqlite:PATH".into()))?
        .read_only(true)
        .busy_timeout(BUSY);
    let mut connection = connect.connect().await.map_err(trouble)?;
    let about = sqlx::query_as::<_, (String, bool)>(ABOUT).fetch_one(&mut connection).await;
    let (version, has_tables) = about.map_err(trouble)?;
    let applied = if has_tables { applied(&mut connection).await? } else { Vec::new() };
    let now_us = SystemClock::default().now_us().saturating_add(options.clock_offset.us());
    let counting = sqlx::query_as::<_, FigureRow>(FIGURES).bind(now_us);
    let counted = if has_tables { counting.fetch_all(&mut connection).await.ok() } else { None };
    connection.close().await.map_err(trouble)?;
    Ok(Inspection {
        version,
        now: None,
        schema: Schema::of(&sqlx::migrate!("migrations/sqlite"), &applied),
        figures: counted.map(figures),
    })
}

async fn applied(connection: &mut SqliteConnection) -> Result<Vec<Applied>, Trouble> {
    sqlx::query_as(APPLIED).fetch_all(connection).await.map_err(trouble)
}
