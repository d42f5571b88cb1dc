//! FHIR's dates and times: its formats, and days that exist.

use std::cmp::Ordering;
// The package, not our module of that name.
use ::time::{Date, Month};

/// `2026`, `2026-11` or `2026-11-22`.
pub(super) fn is_date(text: &str) -> bool {
    matches!(day(text), Some((_, "")))
}

/// `13:45:00` or `13:45:00.125`. No zone, no `24:00`.
pub(super) fn is_time(text: &str) -> bool {
    matches!(clock(text), Some((_, _, "")))
}

/// A date, or a moment: when the time is there, the zone must be.
pub(super) fn is_date_time(text: &str) -> bool {
    is_date(text) || is_instant(text)
}

/// `2026-11-22T13:45:00.125+01:00`.
pub(super) fn is_instant(text: &str) -> bool {
    moment(text).is_some()
}

/// Which dateTime is earlier. None when they cannot be told apart: a day and a moment within it, say.
pub(super) fn order(left: &str, right: &str) -> Option<Ordering> {
    match (moment(left), moment(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        (None, None) => {
            let shared = left.len().min(right.len());
            let order = left.get(..shared)?.cmp(right.get(..shared)?);
            (order.is_ne() || left.len() == right.len()).then_some(order)
        }
        // The day has no zone, so even a moment on another day may lie within it.
        _ => None,
    }
}

/// A moment as seconds, and the decimals of the second without trailing zeros: both order as time does.
fn moment(text: &str) -> Option<(i64, &str)> {
    let (Some(day), rest) = day(text)? else { return None };
    let (seconds, decimals, rest) = clock(rest.strip_prefix('T')?)?;
    let (east, rest) = zone(rest)?;
    let seconds = i64::from(day.to_julian_day()) * 86_400 + i64::from(seconds) - i64::from(east) * 60;
    rest.is_empty().then_some((seconds, decimals.trim_end_matches('0')))
}

/// The date that the text starts with, and the rest. None for a day that is not given, only its month or year.
fn day(text: &str) -> Option<(Option<Date>, &str)> {
    let (year, rest) = number::<4>(text).filter(|(year, _)| *year > 0)?;
    let Some(rest) = rest.strip_prefix('-') else { return Some((None, rest)) };
    let (month, rest) = number::<2>(rest)?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let Some(rest) = rest.strip_prefix('-') else { return Some((None, rest)) };
    let (day, rest) = number::<2>(rest)?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()?;
    Some((Some(date), rest))
}

/// The time of day that the text starts with, its decimals, and the rest.
fn clock(text: &str) -> Option<(u32, &str, &str)> {
    let (hours, rest) = number::<2>(text).filter(|(hours, _)| *hours < 24)?;
    let (minutes, rest) = number::<2>(rest.strip_prefix(':')?).filter(|(minutes, _)| *minutes < 60)?;
    // 60: a leap second.
    let (seconds, rest) = number::<2>(rest.strip_prefix(':')?).filter(|(seconds, _)| *seconds <= 60)?;
    let total = hours * 3600 + minutes * 60 + seconds;
    let Some(decimals) = rest.strip_prefix('.') else { return Some((total, "", rest)) };
    let end = decimals.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(decimals.len());
    (end > 0).then(|| (total, &decimals[..end], &decimals[end..]))
}

/// The zone that the text starts with, as minutes east of UTC, and the rest.
fn zone(text: &str) -> Option<(i32, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = number::<2>(rest)?;
    let (minutes, rest) = number::<2>(rest.strip_prefix(':')?).filter(|(minutes, _)| *minutes < 60)?;
    let east = i32::try_from(hours * 60 + minutes).ok().filter(|east| *east <= 14 * 60)?;
    Some((sign * east, rest))
}

/// The number of exactly N digits that the text starts with, and the rest.
fn number<const N: usize>(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(N)?;
    let number =
        digits.bytes().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')));
    Some((number?, rest))
}
