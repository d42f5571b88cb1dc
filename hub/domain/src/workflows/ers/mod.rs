//! Referrals and requests for advice as the NHS e-Referral Service does them.
//!
//! Who may do what from which state is a table ([`table`], `tables/ers.json`). Each thing that can happen is a file: a
//! referral or a question begins ([`create`]) with a [`shortlist`] of services; it is sent to be looked at ([`triage`]),
//! gets its documents ([`letter`]), is booked, deferred or rebooked ([`book`]), accepted or rejected, and the patient comes
//! or does not ([`attend`]); a question is talked about and becomes a referral ([`advice`]); what the clinic reports is
//! attached ([`event`]); all ends ([`close`]); and time passes ([`time`]). All of them read the [`record`], change it, and
//! put it back with [`keep`], which writes the ServiceRequest anew and brings the hub's [`tasks`] to where it is.
//!
//! [`ask`] lists what can be asked; [`read`] reads Parameters, by the [`codes`] of the service; [`shown`], [`available`] and [`worklist`] write what goes out.

mod advice;
mod ask;
mod attend;
pub mod available;
mod book;
mod close;
pub mod codes;
mod create;
mod event;
mod letter;
mod queue;
mod read;
pub mod record;
mod shortlist;
pub mod shown;
pub mod table;
mod tasks;
mod time;
mod triage;
pub mod words;
pub mod worklist;

use schemas::ids::TaskId;
use schemas::resource::{Key, Kind, Resource};
use serde_json::Value;
use uuid::Uuid;

use self::codes::{INVALID_REQUEST_STATE, INVALID_REQUEST_TYPE, MISSING_VALUE, NO_RELATIONSHIP};
use self::codes::{REC_CONFLICT, REC_FORBIDDEN, REC_NOT_FOUND};
use self::table::{ActionRow, Against, State, Step};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::Refusal;
use crate::scene::Needs;
use crate::workflows::wake::move_wake;
use crate::workflows::{self, Answer, Outcome};

pub use ask::{Ask, OPERATIONS, Of, Operation, Wish};
pub use ask::{read_booking, read_cancelled_appointment, read_changed_request, read_changed_task, read_event};
pub use book::{Deferral, For};
pub use create::UBRN;
pub use event::EVENTS;
pub(crate) use queue::report;
pub use read::check_release;
pub use record::{Record, Speaker};
pub(crate) use time::fire;

const ODS: &str = "https://fhir.nhs.uk/Id/ods-organization-code";
/// What an output of the fulfilment Task is.
const OUTPUT: &str = "urn:fhir-workflow-hub:referral-event";

// ---- ids

/// `r.<uuid>` and `a.<uuid>` of a reference to a ServiceRequest.
fn request_id(reference: &str) -> Option<String> {
    let key = Key::of_reference(reference).filter(|key| key.kind == Kind::SERVICE_REQUEST)?;
    root_of_request(&key.id).map(|_| key.id)
}

/// The order that a ServiceRequest of this id is; none when it is none of this service's.
pub fn root_of_request(id: &str) -> Option<Uuid> {
    let uuid = id.strip_prefix("r.").or_else(|| id.strip_prefix("a."))?;
    Uuid::try_parse(uuid).ok()
}

fn root_of_id(id: &str) -> Uuid {
    root_of_request(id).unwrap_or_default()
}

pub fn request_key(record: &Record, root: Uuid) -> Key {
    Key::new(Kind::SERVICE_REQUEST, record.request_id(root))
}

/// Whether a referral is closed by this Task: the whole, or the report to the referrer.
pub fn closes(task: TaskId) -> bool {
    let is_report = |row: &table::StepRow| row.step == Step::Report && row.number == task.step as usize;
    task.step == 0 || table::steps().iter().any(is_report)
}

// ---- deciding

/// Steps of a referral have at most this number.
const LAST_STEP: u32 = 6;

pub(crate) fn needs(command: Uuid, ask: &Ask) -> Needs {
    let mut needs = ask.wish.needs();
    let root = match (&ask.of, &ask.wish) {
        (Some(of), _) => of.root,
        (None, Wish::Report { id, .. }) => root_of_id(id),
        (None, _) => {
            needs.identifiers.extend(create::numbers(command));
            needs.roots.push(command);
            return needs;
        }
    };
    needs.roots.push(root);
    needs.resources.extend(ask.of.iter().map(|of| of.key.clone()));
    needs.resources.extend(["r", "a"].map(|kind| Key::new(Kind::SERVICE_REQUEST, format!("{kind}.{root}"))));
    needs.resources.extend((0..=LAST_STEP).map(|step| Key::task(TaskId { root, step, occurrence: 1 })));
    needs
}

pub(crate) fn lane(command: Uuid, ask: &Ask) -> Uuid {
    match (&ask.of, &ask.wish) {
        (Some(of), _) => of.root,
        (None, Wish::Report { id, .. }) => root_of_id(id),
        (None, _) => command,
    }
}

/// Whether it may bring an order that is not here yet.
pub(super) fn brings_work(ask: &Ask) -> bool {
    matches!(ask.wish, Wish::Create(_) | Wish::Ask(_))
}

pub(crate) fn decide(draft: &mut Draft, ask: &Ask) -> Result<Answer, Stop> {
    if !draft.command.caller.may_be(&format!("Organization/{}", ask.by.organization)) {
        return Err(Refusal::forbidden("this caller does not speak for the organisation that it names").into());
    }
    match (&ask.wish, &ask.of) {
        (Wish::Create(wanted), _) => create::referral(draft, &ask.by, wanted),
        (Wish::Ask(question), _) => create::question(draft, &ask.by, question),
        (Wish::Report { id, event }, _) => event::attach(draft, &ask.by, id, event),
        (wish, Some(of)) => act(draft, &ask.by, wish, of),
        (_, None) => Err(REC_NOT_FOUND.refusal().into()),
    }
}

/// One action on what is here: is there such a thing, may this caller do this, on what it has read, now?
fn act(draft: &mut Draft, by: &Speaker, wish: &Wish, of: &Of) -> Result<Answer, Stop> {
    let root = of.root;
    let mut record = find(draft, root)?;
    let current = draft.find(&of.key).ok_or_else(|| REC_NOT_FOUND.refusal())?.version;
    let action = wish.action(&record).ok_or_else(|| REC_NOT_FOUND.refusal())?;
    let row = table::row(action, record.state, by.role);
    if row.as_ref().err() == Some(&Against::Role) {
        return Err(REC_FORBIDDEN.refusal().into());
    }
    if !record.concerns(by) {
        return Err(NO_RELATIONSHIP.refusal().into());
    }
    check_version(of.version, current)?;
    let row = row.map_err(|against| not_now(&record, by, against))?;
    perform(draft, root, &mut record, by, wish, of, row)?;
    record.goes(row.to);
    keep(draft, root, record)?;
    let outcome = if matches!(wish, Wish::Book(_)) { Outcome::Created } else { Outcome::Done };
    match wish {
        Wish::Book(_) => {
            let body = book::answered(draft, root)?.unwrap_or_default();
            Ok(Answer { outcome, body })
        }
        Wish::Defer(_) => {
            let body = record_of(draft, root).map(|record| book::proposed(record, root)).unwrap_or_default();
            Ok(Answer { outcome, body })
        }
        Wish::Convert(_) => answer(draft, advice::referral_root(root), Outcome::Created),
        _ => answer_with(draft, &of.key, outcome),
    }
}

fn perform(
    draft: &mut Draft,
    root: Uuid,
    record: &mut Record,
    by: &Speaker,
    wish: &Wish,
    of: &Of,
    row: &ActionRow,
) -> Result<(), Stop> {
    match wish {
        Wish::Create(_) | Wish::Ask(_) | Wish::Report { .. } => Ok(()),
        Wish::ChangeShortlist { shortlist, sends_for_triage: true } => {
            shortlist::change(draft, record, shortlist, shortlist::Flow::Review)?;
            record.reason = None;
            triage::send(record)
        }
        Wish::ChangeShortlist { shortlist, .. } if record.state == State::TriagedProviderToAction => {
            shortlist::change_own(draft, record, shortlist, by)
        }
        Wish::ChangeShortlist { shortlist, .. } => {
            shortlist::change(draft, record, shortlist, shortlist::Flow::Referral)?;
            record.reason = None;
            Ok(())
        }
        Wish::Letter(documents) => letter::maintain(draft, root, record, documents),
        Wish::Review(review) => triage::review(draft, root, record, review),
        Wish::Book(booking) => book::book(draft, root, record, booking),
        Wish::Defer(deferral) => book::defer(draft, record, deferral, by),
        Wish::CancelAppointment(given) => book::cancel(draft, root, record, given, &of.key, by),
        Wish::Accept => Ok(()),
        Wish::Reject(given) => attend::reject(draft, root, record, given, by),
        Wish::Attended => attend::attended(draft, root, record),
        Wish::DidNotAttend(given) => attend::did_not_attend(draft, root, record, given, by),
        Wish::Guide(guidance) => advice::guide(draft, root, record, by, guidance),
        Wish::Reply(said) => advice::say(draft, root, record, by, said),
        Wish::Convert(conversion) => advice::convert(draft, root, record, by, conversion, row),
        Wish::Close => Ok(()),
        Wish::Cancel(given) => close::cancel(draft, root, record, given, by),
    }
}

/// Who acts on what it has not read acts on something else.
fn check_version(given: Option<u32>, current: u32) -> Result<(), Stop> {
    match given {
        Some(version) if version == current => Ok(()),
        Some(version) => {
            let text = format!("this is at version {current}, and the action is on version {version}: read it again");
            Err(REC_CONFLICT.refused("If-Match", text).into())
        }
        None => {
            let text = "an action is on the version that was read: If-Match: W/\"version\"";
            let kind = crate::refusal::RefusalKind::PreconditionFailed;
            Err(Refusal::new(kind, vec![MISSING_VALUE.because("If-Match", text)]).into())
        }
    }
}

fn not_now(record: &Record, by: &Speaker, against: Against) -> Refusal {
    if against == Against::Kind {
        return INVALID_REQUEST_TYPE.refusal();
    }
    let open: Vec<&str> = table::available(record.state, by.role).iter().map(|row| row.code.as_str()).collect();
    let open = if open.is_empty() { "nothing".to_owned() } else { open.join(", ") };
    let text = format!("in the state {} this role may do: {open}", record.state.code());
    INVALID_REQUEST_STATE.refused("", text)
}

// ---- the record in its head

pub(super) fn record_of<'d>(draft: &'d Draft, root: Uuid) -> Option<&'d Record> {
    match draft.run_of(root)?.record.as_ref()? {
        workflows::Record::Ers(record) => Some(record),
        _ => None,
    }
}

fn find(draft: &Draft, root: Uuid) -> Result<Record, Stop> {
    record_of(draft, root).cloned().ok_or_else(|| REC_NOT_FOUND.refusal().into())
}

/// Puts the record back, with its timer, writes the ServiceRequest anew, and brings the Tasks to where it is.
fn keep(draft: &mut Draft, root: Uuid, mut record: Record) -> Result<(), Stop> {
    let before = record_of(draft, root).cloned();
    let key = request_key(&record, root);
    move_wake(draft, root, time::next_wake(&record), &mut record.wakes);
    let body = shown::request(&record);
    match &before {
        None => drop(draft.create(root, key.clone(), body)),
        // That a clinic has taken up a step is no change of the referral.
        Some(before) if before.state == record.state && shown::request(before) == body => {}
        Some(_) => drop(draft.replace(root, &key, body)?),
    }
    let run = draft.head(root).run.get_or_insert_default();
    run.requests = vec![key.to_string()];
    run.record = Some(workflows::Record::Ers(Box::new(record.clone())));
    tasks::follow(draft, root, &record, before.as_ref())
}

/// The referral as it is now.
fn answer(draft: &Draft, root: Uuid, outcome: Outcome) -> Result<Answer, Stop> {
    let record = find(draft, root)?;
    answer_with(draft, &request_key(&record, root), outcome)
}

fn answer_with(draft: &Draft, key: &Key, outcome: Outcome) -> Result<Answer, Stop> {
    let body = draft.get(key)?.body.clone().into_body();
    Ok(Answer { outcome, body: Value::Object(body) })
}

/// A resource that somebody named; none when there is no such thing. Asks for it when nobody did.
fn look<'d>(draft: &'d Draft, key: &Key) -> Result<Option<&'d Resource>, Stop> {
    if draft.find(key).is_some() || draft.scene.deleted.contains(key) || draft.scene.asked.contains(key) {
        return Ok(draft.find(key));
    }
    let keys = vec![key.clone()];
    Err(Stop::more(Needs { existence: keys.clone(), resources: keys, ..Needs::default() }))
}

/// Whether it is here.
fn is_here(draft: &Draft, key: &Key) -> Result<bool, Stop> {
    if draft.scene.looked_for(key) {
        return Ok(draft.scene.existing.contains(key) || draft.find(key).is_some());
    }
    Err(Stop::more(Needs { existence: vec![key.clone()], ..Needs::default() }))
}
