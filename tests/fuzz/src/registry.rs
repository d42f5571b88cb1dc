//! A registry in memory that believes no decision: each is looked at before it is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hub_domain::command::{Act, Caller, Command, Entry, Interaction};
use hub_domain::decide::{Moment, Policy, Verdict, decide, needs};
use hub_domain::decision::{Decision, Method, Timer};
use hub_domain::refusal::Refusal;
use hub_domain::scene::{Head, Needs, Scene};
use hub_domain::workflow::{BUILT_IN, Catalogue, Offered};
use schemas::gate;
use schemas::message::{Act as Reported, StatusReport};
use schemas::resource::{Body, Key, Kind, Resource};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// Who does the work here.
pub(crate) const PERFORMER: &str = "Organization/lab-1";

/// As often may a command ask to see more.
const ROUNDS_LIMIT: usize = 8;

/// What is there, and the rules by which it changes.
#[derive(Clone)]
pub(crate) struct Registry {
    policy: Arc<Policy>,
    now: Timestamp,
    heads: BTreeMap<Uuid, Head>,
    current: BTreeMap<Key, (Uuid, Resource)>,
    timers: Vec<Timer>,
    commands: u128,
}

/// A laboratory order with its first step claimed, a referral that nobody has touched, a Task that stands alone, and a
/// Patient. Their ids never change, so that the corpus can name them.
static FURNISHED: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry::new(BUILT_IN.iter().map(|(_, text)| read(text)).collect());
    registry.submit(vec![body(json!({
        "resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "category": [{ "coding": [{ "system": "http://snomed.info/sct", "code": "108252007" }] }],
        "code": { "text": "Blood" }, "subject": { "reference": "Patient/1" },
    }))]);
    registry.claim("00000000-0000-0001-0000-000000000000.2");
    registry.submit(vec![body(json!({
        "resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "code": { "text": "Heart" }, "subject": { "reference": "Patient/1" },
    }))]);
    registry.submit(vec![body(json!({
        "resourceType": "Task", "status": "requested", "intent": "order", "code": { "text": "Call back" },
        "input": [{ "type": { "text": "number" }, "valueString": "1" }],
    }))]);
    registry.submit(vec![body(json!({ "resourceType": "Patient", "gender": "female" }))]);
    registry
});

fn read(text: &str) -> Offered {
    Offered::read(text).unwrap_or_else(|faults| panic!("a built-in plan: {faults:?}"))
}

pub(crate) fn body(value: Value) -> Body {
    match value {
        Value::Object(body) => body,
        _ => panic!("a resource is an object"),
    }
}

impl Registry {
    pub(crate) fn new(plans: Vec<Offered>) -> Self {
        let catalogue = Catalogue::new(plans).unwrap_or_else(|faults| panic!("plans that tie: {faults:?}"));
        let leases = (BTreeMap::new(), Some(Duration::from_secs(3600)));
        Self {
            policy: Arc::new(Policy { catalogue, leases, ..Policy::default() }),
            now: Timestamp(1_790_000_000_000_000),
            heads: BTreeMap::new(),
            current: BTreeMap::new(),
            timers: Vec::new(),
            commands: 0,
        }
    }

    pub(crate) fn furnished() -> Self {
        FURNISHED.clone()
    }

    /// Creates these, which must be possible.
    pub(crate) fn submit(&mut self, bodies: Vec<Body>) {
        let entry = |body: Body| {
            let kind = body.get("resourceType").and_then(Value::as_str).and_then(Kind::parse);
            kind.map(|kind| Entry::new(Interaction::Create { kind, body: body.into(), unless: None }))
        };
        let entries = bodies.into_iter().filter_map(entry).collect();
        self.execute(Act::Change(entries)).unwrap_or_else(|refusal| panic!("not taken: {refusal:?}"));
    }

    fn claim(&mut self, task: &str) {
        let report = report(task, Reported::Claim, 1);
        self.execute(Act::Report(report)).unwrap_or_else(|refusal| panic!("not granted: {refusal:?}"));
    }

    /// Decides, looks at what was decided, and keeps it.
    pub(crate) fn execute(&mut self, act: Act) -> Result<Decision, Refusal> {
        self.commands += 1;
        self.now = self.now.plus(Duration::from_millis(1));
        let id = Uuid::from_u128(self.commands << 64);
        let command = Command { id, caller: Caller::Local, act, repeat: None, traceparent: None };
        let mut scene = self.scene(&needs(&command, &self.policy));
        for _ in 0..ROUNDS_LIMIT {
            match decide(&scene, &command, &Moment { now: self.now, policy: &self.policy })? {
                Verdict::Decided(decision) => {
                    self.keep(&decision);
                    return Ok(*decision);
                }
                Verdict::More(needs) => {
                    scene.add(self.scene(&needs));
                    scene.asked.extend(needs.existence);
                }
            }
        }
        panic!("a command asks for more without end");
    }

    fn scene(&self, needs: &Needs) -> Scene {
        let mut scene = Scene::default();
        for key in &needs.resources {
            storable(&key.id);
            if let Some((root, resource)) = self.current.get(key) {
                scene.resources.insert(key.clone(), resource.clone());
                scene.roots.insert(key.clone(), *root);
                scene.heads.insert(*root, self.heads[root].clone());
            }
        }
        let heads = needs.roots.iter().filter_map(|root| Some((*root, self.heads.get(root)?.clone())));
        scene.heads.extend(heads);
        scene.existing = needs.existence.iter().filter(|key| self.current.contains_key(key)).cloned().collect();
        scene
    }

    fn keep(&mut self, decision: &Decision) {
        for write in &decision.heads {
            assert_eq!(self.heads.get(&write.root).map(|head| head.version), write.expected, "a head's version");
            self.heads.insert(write.root, write.head.clone());
        }
        for write in &decision.writes {
            let resource = &write.resource;
            let before = self.current.get(&resource.key).map_or(0, |(_, before)| before.version);
            assert_eq!(resource.version, before + 1, "versions have no gaps");
            if write.method == Method::Delete {
                self.current.remove(&resource.key);
                continue;
            }
            is_fhir(resource);
            self.current.insert(resource.key.clone(), (write.root, resource.clone()));
        }
        for message in &decision.outbox {
            [Some(&message.work), Some(&message.step), message.owner.as_ref()]
                .into_iter()
                .flatten()
                .for_each(|text| storable(text));
        }
        let replaced = |timer: &Timer| decision.timers.iter().any(|new| new.id == timer.id);
        self.timers.retain(|timer| !replaced(timer) && !decision.timers_done.contains(&timer.id));
        self.timers.extend(decision.timers.iter().cloned());
    }

    /// The Tasks whose status is one of these.
    pub(crate) fn tasks(&self, wanted: impl Fn(&Body) -> bool) -> Vec<Key> {
        let tasks = self.current.iter().filter(|(key, (_, task))| key.kind == Kind::TASK && wanted(&task.body));
        tasks.map(|(key, _)| key.clone()).collect()
    }

    /// Lets the time of the next timer come. False when there is none.
    pub(crate) fn fire(&mut self) -> bool {
        let Some(next) = self.timers.iter().min_by_key(|timer| timer.due).cloned() else { return false };
        self.now = self.now.max(next.due);
        self.execute(Act::Fire(next.id)).unwrap_or_else(|refusal| panic!("a timer is refused: {refusal:?}"));
        true
    }
}

/// A report of [`PERFORMER`].
pub(crate) fn report(task: &str, act: Reported, sequence: u32) -> StatusReport {
    StatusReport {
        report_id: format!("{task} {sequence} {act:?}"),
        task_id: task.to_owned(),
        sequence,
        performer: PERFORMER.to_owned(),
        act,
        task_version: None,
        business_status: None,
        status_reason: None,
        output: Vec::new(),
        quiet: false,
    }
}

/// Whatever was decided, what is stored can be read by those who know FHIR.
fn is_fhir(resource: &Resource) {
    if let Err(faults) = gate::check(&resource.body, Some(resource.key.kind.name())) {
        panic!("what is to be stored is no FHIR: {faults:?} in {}", Value::Object(resource.body.clone().into_body()));
    }
}

/// A database takes every text but one with a NUL in it.
pub(crate) fn storable(text: &str) {
    assert!(!text.contains('\0'), "no database takes this: {text:?}");
}
