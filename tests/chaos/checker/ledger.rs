//! What is kept of the history: of each request and each Task where it ended, and of the Tasks that clients touched
//! over REST every step.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::diary::Entry;

#[derive(Default)]
pub(super) struct Ledger {
    /// Identifiers of orders that clients submitted.
    pub(super) asked: HashSet<String>,
    /// By `Type/id`.
    pub(super) requests: HashMap<String, Request>,
    /// The requests that carry an identifier of the diary.
    pub(super) identified: HashMap<String, Vec<String>>,
    /// The Tasks that the hub made, by the root of their order.
    pub(super) orders: HashMap<Uuid, Vec<Task>>,
    /// The Tasks of prescriptions, which are the prescription service's, by the root of their order.
    pub(super) prescriptions: HashMap<Uuid, Vec<Turn>>,
    /// How often a MedicationDispense has this identifier.
    pub(super) dispenses: HashMap<String, usize>,
    /// The histories of slots, by `Slot/id`.
    pub(super) slots: HashMap<String, Vec<Moment>>,
    /// By `Appointment/id`.
    pub(super) appointments: HashMap<String, Appointment>,
    /// The histories of the Tasks that the diary names, by `Task/id`.
    pub(super) watched: HashMap<String, Vec<Step>>,
}

pub(super) struct Request {
    pub(super) root: Uuid,
    /// The diary knows one of its identifiers.
    pub(super) is_asked: bool,
    /// When it was revoked, in microseconds.
    pub(super) revoked_us: Option<i64>,
    /// How it ended.
    pub(super) status: String,
}

/// A Task at its end.
pub(super) struct Task {
    /// Which step of the plan; 0 is the fulfilment Task.
    pub(super) step: u32,
    /// Which offer of that step, from 1 on.
    pub(super) offer: u32,
    pub(super) status: String,
    pub(super) based_on: Vec<String>,
    /// When it was placed, when it was first on offer, and when its last version was written, in microseconds.
    pub(super) created_us: i64,
    pub(super) offered_us: Option<i64>,
    pub(super) ended_us: i64,
    /// When somebody took it, in microseconds.
    pub(super) taken_us: Option<i64>,
    /// It asks the owner of another one to stop, pause or go on.
    pub(super) asks: bool,
}

/// A Task of a prescription: one of those that stood for it, or for an item of it, in their turn.
pub(super) struct Turn {
    pub(super) step: u32,
    pub(super) offer: u32,
    /// Its versions.
    pub(super) steps: Vec<Step>,
    /// The service's code with each version.
    pub(super) codes: Vec<String>,
}

/// A slot that was booked for a request.
pub(super) struct Appointment {
    /// `Slot/id`, and `Type/id`.
    pub(super) slot: String,
    pub(super) request: String,
    pub(super) history: Vec<Moment>,
}

/// A version of a slot or of an appointment, and its time in microseconds.
pub(super) struct Moment {
    pub(super) at_us: i64,
    pub(super) status: String,
}

/// A version of a watched Task.
pub(super) struct Step {
    pub(super) version: u32,
    pub(super) status: String,
    pub(super) owner: String,
}

impl Ledger {
    /// Empty, but for what to look out for.
    pub(super) fn of(diary: &[Entry]) -> Self {
        let mut ledger = Self::default();
        for entry in diary {
            match entry {
                Entry::Submitted { identifier, .. } => drop(ledger.asked.insert(identifier.clone())),
                Entry::Claimed { task, .. } | Entry::Moved { task, .. } => {
                    ledger.watched.insert(task.clone(), Vec::new());
                }
                Entry::Referred { number, .. } => drop(ledger.asked.insert(number.clone())),
                Entry::Prescribed { items, .. } => ledger.asked.extend(items.iter().cloned()),
                Entry::Told { dispenses, .. } => {
                    ledger.dispenses.extend(dispenses.iter().map(|identifier| (identifier.clone(), 0)));
                }
                Entry::Cancelled { .. }
                | Entry::Unprescribed { .. }
                | Entry::Released { .. }
                | Entry::Booked { .. }
                | Entry::Appointed { .. }
                | Entry::Poisoned { .. }
                | Entry::Duplicated { .. } => {}
            }
        }
        ledger
    }

    /// When the last of these requests was revoked; none when one of them never was.
    pub(super) fn revoked_us(&self, requests: &[String]) -> Option<i64> {
        let times: Option<Vec<i64>> = requests.iter().map(|name| self.requests.get(name)?.revoked_us).collect();
        times?.into_iter().max()
    }

    /// How the order as a whole ended; none when there is no such order.
    pub(super) fn fulfilment(&self, root: Uuid) -> Option<&Task> {
        self.orders.get(&root)?.iter().find(|task| task.step == 0)
    }
}

/// The order, the step and the offer that a Task's id names, if the hub made it: `<root>.<step>[.<offer>]`.
pub(super) fn parts_of(id: &str) -> Option<(Uuid, u32, u32)> {
    let mut parts = id.split('.');
    let (root, step) = (Uuid::try_parse(parts.next()?).ok()?, parts.next()?.parse().ok()?);
    let offer = parts.next().map_or(Some(1), |text| text.parse().ok())?;
    Some((root, step, offer))
}
