//! How much may be under way at once. What is beyond is refused before it has cost anything.
//!
//! A request holds its share until it is done with, also when its caller has gone: what was read of it is in memory,
//! in a lane's queue perhaps, for just so long.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::EXPECT;
use futures_util::StreamExt as _;
use hub_telemetry::names;
use schemas::outcome::IssueType;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::No;
use crate::config::Config;

/// How long a body that nobody wants may take to end, and how much of it is thrown away.
const DISCARD_LIMIT: Duration = Duration::from_secs(10);
const DISCARD_LIMIT_BYTES: usize = 64 << 20;

/// What is left for new requests.
pub struct Capacity {
    requests: Arc<Semaphore>,
    body_bytes: Arc<Semaphore>,
    body_limit_bytes: usize,
}

/// A part of the capacity, given back when it is dropped.
pub(super) struct Share {
    _permit: OwnedSemaphorePermit,
}

impl Capacity {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(config.requests_limit)),
            body_bytes: Arc::new(Semaphore::new(config.bodies_limit_bytes)),
            body_limit_bytes: config.body_limit_bytes,
        }
    }

    /// For one more request.
    pub(super) fn for_request(&self) -> Result<Share, No> {
        take(&self.requests, 1).ok_or_else(|| turned_away("requests", "too many requests are under way"))
    }

    /// For a body that is still to be read: as long as its sender says, or as long as a body may be.
    pub(super) fn for_body(&self, body: &Body) -> Result<Share, No> {
        let bytes = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
        let bytes = bytes.min(self.body_limit_bytes);
        take(&self.body_bytes, bytes).ok_or_else(|| turned_away("bodies", "too much is being read already"))
    }
}

fn take(from: &Arc<Semaphore>, permits: usize) -> Option<Share> {
    let permits = u32::try_from(permits).unwrap_or(u32::MAX);
    from.clone().try_acquire_many_owned(permits).ok().map(|permit| Share { _permit: permit })
}

fn turned_away(why: &'static str, text: &str) -> No {
    metrics::counter!(names::TURNED_AWAY_TOTAL, "why" => why).increment(1);
    No::new(StatusCode::SERVICE_UNAVAILABLE, IssueType::Throttled, format!("{text}; nothing was done, try again"))
}

/// Reads the body of a request that is refused, and keeps nothing: who is still sending hears no answer. Who asks first
/// whether to send has sent nothing yet.
pub(super) fn discard(request: Request) {
    if request.body().is_end_stream() || request.headers().contains_key(EXPECT) {
        return;
    }
    tokio::spawn(tokio::time::timeout(DISCARD_LIMIT, async {
        let (mut parts, mut read) = (request.into_body().into_data_stream(), 0);
        while let Some(Ok(part)) = parts.next().await
            && read < DISCARD_LIMIT_BYTES
        {
            read += part.len();
        }
    }));
}
