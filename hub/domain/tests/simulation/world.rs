//! The world of one story: hubs that share a registry, a clock that may be set back, and everybody's memory of what
//! they sent. Each command is decided as the engine would, predicted by the model, and held against the laws.

use std::collections::{BTreeMap, BTreeSet};

use hub_domain::command::{Act, Entry, Repeat};
use hub_domain::decide::{Moment, Policy, Verdict, decide, needs};
use hub_domain::decision::{Decision, Reply, TimerId};
use hub_domain::refusal::Refusal;
use hub_domain::registry::{Committed, Method};
use schemas::ids::TaskId;
use schemas::message::StatusReport;
use schemas::resource::{Key, Kind, Resource, list};
use schemas::task::owner;
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::laws::{Held, Laws, law};
use crate::model::{Expected, Model};
use crate::orders;
use crate::registry::Registry;
use crate::step::Step;
use crate::table::{is_on_offer, is_terminal};
use crate::wish::{Matter, Wish};

/// More rounds of looking than any command needs.
const ROUNDS: usize = 6;

/// A submission that may come again.
pub(crate) struct Kept {
    pub(crate) repeat: Repeat,
    pub(crate) entries: Vec<Entry>,
    pub(crate) reply: Option<Reply>,
}

pub(crate) struct World {
    pub(crate) policy: Policy,
    pub(crate) now: Timestamp,
    pub(crate) registry: Registry,
    pub(crate) model: Model,
    laws: Laws,
    /// Ids given to commands.
    pub(crate) ids: u128,
    /// Commands decided.
    pub(crate) count: u64,
    pub(crate) submissions: Vec<Kept>,
    /// Reports so far, and whether the broker knew their sender as somebody else.
    pub(crate) reports: Vec<(StatusReport, bool)>,
    /// Ids of the reports that were taken.
    taken: BTreeSet<String>,
    pub(crate) numbers: BTreeMap<(Key, String), u32>,
    /// Every timer that was ever set.
    pub(crate) timers: Vec<TimerId>,
    /// Orders that moved since somebody looked.
    moved: BTreeSet<Uuid>,
    /// Tasks whose worker holds them by a lease.
    leased: BTreeSet<Key>,
    /// What happened, when somebody wants to read it.
    pub(crate) story: Option<Vec<String>>,
}

type Decided = Result<Box<Decision>, Refusal>;

impl World {
    pub(crate) fn new(leased: bool, told: bool) -> Self {
        Self {
            policy: orders::policy(leased),
            now: Timestamp(1_790_000_000_000_000),
            registry: Registry::default(),
            model: Model::new(),
            laws: Laws::default(),
            ids: 0,
            count: 0,
            submissions: Vec::new(),
            reports: Vec::new(),
            taken: BTreeSet::new(),
            numbers: BTreeMap::new(),
            timers: Vec::new(),
            moved: BTreeSet::new(),
            leased: BTreeSet::new(),
            story: told.then(Vec::new),
        }
    }

    pub(crate) fn play(&mut self, step: &Step) -> Held {
        match step {
            Step::Do(deed) => self.wish(deed).map_or(Ok(()), |wish| self.obey(&wish)),
            Step::Overtaken { late, first } => {
                let (Some(late), Some(first)) = (self.wish(late), self.wish(first)) else { return Ok(()) };
                self.overtaken(&late, &first)
            }
            Step::Passes { seconds, fires } => self.passes(*seconds, *fires),
            Step::SetBack { millis } => {
                self.tell(|_| format!("the clock is set back by {millis} ms"));
                self.now = Timestamp(self.now.0 - millis * 1000);
                Ok(())
            }
        }
    }

    /// Decided on the scene of now, predicted, committed.
    pub(crate) fn obey(&mut self, wish: &Wish) -> Held {
        let expected = self.expected(wish);
        let decided = self.decide(wish)?;
        self.settle(wish, expected, decided)
    }

    /// Whoever decided on an old scene is stale and changes nothing, unless it was about something else.
    fn overtaken(&mut self, late: &Wish, first: &Wish) -> Held {
        let expected = self.expected(late);
        let decided = self.decide(late)?;
        self.tell(|_| format!("another hub looks: {}", late.told));
        self.moved.clear();
        self.obey(first)?;
        let moved = |decision: &Decision| decision.heads.iter().any(|head| self.moved.contains(&head.root));
        let taken = |decision: &Decision| decision.claims.iter().any(|(id, _)| self.registry.is_claimed(id));
        match decided {
            // It was answered before the other one came.
            Ok(decision) if decision.heads.is_empty() => Ok(()),
            Ok(decision) if !moved(&decision) && !taken(&decision) => self.settle(late, expected, Ok(decision)),
            Ok(decision) => {
                let committed = self.registry.commit(&decision);
                law(committed == Committed::Stale, || {
                    format!("whoever decides on an old scene is stale: {}", late.told)
                })?;
                self.obey(late)
            }
            Err(_) => self.obey(late),
        }
    }

    fn decide(&mut self, wish: &Wish) -> Result<Decided, String> {
        self.count += 1;
        self.now = self.now.plus(std::time::Duration::from_millis(1));
        let moment = Moment { now: self.now, policy: &self.policy };
        let mut scene = self.registry.load(&needs(&wish.command, &self.policy));
        for _ in 0..ROUNDS {
            match decide(&scene, &wish.command, &moment) {
                Ok(Verdict::Decided(decision)) => return Ok(Ok(decision)),
                Err(refusal) => return Ok(Err(refusal)),
                Ok(Verdict::More(needs)) => {
                    scene.add(self.registry.load(&needs));
                    scene.asked.extend(needs.existence);
                }
            }
        }
        Err(format!("a command is decided after a few looks: {}", wish.told))
    }

    fn settle(&mut self, wish: &Wish, expected: Option<Expected>, decided: Decided) -> Held {
        self.tell(|world| format!("{} -> {}", wish.told, world.outcome(&decided)));
        let happened = wish.happened(decided.as_deref().ok());
        law(expected.as_ref().is_none_or(|expected| expected.fits(&happened)), || {
            format!("the model expects {expected:?}, the hub decides {happened:?}: {}", wish.told)
        })?;
        let Ok(decision) = decided else { return Ok(()) };
        self.check_repeat(wish, &decision)?;
        let late = self.is_late(wish);
        let mut laws = std::mem::take(&mut self.laws);
        laws.check(self.model.table, &decision, |key| self.movers(wish, key))?;
        laws.messages(&decision)?;
        self.laws = laws;
        self.check_fire(wish, &decision)?;
        let before = wish.addressed().and_then(|key| self.registry.live(&key).cloned());
        let committed = self.registry.commit(&decision);
        law(committed == Committed::Done, || "what was decided on the scene of now is committed".into())?;
        self.moved.extend(decision.heads.iter().map(|head| head.root));
        self.timers.extend(decision.timers.iter().map(|timer| timer.id.clone()));
        self.remember(wish, before.as_ref(), &decision, late);
        self.check_leases()
    }

    /// What comes again is answered alike, and done once.
    fn check_repeat(&mut self, wish: &Wish, decision: &Decision) -> Held {
        match (&wish.command.act, &wish.command.repeat) {
            (Act::Change(_), Some(repeat)) => {
                let kept = self.submissions.iter_mut().find(|kept| kept.repeat.key == repeat.key);
                let Some(kept) = kept else { return Ok(()) };
                let reply = kept.reply.get_or_insert_with(|| decision.reply.clone());
                law(*reply == decision.reply, || "a repeat is answered as the first was".into())
            }
            (Act::Report(report), _) if self.taken.contains(&report.report_id) => {
                law(decision.writes.is_empty() && decision.outbox.is_empty(), || {
                    format!("a report that was applied has no second effect: {}", wish.told)
                })
            }
            _ => Ok(()),
        }
    }

    /// A copy of a timer that is early, or was there before, changes nothing; what is not due stays.
    fn check_fire(&self, wish: &Wish, decision: &Decision) -> Held {
        let Act::Fire(id) = &wish.command.act else { return Ok(()) };
        let due = self.registry.timers.get(&(id.root, id.name.clone()));
        // The order's own time is never behind what has happened to it.
        let now = self.registry.last_of(id.root).map_or(self.now, |last| last.max(self.now));
        let fires = due.is_some_and(|due| *due <= now);
        law(fires || decision.writes.is_empty(), || format!("a timer that is not due is harmless: {}", wish.told))?;
        let stays = decision.timers.iter().any(|timer| timer.id == *id && Some(&timer.due) == due);
        // A wait is worked out anew from the plan whenever the order moves.
        let waits = id.name.starts_with("wait.");
        law(fires || due.is_none() || stays || waits, || format!("a time that has not come stays: {}", wish.told))
    }

    fn remember(&mut self, wish: &Wish, before: Option<&Resource>, decision: &Decision, late: bool) {
        if let Act::Report(report) = &wish.command.act {
            let key = Key::task(&report.task_id);
            if !late || report.act == schemas::message::Act::Claim {
                self.model.heard(&key, report);
                self.taken.insert(report.report_id.clone());
                if self.policy.leases.1.is_some() {
                    self.leased.insert(key);
                }
            }
        }
        let after = wish.addressed().and_then(|key| self.registry.live(&key));
        if let (Some(before), Some(after)) = (before, after)
            && before.text("status") == Some("in-progress")
            && after.text("status") == Some("ready")
        {
            self.leased.remove(&after.key);
            self.model.given_back(after);
        }
        for message in &decision.outbox {
            let mut writes = decision.writes.iter().filter(|write| write.resource.key == message.task);
            let was_on_offer =
                writes.next().and_then(|first| first.before.as_ref()?.text("status")).is_some_and(is_on_offer);
            if was_on_offer {
                self.model.offered_anew(&message.task, message.version);
            }
        }
        for write in &decision.writes {
            let ended = write.resource.text("status").is_none_or(is_terminal) || write.method == Method::Delete;
            if ended {
                self.leased.remove(&write.resource.key);
            }
        }
        let registry = &self.registry;
        self.leased.retain(|key| {
            registry.live(key).and_then(|task| task.text("status")).is_some_and(|status| !is_terminal(status))
        });
    }

    /// What a worker holds by a lease has one timer, and nothing else has one.
    fn check_leases(&self) -> Held {
        let timer = |key: &Key| {
            let id: TaskId = key.id.parse().unwrap();
            (id.root, format!("lease.{}.{}", id.step, id.occurrence))
        };
        let wanted: BTreeSet<_> = self.leased.iter().map(timer).collect();
        let leases = self.registry.timers.keys().filter(|(_, name)| name.starts_with("lease."));
        let there: BTreeSet<_> = leases.cloned().collect();
        law(wanted == there, || {
            let differ: Vec<_> = wanted.symmetric_difference(&there).map(|(_, name)| name).collect();
            format!("whoever holds a Task by a lease has one timer, and nobody else: {differ:?}")
        })
    }

    pub(crate) fn passes(&mut self, seconds: u64, fires: bool) -> Held {
        self.tell(|_| format!("{seconds} s pass{}", if fires { "" } else { ", and no clock looks" }));
        self.now = self.now.plus(std::time::Duration::from_secs(seconds));
        let due = if fires { self.registry.due(self.now) } else { Vec::new() };
        due.into_iter().try_for_each(|id| {
            let wish = self.fire(id);
            self.obey(&wish)
        })
    }

    /// What the model makes of it; none where it has no opinion.
    fn expected(&self, wish: &Wish) -> Option<Expected> {
        let key = wish.addressed();
        let Some(found) = key.as_ref().and_then(|key| self.registry.live(key)) else { return wish.of_nothing() };
        let held = self.is_held(&found.key);
        if self.is_twinned(&found.key) {
            // It moves with another, which has rules of its own: the laws say what must not come of it.
            return None;
        }
        Some(match (&wish.matter, &wish.command.act) {
            (Matter::Forged, _) => Expected::Refused,
            (Matter::Move(_), _) if self.dangles(found) => Expected::Refused,
            // An old body that changes nothing else still changes what it was read with.
            (Matter::Move(wanted), _) if wanted.is_old(found) => return None,
            // Given back when nobody wants it any more: the laws say that it is not on offer then.
            (Matter::Move(wanted), _) if wanted.to == "ready" && !self.is_wanted(found) => return None,
            (Matter::Move(wanted), _) => self.model.of_move(found, held, &wish.speaker, wanted),
            // What is under way is no draft again; what never was may be.
            (Matter::OtherWords(read), _) if read == "draft" && found.text("status") != Some("draft") => return None,
            (Matter::OtherWords(read), _) => self.model.of_other_words(found, &wish.speaker, read),
            (Matter::Change(to), _) => self.model.of_change(found, &wish.speaker, to),
            (_, Act::Report(report)) => self.model.of_report(found, held, report),
            _ if wish.deletes() => self.of_delete(found),
            _ => return None,
        })
    }

    /// Whether a Task is the twin of a step, or has one.
    fn is_twinned(&self, key: &Key) -> bool {
        let step_of = |task: &Resource| {
            let of = list(&task.body, "partOf").next()?["reference"].as_str().and_then(Key::of_reference)?;
            let step = self.registry.current.get(&of)?;
            let is_step = !of.id.ends_with(".0") && step.resource.body.get("focus") == task.body.get("focus");
            is_step.then_some(of)
        };
        let twins =
            self.registry.births.iter().filter_map(|twin| Some((twin, &self.registry.current.get(twin)?.resource)));
        twins.into_iter().any(|(twin, task)| step_of(task).is_some_and(|step| twin == key || step == *key))
    }

    /// What it is about was deleted: the hub takes no body that points to nothing.
    fn dangles(&self, task: &Resource) -> bool {
        let several = ["basedOn", "partOf"].into_iter().flat_map(|name| list(&task.body, name));
        let named = several.chain(task.body.get("focus")).filter_map(|to| to["reference"].as_str());
        named.filter_map(Key::of_reference).any(|key| self.registry.live(&key).is_none())
    }

    /// What is under way is not deleted.
    fn of_delete(&self, found: &Resource) -> Expected {
        let whole = TaskId { root: self.registry.current[&found.key].root, step: 0, occurrence: 1 };
        let is_live = |task: &Resource| task.text("status").is_some_and(|status| !is_terminal(status));
        let runs = self.registry.live(&Key::task(whole)).is_some_and(is_live);
        if runs || (found.key.kind == Kind::TASK && is_live(found)) {
            Expected::Refused
        } else {
            Expected::Becomes("deleted".into())
        }
    }

    pub(crate) fn is_leased(&self, task: &Key) -> bool {
        self.leased.contains(task)
    }

    fn is_late(&self, wish: &Wish) -> bool {
        let Act::Report(report) = &wish.command.act else { return false };
        let task = self.registry.live(&Key::task(&report.task_id));
        task.is_some_and(|task| self.model.is_late(task, report))
    }

    /// In which capacities the one behind a wish may move this Task; whatever it did not name, the hub moves.
    fn movers(&self, wish: &Wish, key: &Key) -> Vec<&'static str> {
        let named = wish.addressed().as_ref() == Some(key);
        let mut movers = if named { Vec::new() } else { vec!["hub"] };
        if matches!(wish.matter, Matter::About) || self.is_twinned(key) {
            movers.extend(["requester", "owner", "candidate"]);
        }
        let Some(task) = self.registry.live(key) else { return movers };
        match &wish.command.act {
            Act::Report(report) if owner(&task.body) == Some(&report.performer) => movers.push("owner"),
            Act::Report(_) if task.body.get("owner").is_none() => movers.push("candidate"),
            Act::Report(_) | Act::Fire(_) => {}
            _ => movers.extend(wish.speaker.capacities(task, None)),
        }
        movers
    }

    /// Whether an order's requests are on hold: all of those that are not over.
    pub(crate) fn is_held(&self, task: &Key) -> bool {
        let open = self.open_requests(self.whole(task));
        !open.is_empty() && open.iter().all(|status| *status == "on-hold")
    }

    /// Whether its order, and its part of it, is still to be done.
    fn is_wanted(&self, task: &Resource) -> bool {
        let runs = |whole: &Resource| whole.text("status").is_some_and(|status| !is_terminal(status));
        let whole = self.whole(&task.key);
        if self.is_about_what_ended(task) {
            return false;
        }
        whole.is_some_and(runs) && !self.open_requests(whole).is_empty() && !self.open_requests(Some(task)).is_empty()
    }

    fn is_about_what_ended(&self, task: &Resource) -> bool {
        let named = task.body.get("focus").into_iter().chain(list(&task.body, "partOf"));
        let mut tasks = named.filter_map(|of| Key::of_reference(of["reference"].as_str()?));
        let ended = |of: &Key| self.registry.live(of)?.text("status").map(is_terminal);
        tasks.any(|of| of.kind == Kind::TASK && ended(&of) == Some(true))
    }

    fn whole(&self, task: &Key) -> Option<&Resource> {
        let id: TaskId = task.id.parse().ok()?;
        self.registry.live(&Key::task(TaskId { step: 0, occurrence: 1, ..id }))
    }

    /// The states of those requests that a Task is based on, and that are not over.
    fn open_requests(&self, task: Option<&Resource>) -> Vec<&str> {
        let based_on = task.into_iter().flat_map(|task| list(&task.body, "basedOn"));
        let keys = based_on.filter_map(|on| Key::of_reference(on["reference"].as_str()?));
        keys.filter_map(|key| self.registry.live(&key)?.text("status"))
            .filter(|status| !["revoked", "cancelled", "completed", "entered-in-error"].contains(status))
            .collect()
    }

    // ---- telling

    pub(crate) fn tell(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.story.is_some() {
            let line = what(self);
            self.story.iter_mut().for_each(|story| story.push(line.clone()));
        }
    }

    fn outcome(&self, decided: &Decided) -> String {
        let decision = match decided {
            Err(refusal) => return format!("refused: {}", refusal.text()),
            Ok(decision) => decision,
        };
        let show = |write: &hub_domain::decision::Write| {
            let status = if write.method == Method::Delete { "deleted" } else { write.resource.text("status")? };
            Some(format!("{} {status}", self.name(&write.resource.key, write.root)))
        };
        let shown: Vec<String> = decision.writes.iter().filter_map(show).collect();
        if shown.is_empty() { "nothing new".to_owned() } else { shown.join(", ") }
    }

    /// `order 1 step 2.2`, `order 1 request 2`: short names for a story.
    pub(crate) fn name(&self, key: &Key, root: Uuid) -> String {
        let mut roots: Vec<Uuid> = Vec::new();
        for stored in self.registry.births.iter().filter_map(|key| self.registry.current.get(key)) {
            if stored.resource.key.kind.is_request() && !roots.contains(&stored.root) {
                roots.push(stored.root);
            }
        }
        let order = roots.iter().position(|other| *other == root).unwrap_or(roots.len()) + 1;
        match key.id.parse::<TaskId>() {
            Ok(id) if id.occurrence > 1 => format!("order {order} step {}.{}", id.step, id.occurrence),
            Ok(id) => format!("order {order} step {}", id.step),
            Err(()) => format!("order {order} {}", key.kind),
        }
    }
}
