//! Points in time, and FHIR's dates, which keep their precision and their zone.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime};

/// A point in time: microseconds since 1970-01-01 UTC, and so it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

const MICROS: i64 = 1_000_000;

impl Timestamp {
    pub const MAX: Self = Self(i64::MAX);

    pub fn plus(self, duration: std::time::Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// So many days later, of 24 hours each.
    pub fn plus_days(self, days: i64) -> Self {
        Self(self.0.saturating_add(days.saturating_mul(86_400 * MICROS)))
    }

    /// The same day and time so many months later; the last day of that month where it has no such day.
    pub fn plus_months(self, months: u16) -> Self {
        let then = self.date_time();
        let count = i32::from(u8::from(then.month())) - 1 + i32::from(months);
        let year = then.year() + count / 12;
        let Ok(month) = Month::try_from(u8::try_from(count % 12 + 1).unwrap_or(1)) else { return self };
        let day = then.day().min(month.length(year));
        let Ok(date) = Date::from_calendar_date(year, month, day) else { return Self::MAX };
        let moved = then.replace_date(date).unix_timestamp_nanos() / 1000;
        Self(i64::try_from(moved).unwrap_or(i64::MAX))
    }

    /// The beginning of its day, in UTC.
    pub fn midnight(self) -> Self {
        Self(self.0 - self.0.rem_euclid(86_400 * MICROS))
    }

    /// Its day, `2026-11-23`, in UTC.
    pub fn date(self) -> String {
        let t = self.date_time();
        format!("{:04}-{:02}-{:02}", t.year(), u8::from(t.month()), t.day())
    }

    /// Seconds from `earlier` to this, never negative.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        (self.0.saturating_sub(earlier.0)).max(0) as f64 / MICROS as f64
    }

    pub fn date_time(self) -> OffsetDateTime {
        let whole = OffsetDateTime::from_unix_timestamp(self.0.div_euclid(MICROS));
        let part = self.0.rem_euclid(MICROS) as u32;
        whole.and_then(|whole| whole.replace_microsecond(part)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// The form of an HTTP `Last-Modified` header.
    pub fn http_date(self) -> String {
        let t = self.date_time();
        format!(
            "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
            &t.weekday().to_string()[..3],
            t.day(),
            &t.month().to_string()[..3],
            t.year(),
            t.hour(),
            t.minute(),
            t.second()
        )
    }

    /// The first and the last instant that a FHIR date, dateTime or instant may mean.
    /// A time without a zone, as search values may be, is read as UTC.
    pub fn range(text: &str) -> Option<(Self, Self)> {
        // A leap second is the second that it follows: nothing here counts it.
        if text.get(16..19) == Some(":60") {
            return Self::range(&format!("{}:59{}", &text[..16], &text[19..]));
        }
        if let Ok(exact) = OffsetDateTime::parse(text, &Rfc3339) {
            let low = Self(i64::try_from(exact.unix_timestamp_nanos() / 1000).ok()?);
            let width = if text.contains('.') { 1 } else { MICROS };
            return Some((low, Self(low.0 + width - 1)));
        }
        if text.contains('T') {
            // A search value may stop at minutes, or leave the zone out.
            for completed in [format!("{text}Z"), format!("{text}:00Z")] {
                if OffsetDateTime::parse(&completed, &Rfc3339).is_ok() {
                    let (low, high) = Self::range(&completed)?;
                    let minute_only = completed.ends_with(":00Z") && !text.ends_with(":00");
                    return Some((low, if minute_only { Self(low.0 + 60 * MICROS - 1) } else { high }));
                }
            }
            return None;
        }
        let mut parts = text.splitn(3, '-');
        let year = i32::try_from(number(parts.next()?, 4)?).ok()?;
        let month = parts.next().map(two_digits);
        let day = parts.next().map(two_digits);
        let (first, last) = match (month, day) {
            (None, _) => (midnight(year, 1, 1)?, midnight_after(year, 12, 31)?),
            (Some(m), None) => {
                let m = m?;
                let next = if m == 12 { midnight_after(year, 12, 31) } else { midnight(year, m + 1, 1) };
                (midnight(year, m, 1)?, next?)
            }
            (Some(m), Some(d)) => (midnight(year, m?, d?)?, midnight_after(year, m?, d?)?),
        };
        Some((first, Self(last.0 - 1)))
    }
}

impl fmt::Display for Timestamp {
    /// FHIR's instant, always in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.date_time();
        let (year, month) = (t.year().unsigned_abs(), u32::from(u8::from(t.month())));
        let [day, hour, minute, second] = [t.day(), t.hour(), t.minute(), t.second()].map(u32::from);
        // Each version of a resource says several, and the digits by themselves are a tenth of the work of formatting.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        digits(&mut text[..4], year);
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        digits(&mut text[11..13], hour);
        digits(&mut text[14..16], minute);
        digits(&mut text[17..19], second);
        digits(&mut text[20..23], u32::from(t.millisecond()));
        if t.year() < 0 {
            f.write_str("-")?;
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// Fills these places with the last digits of a number.
fn digits(places: &mut [u8], number: u32) {
    let mut rest = number;
    for place in places.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

fn two_digits(text: &str) -> Option<u8> {
    number(text, 2).and_then(|number| number.try_into().ok())
}

/// Exactly so many digits; `parse` alone would take a sign for one of them.
fn number(text: &str, digits: usize) -> Option<u32> {
    let right = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if right { text.parse().ok() } else { None }
}

fn midnight(year: i32, month: u8, day: u8) -> Option<Timestamp> {
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
    Some(Timestamp(date.midnight().assume_utc().unix_timestamp() * MICROS))
}

/// The end of a day: not the beginning of the next, since the last day that there is has none.
fn midnight_after(year: i32, month: u8, day: u8) -> Option<Timestamp> {
    Some(Timestamp(midnight(year, month, day)?.0 + 86_400 * MICROS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_means_every_instant_of_its_day() {
        let (low, high) = Timestamp::range("2026-02-28").unwrap();
        assert_eq!(low.to_string(), "2026-02-28T00:00:00.000Z");
        assert_eq!(high.0 - low.0, 86_400 * MICROS - 1);
    }

    #[test]
    fn a_year_and_a_month_are_ranges_too() {
        assert_eq!(Timestamp::range("2026-12").unwrap().1.to_string(), "2026-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::range("2026").unwrap().0.to_string(), "2026-01-01T00:00:00.000Z");
    }

    #[test]
    fn the_last_year_has_an_end() {
        for text in ["9999", "9999-12", "9999-12-31"] {
            assert_eq!(Timestamp::range(text).unwrap().1.to_string(), "9999-12-31T23:59:59.999Z");
        }
    }

    #[test]
    fn a_leap_second_is_the_second_that_it_follows() {
        let (low, _) = Timestamp::range("2026-11-22T13:45:60+01:00").unwrap();
        assert_eq!(low.to_string(), "2026-11-22T12:45:59.000Z");
    }

    #[test]
    fn a_sign_is_no_digit() {
        assert!(["+123", "2026-+1", "2026-01-+1"].into_iter().all(|text| Timestamp::range(text).is_none()));
    }

    #[test]
    fn zones_are_honoured_and_nonsense_is_not() {
        assert_eq!(Timestamp::range("2026-01-01T01:00:00+01:00").unwrap().0.to_string(), "2026-01-01T00:00:00.000Z");
        assert!(Timestamp::range("2026-13-45").is_none());
        assert!(Timestamp::range("yesterday").is_none());
    }

    #[test]
    fn months_keep_the_day_where_they_can() {
        let at = |text| Timestamp::range(text).unwrap().0;
        assert_eq!(at("2022-10-21T13:47:00Z").plus_months(6).to_string(), "2023-04-21T13:47:00.000Z");
        assert_eq!(at("2022-08-31").plus_months(6).date(), "2023-02-28");
        assert_eq!(at("2022-12-01").plus_months(12).date(), "2023-12-01");
        assert_eq!(at("2022-12-01T11:00:00Z").plus_days(31).midnight(), at("2023-01-01"));
    }

    #[test]
    fn last_modified_has_the_form_of_http() {
        assert_eq!(Timestamp(784_111_777 * MICROS).http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
