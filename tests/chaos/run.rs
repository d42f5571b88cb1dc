//! One run: set the stage, let everything happen, let it settle, judge.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tests::Programs;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::checker::{self, Verdict};
use crate::clients::{CLIENTS, Clients};
use crate::diary::Diary;
use crate::schedule;
use crate::stage::Stage;
use crate::strays::Strays;

/// Longer than the slowest way out of any harm: a retry of 30 s, a lease, an outbox row that a dead hub held.
const SETTLING_LIMIT: Duration = Duration::from_secs(180);
/// Whoever began something has its end by then, or never.
const CLIENTS_LIMIT: Duration = Duration::from_secs(120);
/// Where something is to be found, a run that does find nothing is no worse for it.
const SABOTAGED_LIMIT: Duration = Duration::from_secs(30);
/// In a run of so long there is each kind of race.
const RACES_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(2);

pub(crate) struct Plan {
    pub(crate) duration: Duration,
    pub(crate) seed: u64,
    pub(crate) orders_per_second: f64,
    pub(crate) programs: Programs,
    /// Handed to the hubs as it is.
    pub(crate) fault: Option<String>,
}

/// Runs it, prints what came of it, and tells whether nothing was wrong.
pub(crate) async fn judged(plan: Plan) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("hub-chaos-").tempdir()?;
    let (seed, minutes) = (plan.seed, plan.duration.as_secs_f64() / 60.0);
    println!("seed {seed}: {minutes:.1} minutes with {CLIENTS} clients; logs are in {}", folder.path().display());
    let begun = Instant::now();
    let path = folder.path().join("diary.jsonl");
    let diary = Diary::create(&path)?;
    let stage = Arc::new(Stage::set(&plan.programs, plan.fault.as_deref(), folder.path(), &[]).await?);
    stage.is_ready().await;
    let strays = Arc::new(Strays::new(&stage.queue, diary.clone()));
    let listening = strays.clone();
    let listener = tokio::spawn(async move { listening.listen().await });
    let (open, is_open) = watch::channel(true);
    let clients = Clients::new(stage.clients.clone(), diary.clone(), is_open);
    let mut at_work = tokio::spawn(clients.run(seed, plan.orders_per_second));
    println!("{:4.0} s: all is up, and harm begins", begun.elapsed().as_secs_f64());

    schedule::harm(stage.clone(), strays, seed, plan.duration).await?;
    println!("{:4.0} s: nothing is harmed any more, and nothing new is begun", begun.elapsed().as_secs_f64());
    let _ = open.send(false);
    listener.abort();
    let Ok(ended) = timeout(CLIENTS_LIMIT, &mut at_work).await else {
        // A hub that breaks its promises may answer somebody never: that is found, too.
        at_work.abort();
        println!("clients still wait for what they began {} s ago", CLIENTS_LIMIT.as_secs());
        println!("what is left of it is in {}", folder.keep().display());
        return Ok(false);
    };
    ended?;
    stage.is_ready().await;
    let limit = if plan.fault.is_some() { SABOTAGED_LIMIT } else { SETTLING_LIMIT };
    let verdict = settled(&stage, &path, Instant::now() + limit).await?;
    println!("{:4.0} s: settled", begun.elapsed().as_secs_f64());

    let kills = stage.kills();
    println!(
        "killed: {} hubs, {} workers, {} times the broker, {} times the database; {} times all its connections",
        kills.hubs, kills.workers, kills.broker, kills.database, kills.terminations
    );
    println!("{}", verdict.table());
    drop(stage);
    // Who was harmed on purpose is judged by what is found.
    let is_to_race = plan.fault.is_none() && plan.duration >= RACES_LIMIT;
    let unseen = if is_to_race { verdict.unseen() } else { Vec::new() };
    if !unseen.is_empty() {
        println!("nothing is proven of races, for there were no {}", unseen.join(", no "));
    }
    if !verdict.is_clean() {
        println!("what is left of it is in {}", folder.keep().display());
    }
    Ok(verdict.is_clean() && unseen.is_empty())
}

/// The verdict, when nothing moves any more or the time is over.
async fn settled(stage: &Stage, diary: &Path, limit: Instant) -> Result<Verdict> {
    let entries = Diary::read(diary).context("the diary cannot be read")?;
    while Instant::now() < limit && !checker::is_settled(&stage.database).await?.is_still() {
        sleep(LOOK_EVERY).await;
    }
    // A message may still be on its way that changes nothing.
    loop {
        let verdict = checker::judge(&stage.database, &stage.queue, &entries).await?;
        if verdict.is_clean() || Instant::now() >= limit {
            return Ok(verdict);
        }
        sleep(LOOK_EVERY).await;
    }
}
