//! Time spent in the database, by the name of what was done there.

use std::time::Instant;

/// Runs `work` and keeps its seconds under `name`.
pub(crate) async fn metered<T>(name: &'static str, work: impl Future<Output = T>) -> T {
    let from = Instant::now();
    let done = work.await;
    metrics::histogram!("hub_storage_seconds", "operation" => name).record(from.elapsed().as_secs_f64());
    done
}
