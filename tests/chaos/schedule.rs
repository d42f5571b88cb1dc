//! What is done to the stage, and when: by chance, but so that each kind of harm gets its share.

use std::sync::Arc;
use std::time::Duration;

use ::tests::Wire;
use anyhow::Result;
use fastrand::Rng;
use tokio::time::{Instant, sleep, timeout};

use crate::stage::{HUBS, LEASE, Shared};
use crate::strays::Strays;

/// Between two harms, on average. They overlap: most take longer than that.
const PAUSE: Duration = Duration::from_millis(2800);
/// A queue that is killed within a second of its declaration is lost (RabbitMQ 3.10).
const SETTLING: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    HubKilled,
    AllHubsKilled,
    WorkerKilled,
    /// It is stopped for longer than its leases hold, and then goes on as if nothing had been.
    WorkerStalled,
    BrokerKilled,
    DatabaseKilled,
    BackendsTerminated,
    WireSlow,
    WireCut,
    WireSilent,
    WireUnanswered,
    /// Messages come once more.
    Duplicates,
    /// Messages that nobody can read.
    Poison,
}

/// So often each in one round of all.
const SHARES: [(Harm, usize); 13] = [
    (Harm::HubKilled, 17),
    (Harm::AllHubsKilled, 2),
    (Harm::WorkerKilled, 6),
    (Harm::WorkerStalled, 2),
    (Harm::BrokerKilled, 2),
    (Harm::DatabaseKilled, 2),
    (Harm::BackendsTerminated, 1),
    (Harm::WireSlow, 1),
    (Harm::WireCut, 1),
    (Harm::WireSilent, 2),
    (Harm::WireUnanswered, 1),
    (Harm::Duplicates, 2),
    (Harm::Poison, 2),
];

/// Harms for so long, and returns when the last harm is over and all is whole again.
pub(crate) async fn harm(stage: Shared, strays: Arc<Strays>, seed: u64, duration: Duration) -> Result<()> {
    let mut chance = Rng::with_seed(seed);
    let mut round = Vec::new();
    let end = Instant::now() + duration;
    sleep(SETTLING).await;
    let mut under_way = Vec::new();
    while Instant::now() < end {
        let harm = next(&mut round, &mut chance);
        under_way.push(tokio::spawn(befall(stage.clone(), strays.clone(), harm, chance.fork())));
        let pause = PAUSE.mul_f64(0.5 + chance.f64());
        sleep(pause.min(end.saturating_duration_since(Instant::now()))).await;
    }
    for harm in under_way {
        harm.await??;
    }
    stage.heal().await;
    Ok(())
}

fn next(round: &mut Vec<Harm>, chance: &mut Rng) -> Harm {
    if round.is_empty() {
        round.extend(SHARES.iter().flat_map(|(harm, share)| std::iter::repeat_n(*harm, *share)));
        chance.shuffle(round);
    }
    round.pop().unwrap_or(Harm::HubKilled)
}

async fn befall(stage: Shared, strays: Arc<Strays>, harm: Harm, mut chance: Rng) -> Result<()> {
    let down = Duration::from_millis(chance.u64(50..1500));
    match harm {
        Harm::HubKilled => stage.kill_hub(chance.usize(0..HUBS), down),
        Harm::AllHubsKilled => (0..HUBS).for_each(|n| stage.kill_hub(n, down)),
        Harm::WorkerKilled => stage.kill_worker(chance.usize(0..stage.workers()), down),
        Harm::WorkerStalled => stage.stall_worker(chance.usize(0..stage.workers()), LEASE * 2),
        Harm::BrokerKilled => stage.kill_broker(down).await?,
        Harm::DatabaseKilled => stage.kill_database(down).await?,
        // It may be down at this moment: then they have ended by themselves.
        Harm::BackendsTerminated => drop(timeout(LEASE * 2, stage.terminate_backends()).await),
        Harm::WireSlow => bend(&stage, &mut chance, Wire::Slow(Duration::from_millis(150))).await,
        Harm::WireCut => bend(&stage, &mut chance, Wire::Cut).await,
        Harm::WireSilent => bend(&stage, &mut chance, Wire::Silent).await,
        Harm::WireUnanswered => bend(&stage, &mut chance, Wire::Unanswered).await,
        Harm::Duplicates => strays.duplicate(&mut chance).await,
        Harm::Poison => strays.poison(&mut chance).await?,
    }
    Ok(())
}

/// One wire is like this for a while.
async fn bend(stage: &Shared, chance: &mut Rng, how: Wire) {
    let wires: Vec<_> = stage.wires.all().collect();
    let wire = wires[chance.usize(0..wires.len())];
    wire.becomes(how);
    sleep(Duration::from_millis(chance.u64(500..8000))).await;
    wire.becomes(Wire::Whole);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_brings_back_the_same_schedule_and_each_harm_gets_its_share() {
        let schedule = |seed| {
            let (mut round, mut chance) = (Vec::new(), Rng::with_seed(seed));
            (0..SHARES.iter().map(|(_, share)| share).sum()).map(|_| next(&mut round, &mut chance)).collect::<Vec<_>>()
        };
        assert_eq!(schedule(7), schedule(7));
        assert_ne!(schedule(7), schedule(8));
        for (harm, share) in SHARES {
            assert_eq!(schedule(7).into_iter().filter(|drawn| *drawn == harm).count(), share, "{harm:?}");
        }
    }
}
