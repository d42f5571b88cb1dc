//! What was found: how much there was of everything, and what was wrong.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::{Table, presets};

const EXAMPLES_MAX: usize = 5;

/// How much there was. Nothing of it is good or bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fact {
    Submitted,
    Orchestrations,
    Acknowledged,
    Unanswered,
    UnansweredButThere,
    Orders,
    Tasks,
    Versions,
    Undone,
    Won,
    NotWon,
    Moved,
    CompletedFirst,
    RevokedFirst,
    Cancelled,
    Prescribed,
    Released,
    Told,
    Unprescribed,
    Referred,
    Booked,
    NotBooked,
    Raced,
    Appointed,
    Poisoned,
    Duplicated,
}

/// What a run has to have seen to say that nothing is wrong with it: who races wins, and loses.
const RACES: [Fact; 4] = [Fact::Won, Fact::NotWon, Fact::CompletedFirst, Fact::Raced];

impl Fact {
    fn title(self) -> &'static str {
        match self {
            Self::Submitted => "orders submitted",
            Self::Orchestrations => "of these, orchestrations acknowledged",
            Self::Acknowledged => "orders acknowledged",
            Self::Unanswered => "orders to which nobody said yes",
            Self::UnansweredButThere => "of these, orders that are there",
            Self::Orders => "orders in the database",
            Self::Tasks => "Tasks in the database",
            Self::Versions => "versions in the database",
            Self::Undone => "steps of lost units that were undone",
            Self::Won => "claims over REST that were granted",
            Self::NotWon => "claims over REST that were not",
            Self::Moved => "steps over REST",
            Self::CompletedFirst => "completions against a revocation that came first",
            Self::RevokedFirst => "and such that came second",
            Self::Cancelled => "requests revoked",
            Self::Prescribed => "prescriptions acknowledged",
            Self::Released => "prescriptions released, each time",
            Self::Told => "words of pharmacies on them",
            Self::Unprescribed => "cancellations of them, or of items",
            Self::Referred => "referrals acknowledged",
            Self::Booked => "slots booked for them",
            Self::NotBooked => "slots not booked, for they were taken",
            Self::Raced => "races for a slot, won and lost",
            Self::Appointed => "appointments cancelled or fulfilled",
            Self::Poisoned => "unreadable messages sent",
            Self::Duplicated => "messages sent once more",
        }
    }
}

/// Ways to be wrong. In a good run none is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    Refused,
    Lost,
    Doubled,
    Unasked,
    Damaged,
    Disordered,
    Illegal,
    Open,
    Unfit,
    DoneTwice,
    TooEarly,
    Undone,
    Broken,
    WentOn,
    BookedTwice,
    NotBooked,
    Slot,
    Unsent,
    Queued,
    NotParked,
    Parked,
    Timer,
    NoReceipt,
    NotCurrent,
}

impl Fault {
    const ALL: [Self; 24] = [
        Self::Refused,
        Self::Lost,
        Self::Doubled,
        Self::Unasked,
        Self::Damaged,
        Self::Disordered,
        Self::Illegal,
        Self::Open,
        Self::Unfit,
        Self::DoneTwice,
        Self::TooEarly,
        Self::Undone,
        Self::Broken,
        Self::WentOn,
        Self::BookedTwice,
        Self::NotBooked,
        Self::Slot,
        Self::Unsent,
        Self::Queued,
        Self::NotParked,
        Self::Parked,
        Self::Timer,
        Self::NoReceipt,
        Self::NotCurrent,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Refused => "good orders and messages refused",
            Self::Lost => "orders lost, whole or in part",
            Self::Doubled => "orders doubled",
            Self::Unasked => "orders that nobody asked for",
            Self::Damaged => "rows that cannot be read",
            Self::Disordered => "versions missing or out of order",
            Self::Illegal => "illegal transitions",
            Self::Open => "Tasks without an end",
            Self::Unfit => "orders that do not fit their Tasks",
            Self::DoneTwice => "work done twice",
            Self::TooEarly => "work offered before its time",
            Self::Undone => "work undone that was not to be, or the reverse",
            Self::Broken => "answers that do not hold",
            Self::WentOn => "work begun after it was cancelled",
            Self::BookedTwice => "slots booked twice",
            Self::NotBooked => "bookings unlike what was told",
            Self::Slot => "slots unlike their appointments",
            Self::Unsent => "messages left in the outbox",
            Self::Queued => "messages left in queues",
            Self::NotParked => "unreadable messages not parked once",
            Self::Parked => "messages parked that were good",
            Self::Timer => "timers left or overdue",
            Self::NoReceipt => "receipts missing",
            Self::NotCurrent => "current rows unlike their history",
        }
    }
}

#[derive(Debug, Default)]
struct Found {
    count: usize,
    examples: Vec<String>,
}

/// What the checker found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    facts: BTreeMap<Fact, usize>,
    faults: BTreeMap<Fault, Found>,
}

impl Verdict {
    /// Nothing is wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// The races that were not run: of them it says nothing.
    pub(crate) fn unseen(&self) -> Vec<&'static str> {
        let none = |fact: &Fact| self.facts.get(fact).is_none_or(|count| *count == 0);
        RACES.into_iter().filter(none).map(Fact::title).collect()
    }

    /// For people: the counts, and of each fault the first examples.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["", "count"]);
        for (fact, count) in &self.facts {
            table.add_row([fact.title().to_owned(), count.to_string()]);
        }
        for fault in Fault::ALL {
            let count = self.faults.get(&fault).map_or(0, |found| found.count);
            table.add_row([format!("! {}", fault.title()), count.to_string()]);
        }
        let mut text = table.to_string();
        for (fault, found) in &self.faults {
            let _ = write!(text, "\n{} ({}), such as:", fault.title(), found.count);
            for example in &found.examples {
                let _ = write!(text, "\n  {example}");
            }
        }
        text
    }

    pub(super) fn saw(&mut self, fact: Fact, count: usize) {
        *self.facts.entry(fact).or_default() += count;
    }

    /// Only the first examples are put into words.
    pub(super) fn blame(&mut self, fault: Fault, sentence: impl FnOnce() -> String) {
        let found = self.faults.entry(fault).or_default();
        found.count += 1;
        if found.examples.len() < EXAMPLES_MAX {
            found.examples.push(sentence());
        }
    }

    #[cfg(test)]
    pub(super) fn faults(&self) -> Vec<Fault> {
        self.faults.keys().copied().collect()
    }
}
