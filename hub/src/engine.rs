//! The one door: every change of the registry is a [`Command`] that runs in a lane.
//!
//! A lane takes what has come while others were committed ([`waiting`](crate::waiting)), loads all scenes at once, decides
//! one after another in memory, and commits all in one transaction. There is no artificial delay: under little load a
//! batch is one command. Lanes are speed only; what makes several hubs on one database right is that a commit compares
//! the versions of the heads.

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use hub_domain::command::{Act, Command, Interaction};
use hub_domain::decide::{self, Moment, Policy, Verdict, lane_of};
use hub_domain::decision::{Decision, Outgoing, OutgoingId, Reply, Write};
use hub_domain::directory::Lookup;
use hub_domain::refusal::{Refusal, RefusalKind};
use hub_domain::registry::{Committed, Method, Registry, Stored, Trouble};
use hub_domain::scene::{Head, Needs, Scene};
use hub_domain::workflows;
use hub_telemetry::names;
use schemas::resource::{Document, Kind, Resource};
use schemas::task::TaskStatus;
use schemas::time::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::backlog::Backlog;
use crate::waiting::Waiting;

/// How often a command that others overtook is decided again before its caller is told to come back later.
const STALE_LIMIT: u32 = 16;
/// How often a command may ask to see more, the look ahead included; more than any needs.
const MORE_LIMIT: usize = 6;

#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub lanes: usize,
    /// Whether they commit one at a time, as SQLite has it.
    pub one_writer: bool,
    /// Most commands of one commit.
    pub batch_limit_commands: usize,
    /// Most commands that wait for a lane.
    pub queue_limit_commands: usize,
}

/// Why a command has no reply.
#[derive(Debug, Clone)]
pub enum Failure {
    /// The caller's: told in full.
    Refused(Refusal),
    /// Ours: logged where it happened, under this id.
    Trouble { id: Uuid, kind: TroubleKind },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// The database is away; come back.
    Unavailable,
    /// Too much is waiting; come back.
    Overloaded,
    /// Too many messages wait for the broker to take in new work; come back.
    Backlogged,
    /// Others were faster, again and again; come back.
    Contended,
    /// The query would read too much.
    TooCostly,
    /// A paging link that this hub did not write.
    BadPage,
    Broken,
}

impl Failure {
    /// Logs what failed, once, and keeps its cause from the caller.
    pub fn of(trouble: &Trouble) -> Self {
        let id = Uuid::now_v7();
        let kind = match trouble {
            Trouble::Unavailable(_) => TroubleKind::Unavailable,
            Trouble::TooCostly | Trouble::TooWide { .. } => TroubleKind::TooCostly,
            Trouble::BadPage => TroubleKind::BadPage,
            _ => TroubleKind::Broken,
        };
        if !matches!(kind, TroubleKind::TooCostly | TroubleKind::BadPage) {
            metrics::counter!(names::TROUBLES_TOTAL, "where" => "registry").increment(1);
            tracing::error!(error.id = %id, error.kind = ?kind, cause = %trouble, "the registry failed");
        }
        Self::Trouble { id, kind }
    }
}

struct Job {
    command: Command,
    answer: oneshot::Sender<Result<Done, Failure>>,
    /// How often it was overtaken.
    stale: u32,
}

/// A command that was committed.
#[derive(Debug, Clone, Default)]
pub struct Done {
    pub reply: Reply,
    /// The versions that it wrote; none for a repeat.
    pub written: Vec<Resource>,
}

/// Messages of a commit, with what it wrote: who sends them need not read that again.
#[derive(Debug, Default)]
pub struct Fresh {
    pub messages: Vec<Outgoing>,
    pub written: Vec<Resource>,
}

/// A command on its way: await it for the reply.
pub type Pending = oneshot::Receiver<Result<Done, Failure>>;

/// Hands commands to the lanes. Clones share the lanes; when the last is dropped the lanes finish and end.
#[derive(Clone)]
pub struct Engine {
    door: Arc<Door>,
    backlog: Arc<Backlog>,
    /// Decides what nobody commits.
    stage: Arc<Lane>,
}

/// Closes when nobody has it any more.
struct Door(Arc<Waiting<Job>>);

impl Drop for Door {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Engine {
    /// Starts the lanes. What they commit for the queues they hand to `fresh`, which may be behind: then the outbox
    /// has it.
    pub fn start(
        registry: Arc<dyn Registry>,
        policy: Arc<Policy>,
        options: Options,
        fresh: mpsc::Sender<Fresh>,
        backlog: Arc<Backlog>,
        jobs: &TaskTracker,
    ) -> Self {
        let lane = || Lane {
            registry: registry.clone(),
            policy: policy.clone(),
            fresh: fresh.clone(),
            backlog: backlog.clone(),
        };
        let waiting = Arc::new(Waiting::new(options.lanes, options.one_writer, options.queue_limit_commands));
        for _ in 0..options.lanes {
            jobs.spawn(lane().run(waiting.clone(), options.batch_limit_commands));
        }
        Self { door: Arc::new(Door(waiting)), backlog: backlog.clone(), stage: Arc::new(lane()) }
    }

    /// Puts a command in front of the lanes. Commands of one order are decided in the order in which they are put.
    pub async fn put(&self, command: Command) -> Pending {
        let (answer, pending) = oneshot::channel();
        self.door.0.put(lane_of(&command), Job { command, answer, stale: 0 }).await;
        pending
    }

    /// The same, for callers who can be told to come back: never waits for room, and takes no new work while
    /// too much of what was taken cannot be sent. What concerns the orders there are goes on, since that drains them.
    pub async fn execute(&self, command: Command) -> Result<Done, Failure> {
        if self.backlog.is_full() && brings_work(&command) {
            return Err(turned_away("outbox", TroubleKind::Backlogged));
        }
        let (answer, pending) = oneshot::channel();
        if !self.door.0.try_put(lane_of(&command), Job { command, answer, stale: 0 }) {
            return Err(turned_away("lane", TroubleKind::Overloaded));
        }
        settled(pending).await
    }

    /// What would come of a command now: it is decided like any other, and nothing is committed.
    pub async fn rehearse(&self, command: Command) -> Result<Reply, Failure> {
        let (answer, _) = oneshot::channel();
        let trials = self.stage.decide_all(&mut [Job { command, answer, stale: 0 }]).await;
        let trial = trials.map_err(|trouble| Failure::of(&trouble))?.pop();
        trial.and_then(|trial| trial.outcome).unwrap_or_else(|| Err(changing())).map(|decision| decision.reply)
    }
}

fn turned_away(why: &'static str, kind: TroubleKind) -> Failure {
    metrics::counter!(names::TURNED_AWAY_TOTAL, "why" => why).increment(1);
    Failure::Trouble { id: Uuid::now_v7(), kind }
}

/// Whether it may put messages into the outbox that belong to no order yet.
fn brings_work(command: &Command) -> bool {
    match &command.act {
        Act::Change(entries) => entries.iter().any(|entry| match entry.interaction {
            Interaction::Create { kind, .. } => kind.is_request() || kind == Kind::TASK,
            _ => false,
        }),
        Act::Ask(ask) => workflows::brings_work(ask),
        _ => false,
    }
}

/// The reply to a command that was put.
pub async fn settled(pending: Pending) -> Result<Done, Failure> {
    pending.await.unwrap_or_else(|_| Err(Failure::Trouble { id: Uuid::now_v7(), kind: TroubleKind::Unavailable }))
}

struct Lane {
    registry: Arc<dyn Registry>,
    policy: Arc<Policy>,
    fresh: mpsc::Sender<Fresh>,
    backlog: Arc<Backlog>,
}

impl Lane {
    async fn run(self, waiting: Arc<Waiting<Job>>, batch_limit_commands: usize) {
        while let Some((mut turn, mut batch)) = waiting.take(batch_limit_commands).await {
            while !batch.is_empty() {
                metrics::histogram!(names::LANE_BATCH_COMMANDS).record(batch.len() as f64);
                metrics::gauge!(names::LANE_WAITING_COMMANDS).set(waiting.len() as f64);
                // A batch that breaks fails its own commands, whose callers are told so when their jobs are dropped.
                batch = AssertUnwindSafe(self.batch(batch)).catch_unwind().await.unwrap_or_default();
                // What was overtaken runs again, before anything newer.
                if !batch.is_empty() {
                    let room = batch_limit_commands.saturating_sub(batch.len());
                    batch.extend(turn.go_on(batch.iter().map(|job| lane_of(&job.command)).collect(), room));
                }
            }
        }
    }

    /// Runs a batch to its replies; what has to be decided again is returned.
    async fn batch(&self, mut jobs: Vec<Job>) -> Vec<Job> {
        match self.decide_all(&mut jobs).await {
            Ok(trials) => self.commit_all(jobs, trials).await,
            Err(trouble) => {
                fail_all(jobs, &trouble);
                Vec::new()
            }
        }
    }

    /// Every job decided, in order. A later one sees what an earlier one of its order decided.
    async fn decide_all(&self, jobs: &mut [Job]) -> Result<Vec<Trial>, Trouble> {
        let needs: Vec<Needs> = jobs.iter().map(|job| decide::needs(&job.command, &self.policy)).collect();
        let begin = Instant::now();
        let (scenes, now) = self.registry.load(&needs).await?;
        metrics::histogram!(names::LOAD_SECONDS).record(begin.elapsed().as_secs_f64());
        jobs.iter_mut().for_each(|job| decide::stamp(&mut job.command, now));
        let mut trials: Vec<Trial> = scenes.into_iter().map(Trial::new).collect();
        loop {
            let wanted = self.round(jobs, &mut trials, now);
            if wanted.is_empty() {
                return Ok(trials);
            }
            let (which, needs): (Vec<usize>, Vec<Needs>) = wanted.into_iter().unzip();
            let (found, _) = self.registry.load(&needs).await?;
            for ((n, needs), mut scene) in which.into_iter().zip(needs).zip(found) {
                if let Err(trouble) = self.look_up(needs.lookups, &mut scene).await {
                    trials[n].outcome = Some(Err(Failure::of(&trouble)));
                    continue;
                }
                trials[n].torn |= is_newer(&scene, &trials[n].scene);
                trials[n].scene.add(scene);
                trials[n].scene.asked.extend(needs.existence);
            }
        }
    }

    /// Adds what the directory says. What goes wrong here is one command's, and not its neighbours'.
    async fn look_up(&self, lookups: Vec<Lookup>, scene: &mut Scene) -> Result<(), Trouble> {
        for lookup in lookups {
            let found = match lookup.query() {
                Some(query) => self.registry.search(&query).await?.entries,
                None => Vec::new(),
            };
            let read = |stored: Stored| {
                let body = Document::read(&stored.body).map_err(|error| Trouble::Failed(error.to_string()))?;
                Ok(Resource { key: stored.key, version: stored.version, last_updated: stored.last_updated, body })
            };
            let found = found.into_iter().map(read).collect::<Result<_, Trouble>>()?;
            scene.found.insert(lookup, found);
        }
        Ok(())
    }

    /// One pass over the jobs that are open: what they must see before they can be decided.
    ///
    /// Who must see more holds up those behind it in its order. They are looked at all the same, once, so that what
    /// they ask for comes in the same load.
    fn round(&self, jobs: &[Job], trials: &mut [Trial], now: Timestamp) -> Vec<(usize, Needs)> {
        let mut wanted = Vec::new();
        let mut waiting: HashSet<Uuid> = HashSet::new();
        for n in 0..jobs.len() {
            let (earlier, later) = trials.split_at_mut(n);
            let trial = &mut later[0];
            let order = lane_of(&jobs[n].command);
            let held_up = waiting.contains(&order);
            if trial.outcome.is_some() || (held_up && trial.asked > 0) {
                continue;
            }
            for (job, other) in jobs.iter().zip(&*earlier) {
                if let Some(Ok(decision)) = &other.outcome
                    && concerns(job, decision, &jobs[n], &trial.scene)
                {
                    decide::after(&mut trial.scene, decision);
                    trial.leans |= other.leans || !changes_nothing(decision);
                }
            }
            match self.decide(&trial.scene, &jobs[n].command, now) {
                Ok(Verdict::More(_)) if trial.asked == MORE_LIMIT => trial.outcome = Some(Err(changing())),
                Ok(Verdict::More(needs)) => {
                    waiting.insert(order);
                    trial.asked += 1;
                    wanted.push((n, needs));
                }
                // Too early: it has to see what those before it will have done.
                _ if held_up => {}
                Ok(Verdict::Decided(decision)) => trial.outcome = Some(Ok(*decision)),
                Err(failure) => trial.outcome = Some(Err(failure)),
            }
        }
        wanted
    }

    /// A decision that breaks fails its own command, and neither its neighbours nor the lane.
    fn decide(&self, scene: &Scene, command: &Command, now: Timestamp) -> Result<Verdict, Failure> {
        let moment = Moment { now, policy: &self.policy };
        match catch_unwind(AssertUnwindSafe(|| decide::decide(scene, command, &moment))) {
            Ok(decided) => decided.map_err(Failure::Refused),
            Err(_) => Err(Failure::of(&Trouble::Failed("a decision broke".into()))),
        }
    }

    async fn commit_all(&self, jobs: Vec<Job>, trials: Vec<Trial>) -> Vec<Job> {
        let (mut committing, mut decisions, mut resting, mut again) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (job, mut trial) in jobs.into_iter().zip(trials) {
            let answer = match trial.outcome.take().unwrap_or_else(|| Err(changing())) {
                // Where it moves a head on, the commit compares what it follows from.
                Ok(decision) if !decision.heads.is_empty() || !changes_nothing(&decision) && trial.is_certain() => {
                    committing.push(job);
                    decisions.push(decision);
                    continue;
                }
                // Nothing does otherwise: an answer that is to be kept, a timer that is no longer wanted.
                outcome if trial.torn || outcome.as_ref().is_ok_and(|decision| !changes_nothing(decision)) => {
                    again.extend(job.once_more());
                    continue;
                }
                Ok(decision) => Ok(done(decision.reply, Vec::new())),
                Err(failure) => Err(failure),
            };
            // An answer that follows from what is not yet committed has to wait for it.
            if trial.leans { resting.push((job, answer)) } else { job.answer(answer) }
        }
        if decisions.is_empty() {
            resting.into_iter().for_each(|(job, answer)| job.answer(answer));
            return again;
        }
        let begin = Instant::now();
        let committed = self.registry.commit(&decisions).await;
        metrics::histogram!(names::COMMIT_SECONDS).record(begin.elapsed().as_secs_f64());
        match committed {
            Ok(results) => {
                let all_hold = results.iter().all(|(result, _)| *result == Committed::Done);
                again.extend(self.settle(committing, decisions, results));
                for (job, answer) in resting {
                    if all_hold { job.answer(answer) } else { again.extend(job.once_more()) }
                }
            }
            Err(trouble) => {
                fail_all(committing.into_iter().chain(resting.into_iter().map(|(job, _)| job)), &trouble);
            }
        }
        again
    }

    fn settle(&self, jobs: Vec<Job>, decisions: Vec<Decision>, results: Vec<(Committed, Vec<OutgoingId>)>) -> Vec<Job> {
        let (mut again, mut fresh, mut counts) = (Vec::new(), Fresh::default(), Counts::default());
        for ((job, decision), (result, ids)) in jobs.into_iter().zip(decisions).zip(results) {
            match result {
                Committed::Done => {
                    counts.add(&decision);
                    self.backlog.grew(ids.len());
                    let since = decision.writes.first().map_or(Timestamp::default(), |w| w.resource.last_updated);
                    if !decision.outbox.is_empty() {
                        let written = decision.writes.iter().filter(|write| write.method != Method::Delete);
                        fresh.written.extend(written.map(|write| write.resource.clone()));
                    }
                    let sent = ids.into_iter().zip(decision.outbox);
                    fresh.messages.extend(sent.map(|(id, message)| Outgoing { id, message, since }));
                    job.answer(Ok(done(decision.reply, decision.writes)));
                }
                Committed::Stale => again.extend(job.once_more()),
                Committed::Failed(why) => job.answer(Err(Failure::of(&Trouble::Failed(why)))),
            }
        }
        counts.tell();
        if !fresh.messages.is_empty() {
            // A relay that is behind finds them in the outbox.
            let _ = self.fresh.try_send(fresh);
        }
        again
    }
}

/// A command on its way to a decision.
struct Trial {
    scene: Scene,
    /// How often it asked to see more.
    asked: usize,
    /// It saw what an earlier command of the batch decided: what follows from that holds only if that does.
    leans: bool,
    /// Another hub changed an order between two looks at it: what was seen was never so.
    torn: bool,
    outcome: Option<Result<Decision, Failure>>,
}

impl Trial {
    fn new(scene: Scene) -> Self {
        Self { scene, asked: 0, leans: false, torn: false, outcome: None }
    }

    /// What it saw is committed, and was so at one moment.
    fn is_certain(&self) -> bool {
        !self.leans && !self.torn
    }
}

impl Job {
    fn answer(self, answer: Result<Done, Failure>) {
        if let Err(Failure::Refused(refusal)) = &answer
            && refusal.kind != RefusalKind::Overtaken
        {
            let issue = refusal.issues.first().map_or("none", |issue| issue.code.code());
            metrics::counter!(names::REFUSALS_TOTAL, "issue" => issue).increment(1);
        }
        // Whoever does not wait any more has gone; what was committed stays so.
        let _ = self.answer.send(answer);
    }

    /// Overtaken: to be decided again, unless that was tried often enough.
    fn once_more(mut self) -> Option<Self> {
        metrics::counter!(names::STALE_TOTAL).increment(1);
        if self.stale >= STALE_LIMIT {
            self.answer(Err(Failure::Trouble { id: Uuid::now_v7(), kind: TroubleKind::Contended }));
            return None;
        }
        self.stale += 1;
        Some(self)
    }
}

fn fail_all(jobs: impl IntoIterator<Item = Job>, trouble: &Trouble) {
    let failure = Failure::of(trouble);
    jobs.into_iter().for_each(|job| job.answer(Err(failure.clone())));
}

fn done(reply: Reply, writes: Vec<Write>) -> Done {
    Done { reply, written: writes.into_iter().map(|write| write.resource).collect() }
}

/// Told to a command that asked to see more again and again.
fn changing() -> Failure {
    Failure::Refused(Refusal::conflict("the order changed while this was decided"))
}

fn changes_nothing(decision: &Decision) -> bool {
    decision.heads.is_empty()
        && decision.writes.is_empty()
        && decision.timers.is_empty()
        && decision.timers_done.is_empty()
        && decision.receipts.is_empty()
}

/// Whether an order has moved on from where it was seen first. What was decided upon it in this batch is ahead of both.
fn is_newer(found: &Scene, seen: &Scene) -> bool {
    let is_ahead = |(root, head): (&Uuid, &Head)| seen.heads.get(root).is_some_and(|seen| seen.version < head.version);
    found.heads.iter().any(is_ahead)
}

/// Whether an earlier decision of the batch changed something that this scene shows.
fn concerns(earlier: &Job, decision: &Decision, job: &Job, scene: &Scene) -> bool {
    lane_of(&earlier.command) == lane_of(&job.command)
        || decision.heads.iter().any(|write| scene.heads.contains_key(&write.root))
}

/// What a commit brought, for the metrics: counted here and told once, since each telling looks its metric up by its labels.
#[derive(Default)]
struct Counts {
    orders: BTreeMap<&'static str, u64>,
    transitions: BTreeMap<(String, &'static str), u64>,
}

impl Counts {
    fn add(&mut self, decision: &Decision) {
        for write in &decision.writes {
            let kind = write.resource.key.kind;
            if kind.is_request() && write.method == Method::Create {
                *self.orders.entry(kind.name()).or_default() += 1;
            } else if kind == Kind::TASK
                && let Some(status) = TaskStatus::of(&write.resource.body)
            {
                *self.transitions.entry((decide::work_of(&write.resource.body), status.code())).or_default() += 1;
            }
        }
    }

    fn tell(self) {
        for (kind, times) in self.orders {
            metrics::counter!(names::ORDERS_TOTAL, "kind" => kind).increment(times);
        }
        for ((work, to), times) in self.transitions {
            metrics::counter!(names::TASK_TRANSITIONS_TOTAL, "work" => work, "to" => to).increment(times);
        }
    }
}
