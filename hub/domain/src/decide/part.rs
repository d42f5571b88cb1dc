//! What a step asks for: a request of its own, made when the step is released, which ends as its Task does.

use std::collections::BTreeSet;

use hub_fhirpath::Expression;
use schemas::gate;
use schemas::order::{self, RequestStatus, can_complete, revoked_code};
use schemas::outcome::{Issue, IssueType};
use schemas::plan::{Deed, Taken};
use schemas::resource::{Body, Key, Kind, Resource, list};
use schemas::task::{TaskStatus, focus};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Stop;
use super::bodies::{Asked, Step};
use super::orchestration::contained;
use super::order::Order;
use super::request;
use super::sight::Sight;
use crate::apply::{self, Told};
use crate::refusal::{Refusal, RefusalKind};
use crate::workflows;

/// Leads from a request to the order that it is a part of, where its type may not be based on that.
const PART_OF: &str = "urn:fhir-workflow-hub:extension:orchestration";

/// What the Task of a step gets when that is released.
#[derive(Default)]
pub(super) struct Handover {
    /// The request of its own that it asks for.
    part: Option<Resource>,
    /// What it is about, when that is here already.
    about: Option<Value>,
    inputs: Vec<Value>,
}

impl Handover {
    pub(super) fn give(&self, task: &mut Body) {
        if let Some(about) = &self.about {
            task.insert("focus".into(), about.clone());
        }
        if !self.inputs.is_empty() {
            task.insert("input".into(), self.inputs.clone().into());
        }
        self.part.iter().for_each(|part| point_to(task, part));
    }
}

impl Order<'_, '_> {
    /// Whether its steps ask for requests of their own.
    pub(super) fn is_orchestrated(&self) -> bool {
        let requests = self.draft.run_of(self.root).map(|run| run.requests.as_slice()).unwrap_or_default();
        requests.first().is_some_and(|first| first.starts_with("RequestGroup/"))
    }

    /// What a step is about: the request of the order, or of its item, or what the step itself asks for.
    pub(super) fn asked_by(&self, step: usize) -> Result<Resource, Stop> {
        if let Some(option) = self.option_of(step)? {
            return Ok(option);
        }
        let mut requests = self.requests()?;
        Ok(requests.swap_remove(self.graph.nodes[step].item.unwrap_or(0)))
    }

    /// What a step asks for by itself, as its author or a definition describes it.
    fn option_of(&self, step: usize) -> Result<Option<Resource>, Stop> {
        let action = self.graph.nodes[step].action.as_ref().filter(|action| action.deed == Deed::Create);
        let Some(action) = action else { return Ok(None) };
        if let Some(option) = &action.option {
            let kind = option.get("resourceType").and_then(Value::as_str).and_then(Kind::parse);
            let of_plan = |kind| Resource::new(Key::new(kind, ""), 1, self.draft.now(), (**option).clone());
            return kind.map(|kind| Some(of_plan(kind))).ok_or_else(|| no_option().into());
        }
        let reference = action.resource.as_ref().and_then(|reference| reference["reference"].as_str());
        let Some(reference) = reference.filter(|_| self.is_orchestrated()) else { return Ok(None) };
        if let Some(id) = reference.strip_prefix('#') {
            let found = contained(list(&self.requests()?[0].body, "contained"), id);
            let of_group = |(kind, body)| Resource::new(Key::new(kind, ""), 1, self.draft.now(), body);
            return found.map(|found| Some(of_group(found))).ok_or_else(|| no_option().into());
        }
        let key = Key::of_reference(reference).ok_or_else(no_option)?;
        self.draft.get(&key).cloned().map(Some)
    }

    /// What a step comes to, now that it is released. None: what it should ask for cannot be said.
    pub(super) fn hand_over(&mut self, leaf: usize) -> Result<Option<Handover>, Stop> {
        let action = self.graph.nodes[leaf].action.as_ref();
        let about = action.filter(|action| action.deed != Deed::Create).and_then(|action| action.resource.clone());
        let inputs = self.inputs_of(leaf)?;
        let Some(option) = self.option_of(leaf)? else { return Ok(Some(Handover { about, inputs, part: None })) };
        let group = self.requests()?.swap_remove(0);
        let mut body = part(&option, &group, self.draft.now());
        let mut faults = self.set_values(leaf, &mut body)?;
        if faults.is_empty()
            && let Err(found) = gate::check(&body, None)
        {
            faults = self.at_step(leaf, found);
        }
        let is_starting = self.draft.scene.heads.get(&self.root).is_none_or(|head| head.run.is_none());
        match faults.is_empty() {
            true => {
                let key = Key::new(option.key.kind, part_id(self.root, leaf));
                let part = Some(self.draft.create(self.root, key, body));
                Ok(Some(Handover { part, inputs, about: None }))
            }
            // Whoever submits it can still be told.
            false if is_starting => Err(Refusal::new(RefusalKind::Unprocessable, faults).into()),
            false => Ok(None),
        }
    }

    /// The dynamic values of a step, in their order: asked of the request as it is so far.
    fn set_values(&mut self, leaf: usize, body: &mut Body) -> Result<Vec<Issue>, Stop> {
        let Some(action) = self.graph.nodes[leaf].action.clone().filter(|action| !action.values.is_empty()) else {
            return Ok(Vec::new());
        };
        let sight = Sight::of(self, action.values.iter().map(|dynamic| dynamic.expression.as_str()), Some(leaf))?;
        let mut faults = Vec::new();
        for dynamic in &action.values {
            let Ok(expression) = Expression::parse(&dynamic.expression) else { continue };
            let so_far = Value::Object(body.clone());
            let found = apply::evaluated(&expression, &so_far, &sight.scope(self.draft.now()));
            let set = found.and_then(|found| match found.is_empty() {
                true => Ok(()),
                false => apply::set(body, &dynamic.element, found),
            });
            faults.extend(set.err().map(|text| Issue::error(IssueType::Processing, dynamic.path.clone(), text)));
        }
        Ok(faults)
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

    /// A step that was to withdraw a request is done: so it is withdrawn.
    pub(super) fn carry_out(&mut self, step: usize) -> Result<(), Stop> {
        let action = self.graph.nodes[step].action.as_ref().filter(|action| action.deed == Deed::Remove);
        let reference = action.and_then(|action| action.resource.as_ref()?["reference"].as_str());
        let Some(key) = reference.and_then(Key::of_reference).filter(|key| key.kind.is_request()) else {
            return Ok(());
        };
        let is_own = self.run().requests.contains(&key.to_string());
        let is_here = self.if_here(&key)?.is_some();
        // What is a national service's goes by that service's own messages.
        let is_free =
            self.draft.scene.roots.get(&key).is_none_or(|root| workflows::check_own(self.draft, *root).is_ok());
        if is_here && is_free && !is_own { request::withdraw(self.draft, &key, "request-removed") } else { Ok(()) }
    }

    /// The requests that these Tasks are about, asked for at once.
    pub(super) fn look_at_parts(&self, tasks: &[Key]) -> Result<(), Stop> {
        if !self.is_orchestrated() {
            return Ok(());
        }
        let of = |task: &Key| self.part_of_task(&self.draft.find(task)?.body);
        let parts: Vec<Key> = tasks.iter().filter_map(of).collect();
        self.draft.get_all(&parts).map(drop)
    }

    fn part_of_task(&self, task: &Body) -> Option<Key> {
        let key = focus(task).and_then(Key::of_reference)?;
        self.step_of_part(&key).map(|_| key)
    }

    /// The step that asks for this request, when it is a part of this order.
    pub(super) fn step_of_part(&self, key: &Key) -> Option<usize> {
        let step: usize = key.id.strip_prefix(&format!("{}.", self.root))?.parse().ok()?;
        let is_step = step < self.graph.nodes.len() && self.graph.is_leaf(step);
        (is_step && key.kind.is_request() && self.is_orchestrated()).then_some(step)
    }

    /// A step was done, or will not be: what it asked for has come to the same end.
    pub(super) fn end_part(&mut self, task: &Body, to: TaskStatus) -> Result<(), Stop> {
        if !self.is_orchestrated() {
            return Ok(());
        }
        let Some(key) = self.part_of_task(task) else { return Ok(()) };
        let status = match to {
            TaskStatus::Completed if self.draft.moment.policy.auto_complete_request => "completed",
            TaskStatus::Cancelled => revoked_code(key.kind),
            _ => return Ok(()),
        };
        let mut body = self.draft.get(&key)?.body.clone().into_body();
        let open = matches!(RequestStatus::of(&body), RequestStatus::Active | RequestStatus::OnHold);
        if open && (to != TaskStatus::Completed || can_complete(key.kind)) {
            body.insert("status".into(), status.into());
            self.draft.replace(self.root, &key, body)?;
        }
        Ok(())
    }

    /// One part was withdrawn by itself: the others go on without it.
    pub(super) fn withdraw_part(&mut self, step: usize, to: RequestStatus, why: &str) -> Result<(), Stop> {
        if !matches!(to, RequestStatus::Revoked | RequestStatus::EnteredInError) || self.is_over() {
            return Ok(());
        }
        self.look_at(&[step])?;
        self.state(step).withdrawn = true;
        self.cancel(step, why)?;
        self.go_on()
    }

    /// The Tasks of steps that nobody was offered yet, as the plan has them now.
    pub(super) fn write_anew(&mut self, steps: &[usize]) -> Result<(), Stop> {
        self.look_at(steps)?;
        let requests = self.requests()?;
        for leaf in steps.iter().copied() {
            if self.state(leaf).status != Some(TaskStatus::Draft) {
                continue;
            }
            let id = self.id_of(leaf);
            let Some(action) = &self.graph.nodes[leaf].action else { continue };
            let step = Step { action, item: None };
            let body = Asked::new(requests.iter().collect()).work_item(id, TaskStatus::Draft, &step, self.draft.now());
            self.draft.replace(self.root, &Key::task(id), body)?;
        }
        Ok(())
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

/// What a Task is about, and whose it is when the request names somebody.
pub(super) fn point_to(task: &mut Body, part: &Resource) {
    task.insert("focus".into(), part.reference());
    if let Some(performer) = Asked::new(vec![part]).performer().filter(|_| !task.contains_key("owner")) {
        task.insert("owner".into(), performer.clone());
    }
}

fn part_id(root: Uuid, leaf: usize) -> String {
    format!("{root}.{leaf}")
}

fn no_option() -> Refusal {
    Refusal::conflict("what a step of this orchestration asks for is not here any more")
}

/// A request of its own: as what the step names, but active and an order, with what it lacks from the group.
pub(super) fn part(option: &Resource, group: &Resource, now: Timestamp) -> Body {
    let kind = option.key.kind;
    let mut body = option.body.clone().into_body();
    for name in ["id", "meta"] {
        body.shift_remove(name);
    }
    body.insert("status".into(), "active".into());
    let of_group = |name: &str| group.body.get(name).cloned();
    if let Some(priority) = of_group("priority").filter(|_| gate::has_element(kind.name(), "priority")) {
        body.entry("priority").or_insert(priority);
    }
    let (subject, requester) = (order::subject(&group.body).cloned(), order::requester(&group.body).cloned());
    Told { subject, encounter: of_group("encounter"), requester, now }.tell(kind.name(), &mut body);
    if gate::has_element(kind.name(), "intent") {
        body.insert("intent".into(), "filler-order".into());
    }
    // What is contained has no name that others could say.
    let named = Some(&option.key).filter(|key| !key.id.is_empty());
    link(kind, &mut body, named, group);
    let inner = within(&body, group);
    if !inner.is_empty() {
        body.insert("contained".into(), inner.into());
    }
    body
}

/// Types that may be based on anything, and those that may be based on each other.
const BASED_ON_ANY: [&str; 2] = ["CommunicationRequest", "DeviceRequest"];
const BASED_ON_REQUESTS: [&str; 2] = ["MedicationRequest", "ServiceRequest"];

/// It is based on what the step names, and on the group, as far as its type may say so.
fn link(kind: Kind, body: &mut Body, named: Option<&Key>, group: &Resource) {
    let is_any = BASED_ON_ANY.contains(&kind.name());
    let named = named.filter(|named| {
        is_any || (BASED_ON_REQUESTS.contains(&kind.name()) && BASED_ON_REQUESTS.contains(&named.kind.name()))
    });
    let mut based: Vec<Value> = list(body, "basedOn").cloned().collect();
    based.extend(named.map(|named| json!({ "reference": named.to_string() })));
    if is_any {
        based.push(group.reference());
    }
    if !based.is_empty() {
        body.insert("basedOn".into(), based.into());
    }
    if !is_any {
        let mut extensions: Vec<Value> = list(body, "extension").cloned().collect();
        extensions.push(json!({ "url": PART_OF, "valueReference": group.reference() }));
        body.insert("extension".into(), extensions.into());
    }
}

/// What the group contains and the request points to: it comes along, as no other could follow.
fn within(body: &Body, group: &Resource) -> Vec<Value> {
    let mut taken: Vec<Value> = list(body, "contained").cloned().collect();
    let mut look: Vec<Value> = vec![Value::Object(body.clone())];
    while let Some(next) = look.pop() {
        for inner in list(&group.body, "contained") {
            let points = inner["id"].as_str().is_some_and(|id| points_to(&next, &format!("#{id}")));
            if points && !taken.iter().any(|one| one["id"] == inner["id"]) {
                taken.push(inner.clone());
                look.push(inner.clone());
            }
        }
    }
    taken
}

fn points_to(value: &Value, target: &str) -> bool {
    match value {
        Value::Object(object) => {
            object.get("reference").is_some_and(|reference| reference == target)
                || object.values().any(|inner| points_to(inner, target))
        }
        Value::Array(items) => items.iter().any(|item| points_to(item, target)),
        _ => false,
    }
}
