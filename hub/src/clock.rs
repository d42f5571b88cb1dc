//! Durable timers: what is due becomes a `Command`, and its decision deletes it.

use std::sync::Arc;
use std::time::Duration;

use hub_domain::command::{Act, Caller, Command};
use hub_domain::registry::Registry;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::engine::{Engine, settled};

/// How often due timers are looked for.
const TICK: Duration = Duration::from_millis(500);
const BATCH_LIMIT_TIMERS: u32 = 256;
/// How long a timer that was taken is this hub's.
const LEASE: Duration = Duration::from_secs(30);

pub(crate) async fn run(registry: Arc<dyn Registry>, engine: Engine, stop: CancellationToken) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        match registry.due(BATCH_LIMIT_TIMERS, LEASE).await {
            Ok(timers) => {
                let mut fired = Vec::with_capacity(timers.len());
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
