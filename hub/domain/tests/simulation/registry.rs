//! A registry in memory that does what a right database does with a decision, and no more.

use std::collections::BTreeMap;
use std::sync::Arc;

use hub_domain::decision::{Decision, Message, TimerId};
use hub_domain::plan::kept::KeptPlan;
use hub_domain::registry::{Committed, Method};
use hub_domain::scene::{Head, Identifier, Needs, Receipt, Scene};
use schemas::resource::{Key, Resource, list};
use schemas::time::Timestamp;
use serde_json::Value;
use uuid::Uuid;

/// The newest version of a resource.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) root: Uuid,
    pub(crate) resource: Resource,
    pub(crate) deleted: bool,
}

#[derive(Default)]
pub(crate) struct Registry {
    heads: BTreeMap<Uuid, Head>,
    pub(crate) current: BTreeMap<Key, Stored>,
    /// Every resource that ever was, in the order of creation.
    pub(crate) births: Vec<Key>,
    receipts: BTreeMap<String, Receipt>,
    claims: BTreeMap<Identifier, String>,
    plans: BTreeMap<String, Arc<KeptPlan>>,
    pub(crate) timers: BTreeMap<(Uuid, String), Timestamp>,
    pub(crate) outbox: Vec<Message>,
}

impl Registry {
    pub(crate) fn live(&self, key: &Key) -> Option<&Resource> {
        self.current.get(key).filter(|stored| !stored.deleted).map(|stored| &stored.resource)
    }

    /// When something last happened to an order.
    pub(crate) fn last_of(&self, root: Uuid) -> Option<Timestamp> {
        self.heads.get(&root).map(|head| head.last)
    }

    pub(crate) fn is_claimed(&self, identifier: &Identifier) -> bool {
        self.claims.contains_key(identifier)
    }

    pub(crate) fn due(&self, now: Timestamp) -> Vec<TimerId> {
        let due = self.timers.iter().filter(|(_, due)| **due <= now);
        due.map(|((root, name), _)| TimerId { root: *root, name: name.clone() }).collect()
    }

    /// What was asked for, and no more.
    pub(crate) fn load(&self, needs: &Needs) -> Scene {
        let mut scene = Scene::default();
        let mut roots = needs.roots.clone();
        for key in &needs.resources {
            match self.current.get(key) {
                Some(stored) if stored.deleted => drop(scene.deleted.insert(key.clone())),
                Some(stored) => {
                    roots.push(stored.root);
                    scene.roots.insert(key.clone(), stored.root);
                    scene.resources.insert(key.clone(), stored.resource.clone());
                }
                None => {}
            }
        }
        for (root, head) in roots.iter().filter_map(|root| Some((*root, self.heads.get(root)?))) {
            let hash = head.run.as_ref().and_then(|run| run.plan.clone());
            scene.plans.extend(hash.and_then(|hash| Some((hash.clone(), self.plans.get(&hash)?.clone()))));
            scene.heads.insert(root, head.clone());
        }
        scene.existing = needs.existence.iter().filter(|key| self.live(key).is_some()).cloned().collect();
        let receipt = |key: &String| Some((key.clone(), self.receipts.get(key)?.clone()));
        scene.receipts = needs.receipts.iter().filter_map(receipt).collect();
        scene.identified = needs.identifiers.iter().map(|id| (id.clone(), self.carriers(id))).collect();
        scene
    }

    /// Who carries an identifier: the claim's holder first, two at most.
    fn carriers(&self, identifier: &Identifier) -> Vec<String> {
        let mut ids: Vec<String> = self.claims.get(identifier).cloned().into_iter().collect();
        let is_it = |one: &Value| one["system"] == identifier.system && one["value"] == identifier.value;
        let carries = |key: &&Key| self.live(key).is_some_and(|found| list(&found.body, "identifier").any(is_it));
        for key in self.births.iter().filter(|key| key.kind == identifier.kind).filter(carries) {
            if !ids.contains(&key.id) {
                ids.push(key.id.clone());
            }
        }
        ids.truncate(2);
        ids
    }

    /// All of it or nothing: stale when a head has moved, or a key is taken.
    pub(crate) fn commit(&mut self, decision: &Decision) -> Committed {
        let version = |root| self.heads.get(root).map(|head| head.version);
        let moved = decision.heads.iter().any(|write| version(&write.root) != write.expected);
        let answered = decision.receipts.iter().any(|receipt| self.receipts.contains_key(&receipt.key));
        let taken = decision.claims.iter().any(|(id, by)| self.claims.get(id).is_some_and(|holder| holder != by));
        if moved || answered || taken {
            return Committed::Stale;
        }
        self.heads.extend(decision.heads.iter().map(|write| (write.root, write.head.clone())));
        for write in &decision.writes {
            let (key, deleted) = (write.resource.key.clone(), write.method == Method::Delete);
            if write.method == Method::Create {
                self.births.push(key.clone());
            }
            if deleted {
                self.claims.retain(|identifier, holder| identifier.kind != key.kind || *holder != key.id);
            }
            self.current.insert(key, Stored { root: write.root, resource: write.resource.clone(), deleted });
        }
        self.outbox.extend(decision.outbox.iter().cloned());
        for id in &decision.timers_done {
            self.timers.remove(&(id.root, id.name.clone()));
        }
        self.timers.extend(decision.timers.iter().map(|timer| ((timer.id.root, timer.id.name.clone()), timer.due)));
        self.receipts.extend(decision.receipts.iter().map(|receipt| (receipt.key.clone(), receipt.clone())));
        self.claims.extend(decision.claims.iter().cloned());
        self.plans.extend(decision.plans.iter().map(|(hash, plan, _)| (hash.clone(), plan.clone())));
        Committed::Done
    }
}
