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
    /// By the number of items. What is here can never become wrong.
    graphs: Mutex<Vec<(usize, Arc<Graph>)>>,
}

impl KeptPlan {
    pub fn new(plan: Plan) -> Self {
        let is_per_item = plan.actions.iter().any(|action| is_per_item(action));
        Self { plan, is_per_item, graphs: Mutex::default() }
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

fn is_per_item(action: &Action) -> bool {
    action.per_item || action.actions.iter().any(|inner| is_per_item(inner))
}
