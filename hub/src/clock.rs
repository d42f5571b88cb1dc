//! Durable timers: what is due becomes a `Command`, and its decision deletes it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hub_domain::command::{Act, Caller, Command};
use hub_domain::registry::Registry;
use hub_telemetry::names;
use schemas::time::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::engine::{Engine, settled};

/// How often due timers are looked for.
const TICK: Duration = Duration::from_millis(500);
const BATCH_LIMIT_TIMERS: usize = 256;
/// How long a timer that was taken is this hub's.
const LEASE: Duration = Duration::from_secs(30);

/// This machine's time, for what is not decided by it: everything else goes by the registry's.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

pub(crate) async fn run(registry: Arc<dyn Registry>, engine: Engine, stop: CancellationToken) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        match registry.due(BATCH_LIMIT_TIMERS as u32, LEASE).await {
            Ok(timers) => {
                if timers.len() == BATCH_LIMIT_TIMERS {
                    // There are more of them.
                    tick.reset_immediately();
                }
                let mut fired = Vec::with_capacity(timers.len());
                metrics::counter!(names::TIMERS_FIRED_TOTAL).increment(timers.len() as u64);
                for timer in timers {
                    let act = Act::Fire(timer.id);
                    let command =
                        Command { id: Uuid::now_v7(), caller: Caller::Hub, act, repeat: None, traceparent: None };
                    fired.push(engine.put(command).await);
                }
                for pending in fired {
                    // One that fails is due again when its lease is over.
                    let _ = settled(pending).await;
                }
            }
            Err(trouble) => tracing::warn!(cause = %trouble, "timers cannot be read"),
        }
    }
}
