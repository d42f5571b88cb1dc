//! A running orchestration is changed by its author: only in what was not released yet.

use schemas::outcome::{Issue, IssueType};
use schemas::plan::Action;
use schemas::resource::{Body, Kind, Resource, list, text_at};
use serde_json::Value;
use uuid::Uuid;

use super::Stop;
use super::draft::Draft;
use super::orchestration::own_plan;
use super::order::Order;
use crate::plan::graph::Graph;
use crate::refusal::{Refusal, RefusalKind};

/// Takes over what is said now of the steps that are still to come; refused with everything that is not.
pub(super) fn rearrange(draft: &mut Draft, before: &Body, after: &Resource, root: Uuid) -> Result<(), Stop> {
    let same = |name: &str| before.get(name) == after.body.get(name);
    if same("action") && same("contained") {
        return Ok(());
    }
    let hash = draft.run_of(root).and_then(|run| run.plan.clone());
    let plan = hash.and_then(|hash| draft.scene.plans.get(&hash).cloned());
    let offered = own_plan(draft, after, plan.as_deref().map(|kept| &**kept))?;
    let Some(mut order) = Order::find(draft, root)? else { return Ok(()) };
    if order.is_over() {
        return Ok(());
    }
    let graph = offered.plan.graph(1);
    check_shape(&order.graph, &graph)?;
    let fixed = order.fixed();
    let is_changed = |node: &usize| !is_same(&order.graph, &graph, *node, before, &after.body);
    let changed: Vec<usize> = (1..graph.nodes.len()).filter(is_changed).collect();
    let fault = |node: &usize| {
        let text =
            "this was released already, and does not change any more: submit an orchestration that replaces this";
        Issue::error(IssueType::BusinessRule, path_of(&graph, *node), text)
    };
    let faults: Vec<Issue> = changed.iter().filter(|node| fixed.contains(node)).map(fault).collect();
    if !faults.is_empty() {
        return Err(Refusal::new(RefusalKind::Unprocessable, faults).into());
    }
    order.run().plan = Some(offered.hash.clone());
    let old = std::mem::replace(&mut order.graph, graph);
    order.draft.decision.plans.push((offered.hash, offered.plan, offered.text));
    order.find_points(Some(&old.points))?;
    order.write_anew(&changed)?;
    order.go_on()
}

/// The steps keep their numbers, which are in the ids of their Tasks.
fn check_shape(old: &Graph, new: &Graph) -> Result<(), Stop> {
    let shape = |graph: &Graph| -> Vec<(usize, String)> {
        let id = |action: &Action| action.id.clone();
        graph.nodes.iter().map(|node| (node.parent, node.action.as_deref().map(id).unwrap_or_default())).collect()
    };
    if shape(old) == shape(new) {
        return Ok(());
    }
    let text = "the actions of a running orchestration keep their ids, their order and their number: \
                submit an orchestration that replaces this";
    let path = format!("{}.action", Kind::REQUEST_GROUP);
    Err(Refusal::one(RefusalKind::Unprocessable, IssueType::BusinessRule, &path, text).into())
}

fn is_same(old: &Graph, new: &Graph, node: usize, before: &Body, after: &Body) -> bool {
    let alone =
        |graph: &Graph| graph.nodes[node].action.as_deref().map(|a| Action { actions: Vec::new(), ..a.clone() });
    let (old, new) = (alone(old), alone(new));
    let reference = new.as_ref().and_then(|action| action.resource.as_ref()?["reference"].as_str());
    let inner = |body: &Body| reference.and_then(|text| contained(body, text.strip_prefix('#')?).cloned());
    old == new && inner(before) == inner(after)
}

fn contained<'b>(body: &'b Body, id: &str) -> Option<&'b Value> {
    list(body, "contained").find(|inner| inner.as_object().is_some_and(|inner| text_at(inner, &["id"]) == Some(id)))
}

/// `RequestGroup.action[0].action[1]`
fn path_of(graph: &Graph, node: usize) -> String {
    let parent = graph.nodes[node].parent;
    let number = graph.nodes[parent].children.iter().position(|child| *child == node).unwrap_or_default();
    let above = if parent == 0 { Kind::REQUEST_GROUP.name().to_owned() } else { path_of(graph, parent) };
    format!("{above}.action[{number}]")
}

impl Order<'_, '_> {
    /// The steps that were released, and everything that they are a part of.
    fn fixed(&mut self) -> Vec<usize> {
        let leaves: Vec<usize> = self.graph.leaves().collect();
        let released: Vec<usize> = leaves.into_iter().filter(|leaf| self.state(*leaf).released.is_some()).collect();
        released.into_iter().flat_map(|leaf| self.graph.upwards(leaf).collect::<Vec<_>>()).collect()
    }
}
