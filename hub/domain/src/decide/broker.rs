//! The broker: a step whose plan says so is offered to one service of the directory after another, each time by a new
//! Task, until one does it or nobody is left.

use schemas::resource::{Body, Key, Resource};
use schemas::task::{TaskStatus, reason};
use schemas::time::Timestamp;
use serde_json::{Value, json};

use super::Stop;
use super::order::Order;
use crate::decision::{Timer, TimerId};
use crate::directory::{Candidate, Lookup, Wanted};
use crate::scene::Needs;
use crate::task_machine::Actor;

/// Most services that are asked for one step.
const ASKED_LIMIT: usize = 20;

/// Whom a step is offered to.
pub(super) enum Whom {
    /// To whoever the request names, or to anybody.
    AsAsked,
    /// A reference.
    One(String),
    Nobody,
}

impl Whom {
    /// `Task.owner`, where it is said.
    pub(super) fn owner(&self) -> Option<(String, Value)> {
        match self {
            Self::One(reference) => Some(("owner".to_owned(), json!({ "reference": reference }))),
            Self::AsAsked | Self::Nobody => None,
        }
    }
}

impl Order<'_, '_> {
    /// The part of the plan, the step itself or one above it, that one service is to do.
    fn scope_of(&self, step: usize) -> Option<usize> {
        let is_brokered = |n: &usize| self.graph.nodes[*n].action.as_ref().is_some_and(|action| action.from_directory);
        if step < self.graph.nodes.len() { self.graph.upwards(step).find(is_brokered) } else { None }
    }

    /// Whether a step that was refused goes to the next service, however often it was offered.
    pub(super) fn is_brokered(&mut self, step: usize) -> bool {
        self.scope_of(step).is_some_and(|scope| !self.state(scope).rare.asked.is_empty())
    }

    /// Whom a step is offered to now. `refused`: whoever was asked last will not do it.
    pub(super) fn whom(&mut self, step: usize, refused: bool) -> Result<Whom, Stop> {
        let Some(scope) = self.scope_of(step) else { return Ok(Whom::AsAsked) };
        let request = self.asked_by(step)?;
        if super::bodies::Asked::new(vec![&request]).performer().is_some() {
            return Ok(Whom::AsAsked);
        }
        let asked = self.state(scope).rare.asked.clone();
        if let Some(last) = asked.last().filter(|_| !refused) {
            return Ok(Whom::One(last.clone()));
        }
        if self.has_begun(scope) {
            // What one service has begun no other goes on with.
            return Ok(Whom::Nobody);
        }
        let next = if asked.len() < ASKED_LIMIT { self.next_candidate(&request.body, &asked)? } else { None };
        let Some(next) = next else {
            self.cause = Some(reason("nobody-left", "no service of the directory is left that could be asked"));
            return Ok(Whom::Nobody);
        };
        self.state(scope).rare.asked.push(next.clone());
        Ok(Whom::One(next))
    }

    /// Whether some step of a part was done, or is under way.
    fn has_begun(&mut self, scope: usize) -> bool {
        let within: Vec<usize> =
            self.graph.leaves().filter(|leaf| self.graph.upwards(*leaf).any(|n| n == scope)).collect();
        let is_begun = |status: TaskStatus| {
            status.is_started() || matches!(status, TaskStatus::Completed | TaskStatus::Accepted | TaskStatus::Received)
        };
        within.into_iter().any(|leaf| self.state(leaf).status.is_some_and(is_begun))
    }

    /// The best of those that fit, can be reached, have room, and were not asked yet.
    fn next_candidate(&self, request: &Body, asked: &[String]) -> Result<Option<String>, Stop> {
        let wanted = Wanted::of(request);
        let Some(lookup) = wanted.lookup() else { return Ok(None) };
        let services = self.look_up(vec![lookup])?.remove(0);
        let fits = |candidate: &Candidate| wanted.fits(&candidate.service.body) && !asked.contains(&candidate.owner());
        let fitting: Vec<Candidate> = services.iter().map(|service| Candidate { service }).filter(fits).collect();
        self.look_behind(&fitting)?;
        let reachable = |candidate: &&Candidate| candidate.is_reachable(|key| self.draft.find(key));
        let free = |candidate: &Candidate| {
            let open = match candidate.open() {
                Some(lookup) => self.look_up(vec![lookup]).map(|found| found[0].len() as u32),
                None => Ok(0),
            };
            open.map(|open| {
                (candidate.rank(open), candidate.owner(), candidate.capacity().is_none_or(|most| open < most))
            })
        };
        let ranked: Result<Vec<_>, Stop> = fitting.iter().filter(reachable).map(free).collect();
        let best = ranked?.into_iter().filter(|(_, _, has_room)| *has_room).min_by(|a, b| a.0.cmp(&b.0));
        Ok(best.map(|(_, owner, _)| owner))
    }

    /// Asks at once for what is known of all of them.
    fn look_behind(&self, candidates: &[Candidate]) -> Result<(), Stop> {
        let unknown = |key: &Key| !self.draft.scene.looked_for(key);
        let behind: Vec<Key> = candidates.iter().flat_map(Candidate::behind).filter(unknown).collect();
        let open = candidates.iter().filter_map(Candidate::open);
        let lookups: Vec<Lookup> = open.filter(|lookup| !self.draft.scene.found.contains_key(lookup)).collect();
        if behind.is_empty() && lookups.is_empty() {
            return Ok(());
        }
        Err(Stop::more(Needs { resources: behind.clone(), existence: behind, lookups, ..Needs::default() }))
    }

    fn look_up(&self, lookups: Vec<Lookup>) -> Result<Vec<&Vec<Resource>>, Stop> {
        let found: Option<Vec<_>> = lookups.iter().map(|lookup| self.draft.scene.found.get(lookup)).collect();
        found.ok_or(Stop::more(Needs { lookups, ..Needs::default() }))
    }

    /// It was offered to one service: by when that has to answer.
    pub(super) fn await_answer(&mut self, step: usize) {
        let Some(scope) = self.scope_of(step) else { return };
        let within = self.graph.nodes[scope].action.as_ref().and_then(|action| action.answer_within_us);
        if let Some(within) = within {
            self.set_answer(step, Timestamp(self.draft.now().0.saturating_add(within)));
        }
    }

    fn set_answer(&mut self, step: usize, due: Timestamp) {
        self.state(step).rare.answer = Some(due);
        let id = self.answer_timer(step);
        self.draft.set_timer(Timer { id, due });
    }

    /// It was answered, or nobody asks any more.
    pub(super) fn drop_answer(&mut self, step: usize) {
        if self.state(step).rare.answer.take().is_some() {
            let id = self.answer_timer(step);
            self.draft.drop_timer(id);
        }
    }

    fn answer_timer(&mut self, step: usize) -> TimerId {
        let id = self.id_of(step);
        TimerId { root: self.root, name: format!("answer.{}.{}", id.step, id.occurrence) }
    }

    /// No answer came: the offer ends, and the next service is asked.
    pub(super) fn unanswered(&mut self, step: usize, occurrence: u32) -> Result<(), Stop> {
        let state = self.state(step);
        let is_open = state.occurrence == occurrence && state.status == Some(TaskStatus::Requested);
        if !is_open || !self.wants(step) {
            return Ok(());
        }
        if let Some(due) = self.state(step).rare.answer.filter(|due| *due > self.draft.now()) {
            // It was put off since this timer was seen to be due.
            self.set_answer(step, due);
            return Ok(());
        }
        if self.run().held {
            // Nothing is granted now: it is not theirs to answer.
            self.await_answer(step);
            return Ok(());
        }
        let key = Key::task(self.id_of(step));
        self.draft.get(&key)?;
        let why = reason("not-answered", "no answer came in time");
        let ended = self.move_task(step, TaskStatus::Cancelled, Actor::Hub, |body| {
            body.insert("statusReason".into(), why);
        })?;
        self.offer(step, &ended)?;
        self.go_on()
    }
}
