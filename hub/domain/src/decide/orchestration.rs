//! An orchestration: a RequestGroup is the plan of its own order, and each of its steps asks for a request of its own, a
//! copy of what the step names.

use std::borrow::Cow;

use schemas::gate;
use schemas::order::{RequestStatus, can_complete, revoked_code};
use schemas::outcome::{Issue, IssueType};
use schemas::plan::WORK;
use schemas::resource::{Body, Key, Kind, Resource, list, text_at};
use schemas::task::{TaskStatus, focus, task_code};
use schemas::time::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Stop;
use super::bodies::{Asked, GENERAL_WORK, Step};
use super::draft::Draft;
use super::offering;
use super::order::Order;
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::Needs;
use crate::workflow::Offered;

/// Leads from a request to the orchestration that it is a part of, where its type may not be based on one.
const PART_OF: &str = "urn:fhir-workflow-hub:extension:orchestration";

/// Elements of an action that nothing is done by.
const NOT_DONE: [&str; 6] = ["input", "output", "dynamicValue", "transform", "definitionCanonical", "definitionUri"];

/// The plan by which a request is done; none when nobody has one for it.
pub(super) fn plan_for<'a>(draft: &Draft<'a>, request: &Resource) -> Result<Option<Cow<'a, Offered>>, Stop> {
    if request.key.kind == Kind::REQUEST_GROUP {
        return own_plan(draft, &request.body).map(|plan| Some(Cow::Owned(plan)));
    }
    offering::choose(draft, request.key.kind, &request.body)
}

/// The plan that a RequestGroup is. Every fault is told, with its place in the group.
pub(super) fn own_plan(draft: &Draft, group: &Body) -> Result<Offered, Stop> {
    let mut reading = Reading { draft, group, needs: Needs::default(), faults: Vec::new() };
    let shown = gate::to_r5(group);
    let actions = reading.actions(shown.get("action"), "RequestGroup.action", false);
    if !reading.needs.is_empty() {
        return Err(Stop::more(reading.needs));
    }
    let mut plan = Map::from_iter([("resourceType".to_owned(), Kind::REQUEST_GROUP.name().into())]);
    let title = text_at(group, &["code", "text"]);
    plan.extend(title.map(|title| ("title".to_owned(), title.into())));
    if !actions.is_empty() {
        plan.insert("action".into(), actions.into());
    }
    let read = Offered::read(&Value::Object(plan).to_string());
    let mut faults = reading.faults;
    let within = |mut fault: Issue| {
        if !fault.path.starts_with(Kind::REQUEST_GROUP.name()) {
            fault.path = format!("{}.{}", Kind::REQUEST_GROUP, fault.path);
        }
        fault
    };
    match read {
        Ok(plan) if faults.is_empty() => Ok(plan),
        Ok(_) => Err(Refusal::new(RefusalKind::Unprocessable, faults).into()),
        Err(others) => {
            faults.extend(others.into_iter().map(within));
            Err(Refusal::new(RefusalKind::Unprocessable, faults).into())
        }
    }
}

/// Makes a plan of the actions of a group: each step says whose work it is, and what its Task is called.
struct Reading<'r, 'a> {
    draft: &'r Draft<'a>,
    group: &'r Body,
    needs: Needs,
    faults: Vec<Issue>,
}

impl Reading<'_, '_> {
    /// `named`: whose work it is is said further up.
    fn actions(&mut self, actions: Option<&Value>, path: &str, named: bool) -> Vec<Value> {
        let actions = actions.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
        actions.enumerate().map(|(n, action)| self.action(action, &format!("{path}[{n}]"), named).into()).collect()
    }

    fn action(&mut self, action: &Body, path: &str, named: bool) -> Body {
        self.check(action, path);
        let mut action = action.clone();
        let title = ["title", "description", "textEquivalent"].iter().find_map(|name| action.get(*name)).cloned();
        action.extend(title.map(|title| ("title".to_owned(), title)));
        let named = self.is_named(&action, path) || named;
        if action.contains_key("action") {
            let inner = self.actions(action.get("action"), &format!("{path}.action"), named);
            action.insert("action".into(), inner.into());
        } else if let Some((kind, option)) = self.option(&action, path) {
            if !named {
                let work = self.draft.moment.policy.catalogue.work_for(kind, &option);
                let role = json!({ "coding": [{ "system": WORK, "code": work.unwrap_or(GENERAL_WORK) }] });
                let mut participants: Vec<Value> = list(&action, "participant").cloned().collect();
                participants.push(json!({ "role": role }));
                action.insert("participant".into(), participants.into());
            }
            if !action.contains_key("code") {
                action.insert("code".into(), json!([task_code("fulfill")]));
            }
            let urgency = option.get("priority").or_else(|| self.group.get("priority")).cloned();
            if let Some(urgency) = urgency.filter(|_| !action.contains_key("priority")) {
                action.insert("priority".into(), urgency);
            }
        }
        action
    }

    fn check(&mut self, action: &Body, path: &str) {
        for name in NOT_DONE.iter().filter(|name| action.contains_key(**name)) {
            let text = "nothing is done by this element here: leave it out";
            self.faults.push(Issue::error(IssueType::NotSupported, format!("{path}.{name}"), text));
        }
        let kind = text_of_first_code(action.get("type"));
        if kind.is_some_and(|kind| kind != "create") {
            let text = "a step asks for a new request: create";
            self.faults.push(Issue::error(IssueType::NotSupported, format!("{path}.type"), text));
        }
    }

    /// Whether some participant says whose work it is, which must be a kind of work that there is.
    fn is_named(&mut self, action: &Body, path: &str) -> bool {
        let works = self.draft.moment.policy.catalogue.works();
        let mut is_named = false;
        for (n, participant) in list(action, "participant").enumerate() {
            let codings = participant["role"]["coding"].as_array().into_iter().flatten();
            for code in codings.filter(|coding| coding["system"] == WORK).filter_map(|coding| coding["code"].as_str()) {
                is_named = true;
                if code != GENERAL_WORK && !works.iter().any(|work| work == code) {
                    let text = format!("no such kind of work is done here; there are {}", works.join(", "));
                    self.faults.push(Issue::error(
                        IssueType::CodeInvalid,
                        format!("{path}.participant[{n}].role"),
                        text,
                    ));
                }
            }
        }
        is_named
    }

    /// What a step asks for. None: it is not known yet, or refused.
    fn option(&mut self, action: &Body, path: &str) -> Option<(Kind, Body)> {
        let reference = text_at(action, &["resource", "reference"]);
        let found = match reference {
            // An action without a resource is refused by who reads the plan.
            None if !action.contains_key("resource") => return None,
            None => None,
            Some(reference) => self.named(reference, path)?,
        };
        let request = found.filter(|(kind, _)| kind.is_request() && *kind != Kind::REQUEST_GROUP);
        if request.is_none() {
            let text = "a step asks for a request, which is contained here, or kept by this hub";
            self.faults.push(Issue::error(IssueType::NotSupported, format!("{path}.resource"), text));
        }
        request
    }

    /// None: it is to be looked for. Some(None): it can be nothing that a step asks for.
    fn named(&mut self, reference: &str, path: &str) -> Option<Option<(Kind, Body)>> {
        if let Some(id) = reference.strip_prefix('#') {
            return Some(contained(self.group, id));
        }
        let Some(key) = Key::of_reference(reference) else { return Some(None) };
        if let Some(found) = self.draft.find(&key) {
            return Some(Some((key.kind, (*found.body).clone())));
        }
        if self.draft.scene.looked_for(&key) {
            let text = format!("there is no such {} here", key.kind);
            self.faults.push(Issue::error(IssueType::NotFound, format!("{path}.resource.reference"), text));
        } else {
            self.needs.resources.push(key.clone());
            self.needs.existence.push(key);
        }
        None
    }
}

fn text_of_first_code(concept: Option<&Value>) -> Option<&str> {
    concept?.get("coding")?.get(0)?.get("code")?.as_str()
}

fn contained(group: &Body, id: &str) -> Option<(Kind, Body)> {
    let found =
        list(group, "contained").filter_map(Value::as_object).find(|inner| text_at(inner, &["id"]) == Some(id))?;
    Some((Kind::parse(text_at(found, &["resourceType"])?)?, found.clone()))
}

impl Order<'_, '_> {
    /// Whether its steps ask for requests of their own.
    pub(super) fn is_orchestrated(&self) -> bool {
        let requests = self.draft.run_of(self.root).map(|run| run.requests.as_slice()).unwrap_or_default();
        requests.first().is_some_and(|first| first.starts_with("RequestGroup/"))
    }

    /// What a step asks for: the request of the order, or of its item, or what the step of an orchestration names.
    pub(super) fn asked_by(&self, step: usize) -> Result<Resource, Stop> {
        let mut requests = self.requests()?;
        if !self.is_orchestrated() {
            return Ok(requests.swap_remove(self.graph.nodes[step].item.unwrap_or(0)));
        }
        let reference = self.graph.nodes[step].action.as_ref().and_then(|action| action.resource.as_ref());
        let reference = reference.and_then(|reference| reference["reference"].as_str()).unwrap_or_default();
        if let Some(id) = reference.strip_prefix('#') {
            let found = contained(&requests[0].body, id);
            let of_group = |(kind, body)| Resource::new(Key::new(kind, ""), 1, self.draft.now(), body);
            return found.map(of_group).ok_or_else(|| no_option().into());
        }
        let key = Key::of_reference(reference).ok_or_else(no_option)?;
        self.draft.get(&key).cloned()
    }

    /// The request of its own that a step of an orchestration asks for, now that it is released.
    pub(super) fn ask_for(&mut self, leaf: usize) -> Result<Option<Resource>, Stop> {
        if !self.is_orchestrated() {
            return Ok(None);
        }
        let (option, group) = (self.asked_by(leaf)?, self.requests()?.swap_remove(0));
        let body = part(&option, &group, self.draft.now());
        let key = Key::new(option.key.kind, part_id(self.root, leaf));
        Ok(Some(self.draft.create(self.root, key, body)))
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

fn part_id(root: Uuid, leaf: usize) -> String {
    format!("{root}.{leaf}")
}

fn no_option() -> Refusal {
    Refusal::conflict("what a step of this orchestration asks for is not here any more")
}

/// A request of its own: as what the step names, but active and an order, with what it lacks from the group.
fn part(option: &Resource, group: &Resource, now: Timestamp) -> Body {
    let kind = option.key.kind;
    let mut body = option.body.clone().into_body();
    for name in ["id", "meta"] {
        body.shift_remove(name);
    }
    body.insert("status".into(), "active".into());
    let mut take = |name: &str, value: Option<Value>| {
        if gate::has_element(kind.name(), name) && !body.contains_key(name) {
            body.extend(value.map(|value| (name.to_owned(), value)));
        }
    };
    let of_group = |name: &str| group.body.get(name).cloned();
    for name in ["subject", "encounter", "priority"] {
        take(name, of_group(name));
    }
    take("requester", of_group("author"));
    take("authoredOn", Some(now.to_string().into()));
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
