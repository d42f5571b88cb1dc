//! A referral begins, or a request for advice: it gets its number.

use schemas::resource::{Body, Kind};
use schemas::time::Timestamp;
use uuid::Uuid;

use super::advice::Said;
use super::codes::{
    FIELD_NOT_PERMITTED, INAPPROPRIATE_VALUE, MISSING_VALUE, REC_FORBIDDEN, TOO_MANY_ITEMS, VALUE_IS_REQUIRED,
};
use super::read::Reader;
use super::record::{Record, Speaker};
use super::shortlist::{self, Flow, Shortlist};
use super::table::{Of, Role, State};
use super::words::{Conversion, LetterIntention};
use super::{Wish, advice, answer, keep, triage};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::Refusal;
use crate::scene::Identifier;
use crate::workflows::{Answer, Outcome};

pub const UBRN: &str = "https://fhir.nhs.uk/Id/UBRN";
/// Numbers that are tried for a new referral: that all of them are taken does not happen.
const TRIES: usize = 4;
/// So long ago may the pathway of a referral have begun, at most.
const PATHWAY_DAYS: i64 = 365;
/// The longest that a referrer may put off the first reminder of its letter.
const REMINDER_DAYS_MAX: i64 = 365;

/// A referral that is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    patient: String,
    clinician: Option<String>,
    /// In how many days the letter is due; none: there will be none.
    letter_days: Option<i64>,
    pathway_start: Option<(String, Timestamp)>,
    pub(super) shortlist: Shortlist,
    sends_for_triage: bool,
}

/// Advice that is wanted.
#[derive(Debug, Clone)]
pub struct Question {
    patient: String,
    clinician: Option<String>,
    convertible: bool,
    pub(super) shortlist: Shortlist,
    pub(super) said: Said,
}

/// `$ers.createReferral`, `$ers.createReferralAndSendForTriage`
pub(super) fn read_referral(parameters: &Body, sends_for_triage: bool) -> Result<Wish, Refusal> {
    let mut reader = Reader::new(parameters);
    let patient = reader.patient();
    let clinician = reader.person("referringClinician");
    let name = "intentionToAddReferralLetter";
    let intention = reader.needed_code(name, LetterIntention::parse, LetterIntention::CODES);
    let reminder = reader.number("firstReminderLetterFollowUpDays");
    let letter_days = match (intention, reminder) {
        (Some(LetterIntention::NeedToAddLater), Some((path, days))) => {
            if days > REMINDER_DAYS_MAX {
                let text = format!("the first reminder comes within {REMINDER_DAYS_MAX} days");
                reader.faults.push(INAPPROPRIATE_VALUE.because(&path, text));
            }
            Some(days)
        }
        (Some(LetterIntention::NeedToAddLater), None) => {
            let path = "Parameters.parameter(\"firstReminderLetterFollowUpDays\")";
            let text = "who means to add a letter says after how many days to be reminded of it";
            reader.faults.push(VALUE_IS_REQUIRED.because(path, text));
            None
        }
        (Some(LetterIntention::NotIntendingToAdd), Some((path, _))) => {
            let text = "who adds no letter is not reminded of it";
            reader.faults.push(FIELD_NOT_PERMITTED.because(&path, text));
            None
        }
        _ => None,
    };
    if sends_for_triage && intention == Some(LetterIntention::NotIntendingToAdd) {
        let text = "whoever triages needs a letter: NEED_TO_ADD_LATER";
        reader.faults.push(INAPPROPRIATE_VALUE.because(&format!("Parameters.parameter(\"{name}\")"), text));
    }
    let pathway_start = reader.instant("eReferralPathwayStart");
    let shortlist = shortlist::read(&mut reader);
    let wanted = shortlist.map(|shortlist| {
        Wish::Create(Box::new(Wanted { patient, clinician, letter_days, pathway_start, shortlist, sends_for_triage }))
    });
    reader.finish(wanted)?.ok_or_else(|| MISSING_VALUE.refusal())
}

/// `$ers.createAdviceAndGuidance`
pub(super) fn read_question(parameters: &Body) -> Result<Wish, Refusal> {
    let mut reader = Reader::new(parameters);
    let patient = reader.patient();
    let clinician = reader.person("referringClinician");
    let convertible = reader.needed_code("providerConversionAuthorisation", Conversion::parse, Conversion::CODES);
    let said = advice::read_said(&mut reader, "adviceRequest", "adviceAttachmentFile");
    let shortlist = shortlist::read(&mut reader);
    if let Some(shortlist) = &shortlist
        && shortlist.len() > 1
    {
        let text = "advice is asked of one service";
        reader.faults.push(TOO_MANY_ITEMS.because(&format!("{}.entry", shortlist.path()), text));
    }
    let convertible = convertible == Some(Conversion::Authorised);
    let question =
        shortlist.map(|shortlist| Wish::Ask(Box::new(Question { patient, clinician, convertible, shortlist, said })));
    reader.finish(question)?.ok_or_else(|| MISSING_VALUE.refusal())
}

/// The numbers that a new referral may get.
pub(super) fn numbers(command: Uuid) -> impl Iterator<Item = Identifier> {
    let number = move |n: usize| {
        let digits = Uuid::new_v5(&command, &n.to_be_bytes()).as_u128() % 1_000_000_000_000;
        Identifier { kind: Kind::SERVICE_REQUEST, system: UBRN.to_owned(), value: format!("{digits:012}") }
    };
    (0..TRIES).map(number)
}

/// A repeat whose first answer is not kept any more begins nothing anew.
fn check_new(draft: &Draft) -> Result<(), Stop> {
    if draft.scene.heads.contains_key(&draft.command.id) {
        let text = "this Idempotency-Key was used before, and its answer is not kept any more";
        return Err(Refusal::conflict(text).into());
    }
    Ok(())
}

/// A number that nobody has. It is claimed: of two that take the same, the second takes another.
fn take_number(draft: &mut Draft, of: Of) -> Result<String, Stop> {
    let is_free = |identifier: &Identifier| draft.scene.identified.get(identifier).is_none_or(Vec::is_empty);
    let number = numbers(draft.command.id).find(is_free);
    let number = number.ok_or_else(|| Refusal::conflict("no number is free"))?;
    let root = draft.command.id;
    let id = if of == Of::Referral { format!("r.{root}") } else { format!("a.{root}") };
    draft.decision.claims.push((number.clone(), id));
    Ok(number.value)
}

/// Only these may ask for a referral.
fn check_role(by: &Speaker) -> Result<(), Stop> {
    match by.role {
        Role::ReferringClinician | Role::ReferringClinicianAdmin => Ok(()),
        _ => {
            Err(REC_FORBIDDEN.refused("", "referrals are made by referring clinicians and their administrators").into())
        }
    }
}

pub(super) fn referral(draft: &mut Draft, by: &Speaker, wanted: &Wanted) -> Result<Answer, Stop> {
    check_role(by)?;
    check_new(draft)?;
    let now = draft.now();
    if let Some((path, start)) = &wanted.pathway_start
        && !(now.plus_days(-PATHWAY_DAYS)..=now).contains(start)
    {
        let text = format!("a pathway has begun, and no more than {PATHWAY_DAYS} days ago");
        return Err(INAPPROPRIATE_VALUE.refused(path, text).into());
    }
    let flow = if wanted.sends_for_triage { Flow::Review } else { Flow::Referral };
    let services = wanted.shortlist.services(draft, flow)?;
    let root = draft.command.id;
    let mut record = Record {
        patient: wanted.patient.clone(),
        clinician: wanted.clinician.clone(),
        pathway_start: wanted.pathway_start.as_ref().map_or(now, |(_, start)| *start),
        letter_due: wanted.letter_days.map(|days| now.plus_days(days)),
        ..begin(take_number(draft, Of::Referral)?, State::NotBooked, by, &wanted.shortlist, now)
    };
    record.shortlist = services;
    if wanted.sends_for_triage {
        triage::send(&mut record)?;
        record.state = State::AwaitingTriage;
    }
    keep(draft, root, record)?;
    answer(draft, root, Outcome::Created)
}

pub(super) fn question(draft: &mut Draft, by: &Speaker, question: &Question) -> Result<Answer, Stop> {
    check_role(by)?;
    check_new(draft)?;
    let now = draft.now();
    let services = question.shortlist.services(draft, Flow::Advice)?;
    let root = draft.command.id;
    let number = take_number(draft, Of::Advice)?;
    let mut record = Record {
        patient: question.patient.clone(),
        clinician: question.clinician.clone(),
        convertible: question.convertible,
        sent_to: services.first().map(|service| service.id.clone()),
        shortlist: services,
        ..begin(number, State::ProviderResponseRequired, by, &question.shortlist, now)
    };
    advice::say(draft, root, &mut record, by, &question.said)?;
    keep(draft, root, record)?;
    answer(draft, root, Outcome::Created)
}

fn begin(ubrn: String, state: State, by: &Speaker, shortlist: &Shortlist, now: Timestamp) -> Record {
    Record {
        ubrn,
        state,
        reason: None,
        patient: String::new(),
        referrer: by.organization.clone(),
        clinician: None,
        urgency: shortlist.urgency,
        specialty: shortlist.specialty.clone(),
        clinic_type: shortlist.clinic_type.clone(),
        shortlist: Vec::new(),
        sent_to: None,
        created: now,
        pathway_start: now,
        letter_due: None,
        letter_first: None,
        letter_last: None,
        documents: Vec::new(),
        appointment: None,
        convertible: false,
        made: 0,
        holder: None,
        reminded: Vec::new(),
        wakes: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_twelve_digits() {
        for n in 0..100 {
            for number in numbers(Uuid::from_u128(n)) {
                assert!(number.value.len() == 12 && number.value.bytes().all(|b| b.is_ascii_digit()));
            }
        }
    }
}
