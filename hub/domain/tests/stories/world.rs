//! A registry in memory, as simple as can be.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use hub_domain::command::{Act, Caller, Command, Entry, Interaction, On};
use hub_domain::decide::{Moment, Policy, Verdict, decide, needs, stamp};
use hub_domain::decision::{Decision, Message, Timer, TimerId};
use hub_domain::directory::Lookup;
use hub_domain::plan::advance::{Move, Standing, Told};
use hub_domain::plan::graph::Graph;
use hub_domain::plan::kept::KeptPlan;
use hub_domain::plan::run::Run;
use hub_domain::refusal::Refusal;
use hub_domain::scene::{Head, Needs, Scene};
use hub_domain::task_machine::TABLE;
use hub_domain::workflow::{BUILT_IN, Catalogue, Offered};
use schemas::ids::TaskId;
use schemas::message::{Act as Reported, StatusReport};
use schemas::resource::{Body, Key, Kind, Resource, text_at};
use schemas::task::TaskStatus;
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// So long after the one before every command comes.
const COMMAND_US: i64 = 1_000;

#[derive(Clone)]
pub(crate) struct World {
    policy: Policy,
    now: Timestamp,
    heads: BTreeMap<Uuid, Head>,
    current: BTreeMap<Key, (Uuid, Resource)>,
    versions: Vec<Resource>,
    outbox: Vec<Message>,
    timers: Vec<Timer>,
    /// As a database has them: by their hash, as texts.
    plans: BTreeMap<String, String>,
    /// Those that were read.
    read: RefCell<BTreeMap<String, Arc<KeptPlan>>>,
    /// By order, step and offer.
    tasks: BTreeMap<(Uuid, u32, u32), Key>,
    commands: u128,
    /// All that was wanted so far, and when.
    history: Vec<(Timestamp, Act, Caller)>,
    /// All timers that were ever set.
    set: Vec<TimerId>,
}

impl World {
    pub(crate) fn policy() -> Policy {
        let plans = BUILT_IN.iter().map(|(_, text)| Offered::read(text).unwrap()).collect();
        Policy { catalogue: Catalogue::new(plans).unwrap(), ..Policy::default() }
    }

    pub(crate) fn new() -> Self {
        Self::with(Self::policy())
    }

    pub(crate) fn with(policy: Policy) -> Self {
        Self {
            policy,
            now: Timestamp(1_790_000_000_000_000),
            heads: BTreeMap::new(),
            current: BTreeMap::new(),
            versions: Vec::new(),
            outbox: Vec::new(),
            timers: Vec::new(),
            plans: BTreeMap::new(),
            read: RefCell::default(),
            tasks: BTreeMap::new(),
            commands: 0,
            history: Vec::new(),
            set: Vec::new(),
        }
    }

    /// Submits requests together; the `Type/id` of the first.
    pub(crate) fn submit(&mut self, requests: Vec<Value>) -> String {
        let entry = |request: Value| {
            let Value::Object(body) = request else { panic!("a request is an object") };
            let kind = Kind::parse(text_at(&body, &["resourceType"]).unwrap()).unwrap();
            Entry::new(Interaction::Create { kind, body: body.into(), unless: None })
        };
        let entries = requests.into_iter().map(entry).collect();
        self.commands(Act::Change(entries), Caller::Local).unwrap().reply.entries[0].reference.clone()
    }

    /// Submits one resource as somebody.
    pub(crate) fn create(&mut self, body: Value, caller: Caller) -> Result<String, Refusal> {
        let Value::Object(body) = body else { panic!("a resource is an object") };
        let kind = Kind::parse(text_at(&body, &["resourceType"]).unwrap()).unwrap();
        let decided =
            self.commands(Act::alone(Interaction::Create { kind, body: body.into(), unless: None }), caller)?;
        Ok(decided.reply.entries[0].reference.clone())
    }

    /// Sends a resource back with other elements.
    pub(crate) fn set(&mut self, reference: &str, elements: Value) -> Result<(), Refusal> {
        let key = Key::of_reference(reference).unwrap();
        let mut body = self.current[&key].1.body.clone().into_body();
        body.extend(elements.as_object().unwrap().clone());
        let update = Interaction::Update { on: On::Key(key), body: body.into(), if_match: None };
        self.commands(Act::alone(update), Caller::Local).map(drop)
    }

    /// Claims a step's newest Task, starts it, completes it.
    pub(crate) fn does(&mut self, order: &str, step: u32, who: &str) {
        for (n, act) in [Reported::Claim, Reported::InProgress, Reported::Completed].into_iter().enumerate() {
            self.report(order, step, who, act, n as u32 + 1).unwrap();
        }
    }

    /// Claims a step and completes it with outputs that name these.
    pub(crate) fn chooses(&mut self, order: &str, step: u32, who: &str, names: &[&str]) {
        self.report(order, step, who, Reported::Claim, 1).unwrap();
        self.completes_with(order, step, 1, who, names, 2).unwrap();
    }

    pub(crate) fn completes_with(
        &mut self,
        order: &str,
        step: u32,
        offer: u32,
        who: &str,
        names: &[&str],
        sequence: u32,
    ) -> Result<(), Refusal> {
        let mut report = self.said(order, step, offer, who, Reported::Completed, sequence);
        let output = |name: &&str| json!({ "type": { "text": "branch" }, "valueString": name });
        report.output = names.iter().map(|name| output(name).as_object().unwrap().clone()).collect();
        self.commands(Act::Report(report), Caller::Local).map(drop)
    }

    pub(crate) fn report(
        &mut self,
        order: &str,
        step: u32,
        who: &str,
        act: Reported,
        sequence: u32,
    ) -> Result<(), Refusal> {
        self.report_offer(order, step, 1, who, act, sequence)
    }

    /// Claims a step by the message of one version of its Task.
    pub(crate) fn claims(&mut self, order: &str, step: u32, who: &str, version: u32) -> Result<(), Refusal> {
        let mut report = self.said(order, step, 1, who, Reported::Claim, 1);
        report.report_id.push_str(&format!(" of {version}"));
        report.task_version = Some(version);
        self.commands(Act::Report(report), Caller::Local).map(drop)
    }

    pub(crate) fn report_offer(
        &mut self,
        order: &str,
        step: u32,
        offer: u32,
        who: &str,
        act: Reported,
        sequence: u32,
    ) -> Result<(), Refusal> {
        let report = self.said(order, step, offer, who, act, sequence);
        self.commands(Act::Report(report), Caller::Local).map(drop)
    }

    /// Does a step, and tells what came of it.
    pub(crate) fn does_with(&mut self, order: &str, step: u32, who: &str, output: Value) {
        self.report(order, step, who, Reported::Claim, 1).unwrap();
        let mut report = self.said(order, step, 1, who, Reported::Completed, 2);
        report.output = output.as_array().unwrap().iter().map(|one| one.as_object().unwrap().clone()).collect();
        self.commands(Act::Report(report), Caller::Local).unwrap();
    }

    /// Fails with a reason of the performer's own.
    pub(crate) fn fails_because(
        &mut self,
        order: &str,
        step: u32,
        offer: u32,
        who: &str,
        why: &str,
        sequence: u32,
    ) -> Result<(), Refusal> {
        let mut report = self.said(order, step, offer, who, Reported::Failed, sequence);
        report.status_reason = json!({ "text": why }).as_object().cloned();
        self.commands(Act::Report(report), Caller::Local).map(drop)
    }

    fn said(&self, order: &str, step: u32, offer: u32, who: &str, act: Reported, sequence: u32) -> StatusReport {
        StatusReport {
            report_id: format!("{who} {step} {offer} {sequence} {act:?}"),
            task_id: self.task(order, step, offer).key.id.clone(),
            sequence,
            performer: who.to_owned(),
            act,
            task_version: None,
            business_status: None,
            status_reason: None,
            output: Vec::new(),
            quiet: false,
        }
    }

    pub(crate) fn set_status(&mut self, reference: &str, status: &str) -> Result<(), Refusal> {
        self.set(reference, json!({ "status": status }))
    }

    /// Moves a Task as a caller does who sends it back with another status.
    pub(crate) fn move_task(&mut self, order: &str, step: u32, status: &str) -> Result<(), Refusal> {
        let name = self.task(order, step, 1).key.to_string();
        self.set_status(&name, status)
    }

    /// Sends a step's newest Task back, which is to be done so often in all, and perhaps has come to its end.
    pub(crate) fn asks_again(
        &mut self,
        order: &str,
        step: u32,
        times: usize,
        status: Option<&str>,
    ) -> Result<(), Refusal> {
        let task = self.newest(order, step).unwrap();
        let name = task.key.to_string();
        let mut restriction = task.body.get("restriction").cloned().unwrap_or_else(|| json!({}));
        restriction["repetitions"] = times.into();
        let mut elements = json!({ "restriction": restriction });
        status.into_iter().for_each(|status| elements["status"] = status.into());
        self.set(&name, elements)
    }

    /// Seconds pass, and what is due fires.
    pub(crate) fn passes(&mut self, seconds: u64) {
        self.now = self.now.plus(std::time::Duration::from_secs(seconds));
        let due: Vec<Timer> = self.timers.iter().filter(|timer| timer.due <= self.now).cloned().collect();
        for timer in due {
            self.commands(Act::Fire(timer.id), Caller::Hub).unwrap();
        }
    }

    /// Seconds go by, and nothing fires.
    pub(crate) fn is_slow(&mut self, seconds: u64) {
        self.now = self.now.plus(std::time::Duration::from_secs(seconds));
    }

    /// Seconds go by, and what is due fires at its time: of one time claims lapse first, in the order of their steps.
    pub(crate) fn go_by(&mut self, seconds: u64) {
        let end = self.now.plus(std::time::Duration::from_secs(seconds));
        let turn = |timer: &Timer| {
            let mut name = timer.id.name.split('.');
            let is_claim = name.next() == Some("lease");
            (timer.due, !is_claim, name.next().and_then(|step| step.parse::<u32>().ok()))
        };
        let next = |world: &Self| {
            let due = world.timers.iter().filter(|timer| timer.due <= end);
            due.min_by_key(|timer| turn(timer)).cloned()
        };
        while let Some(timer) = next(self) {
            self.now = self.now.max(timer.due);
            self.commands(Act::Fire(timer.id), Caller::Hub).unwrap();
        }
        self.now = self.now.max(end);
    }

    /// A timer that was once set fires, whether that is wanted still or not: somebody saw it due who is slow.
    pub(crate) fn fires_again(&mut self, n: usize) {
        if let Some(id) = self.set.get(n % self.set.len().max(1)).cloned() {
            self.commands(Act::Fire(id), Caller::Hub).unwrap();
        }
    }

    pub(crate) fn clock_goes_back(&mut self, seconds: u64) {
        self.now = Timestamp(self.now.0 - seconds as i64 * 1_000_000);
    }

    pub(crate) fn commands(&mut self, act: Act, caller: Caller) -> Result<Decision, Refusal> {
        self.commands += 1;
        self.now = Timestamp(self.now.0 + COMMAND_US);
        let id = Uuid::from_u128(self.commands << 64);
        self.history.push((self.now, act.clone(), caller.clone()));
        let plain = Command { id, caller, act, repeat: None, traceparent: None };
        let mut command = plain.clone();
        stamp(&mut command, self.now);
        let mut scene = self.scene(&needs(&command, &self.policy));
        // As often as the engine lets it.
        for _ in 0..=6 {
            let moment = Moment { now: self.now, policy: &self.policy };
            match decide(&scene, &command, &moment)? {
                Verdict::Decided(decision) => {
                    check_same(&decision, decide(&scene, &plain, &moment));
                    self.keep(&decision);
                    return Ok(*decision);
                }
                Verdict::More(needs) => {
                    scene.add(self.scene(&needs));
                    scene.asked.extend(needs.existence);
                }
            }
        }
        panic!("asks for more without end");
    }

    /// What was asked for, and no more.
    fn scene(&self, needs: &Needs) -> Scene {
        let mut scene = Scene::default();
        for key in &needs.resources {
            if let Some((root, resource)) = self.current.get(key) {
                scene.resources.insert(key.clone(), resource.clone());
                scene.roots.insert(key.clone(), *root);
                scene.heads.insert(*root, self.heads[root].clone());
            }
        }
        let heads = needs.roots.iter().filter_map(|root| Some((*root, self.heads.get(root)?.clone())));
        scene.heads.extend(heads);
        let named = scene.heads.values().filter_map(|head| head.run.as_ref()?.plan.clone());
        scene.plans = named.filter_map(|hash| Some((hash.clone(), self.plan(&hash)?))).collect();
        scene.found = needs.lookups.iter().map(|lookup| (lookup.clone(), self.look_up(lookup))).collect();
        scene.existing = needs.existence.iter().filter(|key| self.current.contains_key(key)).cloned().collect();
        scene
    }

    fn plan(&self, hash: &str) -> Option<Arc<KeptPlan>> {
        let text = self.plans.get(hash)?;
        let mut read = self.read.borrow_mut();
        Some(read.entry(hash.to_owned()).or_insert_with(|| Offered::read(text).unwrap().plan).clone())
    }

    /// More than was asked for: the broker is to choose by itself.
    fn look_up(&self, lookup: &Lookup) -> Vec<Resource> {
        let all = self.current.values().map(|(_, resource)| resource);
        match lookup {
            Lookup::Services { .. } => {
                all.filter(|resource| resource.key.kind.name() == "HealthcareService").cloned().collect()
            }
            Lookup::Plans => {
                let is_plan = |found: &&Resource| found.key.kind.name() == "PlanDefinition";
                all.filter(is_plan).filter(|found| found.text("status") == Some("active")).cloned().collect()
            }
            Lookup::Definitions { kind, url } => {
                all.filter(|found| found.key.kind == *kind && found.text("url") == Some(url)).cloned().collect()
            }
            Lookup::Open { owner, .. } => {
                let is_open = |task: &&Resource| {
                    let open = TaskStatus::of(&task.body).is_some_and(|s| !s.is_terminal() && s != TaskStatus::Draft);
                    open && schemas::task::owner(&task.body) == Some(owner)
                };
                all.filter(|resource| resource.key.kind == Kind::TASK).filter(is_open).cloned().collect()
            }
        }
    }

    fn keep(&mut self, decision: &Decision) {
        for write in &decision.heads {
            assert_eq!(self.heads.get(&write.root).map(|head| head.version), write.expected);
            self.heads.insert(write.root, write.head.clone());
        }
        for write in &decision.writes {
            self.versions.push(write.resource.clone());
            if let Ok(id) = write.resource.key.id.parse::<TaskId>()
                && write.resource.key.kind == Kind::TASK
            {
                self.tasks.insert((write.root, id.step, id.occurrence), write.resource.key.clone());
            }
            self.current.insert(write.resource.key.clone(), (write.root, write.resource.clone()));
        }
        self.outbox.extend(decision.outbox.iter().cloned());
        self.plans.extend(decision.plans.iter().map(|(hash, _, text)| (hash.clone(), text.clone())));
        let replaced = |timer: &Timer| decision.timers.iter().any(|new| new.id == timer.id);
        self.timers.retain(|timer| !replaced(timer) && !decision.timers_done.contains(&timer.id));
        self.timers.extend(decision.timers.iter().cloned());
        self.set.extend(decision.timers.iter().map(|timer| timer.id.clone()));
    }

    // ---- living through it again

    /// As whoever finds it in a database has it: nothing but texts.
    pub(crate) fn read_again(&self) -> Self {
        let mut again = self.clone();
        again.read.take();
        for run in again.heads.values_mut().filter_map(|head| head.run.as_mut()) {
            *run = serde_json::from_str(&serde_json::to_string(run).unwrap()).unwrap();
        }
        for (_, resource) in again.current.values_mut() {
            let body: Body = serde_json::from_str(resource.body.text().get()).unwrap();
            resource.body = body.into();
        }
        again
    }

    /// Lives through what another one has lived through since.
    pub(crate) fn follow(&mut self, other: &Self) {
        for (time, act, caller) in &other.history[self.history.len()..] {
            self.now = Timestamp(time.0 - COMMAND_US);
            // What was refused then is refused again.
            let _ = self.commands(act.clone(), caller.clone());
        }
    }

    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (&self.heads, &self.current, &self.timers) == (&other.heads, &other.current, &other.timers)
            && (&self.outbox, &self.versions) == (&other.outbox, &other.versions)
    }

    // ---- looking

    pub(crate) fn commands_count(&self) -> usize {
        self.history.len()
    }

    /// When something happened to an order last (microseconds).
    pub(crate) fn last(&self, order: &str) -> i64 {
        self.heads[&self.root(order)].last.0
    }

    /// The run of an order, and whether some time is waited for.
    pub(crate) fn run(&self, order: &str) -> (&Run, bool) {
        let root = self.root(order);
        (self.heads[&root].run.as_ref().unwrap(), self.timers.iter().any(|timer| timer.id.root == root))
    }

    fn root(&self, order: &str) -> Uuid {
        self.current[&Key::of_reference(order).unwrap()].0
    }

    fn tasks(&self, order: &str) -> impl DoubleEndedIterator<Item = (u32, u32, &Resource)> {
        self.offers(order, 0, u32::MAX)
    }

    fn offers(&self, order: &str, first: u32, last: u32) -> impl DoubleEndedIterator<Item = (u32, u32, &Resource)> {
        let root = self.root(order);
        let tasks = self.tasks.range((root, first, 0)..=(root, last, u32::MAX));
        tasks.map(|((_, step, occurrence), key)| (*step, *occurrence, &self.current[key].1))
    }

    fn task(&self, order: &str, step: u32, offer: u32) -> &Resource {
        self.offers(order, step, step).find(|(_, o, _)| *o == offer).unwrap().2
    }

    /// The newest Task of a step.
    pub(crate) fn newest(&self, order: &str, step: u32) -> Option<&Resource> {
        self.offers(order, step, step).next_back().map(|(.., task)| task)
    }

    /// By when a Task is to be done (microseconds).
    pub(crate) fn until_of(task: &Resource) -> Option<i64> {
        text_at(&task.body, &["restriction", "period", "end"]).and_then(Timestamp::range).map(|(low, _)| low.0)
    }

    pub(crate) fn now(&self) -> i64 {
        self.now.0
    }

    /// What the plan of an order would do next, from its head as it is stored, when all of it is looked at.
    pub(crate) fn left_to_do(&self, order: &str, told: &Told) -> Vec<Move> {
        let stored = serde_json::to_string(self.heads[&self.root(order)].run.as_ref().unwrap()).unwrap();
        let run: Run = serde_json::from_str(&stored).unwrap();
        let offered = self.policy.catalogue.find(run.plan.as_deref().unwrap()).unwrap();
        let graph = Graph::bind(&offered.plan, run.requests.len());
        let is_over = run.tasks[0].status.is_some_and(TaskStatus::is_terminal);
        if run.revoked || run.closed || is_over {
            return Vec::new();
        }
        Standing::new(&graph, &run, self.now).told(told).moves()
    }

    /// `0 requested, 2 draft, 2.2 requested`: each Task by its step.
    pub(crate) fn states(&self, order: &str) -> String {
        let tell = |(step, occurrence, task): (u32, u32, &Resource)| {
            let name = if occurrence > 1 { format!("{step}.{occurrence}") } else { step.to_string() };
            format!("{name} {}", task.text("status").unwrap())
        };
        self.tasks(order).map(tell).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn resource(&self, reference: &str) -> &Resource {
        &self.current[&Key::of_reference(reference).unwrap()].1
    }

    /// All of a type.
    pub(crate) fn all(&self, kind: &str) -> Vec<&Resource> {
        self.current.iter().filter(|(key, _)| key.kind.name() == kind).map(|(_, (_, resource))| resource).collect()
    }

    pub(crate) fn status_of(&self, reference: &str) -> String {
        self.current[&Key::of_reference(reference).unwrap()].1.text("status").unwrap().to_owned()
    }

    pub(crate) fn owner(&self, order: &str, step: u32) -> Option<String> {
        schemas::task::owner(&self.task(order, step, 1).body).map(str::to_owned)
    }

    /// The first Task of a step, as it is.
    pub(crate) fn step_of(&self, order: &str, step: u32) -> Value {
        self.offer_of(order, step, 1)
    }

    pub(crate) fn offer_of(&self, order: &str, step: u32, offer: u32) -> Value {
        Value::Object(self.task(order, step, offer).body.clone().into_body())
    }

    pub(crate) fn requests(&self, order: &str) -> Vec<String> {
        self.heads[&self.root(order)].run.as_ref().unwrap().requests.clone()
    }

    pub(crate) fn history(&self, order: &str, step: u32) -> Vec<String> {
        let key = self.task(order, step, 1).key.clone();
        let versions = self.versions.iter().filter(|version| version.key == key);
        versions.map(|version| version.text("status").unwrap().to_owned()).collect()
    }

    /// `laboratory collect`: kind of work and step of what was published.
    pub(crate) fn published(&self) -> Vec<String> {
        self.outbox.iter().map(|message| format!("{} {}", message.work, message.step)).collect()
    }

    /// A timer of a step that cannot come to it any more.
    pub(crate) fn left_over(&self) -> Option<String> {
        let says = |Timer { id, .. }: &Timer| {
            let mut parts = id.name.split('.');
            let (kind, mut numbers) = (parts.next()?, parts.map(|number| number.parse::<u32>().unwrap()));
            let tasks = &self.heads[&id.root].run.as_ref()?.tasks;
            let step = tasks.get(numbers.next()? as usize).cloned().unwrap_or_default();
            let is_open = step.status.is_some_and(|status| !status.is_terminal());
            let is_draft = matches!(step.status, None | Some(TaskStatus::Draft));
            let can_come = numbers.next().is_none_or(|occurrence| occurrence == step.occurrence)
                && match kind {
                    "wait" => is_draft,
                    "until" => is_open && !is_draft && !step.late,
                    "answer" => step.status == Some(TaskStatus::Requested),
                    // Who cannot be reached is called again.
                    "call" => !is_open,
                    _ => is_open,
                };
            (!can_come).then(|| format!("the timer {} is left, and the step is {:?}", id.name, step.status))
        };
        self.timers.iter().find_map(says)
    }

    /// Every Task's history is a walk through the published table, without a gap in its versions; and no timer is left.
    pub(crate) fn check_histories(&self) {
        assert_eq!(self.left_over(), None);
        let table: Value = serde_json::from_str(TABLE).unwrap();
        let mut last: BTreeMap<&Key, (&str, u32)> = BTreeMap::new();
        for version in self.versions.iter().filter(|version| version.key.kind == Kind::TASK) {
            let status = version.text("status").unwrap();
            let part = if version.key.id.ends_with(".0") { "derived" } else { "transitions" };
            if let Some((from, number)) = last.get(&version.key) {
                assert_eq!(version.version, number + 1, "{}", version.key);
                let rows = table[part].as_array().unwrap();
                let legal = rows.iter().any(|row| row["from"] == *from && row["to"] == status && row["off"] != true);
                assert!(*from == status || legal, "{}: {from} to {status}", version.key);
            }
            last.insert(&version.key, (status, version.version));
        }
    }
}

pub(crate) fn referral() -> Vec<Value> {
    vec![json!({
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "code": { "text": "Referral to cardiology" },
        "subject": { "reference": "Patient/1" },
    })]
}

pub(crate) fn laboratory() -> Vec<Value> {
    let mut order = referral();
    order[0]["category"] = json!([{ "coding": [{ "system": "http://snomed.info/sct", "code": "108252007" }] }]);
    order
}

pub(crate) fn prescription(items: usize) -> Vec<Value> {
    let item = |n: usize| {
        json!({
            "resourceType": "MedicationRequest",
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": { "text": format!("Item {n}") },
            "subject": { "reference": "Patient/1" },
            "groupIdentifier": { "system": "urn:prescription", "value": "A-1" },
        })
    };
    (1..=items).map(item).collect()
}

/// What a command was told before it was decided makes no difference.
fn check_same(told: &Decision, plain: Result<Verdict, Refusal>) {
    let Ok(Verdict::Decided(plain)) = plain else { panic!("it is decided only when it is stamped") };
    let of = |decision: &Decision| -> Vec<Resource> { decision.writes.iter().map(|it| it.resource.clone()).collect() };
    assert_eq!((&told.reply, of(told)), (&plain.reply, of(&plain)));
}
