//! What somebody wants of the hub. A submission, a PATCH, a report off a queue, a timer that fired: each is a
//! `Command` through the same door.

use std::collections::BTreeSet;

use schemas::message::StatusReport;
use schemas::resource::{Body, Key, Kind};
use uuid::Uuid;

use crate::decision::TimerId;
use crate::scene::Identifier;
use crate::workflows::Ask;

#[derive(Debug, Clone)]
pub struct Command {
    /// Unique; the first new resource gets it as its id, further ones get ids derived from it.
    pub id: Uuid,
    pub caller: Caller,
    pub act: Act,
    /// Given by whoever may repeat the command.
    pub repeat: Option<Repeat>,
    /// W3C trace context, carried to whatever follows.
    pub traceparent: Option<String>,
}

#[derive(Debug, Clone)]
pub enum Act {
    /// One entry: a create. Several: a transaction, all or nothing.
    Submit(Vec<Entry>),
    Update {
        key: Key,
        body: Body,
        if_match: Option<u32>,
    },
    Patch {
        key: Key,
        patch: Patch,
        if_match: Option<u32>,
    },
    Delete {
        key: Key,
        if_match: Option<u32>,
    },
    Report(StatusReport),
    Fire(TimerId),
    /// Something that a national service offers.
    Ask(Box<Ask>),
}

/// What is to be changed of a resource, in one of three languages.
#[derive(Debug, Clone)]
pub enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// FHIR's own: a Parameters resource whose paths are FHIRPath.
    FhirPath(hub_fhirpath::Patch),
    /// RFC 7386: the elements that become others, null for those that go.
    Merge(Body),
}

/// One resource to create.
#[derive(Debug, Clone)]
pub struct Entry {
    pub kind: Kind,
    pub body: Body,
    /// `Bundle.entry.fullUrl`, by which other entries refer to it.
    pub full_url: Option<String>,
    /// Create only if no resource carries this identifier.
    pub if_none_exist: Option<Identifier>,
    /// Where it stands, for a fault's path: `Bundle.entry[2].resource`, empty for a lone resource.
    pub path: String,
}

/// Makes a command safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// Caller, interaction and the caller's own key.
    pub key: String,
    /// Hash of the body.
    pub fingerprint: String,
    /// What the caller calls its key, for a refusal.
    pub called: &'static str,
}

impl Repeat {
    /// The id of a command with this key: equal keys meet in one order, in one lane.
    pub fn command_id(&self) -> Uuid {
        Uuid::new_v5(&Uuid::from_u128(0x8f0a_51d6_3d6f_4c56_9d0f_5d1c_2f6b_7a01), self.key.as_bytes())
    }
}

/// What a caller is entitled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Submits orders and changes them.
    Placer,
    /// Claims Tasks and reports on them.
    Filler,
    /// Runs the hub: may do what either may.
    Operator,
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// No authentication is configured: whoever reaches the hub may act as requester, operator and the owner it names.
    Local,
    /// Proven by a token, or by the broker.
    Known {
        /// `Organization/<id>`
        organization: String,
        roles: BTreeSet<Role>,
    },
    /// The hub itself: a timer.
    Hub,
}

impl Caller {
    /// For receipts: whose key it is.
    pub fn name(&self) -> &str {
        match self {
            Self::Local => "local",
            Self::Known { organization, .. } => organization,
            Self::Hub => "hub",
        }
    }

    pub fn has(&self, role: Role) -> bool {
        match self {
            Self::Local | Self::Hub => true,
            Self::Known { roles, .. } => roles.contains(&role) || roles.contains(&Role::Operator),
        }
    }

    pub fn is_operator(&self) -> bool {
        self.has(Role::Operator)
    }

    /// Whether this caller may speak for `actor` (`Organization/<id>`).
    pub fn may_be(&self, actor: &str) -> bool {
        match self {
            Self::Local | Self::Hub => true,
            Self::Known { organization, .. } => organization == actor || self.is_operator(),
        }
    }
}
