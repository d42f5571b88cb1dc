//! A look at the tables as they are.

use std::str::FromStr;
use std::time::Duration;

use hub_domain::registry::Trouble;
use schemas::time::Timestamp;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::direct;
use super::queues::FIGURES;
use crate::Options;
use crate::errors::trouble;
use crate::inspect::{APPLIED, Applied, Inspection, Schema};
use crate::queues::{FigureRow, figures};

const ABOUT: &str = "-- inspect
    SELECT 'PostgreSQL ' || current_setting('server_version'),
           (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
           to_regclass('_sqlx_migrations') IS NOT NULL";

pub(crate) async fn look(url: &str, options: &Options) -> Result<Inspection, Trouble> {
    let within = Duration::from_millis(options.acquire_timeout_ms);
    let connect = PgConnectOptions::from_str(url)
        .map_err(|_| Trouble::Failed("a PostgreSQL database is named postgres://USER@HOST/DATABASE".into()))?
        .application_name("fhir-workflow-hub doctor")
        .options([("default_transaction_read_only", "on".to_owned())])
        .options([("statement_timeout", options.search_timeout_ms.to_string())]);
    let mut connection = direct(&connect, within).await?;
    let about = sqlx::query_as::<_, (String, i64, bool)>(ABOUT).fetch_one(&mut connection).await;
    let (version, now_us, has_tables) = about.map_err(trouble)?;
    let applied = if has_tables { applied(&mut connection).await? } else { Vec::new() };
    let counting = sqlx::query_as::<_, FigureRow>(FIGURES).bind(options.clock_offset.us());
    let counted = if has_tables { counting.fetch_all(&mut connection).await.ok() } else { None };
    connection.close().await.map_err(trouble)?;
    Ok(Inspection {
        version,
        now: Some(Timestamp(now_us)),
        schema: Schema::of(&sqlx::migrate!("migrations/postgres"), &applied),
        figures: counted.map(figures),
    })
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<Applied>, Trouble> {
    sqlx::query_as(APPLIED).fetch_all(connection).await.map_err(trouble)
}
