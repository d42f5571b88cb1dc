//! What a step carries to whoever does it: whose work it is, what it asks for, and what there is to know.

use std::sync::Arc;

use serde_json::{Value, json};

use super::read::{Reader, members};
use super::{Deed, Dynamic, WORK};
use crate::gate::value_to_r4;
use crate::outcome::IssueType;
use crate::resource::Body;
use crate::task::{is_questionnaire, questionnaire_code};

/// FHIR's codes of what a participant is.
const PARTICIPANT_TYPES: &str = "http://hl7.org/fhir/action-participant-type";
/// The system of codes that are URIs themselves: FHIR's own way to say one where a code is wanted.
const URIS: &str = "urn:ietf:rfc:3986";
/// What of an action may be found when its step is released: what its Task is called, and how urgent it is.
const SET_OF_ACTION: [&str; 4] = ["title", "description", "textEquivalent", "priority"];
/// FHIR's codes of what an action does.
const DEEDS: &str = "http://terminology.hl7.org/CodeSystem/action-type";

impl<'a> Reader<'a> {
    /// What its Tasks are called.
    pub(super) fn code(&self, action: &Value, definition: Option<&str>, deed: Deed) -> Option<Value> {
        match action.get("code") {
            Some(code) => Some(code.get(0).unwrap_or(code).clone()),
            None if definition.is_some_and(is_questionnaire) => Some(questionnaire_code("complete-questionnaire")),
            None if deed != Deed::Create => Some(json!({ "coding": [{ "system": DEEDS, "code": deed.code() }] })),
            None => None,
        }
    }

    pub(super) fn deed(&mut self, action: &Value, path: &str) -> Deed {
        let Some(code) = action.get("type").and_then(code_of) else { return Deed::Create };
        Deed::parse(code).unwrap_or_else(|| {
            let text = "what is done here is: create, update, remove, fire-event";
            self.fault(IssueType::NotSupported, &format!("{path}.type"), text);
            Deed::Create
        })
    }

    /// Its participants. An actor of the plan is one by each way in which it may be one.
    pub(super) fn participants(&mut self, action: &'a Value, path: &str) -> Vec<&'a Value> {
        let mut participants = Vec::new();
        for (i, participant) in members(action, "participant").enumerate() {
            participants.push(participant);
            let Some(id) = participant.get("actorId") else { continue };
            match self.actors.iter().copied().find(|actor| actor["id"] == *id) {
                Some(actor) => participants.extend(members(actor, "option")),
                None => {
                    let path = format!("{path}.participant[{i}].actorId");
                    self.fault(IssueType::NotFound, &path, "the plan has no actor of this id");
                }
            }
        }
        participants
    }

    /// The request that it asks for, where the plan itself has it.
    pub(super) fn option(&self, action: &Value) -> Option<Arc<Body>> {
        let id = action["resource"]["reference"].as_str()?.strip_prefix('#')?;
        let found = self.contained.iter().find(|inner| inner["id"] == id)?;
        found.as_object().cloned().map(Arc::new)
    }

    /// Whether each is an expression is for others to say.
    pub(super) fn values(&mut self, action: &Value, path: &str) -> Vec<Dynamic> {
        let mut read = Vec::new();
        for (i, dynamic) in members(action, "dynamicValue").enumerate() {
            let path = format!("{path}.dynamicValue[{i}]");
            let said = dynamic["path"].as_str();
            let of_action = said.and_then(element_of_action);
            if let Some(element) = of_action.filter(|element| !SET_OF_ACTION.contains(element)) {
                let text = format!("of an action itself there can be set: {}; not {element}", SET_OF_ACTION.join(", "));
                self.fault(IssueType::NotSupported, &format!("{path}.path"), text);
            } else if said.is_none_or(|said| said.starts_with(['$', '/'])) {
                let text = "name an element of the request that the step asks for, or of the action (%action.title)";
                self.fault(IssueType::NotSupported, &format!("{path}.path"), text);
            }
            let expression = self.expression(dynamic, &path);
            let both = of_action.or(said).map(str::to_owned).zip(expression);
            let of_action = of_action.is_some();
            read.extend(both.map(|(element, expression)| Dynamic { element, of_action, expression, path }));
        }
        read
    }

    /// Documentation, goals and the Questionnaire that is to be answered go to the filler with its Task.
    pub(super) fn inputs(&mut self, action: &Value, path: &str, definition: Option<&str>) -> Vec<Value> {
        let asked = definition.filter(|of| is_questionnaire(of));
        let asked = asked.map(|of| json!({ "type": questionnaire_code("questionnaire"), "valueCanonical": of }));
        let documents = members(action, "documentation")
            .map(|document| json!({ "type": { "text": "documentation" }, "valueRelatedArtifact": artifact(document) }));
        let mut inputs: Vec<Value> = asked.into_iter().chain(documents).collect();
        inputs.extend(members(action, "input").filter_map(required));
        for (i, id) in members(action, "goalId").enumerate() {
            match self.goals.iter().find(|goal| goal["id"] == *id) {
                Some(goal) => {
                    inputs.push(json!({ "type": { "text": "goal" }, "valueCodeableConcept": goal["description"] }));
                }
                None => self.fault(IssueType::NotFound, &format!("{path}.goalId[{i}]"), "the plan has no such goal"),
            }
        }
        // An orchestration refers to goals.
        inputs
            .extend(members(action, "goal").map(|goal| json!({ "type": { "text": "goal" }, "valueReference": goal })));
        inputs
    }
}

/// The element that the path of a dynamic value names, where it leads into the action itself. FHIR's examples leave out the sign.
pub fn element_of_action(path: &str) -> Option<&str> {
    path.trim_start_matches('%').strip_prefix("action.")
}

/// A Task is R4's, and has a place for what only R5 says of a document in extensions.
fn artifact(document: &Value) -> Value {
    let mut artifact = value_to_r4("RelatedArtifact", document);
    if document.get("type").is_some() && artifact.get("type").is_none() {
        artifact["type"] = "documentation".into();
    }
    artifact
}

/// An input that nobody makes is for the filler to find. R4 has the requirement by itself.
fn required(input: &Value) -> Option<Value> {
    let requirement = if input.get("type").is_some() { input } else { input.get("requirement")? };
    let title = [&input["title"], &input["id"]].into_iter().find_map(Value::as_str).unwrap_or("data");
    let is_made = input.get("relatedData").is_some();
    let requirement = || value_to_r4("DataRequirement", requirement);
    (!is_made).then(|| json!({ "type": { "text": title }, "valueDataRequirement": requirement() }))
}

fn code_of(concept: &Value) -> Option<&str> {
    concept["coding"].as_array()?.iter().find_map(|coding| coding["code"].as_str())
}

/// To tell somebody needs no resource.
pub(super) fn tells_only(kind: &Value) -> bool {
    code_of(kind) == Some(Deed::FireEvent.code())
}

/// The queue of a step: the code of [`WORK`] among the roles of its participants.
pub(super) fn work_of(participants: &[&Value]) -> Option<String> {
    let roles = participants.iter().filter_map(|participant| participant.get("role"));
    let mut codings = roles.flat_map(|role| members(role, "coding"));
    let work = codings.find(|coding| coding["system"] == WORK)?;
    work["code"].as_str().map(str::to_owned)
}

/// Who is named by a reference: R4's participants are references themselves.
pub(super) fn actors_of(participants: &[&Value]) -> Vec<Value> {
    participants.iter().filter_map(|participant| actor_of(participant)).cloned().collect()
}

fn actor_of(participant: &Value) -> Option<&Value> {
    let actor = ["actorReference", "typeReference"].into_iter().find_map(|name| participant.get(name));
    actor.or_else(|| participant.get("reference").map(|_| participant))
}

/// Of what kind participants are, as `Task.performerType` has it: in which role, of which type, or described by what.
pub(super) fn kinds_of(participants: &[&Value]) -> Vec<Value> {
    let mut kinds = Vec::new();
    for participant in participants {
        let role = participant.get("role");
        let routes = role.is_some_and(|role| members(role, "coding").any(|coding| coding["system"] == WORK));
        kinds.extend(role.and_then(role_alone));
        let canonicals = ["actorCanonical", "typeCanonical"].into_iter().filter_map(|name| participant.get(name));
        kinds.extend(canonicals.map(|canonical| json!({ "coding": [{ "system": URIS, "code": canonical }] })));
        // Who is known needs no type, and R4 demands one beside each kind of work.
        if actor_of(participant).is_none() && !routes {
            let of_type = participant.get("type");
            kinds.extend(of_type.map(|code| json!({ "coding": [{ "system": PARTICIPANT_TYPES, "code": code }] })));
        }
    }
    kinds
}

/// A role without what names the queue.
fn role_alone(role: &Value) -> Option<Value> {
    let codings: Vec<&Value> = members(role, "coding").filter(|coding| coding["system"] != WORK).collect();
    if codings.is_empty() && members(role, "coding").next().is_some() {
        return None;
    }
    let mut alone = role.clone();
    if !codings.is_empty() {
        alone["coding"] = codings.into_iter().cloned().collect();
    }
    Some(alone)
}
