//! As much of a registry as shows each decision the scene that it would see in the hub.

use std::collections::BTreeMap;

use hub_domain::command::{Act, Caller, Command, Interaction};
use hub_domain::decide::{Moment, Policy, Verdict, decide, needs, stamp};
use hub_domain::decision::Decision;
use hub_domain::plan::run::Run;
use hub_domain::scene::{Head, Needs, Scene};
use hub_domain::workflow::{BUILT_IN, Catalogue, Offered};
use schemas::ids::TaskId;
use schemas::message::{Act as Reported, StatusReport};
use schemas::resource::{Key, Resource};
use schemas::task::TaskStatus;
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::orders::Order;

/// The order that is submitted; its Tasks are called by it.
const ROOT: Uuid = Uuid::from_u128(0x5f0c_3d1e_8a42_4b7c_9e60_17d2_a4b8_c3f5);
/// When all happens.
pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

pub(crate) struct Registry {
    pub(crate) policy: Policy,
    heads: BTreeMap<Uuid, Head>,
    current: BTreeMap<Key, (Uuid, Resource)>,
}

/// All that a decision needs.
pub(crate) struct Case {
    pub(crate) policy: Policy,
    pub(crate) command: Command,
    pub(crate) scene: Scene,
}

impl Registry {
    /// An empty one, with the built-in plans.
    pub(crate) fn new() -> Self {
        Self::with(BUILT_IN.iter().map(|(_, text)| Offered::read(text).unwrap()).collect())
    }

    pub(crate) fn with(plans: Vec<Offered>) -> Self {
        let policy = Policy { catalogue: Catalogue::new(plans).unwrap(), ..Policy::default() };
        Self { policy, heads: BTreeMap::new(), current: BTreeMap::new() }
    }

    /// The command together with everything that it asks to see.
    pub(crate) fn case(&self, act: Act) -> Case {
        let mut command = Command { id: ROOT, caller: Caller::Local, act, repeat: None, traceparent: None };
        stamp(&mut command, NOW);
        let mut scene = self.scene(&needs(&command, &self.policy));
        let moment = Moment { now: NOW, policy: &self.policy };
        while let Verdict::More(needs) = decide(&scene, &command, &moment).unwrap() {
            scene.add(self.scene(&needs));
            scene.asked.extend(needs.existence);
        }
        Case { policy: self.policy.clone(), command, scene }
    }

    /// Makes true what follows from this.
    pub(crate) fn execute(&mut self, act: Act) -> Decision {
        let decision = self.case(act).decided();
        self.heads.extend(decision.heads.iter().map(|write| (write.root, write.head.clone())));
        let written = decision.writes.iter().map(|write| (write.root, write.resource.clone()));
        self.current.extend(written.map(|(root, resource)| (resource.key.clone(), (root, resource))));
        decision
    }

    /// The order is where nobody brought it: what its head says is changed.
    pub(crate) fn revise(&mut self, change: impl FnOnce(&mut Run)) {
        change(self.heads.get_mut(&ROOT).and_then(|head| head.run.as_mut()).unwrap());
    }

    /// And this step is on offer.
    pub(crate) fn release(&mut self, step: usize) {
        self.revise(|run| run.tasks[step].status = Some(TaskStatus::Requested));
        let key = Key::task(TaskId { root: ROOT, step: step as u32, occurrence: 1 });
        let (_, task) = self.current.get_mut(&key).unwrap();
        let mut body = task.body.clone().into_body();
        body.insert("status".into(), TaskStatus::Requested.code().into());
        *task = task.next(NOW, body);
    }

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
        scene.existing = needs.existence.iter().filter(|key| self.current.contains_key(key)).cloned().collect();
        scene
    }
}

impl Case {
    /// As the engine does when all has been loaded.
    pub(crate) fn decided(&self) -> Decision {
        match decide(&self.scene, &self.command, &Moment { now: NOW, policy: &self.policy }) {
            Ok(Verdict::Decided(decision)) => *decision,
            other => panic!("not decided: {other:?}"),
        }
    }
}

pub(crate) fn submission(order: &Order) -> Act {
    Act::alone(Interaction::Create { kind: order.kind, body: order.body().into(), unless: None })
}

/// Of a step of the plan.
pub(crate) fn report(step: usize, act: Reported, sequence: u32) -> Act {
    Act::Report(StatusReport {
        report_id: format!("report-{sequence}"),
        task_id: format!("{ROOT}.{step}"),
        sequence,
        performer: "Organization/laboratory-1".to_owned(),
        act,
        task_version: None,
        business_status: None,
        status_reason: None,
        output: Vec::new(),
        quiet: true,
    })
}
