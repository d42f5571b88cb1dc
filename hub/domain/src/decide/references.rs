//! What a body points to: whether it is here, and what entries of a transaction call each other.

use std::collections::HashMap;

use schemas::gate;
use schemas::ids::Target;
use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body, Document, Key, Kind, text_at};

use super::draft::Draft;
use super::{Policy, Stop};
use crate::command::{Condition, Entry, Found};
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::Needs;

/// What a body points to that must be here: a Task's focus, partOf and basedOn among the types that orders are made
/// of; with strict references, everything.
pub(super) fn targets(kind: Kind, body: &Body, policy: &Policy) -> Needs {
    let existence = checked(kind, body, policy).into_iter().map(|(_, key)| key).collect();
    Needs { existence, ..Needs::default() }
}

fn checked(kind: Kind, body: &Body, policy: &Policy) -> Vec<(String, Key)> {
    let mut found = Vec::new();
    if kind != Kind::TASK && !policy.strict_references {
        return found;
    }
    gate::references(body, &mut |path, reference| {
        let Some(key) = text_at(reference, &["reference"]).and_then(Key::of_reference) else { return };
        let path = path.to_string();
        let element = path.split('.').nth(1).unwrap_or_default();
        let element = element.split('[').next().unwrap_or_default();
        let linked = kind == Kind::TASK && matches!(element, "focus" | "partOf" | "basedOn");
        if policy.strict_references || (linked && (key.kind == Kind::TASK || key.kind.is_request())) {
            found.push((path, key));
        }
    });
    found
}

/// What the entries of a transaction are called, and how they may refer to each other.
#[derive(Default)]
pub(super) struct Names<'a> {
    /// By fullUrl.
    pub(super) by_url: HashMap<&'a str, Key>,
    /// What is new with this transaction, and may not be written yet.
    pub(super) coming: HashMap<Key, &'a Body>,
}

impl Names<'_> {
    /// What a reference means that stands in the entry with this fullUrl: a relative one is relative to that.
    fn named(&self, text: &str, full_url: Option<&str>) -> Option<&Key> {
        if self.by_url.is_empty() {
            return None;
        }
        let beside = || {
            let (base, _) = full_url.filter(|url| url.contains("://"))?.rsplit_once('/')?.0.rsplit_once('/')?;
            let Target::Relative { kind, id, .. } = Target::parse(text) else { return None };
            self.by_url.get(format!("{base}/{kind}/{id}").as_str())
        };
        self.by_url.get(text).or_else(beside)
    }
}

/// The body with every link to an entry replaced by what that is called here; as it was sent, and shared, where there is
/// none. Refused with all links to nothing.
pub(super) fn resolved(
    draft: &Draft,
    entry: &Entry,
    kind: Kind,
    body: Document,
    names: &Names,
) -> Result<Document, Stop> {
    let renamed = |reference: &Body| {
        let Some(text) = text_at(reference, &["reference"]) else { return Ok(None) };
        match names.named(text, entry.full_url.as_deref()) {
            Some(key) => Ok(Some(key.to_string())),
            None => beyond(draft, entry, text, names),
        }
    };
    let mut faults = missing(draft, kind, &body, names);
    let mut stays = names.by_url.is_empty();
    gate::references(&body, &mut |path, reference| match renamed(reference) {
        Ok(name) => stays &= name.is_none(),
        Err((code, why)) => faults.push(Issue::error(code, format!("{path}.reference"), why)),
    });
    if !faults.is_empty() {
        return Err(Refusal::new(RefusalKind::Unprocessable, faults).into());
    }
    if stays {
        return Ok(body);
    }
    let mut body = body.into_body();
    gate::references_mut(&mut body, &mut |_, reference| {
        if let Ok(Some(name)) = renamed(reference) {
            reference.insert("reference".into(), name.into());
        }
    });
    let by_url = |link: &str| names.by_url.get(link).map(Key::to_string);
    gate::relink(&mut body, &by_url);
    Ok(body.into())
}

/// Faults of references to what is not here.
fn missing(draft: &Draft, kind: Kind, body: &Body, names: &Names) -> Vec<Issue> {
    let fault = |(path, key): (String, Key)| {
        Issue::error(IssueType::NotFound, format!("{path}.reference"), format!("there is no such {} here", key.kind))
    };
    let is_missing = |(_, key): &(String, Key)| !draft.is_here(key) && !names.coming.contains_key(key);
    checked(kind, body, draft.moment.policy).into_iter().filter(is_missing).map(fault).collect()
}

type Fault = (IssueType, &'static str);

/// What a reference that names no entry becomes.
fn beyond(draft: &Draft, entry: &Entry, text: &str, names: &Names) -> Result<Option<String>, Fault> {
    match Target::parse(text) {
        Target::Urn(_) => Err((IssueType::NotFound, "no entry of this Bundle has this fullUrl")),
        Target::Other(text) if is_conditional(text) => {
            let condition = entry.links.iter().find(|(link, _)| link == text).map(|(_, condition)| condition);
            let lone = (IssueType::NotSupported, "a conditional reference is resolved in a transaction only");
            the_only(draft, condition.ok_or(lone)?, names).map(Some)
        }
        _ => Ok(None),
    }
}

/// `Patient?identifier=…`
pub fn is_conditional(reference: &str) -> bool {
    reference.split_once('?').is_some_and(|(kind, _)| Kind::parse(kind).is_some())
}

/// The one that is here, or comes with this transaction.
fn the_only(draft: &Draft, condition: &Condition, names: &Names) -> Result<String, Fault> {
    let found: Vec<Key> = match condition {
        Condition::Search { found: Found::One { key, .. }, .. } => vec![key.clone()],
        Condition::Search { found: Found::Nothing { .. }, .. } => Vec::new(),
        Condition::Search { found: Found::Several, .. } => return Err(SEVERAL),
        Condition::Identifier(identifier) => {
            let ids = draft.scene.identified.get(identifier).into_iter().flatten();
            let here = ids.map(|id| Key::new(identifier.kind, id.clone()));
            let coming =
                names.coming.iter().filter(|(key, body)| key.kind == identifier.kind && identifier.is_of(body));
            let coming = coming.map(|(key, _)| key.clone());
            let mut found: Vec<Key> = here.filter(|key| !draft.is_gone(key)).chain(coming).collect();
            found.sort();
            found.dedup();
            found
        }
    };
    match found.as_slice() {
        [] => Err((IssueType::NotFound, "nothing is found by this reference")),
        [one] => Ok(one.to_string()),
        _ => Err(SEVERAL),
    }
}

const SEVERAL: Fault = (IssueType::MultipleMatches, "several are found by this reference");
