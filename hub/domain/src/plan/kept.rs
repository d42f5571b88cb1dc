//! A plan that orders run by. It is bound once for all orders of as many requests, not anew with every command.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use schemas::plan::{Action, Plan};

use super::graph::Graph;

/// Of a plan with steps that are done per item: for so many numbers of items its graph is kept.
const GRAPHS_MAX: usize = 16;

#[derive(Debug)]
pub struct KeptPlan {
    plan: Plan,
    is_per_item: bool,
    /// Some step is described elsewhere: what by is looked for when an order starts.
    pub(crate) is_described: bool,
    /// By the number of items. What is here can never become wrong.
    graphs: Mutex<Vec<(usize, Arc<Graph>)>>,
}

impl KeptPlan {
    pub fn new(plan: Plan) -> Self {
        let is_per_item = any(&plan.actions, |action| action.per_item);
        let is_described = any(&plan.actions, |action| action.definition.is_some() && !action.is_questionnaire());
        Self { plan, is_per_item, is_described, graphs: Mutex::default() }
    }

    /// The plan bound to an order of so many requests.
    pub fn graph(&self, items: usize) -> Arc<Graph> {
        // Without such steps all orders have the same.
        let items = if self.is_per_item { items } else { 1 };
        let mut graphs = self.graphs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, graph)) = graphs.iter().find(|(of, _)| *of == items) {
            return graph.clone();
        }
        let graph = Arc::new(Graph::bind(&self.plan, items));
        if graphs.len() == GRAPHS_MAX {
            graphs.remove(0);
        }
        graphs.push((items, graph.clone()));
        graph
    }
}

impl Deref for KeptPlan {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.plan
    }
}

impl PartialEq for KeptPlan {
    fn eq(&self, other: &Self) -> bool {
        self.plan == other.plan
    }
}

fn any(actions: &[Arc<Action>], is_it: fn(&Action) -> bool) -> bool {
    actions.iter().any(|action| is_it(action) || any(&action.actions, is_it))
}
