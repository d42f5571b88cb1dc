//! Prescriptions as the NHS Electronic Prescription Service does them.
//!
//! What may follow what is a table ([`table`], `tables/eps.json`). Each thing that can happen is a file: a prescription
//! comes in ([`order`]), the prescriber takes it back, or an item ([`cancel`]), a dispenser takes it and gives it back
//! ([`release`]), tells what was handed over ([`dispense`]), or does both off a queue ([`queue`]), and wants to be paid
//! ([`claim`]); and time passes ([`time`]). All of them read the [`record`] of a prescription, change it, and put it back
//! with [`keep`], which brings the hub's [`tasks`] to where it is.
//!
//! [`message`] reads what comes in and knows the rules of the messages, [`signature`] what was signed; [`answer`] and
//! [`tracker`] write what goes out, by the [`codes`] of the service.

pub mod answer;
mod cancel;
mod claim;
mod codes;
mod dispense;
pub mod message;
pub mod number;
mod order;
mod queue;
pub mod record;
mod release;
pub mod signature;
pub mod table;
mod tasks;
mod time;
pub mod tracker;

use std::sync::Arc;

use schemas::ids::TaskId;
use schemas::outcome::Issue as Fault;
use schemas::resource::{Body, Key, Kind};
use serde_json::Value;
use uuid::Uuid;

use self::codes::Response;
use self::message::TaskAsk;
use self::signature::Verifier;
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::Needs;
use crate::workflows::wake::move_wake;
use crate::workflows::{self, Answer, Reading};

pub use dispense::dispenses_of;
pub use message::Policy;
pub(crate) use queue::report;
pub use record::Record;
pub(crate) use time::fire;

/// Why a release has to look for prescriptions again.
pub const TAKEN_MEANWHILE: &str = "others released these prescriptions meanwhile";

/// Prescriptions of one answer to a nominated release.
pub const RELEASE_MAX: usize = 25;

/// What is asked of the service.
#[derive(Debug, Clone)]
pub enum Ask {
    Order(message::Order),
    Update(message::Update),
    Notice(message::Notice),
    Release {
        ask: message::Release,
        candidates: Vec<Uuid>,
        /// None: what is released is not verified again.
        verifier: Option<Arc<dyn Verifier>>,
    },
    Return(message::Return),
    Withdraw(message::Withdraw),
    Claim(message::Claim),
}

impl Ask {
    /// The number of the prescription that it is about; none when it is about all that nominate somebody.
    pub fn number(&self) -> Option<&str> {
        match self {
            Self::Order(order) => Some(&order.number),
            Self::Update(update) => Some(&update.number),
            Self::Notice(notice) => Some(&notice.number),
            Self::Release { ask, .. } => ask.number.as_deref(),
            Self::Return(back) => Some(&back.number),
            Self::Withdraw(back) => Some(&back.number),
            Self::Claim(claim) => Some(&claim.number),
        }
    }

    /// The organisation in whose name it is asked.
    fn speaks_for(&self) -> &str {
        match self {
            Self::Order(order) => &order.prescriber,
            Self::Update(update) => &update.wish.by,
            Self::Notice(notice) => &notice.by.code,
            Self::Release { ask, .. } => &ask.by.code,
            Self::Return(back) => &back.by,
            Self::Withdraw(back) => &back.by,
            Self::Claim(claim) => &claim.by,
        }
    }
}

fn ask(ask: Ask) -> Result<workflows::Ask, Refusal> {
    Ok(workflows::Ask::Eps(Box::new(ask)))
}

fn check_offered(policy: &Policy) -> Result<(), Refusal> {
    if policy.is_off { Err(codes::DISABLED.refusal()) } else { Ok(()) }
}

pub fn read_order(bundle: &Body, reading: &Reading) -> Result<workflows::Ask, Refusal> {
    check_offered(&reading.eps)?;
    ask(Ask::Order(message::order(bundle, true, reading)?))
}

pub fn read_update(bundle: &Body, reading: &Reading) -> Result<workflows::Ask, Refusal> {
    if reading.eps.is_off {
        return Err(message::cancellation_refused(Response::Disabled, ""));
    }
    ask(Ask::Update(message::update(bundle)?))
}

pub fn read_notice(bundle: &Body, reading: &Reading) -> Result<workflows::Ask, Refusal> {
    check_offered(&reading.eps)?;
    ask(Ask::Notice(message::notice(bundle)?))
}

pub fn read_release(parameters: &Body, policy: &Policy) -> Result<message::Release, Refusal> {
    check_offered(policy)?;
    message::release(parameters, policy)
}

pub fn read_task(task: &Body) -> Result<workflows::Ask, Refusal> {
    ask(match message::task(task)? {
        TaskAsk::Return(back) => Ask::Return(back),
        TaskAsk::Withdraw(back) => Ask::Withdraw(back),
    })
}

pub fn read_claim(claim: &Body) -> Result<workflows::Ask, Refusal> {
    ask(Ask::Claim(message::claim(claim)?))
}

/// `$prepare`: what a prescriber is to sign.
pub fn prepare(bundle: &Body, reading: &Reading) -> Result<Value, Refusal> {
    check_offered(&reading.eps)?;
    message::order(bundle, false, reading)?;
    Ok(answer::prepared(bundle, reading.now))
}

/// The order that a prescription of this number is.
pub fn root_of(number: &str) -> Uuid {
    const PRESCRIPTIONS: Uuid = Uuid::from_u128(0x5b0e_6f5a_9d21_4c55_8c0a_6d1d_7f4a_35e1);
    Uuid::new_v5(&PRESCRIPTIONS, number.as_bytes())
}

/// The order message of a prescription, as it came.
pub fn message_key(root: Uuid) -> Key {
    Key { kind: Kind::BUNDLE, id: root.to_string() }
}

pub(crate) fn needs(ask: &Ask) -> Needs {
    let roots: Vec<Uuid> = match ask {
        Ask::Release { ask: message::Release { number: None, .. }, candidates, .. } => candidates.clone(),
        ask => ask.number().map(root_of).into_iter().collect(),
    };
    // The Tasks of the only issue, as it is at first: what nearly all change.
    let first = |root: &Uuid| (0..=4).map(|step| Key::task(TaskId { root: *root, step, occurrence: 1 })).collect();
    let resources: Vec<Key> = match ask {
        Ask::Order(_) => Vec::new(),
        _ => roots.iter().flat_map(|root: &Uuid| -> Vec<Key> { first(root) }).collect(),
    };
    Needs { roots, resources, ..Needs::default() }
}

pub(crate) fn lane(ask: &Ask) -> Uuid {
    root_of(ask.number().unwrap_or(ask.speaks_for()))
}

pub(crate) fn decide(draft: &mut Draft, ask: &Ask) -> Result<Answer, Stop> {
    let speaker = format!("Organization/{}", ask.speaks_for());
    if !draft.command.caller.may_be(&speaker) {
        return Err(Refusal::forbidden("this caller does not speak for the organisation that it names").into());
    }
    match ask {
        Ask::Order(order) => order::take_in(draft, order),
        Ask::Update(update) => cancel::cancel(draft, update),
        Ask::Notice(notice) => dispense::notify(draft, notice),
        Ask::Release { ask, candidates, verifier } => {
            let release = release::Release { by: &ask.by, verifier: verifier.as_deref() };
            match &ask.number {
                Some(number) => release.one(draft, root_of(number)),
                None => release.nominated(draft, candidates),
            }
        }
        Ask::Return(back) => release::give_back(draft, back),
        Ask::Withdraw(back) => dispense::withdraw(draft, back),
        Ask::Claim(claim) => claim::take_claim(draft, claim),
    }
}

// ---- the record in its head

pub(super) fn record_of<'d>(draft: &'d Draft, root: Uuid) -> Option<&'d Record> {
    match draft.run_of(root)?.record.as_ref()? {
        workflows::Record::Eps(record) => Some(record),
        _ => None,
    }
}

/// A prescription that has arrived.
fn find(draft: &Draft, number: &str) -> Result<(Uuid, Record), Stop> {
    let root = root_of(number);
    let record = record_of(draft, root).filter(|record| !record.issues.is_empty());
    Ok((root, record.ok_or_else(|| codes::PRESCRIPTION_NOT_FOUND.refusal())?.clone()))
}

/// Puts the record back, sets the timer for what time will do to it, and brings the Tasks to where it is.
fn keep(draft: &mut Draft, root: Uuid, mut record: Record, why: Option<&Value>) -> Result<(), Stop> {
    let before = record_of(draft, root).cloned();
    move_wake(draft, root, time::next_wake(&record), &mut record.wakes);
    draft.head(root).run.get_or_insert_default().record = Some(workflows::Record::Eps(Box::new(record)));
    tasks::follow(draft, root, before.as_ref(), why)
}

fn no(fault: Fault) -> Stop {
    Refusal::new(RefusalKind::Malformed, vec![fault]).into()
}

fn check_patient(record: &Record, patient: Option<&String>, what: &str) -> Result<(), Stop> {
    if patient.is_none_or(|patient| *patient == record.patient) {
        return Ok(());
    }
    let why = format!("Mismatch between prescription and {what} NHSNumber");
    Err(no(codes::NOT_PROCESSED.because(format!("Unable to process message. Information missing or invalid - {why}"))))
}
