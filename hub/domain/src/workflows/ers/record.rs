//! One referral, or one request for advice, as the service knows it.

use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::table::{self, Action, Of, Role, Side, State};
pub use super::words::Urgency;

impl Urgency {
    pub fn display(self) -> &'static str {
        match self {
            Self::Routine => "Routine",
            Self::Urgent => "Urgent",
            Self::TwoWeekWait => "2 Week Wait",
        }
    }

    /// As FHIR says it.
    pub fn priority(self) -> &'static str {
        match self {
            Self::Routine => "routine",
            Self::Urgent => "urgent",
            Self::TwoWeekWait => "asap",
        }
    }
}

/// Who acts: in which role, for which organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    pub role: Role,
    /// ODS code.
    pub organization: String,
    /// SDS user id, of whom it is done for.
    pub person: Option<String>,
}

/// Kept in the head of the order. Short names: it is written with every change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Unique Booking Reference Number: twelve digits.
    #[serde(rename = "n")]
    pub ubrn: String,
    #[serde(rename = "s")]
    pub state: State,
    /// Why it is in that state.
    #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The NHS number of the patient.
    #[serde(rename = "p")]
    pub patient: String,
    /// ODS code of the referring organisation.
    #[serde(rename = "o")]
    pub referrer: String,
    #[serde(rename = "O", default, skip_serializing_if = "Option::is_none")]
    pub clinician: Option<String>,
    #[serde(rename = "u")]
    pub urgency: Urgency,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub specialty: Option<String>,
    #[serde(rename = "C", default, skip_serializing_if = "Option::is_none")]
    pub clinic_type: Option<String>,
    #[serde(rename = "l")]
    pub shortlist: Vec<Service>,
    /// The id of the service that it was sent to.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<String>,
    #[serde(rename = "d")]
    pub created: Timestamp,
    #[serde(rename = "D")]
    pub pathway_start: Timestamp,
    /// Until when the referrer means to add a letter; none: it does not mean to.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub letter_due: Option<Timestamp>,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub letter_first: Option<Timestamp>,
    #[serde(rename = "F", default, skip_serializing_if = "Option::is_none")]
    pub letter_last: Option<Timestamp>,
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Attached>,
    /// The one that holds.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub appointment: Option<Booked>,
    /// Whether the referrer lets the provider make a referral of it.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub convertible: bool,
    /// How many resources were made of each kind: the next one's number.
    #[serde(rename = "m", default)]
    pub made: u32,
    /// Who works on the open step.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
    /// Reminders that were sent.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub reminded: Vec<String>,
    /// The earliest moment from which a timer is set.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub wakes: Option<Timestamp>,
}

/// A service of the directory, as far as a referral needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Of the HealthcareService.
    #[serde(rename = "i")]
    pub id: String,
    #[serde(rename = "n", default)]
    pub name: String,
    /// ODS code of who provides it.
    #[serde(rename = "o")]
    pub provider: String,
}

/// Why: a code for an action, and a comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub coded: Option<(Action, String)>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl Reason {
    pub fn row(&self) -> Option<&'static table::ReasonRow> {
        let (action, code) = self.coded.as_ref()?;
        table::reason(*action, code)
    }
}

/// A document that is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Of the DocumentReference.
    #[serde(rename = "i")]
    pub id: Uuid,
    /// Of the Binary.
    #[serde(rename = "b")]
    pub binary: String,
    #[serde(rename = "t")]
    pub title: String,
    /// By the referrer, or else by the provider.
    #[serde(rename = "r", default)]
    pub by_referrer: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booked {
    /// Of the Appointment.
    #[serde(rename = "i")]
    pub id: Uuid,
    /// Of the Slot.
    #[serde(rename = "s")]
    pub slot: String,
    #[serde(rename = "a")]
    pub start: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// `Organization/<code>`
    #[serde(rename = "o")]
    pub performer: String,
    #[serde(rename = "s", default)]
    pub started: bool,
}

impl Record {
    /// Where it is sent to.
    pub fn service(&self) -> Option<&Service> {
        let id = self.sent_to.as_ref()?;
        self.shortlist.iter().find(|service| service.id == *id)
    }

    /// ODS code of who works on it.
    pub fn provider(&self) -> Option<&str> {
        self.service().map(|service| service.provider.as_str())
    }

    /// Whether an organisation has to do with it, on this side.
    pub fn concerns(&self, by: &Speaker) -> bool {
        match by.role.side() {
            Side::Referrer => self.referrer == by.organization,
            Side::Provider => self.provider() == Some(by.organization.as_str()),
        }
    }

    /// Whether this side may make a referral of a request for advice; a provider needs the referrer's word.
    pub fn converts(&self, by: &Speaker) -> bool {
        by.role.side() == Side::Referrer || self.convertible
    }

    /// Moves on; who held the step before holds nothing of the next.
    pub(super) fn goes(&mut self, to: Option<State>) {
        if let Some(to) = to.filter(|to| *to != self.state) {
            self.state = to;
            self.holder = None;
        }
    }

    /// Whether the letter is still to come.
    pub fn awaits_letter(&self) -> bool {
        self.letter_due.is_some() && self.letter_first.is_none()
    }

    /// An id for one more resource of it.
    pub(super) fn next_id(&mut self, root: Uuid) -> Uuid {
        self.made += 1;
        Uuid::new_v5(&root, &self.made.to_be_bytes())
    }

    /// `r.<uuid>` of a referral, `a.<uuid>` of a request for advice.
    pub fn request_id(&self, root: Uuid) -> String {
        match self.state.of() {
            Of::Referral => format!("r.{root}"),
            Of::Advice => format!("a.{root}"),
        }
    }
}
