//! Which orders are those of a service that has its own table of states: its record is in the order's head.

use std::collections::HashMap;

use anyhow::Result;
use futures_util::TryStreamExt;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sqlx::PgConnection;
use uuid::Uuid;

/// What is in the record is the hub's own memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "Record")]
pub(super) enum Service {
    Prescriptions,
    Referrals,
}

#[derive(Deserialize)]
enum Record {
    #[serde(rename = "eps")]
    Eps(IgnoredAny),
    #[serde(rename = "ers")]
    Ers(IgnoredAny),
}

impl From<Record> for Service {
    fn from(record: Record) -> Self {
        match record {
            Record::Eps(_) => Self::Prescriptions,
            Record::Ers(_) => Self::Referrals,
        }
    }
}

#[derive(Deserialize)]
struct Run {
    #[serde(rename = "w")]
    service: Option<Service>,
}

pub(super) async fn roots(database: &mut PgConnection) -> Result<HashMap<Uuid, Service>> {
    let mut roots = HashMap::new();
    let mut rows =
        sqlx::query_as::<_, (Uuid, String)>("SELECT root, run FROM head WHERE run IS NOT NULL").fetch(database);
    while let Some((root, run)) = rows.try_next().await? {
        // One that cannot be read is blamed where orders are judged.
        roots.extend(serde_json::from_str::<Run>(&run).ok().and_then(|run| run.service).map(|service| (root, service)));
    }
    Ok(roots)
}
