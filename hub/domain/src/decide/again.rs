//! What may be done several times (`cardinalityBehavior` multiple) is done again when somebody asks for it: whoever has one of
//! its Tasks or asked for it, by that Task's `restriction.repetitions`; whoever chooses, by naming a branch several times.
//!
//! All times that there may be are in the graph from the start. Those that nobody asked for are withdrawn.

use schemas::outcome::IssueType;
use schemas::plan::MULTIPLE_LIMIT;
use schemas::resource::{Body, Key};

use super::Stop;
use super::draft::Draft;
use super::order::Order;
use super::task::is_current;
use super::task_id;
use crate::refusal::{Refusal, RefusalKind};
use crate::task_machine::Actor;

/// How often something is to be done in all.
fn repetitions(task: &Body) -> usize {
    let said = task.get("restriction").and_then(|restriction| restriction["repetitions"].as_u64());
    said.map_or(1, |times| usize::try_from(times).unwrap_or(usize::MAX))
}

/// Somebody changes a Task, and perhaps how often its step is to be done.
pub(super) fn ask_again(
    draft: &mut Draft,
    key: &Key,
    before: &Body,
    after: &Body,
    actors: &[Actor],
) -> Result<(), Stop> {
    let times = repetitions(after);
    let Some(id) = task_id(key).filter(|_| times > repetitions(before)) else { return Ok(()) };
    let step = id.step as usize;
    let Some(mut order) = Order::find(draft, id.root)?.filter(|order| step < order.graph.nodes.len()) else {
        return Ok(());
    };
    let above = order.graph.upwards(step).map(|node| order.graph.nodes[node].parent);
    let all = above.into_iter().find(|all| order.graph.times_of(*all).is_some());
    let Some(all) = all.filter(|_| is_current(order.run(), key)) else { return Ok(()) };
    if !actors.iter().any(|actor| matches!(actor, Actor::Requester | Actor::Owner)) {
        return Err(Refusal::forbidden("who asked for it, or has it, says how often it is to be done").into());
    }
    if times > MULTIPLE_LIMIT {
        let text = format!("a step is done {MULTIPLE_LIMIT} times at most");
        let path = "Task.restriction.repetitions";
        return Err(Refusal::one(RefusalKind::Unprocessable, IssueType::TooCostly, path, text).into());
    }
    order.want(all, times);
    Ok(())
}

impl Order<'_, '_> {
    /// At the start nobody has asked for more than one.
    pub(super) fn lay_aside(&mut self) {
        for spare in self.graph.spares().collect::<Vec<_>>() {
            self.state(spare).withdrawn = true;
        }
    }

    /// `all`: what stands for all times of an action. What did not apply the first time does not now, and what may be done
    /// several times within it is done once each time.
    pub(super) fn want(&mut self, all: usize, times: usize) {
        let graph = self.graph.clone();
        let Some((first, others)) = graph.times_of(all).and_then(<[usize]>::split_first) else { return };
        for time in others.iter().take(times.saturating_sub(1)) {
            let is_once = |leaf: usize| graph.upwards(leaf).take_while(|n| n != time).all(|n| !graph.nodes[n].is_spare);
            let leaves = graph.leaves_of(*first).zip(graph.leaves_of(*time)).filter(|(_, other)| is_once(*other));
            for (one, other) in leaves {
                let never = self.state(one).withdrawn && self.state(one).status.is_none();
                let state = self.state(other);
                // What was asked for before, and withdrawn since, is not asked for once more.
                state.withdrawn &= never || state.status.is_some();
            }
        }
    }
}
