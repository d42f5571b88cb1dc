//! The conditions of a plan, asked of the requests of the order and of its Tasks.

use hub_fhirpath::{Expression, Scope};
use schemas::plan::ConditionKind;
use schemas::resource::{Key, Resource};
use serde_json::Value;

use super::Stop;
use super::order::Order;
use super::sight::Sight;
use crate::plan::advance::Told;
use crate::plan::graph::Asking;

/// Of a node, what kinds of condition were asked, and whether each of them holds.
struct Asked {
    node: usize,
    told: Vec<(ConditionKind, bool)>,
}

impl Order<'_, '_> {
    /// At the start: what does not apply is no part of the order.
    pub(super) fn apply(&mut self) -> Result<(), Stop> {
        if !self.graph.is_conditional {
            return Ok(());
        }
        let all = (1..self.graph.nodes.len()).collect();
        for Asked { node, told } in self.ask_all(all, |kind| kind == ConditionKind::Applicability)? {
            let any = self.graph.nodes[node].action.as_ref().is_some_and(|action| action.any_applies);
            let applies = match any {
                true => told.iter().any(|(_, holds)| *holds),
                false => told.iter().all(|(_, holds)| *holds),
            };
            if !applies {
                for leaf in self.graph.leaves_of(node).collect::<Vec<_>>() {
                    self.state(leaf).withdrawn = true;
                }
            }
        }
        Ok(())
    }

    /// What holds now of what a step begins or stops by, as long as that has not ended.
    pub(super) fn told(&mut self) -> Result<Told, Stop> {
        let mut all = Told::default();
        let mut open = self.graph.asking.clone();
        if let Some(run) = self.draft.run_of(self.root) {
            // What undoes another is no part of what is asked about; what is not wanted and has no Task never comes.
            let is_open = |leaf: usize| match run.tasks.get(leaf) {
                Some(_) if self.graph.nodes[leaf].undoes.is_some() => false,
                Some(task) => task.status.map_or(!task.withdrawn, |status| !status.is_terminal()),
                None => true,
            };
            open.retain(|node| self.graph.leaves_of(*node).any(is_open));
        }
        for Asked { node, told } in self.ask_all(open, |kind| kind != ConditionKind::Applicability)? {
            for kind in [ConditionKind::Start, ConditionKind::Stop] {
                let mut of_kind = told.iter().filter(|(asked, _)| *asked == kind).peekable();
                if of_kind.peek().is_some() && of_kind.all(|(_, holds)| *holds) {
                    all.holding.insert((node, kind));
                }
            }
        }
        Ok(all)
    }

    /// Those of these nodes that have such conditions, and whether each holds.
    fn ask_all(&mut self, nodes: Vec<usize>, wanted: fn(ConditionKind) -> bool) -> Result<Vec<Asked>, Stop> {
        let graph = self.graph.clone();
        let of = |node: usize| graph.nodes[node].conditions.iter().filter(move |asking| wanted(asking.kind));
        let asked: Vec<usize> = nodes.into_iter().filter(|node| of(*node).next().is_some()).collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let requests = self.requests()?;
        let expressions = asked.iter().flat_map(|node| of(*node)).filter_map(|asking| asking.expression.as_ref());
        let texts: Vec<&str> = expressions.map(Expression::text).collect();
        let sight = Sight::of(self, texts.iter().copied(), None)?;
        let tell = |node: usize| {
            let request = requests[self.request_of(node, &requests)].body.tree();
            let own = graph.nodes[node].action.as_ref().and_then(|action| action.own.as_deref());
            let scope = sight.scope(own, self.draft.now());
            let told = of(node).map(|asking| (asking.kind, holds(asking, request, &scope))).collect();
            Asked { node, told }
        };
        Ok(asked.into_iter().map(tell).collect())
    }

    pub(super) fn newest_tasks(&mut self) -> Result<Vec<Resource>, Stop> {
        let mut keys = Vec::new();
        for leaf in self.graph.leaves().collect::<Vec<_>>() {
            if self.state(leaf).occurrence > 0 {
                keys.push(Key::task(self.id_of(leaf)));
            }
        }
        self.draft.get_all(&keys)
    }
}

/// One that gives nothing, or fails on what is there, does not hold.
fn holds<'a>(asking: &'a Asking, request: &'a Value, scope: &Scope<'a>) -> bool {
    let Some(expression) = &asking.expression else { return false };
    expression.holds(request, scope).is_ok_and(|holds| holds == Some(true))
}
