//! A running order: its Tasks, moved by whoever works on them, and what follows by its plan.

use std::mem;
use std::sync::Arc;

use schemas::ids::TaskId;
use schemas::order::{RequestStatus, can_complete};
use schemas::resource::{Body, Key, Resource};
use schemas::task::{Priority, TaskStatus, asked_code, is_ours, owner, reason};
use schemas::time::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::Stop;
use super::bodies::{Asked, Step, offered_again, set_status, work_of};
use super::bound::set_bound;
use super::broker::Whom;
use super::callback;
use super::draft::Draft;
use super::handover::Handover;
use super::request::has_ended;
use crate::decision::{Message, Timer, TimerId};
use crate::plan::advance::{Move, Progress, STOPPED, Standing};
use crate::plan::graph::Graph;
use crate::plan::run::{Run, TaskState, Tie};
use crate::plan::steps::Steps;
use crate::refusal::Refusal;
use crate::task_machine::{Actor, Matrix};
use crate::workflow::Offered;

/// Moves of one plan by one command are few; more than this means that the plan's rules go round in a circle.
const ROUNDS_LIMIT: usize = 10_000;

pub(crate) struct Order<'d, 'a> {
    pub(crate) draft: &'d mut Draft<'a>,
    pub(super) root: Uuid,
    pub(super) graph: Arc<Graph>,
    /// The step whose time has come.
    woken: Option<usize>,
    /// The reason that a Task ended with, to be shown on the fulfilment Task when that ends too.
    pub(super) cause: Option<Value>,
    /// What whoever refused a Task proposes instead, to be shown with it.
    pub(super) proposed: Option<Value>,
}

impl<'d, 'a> Order<'d, 'a> {
    /// The order that runs at this root; none for what is no order (a lone Task, a Patient).
    pub(crate) fn find(draft: &'d mut Draft<'a>, root: Uuid) -> Result<Option<Self>, Stop> {
        let Some(run) = draft.scene.heads.get(&root).and_then(|head| head.run.as_ref()) else {
            return Ok(None);
        };
        let Some(hash) = &run.plan else { return Ok(None) };
        let new = draft.decision.plans.iter().find(|(new, ..)| new == hash).map(|(_, plan, _)| plan);
        let kept = new.or_else(|| draft.scene.plans.get(hash));
        let kept = kept.or_else(|| draft.moment.policy.catalogue.find(hash).map(|o| &o.plan));
        let unknown = || Refusal::conflict("the plan of this order is not known to this hub");
        let graph = kept.ok_or_else(unknown)?.graph(run.requests.len());
        Ok(Some(Self { draft, root, graph, woken: None, cause: None, proposed: None }))
    }

    /// Starts an order: its fulfilment Task, and the Tasks of all steps that are certain to come.
    pub(crate) fn start(draft: &'d mut Draft<'a>, root: Uuid, plan: &Offered, requests: &[Key]) -> Result<(), Stop> {
        let graph = plan.plan.graph(requests.len());
        let mut tasks = Steps::default();
        tasks.grow(graph.nodes.len());
        draft.decision.plans.push((plan.hash.clone(), plan.plan.clone(), plan.text.clone()));
        draft.head(root).run = Some(Run {
            plan: Some(plan.hash.clone()),
            requests: requests.iter().map(Key::to_string).collect(),
            tasks,
            ..Run::default()
        });
        let mut order = Self { draft, root, graph, woken: None, cause: None, proposed: None };
        order.apply()?;
        order.lay_aside();
        order.find_points(None)?;
        order.create_fulfilment(plan.plan.title.as_deref())?;
        if order.draft.moment.policy.calls_back {
            order.run().callback = order.requests()?.iter().find_map(|request| callback::wanted(&request.body));
        }
        // What waits for nothing is on offer from its first version on.
        order.go_on()?;
        for leaf in order.graph.leaves().collect::<Vec<_>>() {
            let state = order.state(leaf).clone();
            if order.graph.is_certain(leaf) && state.status.is_none() && !state.withdrawn && !order.is_over() {
                order.create_step(leaf, TaskStatus::Draft, &Whom::AsAsked, &Handover::default(), None)?;
            }
        }
        Ok(())
    }

    // ---- reading

    pub(crate) fn run(&mut self) -> &mut Run {
        self.draft.head(self.root).run.get_or_insert_default()
    }

    pub(crate) fn state(&mut self, step: usize) -> &mut TaskState {
        let tasks = &mut self.run().tasks;
        tasks.grow(step + 1);
        &mut tasks[step]
    }

    pub(super) fn id_of(&mut self, step: usize) -> TaskId {
        let occurrence = self.state(step).occurrence.max(1);
        TaskId { root: self.root, step: step as u32, occurrence }
    }

    pub(super) fn requests(&self) -> Result<Vec<Resource>, Stop> {
        let names = self.draft.run_of(self.root).map(|run| run.requests.as_slice()).unwrap_or_default();
        let keys: Vec<Key> = names.iter().filter_map(|name| Key::of_reference(name)).collect();
        self.draft.get_all(&keys)
    }

    /// Among its requests, the one that a part of the order is for: that of its item. What is for all of them goes by the
    /// first that has not ended.
    pub(super) fn request_of(&self, node: usize, requests: &[Resource]) -> usize {
        let stands = |request: &Resource| !has_ended(RequestStatus::of(&request.body));
        self.graph.nodes[node].item.or_else(|| requests.iter().position(stands)).unwrap_or(0)
    }

    /// Whether something of it depends on what its requests say.
    pub(super) fn is_conditional(&self) -> bool {
        self.graph.is_conditional
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.state(0).status.is_some_and(TaskStatus::is_terminal)
    }

    // ---- writing Tasks

    fn create_fulfilment(&mut self, title: Option<&str>) -> Result<(), Stop> {
        let requests = self.requests()?;
        let asked = Asked::new(requests.iter().collect());
        let id = TaskId { root: self.root, step: 0, occurrence: 1 };
        let open = asked.performer().is_none();
        let body = asked.fulfilment(id, title, self.draft.now());
        self.draft.create(self.root, Key::task(id), body);
        let released = self.graph.is_timed.then_some(self.draft.now());
        let status = Some(TaskStatus::Requested);
        *self.state(0) = TaskState { status, occurrence: 1, open, released, ..TaskState::default() };
        Ok(())
    }

    fn create_step(
        &mut self,
        leaf: usize,
        status: TaskStatus,
        whom: &Whom,
        hand: &Handover,
        until: Option<Timestamp>,
    ) -> Result<Resource, Stop> {
        let requests = self.requests()?;
        let asked = Asked::new(requests.iter().collect());
        let node = &self.graph.nodes[leaf];
        let Some(action) = &node.action else {
            return Err(Refusal::conflict("a step without an action").into());
        };
        let id = TaskId { root: self.root, step: leaf as u32, occurrence: 1 };
        let mut body = asked.work_item(id, status, &Step { action, item: node.item }, self.draft.now());
        self.show_branches(leaf, &mut body);
        body.extend(whom.owner());
        hand.give(&mut body);
        until.into_iter().for_each(|until| set_bound(&mut body, until, self.draft.now()));
        let open = !body.contains_key("owner");
        let task = self.draft.create(self.root, Key::task(id), body);
        let state = self.state(leaf);
        (state.status, state.occurrence, state.open) = (Some(status), 1, open);
        Ok(task)
    }

    /// A Task's next version at `to`, legal for `actor`, with whatever else `edit` changes.
    pub(crate) fn move_task(
        &mut self,
        step: usize,
        to: TaskStatus,
        actor: Actor,
        edit: impl FnOnce(&mut Body),
    ) -> Result<Resource, Stop> {
        let key = Key::task(self.id_of(step));
        let now = self.draft.now();
        let mut body = self.draft.get(&key)?.body.clone().into_body();
        let matrix = if step == 0 { Matrix::of_fulfilment() } else { Matrix::of_work() };
        matrix.check(TaskStatus::of(&body), to, &[actor])?;
        set_status(&mut body, to, now);
        edit(&mut body);
        let task = self.draft.replace(self.root, &key, body)?;
        self.note(step, to, &task.body);
        Ok(task)
    }

    /// Keeps the run in step with a Task that was written.
    pub(crate) fn note(&mut self, step: usize, to: TaskStatus, body: &Body) {
        let now = self.draft.now();
        // The hub's own reasons are nobody's.
        let documented = body.get("statusReason").is_some_and(|why| !is_ours(why));
        let mut chosen = if to == TaskStatus::Completed { self.chosen(step, body) } else { Vec::new() };
        for branch in chosen.clone() {
            self.want(branch as usize, chosen.iter().filter(|other| **other == branch).count());
        }
        chosen.sort_unstable();
        chosen.dedup();
        let state = self.state(step);
        let before = state.status.replace(to);
        if to == TaskStatus::Ready && before != Some(to) {
            // Given back: whoever had it has not.
            state.report = None;
        }
        match to {
            TaskStatus::Requested | TaskStatus::Ready => state.released = state.released.or(Some(now)),
            TaskStatus::InProgress => state.started = state.started.or(Some(now)),
            _ if to.is_terminal() => {
                state.ended = Some(now);
                if !chosen.is_empty() {
                    state.rare.chosen = chosen;
                }
                state.documented = documented;
                self.drop_bound(step);
            }
            _ => {}
        }
        if to != TaskStatus::Requested {
            self.drop_answer(step);
        }
    }

    pub(super) fn publish(&mut self, step: usize, task: &Resource) {
        let (name, work) = self.names(step, task);
        self.draft.publish(task, name, work);
    }

    /// The step's name and its queue.
    fn names(&self, step: usize, task: &Resource) -> (String, String) {
        let action = self.graph.nodes.get(step).and_then(|node| node.action.as_ref());
        let name =
            action.map_or_else(|| asked_code(&task.body).unwrap_or("task").to_owned(), |action| action.id.clone());
        (name, work_of(&task.body))
    }

    // ---- what follows

    /// After a Task moved: what it sets off, and what the plan does next.
    pub(crate) fn after_task(&mut self, step: usize, task: &Resource) -> Result<(), Stop> {
        let Some(status) = TaskStatus::of(&task.body) else { return Ok(()) };
        if status.is_terminal() {
            self.drop_lease(step);
            self.cause = task.body.get("statusReason").cloned().or(self.cause.take());
            self.proposed = task.body.get("output").filter(|_| status == TaskStatus::Rejected).cloned();
        }
        if step >= self.graph.nodes.len() {
            let (joined, calls) = (self.state(step).joined, self.state(step).calls);
            match joined {
                _ if calls => self.called(step, &task.body, status),
                Some(joined) if joined.tie == Tie::Twin => self.follow_twin(joined, &task.body, status)?,
                Some(joined) if joined.tie == Tie::Question => self.informed(joined, &task.body, status)?,
                _ => self.answered(&task.body, status)?,
            }
        } else if status == TaskStatus::Completed {
            self.end_part(&task.body, status)?;
            self.carry_out(step)?;
            self.check_end(step)?;
        } else if matches!(status, TaskStatus::Rejected | TaskStatus::Failed) && step != 0 {
            self.offer_again(step, task)?;
        } else if status.is_offered() && !self.wants(step) {
            // Given back, and nobody is to take it any more.
            self.cancel(step, "no-longer-wanted")?;
        }
        self.go_on()
    }

    /// Refused or failed by someone who had claimed an open Task: the next one may.
    fn offer_again(&mut self, step: usize, task: &Resource) -> Result<(), Stop> {
        let limit = self.draft.moment.policy.offers_max;
        let brokered = self.is_brokered(step);
        let state = self.state(step);
        state.refused += 1;
        let again = brokered || (state.open && state.refused < limit);
        if again && self.wants(step) { self.offer(step, task) } else { Ok(()) }
    }

    /// Whether a step that ended without success is still to be done.
    pub(crate) fn wants(&mut self, step: usize) -> bool {
        let (revoked, closed) = (self.run().revoked, self.run().closed);
        step < self.graph.nodes.len() && !revoked && !closed && !self.is_over() && !self.state(step).withdrawn
    }

    /// A new Task of the same step, for whoever is next.
    pub(crate) fn offer(&mut self, step: usize, last: &Resource) -> Result<(), Stop> {
        let whom = self.whom(step, true)?;
        if matches!(whom, Whom::Nobody) {
            return Ok(());
        }
        let now = self.draft.now();
        let state = self.state(step);
        // What was only refused nobody had taken; a claim that ran out somebody had.
        let was_claimed = state.lease.is_some_and(|until| until != Timestamp::MAX);
        let begun = state.begun || was_claimed || state.status == Some(TaskStatus::Failed);
        let (occurrence, refused, open, calls) = (state.occurrence + 1, state.refused, state.open, state.calls);
        let (status, until, late) = (Some(TaskStatus::Requested), state.until, state.late);
        let (released, rare) = (Some(now), mem::take(&mut state.rare));
        let again = TaskState { status, occurrence, refused, open, calls, begun, ..TaskState::default() };
        *state = TaskState { released, rare, late, ..again };
        let id = self.id_of(step);
        let mut body = offered_again(id, &last.body, open, now);
        body.extend(whom.owner());
        until.into_iter().for_each(|until| set_bound(&mut body, until, now));
        let task = self.draft.create(self.root, Key::task(id), body);
        self.note_bound(step, until)?;
        self.publish(step, &task);
        self.await_answer(step);
        Ok(())
    }

    /// Lets the plan do all that follows, then the fulfilment Task.
    pub(crate) fn go_on(&mut self) -> Result<(), Stop> {
        self.advance()?;
        self.follow_joined()
    }

    fn advance(&mut self) -> Result<(), Stop> {
        let graph = self.graph.clone();
        let mut progress = None;
        for _ in 0..ROUNDS_LIMIT {
            let now = self.draft.now();
            let (revoked, closed, over) = (self.run().revoked, self.run().closed, self.is_over());
            if revoked || closed || over {
                break;
            }
            let told = self.told()?;
            let moved = if progress.is_none() { self.moved() } else { None };
            let Some(run) = self.draft.run_of(self.root) else { break };
            let progress = progress.get_or_insert_with(|| Progress::new(&graph, run, moved));
            let moves = Standing::new(&graph, run, now).told(&told).after(progress);
            let wanted: Vec<Move> = moves.into_iter().filter(|m| !self.is_timed(m)).collect();
            if wanted.is_empty() {
                break;
            }
            let touched = wanted.iter().filter_map(|step| match step {
                Move::Release(leaf, _) | Move::Cancel(leaf, _) | Move::Stop(leaf) | Move::Bound(leaf, _) => Some(*leaf),
                Move::LookAgain(..) | Move::Complete | Move::Fail => None,
            });
            let touched: Vec<usize> = touched.collect();
            let is_all = !wanted.iter().any(Move::takes_away);
            self.look_at(&touched)?;
            for step in wanted {
                if !self.follow(step)? {
                    return Ok(());
                }
            }
            if let Some(run) = self.draft.run_of(self.root) {
                progress.goes_on(&graph, run, touched, is_all);
            }
        }
        self.derive()
    }

    /// The steps that are not as the last command left them, when all that followed was done. None: more has changed.
    fn moved(&self) -> Option<Vec<usize>> {
        let before = self.draft.scene.heads.get(&self.root)?.run.as_ref()?;
        let run = self.draft.run_of(self.root)?;
        let whole = |run: &'_ Run| (run.plan.clone(), run.held, run.revoked, run.closed);
        let is_step = |step: &usize| (1..self.graph.nodes.len()).contains(step);
        let moved = || run.tasks.changed_since(&before.tasks).into_iter().filter(is_step).chain(self.woken).collect();
        (whole(before) == whole(run)).then(moved)
    }

    /// The time that a step waited for has come.
    pub(super) fn wake(&mut self, step: usize) {
        if step < self.graph.nodes.len() {
            self.state(step).due = None;
            self.woken = Some(step);
        }
    }

    /// A wait with a time sets its timer, which is no move of the plan.
    fn is_timed(&mut self, step: &Move) -> bool {
        let Move::LookAgain(leaf, due) = step else { return false };
        self.state(*leaf).due = Some(*due);
        let id = self.wait_timer(*leaf);
        self.draft.set_timer(Timer { id, due: *due });
        true
    }

    fn wait_timer(&self, leaf: usize) -> TimerId {
        TimerId { root: self.root, name: format!("wait.{leaf}") }
    }

    /// It has begun, or will not: it waits for no time any more.
    fn drop_wait(&mut self, leaf: usize) {
        if self.state(leaf).due.take().is_some() {
            let id = self.wait_timer(leaf);
            self.draft.drop_timer(id);
        }
    }

    /// False when the order has come to its end.
    fn follow(&mut self, step: Move) -> Result<bool, Stop> {
        match step {
            Move::Release(leaf, until) => self.release(leaf, until)?,
            Move::Cancel(leaf, why) => self.cancel(leaf, why)?,
            Move::Stop(leaf) => {
                self.state(leaf).withdrawn = true;
                self.cancel(leaf, STOPPED)?;
            }
            Move::Bound(leaf, until) => self.bound(leaf, until)?,
            Move::LookAgain(..) => {}
            Move::Complete => {
                self.end(TaskStatus::Completed)?;
                return Ok(false);
            }
            Move::Fail => {
                // Who claimed it and would not do it has started nothing. What an earlier offer started shows on the whole.
                let is_done = |task: &TaskState| task.status == Some(TaskStatus::Completed);
                let is_started = |task: &TaskState| task.started.is_some() || is_done(task);
                let is_under_way = self.state(0).status.is_some_and(TaskStatus::is_started);
                let started = is_under_way || self.run().tasks.iter().any(is_started);
                self.end(if started { TaskStatus::Failed } else { TaskStatus::Rejected })?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn release(&mut self, leaf: usize, until: Option<Timestamp>) -> Result<(), Stop> {
        let whom = self.whom(leaf, false)?;
        if matches!(whom, Whom::Nobody) {
            return self.give_up(leaf, "nobody-left");
        }
        let Some(hand) = self.hand_over(leaf)? else { return self.give_up(leaf, "not-expressible") };
        let now = self.draft.now();
        let task = match self.state(leaf).status {
            None => self.create_step(leaf, TaskStatus::Requested, &whom, &hand, until)?,
            Some(_) => self.move_task(leaf, TaskStatus::Requested, Actor::Hub, |body| {
                body.extend(whom.owner());
                hand.give(body);
                until.into_iter().for_each(|until| set_bound(body, until, now));
            })?,
        };
        self.note_bound(leaf, until)?;
        self.drop_wait(leaf);
        let state = self.state(leaf);
        state.released = Some(now);
        state.open &= !task.body.contains_key("owner");
        self.publish(leaf, &task);
        self.await_answer(leaf);
        Ok(())
    }

    /// A step whose turn it is, and that cannot be offered.
    fn give_up(&mut self, leaf: usize, why: &str) -> Result<(), Stop> {
        if self.state(leaf).status.is_none() {
            self.create_step(leaf, TaskStatus::Draft, &Whom::AsAsked, &Handover::default(), None)?;
        }
        self.cancel(leaf, why)
    }

    /// A step that is not wanted any more: cancelled before it is started, asked to stop after.
    pub(crate) fn cancel(&mut self, leaf: usize, why: &str) -> Result<(), Stop> {
        self.drop_wait(leaf);
        match self.state(leaf).status {
            None => self.state(leaf).status = Some(TaskStatus::Cancelled),
            Some(status) if status.is_terminal() => {}
            Some(status) if status.is_started() => self.ask(leaf, "abort")?,
            Some(_) => {
                let why = reason(why, "no longer wanted");
                let task = self.move_task(leaf, TaskStatus::Cancelled, Actor::Hub, |body| {
                    body.insert("statusReason".into(), why);
                })?;
                self.end_part(&task.body, TaskStatus::Cancelled)?;
                self.drop_lease(leaf);
            }
        }
        Ok(())
    }

    /// Asks for all Tasks that are going to be written at once, not one after another.
    pub(super) fn look_at(&mut self, steps: &[usize]) -> Result<(), Stop> {
        let mut keys = Vec::with_capacity(steps.len());
        for step in steps {
            let state = self.state(*step);
            if state.occurrence > 0 && state.status.is_some_and(|status| !status.is_terminal()) {
                keys.push(Key::task(self.id_of(*step)));
            }
        }
        self.draft.get_all(&keys)?;
        self.look_at_parts(&keys)
    }

    pub(super) fn look_at_all(&mut self) -> Result<Vec<usize>, Stop> {
        let leaves: Vec<usize> = self.graph.leaves().collect();
        self.look_at(&[&[0], leaves.as_slice()].concat())?;
        Ok(leaves)
    }

    // ---- the fulfilment Task

    /// Moves the fulfilment Task to where its children are.
    fn derive(&mut self) -> Result<(), Stop> {
        let Some(here) = self.state(0).status.filter(|status| !status.is_terminal()) else { return Ok(()) };
        let Some(run) = self.draft.run_of(self.root) else { return Ok(()) };
        let (revoked, closed, held) = (run.revoked, run.closed, run.held);
        let (mut busy, mut started, mut claimed) = (false, false, false);
        // The first is the fulfilment Task itself; behind the plan's own are those that others wrote.
        for task in run.tasks.iter().take(self.graph.nodes.len()).skip(1) {
            busy |= task.status.is_some_and(TaskStatus::is_started);
            started |= task.started.is_some() || task.status == Some(TaskStatus::Completed);
            claimed |= matches!(task.status, Some(TaskStatus::Received | TaskStatus::Accepted));
        }
        if revoked && !busy {
            return self.end(TaskStatus::Cancelled);
        }
        if closed && !busy {
            return self.end(if started { TaskStatus::Completed } else { TaskStatus::Cancelled });
        }
        let wanted = match here {
            TaskStatus::InProgress | TaskStatus::OnHold if held => TaskStatus::OnHold,
            TaskStatus::InProgress | TaskStatus::OnHold => TaskStatus::InProgress,
            _ if started => TaskStatus::InProgress,
            _ if claimed => TaskStatus::Accepted,
            _ => here,
        };
        self.walk_fulfilment(here, wanted)
    }

    fn walk_fulfilment(&mut self, from: TaskStatus, to: TaskStatus) -> Result<(), Stop> {
        let cause = self.cause.clone();
        for next in Matrix::of_fulfilment().way(from, to, &[Actor::Hub]).unwrap_or_default() {
            let ends_badly = next.is_terminal() && next != TaskStatus::Completed;
            let cause = cause.clone().filter(|_| ends_badly);
            let proposed = self.proposed.clone().filter(|_| ends_badly);
            if next.is_terminal() {
                self.call_back()?;
            }
            self.move_task(0, next, Actor::Hub, |body| {
                body.extend(cause.map(|cause| ("statusReason".to_owned(), cause)));
                body.extend(proposed.map(|proposed| ("output".to_owned(), proposed)));
            })?;
        }
        Ok(())
    }

    /// The whole comes to its end.
    fn end(&mut self, to: TaskStatus) -> Result<(), Stop> {
        if let Some(here) = self.state(0).status {
            self.walk_fulfilment(here, to)?;
        }
        if to == TaskStatus::Completed && self.draft.moment.policy.auto_complete_request {
            self.complete_requests()?;
        }
        Ok(())
    }

    /// A request of whose own steps none was done stays as it is: what becomes of it is for whoever asked to say.
    fn complete_requests(&mut self) -> Result<(), Stop> {
        for (n, request) in self.requests()?.into_iter().enumerate() {
            if self.is_left(n) {
                continue;
            }
            if can_complete(request.key.kind) && RequestStatus::of(&request.body) == RequestStatus::Active {
                let mut body = request.body.clone().into_body();
                body.insert("status".into(), "completed".into());
                self.draft.replace(self.root, &request.key, body)?;
            }
        }
        Ok(())
    }

    /// There are steps for this request alone, and none of them was done.
    fn is_left(&mut self, item: usize) -> bool {
        let graph = self.graph.clone();
        let tasks = &self.run().tasks;
        let own = graph.leaves().filter(|leaf| graph.nodes[*leaf].item == Some(item));
        let mut wanted = own.filter_map(|leaf| tasks.get(leaf)).filter(|task| !task.withdrawn).peekable();
        wanted.peek().is_some() && wanted.all(|task| task.status != Some(TaskStatus::Completed))
    }

    // ---- leases

    /// A claim holds for the lease of its kind of work, from now on.
    pub(crate) fn renew_lease(&mut self, step: usize) -> Result<Option<Timestamp>, Stop> {
        let key = Key::task(self.id_of(step));
        let lease = self.draft.moment.policy.lease(&work_of(&self.draft.get(&key)?.body));
        let until = lease.map(|lease| self.draft.now().plus(lease));
        if let Some(until) = until {
            self.set_lease(step, until);
        }
        Ok(until)
    }

    /// Given back: a copy of its timer that comes late means nobody who takes it after.
    pub(crate) fn give_back_lease(&mut self, step: usize) {
        self.drop_lease(step);
        self.state(step).lease = Some(Timestamp::MAX);
    }

    pub(crate) fn set_lease(&mut self, step: usize, until: Timestamp) {
        let id = self.lease_timer(step);
        self.state(step).lease = Some(until);
        self.draft.set_timer(Timer { id, due: until });
    }

    pub(super) fn drop_lease(&mut self, step: usize) {
        let id = self.lease_timer(step);
        self.state(step).lease = None;
        self.draft.drop_timer(id);
    }

    fn lease_timer(&mut self, step: usize) -> TimerId {
        let id = self.id_of(step);
        TimerId { root: self.root, name: format!("lease.{}.{}", id.step, id.occurrence) }
    }
}

impl Draft<'_> {
    /// A message to the queue of a Task.
    pub(crate) fn publish(&mut self, task: &Resource, step: String, work: String) {
        self.decision.outbox.push(Message {
            task: task.key.clone(),
            version: task.version,
            work,
            step,
            owner: owner(&task.body).map(str::to_owned),
            priority: Priority::of(&task.body),
            traceparent: self.command.traceparent.clone(),
        });
    }

    pub(crate) fn set_timer(&mut self, timer: Timer) {
        self.decision.timers_done.retain(|id| *id != timer.id);
        self.decision.timers.retain(|other| other.id != timer.id);
        self.decision.timers.push(timer);
    }

    pub(crate) fn drop_timer(&mut self, id: TimerId) {
        self.decision.timers.retain(|timer| timer.id != id);
        if !self.decision.timers_done.contains(&id) {
            self.decision.timers_done.push(id);
        }
    }
}
