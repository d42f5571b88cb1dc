//! Prescriptions as the NHS Electronic Prescription Service does them.
//!
//! A prescriber sends a prescription; a dispenser releases it, tells what was handed over, gives it back or claims for it;
//! the prescriber may cancel it, or an item; time makes it expire. What may follow what is a table
//! ([`table`], `tables/eps.json`); here is what each event does. [`message`] reads what comes in and knows the rules of
//! the messages, [`cancel`] what a prescriber takes back, [`answer`] writes what goes out, [`tasks`] brings the hub's Tasks to where the record is.

pub mod answer;
mod cancel;
mod codes;
pub mod message;
pub mod number;
pub mod record;
mod signature;
pub mod table;
mod tasks;
pub mod tracker;

use schemas::ids::TaskId;
use schemas::message::{Act as Reported, StatusReport};
use schemas::outcome::Issue as Fault;
use schemas::resource::{Body, Key, Kind, Resource};
use schemas::task::{TaskStatus, owner};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use self::answer::information;
use self::message::TaskAsk;
use self::record::{Dispenser, Issue, Notification};
use self::table::{Event, Item, State};
use crate::command::Caller;
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::decision::{Timer, TimerId};
use crate::plan::run::Run;
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::Needs;
use crate::workflows::follow::task_state;
use crate::workflows::{self, Answer};

pub use message::Reading;
pub use record::Record;

/// Why a release has to look for prescriptions again.
pub const TAKEN_MEANWHILE: &str = "others released these prescriptions meanwhile";

/// Prescriptions of one answer to a nominated release.
pub const RELEASE_MAX: usize = 25;

const EXPIRES_MONTHS: u8 = 6;
/// Of the issues after the first.
const LATER_EXPIRES_MONTHS: u8 = 12;
const ACTIVE_EXPIRES_DAYS: i64 = 180;
const NO_CLAIM_DAYS: i64 = 180;
/// So long before the supply of one issue ends, the next may be downloaded.
const LEAD_DAYS: i64 = 7;
const EXPIRED_KEPT_DAYS: i64 = 90;
const CANCELLED_KEPT_DAYS: i64 = 180;
const CLAIMED_KEPT_DAYS: i64 = 36;
const NOT_DISPENSED_KEPT_DAYS: i64 = 30;

/// What is asked of the service.
#[derive(Debug, Clone)]
pub enum Ask {
    Order(message::Order),
    Update(message::Update),
    Notice(message::Notice),
    Release { ask: message::Release, candidates: Vec<Uuid> },
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

pub fn read_order(bundle: &Body, reading: Reading) -> Result<workflows::Ask, Refusal> {
    ask(Ask::Order(message::order(bundle, true, reading)?))
}

pub fn read_update(bundle: &Body, _: Reading) -> Result<workflows::Ask, Refusal> {
    ask(Ask::Update(message::update(bundle)?))
}

pub fn read_notice(bundle: &Body, _: Reading) -> Result<workflows::Ask, Refusal> {
    ask(Ask::Notice(message::notice(bundle)?))
}

pub fn read_release(parameters: &Body, reading: Reading) -> Result<message::Release, Refusal> {
    message::release(parameters, reading)
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
pub fn prepare(bundle: &Body, reading: Reading, now: Timestamp) -> Result<Value, Refusal> {
    message::order(bundle, false, reading)?;
    Ok(answer::prepared(bundle, now))
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
        Ask::Release { ask: message::Release { number: None, .. }, candidates } => candidates.clone(),
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
        Ask::Order(order) => take_in(draft, order),
        Ask::Update(update) => cancel::cancel(draft, update),
        Ask::Notice(notice) => notify(draft, notice),
        Ask::Release { ask, candidates } => match &ask.number {
            Some(number) => release_one(draft, &ask.by, root_of(number)),
            None => release_nominated(draft, &ask.by, candidates),
        },
        Ask::Return(back) => give_back(draft, back),
        Ask::Withdraw(back) => withdraw(draft, back),
        Ask::Claim(claim) => take_claim(draft, claim),
    }
}

// ---- the record in its head

pub(super) fn record_of<'d>(draft: &'d Draft, root: Uuid) -> Option<&'d Record> {
    match draft.run_of(root)?.record.as_ref()? {
        workflows::Record::Eps(record) => Some(record),
        workflows::Record::Erp(_) => None,
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
    let wakes = next_wake(&record);
    if wakes != record.wakes {
        let id = TimerId { root, name: "wake".into() };
        match wakes {
            Some(due) => draft.set_timer(Timer { id, due }),
            None => draft.drop_timer(id),
        }
        record.wakes = wakes;
    }
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

// ---- a prescription arrives

fn take_in(draft: &mut Draft, order: &message::Order) -> Result<Answer, Stop> {
    let root = root_of(&order.number);
    let placeholder = record_of(draft, root).filter(|record| record.issues.is_empty()).cloned();
    if draft.scene.heads.contains_key(&root) && placeholder.is_none() {
        return Err(codes::DUPLICATE_PRESCRIPTION.refusal().into());
    }
    let now = draft.now();
    let mut record = Record {
        number: order.number.clone(),
        long_number: order.long_number.clone(),
        patient: order.patient.clone(),
        prescriber: order.prescriber.clone(),
        course: order.course,
        kind: order.kind.clone(),
        nominated: order.nominated.clone(),
        nominated_before: Vec::new(),
        prescribed: order.prescribed.unwrap_or(now),
        days_supply: order.days_supply,
        items: order.items.clone(),
        issues: (1..=order.issues).map(|n| issue_of(order, n)).collect(),
        pending: Vec::new(),
        bundle_id: order.bundle_id.clone(),
        wakes: placeholder.as_ref().and_then(|record| record.wakes),
    };
    begin(&mut record, order.window_begins, now);
    // What was cancelled before it arrived.
    let mut why = None;
    for wish in placeholder.into_iter().flat_map(|placeholder| placeholder.pending) {
        if wish.patient == record.patient {
            why = Some(answer::cancellation_reason(&wish.reason));
            cancel::apply(&mut record, &wish, now);
        }
    }
    for (item, request) in order.items.iter().zip(&order.requests) {
        draft.create(root, tasks::request_key(root, &item.id), request.clone());
    }
    draft.create(root, message_key(root), order.bundle.clone());
    draft.head(root).run.get_or_insert_default().requests =
        order.items.iter().map(|item| tasks::request_key(root, &item.id).to_string()).collect();
    keep(draft, root, record, why.as_ref())?;
    Ok(information(
        "The prescription was taken in. The form of its signature was checked, its validity was not: no \
                    verifier is configured.",
    ))
}

fn issue_of(order: &message::Order, number: u32) -> Issue {
    let item = |item: &record::ItemOf| if item.issues < number { Item::Expired } else { Item::ToBeDispensed };
    Issue::new(State::FutureIssue, order.items.iter().map(item).collect())
}

/// The first issue is ready at once, unless it is dated ahead.
fn begin(record: &mut Record, window: Option<Timestamp>, now: Timestamp) {
    let repeat_dispensing = record.course == record::Course::RepeatDispensing;
    let window = window.filter(|_| repeat_dispensing);
    let ready = window.map_or(record.prescribed, |window| window.max(record.prescribed));
    let by = record.prescriber.clone();
    let first = &mut record.issues[0];
    if ready > now.plus_days(1) {
        first.ready = Some(ready);
        first.moves(Event::Order, State::FutureDated, now, Some(&by));
    } else {
        first.moves(Event::Order, State::ToBeDispensed, now, Some(&by));
    }
    // The dates of the later ones are known from the start.
    for n in 1..record.issues.len() {
        record.issues[n].ready = Some(download_date(record, n));
    }
}

fn download_date(record: &Record, n: usize) -> Timestamp {
    let days = i64::from(record.days_supply).saturating_mul(i64::try_from(n).unwrap_or(i64::MAX));
    record.prescribed.midnight().plus_days(days.saturating_sub(LEAD_DAYS))
}

// ---- release

fn release_one(draft: &mut Draft, by: &Dispenser, root: Uuid) -> Result<Answer, Stop> {
    let record = record_of(draft, root).filter(|record| !record.issues.is_empty());
    let Some(mut record) = record.cloned() else { return Err(codes::NOT_FOUND.refusal().into()) };
    let n = record.current();
    let issue = &record.issues[n];
    match issue.state {
        State::ToBeDispensed => {
            release(&mut record, n, by, draft);
            keep(draft, root, record, None)?;
        }
        // Its answer was lost on the way: the same prescription once more.
        State::WithDispenser | State::WithDispenserActive if issue.is_held_by(&by.code) => {}
        State::WithDispenser | State::WithDispenserActive => {
            return Ok(answer::with_another_dispenser(&codes::ANOTHER_DISPENSER.issue(), issue.holder.as_ref()));
        }
        State::Expired => return Err(codes::EXPIRED.refusal().into()),
        State::Cancelled => return Err(codes::CANCELLED.refusal().into()),
        state if state.is_over() => return Err(codes::DISPENSED.refusal().into()),
        _ => return Err(codes::STATE.refusal().into()),
    }
    Ok(answer::released(&release_id(draft), vec![released(draft, root, n)]))
}

/// What the answer to a release has to know of one prescription.
fn released(draft: &Draft, root: Uuid, n: usize) -> answer::Released {
    let record = record_of(draft, root);
    let items = record.map(|record| {
        let items = record.items.iter().zip(&record.issues[n].items);
        items.map(|(item, state)| (item.id.clone(), *state)).collect()
    });
    answer::Released {
        order: root,
        issue: n + 1,
        of: record.map_or(1, |record| record.issues.len()),
        bundle_id: record.and_then(|record| record.bundle_id.clone()),
        items: items.unwrap_or_default(),
    }
}

fn release_nominated(draft: &mut Draft, by: &Dispenser, candidates: &[Uuid]) -> Result<Answer, Stop> {
    let mut found = Vec::new();
    for root in candidates {
        let Some(mut record) = record_of(draft, *root).filter(|record| !record.issues.is_empty()).cloned() else {
            continue;
        };
        let n = record.current();
        let waits = record.issues[n].state == State::ToBeDispensed && record.nominated.as_ref() == Some(&by.code);
        if waits && found.len() < RELEASE_MAX {
            release(&mut record, n, by, draft);
            keep(draft, *root, record, None)?;
            found.push(released(draft, *root, n));
        }
    }
    if candidates.is_empty() {
        return Ok(answer::no_more());
    }
    if found.is_empty() {
        // Somebody else released them meanwhile: whoever asks looks again.
        return Err(Refusal::conflict(TAKEN_MEANWHILE).into());
    }
    Ok(answer::released(&release_id(draft), found))
}

/// The id of the answer, by which later messages call this release.
fn release_id(draft: &Draft) -> String {
    draft.command.id.to_string()
}

fn release(record: &mut Record, n: usize, by: &Dispenser, draft: &Draft) {
    let issue = &mut record.issues[n];
    issue.releases.push(release_id(draft));
    issue.holder = Some(by.clone());
    for item in issue.items.iter_mut().filter(|item| item.may(Event::Release, Item::WithDispenser)) {
        *item = Item::WithDispenser;
    }
    issue.released.clone_from(&issue.items);
    issue.moves(Event::Release, State::WithDispenser, draft.now(), Some(&by.code));
}

// ---- dispense notifications

fn notify(draft: &mut Draft, notice: &message::Notice) -> Result<Answer, Stop> {
    let (root, mut record) = find(draft, &notice.number)?;
    check_patient(&record, notice.patient.as_ref(), "dispense")?;
    check_repeats(&record, notice.repeats)?;
    let n = match &notice.replaces {
        Some(replaced) => amended(&mut record, notice, replaced, draft.now())?,
        None => dispensed(&record, notice)?,
    };
    let items = told_items(&record, notice)?;
    let now = draft.now();
    let handed_over = notice.handed_over.unwrap_or(now);
    let told = Notification {
        id: notice.id.clone(),
        handed_over,
        state: notice.state,
        items,
        dispenses: u32::try_from(notice.dispenses.len()).unwrap_or(u32::MAX),
    };
    let event = if notice.replaces.is_some() { Event::Amend } else { Event::Notify };
    tell(&mut record.issues[n], told, event, now)?;
    end_if_over(&mut record, n, now);
    for (place, dispense) in notice.dispenses.iter().enumerate() {
        draft.create(root, dispense_key(root, &notice.id, place), linked(&record, root, dispense));
    }
    keep(draft, root, record, None)?;
    Ok(information(""))
}

/// The issue that a notification is about: the one that this dispenser has.
fn dispensed(record: &Record, notice: &message::Notice) -> Result<usize, Stop> {
    let held = |issue: &Issue| issue.is_held_by(&notice.by.code);
    let active = |issue: &Issue| matches!(issue.state, State::WithDispenser | State::WithDispenserActive);
    if let Some(n) = record.issues.iter().position(|issue| held(issue) && active(issue)) {
        return Ok(n);
    }
    // An earlier word that comes late, when the last one has been said already.
    let is_earlier = |issue: &Issue| {
        let last = issue.notifications.last();
        held(issue) && last.is_some_and(|last| notice.handed_over.is_some_and(|at| at < last.handed_over))
    };
    if let Some(n) = record.issues.iter().position(is_earlier) {
        return Ok(n);
    }
    let current = &record.issues[record.current()];
    Err(match current.state {
        _ if current.holder.is_some() && !held(current) => codes::ANOTHER_DISPENSER.refusal(),
        State::Cancelled => codes::CANCELLED.refusal(),
        State::Expired => codes::EXPIRED.refusal(),
        _ => codes::STATE.refusal(),
    }
    .into())
}

/// The issue whose last notification is replaced: it is as before that.
fn amended(record: &mut Record, notice: &message::Notice, replaced: &str, now: Timestamp) -> Result<usize, Stop> {
    let n = last_told(record, &notice.by.code, replaced)?;
    reopen_after(record, n, now)?;
    let before = take_back(record, n);
    // From where it was it could have come to where it was amended from: both are of the table.
    record.issues[n].items = before.1;
    Ok(n)
}

/// The issue of which this was the last notification, told by this dispenser.
fn last_told(record: &Record, by: &str, id: &str) -> Result<usize, Stop> {
    let told = |issue: &Issue| issue.notifications.last().is_some_and(|last| last.id.eq_ignore_ascii_case(id));
    let n = record.issues.iter().position(told).ok_or_else(|| codes::NOT_LAST_DISPENSE.refusal())?;
    if !record.issues[n].is_held_by(by) {
        return Err(codes::ANOTHER_DISPENSER.refusal().into());
    }
    Ok(n)
}

/// An issue that is taken up again closes the next one, which must not have been released yet.
fn reopen_after(record: &mut Record, n: usize, now: Timestamp) -> Result<(), Stop> {
    match record.issues.get_mut(n + 1) {
        Some(next) if matches!(next.state, State::AwaitingReleaseReady | State::ToBeDispensed) => {
            next.moves(Event::Close, State::FutureIssue, now, None);
            Ok(())
        }
        Some(next) if !matches!(next.state, State::FutureIssue) => Err(codes::STATE.refusal().into()),
        _ => Ok(()),
    }
}

/// Forgets the last notification: the state and the items before it.
fn take_back(record: &mut Record, n: usize) -> (State, Vec<Item>) {
    let repeat_dispensing = record.course == record::Course::RepeatDispensing;
    let issue = &mut record.issues[n];
    issue.notifications.pop();
    match issue.notifications.last() {
        Some(last) => (last.state, last.items.clone()),
        None => {
            let state = if repeat_dispensing { State::WithDispenserActive } else { State::WithDispenser };
            (state, issue.released.clone())
        }
    }
}

/// The word on each item of the prescription, in its order; each must be told of, and no other.
fn told_items(record: &Record, notice: &message::Notice) -> Result<Vec<Item>, Stop> {
    let told = |item: &record::ItemOf| notice.items.iter().find(|(id, _)| id.eq_ignore_ascii_case(&item.id));
    let items: Option<Vec<Item>> = record.items.iter().map(|item| told(item).map(|(_, state)| *state)).collect();
    items.filter(|items| items.len() == notice.items.len()).ok_or_else(|| codes::ITEM_NOT_FOUND.refusal().into())
}

/// Issues are counted with the first one or without it, even in published messages: one apart is no mismatch.
fn check_repeats(record: &Record, told: Option<u64>) -> Result<(), Stop> {
    let allowed = record.issues.len() as u64 - 1;
    match told {
        Some(told) if record.course == record::Course::RepeatDispensing && told.abs_diff(allowed) > 1 => {
            Err(codes::REPEAT_MISMATCH.refusal().into())
        }
        _ => Ok(()),
    }
}

fn tell(issue: &mut Issue, told: Notification, event: Event, now: Timestamp) -> Result<(), Stop> {
    let by = issue.holder.as_ref().map(|holder| holder.code.clone());
    if issue.notifications.last().is_some_and(|last| told.handed_over < last.handed_over) {
        // It comes late: kept in its place, and what was said since stands.
        let place = issue.notifications.partition_point(|other| other.handed_over <= told.handed_over);
        issue.notifications.insert(place, told);
        return Ok(());
    }
    if !issue.state.may(event, told.state) {
        return Err(codes::STATE.refusal().into());
    }
    let item_moves = |(from, to): (&Item, &Item)| from.may(Event::Notify, *to);
    if !issue.items.iter().zip(&told.items).all(item_moves) || !told.items.iter().all(|item| told.state.admits(*item)) {
        return Err(codes::ITEM_STATE.refusal().into());
    }
    issue.items.clone_from(&told.items);
    issue.moves(event, told.state, now, by.as_deref());
    issue.notifications.push(told);
    Ok(())
}

/// The dispenses of an issue, of all notifications that hold.
pub fn dispenses_of(record: &Record, root: Uuid, n: usize) -> Vec<Key> {
    let told = record.issues[n].notifications.iter();
    told.flat_map(|told| (0..told.dispenses as usize).map(|place| dispense_key(root, &told.id, place))).collect()
}

fn dispense_key(root: Uuid, notification: &str, place: usize) -> Key {
    let id = Uuid::new_v5(&root, format!("{notification} {place}").as_bytes());
    Key { kind: Kind::MEDICATION_DISPENSE, id: id.to_string() }
}

/// A dispense that points to the request here instead of to the copy that it brought along.
fn linked(record: &Record, root: Uuid, dispense: &Body) -> Body {
    let mut body = dispense.clone();
    let Some(reference) = body.get("authorizingPrescription").and_then(|all| all[0]["reference"].as_str()) else {
        return body;
    };
    let item = message::contained(&body, reference)
        .and_then(|request| workflows::bundle::identifier(request, message::ITEM_NUMBER))
        .and_then(|id| record.item(id));
    let Some(item) = item else { return body };
    let local = reference.trim_start_matches('#').to_owned();
    if let Some(Value::Array(contained)) = body.get_mut("contained") {
        contained.retain(|inner| inner["id"] != local.as_str());
    }
    let id = &record.items[item].id;
    let request = json!({
        "reference": tasks::request_key(root, id).to_string(),
        "identifier": tasks::item_identifier(id),
    });
    body.insert("authorizingPrescription".into(), json!([request]));
    body
}

/// What follows the end of an issue: the next one opens, unless a cancellation waited for this one to end.
fn end_if_over(record: &mut Record, n: usize, now: Timestamp) {
    if !record.issues[n].state.is_over() {
        return;
    }
    if let Some(next) = record.issues.get_mut(n + 1).filter(|next| next.state == State::FutureIssue) {
        let is_ahead = next.ready.is_some_and(|ready| ready > now);
        let state = if is_ahead { State::AwaitingReleaseReady } else { State::ToBeDispensed };
        next.moves(Event::Open, state, now, None);
        for wish in std::mem::take(&mut record.pending) {
            cancel::apply(record, &wish, now);
        }
    } else if n + 1 == record.issues.len() {
        // They come too late.
        record.pending.clear();
    }
}

// ---- return and withdraw

fn give_back(draft: &mut Draft, back: &message::Return) -> Result<Answer, Stop> {
    let (root, mut record) = find(draft, &back.number)?;
    check_patient(&record, back.patient.as_ref(), "return")?;
    let n = record.current();
    let issue = &record.issues[n];
    if issue.holder.is_some() && !issue.is_held_by(&back.by) {
        return Err(codes::ANOTHER_DISPENSER.refusal().into());
    }
    // The answer to an earlier release gives nothing back of a later one.
    let stale = back.release.as_ref().is_some_and(|id| {
        issue.releases.split_last().is_some_and(|(last, earlier)| last != id && earlier.contains(id))
    });
    if stale || !issue.state.may(Event::Return, State::ToBeDispensed) {
        return Err(codes::STATE.refusal().into());
    }
    take_return(&mut record, n, &back.by, draft.now());
    keep(draft, root, record, Some(&back.reason))?;
    Ok(information(""))
}

fn take_return(record: &mut Record, n: usize, by: &str, now: Timestamp) {
    if let Some(nominated) = record.nominated.take()
        && !record.nominated_before.contains(&nominated)
    {
        record.nominated_before.push(nominated);
    }
    let issue = &mut record.issues[n];
    issue.holder = None;
    for item in issue.items.iter_mut().filter(|item| item.may(Event::Return, Item::ToBeDispensed)) {
        *item = Item::ToBeDispensed;
    }
    issue.moves(Event::Return, State::ToBeDispensed, now, Some(by));
    for wish in std::mem::take(&mut record.pending) {
        cancel::apply(record, &wish, now);
    }
}

fn withdraw(draft: &mut Draft, back: &message::Withdraw) -> Result<Answer, Stop> {
    let (root, mut record) = find(draft, &back.number)?;
    check_patient(&record, back.patient.as_ref(), "withdraw")?;
    let id = back.notification.as_deref().unwrap_or_default();
    let n = last_told(&record, &back.by, id)?;
    if !record.issues[n].state.is_open_to(Event::Withdraw) {
        return Err(codes::STATE.refusal().into());
    }
    reopen_after(&mut record, n, draft.now())?;
    let count = record.issues[n].notifications.last().map_or(0, |last| last.dispenses);
    let (state, items) = take_back(&mut record, n);
    let issue = &mut record.issues[n];
    issue.items = items;
    issue.moves(Event::Withdraw, state, draft.now(), Some(&back.by));
    let dispenses: Vec<Key> = (0..count as usize).map(|place| dispense_key(root, id, place)).collect();
    for dispense in draft.get_all(&dispenses)? {
        let mut body = dispense.body.into_body();
        body.insert("status".into(), "entered-in-error".into());
        draft.replace(root, &dispense.key, body)?;
    }
    keep(draft, root, record, Some(&back.reason))?;
    Ok(information(""))
}

// ---- claims

fn take_claim(draft: &mut Draft, claim: &message::Claim) -> Result<Answer, Stop> {
    let (root, mut record) = find(draft, &claim.number)?;
    let now = draft.now();
    let held = |issue: &Issue| issue.is_held_by(&claim.by);
    let n = match &claim.replaces {
        Some(replaced) => {
            let claimed =
                |issue: &Issue| issue.claim.as_deref() == Some(replaced) && issue.state.is_open_to(Event::AmendClaim);
            record
                .issues
                .iter()
                .position(|issue| held(issue) && claimed(issue))
                .ok_or_else(|| codes::CLAIM_AMEND.refusal())?
        }
        None => {
            let open = |issue: &Issue| issue.state.may(Event::Claim, State::Claimed);
            match record.issues.iter().position(|issue| open(issue) && held(issue)) {
                Some(n) => n,
                None if record.issues.iter().any(open) => return Err(codes::ANOTHER_DISPENSER.refusal().into()),
                None => return Err(codes::CLAIM_NOT_DISPENSED.refusal().into()),
            }
        }
    };
    let issue = &mut record.issues[n];
    issue.claim = Some(claim.id.clone());
    let event = if claim.replaces.is_some() { Event::AmendClaim } else { Event::Claim };
    issue.moves(event, State::Claimed, now, Some(&claim.by));
    draft.create(root, claim_key(root, &claim.id), claim.body.clone());
    keep(draft, root, record, None)?;
    Ok(information(""))
}

fn claim_key(root: Uuid, id: &str) -> Key {
    Key { kind: Kind::CLAIM, id: Uuid::new_v5(&root, format!("claim {id}").as_bytes()).to_string() }
}

// ---- time

/// When time does something to it next.
fn next_wake(record: &Record) -> Option<Timestamp> {
    if record.issues.is_empty() {
        return Some(record.prescribed.plus_days(CANCELLED_KEPT_DAYS));
    }
    let next = (0..record.issues.len()).filter_map(|n| due(record, n)).map(|(at, _)| at).min();
    next.or_else(|| kept_until(record))
}

/// What time does next to an issue.
fn due(record: &Record, n: usize) -> Option<(Timestamp, State)> {
    let issue = &record.issues[n];
    let months = if n == 0 { EXPIRES_MONTHS } else { LATER_EXPIRES_MONTHS };
    let expires = record.prescribed.plus_months(months);
    let last_dispensed = issue.notifications.last().map_or(Timestamp::MAX, |last| last.handed_over);
    match issue.state {
        State::AwaitingReleaseReady | State::FutureDated => {
            let ready = issue.ready.unwrap_or(record.prescribed);
            Some(if ready < expires { (ready, State::ToBeDispensed) } else { (expires, State::Expired) })
        }
        State::ToBeDispensed | State::WithDispenser | State::FutureIssue => Some((expires, State::Expired)),
        State::WithDispenserActive => {
            Some((expires.min(last_dispensed.plus_days(ACTIVE_EXPIRES_DAYS)), State::Dispensed))
        }
        State::Dispensed => Some((issue.ended?.plus_days(NO_CLAIM_DAYS), State::NoClaimed)),
        _ => None,
    }
}

/// Until when a prescription is kept whose issues are all over.
fn kept_until(record: &Record) -> Option<Timestamp> {
    let kept = |issue: &Issue| {
        let days = match issue.state {
            State::Expired => EXPIRED_KEPT_DAYS,
            State::Cancelled => CANCELLED_KEPT_DAYS,
            State::NotDispensed => NOT_DISPENSED_KEPT_DAYS,
            _ => CLAIMED_KEPT_DAYS,
        };
        issue.ended.map(|ended| ended.plus_days(days))
    };
    record.issues.iter().map(kept).collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// Its time has come: everything that is due by now.
pub(crate) fn fire(draft: &mut Draft, root: Uuid) -> Result<(), Stop> {
    let Some(mut record) = record_of(draft, root).cloned() else { return Ok(()) };
    let now = draft.now();
    // Firing took the timer away.
    record.wakes = None;
    let over = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    if record.issues.is_empty() && over(next_wake(&record)) {
        return forget(draft, root, &record);
    }
    loop {
        let next = (0..record.issues.len())
            .filter_map(|n| due(&record, n).map(|(at, to)| (at, n, to)))
            .min_by_key(|(at, ..)| *at);
        let Some((_, n, to)) = next.filter(|(at, ..)| *at <= now) else { break };
        let issue = &mut record.issues[n];
        if matches!(to, State::Expired) || issue.state == State::WithDispenserActive {
            issue.items.iter_mut().for_each(|item| *item = item.expired());
        }
        let event = match to {
            State::ToBeDispensed => Event::Ready,
            State::NoClaimed => Event::NoClaim,
            _ => Event::Expire,
        };
        issue.moves(event, to, now, None);
        end_if_over(&mut record, n, now);
    }
    if record.issues.iter().all(|issue| issue.state.is_over()) && due_none(&record) && over(kept_until(&record)) {
        return forget(draft, root, &record);
    }
    let why = schemas::task::reason("expired", "its time is over");
    keep(draft, root, record, Some(&why))
}

fn due_none(record: &Record) -> bool {
    (0..record.issues.len()).all(|n| due(record, n).is_none())
}

/// The service keeps it no longer: everything of it is deleted, and its number is not given again.
fn forget(draft: &mut Draft, root: Uuid, record: &Record) -> Result<(), Stop> {
    let mut keys: Vec<Key> = record.items.iter().map(|item| tasks::request_key(root, &item.id)).collect();
    let tasks = draft.run_of(root).map(|run| run.tasks.clone()).unwrap_or_default();
    for (step, state) in tasks.iter().enumerate() {
        keys.extend((1..=state.occurrence).map(|n| Key::task(TaskId { root, step: step as u32, occurrence: n })));
    }
    for issue in &record.issues {
        for told in &issue.notifications {
            keys.extend((0..told.dispenses as usize).map(|place| dispense_key(root, &told.id, place)));
        }
        keys.extend(issue.claim.as_ref().map(|id| claim_key(root, id)));
    }
    if !record.issues.is_empty() {
        keys.push(message_key(root));
    }
    for resource in draft.get_all(&keys)? {
        draft.delete(root, &resource.key)?;
    }
    draft.head(root).run = Some(Run::default());
    Ok(())
}

// ---- off a queue

/// A pharmacy that works off its queue: to claim the Task of a prescription is to release it; what it reports then is
/// what a notification would tell of all items alike.
pub(crate) fn report(draft: &mut Draft, report: &StatusReport, root: Uuid, task: &Resource) -> Result<(), Stop> {
    let Some(mut record) = record_of(draft, root).cloned() else { return Ok(()) };
    let code = report.performer.strip_prefix("Organization/").unwrap_or(&report.performer).to_owned();
    let id = crate::decide::task_id(&task.key);
    let n = (0..record.issues.len()).find(|n| id.is_some_and(|id| id.step as usize == record.step(*n)));
    let Some(n) = n else {
        return Err(Refusal::conflict("the items of a prescription follow it: report on its own Task").into());
    };
    let now = draft.now();
    let state = record.issues[n].state;
    let by = Dispenser { code: code.clone(), name: None, phone: None };
    // What was given back is offered by another Task: who still has the message of the first comes too late.
    let newest = task_state(draft, root, record.step(n)).map_or(1, |state| state.occurrence);
    let is_theirs = report.act != Reported::Claim && owner(&task.body) == Some(&report.performer);
    if id.is_some_and(|id| id.occurrence < newest) && !is_theirs {
        return Err(Refusal::conflict("this Task has ended, and another stands for the prescription").into());
    }
    if report.act == Reported::Claim {
        let for_them = record.nominated.as_ref().is_none_or(|nominated| *nominated == code);
        if state != State::ToBeDispensed || !for_them {
            return Err(Refusal::conflict(format!("the prescription is {}: it cannot be claimed", state.code())).into());
        }
        release(&mut record, n, &by, draft);
        return keep(draft, root, record, None);
    }
    if TaskStatus::of(&task.body).is_some_and(TaskStatus::is_terminal) && owner(&task.body) == Some(&report.performer) {
        // Said already, of a Task that has ended since.
        return Ok(());
    }
    if !record.issues[n].is_held_by(&code) {
        return Err(Refusal::conflict("the prescription is not this dispenser's: claim it first").into());
    }
    let reason = report.status_reason.clone().map(Value::Object);
    let all = |item: Item| -> Vec<Item> {
        record.issues[n].items.iter().map(|was| if was.is_active() { item } else { *was }).collect()
    };
    let (to, items) = match report.act {
        Reported::Completed => (State::Dispensed, all(Item::FullyDispensed)),
        Reported::Failed => (State::NotDispensed, all(Item::NotDispensed)),
        Reported::Rejected => {
            if !state.may(Event::Return, State::ToBeDispensed) {
                return Err(Refusal::conflict("part of the prescription was dispensed: it is not given back").into());
            }
            take_return(&mut record, n, &code, now);
            return keep(draft, root, record, reason.as_ref());
        }
        Reported::InProgress | Reported::OnHold => (State::WithDispenserActive, record.issues[n].items.clone()),
        Reported::Claim => return Ok(()),
    };
    let told = Notification { id: report.report_id.clone(), handed_over: now, state: to, items, dispenses: 0 };
    tell(&mut record.issues[n], told, Event::Notify, now)?;
    end_if_over(&mut record, n, now);
    keep(draft, root, record, reason.as_ref())
}

/// Whether a caller may use what only dispensers, or only prescribers, may.
pub fn may(caller: &Caller, placer: bool) -> bool {
    use crate::command::Role;
    caller.has(if placer { Role::Placer } else { Role::Filler })
}
