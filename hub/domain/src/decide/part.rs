//! What a step asks for: a request of its own, made when the step is released, which ends as its Task does.

use schemas::gate;
use schemas::order::{self, RequestStatus, can_complete, revoked_code};
use schemas::plan::Deed;
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
use crate::apply::Told;
use crate::refusal::Refusal;
use crate::workflows;

/// Leads from a request to the order that it is a part of, where its type may not be based on that.
const PART_OF: &str = "urn:fhir-workflow-hub:extension:orchestration";

impl Order<'_, '_> {
    /// Whether its steps ask for requests of their own.
    pub(super) fn is_orchestrated(&self) -> bool {
        let requests = self.draft.run_of(self.root).map(|run| run.requests.as_slice()).unwrap_or_default();
        self.graph.is_asking || requests.first().is_some_and(|first| first.starts_with("RequestGroup/"))
    }

    /// What a step is about: the request of the order, or of its item, or what the step itself asks for.
    pub(super) fn asked_by(&self, step: usize) -> Result<Resource, Stop> {
        if let Some(option) = self.option_of(step)? {
            return Ok(option);
        }
        let mut requests = self.requests()?;
        Ok(requests.swap_remove(self.request_of(step, &requests)))
    }

    /// What a step asks for by itself, as its author or a definition describes it.
    pub(super) fn option_of(&self, step: usize) -> Result<Option<Resource>, Stop> {
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

/// What a Task is about, and whose it is when the request names somebody.
pub(super) fn point_to(task: &mut Body, part: &Resource) {
    task.insert("focus".into(), part.reference());
    if let Some(performer) = Asked::new(vec![part]).performer().filter(|_| !task.contains_key("owner")) {
        task.insert("owner".into(), performer.clone());
    }
}

pub(super) fn part_id(root: Uuid, leaf: usize) -> String {
    format!("{root}.{leaf}")
}

fn no_option() -> Refusal {
    Refusal::conflict("what a step of this orchestration asks for is not here any more")
}

/// A request of its own: as what the step names, but active and an order, with what it lacks from that of the order.
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

/// It is based on what the step names, and on the request of the order, as far as its type may say so.
fn link(kind: Kind, body: &mut Body, named: Option<&Key>, group: &Resource) {
    let may = |on: Kind| {
        let of_requests = BASED_ON_REQUESTS.contains(&kind.name()) && BASED_ON_REQUESTS.contains(&on.name());
        BASED_ON_ANY.contains(&kind.name()) || of_requests
    };
    let named = named.filter(|named| may(named.kind));
    let mut based: Vec<Value> = list(body, "basedOn").cloned().collect();
    based.extend(named.map(|named| json!({ "reference": named.to_string() })));
    if may(group.key.kind) {
        based.push(group.reference());
    } else {
        let mut extensions: Vec<Value> = list(body, "extension").cloned().collect();
        extensions.push(json!({ "url": PART_OF, "valueReference": group.reference() }));
        body.insert("extension".into(), extensions.into());
    }
    if !based.is_empty() {
        body.insert("basedOn".into(), based.into());
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
