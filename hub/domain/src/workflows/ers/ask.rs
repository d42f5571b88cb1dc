//! What can be asked: every operation by its name, what it reads, and what the table calls it.

use schemas::resource::{Body, Key};
use uuid::Uuid;

use super::attend::{self, Given};
use super::codes::MISSING_VALUE;
use super::record::{Record, Speaker};
use super::table::Action;
use super::{Deferral, For};
use super::{advice, book, close, create, event, letter, read, shortlist, triage};
use crate::refusal::Refusal;
use crate::scene::Needs;

/// What is asked of the service.
#[derive(Debug, Clone)]
pub struct Ask {
    pub by: Speaker,
    pub wish: Wish,
    /// What it is asked of; none for what begins.
    pub of: Option<Of>,
}

/// What is acted upon, in the version that the caller has read.
#[derive(Debug, Clone)]
pub struct Of {
    /// A ServiceRequest, its Appointment, or a Task of it.
    pub key: Key,
    pub root: Uuid,
    /// None: the caller did not say, and is refused.
    pub version: Option<u32>,
}

#[derive(Debug, Clone)]
pub enum Wish {
    Create(Box<create::Wanted>),
    Ask(Box<create::Question>),
    ChangeShortlist { shortlist: shortlist::Shortlist, sends_for_triage: bool },
    Letter(Vec<letter::Document>),
    Review(triage::Review),
    Book(book::Booking),
    Defer(Deferral),
    CancelAppointment(Given),
    Accept,
    Reject(Given),
    Attended,
    DidNotAttend(Given),
    Guide(advice::Guidance),
    Reply(advice::Said),
    Convert(advice::Conversion),
    Close,
    Cancel(Given),
    Report { id: String, event: event::Event },
}

impl Wish {
    /// As the table calls it.
    pub(super) fn action(&self, record: &Record) -> Option<Action> {
        Some(match self {
            Self::Create(_) | Self::Ask(_) | Self::Report { .. } => return None,
            Self::ChangeShortlist { sends_for_triage: true, .. } => Action::SendForTriage,
            Self::ChangeShortlist { .. } => Action::ChangeShortlist,
            Self::Letter(_) => Action::MaintainLetter,
            Self::Review(review) => review.outcome.action(),
            Self::Book(_) => book::action(record),
            Self::Defer(_) => Action::Defer,
            Self::CancelAppointment(_) => Action::CancelAppointment,
            Self::Accept => Action::Accept,
            Self::Reject(_) => Action::Reject,
            Self::Attended => Action::Attended,
            Self::DidNotAttend(_) => Action::DidNotAttend,
            Self::Guide(guidance) => guidance.action(),
            Self::Reply(_) => Action::Reply,
            Self::Convert(_) => Action::Convert,
            Self::Close => Action::Close,
            Self::Cancel(_) => Action::Cancel,
        })
    }

    fn documents(&self) -> &[letter::Document] {
        match self {
            Self::Letter(documents) => documents,
            Self::Review(review) => &review.documents,
            Self::Ask(question) => &question.said.documents,
            Self::Guide(guidance) => &guidance.said.documents,
            Self::Reply(said) => &said.documents,
            Self::Convert(conversion) => conversion.said.as_ref().map_or(&[], |said| &said.documents),
            _ => &[],
        }
    }

    pub(super) fn needs(&self) -> Needs {
        let needs = match self {
            Self::Create(wanted) => wanted.shortlist.needs(),
            Self::Ask(question) => question.shortlist.needs(),
            Self::ChangeShortlist { shortlist, .. } => shortlist.needs(),
            Self::Book(booking) => book::needs([booking.slot.clone()]),
            Self::Defer(deferral) => book::needs(deferral.slot.iter().chain(&deferral.free).cloned()),
            _ => Needs::default(),
        };
        needs.and(letter::needs(self.documents()))
    }
}

/// How an operation is called, what it reads, and whether it begins something.
pub struct Operation {
    pub name: &'static str,
    pub begins: bool,
    pub read: fn(&Body) -> Result<Wish, Refusal>,
    pub about: &'static str,
}

const fn operation(
    name: &'static str,
    begins: bool,
    read: fn(&Body) -> Result<Wish, Refusal>,
    about: &'static str,
) -> Operation {
    Operation { name, begins, read, about }
}

/// All operations on ServiceRequest. Those that the service publishes have its names.
pub const OPERATIONS: &[Operation] = &[
    operation("$ers.createReferral", true, |p| create::read_referral(p, false), "A referral with a shortlist"),
    operation(
        "$ers.createReferralAndSendForTriage",
        true,
        |p| create::read_referral(p, true),
        "A referral that a service looks at first",
    ),
    operation("$ers.createAdviceAndGuidance", true, create::read_question, "A request for advice"),
    operation("$ers.changeShortlist", false, |p| read_shortlist(p, false), "Other services"),
    operation("$ers.changeShortlistAndSendForTriage", false, |p| read_shortlist(p, true), "A service to look first"),
    operation("$ers.maintainReferralLetter", false, read_letter, "The referrer's documents"),
    operation("$ers.recordReviewOutcome", false, triage::read_review, "What becomes of a reviewed referral"),
    operation("$ers.acceptReferral", false, |p| read_nothing(p, Wish::Accept), "A booked referral is right"),
    operation("$ers.rejectReferral", false, attend::read_rejection, "A booked referral is not"),
    operation("$ers.cancelAppointmentActionLater", false, triage::read_action_later, "Booked anew by the provider"),
    operation("$ers.cancelReferral", false, close::read_cancellation, "For a reason of the published list"),
    operation("$ers.sendCommunicationToRequester", false, advice::read_guidance, "Advice, or a question"),
    operation("$sendCommunicationToProvider", false, advice::read_reply, "What the provider asked for"),
    operation("$ers.createFromCommunicationRequestActionLater", false, advice::read_conversion, "Advice to referral"),
    operation("$recordAttendance", false, |p| read_nothing(p, Wish::Attended), "The patient came"),
    operation("$recordNonAttendance", false, attend::read_non_attendance, "The patient did not come"),
    operation("$close", false, |p| read_nothing(p, Wish::Close), "All is done"),
];

fn read_shortlist(parameters: &Body, sends_for_triage: bool) -> Result<Wish, Refusal> {
    let mut reader = read::Reader::new(parameters);
    let shortlist = shortlist::read(&mut reader);
    let wish = shortlist.map(|shortlist| Wish::ChangeShortlist { shortlist, sends_for_triage });
    reader.finish(wish)?.ok_or_else(|| MISSING_VALUE.refusal())
}

fn read_letter(parameters: &Body) -> Result<Wish, Refusal> {
    let mut reader = read::Reader::new(parameters);
    let documents = letter::read(&mut reader, "referralLetterFile");
    reader.finish(Wish::Letter(documents))
}

fn read_nothing(parameters: &Body, wish: Wish) -> Result<Wish, Refusal> {
    read::Reader::new(parameters).finish(wish)
}

/// `POST Appointment`
pub fn read_booking(body: &Body) -> Result<(For, Wish), Refusal> {
    book::read(body)
}

/// `PUT Appointment`
pub fn read_cancelled_appointment(body: &Body) -> Result<Wish, Refusal> {
    book::read_cancellation(body)
}

/// `PUT ServiceRequest`
pub fn read_changed_request(body: &Body) -> Result<Wish, Refusal> {
    close::read_request(body)
}

/// `PUT Task`
pub fn read_changed_task(body: &Body) -> Result<Wish, Refusal> {
    close::read_task(body)
}

/// `POST Encounter` and its like.
pub fn read_event(kind: &str, body: &Body) -> Result<Wish, Refusal> {
    event::read(kind, body).map(|(id, event)| Wish::Report { id, event })
}
