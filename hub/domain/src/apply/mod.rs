//! `$apply`: a definition becomes requests for somebody. Nothing is kept of it: the result is an answer, and whoever wants
//! it done submits it.
//!
//! A PlanDefinition becomes a RequestGroup with its options; an ActivityDefinition one request. Every fault is told.

mod activity;
mod expansion;
mod expression;
mod goals;

use std::collections::HashMap;

use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body, list, text_at};
use schemas::task::is_questionnaire;
use schemas::time::Timestamp;
use serde_json::{Map, Value, json};

pub(crate) use activity::Told;
pub use activity::activity;
pub(crate) use expansion::expand;
use expression::holds;
pub(crate) use expression::{evaluated, of_action, set, set_of_action};
use goals::Goals;

use crate::plan::check::{ACTIONS_LIMIT, DEPTH_LIMIT};

/// What is said of a StructureMap.
const TRANSFORM: &str = "a transform is not carried out: say by dynamic values what it would";

/// For whom, and by whom.
#[derive(Debug, Clone)]
pub struct Given {
    /// A reference.
    pub subject: String,
    pub encounter: Option<String>,
    pub practitioner: Option<String>,
    pub organization: Option<String>,
    /// The resources behind those, as far as they are here: what expressions see as `%subject` and so on.
    pub seen: Vec<(&'static str, Value)>,
    pub now: Timestamp,
    /// Other definitions, by what the one that is applied calls them.
    pub definitions: HashMap<String, Body>,
}

/// A RequestGroup, with its options contained.
pub fn plan(definition: &Body, given: &Given) -> Result<Body, Vec<Issue>> {
    let (contained, faults, goals) = (Vec::new(), Vec::new(), Goals::default());
    let mut making = Making { given, contained, faults, goals, count: 0, within: Vec::new() };
    making.goals.take(definition, "", &given.subject);
    let actions = making.actions(definition, definition, "PlanDefinition", 1);
    let (goals, links) = making.goals.finish();
    making.contained.extend(goals);
    let mut group = Map::from_iter([("resourceType".to_owned(), "RequestGroup".into())]);
    if !making.contained.is_empty() {
        group.insert("contained".into(), making.contained.into());
    }
    if !links.is_empty() {
        group.insert("extension".into(), links.into());
    }
    if let Some(canonical) = canonical(definition) {
        group.insert("instantiatesCanonical".into(), json!([canonical]));
    }
    group.insert("status".into(), "draft".into());
    group.insert("intent".into(), "proposal".into());
    let title = definition.get("title").or_else(|| definition.get("name"));
    group.extend(title.map(|title| ("code".to_owned(), json!({ "text": title }))));
    let author = given.practitioner.as_ref().filter(|who| who.starts_with("Practitioner"));
    let told = [("subject", Some(&given.subject)), ("encounter", given.encounter.as_ref()), ("author", author)];
    for (name, reference) in told {
        group.extend(reference.map(|reference| (name.to_owned(), json!({ "reference": reference }))));
    }
    group.insert("authoredOn".into(), given.now.to_string().into());
    if !actions.is_empty() {
        group.insert("action".into(), actions.into());
    }
    if making.faults.is_empty() { Ok(group) } else { Err(making.faults) }
}

/// What other definitions a definition names, but for those that it contains.
pub fn names(definition: &Body) -> Vec<String> {
    fn walk<'v>(actions: impl Iterator<Item = &'v Value>, into: &mut Vec<String>) {
        for action in actions {
            let name = action["definitionCanonical"].as_str().filter(|name| !name.starts_with('#'));
            into.extend(name.filter(|name| !is_questionnaire(name)).map(str::to_owned));
            walk(action["action"].as_array().into_iter().flatten(), into);
        }
    }
    let mut names = Vec::new();
    walk(list(definition, "action"), &mut names);
    let inner = list(definition, "contained").filter(|inner| inner["resourceType"] == "PlanDefinition");
    inner.for_each(|plan| walk(plan["action"].as_array().into_iter().flatten(), &mut names));
    names
}

/// Of the definitions with one url the newest, or that of the version that is named.
pub fn newest<'b>(found: impl Iterator<Item = &'b Body>, canonical: &str) -> Option<&'b Body> {
    let version = canonical.split_once('|').map(|(_, version)| version);
    let fits = |one: &&Body| version.is_none_or(|version| text_at(one, &["version"]) == Some(version));
    found.filter(fits).max_by_key(|one| text_at(one, &["meta", "lastUpdated"]).map(str::to_owned))
}

/// `url|version`
fn canonical(definition: &Body) -> Option<String> {
    let url = text_at(definition, &["url"])?;
    Some(text_at(definition, &["version"]).map_or_else(|| url.to_owned(), |version| format!("{url}|{version}")))
}

/// Elements that an action of a definition and one of a group have alike.
const ALIKE: [&str; 21] = [
    "id",
    "prefix",
    "title",
    "description",
    "textEquivalent",
    "priority",
    "code",
    "documentation",
    "relatedAction",
    "timingDateTime",
    "timingAge",
    "timingPeriod",
    "timingDuration",
    "timingRange",
    "timingTiming",
    "type",
    "groupingBehavior",
    "selectionBehavior",
    "requiredBehavior",
    "precheckBehavior",
    "cardinalityBehavior",
];

/// What an action of R5 says of a participant, in R4.
const OF_PARTICIPANT: &str =
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-RequestOrchestration.action.participant";

/// Where R4 keeps the definition that an action of R5 names.
const OF_DEFINITION: &str =
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-RequestOrchestration.action.definitionCanonical";

struct Making<'a> {
    given: &'a Given,
    /// The options so far.
    contained: Vec<Value>,
    faults: Vec<Issue>,
    goals: Goals,
    /// How many actions there are so far.
    count: usize,
    /// The definitions that it is in at the moment.
    within: Vec<String>,
}

impl Making<'_> {
    /// `of`: the definition that they stand in, which may contain what they name.
    fn actions(&mut self, of: &Body, within: &Body, path: &str, depth: usize) -> Vec<Value> {
        let mut made = Vec::new();
        for (n, action) in list(within, "action").enumerate() {
            let path = format!("{path}.action[{n}]");
            if let Some(action) = action.as_object().filter(|_| self.applies(action, &path)) {
                made.push(self.action(of, action, &path, depth).into());
            }
        }
        let ids: Vec<Value> = made.iter().map(|action: &Value| action["id"].clone()).collect();
        // Nobody waits for what does not apply.
        let dropped = |id: &Value| list(within, "action").any(|action| action["id"] == *id) && !ids.contains(id);
        for action in made.iter_mut().filter_map(Value::as_object_mut) {
            if let Some(Value::Array(related)) = action.get_mut("relatedAction") {
                related.retain(|related| !dropped(&related["actionId"]));
                if related.is_empty() {
                    action.shift_remove("relatedAction");
                }
            }
        }
        made
    }

    /// Whether its conditions of applicability hold.
    fn applies(&mut self, action: &Value, path: &str) -> bool {
        for (n, condition) in action["condition"].as_array().into_iter().flatten().enumerate() {
            if condition["kind"] == "applicability" {
                match holds(&condition["expression"], self.given, action) {
                    Ok(true) => {}
                    Ok(false) => return false,
                    Err((code, text)) => {
                        let path = format!("{path}.condition[{n}].expression");
                        self.faults.push(Issue::error(code, path, text));
                        return false;
                    }
                }
            }
        }
        true
    }

    fn action(&mut self, of: &Body, action: &Body, path: &str, depth: usize) -> Body {
        let alike = ALIKE.iter().filter_map(|name| Some(((*name).to_owned(), action.get(*name)?.clone())));
        let mut made: Body = alike.collect();
        let carried: Vec<Value> =
            list(action, "condition").filter(|condition| condition["kind"] != "applicability").cloned().collect();
        let participants: Vec<Value> = list(action, "participant").map(participant).collect();
        let mut extensions: Vec<Value> = list(action, "extension").cloned().collect();
        extensions.extend(self.goals.of(action, self.within.last().map_or("", String::as_str)));
        // It is asked for by its name alone, and need not be here.
        let asked = text_at(action, &["definitionCanonical"]).filter(|name| is_questionnaire(name));
        extensions.extend(asked.map(|name| json!({ "url": OF_DEFINITION, "valueCanonical": name })));
        for (name, values) in [("condition", carried), ("participant", participants), ("extension", extensions)] {
            if !values.is_empty() {
                made.insert(name.to_owned(), values.into());
            }
        }
        if action.contains_key("transform") {
            self.faults.push(Issue::error(IssueType::NotSupported, format!("{path}.transform"), TRANSFORM));
        }
        self.count += 1;
        if depth == DEPTH_LIMIT || self.count > ACTIONS_LIMIT {
            self.faults.push(too_large(path));
            return made;
        }
        let mut inner = self.actions(of, action, path, depth + 1);
        let faults = self.faults.len();
        if asked.is_some() {
            // Whoever submits it has it asked.
        } else if let Some(name) = text_at(action, &["definitionCanonical"]) {
            inner.extend(self.definition(of, name, action, &mut made, path, depth));
        } else if action.contains_key("definitionUri") {
            let text = "a definition that is no canonical is not resolved";
            self.faults.push(Issue::error(IssueType::NotSupported, format!("{path}.definitionUri"), text));
        }
        if !made.contains_key("resource") && self.faults.len() == faults {
            let set = activity::set_values(action, None, Some(&mut made), self.given, path);
            self.faults.extend(set.err().into_iter().flatten());
        }
        if !inner.is_empty() {
            made.insert("action".into(), inner.into());
        }
        made
    }

    /// What an action names: an activity becomes its option, the actions of a plan become its own.
    fn definition(
        &mut self,
        of: &Body,
        name: &str,
        action: &Body,
        made: &mut Body,
        path: &str,
        depth: usize,
    ) -> Vec<Value> {
        let found = match find(of, name, &self.given.definitions, &self.within) {
            Ok(found) => found,
            Err((code, text)) => {
                self.faults.push(Issue::error(code, format!("{path}.definitionCanonical"), text));
                return Vec::new();
            }
        };
        match text_at(found, &["resourceType"]) {
            Some("ActivityDefinition") => {
                self.option(found, of, action, made, path);
                Vec::new()
            }
            Some("PlanDefinition") => {
                let found = found.clone();
                self.within.push(name.to_owned());
                self.goals.take(&found, name, &self.given.subject);
                let mut inner = self.actions(&found, &found, &format!("{path}.definition"), depth + 1);
                self.within.pop();
                let called = text_at(action, &["id"]).unwrap_or(path);
                inner.iter_mut().filter_map(Value::as_object_mut).for_each(|inner| expansion::rename(inner, called));
                inner
            }
            _ => {
                let text = "an ActivityDefinition or a PlanDefinition can be applied";
                self.faults.push(Issue::error(IssueType::NotSupported, format!("{path}.definitionCanonical"), text));
                Vec::new()
            }
        }
    }

    fn option(&mut self, found: &Body, of: &Body, action: &Body, made: &mut Body, path: &str) {
        let own: Vec<&Value> = list(found, "contained").chain(list(of, "contained")).collect();
        let option = activity::option(found, self.given).and_then(|mut option| {
            activity::set_values(action, Some(&mut option), Some(&mut *made), self.given, path)?;
            Ok(option)
        });
        match option {
            Ok(mut option) => {
                let id = format!("option-{}", self.contained.len() + 1);
                activity::bring_along(&option, &own, &mut self.contained);
                option.insert("id".into(), id.as_str().into());
                made.insert("resource".into(), json!({ "reference": format!("#{id}") }));
                self.contained.push(option.into());
            }
            Err(faults) => self.faults.extend(faults.into_iter().map(|fault| {
                let place = if fault.path.starts_with("PlanDefinition") {
                    fault.path
                } else {
                    format!("{path}: {}", fault.path)
                };
                Issue::error(fault.code, place, fault.text)
            })),
        }
    }
}

/// What a definition calls another, which it may contain.
fn find<'b>(
    of: &'b Body,
    name: &str,
    definitions: &'b HashMap<String, Body>,
    within: &[String],
) -> Result<&'b Body, (IssueType, String)> {
    if within.iter().any(|above| above == name) {
        return Err((IssueType::Invariant, format!("{name} is a part of itself")));
    }
    let mut contained = list(of, "contained").filter_map(Value::as_object);
    let found = match name.strip_prefix('#') {
        Some(id) => contained.find(|inner| text_at(inner, &["id"]) == Some(id)),
        None => definitions.get(name),
    };
    found.ok_or_else(|| (IssueType::NotFound, "there is no such definition here".to_owned()))
}

fn too_large(path: &str) -> Issue {
    let text =
        format!("with its definitions it has more than {ACTIONS_LIMIT} actions, or is deeper than {DEPTH_LIMIT}");
    Issue::error(IssueType::TooLong, path, text)
}

/// R4's groups refer to a participant only; what it is goes as R5 has it.
fn participant(participant: &Value) -> Value {
    let part = |name: &str, value: &str| {
        Some(json!({ "url": format!("{OF_PARTICIPANT}.{name}"), value: participant.get(name)? }))
    };
    let parts: Vec<Value> =
        [part("type", "valueCode"), part("role", "valueCodeableConcept")].into_iter().flatten().collect();
    json!({ "extension": parts })
}
