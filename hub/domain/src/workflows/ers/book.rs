//! An appointment: a slot of a service is taken, given back, or the booking is left to the provider because there is none.
//!
//! A slot belongs to itself, so that a booking changes two heads, the referral's and the slot's: of many who want one slot
//! at once, one finds it as it decided upon it, and all others find it taken.

use schemas::resource::{Body, Key, Kind, Resource, list, text_at};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::attend::Given;
use super::codes::{
    CONFLICTING_VALUES, INAPPROPRIATE_SLOT, INAPPROPRIATE_VALUE, INVALID_STATE, INVALID_VALUE, MISSING_VALUE,
    REFERENCE_NOT_FOUND, SLOT_NOT_AVAILABLE, SLOTS_CURRENTLY_AVAILABLE, THIS_SLOT_IS_AVAILABLE,
};
use super::record::{Booked, Record, Service, Speaker};
use super::shortlist::{self, Flow};
use super::table::{Action, State};
use super::{Wish, look, request_key, shown};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::Needs;

/// An appointment that is wanted.
#[derive(Debug, Clone)]
pub struct Booking {
    pub(super) slot: Key,
}

/// That the provider is to book.
#[derive(Debug, Clone)]
pub struct Deferral {
    pub(super) service: Key,
    given: Given,
    /// The slot that was not to be had.
    pub(super) slot: Option<Key>,
    /// Slots of the service that were free when somebody looked.
    pub(super) free: Vec<Key>,
}

impl Deferral {
    /// Of which service slots are to be looked for.
    pub fn service(&self) -> &Key {
        &self.service
    }

    pub fn found(&mut self, free: Vec<Key>) {
        self.free = free;
    }
}

/// Which referral an Appointment is for, and of which version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct For {
    pub request: String,
    pub version: Option<u32>,
}

/// `POST Appointment`: `booked` with a slot, or `proposed` to leave it to the service.
pub(super) fn read(body: &Body) -> Result<(For, Wish), Refusal> {
    let mut faults = Vec::new();
    let reference = body.get("basedOn").and_then(|on| on[0]["reference"].as_str()).unwrap_or_default();
    let parts: Vec<&str> = reference.split('/').collect();
    let of = match parts.as_slice() {
        ["ServiceRequest", id] => Some(For { request: (*id).to_owned(), version: None }),
        ["ServiceRequest", id, "_history", version] => {
            version.parse().ok().map(|version| For { request: (*id).to_owned(), version: Some(version) })
        }
        _ => None,
    };
    if of.is_none() {
        let text = "an appointment is based on ServiceRequest/<id>, of a version or with If-Match";
        faults.push(MISSING_VALUE.because("Appointment.basedOn[0].reference", text));
    }
    let slot = body.get("slot").and_then(|slot| slot[0]["reference"].as_str()).and_then(Key::of_reference);
    let slot = slot.filter(|key| key.kind == Kind::SLOT);
    let wish = match text_at(body, &["status"]) {
        Some("booked") => {
            if slot.is_none() {
                faults.push(MISSING_VALUE.because("Appointment.slot[0].reference", "a slot is booked: Slot/<id>"));
            }
            slot.map(|slot| Wish::Book(Booking { slot }))
        }
        Some("proposed") => {
            let service = participants(body).find(|key| key.kind == Kind::HEALTHCARE_SERVICE);
            if service.is_none() {
                let text = "the service that is to book takes part: HealthcareService/<id>";
                faults.push(MISSING_VALUE.because("Appointment.participant", text));
            }
            let given = reason(body, "reasonCode");
            service.map(|service| Wish::Defer(Deferral { service, given, slot, free: Vec::new() }))
        }
        _ => {
            let text = "an appointment is booked, or proposed so that the service books it";
            faults.push(INVALID_VALUE.because("Appointment.status", text));
            None
        }
    };
    match of.zip(wish) {
        Some(read) if faults.is_empty() => Ok(read),
        _ => Err(Refusal::new(RefusalKind::Unprocessable, faults)),
    }
}

fn participants(body: &Body) -> impl Iterator<Item = Key> {
    list(body, "participant").filter_map(|participant| Key::of_reference(participant["actor"]["reference"].as_str()?))
}

fn reason(body: &Body, element: &str) -> Given {
    let reason = match body.get(element) {
        Some(Value::Array(all)) => all.first(),
        one => one,
    };
    let code = reason.and_then(|reason| reason["coding"][0]["code"].as_str()).unwrap_or_default();
    let comment = text_at(body, &["comment"]).map(str::to_owned);
    Given { code: code.to_owned(), comment, path: format!("Appointment.{element}") }
}

/// `PUT Appointment`: it is cancelled.
pub(super) fn read_cancellation(body: &Body) -> Result<Wish, Refusal> {
    if text_at(body, &["status"]) != Some("cancelled") {
        let text = "an appointment is changed by cancelling it; another one is booked anew";
        return Err(INVALID_VALUE.refused("Appointment.status", text));
    }
    Ok(Wish::CancelAppointment(reason(body, "cancelationReason")))
}

pub(super) fn appointment_key(id: Uuid) -> Key {
    Key::new(Kind::APPOINTMENT, id.to_string())
}

pub(super) fn needs(slots: impl IntoIterator<Item = Key>) -> Needs {
    let slots: Vec<Key> = slots.into_iter().collect();
    Needs { existence: slots.clone(), resources: slots, ..Needs::default() }
}

/// A slot is taken; the one that was booked before is free again.
pub(super) fn book(draft: &mut Draft, root: Uuid, record: &mut Record, booking: &Booking) -> Result<(), Stop> {
    const PATH: &str = "Appointment.slot[0].reference";
    if record.appointment.as_ref().is_some_and(|booked| booked.slot == booking.slot.id) {
        return Err(CONFLICTING_VALUES.refused(PATH, "this slot is the one that is booked").into());
    }
    let Some(slot) = look(draft, &booking.slot)?.cloned() else {
        return Err(REFERENCE_NOT_FOUND.refused(PATH, "there is no such slot").into());
    };
    let service = service_of(draft, record, &slot)?.cloned();
    let Some(service) = service else {
        let text = "this slot is of no bookable service of the shortlist";
        return Err(INAPPROPRIATE_SLOT.refused(PATH, text).into());
    };
    if slot.text("status") != Some("free") {
        return Err(SLOT_NOT_AVAILABLE.refused(PATH, "the slot is taken: choose another").into());
    }
    let start = slot.text("start").unwrap_or_default().to_owned();
    if Timestamp::range(&start).is_none_or(|(start, _)| start <= draft.now()) {
        return Err(INAPPROPRIATE_SLOT.refused(PATH, "this slot has passed").into());
    }
    free(draft, root, record)?;
    mark(draft, &slot.key, "busy")?;
    let id = record.next_id(root);
    let body = shown::appointment(record, root, &service, &slot.body, draft.now());
    draft.create(root, appointment_key(id), body);
    record.appointment = Some(Booked { id, slot: slot.key.id.clone(), start });
    record.sent_to = Some(service.id);
    record.reason = None;
    Ok(())
}

/// The service of the shortlist that a slot is of, by its schedule.
fn service_of<'r>(draft: &Draft, record: &'r Record, slot: &Resource) -> Result<Option<&'r Service>, Stop> {
    let schedule = text_at(&slot.body, &["schedule", "reference"]).and_then(Key::of_reference);
    let Some(schedule) = schedule else { return Ok(None) };
    let Some(schedule) = look(draft, &schedule)? else { return Ok(None) };
    let actors: Vec<Key> =
        list(&schedule.body, "actor").filter_map(|actor| Key::of_reference(actor["reference"].as_str()?)).collect();
    let is_of = |service: &&Service| actors.iter().any(|key| is_service(key, &service.id));
    let Some(service) = record.shortlist.iter().find(is_of) else { return Ok(None) };
    let body = look(draft, &Key::new(Kind::HEALTHCARE_SERVICE, service.id.clone()))?;
    Ok(body.filter(|body| shortlist::offers(&body.body, Flow::Bookable)).map(|_| service))
}

fn is_service(key: &Key, id: &str) -> bool {
    key.kind == Kind::HEALTHCARE_SERVICE && key.id == id
}

fn mark(draft: &mut Draft, slot: &Key, status: &str) -> Result<(), Stop> {
    let (resource, root) = draft.named(slot)?;
    let mut body = resource.body.clone().into_body();
    body.insert("status".into(), status.into());
    draft.replace(root, slot, body).map(drop)
}

/// The appointment ends, if there is one, and its slot is free again.
pub(super) fn free(draft: &mut Draft, root: Uuid, record: &mut Record) -> Result<(), Stop> {
    let Some(booked) = record.appointment.clone() else { return Ok(()) };
    let slot = Key::new(Kind::SLOT, booked.slot);
    if look(draft, &slot)?.is_some() {
        mark(draft, &slot, "free")?;
    }
    end(draft, root, record, "cancelled")
}

/// The appointment ends as it did.
pub(super) fn end(draft: &mut Draft, root: Uuid, record: &mut Record, status: &str) -> Result<(), Stop> {
    let Some(booked) = record.appointment.take() else { return Ok(()) };
    let key = appointment_key(booked.id);
    let mut body = draft.get(&key)?.body.clone().into_body();
    body.insert("status".into(), status.into());
    if let Some(reason) = record.reason.as_ref().and_then(shown::reason).filter(|_| status == "cancelled") {
        body.insert("cancelationReason".into(), reason);
    }
    draft.replace(root, &key, body).map(drop)
}

/// No slot is to be had: the service books later.
pub(super) fn defer(draft: &mut Draft, record: &mut Record, deferral: &Deferral, by: &Speaker) -> Result<(), Stop> {
    let reason = deferral.given.check(record, Action::Defer, by)?;
    let Some(service) = record.shortlist.iter().find(|service| is_service(&deferral.service, &service.id)) else {
        let text = "this service is not on the shortlist";
        return Err(INAPPROPRIATE_VALUE.refused("Appointment.participant", text).into());
    };
    let service = service.id.clone();
    if let Some(slot) = &deferral.slot {
        match look(draft, slot)? {
            None => return Err(REFERENCE_NOT_FOUND.refused("Appointment.slot[0]", "there is no such slot").into()),
            Some(slot) if slot.text("status") == Some("free") => {
                return Err(THIS_SLOT_IS_AVAILABLE.refused("Appointment.slot[0]", "the slot is free: book it").into());
            }
            Some(_) => {}
        }
    }
    for slot in &deferral.free {
        let is_free = |slot: &Resource| slot.text("status") == Some("free");
        if look(draft, slot)?.is_some_and(is_free) {
            let text = "the service has slots that can be booked: book one of them";
            return Err(SLOTS_CURRENTLY_AVAILABLE.refused("Appointment.status", text).into());
        }
    }
    record.sent_to = Some(service);
    record.reason = Some(reason);
    Ok(())
}

/// `PUT Appointment`: of the appointment that holds.
pub(super) fn cancel(
    draft: &mut Draft,
    root: Uuid,
    record: &mut Record,
    given: &Given,
    appointment: &Key,
    by: &Speaker,
) -> Result<(), Stop> {
    if record.appointment.as_ref().is_none_or(|booked| appointment_key(booked.id) != *appointment) {
        let text = "this appointment does not hold any more";
        return Err(INVALID_STATE.refused("Appointment.status", text).into());
    }
    record.reason = Some(given.check(record, Action::CancelAppointment, by)?);
    free(draft, root, record)
}

/// What a booking or a rebooking is called where the table is asked.
pub(super) fn action(record: &Record) -> Action {
    match record.state {
        State::Booked | State::Accepted => Action::Rebook,
        _ => Action::Book,
    }
}

/// The appointment that holds, as it is answered to who booked it.
pub(super) fn answered(draft: &Draft, root: Uuid) -> Result<Option<Value>, Stop> {
    let booked = super::record_of(draft, root).and_then(|record| record.appointment.as_ref());
    let Some(booked) = booked else { return Ok(None) };
    Ok(Some(Value::Object(draft.get(&appointment_key(booked.id))?.body.clone().into_body())))
}

/// What is answered to a deferral: a wish, and no time yet.
pub(super) fn proposed(record: &Record, root: Uuid) -> Value {
    json!({
        "resourceType": "Appointment",
        "status": "proposed",
        "basedOn": [shown::reference(&request_key(record, root))],
        "participant": record.service().map(|service| shown::participants(record, service)),
    })
}
