//! What somebody wants of the hub. A submission, a PATCH, a report off a queue, a timer that fired: each is a
//! `Command` through the same door.

use std::collections::BTreeSet;

use schemas::message::StatusReport;
use schemas::resource::{Body, Document, Key, Kind};
use uuid::Uuid;

use crate::decision::TimerId;
use crate::query::Query;
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
#[expect(clippy::large_enum_variant, reason = "a report is as common as a change, and none is kept")]
pub enum Act {
    /// What is done to resources over REST: one interaction, or those of a transaction, all or nothing.
    Change(Vec<Entry>),
    Report(StatusReport),
    Fire(TimerId),
    /// Something that a national service offers.
    Ask(Box<Ask>),
}

impl Act {
    /// One interaction by itself.
    pub fn alone(interaction: Interaction) -> Self {
        Self::Change(vec![Entry::new(interaction)])
    }
}

/// An interaction, by itself or in a transaction.
#[derive(Debug, Clone)]
pub struct Entry {
    pub interaction: Interaction,
    /// The conditional references of its body (`Patient?identifier=…`), each with what it asks for.
    pub links: Vec<(String, Condition)>,
    /// `Bundle.entry.fullUrl`, by which other entries refer to it.
    pub full_url: Option<String>,
    /// Where it stands, for a fault's path: `Bundle.entry[2]`, empty when it comes alone.
    pub path: String,
}

impl Entry {
    pub fn new(interaction: Interaction) -> Self {
        Self { interaction, links: Vec::new(), full_url: None, path: String::new() }
    }

    /// A fault's path as whoever sent the Bundle sees it. One that begins with `request` is about the interaction, any
    /// other begins with the type of the resource that was sent.
    pub fn place(&self, inside: &str) -> String {
        let rest = inside.split_once('.').map_or("", |(_, rest)| rest);
        match inside {
            _ if self.path.is_empty() && inside.starts_with("request") => String::new(),
            _ if self.path.is_empty() => inside.to_owned(),
            "" => self.path.clone(),
            _ if inside.starts_with("request") => format!("{}.{inside}", self.path),
            _ if rest.is_empty() => format!("{}.resource", self.path),
            _ => format!("{}.resource.{rest}", self.path),
        }
    }
}

/// What is done to one resource, in FHIR's words.
#[derive(Debug, Clone)]
pub enum Interaction {
    Create {
        kind: Kind,
        body: Document,
        /// Create only if nothing is found by this.
        unless: Option<Condition>,
    },
    Update {
        on: On,
        body: Document,
        if_match: Option<u32>,
    },
    Patch {
        on: On,
        patch: Patch,
        if_match: Option<u32>,
    },
    Delete {
        on: On,
        if_match: Option<u32>,
    },
    /// It must be there when all else is done.
    Read {
        key: Key,
    },
}

impl Interaction {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Create { kind, .. } => *kind,
            Self::Update { on, .. } | Self::Patch { on, .. } | Self::Delete { on, .. } => on.kind(),
            Self::Read { key } => key.kind,
        }
    }
}

/// Which resource an interaction is about.
#[derive(Debug, Clone)]
pub enum On {
    Key(Key),
    /// The only one that is found.
    The(Condition),
}

impl On {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Key(key) => key.kind,
            Self::The(condition) => condition.kind(),
        }
    }
}

/// What a resource is found by, where its id is not known.
#[derive(Debug, Clone)]
pub enum Condition {
    /// Looked up with the scene, and claimed by whoever creates under it: this condition always holds.
    Identifier(Identifier),
    /// Searched for before the command came. What was found is compared with what is there when it is decided.
    Search { query: Box<Query>, guard: Uuid, found: Found },
}

impl Condition {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Identifier(identifier) => identifier.kind,
            Self::Search { query, .. } => query.kind,
        }
    }

    /// The lane in which equal conditions meet.
    pub(crate) fn lane(&self) -> Uuid {
        match self {
            Self::Identifier(Identifier { kind, system, value }) => {
                guard(*kind, &format!("identifier={system}|{value}"))
            }
            Self::Search { guard, .. } => *guard,
        }
    }
}

/// The root of the head that moves on whenever something is created under a condition: of two that found nothing, one is
/// stale. It is made of how the condition is written.
pub fn guard(kind: Kind, criteria: &str) -> Uuid {
    let namespace = Uuid::from_u128(0x2c5b_9d3e_71f4_4b8a_a6c0_3e8d_52f1_9b04);
    Uuid::new_v5(&namespace, format!("{kind}?{criteria}").as_bytes())
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// While the guard's head was at this version.
    Nothing {
        guard: Option<u64>,
    },
    One {
        key: Key,
        version: u32,
    },
    Several,
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
