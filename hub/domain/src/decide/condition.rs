//! Which resource is meant by what it is found by.

use schemas::outcome::IssueType;
use schemas::resource::Key;

use super::draft::Draft;
use super::{Stop, resource};
use crate::command::{Condition, Found};
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::Needs;

pub(super) fn needs(condition: &Condition) -> Needs {
    match condition {
        Condition::Identifier(identifier) => Needs { identifiers: vec![identifier.clone()], ..Needs::default() },
        Condition::Search { guard, found: Found::Nothing { .. }, .. } => {
            Needs { roots: vec![*guard], ..Needs::default() }
        }
        Condition::Search { found: Found::One { key, .. }, .. } => resource(key),
        Condition::Search { found: Found::Several, .. } => Needs::default(),
    }
}

/// Who counts as found by an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Also who was created under it, and carries it no more.
    Holder,
    /// Only who carries it.
    Carrier,
}

/// The only resource that is found, or none. `path`: where the condition stands.
pub(super) fn find(draft: &mut Draft, condition: &Condition, by: By, path: &str) -> Result<Option<Key>, Stop> {
    let found = match condition {
        Condition::Identifier(identifier) => {
            let ids = draft.scene.identified.get(identifier).map(Vec::as_slice).unwrap_or_default();
            let mut keys: Vec<Key> = ids.iter().map(|id| Key::new(identifier.kind, id.clone())).collect();
            if by == By::Carrier {
                draft.get_all(&keys)?;
                keys.retain(|key| draft.find(key).is_some_and(|found| identifier.is_of(&found.body)));
            }
            keys
        }
        Condition::Search { found: Found::One { key, version }, .. } => {
            let now = draft.scene.resources.get(key).map(|resource| resource.version);
            if now != Some(*version) {
                return Err(overtaken().into());
            }
            vec![key.clone()]
        }
        Condition::Search { found: Found::Nothing { .. }, .. } => Vec::new(),
        Condition::Search { found: Found::Several, .. } => return Err(several(path).into()),
    };
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        _ => Err(several(path).into()),
    }
}

/// Of all who create under a condition that found nothing, one does. `path`: where the condition stands.
pub(super) fn hold(draft: &mut Draft, condition: &Condition, id: &str, path: &str) -> Result<(), Stop> {
    match condition {
        Condition::Identifier(identifier) => {
            if draft.decision.claims.iter().any(|(claimed, _)| claimed == identifier) {
                return Err(twice(path).into());
            }
            // Whoever was created under it and carries it no more holds it still.
            if draft.scene.identified.get(identifier).is_none_or(Vec::is_empty) {
                draft.decision.claims.push((identifier.clone(), id.to_owned()));
            }
        }
        Condition::Search { guard, found: Found::Nothing { guard: seen }, .. } => {
            if draft.scene.heads.get(guard).map(|head| head.version) != *seen {
                return Err(overtaken().into());
            }
            if draft.is_moved(*guard) {
                return Err(twice(path).into());
            }
            draft.head(*guard);
        }
        Condition::Search { .. } => {}
    }
    Ok(())
}

fn several(path: &str) -> Refusal {
    let text = "more than one resource is found by this condition";
    Refusal::one(RefusalKind::PreconditionFailed, IssueType::MultipleMatches, path, text)
}

fn twice(path: &str) -> Refusal {
    let text = "another entry of this transaction creates under the same condition";
    Refusal::one(RefusalKind::Unprocessable, IssueType::Duplicate, path, text)
}

fn overtaken() -> Refusal {
    let text = "what the condition finds changed again and again; nothing was done";
    Refusal::one(RefusalKind::Overtaken, IssueType::Conflict, "", text)
}
