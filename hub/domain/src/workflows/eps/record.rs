//! One prescription as the service knows it: its items, its issues, and what waits to happen to it.

use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::table::{Event, Item, State};

/// How the treatment goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Course {
    #[serde(rename = "a")]
    Acute,
    /// Repeat prescribing: each repeat is a prescription of its own.
    #[serde(rename = "r")]
    Repeat,
    /// Repeat dispensing: one prescription, several issues.
    #[serde(rename = "d")]
    RepeatDispensing,
}

/// Kept in the head of the order. Short names: it is written with every change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The short number, by which everybody calls it.
    #[serde(rename = "n")]
    pub number: String,
    /// The long one, a UUID.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub long_number: Option<String>,
    /// The NHS number of the patient.
    #[serde(rename = "p", default)]
    pub patient: String,
    /// ODS code of the prescribing organisation.
    #[serde(rename = "o", default)]
    pub prescriber: String,
    #[serde(rename = "O", default, skip_serializing_if = "Option::is_none")]
    pub prescriber_name: Option<String>,
    #[serde(rename = "c")]
    pub course: Course,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// As FHIR says it; none for routine.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// ODS code of the pharmacy that the patient chose; a return clears it.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub nominated: Option<String>,
    #[serde(rename = "M", default, skip_serializing_if = "Vec::is_empty")]
    pub nominated_before: Vec<String>,
    #[serde(rename = "d")]
    pub prescribed: Timestamp,
    #[serde(rename = "y")]
    pub days_supply: u32,
    #[serde(rename = "i")]
    pub items: Vec<ItemOf>,
    /// Empty while only a cancellation has arrived.
    #[serde(rename = "s")]
    pub issues: Vec<Issue>,
    #[serde(rename = "x", default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<Cancellation>,
    /// The `Bundle.id` that the order message came with.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub bundle_id: Option<String>,
    /// The earliest moment from which a timer is set.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub wakes: Option<Timestamp>,
}

/// What is prescribed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemOf {
    /// Its UUID in the messages.
    #[serde(rename = "i")]
    pub id: String,
    /// SNOMED CT code and name of the medication.
    #[serde(rename = "c")]
    pub code: String,
    #[serde(rename = "n")]
    pub name: String,
    /// In how many issues it is.
    #[serde(rename = "r")]
    pub issues: u32,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Cancelled>,
}

/// That a prescriber has cancelled an item, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Why, as a code of the service.
    #[serde(rename = "r")]
    pub reason: String,
    #[serde(rename = "a")]
    pub at: Timestamp,
}

/// One supply of a prescription: the only one, or one of several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Issue {
    #[serde(rename = "s")]
    pub state: State,
    /// The items of the prescription in their order.
    #[serde(rename = "i")]
    pub items: Vec<Item>,
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Dispenser>,
    /// The ids of the answers by which it was released, the last one last.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<String>,
    /// The items as they were released.
    #[serde(rename = "q", default, skip_serializing_if = "Vec::is_empty")]
    pub released: Vec<Item>,
    #[serde(rename = "n", default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<Notification>,
    /// Notifications that were withdrawn or replaced.
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    pub struck: Vec<Notification>,
    /// From when on it may be downloaded.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Timestamp>,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// Claims that were amended.
    #[serde(rename = "C", default, skip_serializing_if = "Vec::is_empty")]
    pub claims_before: Vec<String>,
    /// How it went, for the tracker.
    #[serde(rename = "e", default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Step>,
}

/// Who has a prescription.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dispenser {
    /// ODS code.
    #[serde(rename = "o")]
    pub code: String,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// A dispense notification that holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Its message id.
    #[serde(rename = "i")]
    pub id: String,
    /// When the medicines were handed over: notifications are in this order, whichever order they come in.
    #[serde(rename = "w")]
    pub handed_over: Timestamp,
    #[serde(rename = "s")]
    pub state: State,
    #[serde(rename = "t")]
    pub items: Vec<Item>,
    /// How many MedicationDispenses it brought.
    #[serde(rename = "d")]
    pub dispenses: u32,
}

/// A cancellation that could not be done yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cancellation {
    /// None: the whole prescription.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// ODS code of who asked.
    #[serde(rename = "o")]
    pub by: String,
    /// Why, as a code of the service.
    #[serde(rename = "r")]
    pub reason: String,
    /// The patient that it named: told before the order, it is held against that.
    #[serde(rename = "p", default, skip_serializing_if = "String::is_empty")]
    pub patient: String,
}

/// Something that happened, and the state after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    #[serde(rename = "e")]
    pub event: Event,
    #[serde(rename = "s")]
    pub state: State,
    #[serde(rename = "a")]
    pub at: Timestamp,
    /// ODS code of who caused it; none for time itself.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The notification that told of it.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<String>,
}

impl Record {
    /// The issue that something can happen to: the first that is not over, else the last.
    pub fn current(&self) -> usize {
        let open = self.issues.iter().position(|issue| !issue.state.is_over());
        open.unwrap_or(self.issues.len().saturating_sub(1))
    }

    pub fn item(&self, id: &str) -> Option<usize> {
        self.items.iter().position(|item| item.id.eq_ignore_ascii_case(id))
    }

    /// The step of the Task of an issue (numbered from 0): its items follow it.
    pub fn step(&self, issue: usize) -> usize {
        issue * (self.items.len() + 1)
    }
}

impl Issue {
    pub fn new(state: State, items: Vec<Item>) -> Self {
        Self {
            state,
            items,
            holder: None,
            releases: Vec::new(),
            released: Vec::new(),
            notifications: Vec::new(),
            struck: Vec::new(),
            ready: None,
            ended: None,
            claim: None,
            claims_before: Vec::new(),
            history: Vec::new(),
        }
    }

    pub fn is_held_by(&self, dispenser: &str) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.code == dispenser)
    }

    /// Whether this notification has come already, also if it holds no more.
    pub fn heard(&self, notification: &str) -> bool {
        self.notifications.iter().chain(&self.struck).any(|told| told.id.eq_ignore_ascii_case(notification))
    }

    pub fn moves(&mut self, event: Event, to: State, at: Timestamp, by: Option<&str>) {
        self.state = to;
        self.ended = to.is_over().then_some(at);
        self.history.push(Step { event, state: to, at, by: by.map(str::to_owned), notification: None });
    }

    /// The same, by a notification.
    pub fn is_told(&mut self, event: Event, told: Notification, at: Timestamp) {
        let by = self.holder.as_ref().map(|holder| holder.code.clone());
        self.items.clone_from(&told.items);
        self.moves(event, told.state, at, by.as_deref());
        if let Some(step) = self.history.last_mut() {
            step.notification = Some(told.id.clone());
        }
        self.notifications.push(told);
    }
}
