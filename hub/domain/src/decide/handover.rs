//! What whoever does a step gets when it is released: the request that it asks for, with its values set, and what there is to
//! know, with what other steps have come to.

use std::collections::BTreeSet;

use hub_fhirpath::Expression;
use schemas::gate;
use schemas::outcome::{Issue, IssueType};
use schemas::plan::{Deed, Taken};
use schemas::resource::{Body, Key, Resource, list};
use schemas::task::TaskStatus;
use serde_json::Value;

use super::Stop;
use super::choice::BRANCH;
use super::order::Order;
use super::part::{part, part_id, point_to};
use super::sight::Sight;
use crate::apply;
use crate::refusal::{Refusal, RefusalKind};

/// What the Task of a step gets when that is released.
#[derive(Default)]
pub(super) struct Handover {
    /// The request of its own that it asks for.
    part: Option<Resource>,
    /// What it is about, when that is here already.
    about: Option<Value>,
    inputs: Vec<Value>,
    /// What it is called and how urgent it is, where values say so.
    said: Body,
}

impl Handover {
    pub(super) fn give(&self, task: &mut Body) {
        task.extend(self.said.clone());
        if let Some(about) = &self.about {
            task.insert("focus".into(), about.clone());
        }
        if !self.inputs.is_empty() {
            // The branches that it chooses among stand there already.
            let is_branch = |input: &&Value| input["type"]["text"] == BRANCH && input.get("valueCoding").is_some();
            let branches = list(task, "input").filter(is_branch).cloned();
            let inputs: Vec<Value> = self.inputs.iter().cloned().chain(branches).collect();
            task.insert("input".into(), inputs.into());
        }
        self.part.iter().for_each(|part| point_to(task, part));
    }
}

impl Order<'_, '_> {
    /// What a step comes to, now that it is released. None: what it should ask for cannot be said.
    pub(super) fn hand_over(&mut self, leaf: usize) -> Result<Option<Handover>, Stop> {
        let action = self.graph.nodes[leaf].action.as_ref();
        let about = action.filter(|action| action.deed != Deed::Create).and_then(|action| action.resource.clone());
        let inputs = self.inputs_of(leaf)?;
        let option = self.option_of(leaf)?;
        let mut body = match &option {
            Some(option) => {
                let mut requests = self.requests()?;
                let group = requests.swap_remove(self.request_of(leaf, &requests));
                part(option, &group, self.draft.now())
            }
            None => Body::new(),
        };
        let (said, mut faults) = self.set_values(leaf, &mut body)?;
        // What its author wrote was read at the door.
        let is_made =
            self.graph.nodes[leaf].action.as_ref().is_some_and(|a| a.option.is_some() || !a.values.is_empty());
        if option.is_some()
            && is_made
            && faults.is_empty()
            && let Err(found) = gate::check(&body, None)
        {
            faults = self.at_step(leaf, found);
        }
        let is_starting = self.draft.scene.heads.get(&self.root).is_none_or(|head| head.run.is_none());
        match faults.is_empty() {
            true => {
                let part = option.map(|option| {
                    let key = Key::new(option.key.kind, part_id(self.root, leaf));
                    self.draft.create(self.root, key, body)
                });
                Ok(Some(Handover { part, about, inputs, said }))
            }
            // Whoever submits it can still be told.
            false if is_starting => Err(Refusal::new(RefusalKind::Unprocessable, faults).into()),
            false => Ok(None),
        }
    }

    /// The dynamic values of a step, in their order: asked of the request as it is so far, and set there or in the action.
    /// What they have its Task say, and what could not be set.
    fn set_values(&mut self, leaf: usize, body: &mut Body) -> Result<(Body, Vec<Issue>), Stop> {
        let Some(action) = self.graph.nodes[leaf].action.clone().filter(|action| !action.values.is_empty()) else {
            return Ok(Default::default());
        };
        let sight = Sight::of(self, action.values.iter().map(|dynamic| dynamic.expression.as_str()), Some(leaf))?;
        let own = action.own.as_deref().and_then(Value::as_object);
        let (mut own, mut faults) = (own.cloned().unwrap_or_default(), Vec::new());
        for dynamic in &action.values {
            let Ok(expression) = Expression::parse(&dynamic.expression) else { continue };
            let (so_far, seen) = (Value::Object(body.clone()), Value::Object(own.clone()));
            let found = apply::evaluated(&expression, &so_far, &sight.scope(Some(&seen), self.draft.now()));
            let set = found.and_then(|found| match found.is_empty() {
                true => Ok(()),
                false if dynamic.of_action => apply::set_of_action(&mut own, &dynamic.element, found),
                false => apply::set(body, &dynamic.element, found),
            });
            faults.extend(set.err().map(|text| Issue::error(IssueType::Processing, dynamic.path.clone(), text)));
        }
        let mut said = Body::new();
        if action.values.iter().any(|dynamic| dynamic.of_action) {
            let title = ["title", "description", "textEquivalent"].iter().find_map(|name| own.get(*name));
            said.extend(title.map(|title| ("description".to_owned(), title.clone())));
            said.extend(own.get("priority").map(|priority| ("priority".to_owned(), priority.clone())));
        }
        Ok((said, faults))
    }

    /// Faults of what a step asks for, told at the step.
    fn at_step(&self, leaf: usize, faults: Vec<Issue>) -> Vec<Issue> {
        let name = self.graph.name(leaf).unwrap_or_default();
        let told = |fault: Issue| Issue::error(fault.code, fault.path, format!("of the step {name}: {}", fault.text));
        faults.into_iter().map(told).collect()
    }

    /// What the filler of a step is to know: what its plan says, and what those have come to whose outputs it is given.
    pub(super) fn inputs_of(&mut self, step: usize) -> Result<Vec<Value>, Stop> {
        let Some(action) = self.graph.nodes[step].action.clone() else { return Ok(Vec::new()) };
        let mut inputs = action.inputs.clone();
        for taken in &action.takes {
            let is_from = |n: usize| self.graph.nodes[n].action.as_ref().is_some_and(|a| a.names.contains(&taken.from));
            let sources = self.graph.nodes[step].waits.iter().map(|wait| wait.on).filter(|on| is_from(*on));
            let leaves: BTreeSet<usize> = sources.flat_map(|on| self.graph.leaves_of(on)).collect();
            let mut keys = Vec::new();
            for leaf in leaves {
                if self.state(leaf).status == Some(TaskStatus::Completed) {
                    keys.push(Key::task(self.id_of(leaf)));
                }
            }
            for task in self.draft.get_all(&keys)? {
                inputs.extend(handed_on(&task.body, taken));
            }
        }
        Ok(inputs)
    }
}

/// The outputs of a Task that are meant: those that are called so; else those of the type that is wanted; else all.
fn handed_on(task: &Body, taken: &Taken) -> Vec<Value> {
    let is_called = |output: &&Value| {
        let codes = output["type"]["coding"].as_array().into_iter().flatten().map(|coding| &coding["code"]);
        codes.chain([&output["type"]["text"]]).any(|said| taken.names.iter().any(|name| said == name))
    };
    let is_of = |output: &&Value| {
        let reference = output["valueReference"]["reference"].as_str().and_then(Key::of_reference);
        taken.kind.as_ref().is_none_or(|kind| reference.is_some_and(|key| key.kind.name() == kind))
    };
    let called: Vec<&Value> = list(task, "output").filter(is_called).collect();
    let meant = if called.is_empty() { list(task, "output").filter(is_of).collect() } else { called };
    let mut inputs: Vec<Value> = meant.into_iter().cloned().collect();
    if let Some(title) = &taken.title {
        inputs.iter_mut().for_each(|input| input["type"]["text"] = title.as_str().into());
    }
    inputs
}
