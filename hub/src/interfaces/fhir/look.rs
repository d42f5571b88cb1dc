//! How much of a resource is answered: `_summary` and `_elements`.

use std::borrow::Cow;

use schemas::gate::{Part, has_element, narrow};
use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body, Kind};

use super::answer::No;
use super::content;

/// What is shown of each resource; all of it, unless told.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) part: Option<Part>,
    /// No resource at all, but how many there are.
    pub(super) only_count: bool,
    /// Whether it was told already.
    is_told: bool,
}

impl Look {
    /// Reads a parameter; false: it says something else. What is wrong is told in words.
    pub(super) fn parameter(&mut self, kind: Kind, name: &str, value: &str) -> Result<bool, String> {
        self.part = match (name, value) {
            ("_summary", "true") => Some(Part::Summary),
            ("_summary", "text") => Some(Part::Text),
            ("_summary", "data") => Some(Part::Data),
            ("_summary", "false" | "count") => None,
            ("_summary", _) => return Err("_summary is true, text, data, count or false".into()),
            ("_elements", names) => Some(Part::Elements(elements(kind, names)?)),
            _ => return Ok(false),
        };
        if std::mem::replace(&mut self.is_told, true) {
            return Err("give one of _summary and _elements, and once".into());
        }
        self.only_count |= value == "count" && name == "_summary";
        Ok(true)
    }

    /// The look that a query string asks for, where there is nothing to count.
    pub(super) fn of(kind: Kind, query: Option<&str>) -> Result<Self, No> {
        let mut look = Self::default();
        for (name, value) in content::form(query.unwrap_or_default()) {
            let read = look.parameter(kind, &name, &value);
            let fault = match read {
                Ok(_) if look.only_count => {
                    "there is nothing to count: _summary is true, text, data or false".to_owned()
                }
                Ok(_) => continue,
                Err(text) => text,
            };
            return Err(No::bad_request(vec![Issue::error(IssueType::Value, name, fault)]));
        }
        Ok(look)
    }

    /// That of what comes with the matches: elements are named of these alone.
    pub(super) fn of_others(&self) -> Self {
        let part = self.part.clone().filter(|part| !matches!(part, Part::Elements(_)));
        Self { part, ..Self::default() }
    }

    /// A body as it is stored, as it is shown.
    pub(super) fn shown<'a>(&self, stored: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(part) = &self.part else { return stored.into() };
        let shown = serde_json::from_slice::<Body>(stored).and_then(|mut body| {
            narrow(&mut body, part);
            serde_json::to_vec(&body)
        });
        // What is stored is JSON.
        shown.map_or_else(|_| stored.into(), Cow::from)
    }
}

fn elements(kind: Kind, names: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> =
        names.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err("_elements takes the names of elements, joined by commas".into());
    }
    if !names.iter().all(|name| has_element(kind.name(), name)) {
        return Err(format!(
            "one of these is no element of {kind}: those of the first level are named, without a path"
        ));
    }
    Ok(names)
}
