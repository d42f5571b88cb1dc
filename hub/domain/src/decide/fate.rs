//! What an entry comes to, before anything is done: which resource it is about, and whether that is new, is changed, goes,
//! or was found.

use schemas::outcome::IssueType;
use schemas::resource::{Body, Key, Kind, text_at};
use uuid::Uuid;

use super::condition::{self, By};
use super::draft::Draft;
use super::{Stop, join};
use crate::command::{Interaction, On};
use crate::decision::EntryOutcome;
use crate::refusal::{Refusal, RefusalKind};

/// The id of the resource that the nth entry creates: the same whenever the command is decided again.
pub(super) fn id_of(command: Uuid, n: usize) -> Uuid {
    match n {
        0 => command,
        n => Uuid::new_v5(&command, &n.to_be_bytes()),
    }
}

/// What an entry comes to.
pub(super) struct Fate {
    pub(super) key: Key,
    pub(super) outcome: EntryOutcome,
    /// Of what is new.
    pub(super) root: Uuid,
}

impl Fate {
    /// Of an entry that is refused.
    pub(super) fn unknown(draft: &Draft, n: usize, interaction: &Interaction) -> Self {
        let id = id_of(draft.command.id, n);
        Self { key: Key::new(interaction.kind(), id.to_string()), outcome: EntryOutcome::Found, root: id }
    }
}

/// What is to become of which resource, as everything stands before.
pub(super) fn fate(draft: &mut Draft, n: usize, interaction: &Interaction) -> Result<Fate, Stop> {
    let id = id_of(draft.command.id, n);
    let known = |key: Key, outcome| Fate { key, outcome, root: id };
    Ok(match interaction {
        Interaction::Create { kind, unless: None, body } => new(draft, id, *kind, body),
        Interaction::Create { kind, unless: Some(condition), body } => {
            match condition::find(draft, condition, By::Holder, "request.ifNoneExist")? {
                Some(key) => known(key, EntryOutcome::Found),
                None => {
                    let new = new(draft, id, *kind, body);
                    condition::hold(draft, condition, &new.key.id, "request.ifNoneExist")?;
                    new
                }
            }
        }
        Interaction::Update { on: On::Key(key), if_match, .. } if is_unknown(draft, key) => {
            return by_client(draft, key, *if_match);
        }
        Interaction::Update { on: On::Key(key), .. } => known(key.clone(), EntryOutcome::Updated),
        Interaction::Update { on: On::The(condition), body, if_match } => {
            let named = text_at(body, &["id"]).map(|id| Key::new(condition.kind(), id));
            match (condition::find(draft, condition, By::Carrier, "request.url")?, named) {
                (Some(found), Some(named)) if found != named => return Err(not_its_id(&named).into()),
                (Some(found), _) => known(found, EntryOutcome::Updated),
                (None, Some(named)) if is_unknown(draft, &named) => {
                    condition::hold(draft, condition, &named.id, "request.url")?;
                    return by_client(draft, &named, *if_match);
                }
                (None, Some(named)) if draft.is_gone(&named) => return Err(Refusal::gone(&named).into()),
                (None, Some(named)) => return Err(not_found_by(&named).into()),
                (None, None) if if_match.is_some() => return Err(nothing_to_match().into()),
                (None, None) => {
                    let new = new(draft, id, condition.kind(), body);
                    condition::hold(draft, condition, &new.key.id, "request.url")?;
                    new
                }
            }
        }
        Interaction::Patch { on, .. } => match found(draft, on)? {
            Some(key) => known(key, EntryOutcome::Updated),
            None => return Err(Refusal::not_found("what this condition asks for").into()),
        },
        Interaction::Delete { on, .. } => match found(draft, on)? {
            Some(key) => known(key, EntryOutcome::Deleted),
            None => known(Key::new(on.kind(), ""), EntryOutcome::Absent),
        },
        Interaction::Read { key } => known(key.clone(), EntryOutcome::Looked),
    })
}

/// A new resource, which gets this id, unless it is a Task that joins an order: then it gets one there.
fn new(draft: &mut Draft, id: Uuid, kind: Kind, body: &Body) -> Fate {
    let outcome = EntryOutcome::Created;
    match join::place(draft, kind, body) {
        Some(place) => {
            // A head of its own, by which a key whose answer is forgotten is still known.
            if draft.command.repeat.is_some() {
                draft.head(id);
            }
            Fate { key: Key::task(place), outcome, root: place.root }
        }
        None => Fate { key: Key::new(kind, id.to_string()), outcome, root: id },
    }
}

fn found(draft: &mut Draft, on: &On) -> Result<Option<Key>, Stop> {
    match on {
        On::Key(key) => Ok(Some(key.clone())),
        On::The(condition) => condition::find(draft, condition, By::Carrier, "request.url"),
    }
}

fn is_unknown(draft: &Draft, key: &Key) -> bool {
    draft.find(key).is_none() && !draft.is_gone(key)
}

/// A new resource whose id the caller chose: only where the site lets callers do so, and never one that the hub gives.
fn by_client(draft: &Draft, key: &Key, if_match: Option<u32>) -> Result<Fate, Stop> {
    if !draft.moment.policy.update_create {
        let text = format!("{key} is not here, and ids are given by this hub: create it with POST");
        return Err(Refusal::one(RefusalKind::NotAllowed, IssueType::NotSupported, "", text).into());
    }
    if super::task_id(key).is_some() {
        return Err(Refusal::rule("Task.id", "ids of this form are given by the hub, to the Tasks of an order").into());
    }
    if if_match.is_some() {
        return Err(nothing_to_match().into());
    }
    let namespace = Uuid::from_u128(0x91d6_0c7e_4a2b_4f35_8e19_b7c4_60f8_23a5);
    let root = Uuid::new_v5(&namespace, key.to_string().as_bytes());
    Ok(Fate { key: key.clone(), outcome: EntryOutcome::Created, root })
}

fn nothing_to_match() -> Refusal {
    let text = "If-Match names a version, but the resource is not here";
    Refusal::one(RefusalKind::PreconditionFailed, IssueType::Conflict, "", text)
}

fn not_its_id(named: &Key) -> Refusal {
    let text = "the body's id is not that of the resource which the condition finds";
    Refusal::one(RefusalKind::Malformed, IssueType::Invalid, &format!("{}.id", named.kind), text)
}

fn not_found_by(named: &Key) -> Refusal {
    let text = "the condition finds nothing, but the body's id is that of another resource";
    Refusal::one(RefusalKind::Conflict, IssueType::Conflict, &format!("{}.id", named.kind), text)
}
