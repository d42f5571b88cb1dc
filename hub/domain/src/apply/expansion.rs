//! An orchestration, or a plan, that names definitions becomes one that says all by itself: so it can run, and what it
//! runs by does not change when they do.
//!
//! An activity becomes what its step asks for, the actions of a plan become its own. What depends on somebody or on a time
//! (conditions, dynamic values) is carried over, and asked when the step is there.

use std::collections::HashMap;

use schemas::outcome::{Issue, IssueType};
use schemas::plan::{CHOSEN_BY, UNDONE_BY, WORK};
use schemas::resource::{Body, list, text_at};
use schemas::task::is_questionnaire;
use serde_json::{Value, json};

use super::{ACTIONS_LIMIT, DEPTH_LIMIT, activity, canonical, find, too_large};

/// What it comes to.
#[derive(Default)]
pub(crate) struct Expanded {
    pub(crate) actions: Vec<Value>,
    /// What steps ask for, each with what it points to.
    pub(crate) contained: Vec<Value>,
    /// The goals of the plans that became a part of it.
    pub(crate) goals: Vec<Value>,
    pub(crate) faults: Vec<Issue>,
}

/// `path`: that of what has the actions. `definitions`: by what it, or another of them, calls them.
pub(crate) fn expand(body: &Body, path: &str, definitions: &HashMap<String, Body>) -> Expanded {
    let mut expanding =
        Expanding { definitions, made: Expanded::default(), taken: taken(body), count: 0, within: Vec::new() };
    let actions = expanding.actions(body, body, path);
    Expanded { actions, ..expanding.made }
}

/// The ids of what it contains already.
fn taken(body: &Body) -> Vec<String> {
    list(body, "contained").filter_map(|inner| inner["id"].as_str().map(str::to_owned)).collect()
}

struct Expanding<'a> {
    definitions: &'a HashMap<String, Body>,
    made: Expanded,
    taken: Vec<String>,
    count: usize,
    /// The definitions that it is in at the moment.
    within: Vec<String>,
}

impl Expanding<'_> {
    fn fault(&mut self, code: IssueType, path: &str, name: &str, text: impl Into<String>) {
        self.made.faults.push(Issue::error(code, format!("{path}.{name}"), text));
    }

    /// `of`: the definition that they stand in, which may contain what they name.
    fn actions(&mut self, of: &Body, within: &Body, path: &str) -> Vec<Value> {
        let actions: Vec<&Body> = list(within, "action").filter_map(Value::as_object).collect();
        let each = actions.into_iter().enumerate();
        each.map(|(n, action)| self.action(of, action, &format!("{path}.action[{n}]")).into()).collect()
    }

    fn action(&mut self, of: &Body, action: &Body, path: &str) -> Body {
        let mut made = action.clone();
        self.count += 1;
        // Deeper than this, counted by the dots of its path, no plan may be.
        if self.count > ACTIONS_LIMIT || path.matches(".action").count() > DEPTH_LIMIT {
            if !self.made.faults.iter().any(|fault| fault.code == IssueType::TooLong) {
                self.made.faults.push(too_large(path));
            }
            return made;
        }
        if action.contains_key("action") {
            made.insert("action".into(), self.actions(of, action, path).into());
        }
        if let Some(name) = text_at(action, &["definitionCanonical"]) {
            if action.contains_key("resource") || action.contains_key("action") {
                let text = "an action has a definition, a resource or actions: one of them";
                self.fault(IssueType::Invariant, path, "definitionCanonical", text);
            } else if !is_questionnaire(name) {
                self.definition(of, name, &mut made, path);
            }
        }
        made
    }

    fn definition(&mut self, of: &Body, name: &str, made: &mut Body, path: &str) {
        let found = match find(of, name, self.definitions, &self.within) {
            Ok(found) => found.clone(),
            Err((code, text)) => return self.fault(code, path, "definitionCanonical", text),
        };
        made.shift_remove("definitionCanonical");
        if let Some(title) = found.get("title").filter(|_| !made.contains_key("title")) {
            made.insert("title".into(), title.clone());
        }
        match text_at(&found, &["resourceType"]) {
            Some("ActivityDefinition") => self.activity(of, name, &found, made, path),
            Some("PlanDefinition") => {
                self.within.push(name.to_owned());
                let inner = self.actions(&found, &found, &format!("{path}.definition"));
                self.within.pop();
                self.nest(&found, inner, made, path);
            }
            _ => {
                let text = "an ActivityDefinition or a PlanDefinition becomes a part of it; a Questionnaire that is to be \
                            answered is named by its canonical";
                self.fault(IssueType::NotSupported, path, "definitionCanonical", text);
            }
        }
    }

    /// The request that it describes is what the step asks for; of a Task only its own Task.
    fn activity(&mut self, of: &Body, name: &str, found: &Body, made: &mut Body, path: &str) {
        let called = canonical(found).unwrap_or_else(|| name.to_owned());
        made.insert("definitionCanonical".into(), called.into());
        if let Some(code) = found.get("code").filter(|_| !made.contains_key("code")) {
            made.insert("code".into(), json!([code]));
        }
        self.who(found, made);
        let values: Vec<Value> =
            [list(found, "dynamicValue"), list(made, "dynamicValue")].into_iter().flatten().cloned().collect();
        if text_at(found, &["kind"]) == Some("Task") {
            if !values.is_empty() {
                let text = "values are set in a request: what is defined here is only a Task";
                self.fault(IssueType::NotSupported, path, "dynamicValue", text);
            }
            return;
        }
        match activity::described(found) {
            Ok(mut option) => {
                let own: Vec<&Value> = list(found, "contained").chain(list(of, "contained")).collect();
                let mut inner = Vec::new();
                activity::bring_along(&option, &own, &mut inner);
                if !inner.is_empty() {
                    option.insert("contained".into(), inner.into());
                }
                let id = self.free_id();
                option.insert("id".into(), id.as_str().into());
                made.insert("resource".into(), json!({ "reference": format!("#{id}") }));
                if !values.is_empty() {
                    made.insert("dynamicValue".into(), values.into());
                }
                self.made.contained.push(option.into());
            }
            Err(faults) => {
                let told = faults.into_iter().map(|fault| {
                    Issue::error(
                        fault.code,
                        format!("{path}.definitionCanonical"),
                        format!("{}: {}", fault.path, fault.text),
                    )
                });
                self.made.faults.extend(told);
            }
        }
    }

    /// Whose work it is, the definition may say where the action does not.
    fn who(&mut self, found: &Body, made: &mut Body) {
        let is_work = |participant: &&Value| {
            let codings = participant["role"]["coding"].as_array().into_iter().flatten();
            codings.into_iter().any(|coding| coding["system"] == WORK)
        };
        if list(made, "participant").any(|participant| is_work(&participant)) {
            return;
        }
        let mut participants: Vec<Value> = list(made, "participant").cloned().collect();
        participants.extend(list(found, "participant").filter(is_work).map(|one| json!({ "role": one["role"] })));
        if !participants.is_empty() {
            made.insert("participant".into(), participants.into());
        }
    }

    /// The actions of a plan become those of an action, under names that nobody else has.
    fn nest(&mut self, found: &Body, mut inner: Vec<Value>, made: &mut Body, path: &str) {
        let called = ["linkId", "id"].iter().find_map(|name| text_at(made, &[name]));
        let called = called.or_else(|| path.split_once('.').map(|(_, place)| place)).unwrap_or(path).to_owned();
        for action in inner.iter_mut().filter_map(Value::as_object_mut) {
            rename(action, &called);
        }
        for goal in list(found, "goal") {
            let mut goal = goal.clone();
            lengthen(goal.get_mut("id"), &called);
            self.made.goals.push(goal);
        }
        made.insert("action".into(), inner.into());
    }

    fn free_id(&mut self) -> String {
        let free = (1..).map(|n| format!("option-{n}")).find(|id| !self.taken.contains(id)).unwrap_or_default();
        self.taken.push(free.clone());
        free
    }
}

/// What it is called, and what it calls others, below what it became a part of.
pub(super) fn rename(action: &mut Body, called: &str) {
    for name in ["id", "linkId"] {
        lengthen(action.get_mut(name), called);
    }
    for related in many(action, "relatedAction") {
        lengthen(related.get_mut("actionId"), called);
        lengthen(related.get_mut("targetId"), called);
    }
    for name in ["input", "output"] {
        for data in many(action, name) {
            lengthen(data.get_mut("id"), called);
            lengthen(data.get_mut("relatedData"), called);
        }
    }
    let names = [UNDONE_BY, CHOSEN_BY];
    for extension in many(action, "extension").filter(|extension| names.iter().any(|url| extension["url"] == *url)) {
        lengthen(extension.get_mut("valueString"), called);
    }
    if let Some(Value::Array(goals)) = action.get_mut("goalId") {
        goals.iter_mut().for_each(|goal| lengthen(Some(goal), called));
    }
    for inner in many(action, "action").filter_map(Value::as_object_mut) {
        rename(inner, called);
    }
}

fn many<'v>(action: &'v mut Body, name: &str) -> impl Iterator<Item = &'v mut Value> + use<'v> {
    action.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

fn lengthen(id: Option<&mut Value>, called: &str) {
    if let Some(Value::String(id)) = id {
        *id = format!("{called}.{id}");
    }
}
