//! The plan engine: a plan is bound to an order, and what follows is worked out anew with each change. Of the built-in
//! plans the prescription's is the one that grows with its order.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use hub_domain::plan::advance::Standing;
use hub_domain::plan::graph::Graph;
use hub_domain::plan::kept::KeptPlan;
use hub_domain::plan::run::{Run, TaskState};
use schemas::task::TaskStatus;

use crate::registry::{NOW, Registry};
use crate::{Work, orders};

const ITEMS: usize = 10;

pub(crate) fn bind() -> Work {
    let plan = prescription();
    Box::new(move || {
        black_box(Graph::bind(black_box(&plan), ITEMS));
    })
}

/// Half of the items are dispensed, and the last of these has just ended.
pub(crate) fn advance() -> Work {
    let graph = Graph::bind(&prescription(), ITEMS);
    let leaves: Vec<usize> = graph.leaves().collect();
    let mut tasks = vec![TaskState::default(); graph.nodes.len()];
    for (n, leaf) in leaves.into_iter().enumerate() {
        let done = n < ITEMS / 2;
        let status = match n {
            _ if done => TaskStatus::Completed,
            _ if n < ITEMS => TaskStatus::Requested,
            _ => TaskStatus::Draft,
        };
        let released = (n < ITEMS).then_some(NOW);
        let ended = done.then(|| NOW.plus(Duration::from_secs(60)));
        tasks[leaf] = TaskState { status: Some(status), occurrence: 1, released, ended, ..TaskState::default() };
    }
    tasks[0] = TaskState { status: Some(TaskStatus::InProgress), occurrence: 1, ..TaskState::default() };
    let run = Run { tasks: tasks.into_iter().collect(), ..Run::default() };
    let now = NOW.plus(Duration::from_secs(60));
    Box::new(move || {
        black_box(Standing::new(black_box(&graph), &run, now).moves());
    })
}

fn prescription() -> Arc<KeptPlan> {
    let order = orders::prescription();
    Registry::new().policy.catalogue.choose(order.kind, &order.body()).unwrap().plan.clone()
}
