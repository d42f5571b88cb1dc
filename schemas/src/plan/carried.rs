//! What a step carries to whoever does it: whose work it is, what it asks for, and what there is to know.

use std::sync::Arc;

use serde_json::{Value, json};

use super::read::{Reader, members};
use super::{Deed, Dynamic, WORK};
use crate::outcome::IssueType;
use crate::resource::Body;
use crate::task::{is_questionnaire, questionnaire_code};

/// FHIR's codes of what an action does.
const DEEDS: &str = "http://terminology.hl7.org/CodeSystem/action-type";

impl Reader<'_> {
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
            let element = dynamic["path"].as_str();
            if element.is_none_or(|element| element.starts_with("%action") || element.starts_with('$')) {
                let text = "name an element of the request that the step asks for: the action itself stays as it is";
                self.fault(IssueType::NotSupported, &format!("{path}.path"), text);
            }
            let expression = self.expression(dynamic, &path);
            let both = element.map(str::to_owned).zip(expression);
            read.extend(both.map(|(element, expression)| Dynamic { element, expression, path }));
        }
        read
    }

    /// Documentation, goals and the Questionnaire that is to be answered go to the filler with its Task.
    pub(super) fn inputs(&mut self, action: &Value, path: &str, definition: Option<&str>) -> Vec<Value> {
        let asked = definition.filter(|of| is_questionnaire(of));
        let asked = asked.map(|of| json!({ "type": questionnaire_code("questionnaire"), "valueCanonical": of }));
        let documents = members(action, "documentation")
            .map(|document| json!({ "type": { "text": "documentation" }, "valueRelatedArtifact": document }));
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

/// An input that nobody makes is for the filler to find. R4 has the requirement by itself.
fn required(input: &Value) -> Option<Value> {
    let requirement = if input.get("type").is_some() { input } else { input.get("requirement")? };
    let title = [&input["title"], &input["id"]].into_iter().find_map(Value::as_str).unwrap_or("data");
    let is_made = input.get("relatedData").is_some();
    (!is_made).then(|| json!({ "type": { "text": title }, "valueDataRequirement": requirement }))
}

fn code_of(concept: &Value) -> Option<&str> {
    concept["coding"].as_array()?.iter().find_map(|coding| coding["code"].as_str())
}

/// To tell somebody needs no resource.
pub(super) fn tells_only(kind: &Value) -> bool {
    code_of(kind) == Some(Deed::FireEvent.code())
}

/// The queue of a step: the code of [`WORK`] among the roles of its participants.
pub(super) fn work_of(action: &Value) -> Option<String> {
    members(action, "participant")
        .filter_map(|participant| participant.get("role"))
        .flat_map(|role| members(role, "coding"))
        .find(|coding| coding["system"] == WORK)
        .and_then(|coding| coding["code"].as_str())
        .map(str::to_owned)
}

/// Who is named by a reference: R4's participants are references themselves.
pub(super) fn actors_of(action: &Value) -> Vec<Value> {
    let reference = |participant: &Value| {
        let actor = ["actorReference", "typeReference"].into_iter().find_map(|name| participant.get(name));
        let own = participant.get("reference").map(|_| participant);
        actor.or(own).cloned()
    };
    members(action, "participant").filter_map(reference).collect()
}
