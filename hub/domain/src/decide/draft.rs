//! A decision in the making: what has changed so far, on top of the scene.

use std::collections::{BTreeMap, HashMap, HashSet};

use schemas::ids::TaskId;
use schemas::resource::{Body, Document, Key, Resource};
use schemas::time::Timestamp;
use uuid::Uuid;

use super::{Moment, Stop};
use crate::command::Command;
use crate::decision::{Decision, EntryOutcome, HeadWrite, Reply, ReplyEntry, Write};
use crate::plan::run::Run;
use crate::refusal::Refusal;
use crate::registry::Method;
use crate::scene::{Head, Needs, Receipt, Scene};

pub(crate) struct Draft<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) command: &'a Command,
    pub(crate) moment: &'a Moment<'a>,
    heads: BTreeMap<Uuid, HeadWrite>,
    /// Where the newest version of what was written here stands among the writes.
    written: HashMap<Key, usize>,
    /// How many new Tasks of this command join an order.
    pub(crate) joining: HashMap<Uuid, usize>,
    /// What was deleted here.
    gone: HashSet<Key>,
    pub(crate) decision: Decision,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(scene: &'a Scene, command: &'a Command, moment: &'a Moment<'a>) -> Self {
        let decision = Decision::default();
        Self {
            scene,
            command,
            moment,
            heads: BTreeMap::new(),
            written: HashMap::new(),
            joining: HashMap::new(),
            gone: HashSet::new(),
            decision,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.moment.now
    }

    /// The head to change, marked as changed: its version goes up and its time forward with this decision.
    pub(crate) fn head(&mut self, root: Uuid) -> &mut Head {
        let (scene, now) = (self.scene, self.moment.now);
        let write = self.heads.entry(root).or_insert_with(|| {
            let found = scene.heads.get(&root);
            let before = found.cloned().unwrap_or_default();
            let head = Head { version: before.version + 1, last: now.max(before.last), run: before.run };
            HeadWrite { root, expected: found.map(|head| head.version), head }
        });
        &mut write.head
    }

    /// Whether this decision moves the head on already.
    pub(crate) fn is_moved(&self, root: Uuid) -> bool {
        self.heads.contains_key(&root)
    }

    /// The newest version of a resource, this draft's own included.
    pub(crate) fn find(&self, key: &Key) -> Option<&Resource> {
        self.newest(key).map(|write| &write.resource).or_else(|| self.scene.resources.get(key))
    }

    fn newest(&self, key: &Key) -> Option<&Write> {
        self.written.get(key).map(|place| &self.decision.writes[*place])
    }

    /// The same, of something that must be there: asks for it when it was not loaded.
    pub(crate) fn get(&self, key: &Key) -> Result<&Resource, Stop> {
        let more = || Stop::more(Needs { resources: vec![key.clone()], ..Needs::default() });
        self.find(key).ok_or_else(more)
    }

    pub(crate) fn get_all(&self, keys: &[Key]) -> Result<Vec<Resource>, Stop> {
        let missing: Vec<Key> = keys.iter().filter(|key| self.find(key).is_none()).cloned().collect();
        if missing.is_empty() {
            return Ok(keys.iter().filter_map(|key| self.find(key)).cloned().collect());
        }
        Err(Stop::more(Needs { resources: missing, ..Needs::default() }))
    }

    /// The run of an order, this draft's own changes included.
    pub(crate) fn run_of(&self, root: Uuid) -> Option<&Run> {
        let head = self.heads.get(&root).map(|write| &write.head).or_else(|| self.scene.heads.get(&root));
        head?.run.as_ref()
    }

    /// The resource that a caller named, and the order it belongs to.
    pub(crate) fn named(&self, key: &Key) -> Result<(&Resource, Uuid), Stop> {
        if self.scene.deleted.contains(key) {
            return Err(Refusal::gone(key).into());
        }
        let found = self.find(key).zip(self.scene.roots.get(key));
        found.map(|(resource, root)| (resource, *root)).ok_or_else(|| Refusal::not_found(key).into())
    }

    /// Whether it is known to be here, as this draft leaves it.
    pub(crate) fn is_here(&self, key: &Key) -> bool {
        let found = self.find(key).is_some() || self.scene.existing.contains(key);
        found && !self.is_gone(key)
    }

    pub(crate) fn is_gone(&self, key: &Key) -> bool {
        self.gone.contains(key) || self.scene.deleted.contains(key)
    }

    pub(crate) fn create(&mut self, root: Uuid, key: Key, body: Body) -> Resource {
        self.write(root, Method::Create, Resource::new(key, 1, self.now(), body))
    }

    /// Writes what was sent.
    pub(crate) fn store(&mut self, root: Uuid, key: Key, body: Document) -> Resource {
        self.write(root, Method::Create, Resource::of(key, 1, self.now(), body))
    }

    /// Writes the next version of what is there.
    pub(crate) fn replace(&mut self, root: Uuid, key: &Key, body: Body) -> Result<Resource, Stop> {
        let next = self.get(key)?.next(self.now(), body);
        Ok(self.write(root, Method::Update, next))
    }

    pub(crate) fn delete(&mut self, root: Uuid, key: &Key) -> Result<Resource, Stop> {
        let next = self.get(key)?.next(self.now(), Body::new());
        self.gone.insert(key.clone());
        Ok(self.write(root, Method::Delete, next))
    }

    fn write(&mut self, root: Uuid, method: Method, resource: Resource) -> Resource {
        self.head(root);
        let before = if method == Method::Create { None } else { self.find(&resource.key).cloned() };
        self.written.insert(resource.key.clone(), self.decision.writes.len());
        self.decision.writes.push(Write { root, method, resource: resource.clone(), before });
        resource
    }

    /// `Task/<id>` of the fulfilment Task of the order that a resource belongs to, when it belongs to one.
    pub(crate) fn fulfilment_of(&self, key: &Key) -> Option<String> {
        let root = self.newest(key).map(|write| write.root).or_else(|| self.scene.roots.get(key).copied())?;
        let run = self.run_of(root)?;
        let id = TaskId { root, step: 0, occurrence: 1 };
        run.plan.as_ref().map(|_| Key::task(id).to_string())
    }

    pub(crate) fn answer(&mut self, resource: &Resource, outcome: EntryOutcome, fulfilment: Option<String>) {
        self.decision.reply.entries.push(ReplyEntry {
            reference: resource.key.to_string(),
            version: resource.version,
            last_updated: resource.last_updated.0,
            outcome,
            fulfilment,
        });
    }

    /// The same of what is not, or need not be, looked at here.
    pub(crate) fn answer_without(&mut self, key: &Key, outcome: EntryOutcome) {
        let reference = key.to_string();
        self.decision.reply.entries.push(ReplyEntry {
            reference,
            version: 0,
            last_updated: 0,
            outcome,
            fulfilment: None,
        });
    }

    /// Done: the heads, and the receipt when the command may come again.
    pub(crate) fn finish(mut self) -> Decision {
        self.decision.heads = self.heads.into_values().collect();
        if let Some(repeat) = &self.command.repeat {
            // A reply is plain data: writing it as JSON cannot fail.
            let answer = serde_json::to_string(&self.decision.reply).unwrap_or_default();
            let receipt = Receipt { key: repeat.key.clone(), fingerprint: repeat.fingerprint.clone(), answer };
            self.decision.receipts.push(receipt);
        }
        self.decision
    }
}

/// The saved answer, when this command was answered before.
pub(crate) fn repeated(scene: &Scene, command: &Command) -> Result<Option<Decision>, Stop> {
    let Some((repeat, receipt)) = command.repeat.as_ref().and_then(|r| Some((r, scene.receipts.get(&r.key)?))) else {
        return Ok(None);
    };
    if receipt.fingerprint != repeat.fingerprint {
        let text = format!("this {} was used before, with another body", repeat.called);
        return Err(Refusal::rule("", text).into());
    }
    let reply: Reply = serde_json::from_str(&receipt.answer).unwrap_or_default();
    Ok(Some(Decision { reply, ..Decision::default() }))
}

/// The scene as a decision leaves it: what the next command of the same batch sees.
pub fn after(scene: &mut Scene, decision: &Decision) {
    for write in &decision.heads {
        scene.heads.insert(write.root, write.head.clone());
    }
    for write in &decision.writes {
        let key = write.resource.key.clone();
        if write.method == Method::Delete {
            scene.resources.remove(&key);
            scene.existing.remove(&key);
            scene.deleted.insert(key);
        } else {
            scene.roots.insert(key.clone(), write.root);
            scene.existing.insert(key.clone());
            scene.resources.insert(key, write.resource.clone());
        }
    }
    for receipt in &decision.receipts {
        scene.receipts.insert(receipt.key.clone(), receipt.clone());
    }
    for (identifier, id) in &decision.claims {
        scene.identified.entry(identifier.clone()).or_default().insert(0, id.clone());
    }
    for (hash, plan, _) in &decision.plans {
        scene.plans.insert(hash.clone(), plan.clone());
    }
}
