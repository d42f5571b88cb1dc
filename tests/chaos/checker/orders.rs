//! Whether every order is whole: its requests, its fulfilment Task and a Task for each step of its plan are there, once,
//! and the whole ended as its parts did.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use futures_util::TryStreamExt;
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::ledger::{Ledger, Task};
use super::plan::{Plans, Step};
use super::services::Service;
use super::verdict::{Fact, Fault, Verdict};
use super::{bookings, prescriptions, waits};

/// What a head row says of an order: its plan or its service, and its requests, `Type/id`. The rest of it is the hub's own memory.
#[derive(Deserialize)]
struct Run {
    #[serde(rename = "p", default)]
    plan: Option<String>,
    #[serde(rename = "w", default)]
    service: Option<Service>,
    #[serde(rename = "r", default)]
    requests: Vec<String>,
}

pub(super) async fn judge(database: &mut PgConnection, ledger: &Ledger, verdict: &mut Verdict) -> Result<()> {
    let plans = Plans::load(database).await?;
    let mut judging = Judging { ledger, plans, verdict, order_of: HashMap::new(), seen: HashSet::new() };
    let heads = "SELECT root, run FROM head WHERE run IS NOT NULL";
    let mut rows = sqlx::query_as::<_, (Uuid, String)>(heads).fetch(database);
    while let Some((root, run)) = rows.try_next().await? {
        match serde_json::from_str::<Run>(&run) {
            Ok(Run { plan: Some(plan), requests, .. }) => judging.order(root, &plan, requests),
            Ok(Run { service: Some(service), requests, .. }) if !requests.is_empty() => {
                judging.seen.insert(root);
                judging.verdict.saw(Fact::Orders, 1);
                judging.requests(root, &requests);
                match service {
                    Service::Prescriptions => prescriptions::is_whole(root, &requests, ledger, judging.verdict)?,
                    Service::Referrals => bookings::is_whole(root, &requests, ledger, judging.verdict),
                }
            }
            // A Task that stands alone, or what is cancelled before it came.
            Ok(_) => {}
            Err(_) => judging.verdict.blame(Fault::Damaged, || format!("the head of order {root} is no JSON")),
        }
    }
    let of_prescriptions = ledger.prescriptions.keys();
    let seen = judging.seen;
    for root in ledger.orders.keys().chain(of_prescriptions).filter(|root| !seen.contains(root)) {
        judging.verdict.blame(Fault::Lost, || format!("order {root} has Tasks and no head"));
    }
    Ok(())
}

struct Judging<'a> {
    ledger: &'a Ledger,
    plans: Plans,
    verdict: &'a mut Verdict,
    /// Which order each request belongs to.
    order_of: HashMap<String, Uuid>,
    seen: HashSet<Uuid>,
}

impl Judging<'_> {
    fn order(&mut self, root: Uuid, plan: &str, requests: Vec<String>) {
        self.seen.insert(root);
        self.verdict.saw(Fact::Orders, 1);
        let steps = self.plans.steps(plan, requests.len());
        self.requests(root, &requests);
        let tasks = self.ledger.orders.get(&root).map(Vec::as_slice).unwrap_or_default();
        let Some(fulfilment) = tasks.iter().find(|task| task.step == 0) else {
            return self.verdict.blame(Fault::Lost, || format!("order {root} has no fulfilment Task"));
        };
        let Some(steps) = steps else {
            return self.verdict.blame(Fault::Lost, || format!("the plan of order {root} is not there"));
        };
        for step in &steps {
            self.step(root, step, &offers(tasks, step.number));
        }
        self.fits(root, fulfilment, &steps, tasks);
        let is_revoked = self.ledger.revoked_us(&fulfilment.based_on).is_some();
        waits::Order { root, steps: &steps, tasks, is_revoked }.judge(self.verdict);
        tasks.iter().for_each(|task| self.stays_cancelled(root, task));
    }

    fn requests(&mut self, root: Uuid, requests: &[String]) {
        for name in requests {
            match self.ledger.requests.get(name) {
                None => self.verdict.blame(Fault::Lost, || format!("{name} of order {root} is not there")),
                Some(request) if request.root != root => {
                    self.verdict
                        .blame(Fault::Doubled, || format!("{name} of order {root} is that of {} too", request.root));
                }
                Some(_) => {}
            }
            if let Some(other) = self.order_of.insert(name.clone(), root) {
                self.verdict.blame(Fault::Doubled, || format!("{name} has two orders, {other} and {root}"));
            }
        }
        let is_asked = |name: &String| self.ledger.requests.get(name).is_some_and(|request| request.is_asked);
        if !requests.iter().any(is_asked) {
            self.verdict.blame(Fault::Unasked, || format!("order {root} ({})", requests.join(", ")));
        }
    }

    fn step(&mut self, root: Uuid, step: &Step, offers: &[&Task]) {
        let name = || format!("order {root} step {} ({})", step.number, step.action);
        if (step.is_must || step.is_offered) && offers.is_empty() {
            self.verdict.blame(Fault::Lost, || format!("{} has no Task", name()));
        }
        if offers.iter().zip(1..).any(|(task, n)| task.offer != n) {
            self.verdict.blame(Fault::Lost, || format!("{} misses one of its {} offers or more", name(), offers.len()));
        }
        let completed = offers.iter().filter(|task| is_completed(task)).count();
        if completed > 1 {
            self.verdict.blame(Fault::DoneTwice, || format!("{} was completed {completed} times", name()));
        }
    }

    /// Each end of the whole asks for something of the parts.
    fn fits(&mut self, root: Uuid, fulfilment: &Task, steps: &[Step], tasks: &[Task]) {
        let undone = steps.iter().find(|step| step.is_must && !self.is_done(&offers(tasks, step.number)));
        let ended = fulfilment.status.as_str();
        let is_revoked = self.ledger.revoked_us(&fulfilment.based_on).is_some();
        match (ended, undone) {
            // Whichever came first, the other heard of it: what was revoked is not completed any more.
            ("completed", _) if is_revoked => {
                self.verdict
                    .blame(Fault::Unfit, || format!("order {root} is completed, and all its requests are revoked"));
            }
            ("completed", Some(step)) => {
                let (number, action) = (step.number, &step.action);
                self.verdict
                    .blame(Fault::Unfit, || format!("order {root} is completed without step {number} ({action})"));
            }
            ("failed" | "rejected", None) => {
                self.verdict.blame(Fault::Unfit, || format!("order {root} is {ended}, and every step is done"));
            }
            ("cancelled", _) if !is_revoked => {
                self.verdict
                    .blame(Fault::Unfit, || format!("order {root} is cancelled, and its request is not revoked"));
            }
            ("completed", None) => {
                let requests = fulfilment.based_on.iter().map(|name| (name, self.ledger.requests.get(name)));
                let open = requests.filter_map(|(name, request)| Some((name, request?)));
                let open = open.filter(|(name, _)| !is_left(tasks, name));
                for (name, request) in open.filter(|(_, r)| r.revoked_us.is_none() && r.status != "completed") {
                    let status = &request.status;
                    self.verdict.blame(Fault::Unfit, || format!("order {root} is completed, and {name} is {status}"));
                }
            }
            _ => {}
        }
    }

    /// Completed, or not wanted any more.
    fn is_done(&self, offers: &[&Task]) -> bool {
        let is_withdrawn = |task: &&Task| self.ledger.revoked_us(&task.based_on).is_some();
        offers.iter().any(|task| is_completed(task)) || offers.last().is_some_and(is_withdrawn)
    }

    /// Nobody may take work whose requests were revoked before; but to stop what is under way, somebody must.
    fn stays_cancelled(&mut self, root: Uuid, task: &Task) {
        let (Some(taken), Some(revoked)) = (task.taken_us, self.ledger.revoked_us(&task.based_on)) else { return };
        if task.step != 0 && !task.asks && taken > revoked {
            let (step, status) = (task.step, &task.status);
            let late_ms = (taken - revoked) / 1000;
            self.verdict.blame(Fault::WentOn, || {
                format!(
                    "order {root} step {step} was taken {late_ms} ms after its request was revoked, and is {status}"
                )
            });
        }
    }
}

/// Nothing was done of what was to be done for this request alone: it is left as it was.
fn is_left(tasks: &[Task], request: &String) -> bool {
    let is_own =
        |task: &&Task| task.step != 0 && !task.asks && task.based_on.as_slice() == std::slice::from_ref(request);
    let mut own = tasks.iter().filter(is_own).peekable();
    own.peek().is_some() && own.all(|task| !is_completed(task))
}

/// The Tasks of a step, the first one first.
fn offers(tasks: &[Task], step: u32) -> Vec<&Task> {
    let mut offers: Vec<&Task> = tasks.iter().filter(|task| task.step == step).collect();
    offers.sort_by_key(|task| task.offer);
    offers
}

fn is_completed(task: &Task) -> bool {
    task.status == "completed"
}
