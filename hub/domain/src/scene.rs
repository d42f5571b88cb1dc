//! What a decision needs to see, and what it sees.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use schemas::resource::{Body, Key, Kind, Resource};
use schemas::time::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::directory::Lookup;
use crate::plan::kept::KeptPlan;
use crate::plan::run::Run;

/// A business identifier of a type of resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier {
    pub kind: Kind,
    pub system: String,
    pub value: String,
}

impl Identifier {
    /// Whether this body carries it.
    pub fn is_of(&self, body: &Body) -> bool {
        let is_it = |one: &Value| one["system"] == self.system.as_str() && one["value"] == self.value.as_str();
        match body.get("identifier") {
            Some(Value::Array(all)) => all.iter().any(is_it),
            Some(one) => is_it(one),
            None => false,
        }
    }
}

/// What to load for one command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Heads by their root.
    pub roots: Vec<Uuid>,
    /// Current versions of resources, each with the head of the order it belongs to.
    pub resources: Vec<Key>,
    /// Only whether these exist: targets of references.
    pub existence: Vec<Key>,
    /// Receipts by their key.
    pub receipts: Vec<String>,
    /// Which resources carry these identifiers (at most two are told) and who holds the claim on them.
    pub identifiers: Vec<Identifier>,
    /// Looks into the directory. The engine has them searched, one by one: only what cannot do without has them.
    pub lookups: Vec<Lookup>,
}

impl Needs {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub fn and(mut self, other: Self) -> Self {
        self.roots.extend(other.roots);
        self.resources.extend(other.resources);
        self.existence.extend(other.existence);
        self.receipts.extend(other.receipts);
        self.identifiers.extend(other.identifiers);
        self.lookups.extend(other.lookups);
        self
    }
}

/// The head row of one order (or of one resource that belongs to no order): its version is the truth that commits
/// are checked against.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Head {
    pub version: u64,
    /// The last moment of a change; time never goes behind it.
    pub last: Timestamp,
    /// The state of its Tasks; none for a resource that is no order.
    pub run: Option<Run>,
}

/// The saved answer to a submission that may be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub key: String,
    /// Hash of the body: the same key with another body is refused.
    pub fingerprint: String,
    /// The `Reply`, as JSON.
    pub answer: String,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    pub heads: HashMap<Uuid, Head>,
    pub resources: HashMap<Key, Resource>,
    /// The root of each resource found.
    pub roots: HashMap<Key, Uuid>,
    pub deleted: HashSet<Key>,
    pub existing: HashSet<Key>,
    /// Of which it was asked whether they exist: what is not among `existing` does not.
    pub asked: HashSet<Key>,
    pub receipts: HashMap<String, Receipt>,
    /// Ids of the resources that carry an identifier: the claim's holder first.
    pub identified: HashMap<Identifier, Vec<String>>,
    /// The plans that the heads name, by hash.
    pub plans: HashMap<String, Arc<KeptPlan>>,
    /// What was found in the directory.
    pub found: HashMap<Lookup, Vec<Resource>>,
}

impl Scene {
    /// Whether it is known if this exists.
    pub fn looked_for(&self, key: &Key) -> bool {
        self.asked.contains(key) || self.existing.contains(key) || self.resources.contains_key(key)
    }

    /// Whether it is known that this is not here. What exists may not have been loaded, where only that was asked.
    pub(crate) fn is_absent(&self, key: &Key) -> bool {
        self.asked.contains(key) && !self.existing.contains(key)
    }

    /// Adds what another round found. What is here already stays: it may be the work of an earlier decision of the
    /// same batch.
    pub fn add(&mut self, other: Self) {
        fn keep<K: Eq + std::hash::Hash, V>(mine: &mut HashMap<K, V>, others: HashMap<K, V>) {
            for (key, value) in others {
                mine.entry(key).or_insert(value);
            }
        }
        keep(&mut self.heads, other.heads);
        keep(&mut self.resources, other.resources);
        keep(&mut self.roots, other.roots);
        keep(&mut self.receipts, other.receipts);
        keep(&mut self.identified, other.identified);
        keep(&mut self.plans, other.plans);
        keep(&mut self.found, other.found);
        self.deleted.extend(other.deleted);
        self.existing.extend(other.existing);
    }
}
