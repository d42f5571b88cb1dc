//! Dates, dateTimes and times, which know how precise they are.

use std::cmp::Ordering;
use std::fmt;

use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Date,
    DateTime,
    Time,
}

/// A point on the calendar or the clock, as far as it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    form: Form,
    /// Year, month, day, hour, minute, second, millisecond; where nothing was told, the least.
    parts: [i32; 7],
    /// The first part that was not told.
    told: usize,
    /// Minutes ahead of UTC, if it says so.
    offset: Option<i32>,
}

const YEAR: usize = 0;
const HOUR: usize = 3;
const SECOND: usize = 5;
const MILLI: usize = 6;
const LEAST: [i32; 7] = [1, 1, 1, 0, 0, 0, 0];
const GREATEST: [i32; 7] = [9999, 12, 31, 23, 59, 59, 999];
/// Where clocks are furthest ahead of UTC, and furthest behind, in minutes.
const EASTERNMOST: i32 = 14 * 60;
const WESTERNMOST: i32 = -12 * 60;
/// How many digits each part is written with, and what stands before it.
const WIDTHS: [usize; 7] = [4, 2, 2, 2, 2, 2, 3];
const MARKS: [u8; 7] = [b' ', b'-', b'-', b'T', b':', b':', b'.'];

/// A span of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    Months(i64),
    Millis(i64),
}

impl Moment {
    pub fn form(&self) -> Form {
        self.form
    }

    pub(crate) fn at(now: OffsetDateTime) -> Self {
        let parts = [
            now.year(),
            i32::from(u8::from(now.month())),
            i32::from(now.day()),
            i32::from(now.hour()),
            i32::from(now.minute()),
            i32::from(now.second()),
            i32::from(now.millisecond()),
        ];
        Self { form: Form::DateTime, parts, told: 7, offset: Some(i32::from(now.offset().whole_minutes())) }
    }

    /// `2026`, `2026-11`, `2026-11-23`.
    pub(crate) fn date(text: &str) -> Option<Self> {
        let mut read = Reader { rest: text.as_bytes(), parts: LEAST };
        let told = read.parts(YEAR, HOUR)?;
        read.end(Form::Date, told, None)
    }

    /// A date, and after a `T` as much of a time as is known. A literal may stop at the `T`.
    pub(crate) fn date_time(text: &str) -> Option<Self> {
        let mut read = Reader { rest: text.as_bytes(), parts: LEAST };
        let mut told = read.parts(YEAR, HOUR)?;
        if read.rest == b"T" {
            read.rest = b"";
        } else if told == HOUR && !read.rest.is_empty() {
            told = read.parts(HOUR, 7)?;
            if told > HOUR {
                let offset = read.offset()?;
                return read.end(Form::DateTime, told, offset);
            }
        }
        read.end(Form::DateTime, told, None)
    }

    /// `14`, `14:30`, `14:30:00.000`.
    pub(crate) fn time(text: &str) -> Option<Self> {
        let mut with_mark = Vec::with_capacity(text.len() + 1);
        with_mark.push(b'T');
        with_mark.extend_from_slice(text.as_bytes());
        let mut read = Reader { rest: &with_mark, parts: LEAST };
        let told = read.parts(HOUR, 7)?;
        read.end(Form::Time, told, None)
    }

    /// The same date with its form: a date where a dateTime is wanted.
    pub(crate) fn as_date_time(self) -> Option<Self> {
        (self.form != Form::Time).then_some(Self { form: Form::DateTime, ..self })
    }

    pub(crate) fn as_date(self) -> Option<Self> {
        let parts = std::array::from_fn(|n| if n < HOUR { self.parts[n] } else { LEAST[n] });
        let date = Self { form: Form::Date, parts, told: self.told.min(HOUR), offset: None };
        (self.form != Form::Time).then_some(date)
    }

    pub(crate) fn as_time(self) -> Self {
        let parts = std::array::from_fn(|n| if n < HOUR { LEAST[n] } else { self.parts[n] });
        Self { form: Form::Time, parts, told: self.told.max(HOUR + 1), offset: None }
    }

    /// Which is earlier; nothing when that depends on what was not told.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        if (self.form == Form::Time) != (other.form == Form::Time) {
            return None;
        }
        if self.tells_clock() && other.tells_clock() && self.offset.is_some() != other.offset.is_some() {
            return self.compare_anywhere(other);
        }
        let (left, right) = (self.in_utc(), other.in_utc());
        let first = if self.form == Form::Time { HOUR } else { YEAR };
        for n in first..SECOND {
            match (n < left.told, n < right.told) {
                (true, true) if left.parts[n] != right.parts[n] => return Some(left.parts[n].cmp(&right.parts[n])),
                (true, true) => {}
                (false, false) => return Some(Ordering::Equal),
                _ => return None,
            }
        }
        // Seconds and what comes after the point are one number.
        match (SECOND < left.told, SECOND < right.told) {
            (true, true) => Some(left.parts[SECOND..].cmp(&right.parts[SECOND..])),
            (false, false) => Some(Ordering::Equal),
            _ => None,
        }
    }

    fn tells_clock(&self) -> bool {
        self.form == Form::DateTime && self.told > HOUR
    }

    /// One of the two does not say where its clock hangs: what holds wherever that is.
    fn compare_anywhere(&self, other: &Self) -> Option<Ordering> {
        let at = |moment: &Self, offset: i32| Self { offset: moment.offset.or(Some(offset)), ..*moment };
        let east = at(self, EASTERNMOST).compare(&at(other, EASTERNMOST))?;
        let west = at(self, WESTERNMOST).compare(&at(other, WESTERNMOST))?;
        (east == west).then_some(east)
    }

    /// With the parts of UTC, if it has a clock.
    fn in_utc(self) -> Self {
        match self.offset {
            Some(offset) if offset != 0 && self.told > HOUR => {
                self.moved_by_millis(-i64::from(offset) * 60_000).unwrap_or(self)
            }
            _ => self,
        }
    }

    /// Later by a span, as precise as before; none beyond the calendar's end.
    pub(crate) fn plus(self, span: Span) -> Option<Self> {
        match span {
            Span::Months(months) => self.moved_by_months(months),
            Span::Millis(millis) => self.moved_by_millis(millis),
        }
    }

    /// To the same day, or to the last of a month that has no such day.
    fn moved_by_months(self, months: i64) -> Option<Self> {
        let count = i64::from(self.parts[0]) * 12 + i64::from(self.parts[1]) - 1 + months;
        let year = i32::try_from(count.div_euclid(12)).ok().filter(|year| (1..=9999).contains(year))?;
        let month = u8::try_from(count.rem_euclid(12) + 1).ok()?;
        let last = i32::from(Month::try_from(month).ok()?.length(year));
        let mut moved = self;
        moved.parts[..3].copy_from_slice(&[year, i32::from(month), self.parts[2].min(last)]);
        Some(moved)
    }

    fn moved_by_millis(self, millis: i64) -> Option<Self> {
        let unit = match self.told {
            1 => return self.moved_by_months(millis / (365 * 86_400_000) * 12),
            2 => return self.moved_by_months(millis / (30 * 86_400_000)),
            3 => 86_400_000,
            4 => 3_600_000,
            5 => 60_000,
            6 => 1_000,
            _ => 1,
        };
        // A span of a finer unit counts as far as it fills whole ones of what is told.
        let moved = self.clock()?.checked_add(Duration::milliseconds(millis / unit * unit))?;
        let mut parts = Self::at(moved.assume_utc()).parts;
        if self.form == Form::Time {
            parts[..HOUR].copy_from_slice(&LEAST[..HOUR]);
        }
        ((1..=9999).contains(&parts[0])).then_some(Self { parts, ..self })
    }

    fn clock(&self) -> Option<PrimitiveDateTime> {
        let part = |n: usize| u8::try_from(self.parts[n]).ok();
        let date = Date::from_calendar_date(self.parts[0], Month::try_from(part(1)?).ok()?, part(2)?).ok()?;
        let milli = u16::try_from(self.parts[MILLI]).ok()?;
        Some(PrimitiveDateTime::new(date, Time::from_hms_milli(part(3)?, part(4)?, part(5)?, milli).ok()?))
    }

    /// How many digits were told.
    pub(crate) fn precision(&self) -> i64 {
        let first = if self.form == Form::Time { HOUR } else { YEAR };
        WIDTHS[first..self.told].iter().map(|width| *width as i64).sum()
    }

    /// The least or the greatest that may be meant, told to so many digits.
    pub(crate) fn boundary(&self, greatest: bool, digits: Option<i64>) -> Option<Self> {
        let (first, last) = match self.form {
            Form::Time => (HOUR, 7),
            Form::Date => (YEAR, HOUR),
            Form::DateTime => (YEAR, 7),
        };
        let told = match digits {
            None => last,
            Some(digits) => {
                (first + 1..=last).find(|told| WIDTHS[first..*told].iter().sum::<usize>() as i64 == digits)?
            }
        };
        let mut bound = *self;
        for n in self.told..told {
            bound.parts[n] = if greatest { GREATEST[n] } else { LEAST[n] };
        }
        if greatest && self.told < HOUR && told >= HOUR {
            let month = Month::try_from(u8::try_from(bound.parts[1]).ok()?).ok()?;
            bound.parts[2] = i32::from(month.length(bound.parts[0]));
        }
        bound.told = told;
        if self.form == Form::DateTime && told > HOUR && self.offset.is_none() {
            // The day ends last where the clocks are furthest behind.
            bound.offset = Some(if greatest { WESTERNMOST } else { EASTERNMOST });
        }
        Some(bound)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = if self.form == Form::Time { HOUR } else { YEAR };
        for n in first..self.told {
            if n > first {
                write!(f, "{}", char::from(MARKS[n]))?;
            }
            write!(f, "{:0width$}", self.parts[n], width = WIDTHS[n])?;
        }
        match self.offset {
            Some(0) if self.told > HOUR => f.write_str("Z"),
            Some(offset) if self.told > HOUR => {
                let sign = if offset < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60)
            }
            _ => Ok(()),
        }
    }
}

/// Reads the parts one after another.
struct Reader<'t> {
    rest: &'t [u8],
    parts: [i32; 7],
}

impl Reader<'_> {
    /// As many of the parts from `first` up to `end` as there are; the first that is missing.
    fn parts(&mut self, first: usize, end: usize) -> Option<usize> {
        for n in first..end {
            if n > YEAR {
                match self.rest.split_first() {
                    Some((mark, rest)) if *mark == MARKS[n] => self.rest = rest,
                    _ => return Some(n),
                }
            }
            if n == MILLI {
                self.parts[n] = self.fraction()?;
            } else {
                self.parts[n] = self.number(WIDTHS[n])?;
            }
        }
        Some(end)
    }

    fn number(&mut self, digits: usize) -> Option<i32> {
        let (number, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        number.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i32::from(digit - b'0')))
    }

    /// What comes after the point, to the millisecond.
    fn fraction(&mut self) -> Option<i32> {
        let digits = self.rest.iter().take_while(|digit| digit.is_ascii_digit()).count();
        let (told, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let milli = |n: usize| told.get(n).map_or(0, |digit| i32::from(digit - b'0'));
        (digits > 0).then(|| milli(0) * 100 + milli(1) * 10 + milli(2))
    }

    fn offset(&mut self) -> Option<Option<i32>> {
        let sign = match self.rest.split_first() {
            None => return Some(None),
            Some((b'Z', rest)) => {
                self.rest = rest;
                return Some(Some(0));
            }
            Some((b'+', rest)) => (1, rest),
            Some((b'-', rest)) => (-1, rest),
            _ => return None,
        };
        self.rest = sign.1;
        let hours = self.number(2)?;
        let (colon, rest) = self.rest.split_first()?;
        self.rest = rest;
        let minutes = self.number(2)?;
        let fits = *colon == b':' && hours <= 14 && minutes < 60;
        fits.then_some(Some(sign.0 * (hours * 60 + minutes)))
    }

    /// That nothing is left, and that there is such a day.
    fn end(self, form: Form, told: usize, offset: Option<i32>) -> Option<Moment> {
        let moment = Moment { form, parts: self.parts, told, offset };
        (self.rest.is_empty() && moment.clock().is_some()).then_some(moment)
    }
}
