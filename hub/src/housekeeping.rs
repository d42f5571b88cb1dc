//! What is not kept for ever goes, and what is stored is indexed by what is new: a little at a time, so that nobody who works
//! has to wait for it.

use std::sync::Arc;
use std::time::Duration;

use hub_domain::registry::Registry;
use hub_telemetry::names;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// So often at most; and up to twice as long, by chance: several hubs on one database do not come together.
const PAUSE: Duration = Duration::from_secs(45);
const BATCH_LIMIT_RECEIPTS: u32 = 1_000;
/// Nobody commits while so many are indexed anew, and everybody may in between.
const BATCH_LIMIT_RESOURCES: u32 = 100;
const BETWEEN_BATCHES: Duration = Duration::from_millis(100);

pub(crate) async fn run(registry: Arc<dyn Registry>, receipts_kept: Duration, stop: CancellationToken) {
    while !stop.is_cancelled() {
        prune(&*registry, receipts_kept, &stop).await;
        index_anew(&*registry, &stop).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE + by_chance(PAUSE)) => {}
        }
    }
}

/// Batch by batch, until nothing old is left.
async fn prune(registry: &dyn Registry, kept: Duration, stop: &CancellationToken) {
    let mut pruned = u64::from(BATCH_LIMIT_RECEIPTS);
    while pruned == u64::from(BATCH_LIMIT_RECEIPTS) && !stop.is_cancelled() {
        pruned = match registry.prune(kept, BATCH_LIMIT_RECEIPTS).await {
            Ok(pruned) => pruned,
            Err(trouble) => return tracing::warn!(cause = %trouble, "old receipts cannot be forgotten"),
        };
        metrics::counter!(names::RECEIPTS_PRUNED_TOTAL).increment(pruned);
    }
}

/// Batch by batch, until searches by every parameter go by an index.
async fn index_anew(registry: &dyn Registry, stop: &CancellationToken) {
    let mut indexed = 0;
    while !stop.is_cancelled() {
        match registry.index_anew(BATCH_LIMIT_RESOURCES).await {
            Ok(Some(resources)) => {
                indexed += resources;
                metrics::counter!(names::RESOURCES_INDEXED_TOTAL).increment(resources);
            }
            Ok(None) if indexed > 0 => return tracing::info!(resources = indexed, "indexed by new search parameters"),
            Ok(None) => return,
            Err(trouble) => {
                return tracing::warn!(cause = %trouble, "resources cannot be indexed by new search parameters");
            }
        }
        tokio::time::sleep(BETWEEN_BATCHES).await;
    }
}

/// Any time up to `limit`.
fn by_chance(limit: Duration) -> Duration {
    limit * u32::from(Uuid::new_v4().as_bytes()[0]) / u32::from(u8::MAX)
}
