//! Times of a plan: how long after something, and when.

use serde_json::Value;

use super::timing::DayTime;
use crate::time::Timestamp;

/// How long after something: not before `low`, and if said, not later than `high`. Microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    pub low_us: i64,
    pub high_us: Option<i64>,
}

/// `action.timing[x]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A dateTime, from which on; or a Period.
    Between { low: Option<Timestamp>, high: Option<Timestamp> },
    /// A Duration or a Range, counted from when what it stands in may begin.
    After(Window),
    /// A time of a day, counted from there too.
    On(DayTime),
    /// Counted from a point in time outside of the plan.
    Since(Since),
}

/// So many months of the calendar and so long after a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    pub months: u16,
    pub window: Window,
}

impl Since {
    /// From when on, and by when.
    pub fn after(self, point: Timestamp) -> (Timestamp, Option<Timestamp>) {
        let from = point.plus_months(self.months);
        let later = |us: i64| Timestamp(from.0.saturating_add(us));
        (later(self.window.low_us), self.window.high_us.map(later))
    }
}

/// What an offset is, for whoever gave something else.
pub(super) const OFFSET: &str = "a time is a number, not negative, with a UCUM unit of time: s, min, h, d, wk, mo, a";

/// A Duration: not before it is over.
pub(super) fn duration(value: &Value) -> Option<Window> {
    Some(Window { low_us: micros(value)?, high_us: None })
}

/// A Range of times: the lower bound is waited for, the upper one is a deadline.
pub(super) fn range(value: &Value) -> Option<Window> {
    let bound = |name: &str| value.get(name).map(|bound| micros(bound).ok_or(())).transpose();
    let (low, high) = (bound("low").ok()?, bound("high").ok()?);
    if low.is_none() && high.is_none() {
        return None;
    }
    let low_us = low.unwrap_or_default();
    high.is_none_or(|high| low_us <= high).then_some(Window { low_us, high_us: high })
}

pub(super) fn date_time(value: &Value) -> Option<When> {
    let (low, _) = Timestamp::range(value.as_str()?)?;
    Some(When::Between { low: Some(low), high: None })
}

pub(super) fn period(value: &Value) -> Option<When> {
    let bound = |name: &str| match value.get(name) {
        None => Some(None),
        Some(text) => Timestamp::range(text.as_str()?).map(Some),
    };
    let (low, high) = (bound("start")?.map(|range| range.0), bound("end")?.map(|range| range.1));
    let is_period = low.or(high).is_some() && low.zip(high).is_none_or(|(low, high)| low <= high);
    is_period.then_some(When::Between { low, high })
}

/// An Age: of whole months by the calendar, else so long after birth.
pub(super) fn age(value: &Value) -> Option<Since> {
    const MONTHS_LIMIT: f64 = 2_400.0;
    let number: f64 = value.get("value")?.to_string().parse().ok()?;
    let months = match value.get("code").or_else(|| value.get("unit")).and_then(Value::as_str)? {
        "a" => number * 12.0,
        "mo" => number,
        _ => return Some(Since { months: 0, window: duration(value)? }),
    };
    let is_age = months.fract() == 0.0 && (0.0..=MONTHS_LIMIT).contains(&months);
    is_age.then_some(Since { months: months as u16, window: Window::default() })
}

/// A FHIR Duration in microseconds. A month is 30 days and a year 365: an offset in a plan is a rule of thumb.
pub(super) fn micros(duration: &Value) -> Option<i64> {
    let value: f64 = duration.get("value")?.to_string().parse().ok()?;
    let code = duration.get("code").or_else(|| duration.get("unit")).and_then(Value::as_str)?;
    let seconds = match code {
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "wk" => 604_800.0,
        "mo" => 2_592_000.0,
        "a" => 31_536_000.0,
        _ => return None,
    };
    let micros = value * seconds * 1_000_000.0;
    (0.0..9e15).contains(&micros).then_some(micros as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_range_has_a_lower_bound_or_an_upper_one_and_they_are_in_order() {
        let hours = |value: i64| json!({ "value": value, "code": "h" });
        let of = |low: Option<i64>, high: Option<i64>| {
            let mut bounds = json!({});
            for (name, bound) in [("low", low), ("high", high)] {
                bound.into_iter().for_each(|bound| bounds[name] = hours(bound));
            }
            range(&bounds).map(|window| (window.low_us, window.high_us))
        };
        let hour = 3_600_000_000;
        assert_eq!(of(Some(1), Some(2)), Some((hour, Some(2 * hour))));
        assert_eq!(of(Some(1), None), Some((hour, None)));
        assert_eq!(of(None, Some(2)), Some((0, Some(2 * hour))));
        assert_eq!(of(None, None), None);
        assert_eq!(of(Some(2), Some(1)), None);
        assert_eq!(of(Some(-1), Some(1)), None);
    }

    #[test]
    fn an_age_is_counted_by_the_calendar() {
        let of = |value: f64, code: &str| {
            let since = age(&json!({ "value": value, "code": code }))?;
            Some(since.after(Timestamp::range("1964-02-29").unwrap().0).0.date())
        };
        assert_eq!(of(65.0, "a").as_deref(), Some("2029-02-28"));
        assert_eq!(of(1.5, "a").as_deref(), Some("1965-08-29"));
        assert_eq!(of(6.0, "mo").as_deref(), Some("1964-08-29"));
        assert_eq!(of(2.0, "wk").as_deref(), Some("1964-03-14"));
        for (value, code) in [(-1.0, "a"), (0.3, "a"), (201.0, "a"), (0.5, "mo"), (1.0, "mg"), (-1.0, "d")] {
            assert_eq!(of(value, code), None, "{value} {code}");
        }
    }

    #[test]
    fn a_period_may_be_open_on_one_side_and_lasts_until_the_end_of_its_day() {
        let Some(When::Between { low, high }) = period(&json!({ "end": "2026-03-06" })) else { panic!("a period") };
        assert_eq!((low, high.map(Timestamp::date).as_deref()), (None, Some("2026-03-06")));
        assert_eq!(period(&json!({ "start": "2026-03-06", "end": "2026-03-05" })), None);
        assert_eq!(period(&json!({})), None);
        assert_eq!(period(&json!({ "start": "soon" })), None);
    }
}
