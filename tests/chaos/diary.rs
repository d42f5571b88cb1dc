//! What the clients wanted and what they were told, a line of JSON each: all that the checker knows of them.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What one client wanted, once it is settled, however often it had to ask.
///
/// A status of 0 is no answer at all. The last answer is what the client goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// An order.
    Submitted {
        /// The Idempotency-Key of every try.
        key: String,
        /// Stands in the order, and in no other.
        identifier: String,
        /// Its type: that of its only request, or `Bundle`.
        kind: String,
        tries: usize,
        /// Status, location, digest of the body.
        answers: Vec<(u16, String, String)>,
        /// `Type/id` of its (first) request; empty when nobody ever said yes.
        request: String,
        /// `Task/id`; empty likewise.
        fulfilment: String,
    },
    /// A claim over REST, with If-Match.
    Claimed { task: String, performer: String, version_before: u32, tries: usize, answers: Vec<u16>, won: bool },
    /// A step over REST, by whoever had claimed the Task; raced: in the moment in which its request was revoked.
    Moved { task: String, performer: String, to: String, raced: bool, answers: Vec<u16>, done: bool },
    /// A request was to be revoked.
    Cancelled { request: String, answers: Vec<u16>, done: bool },
    /// A prescription, by its message's id and its number; its items by theirs.
    Prescribed { message: String, number: String, items: Vec<String>, answers: Vec<(u16, String, String)>, done: bool },
    /// A prescription, or an item of it, was to be cancelled. The response is a code of the service.
    Unprescribed { number: String, item: Option<usize>, answers: Vec<u16>, response: String },
    /// A pharmacy asked for prescriptions, and was given these.
    Released { pharmacy: String, is_nominated: bool, numbers: Vec<String>, answers: Vec<u16> },
    /// The pharmacy that has a prescription told how it stands, or gave it back. Entries about one prescription are in
    /// their order.
    Told {
        number: String,
        pharmacy: String,
        /// The identifiers of the MedicationDispenses that it brought.
        dispenses: Vec<String>,
        /// The codes of the prescription and of its items that hold from now on.
        state: String,
        items: Vec<String>,
        answers: Vec<u16>,
        done: bool,
    },
    /// A referral, by the number that it was given; empty when nobody ever said yes.
    Referred { key: String, number: String, request: String, answers: Vec<u16> },
    /// A slot was wanted for a referral, by all who wanted it in this race at once.
    Booked {
        race: u32,
        request: String,
        slot: String,
        /// `Appointment/id`; empty when nobody said yes.
        appointment: String,
        /// The code of the service by which it was refused, if it was.
        code: String,
        answers: Vec<u16>,
    },
    /// An appointment was to end so: cancelled, or fulfilled.
    Appointed { appointment: String, to: String, answers: Vec<u16>, done: bool },
    /// A message that nobody can read was put into a queue, perhaps more than once.
    Poisoned { message_id: String, queue: String },
    /// A message was put into its queue once more.
    Duplicated { message_id: String, queue: String, copies: u32 },
}

#[derive(Serialize, Deserialize)]
struct Line {
    /// Since the diary was begun.
    at_ms: u64,
    entry: Entry,
}

/// Clones write into the same diary.
#[derive(Clone)]
pub(crate) struct Diary {
    file: Arc<Mutex<File>>,
    begun: Instant,
}

impl Diary {
    /// Begins an empty one.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { file: Arc::new(Mutex::new(file)), begun: Instant::now() })
    }

    /// A line that is lost is not lost in silence: the checker then finds what nobody asked for.
    pub(crate) fn write(&self, entry: Entry) {
        let at_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let written = serde_json::to_vec(&Line { at_ms, entry }).map_err(Into::into).and_then(|mut line| {
            line.push(b'\n');
            self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
        });
        if let Err(error) = written {
            panic!("the diary cannot be written: {error}");
        }
    }

    /// All entries, in the order in which they were written.
    pub(crate) fn read(path: &Path) -> Result<Vec<Entry>> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let entry = |(n, line)| -> Result<Entry> {
            let line: Line = serde_json::from_str(line).with_context(|| format!("line {} is no entry", n + 1))?;
            Ok(line.entry)
        };
        text.lines().enumerate().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_in_its_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("diary.jsonl");
        let diary = Diary::create(&path).expect("a diary");
        let cancelled =
            |n: u16| Entry::Cancelled { request: format!("ServiceRequest/{n}"), answers: vec![0, n], done: true };
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let diary = diary.clone();
                scope.spawn(move || (0..50).for_each(|n| diary.write(cancelled(writer * 100 + n))));
            }
        });
        let read = Diary::read(&path).expect("whole lines");
        assert_eq!(read.len(), 200);
        let of_one: Vec<&Entry> = read.iter().filter(|entry| (0..50).any(|n| **entry == cancelled(n))).collect();
        assert_eq!(of_one, (0..50).map(cancelled).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    }
}
