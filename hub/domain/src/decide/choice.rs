//! A choice that somebody makes: one step is shown the branches, and what it brings names those that come.

use schemas::resource::{Body, list, text_at};
use serde_json::{Value, json};

use super::order::Order;
use crate::plan::graph::Node;

/// What the branches are called among the inputs of the Task, and whoever chooses may call them so among its outputs.
pub(super) const BRANCH: &str = "branch";

impl Order<'_, '_> {
    /// Among what whoever chooses is to know: each branch by its name.
    pub(super) fn show_branches(&self, step: usize, task: &mut Body) {
        let branches = self.choices_of(step).flat_map(|group| &group.children);
        let shown = branches.filter_map(|branch| {
            let action = self.graph.nodes[*branch].action.as_ref()?;
            let title = action.title.as_ref().unwrap_or(&action.id);
            Some(json!({ "type": { "text": BRANCH }, "valueCoding": { "code": action.id, "display": title } }))
        });
        let mut shown: Vec<Value> = shown.collect();
        // One that is done per item stands there once.
        shown.dedup();
        if !shown.is_empty()
            && let Value::Array(inputs) = task.entry("input").or_insert_with(|| json!([]))
        {
            inputs.extend(shown);
        }
    }

    /// The branches that the outputs of a step name, each as often as it is named; of one that is done per item, each. Where
    /// only one may come, it is the first of them.
    pub(super) fn chosen(&self, step: usize, task: &Body) -> Vec<u32> {
        let mut chosen = Vec::new();
        for group in self.choices_of(step) {
            let branches = |name: &str| {
                let is_it = |branch: &usize| {
                    let action = self.graph.nodes[*branch].action.as_ref();
                    action.is_some_and(|action| action.id == name || action.names.iter().any(|other| other == name))
                };
                group.children.iter().copied().filter(is_it).map(|branch| branch as u32).collect::<Vec<_>>()
            };
            let mut chosen_of: Vec<u32> = list(task, "output").filter_map(named).flat_map(branches).collect();
            if let Some(first) = chosen_of.first().copied().filter(|_| group.selection.is_exclusive()) {
                chosen_of.retain(|branch| *branch == first);
            }
            chosen.extend(chosen_of);
        }
        chosen
    }

    fn choices_of(&self, step: usize) -> impl Iterator<Item = &Node> {
        self.graph.nodes.iter().filter(move |group| group.chooser == Some(step))
    }
}

/// What an output names, in whatever way it may be said.
fn named(output: &Value) -> Option<&str> {
    let output = output.as_object()?;
    let texts = [&["valueString"][..], &["valueCode"], &["valueId"], &["valueCoding", "code"]];
    let of_concept = || output.get("valueCodeableConcept")?.get("coding")?.get(0)?.get("code")?.as_str();
    texts.into_iter().find_map(|path| text_at(output, path)).or_else(of_concept)
}
