//! An orchestration: a RequestGroup is the plan of its own order, and each of its steps [asks for](super::part) a request of
//! its own, a copy of what the step names.

use std::borrow::Cow;
use std::collections::HashMap;

use schemas::gate;
use schemas::outcome::{Issue, IssueType};
use schemas::plan::{Deed, Plan, WORK};
use schemas::resource::{Body, Key, Kind, Resource, list, text_at};
use schemas::task::task_code;
use serde_json::{Map, Value, json};

use super::Stop;
use super::bodies::GENERAL_WORK;
use super::definitions;
use super::draft::Draft;
use super::offering;
use super::part::part;
use crate::apply;
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::Needs;
use crate::workflow::Offered;

/// The plan by which a request is done; none when nobody has one for it.
pub(super) fn plan_for<'a>(draft: &Draft<'a>, request: &Resource) -> Result<Option<Cow<'a, Offered>>, Stop> {
    if request.key.kind == Kind::REQUEST_GROUP {
        return own_plan(draft, request, None).map(|plan| Some(Cow::Owned(plan)));
    }
    let Some(plan) = offering::choose(draft, request.key.kind, &request.body)? else { return Ok(None) };
    if plan.plan.is_described {
        described(draft, request, &plan).map(|plan| Some(Cow::Owned(plan)))
    } else {
        Ok(Some(plan))
    }
}

/// A plan that names definitions, with what they say now.
fn described(draft: &Draft, request: &Resource, plan: &Offered) -> Result<Offered, Stop> {
    // It was read before.
    let said: Body = serde_json::from_str(&plan.text).unwrap_or_default();
    let named = ["resourceType", "url", "version", "name", "title", "id", "actor"];
    let named = named.iter().filter_map(|name| Some(((*name).to_owned(), said.get(*name)?.clone())));
    expanded(draft, request, &said, named.collect(), &HashMap::new())
}

/// The plan that a RequestGroup is. Every fault is told, with its place in the group. `before`: the plan that it was, whose
/// definitions stay as they are.
pub(super) fn own_plan(draft: &Draft, group: &Resource, before: Option<&Plan>) -> Result<Offered, Stop> {
    let none = HashMap::new();
    let kept = before.map_or(&none, |plan| &plan.definitions);
    let mut named = Map::from_iter([("resourceType".to_owned(), Kind::REQUEST_GROUP.name().into())]);
    let title = text_at(&group.body, &["code", "text"]);
    named.extend(title.map(|title| ("title".to_owned(), title.into())));
    expanded(draft, group, &gate::to_r5(&group.body), named, kept)
}

/// What its actions come to with the definitions that they name. `plan`: what it is called. `kept`: definitions that it
/// has already.
fn expanded(
    draft: &Draft,
    request: &Resource,
    said: &Body,
    mut plan: Body,
    kept: &HashMap<String, Body>,
) -> Result<Offered, Stop> {
    let kind = text_at(&plan, &["resourceType"]).unwrap_or(Kind::PLAN_DEFINITION.name()).to_owned();
    let is_group = kind == Kind::REQUEST_GROUP.name();
    let definitions = definitions::named(draft, said, kept)?;
    let made = apply::expand(said, &kind, &definitions);
    let own = if is_group { list(&request.body, "contained") } else { list(said, "contained") };
    let contained = own.chain(&made.contained).cloned().collect();
    let own_goals = list(said, "goal").filter(|_| !is_group).cloned();
    let goals = own_goals.chain(made.goals).collect();
    let (needs, faults) = (Needs::default(), made.faults);
    let mut reading = Reading { draft, request, is_group, contained, needs, faults, goals };
    let actions = reading.actions(&made.actions, &format!("{kind}.action"), false);
    if !reading.needs.is_empty() {
        return Err(Stop::more(reading.needs));
    }
    for (name, values) in [("action", actions), ("contained", made.contained), ("goal", reading.goals)] {
        if !values.is_empty() {
            plan.insert(name.into(), values.into());
        }
    }
    if !definitions.is_empty() {
        let definitions = definitions.into_iter().map(|(name, one)| (name, one.into()));
        plan.insert("definitions".into(), Value::Object(definitions.collect()));
    }
    let read = Offered::read(&Value::Object(plan).to_string());
    let mut faults = reading.faults;
    let within = |mut fault: Issue| {
        if !fault.path.starts_with(&kind) {
            fault.path = format!("{kind}.{}", fault.path);
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

/// What is odd about an orchestration, and hinders nothing: what it offers is an option, in FHIR's words, and not every
/// author says so.
pub fn remarks(body: &Body) -> Vec<Issue> {
    const GROUPS: [&str; 2] = ["RequestGroup", "RequestOrchestration"];
    let Some(group) = text_at(body, &["resourceType"]).filter(|kind| GROUPS.contains(kind)) else { return Vec::new() };
    let offered = |inner: &Value| {
        let request = inner["resourceType"].as_str().and_then(Kind::parse).is_some_and(Kind::is_request);
        request && inner["intent"] != "option"
    };
    let odd = list(body, "contained").enumerate().filter(|(_, inner)| offered(inner));
    odd.map(|(n, _)| {
        let text = "what an orchestration offers has the intent option; it is taken for one";
        Issue::warning(IssueType::BusinessRule, format!("{group}.contained[{n}].intent"), text)
    })
    .collect()
}

/// Makes a plan of actions whose definitions are known: each step says whose work it is, and what its Task is called.
struct Reading<'r, 'a> {
    draft: &'r Draft<'a>,
    /// What the order is of.
    request: &'r Resource,
    /// That is a group, and its actions are its own.
    is_group: bool,
    /// What it contains, and what its definitions made.
    contained: Vec<Value>,
    needs: Needs,
    faults: Vec<Issue>,
    goals: Vec<Value>,
}

impl Reading<'_, '_> {
    /// `named`: whose work it is is said further up.
    fn actions(&mut self, actions: &[Value], path: &str, named: bool) -> Vec<Value> {
        let actions = actions.iter().filter_map(Value::as_object);
        actions.enumerate().map(|(n, action)| self.action(action, &format!("{path}[{n}]"), named).into()).collect()
    }

    fn action(&mut self, action: &Body, path: &str, named: bool) -> Body {
        let mut action = action.clone();
        self.describe_goals(&mut action);
        let title = ["title", "description", "textEquivalent"].iter().find_map(|name| action.get(*name)).cloned();
        action.extend(title.map(|title| ("title".to_owned(), title)));
        let named = self.is_named(&action, path) || named;
        if let Some(inner) = action.get("action").and_then(Value::as_array) {
            let inner = self.actions(inner, &format!("{path}.action"), named);
            action.insert("action".into(), inner.into());
        } else {
            let deed = deed_of(&action);
            let asked = match deed {
                Deed::Create => self.option(&action, path),
                // A plan names no resources: what is meant is the order's request.
                _ if !self.is_group => None,
                _ => self.kept(&action, deed, path),
            };
            self.step(&mut action, asked, named, path);
        }
        action
    }

    /// To a Goal that is contained no Task can lead: its description goes there.
    fn describe_goals(&mut self, action: &mut Body) {
        let (mut others, mut ids) = (Vec::new(), Vec::new());
        for goal in list(action, "goal") {
            let id = goal["reference"].as_str().filter(|reference| reference.starts_with('#'));
            let found = id.and_then(|id| self.contained.iter().find(|inner| inner["id"] == id[1..]));
            match id.zip(found) {
                Some((id, found)) => {
                    self.goals.push(json!({ "id": id, "description": found["description"] }));
                    ids.push(Value::from(id));
                }
                None => others.push(goal.clone()),
            }
        }
        if !ids.is_empty() {
            ids.extend(list(action, "goalId").cloned());
            action.insert("goal".into(), others.into());
            action.insert("goalId".into(), ids.into());
        }
    }

    /// What its author leaves to the hub: whose work it is, what its Task is called, how urgent it is.
    fn step(&mut self, action: &mut Body, asked: Option<(Kind, Body)>, named: bool, path: &str) {
        let catalogue = &self.draft.moment.policy.catalogue;
        if !named {
            let work = asked.as_ref().and_then(|(kind, option)| catalogue.work_for(*kind, option));
            let role = json!({ "coding": [{ "system": WORK, "code": work.unwrap_or(GENERAL_WORK) }] });
            let mut participants: Vec<Value> = list(action, "participant").cloned().collect();
            participants.push(json!({ "role": role }));
            action.insert("participant".into(), participants.into());
        }
        let Some((kind, option)) = asked else { return };
        if !action.contains_key("code") && deed_of(action) == Deed::Create {
            action.insert("code".into(), json!([task_code("fulfill")]));
        }
        let urgency = option.get("priority").or_else(|| self.request.body.get("priority")).cloned();
        if let Some(urgency) = urgency.filter(|_| !action.contains_key("priority")) {
            action.insert("priority".into(), urgency);
        }
        self.check_part(action, kind, option, path);
    }

    /// What a definition describes is to be a request that FHIR lets be; what is lacking, dynamic values may add.
    fn check_part(&mut self, action: &Body, kind: Kind, option: Body, path: &str) {
        if !action.contains_key("definitionCanonical") {
            return;
        }
        let option = Resource::new(Key::new(kind, ""), 1, self.draft.now(), option);
        let made = part(&option, self.request, self.draft.now());
        let is_set = action.contains_key("dynamicValue");
        let faults = gate::check(&made, None).err().into_iter().flatten();
        self.faults.extend(faults.filter(|fault| !is_set || fault.code != IssueType::Required).map(|fault| {
            Issue::error(fault.code, format!("{path}.definitionCanonical"), format!("{}: {}", fault.path, fault.text))
        }));
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

    /// What a step changes, withdraws or tells of is kept here already. None: it is not known yet, or refused.
    fn kept(&mut self, action: &Body, deed: Deed, path: &str) -> Option<(Kind, Body)> {
        if action.contains_key("dynamicValue") {
            let text = "values are set in what a step asks for: this one asks for nothing new";
            self.faults.push(Issue::error(IssueType::NotSupported, format!("{path}.dynamicValue"), text));
        }
        let reference = text_at(action, &["resource", "reference"]);
        if reference.is_none() && deed == Deed::FireEvent {
            return None;
        }
        match reference.filter(|reference| !reference.starts_with('#')).map(|reference| self.named(reference, path)) {
            Some(None) => None,
            Some(Some(Some(found))) => Some(found),
            None | Some(Some(None)) => {
                let text = format!("what a step is to {} is kept by this hub", deed.code());
                self.faults.push(Issue::error(IssueType::NotSupported, format!("{path}.resource"), text));
                None
            }
        }
    }

    /// None: it is to be looked for. Some(None): it can be nothing that a step asks for.
    fn named(&mut self, reference: &str, path: &str) -> Option<Option<(Kind, Body)>> {
        if let Some(id) = reference.strip_prefix('#') {
            return Some(contained(&self.contained, id));
        }
        let Some(key) = Key::of_reference(reference) else { return Some(None) };
        if let Some(found) = self.draft.find(&key) {
            return Some(Some((key.kind, (*found.body).clone())));
        }
        if self.draft.scene.is_absent(&key) {
            let text = format!("there is no such {} here", key.kind);
            self.faults.push(Issue::error(IssueType::NotFound, format!("{path}.resource.reference"), text));
        } else {
            self.needs.resources.push(key.clone());
            self.needs.existence.push(key);
        }
        None
    }
}

/// What is not known is refused by who reads the plan.
fn deed_of(action: &Body) -> Deed {
    let codings = action.get("type").and_then(|kind| kind["coding"].as_array()).into_iter().flatten();
    codings.into_iter().find_map(|coding| Deed::parse(coding["code"].as_str()?)).unwrap_or(Deed::Create)
}

/// What is contained under an id.
pub(super) fn contained<'v>(inner: impl IntoIterator<Item = &'v Value>, id: &str) -> Option<(Kind, Body)> {
    let found = inner.into_iter().filter_map(Value::as_object).find(|inner| text_at(inner, &["id"]) == Some(id))?;
    Some((Kind::parse(text_at(found, &["resourceType"])?)?, found.clone()))
}
