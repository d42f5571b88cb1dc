//! How the states of an order's steps are written: a text of which a step that nobody was offered yet takes one
//! character, and one that is done some twenty.
//!
//! Each step is a number that says its status and what else there is of it, then those values, in the order of [`Has`].
//! A number is written five bits a character, the lowest first; a time as the difference to the last one before; a text
//! after its length. A step that is the same as the one before is written as [`SAME`] and how often.

use schemas::task::TaskStatus;
use schemas::time::Timestamp;

use super::run::{Joined, TaskState, Tie};

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Of a number in a character.
const BITS: usize = 5;
/// Another character of the same number follows.
const MORE: u64 = 1 << BITS;
const SAME: u8 = b'*';
const STATUS: u64 = 0b1111;

/// What a step may have beside its status, those first that most have.
#[derive(Clone, Copy)]
enum Has {
    Open = 4,
    Released,
    Started,
    Ended,
    Sequence,
    Report,
    Documented,
    Withdrawn,
    /// One that does not follow from the status.
    Occurrence,
    Due,
    Until,
    Late,
    Lease,
    Offered,
    Refused,
    Calls,
    Joined,
    Asked,
    Begun,
    Chosen,
    Answer,
}

impl Has {
    fn when(self, has: bool) -> u64 {
        u64::from(has) << self as u32
    }

    fn is_in(self, head: u64) -> bool {
        head >> self as u32 & 1 == 1
    }
}

pub(super) fn write(tasks: &[TaskState]) -> String {
    let mut to = Writer { text: String::with_capacity(tasks.len() * 8), last: 0 };
    let (mut before, mut same) = (None, 0);
    for task in tasks {
        if before == Some(task) {
            same += 1;
            continue;
        }
        to.same(same);
        to.state(task);
        (before, same) = (Some(task), 0);
    }
    to.same(same);
    to.text
}

/// None: they are no states, or more than there may be.
pub(super) fn read(text: &str, most: usize) -> Option<Vec<TaskState>> {
    let mut from = Reader { text, at: 0, last: 0 };
    let mut tasks: Vec<TaskState> = Vec::with_capacity(most);
    while let Some(next) = text.as_bytes().get(from.at) {
        let mut times = 1;
        if *next == SAME {
            from.at += 1;
            times = usize::try_from(from.number()?).ok()?;
        }
        if times > most - tasks.len() {
            return None;
        }
        if *next == SAME {
            let task = tasks.last()?.clone();
            tasks.extend(std::iter::repeat_n(task, times));
        } else {
            tasks.push(TaskState::default());
            from.state(tasks.last_mut()?)?;
        }
    }
    Some(tasks)
}

struct Writer {
    text: String,
    last: i64,
}

impl Writer {
    fn same(&mut self, times: u64) {
        if times > 0 {
            self.text.push(SAME as char);
            self.number(times);
        }
    }

    fn state(&mut self, task: &TaskState) {
        let status = task.status.map_or(0, |status| status as u64 + 1);
        let head = status
            | Has::Open.when(task.open)
            | Has::Released.when(task.released.is_some())
            | Has::Started.when(task.started.is_some())
            | Has::Ended.when(task.ended.is_some())
            | Has::Sequence.when(task.sequence > 0)
            | Has::Report.when(task.report.is_some())
            | Has::Documented.when(task.documented)
            | Has::Withdrawn.when(task.withdrawn)
            | Has::Occurrence.when(task.occurrence != u32::from(task.status.is_some()))
            | Has::Due.when(task.due.is_some())
            | Has::Until.when(task.until.is_some())
            | Has::Late.when(task.late)
            | Has::Lease.when(task.lease.is_some())
            | Has::Offered.when(task.offered.is_some())
            | Has::Refused.when(task.refused > 0)
            | Has::Calls.when(task.calls)
            | Has::Joined.when(task.joined.is_some())
            | Has::Asked.when(!task.rare.asked.is_empty())
            | Has::Begun.when(task.begun)
            | Has::Chosen.when(!task.rare.chosen.is_empty())
            | Has::Answer.when(task.rare.answer.is_some());
        self.number(head);
        [task.released, task.started, task.ended].into_iter().flatten().for_each(|time| self.time(time));
        if task.sequence > 0 {
            self.number(task.sequence.into());
        }
        task.report.iter().for_each(|report| self.text(report));
        if Has::Occurrence.is_in(head) {
            self.number(task.occurrence.into());
        }
        [task.due, task.until, task.lease].into_iter().flatten().for_each(|time| self.time(time));
        task.offered.into_iter().for_each(|version| self.number(version.into()));
        if task.refused > 0 {
            self.number(task.refused.into());
        }
        if let Some(joined) = task.joined {
            let tie = Tie::ALL.iter().position(|tie| *tie == joined.tie).unwrap_or_default();
            [joined.to.into(), joined.occurrence.into(), tie as u64].into_iter().for_each(|number| self.number(number));
        }
        if !task.rare.asked.is_empty() {
            self.number(task.rare.asked.len() as u64);
            task.rare.asked.iter().for_each(|whom| self.text(whom));
        }
        if !task.rare.chosen.is_empty() {
            self.number(task.rare.chosen.len() as u64);
            task.rare.chosen.iter().for_each(|branch| self.number((*branch).into()));
        }
        task.rare.answer.into_iter().for_each(|time| self.time(time));
    }

    fn number(&mut self, mut number: u64) {
        while number >= MORE {
            self.digit(number & (MORE - 1) | MORE);
            number >>= BITS;
        }
        self.digit(number);
    }

    fn digit(&mut self, digit: u64) {
        self.text.push(DIGITS[digit as usize] as char);
    }

    fn time(&mut self, time: Timestamp) {
        let later = time.0.wrapping_sub(self.last);
        // The sign comes last, so that what is near is short.
        self.number((later << 1 ^ later >> 63) as u64);
        self.last = time.0;
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.text.push_str(text);
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    last: i64,
}

impl Reader<'_> {
    /// In its place: most of what a state may have is not there.
    fn state(&mut self, task: &mut TaskState) -> Option<()> {
        let head = self.number()?;
        let has = |what: Has| what.is_in(head);
        if let Some(number) = usize::try_from(head & STATUS).ok()?.checked_sub(1) {
            task.status = Some(*TaskStatus::ALL.get(number)?);
            task.occurrence = 1;
        }
        task.open = has(Has::Open);
        task.released = self.time_if(has(Has::Released))?;
        task.started = self.time_if(has(Has::Started))?;
        task.ended = self.time_if(has(Has::Ended))?;
        if has(Has::Sequence) {
            task.sequence = self.small()?;
        }
        if head >> Has::Report as u32 > 0 { self.rest(head, task) } else { Some(()) }
    }

    fn rest(&mut self, head: u64, task: &mut TaskState) -> Option<()> {
        let has = |what: Has| what.is_in(head);
        (task.documented, task.withdrawn) = (has(Has::Documented), has(Has::Withdrawn));
        (task.late, task.calls, task.begun) = (has(Has::Late), has(Has::Calls), has(Has::Begun));
        if has(Has::Report) {
            task.report = Some(self.text()?);
        }
        if has(Has::Occurrence) {
            task.occurrence = self.small()?;
        }
        task.due = self.time_if(has(Has::Due))?;
        task.until = self.time_if(has(Has::Until))?;
        task.lease = self.time_if(has(Has::Lease))?;
        if has(Has::Offered) {
            task.offered = Some(self.small()?);
        }
        if has(Has::Refused) {
            task.refused = self.small()?;
        }
        if has(Has::Joined) {
            let (to, occurrence, tie) = (self.small()?, self.small()?, self.small()?);
            task.joined = Some(Joined { to, occurrence, tie: *Tie::ALL.get(tie as usize)? });
        }
        if has(Has::Asked) {
            let many = self.small()?;
            task.rare.asked = (0..many).map(|_| self.text()).collect::<Option<_>>()?;
        }
        if has(Has::Chosen) {
            let many = self.small()?;
            task.rare.chosen = (0..many).map(|_| self.small()).collect::<Option<_>>()?;
        }
        if has(Has::Answer) {
            task.rare.answer = self.time_if(true)?;
        }
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for (n, character) in self.text.as_bytes().get(self.at..)?.iter().enumerate().take(DIGITS_MAX) {
            let digit = u64::from(VALUES[usize::from(*character)]);
            number |= (digit & (MORE - 1)) << (BITS * n);
            if digit < MORE {
                self.at += n + 1;
                return Some(number);
            }
            if digit == NONE {
                break;
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// Outer None: it is no time.
    fn time_if(&mut self, has: bool) -> Option<Option<Timestamp>> {
        if !has {
            return Some(None);
        }
        let number = self.number()?;
        let later = (number >> 1) as i64 ^ -((number & 1) as i64);
        self.last = self.last.wrapping_add(later);
        Some(Some(Timestamp(self.last)))
    }

    fn text(&mut self) -> Option<String> {
        let bytes = usize::try_from(self.number()?).ok()?;
        let text = self.text.get(self.at..self.at.checked_add(bytes)?)?;
        self.at += bytes;
        Some(text.to_owned())
    }
}

/// Of a number of 64 bits.
const DIGITS_MAX: usize = 13;
/// Of a character that is no digit.
const NONE: u64 = 64;

/// What each character is worth.
const VALUES: [u8; 256] = {
    let mut values = [NONE as u8; 256];
    let mut digit = 0;
    while digit < DIGITS.len() {
        values[DIGITS[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::run::Rare;

    fn at(time: i64) -> Option<Timestamp> {
        Some(Timestamp(time))
    }

    fn busy() -> TaskState {
        let mut rare = Rare::default();
        (rare.asked, rare.chosen) = (vec!["Organization/1".into(), String::new()], vec![7, 70_000]);
        rare.answer = at(1_790_000_000_000_000);
        TaskState {
            status: Some(TaskStatus::OnHold),
            occurrence: 3,
            refused: 2,
            open: true,
            sequence: 70_000,
            report: Some("a \"näher\" *report*".into()),
            withdrawn: true,
            documented: true,
            lease: at(i64::MAX),
            offered: Some(u32::MAX),
            joined: Some(Joined { to: 4, occurrence: 1, tie: Tie::Twin }),
            calls: true,
            rare,
            due: at(i64::MIN),
            until: at(-1),
            late: true,
            begun: true,
            released: at(1_790_000_000_000_000),
            started: at(1_790_000_000_000_000),
            ended: at(1_790_000_060_000_000),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let draft = TaskState { status: Some(TaskStatus::Draft), occurrence: 1, open: true, ..TaskState::default() };
        let every = |status| TaskState { status: Some(status), occurrence: 1, ended: at(5), ..TaskState::default() };
        let mut tasks = vec![TaskState::default(), busy(), busy(), busy(), draft.clone(), draft, TaskState::default()];
        tasks.extend(TaskStatus::ALL.map(every));
        assert_eq!(read(&write(&tasks), tasks.len()), Some(tasks.clone()));
        assert_eq!(read(&write(&tasks), tasks.len() - 1), None);
        assert_eq!(read("", 0), Some(Vec::new()));
    }

    #[test]
    fn most_steps_take_little_room() {
        let open = |status| TaskState { status: Some(status), occurrence: 1, open: true, ..TaskState::default() };
        assert_eq!(write(&vec![open(TaskStatus::Draft); 1000]), "R*nf");
        let done = |n: i64| TaskState {
            released: at(1_790_000_000_000_000 + n * 3_600_000_000),
            started: at(1_790_000_300_000_000 + n * 3_600_000_000),
            ended: at(1_790_003_300_000_000 + n * 3_600_000_000),
            sequence: 2,
            ..open(TaskStatus::Completed)
        };
        let text = write(&(0..1000).map(done).collect::<Vec<_>>());
        assert!(text.len() < 25_000, "{} bytes", text.len());
    }

    #[test]
    fn what_is_damaged_is_no_state() {
        for text in ["*B", "%", "R*", "R*_______", "g", "P", "xB", "RDABC é"] {
            assert_eq!(read(text, 100), None, "{text}");
        }
        let whole = write(&[busy()]);
        // The first is the empty text, which is no steps and no damage.
        for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)).skip(1) {
            assert_eq!(read(&whole[..end], 1), None);
        }
    }
}
