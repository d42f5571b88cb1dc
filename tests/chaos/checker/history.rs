//! One walk through every version of every resource, in their order. What can be seen from one resource alone is
//! judged here; the rest goes into the [`Ledger`].

use std::collections::HashMap;

use anyhow::Result;
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use uuid::Uuid;

use super::TERMINAL;
use super::body::{Body, Reference};
use super::ledger::{Appointment, Ledger, Moment, Request, Step, Task, Turn, parts_of};
use super::matrix::Matrix;
use super::services::{self, Service};
use super::verdict::{Fact, Fault, Verdict};

const DELETED: i16 = 3;
/// States in which somebody has taken a Task.
const TAKEN: [&str; 3] = ["received", "accepted", "in-progress"];
/// The ways of the types of requests to say that nothing is wanted any more.
const REVOKED: [&str; 3] = ["revoked", "cancelled", "stopped"];

const VERSIONS: &str = "SELECT kind, id, version, root, method, updated, body FROM version ORDER BY kind, id, version";
const CURRENT: &str = "SELECT 'Task/' || id, version, updated, status, owner FROM task
    UNION ALL SELECT kind || '/' || id, version, updated, status, NULL FROM resource";

/// kind, id, version, root, method, updated (microseconds), body
type Row = (String, String, i32, Uuid, i16, i64, Vec<u8>);
/// version, updated, status, owner
type Current = (i32, i64, Option<String>, Option<String>);

pub(super) async fn read(database: &mut PgConnection, ledger: &mut Ledger, verdict: &mut Verdict) -> Result<()> {
    let mut reading = Reading {
        matrix: Matrix::read()?,
        referrals: Matrix::of_referrals()?,
        services: services::roots(database).await?,
        current: current(database).await?,
        ledger,
        verdict,
    };
    let mut walk: Option<Walk> = None;
    let mut rows = sqlx::query_as::<_, Row>(VERSIONS).fetch(database);
    while let Some(row) = rows.try_next().await? {
        if walk.as_ref().is_some_and(|walk| !walk.is_of(&row)) {
            walk.take().into_iter().for_each(|walk| reading.ends(walk));
        }
        let walk = walk.get_or_insert_with(|| Walk::of(&row));
        reading.steps(walk, row);
    }
    walk.into_iter().for_each(|walk| reading.ends(walk));
    for name in reading.current.keys() {
        reading.verdict.blame(Fault::NotCurrent, || format!("{name} is current and has no history"));
    }
    Ok(())
}

async fn current(database: &mut PgConnection) -> Result<HashMap<String, Current>> {
    let mut current = HashMap::new();
    let mut rows = sqlx::query_as::<_, (String, i32, i64, Option<String>, Option<String>)>(CURRENT).fetch(database);
    while let Some((name, version, updated, status, owner)) = rows.try_next().await? {
        current.insert(name, (version, updated, status, owner));
    }
    Ok(current)
}

/// The history of one resource, as far as it is read.
struct Walk {
    kind: String,
    id: String,
    name: String,
    root: Uuid,
    version: i32,
    updated_us: i64,
    is_deleted: bool,
    newest: Body,
    created_us: i64,
    offered_us: Option<i64>,
    taken_us: Option<i64>,
    revoked_us: Option<i64>,
    /// Of a Task of a prescription.
    steps: Vec<Step>,
    codes: Vec<String>,
    /// Of a slot, or of an appointment.
    moments: Vec<Moment>,
}

impl Walk {
    fn of(row: &Row) -> Self {
        Self {
            kind: row.0.clone(),
            id: row.1.clone(),
            name: format!("{}/{}", row.0, row.1),
            root: row.3,
            version: 0,
            updated_us: i64::MIN,
            is_deleted: false,
            newest: Body::default(),
            created_us: row.5,
            offered_us: None,
            taken_us: None,
            revoked_us: None,
            steps: Vec::new(),
            codes: Vec::new(),
            moments: Vec::new(),
        }
    }

    fn is_of(&self, row: &Row) -> bool {
        (&self.kind, &self.id) == (&row.0, &row.1)
    }

    fn is_task(&self) -> bool {
        self.kind == "Task"
    }

    fn is_request(&self) -> bool {
        self.kind.ends_with("Request") || self.kind == "RequestGroup"
    }

    fn is_booking(&self) -> bool {
        ["Slot", "Appointment"].contains(&self.kind.as_str())
    }
}

struct Reading<'a> {
    matrix: Matrix,
    /// That of the Tasks of referrals.
    referrals: Matrix,
    /// The orders that are those of a service.
    services: HashMap<Uuid, Service>,
    /// What is left of it has no history.
    current: HashMap<String, Current>,
    ledger: &'a mut Ledger,
    verdict: &'a mut Verdict,
}

impl Reading<'_> {
    fn steps(&mut self, walk: &mut Walk, (_, _, version, root, method, updated_us, stored): Row) {
        self.verdict.saw(Fact::Versions, 1);
        self.is_in_order(walk, version, root, updated_us);
        (walk.version, walk.updated_us, walk.is_deleted) = (version, updated_us, method == DELETED);
        if walk.is_deleted {
            return;
        }
        let is_work = walk.is_task() || walk.is_request() || walk.is_booking();
        let read = if is_work { Body::of_work(&stored) } else { Body::of_other(&stored) };
        let body = match read {
            Ok(body) => body,
            Err(why) => {
                let name = &walk.name;
                return self.verdict.blame(Fault::Damaged, || format!("{name} version {version} {why}"));
            }
        };
        if walk.is_task() {
            self.task_steps(walk, &body);
        } else if walk.is_booking() {
            walk.moments.push(Moment { at_us: updated_us, status: body.status.clone() });
        } else if REVOKED.contains(&body.status.as_str()) {
            walk.revoked_us = walk.revoked_us.or(Some(updated_us));
        }
        walk.newest = body;
    }

    fn is_in_order(&mut self, walk: &Walk, version: i32, root: Uuid, updated_us: i64) {
        let name = &walk.name;
        if version != walk.version + 1 {
            let before = walk.version;
            self.verdict.blame(Fault::Disordered, || format!("{name} has version {version} after version {before}"));
        }
        if updated_us < walk.updated_us {
            self.verdict.blame(Fault::Disordered, || format!("{name} version {version} is older than the one before"));
        }
        if root != walk.root {
            self.verdict.blame(Fault::Disordered, || format!("{name} version {version} belongs to another order"));
        }
    }

    fn task_steps(&mut self, walk: &mut Walk, body: &Body) {
        let service = self.services.get(&walk.root);
        if service == Some(&Service::Prescriptions) {
            let version = u32::try_from(walk.version).unwrap_or_default();
            walk.steps.push(Step { version, status: body.status.clone(), owner: body.owner.reference.clone() });
            return walk.codes.push(body.business().to_owned());
        }
        let (name, from, to) = (&walk.name, &walk.newest.status, &body.status);
        let matrix = if service == Some(&Service::Referrals) { &self.referrals } else { &self.matrix };
        let of_hub = parts_of(&walk.id);
        let is_fulfilment = of_hub.is_some_and(|(_, step, _)| step == 0);
        if walk.version == 1 {
            if of_hub.is_some() && !matrix.begins(is_fulfilment, to) {
                self.verdict.blame(Fault::Illegal, || format!("{name} begins as {to}"));
            }
        } else if !from.is_empty() && !matrix.allows(is_fulfilment, from, to) {
            let version = walk.version;
            self.verdict.blame(Fault::Illegal, || format!("{name} goes from {from} to {to} with version {version}"));
        }
        let (before, after) = (&walk.newest.owner.reference, &body.owner.reference);
        if !before.is_empty() && !after.is_empty() && before != after {
            self.verdict.blame(Fault::DoneTwice, || format!("{name} is taken from {before} by {after}"));
        }
        if to == "requested" {
            walk.offered_us = walk.offered_us.or(Some(walk.updated_us));
        }
        if TAKEN.contains(&to.as_str()) {
            walk.taken_us = walk.taken_us.or(Some(walk.updated_us));
        }
        if let Some(steps) = self.ledger.watched.get_mut(name) {
            let version = u32::try_from(walk.version).unwrap_or_default();
            steps.push(Step { version, status: to.clone(), owner: after.clone() });
        }
    }

    fn ends(&mut self, walk: Walk) {
        self.is_current(&walk);
        if walk.is_task() {
            self.task_ends(walk);
        } else if walk.is_request() {
            self.request_ends(walk);
        } else if walk.is_booking() {
            self.booking_ends(walk);
        } else {
            for identifier in &walk.newest.identifier {
                self.ledger.dispenses.entry(identifier.value.clone()).and_modify(|times| *times += 1);
            }
        }
    }

    fn is_current(&mut self, walk: &Walk) {
        let name = &walk.name;
        let Some((version, updated_us, status, owner)) = self.current.remove(name) else {
            if !walk.is_deleted {
                self.verdict.blame(Fault::NotCurrent, || format!("{name} has a history and no current row"));
            }
            return;
        };
        let (status, owner) = (status.unwrap_or_default(), owner.unwrap_or_default());
        let newest = &walk.newest;
        let same = version == walk.version
            && updated_us == walk.updated_us
            && status == newest.status
            && (owner == newest.owner.reference || !walk.is_task());
        if !same || walk.is_deleted {
            let known = format!("version {} {} {}", walk.version, newest.status, newest.owner.reference);
            self.verdict.blame(Fault::NotCurrent, || {
                format!("{name} is current at version {version} {status} {owner}, and its history ends at {known}")
            });
        }
    }

    fn task_ends(&mut self, walk: Walk) {
        self.verdict.saw(Fact::Tasks, 1);
        let (name, status) = (&walk.name, &walk.newest.status);
        if !walk.is_deleted && !TERMINAL.contains(&status.as_str()) {
            self.verdict.blame(Fault::Open, || format!("{name} is still {status}"));
        }
        if let Some(kind) = walk.newest.doubled_output() {
            self.verdict.blame(Fault::DoneTwice, || format!("{name} has two outputs of type {kind}"));
        }
        let Some((root, step, offer)) = parts_of(&walk.id) else { return };
        if root != walk.root {
            self.verdict.blame(Fault::Doubled, || format!("{name} belongs to order {}", walk.root));
        }
        if self.services.get(&root) == Some(&Service::Prescriptions) {
            let turn = Turn { step, offer, steps: walk.steps, codes: walk.codes };
            return self.ledger.prescriptions.entry(root).or_default().push(turn);
        }
        let asks = walk.newest.asks();
        let based_on = walk.newest.based_on.into_iter().map(|reference| reference.reference).collect();
        let Walk { created_us, offered_us, taken_us, updated_us: ended_us, .. } = walk;
        let status = walk.newest.status;
        let task = Task { step, offer, status, based_on, created_us, offered_us, ended_us, taken_us, asks };
        self.ledger.orders.entry(root).or_default().push(task);
    }

    fn booking_ends(&mut self, walk: Walk) {
        if walk.kind == "Slot" {
            return drop(self.ledger.slots.insert(walk.name, walk.moments));
        }
        let first = |all: Vec<Reference>| all.into_iter().next().unwrap_or_default().reference;
        let (slot, request) = (first(walk.newest.slot), first(walk.newest.based_on));
        self.ledger.appointments.insert(walk.name, Appointment { slot, request, history: walk.moments });
    }

    fn request_ends(&mut self, walk: Walk) {
        let mut is_asked = false;
        for identifier in walk.newest.identifier {
            if self.ledger.asked.contains(&identifier.value) {
                is_asked = true;
                self.ledger.identified.entry(identifier.value).or_default().push(walk.name.clone());
            }
        }
        let status = walk.newest.status;
        let request = Request { root: walk.root, is_asked, revoked_us: walk.revoked_us, status };
        self.ledger.requests.insert(walk.name, request);
    }
}
