//! What each copy of a recorded order has of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use crate::orders::{PATIENTS, Who, digits};

/// Numbers that one order may take of one table.
const NUMBERS_OF_AN_ORDER: i64 = 1000;
/// Organisations among which the work is spread: so few that each has a full page of it among ten thousand Tasks, and
/// registries of all sizes are asked for the same.
pub(crate) const OWNERS: u64 = 100;

pub(crate) struct Copy {
    number: i64,
    pub(super) later_us: i64,
    pub(super) order: String,
    pub(super) patient: String,
    pub(super) doctor: String,
    pub(super) site: String,
    pub(super) owner: String,
    /// Its bodies name its own ids as well, and are packed anew. Where only the writing is measured, none need be made:
    /// those that were recorded are as long.
    pub(super) is_faithful: bool,
    pub(super) ids: Vec<Uuid>,
    pub(super) texts: Vec<String>,
}

impl Copy {
    pub(super) fn number_of(&self, recorded: i64) -> i64 {
        recorded + self.number * NUMBERS_OF_AN_ORDER
    }
}

/// Numbers the copies.
pub(crate) struct Copies {
    next: AtomicU64,
    are_faithful: bool,
}

impl Copies {
    pub(crate) fn new(first: u64, are_faithful: bool) -> Self {
        Self { next: AtomicU64::new(first), are_faithful }
    }

    /// The next, of an order with so many ids that was recorded then.
    pub(crate) fn of(&self, ids: usize, recorded_us: i64) -> Copy {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let ids: Vec<Uuid> = (0..ids).map(|_| Uuid::now_v7()).collect();
        let text = |number| String::from_utf8_lossy(&digits(number)).into_owned();
        let who = Who::of(number);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Copy {
            number: i64::try_from(number).unwrap_or(i64::MAX),
            later_us: i64::try_from(now.as_micros()).unwrap_or(i64::MAX) - recorded_us,
            order: text(number),
            patient: text(patient_of(number)),
            doctor: text(who.doctor),
            site: text(who.site),
            owner: text(1 + number % OWNERS),
            is_faithful: self.are_faithful,
            texts: ids.iter().map(Uuid::to_string).collect(),
            ids,
        }
    }
}

/// Of the copy with this number: each has another one, as long as there are some.
pub(crate) fn patient_of(number: u64) -> u64 {
    1 + number.wrapping_mul(7919) % PATIENTS
}
