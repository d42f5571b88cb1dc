//! Data that goes from one action to another: outputs that are inputs elsewhere, by the ids of both.

use std::collections::HashMap;

use serde_json::Value;

use super::read::{Reader, members};
use super::{Related, Relationship, Taken, Window};
use crate::outcome::IssueType;

/// All inputs and outputs of a plan that have an id.
#[derive(Default)]
pub(super) struct Flow<'a>(HashMap<&'a str, Datum<'a>>);

#[derive(Clone, Copy)]
struct Datum<'a> {
    /// The name of the action that has it; none for one without.
    action: Option<&'a str>,
    is_output: bool,
    said: &'a Value,
}

impl<'a> Flow<'a> {
    pub(super) fn of(actions: &[&'a Value]) -> Self {
        let mut flow = Self::default();
        actions.iter().for_each(|action| flow.walk(action));
        flow
    }

    fn walk(&mut self, action: &'a Value) {
        let name = ["linkId", "id"].iter().find_map(|name| action.get(*name)?.as_str());
        for (element, is_output) in [("input", false), ("output", true)] {
            for said in members(action, element) {
                if let Some(id) = said["id"].as_str() {
                    self.0.entry(id).or_insert(Datum { action: name, is_output, said });
                }
            }
        }
        members(action, "action").for_each(|inner| self.walk(inner));
    }

    /// The output that an id leads to in the end. Some(None): a thing that nobody makes.
    fn source(&self, id: &'a str) -> Result<Option<(&'a str, Datum<'a>)>, (IssueType, &'static str)> {
        let mut id = id;
        // More steps than there are data lead round in a circle.
        for _ in 0..=self.0.len() {
            let found = self.0.get(id).ok_or((IssueType::NotFound, "there is no input or output of this id"))?;
            match (found.said["relatedData"].as_str(), found.is_output) {
                (Some(next), _) => id = next,
                (None, true) => return Ok(Some((id, *found))),
                (None, false) => return Ok(None),
            }
        }
        Err((IssueType::Invariant, "the data go round in a circle"))
    }
}

impl<'a> Reader<'a> {
    /// What an action is given by others, for which it waits.
    pub(super) fn takes(&mut self, action: &'a Value, path: &str) -> (Vec<Taken>, Vec<Related>) {
        let (mut taken, mut waits) = (Vec::new(), Vec::new());
        for (i, input) in members(action, "input").enumerate() {
            let Some(id) = input["relatedData"].as_str() else { continue };
            let path = format!("{path}.input[{i}].relatedData");
            match self.flow.source(id) {
                Err((code, text)) => self.fault(code, &path, text),
                Ok(None) => {}
                Ok(Some((_, Datum { action: None, .. }))) => {
                    self.fault(IssueType::Required, &path, "the action whose output this is needs an id");
                }
                Ok(Some((id, Datum { action: Some(from), said, .. }))) => {
                    let text = |value: &Value| value.as_str().map(str::to_owned);
                    let names = [Some(id.to_owned()), text(&said["title"])].into_iter().flatten().collect();
                    let (kind, title) = (text(&said["requirement"]["type"]), text(&input["title"]));
                    taken.push(Taken { from: from.to_owned(), names, kind, title });
                    waits.push(Related {
                        target: from.to_owned(),
                        relationship: Relationship::AfterEnd,
                        end_relationship: None,
                        offset: Window::default(),
                    });
                }
            }
        }
        (taken, waits)
    }
}
