//! `action.timingTiming`: how often something is done, and when.

use serde_json::{Map, Value, json};

use super::when::micros;
use crate::time::Timestamp;

/// The action, with all that is in it, is done several times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repeat {
    /// So many times, each so long (microseconds) after the one before may begin.
    Every {
        count: u32,
        us: i64,
    },
    At(Vec<Timestamp>),
    /// So many times, on such days at these times of each: minutes since midnight, in their order.
    Days {
        count: u32,
        days: Days,
        minutes: Vec<u16>,
    },
}

impl Repeat {
    /// How often.
    pub fn times(&self) -> usize {
        match self {
            Self::Every { count, .. } | Self::Days { count, .. } => *count as usize,
            Self::At(events) => events.len(),
        }
    }
}

/// More often nothing is repeated.
pub(super) const REPEATS_LIMIT: usize = 1_000;

/// What a Timing may say here, for whoever said something else.
pub(super) const TIMING: &str = "of a Timing there may be: events; or a repeat with a count or bounds, and a period (with a frequency) or duration, or \
     dayOfWeek, timeOfDay, when; bounds by weekdays are whole weeks; at most 1000 times";

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 1_440 * MINUTE_US;
/// Of a day of which no time is said: all of it is still to come.
const END_OF_DAY: u16 = 1_440;

/// Days that come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// A bit for each, Monday is the lowest; none: any day.
    weekdays: u8,
    /// Every so many days; of weekdays, weeks.
    every: u16,
}

/// A time of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayTime {
    days: Days,
    /// Which one: 0 is the first.
    nth: u32,
    /// The first time of such a day (minutes). A day on which that is over does not count.
    first: u16,
    minute: u16,
}

impl Days {
    /// The nth time of all that there are.
    pub fn time(self, n: u32, minutes: &[u16]) -> DayTime {
        let times = minutes.len().max(1) as u32;
        let first = minutes.first().copied().unwrap_or(END_OF_DAY);
        let minute = minutes.get((n % times) as usize).copied().unwrap_or_default();
        DayTime { days: self, nth: n / times, first, minute }
    }

    fn are(self, day: i64) -> bool {
        // The epoch began on a Thursday.
        self.weekdays == 0 || self.weekdays & (1 << (day + 3).rem_euclid(7)) != 0
    }
}

impl DayTime {
    /// When that is, counted from here on.
    pub fn after(self, from: Timestamp) -> Timestamp {
        let today = from.0.div_euclid(DAY_US);
        let is_over = from.0 > today * DAY_US + i64::from(self.first) * MINUTE_US;
        let (nth, every) = (i64::from(self.nth), i64::from(self.days.every));
        // Within a week there is one, if there is any.
        let start = (today + i64::from(is_over)..).take(7).find(|day| self.days.are(*day)).unwrap_or(today);
        let day = match self.days.weekdays.count_ones() {
            0 => start + nth * every,
            each => {
                let of_week: Vec<i64> = (start..start + 7).filter(|day| self.days.are(*day)).collect();
                let (weeks, rest) = (nth / i64::from(each), nth % i64::from(each));
                of_week.get(rest as usize).copied().unwrap_or(start) + weeks * 7 * every
            }
        };
        Timestamp(day * DAY_US + i64::from(self.minute) * MINUTE_US)
    }
}

/// Events, or a repeat with an end. What is longer than its period begins again all the same.
pub(super) fn timing(value: &Value) -> Option<Repeat> {
    const KNOWN: [&str; 14] = [
        "count",
        "boundsDuration",
        "boundsRange",
        "boundsPeriod",
        "period",
        "periodUnit",
        "duration",
        "durationUnit",
        "frequency",
        "dayOfWeek",
        "timeOfDay",
        "when",
        "offset",
        "extension",
    ];
    let repeat = match (value.get("event").and_then(Value::as_array), value["repeat"].as_object()) {
        (Some(events), None) => {
            let events = events.iter().map(|event| Timestamp::range(event.as_str()?).map(|(low, _)| low));
            Repeat::At(events.collect::<Option<_>>()?)
        }
        (None, Some(repeat)) if repeat.keys().all(|name| KNOWN.contains(&name.as_str())) => {
            let is_of_days = ["dayOfWeek", "timeOfDay", "when"].iter().any(|name| repeat.contains_key(*name));
            if is_of_days { of_days(repeat)? } else { of_periods(repeat)? }
        }
        _ => return None,
    };
    (1..=REPEATS_LIMIT).contains(&repeat.times()).then_some(repeat)
}

/// So many within each period, evenly.
fn of_periods(repeat: &Map<String, Value>) -> Option<Repeat> {
    let period = every(repeat, "period", "periodUnit").or_else(|| every(repeat, "duration", "durationUnit"))?;
    let frequency = frequency(repeat)?.unwrap_or(1);
    let us = period.checked_div(frequency).filter(|us| *us > 0)?;
    let nth = |start: Timestamp, n: i64| Timestamp(start.0.saturating_add(us.saturating_mul(n)));
    match (count(repeat)?, bounds(repeat)?) {
        (Some(count), Bounds::Between(start, _)) => {
            Some(Repeat::At((0..count.into()).map(|n| nth(start, n)).collect()))
        }
        (None, Bounds::Between(start, Some(end))) => {
            let times = (0..).map(|n| nth(start, n)).take_while(|time| *time <= end);
            Some(Repeat::At(times.take(REPEATS_LIMIT + 1).collect()))
        }
        (Some(count), _) => Some(Repeat::Every { count, us }),
        (None, Bounds::For(long)) => Some(Repeat::Every { count: u32::try_from((long / us).max(1)).ok()?, us }),
        (None, _) => None,
    }
}

/// On some days of the week, or at some times of the day.
fn of_days(repeat: &Map<String, Value>) -> Option<Repeat> {
    const WEEK: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let mut weekdays = 0;
    for name in texts(repeat, "dayOfWeek") {
        let name = name?;
        weekdays |= 1_u8 << WEEK.iter().position(|day| *day == name)?;
    }
    let offset = repeat.get("offset").map_or(Some(0), Value::as_i64)?;
    let of_clock = texts(repeat, "timeOfDay").map(|text| minute_of(text?));
    let of_events = texts(repeat, "when").map(|code| around(code?, offset));
    let mut minutes: Vec<u16> = of_clock.chain(of_events).collect::<Option<_>>()?;
    minutes.sort_unstable();
    minutes.dedup();
    let period = repeat.get("period").map_or(Some(1), |period| period.to_string().parse::<u16>().ok())?;
    let every = match (repeat.get("periodUnit").and_then(Value::as_str), weekdays) {
        (None | Some("d"), 0) => period,
        (Some("wk"), 0) => period.checked_mul(7)?,
        (Some("wk"), _) => period,
        (None | Some("d"), _) if period == 1 => 1,
        _ => return None,
    };
    let (times, each) = (minutes.len().max(1) as i64, i64::from(weekdays.count_ones().max(1)));
    if every == 0 || frequency(repeat)?.is_some_and(|often| ![1, times, times * each].contains(&often)) {
        return None;
    }
    let days = Days { weekdays, every };
    let cycle = i64::from(every) * if weekdays == 0 { DAY_US } else { 7 * DAY_US };
    let nth = |start: Timestamp, n: u32| days.time(n, &minutes).after(start);
    match (count(repeat)?, bounds(repeat)?) {
        (Some(count), Bounds::Between(start, _)) => Some(Repeat::At((0..count).map(|n| nth(start, n)).collect())),
        (None, Bounds::Between(start, Some(end))) => {
            let times = (0..).map(|n| nth(start, n)).take_while(|time| *time <= end);
            Some(Repeat::At(times.take(REPEATS_LIMIT + 1).collect()))
        }
        (Some(count), _) => Some(Repeat::Days { count, days, minutes }),
        (None, Bounds::For(long)) if weekdays == 0 || long % cycle == 0 => {
            let count = (long / cycle).max(1).saturating_mul(times * each);
            Some(Repeat::Days { count: u32::try_from(count).ok()?, days, minutes })
        }
        (None, _) => None,
    }
}

/// How long it goes on.
enum Bounds {
    None,
    For(i64),
    Between(Timestamp, Option<Timestamp>),
}

fn bounds(repeat: &Map<String, Value>) -> Option<Bounds> {
    if let Some(duration) = repeat.get("boundsDuration") {
        return micros(duration).map(Bounds::For);
    }
    if let Some(range) = repeat.get("boundsRange") {
        return micros(range.get("high").or_else(|| range.get("low"))?).map(Bounds::For);
    }
    let Some(period) = repeat.get("boundsPeriod") else { return Some(Bounds::None) };
    let bound = |name: &str| period.get(name).map(|text| Timestamp::range(text.as_str()?));
    let start = bound("start").flatten()?.0;
    let end = bound("end").map(|end| end.map(|(_, high)| high));
    Some(Bounds::Between(start, if let Some(end) = end { Some(end?) } else { None }))
}

fn count(repeat: &Map<String, Value>) -> Option<Option<u32>> {
    let Some(count) = repeat.get("count") else { return Some(None) };
    count.as_u64().and_then(|count| u32::try_from(count).ok()).filter(|n| *n as usize <= REPEATS_LIMIT).map(Some)
}

fn frequency(repeat: &Map<String, Value>) -> Option<Option<i64>> {
    let Some(frequency) = repeat.get("frequency") else { return Some(None) };
    frequency.as_i64().filter(|often| *often > 0).map(Some)
}

fn texts<'v>(repeat: &'v Map<String, Value>, name: &str) -> impl Iterator<Item = Option<&'v str>> + use<'v> {
    repeat.get(name).and_then(Value::as_array).into_iter().flatten().map(Value::as_str)
}

/// `08:30:00`: seconds do not count.
fn minute_of(time: &str) -> Option<u16> {
    let mut parts = time.split(':').map(|part| part.parse::<u16>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// When on a day that is, as a rule of thumb; so many minutes before or after.
fn around(code: &str, offset: i64) -> Option<u16> {
    const OFTEN: [(&str, u16); 16] = [
        ("MORN.early", 6),
        ("WAKE", 7),
        ("MORN", 8),
        ("CM", 8),
        ("MORN.late", 10),
        ("C", 12),
        ("CD", 12),
        ("NOON", 12),
        ("AFT.early", 13),
        ("AFT", 15),
        ("AFT.late", 16),
        ("CV", 18),
        ("EVE.early", 18),
        ("EVE", 19),
        ("EVE.late", 21),
        ("NIGHT", 22),
    ];
    let of = |code: &str| OFTEN.iter().find(|row| row.0 == code).map(|row| i64::from(row.1) * 60);
    let minute = match code {
        "HS" => 22 * 60 - offset,
        "PHS" => 23 * 60 + offset,
        "AC" | "ACM" | "ACD" | "ACV" => of(&code[1..])? - offset,
        "PC" | "PCM" | "PCD" | "PCV" => of(&code[1..])? + offset,
        _ => of(code)? + offset,
    };
    u16::try_from(minute).ok().filter(|minute| *minute < END_OF_DAY)
}

/// A time that a repeat says as a number beside its unit.
fn every(repeat: &Map<String, Value>, number: &str, unit: &str) -> Option<i64> {
    let said = json!({ "value": repeat.get(number)?, "code": repeat.get(unit)? });
    micros(&said).filter(|us| *us > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timing_says_how_often_and_how_far_apart() {
        let of = |repeat: Value| timing(&json!({ "repeat": repeat }));
        let every = |count, days: i64| Some(Repeat::Every { count, us: days * 86_400_000_000 });
        assert_eq!(of(json!({ "count": 6, "duration": 21, "durationUnit": "d" })), every(6, 21));
        assert_eq!(of(json!({ "count": 3, "period": 1, "periodUnit": "wk", "frequency": 1 })), every(3, 7));
        let bounds = json!({ "value": 10, "code": "d" });
        assert_eq!(of(json!({ "boundsDuration": bounds, "period": 2, "periodUnit": "d" })), every(5, 2));
        let events = timing(&json!({ "event": ["2026-01-01", "2026-02-01T08:00:00Z"] }));
        assert_eq!(events.map(|events| events.times()), Some(2));
        for repeat in [
            json!({}),
            json!({ "count": 2 }),
            json!({ "period": 1, "periodUnit": "d" }),
            json!({ "count": 0, "period": 1, "periodUnit": "d" }),
            json!({ "count": 1001, "period": 1, "periodUnit": "d" }),
            json!({ "count": 2, "period": 0, "periodUnit": "d" }),
            json!({ "count": 2, "period": 1, "periodUnit": "d", "frequency": 0 }),
            json!({ "count": 2, "period": 1, "periodUnit": "d", "frequencyMax": 3 }),
            json!({ "count": 2, "period": 1, "periodUnit": "h", "dayOfWeek": ["mon"] }),
            json!({ "count": 2, "dayOfWeek": ["someday"] }),
            json!({ "count": 2, "timeOfDay": ["noon"] }),
            json!({ "count": 2, "frequency": 3, "timeOfDay": ["08:00:00"] }),
            json!({ "timeOfDay": ["08:00:00"] }),
            json!({ "boundsDuration": { "value": 10, "code": "d" }, "dayOfWeek": ["mon"] }),
            json!({ "boundsPeriod": { "start": "2026-01-01" }, "period": 1, "periodUnit": "d" }),
        ] {
            assert_eq!(of(repeat.clone()), None, "{repeat}");
        }
    }

    #[test]
    fn several_within_a_period_are_evenly_spread() {
        let of = |repeat: Value| timing(&json!({ "repeat": repeat }));
        let hours = |count, hours: i64| Some(Repeat::Every { count, us: hours * 3_600_000_000 });
        let thrice = |rest: Value| {
            let mut repeat = json!({ "frequency": 3, "period": 1, "periodUnit": "d" });
            repeat.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            of(repeat)
        };
        assert_eq!(thrice(json!({ "count": 5 })), hours(5, 8));
        assert_eq!(thrice(json!({ "boundsDuration": { "value": 1, "code": "wk" } })), hours(21, 8));
        let range =
            json!({ "boundsRange": { "low": { "value": 1, "code": "d" }, "high": { "value": 2, "code": "d" } } });
        assert_eq!(thrice(range), hours(6, 8));
        let period = json!({ "boundsPeriod": { "start": "2026-03-02T06:00:00Z", "end": "2026-03-02T20:00:00Z" } });
        let Some(Repeat::At(times)) = thrice(period) else { panic!("times") };
        let shown: Vec<String> = times.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["2026-03-02T06:00:00.000Z", "2026-03-02T14:00:00.000Z"]);
    }

    /// 2026-03-04 is a Wednesday.
    fn times(repeat: Value, from: &str) -> Vec<String> {
        let Some(Repeat::Days { count, days, minutes }) = timing(&json!({ "repeat": repeat })) else { panic!("days") };
        let from = Timestamp::range(from).unwrap().0;
        (0..count).map(|n| days.time(n, &minutes).after(from).to_string()[5..16].to_owned()).collect()
    }

    #[test]
    fn days_and_their_times_are_counted_from_the_first_that_is_still_to_come() {
        let twice = json!({ "count": 3, "timeOfDay": ["20:00:00", "08:00:00"], "frequency": 2, "period": 1, "periodUnit": "d" });
        let (early, late) = ("2026-03-04T07:00:00Z", "2026-03-04T09:00:00Z");
        assert_eq!(times(twice.clone(), early), ["03-04T08:00", "03-04T20:00", "03-05T08:00"]);
        assert_eq!(times(twice, late), ["03-05T08:00", "03-05T20:00", "03-06T08:00"]);
        let week = json!({ "boundsDuration": { "value": 2, "code": "wk" }, "dayOfWeek": ["wed", "mon"] });
        assert_eq!(times(week, late), ["03-04T00:00", "03-09T00:00", "03-11T00:00", "03-16T00:00"]);
        let other =
            json!({ "count": 3, "dayOfWeek": ["thu"], "period": 2, "periodUnit": "wk", "timeOfDay": ["09:30:00"] });
        assert_eq!(times(other, late), ["03-05T09:30", "03-19T09:30", "04-02T09:30"]);
        let meals = json!({ "count": 4, "when": ["ACM", "PCV", "HS"], "offset": 30, "period": 2, "periodUnit": "d" });
        assert_eq!(times(meals, early), ["03-04T07:30", "03-04T18:30", "03-04T21:30", "03-06T07:30"]);
    }
}
