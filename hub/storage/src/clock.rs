//! The registry's time: the database's, with an offset that tests and the demo set.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use schemas::time::Timestamp;

const MILLI_US: i64 = 1000;
const MICRO_NS: i64 = 1000;
/// Of the time that passed, one part in so many goes to closing the gap to the system's clock.
const SLEW_PART: i64 = 20;
/// Nobody sets a clock forward by as much while work is done on it: the machine slept, and so did whoever held a lease.
const SLEPT_NS: i64 = 6 * 3600 * 1_000_000_000;
const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// The system's clock, which is the database's where the database is a file; but when somebody sets it, this one slews
/// instead of stepping, as a time daemon does. So leases keep their length, history keeps its order, and nothing of
/// either depends on who looks after the machine's clock. Begins as what the system's clock shows.
#[derive(Debug, Default)]
pub(crate) struct SystemClock {
    last: Mutex<Option<Shown>>,
}

impl SystemClock {
    pub(crate) fn now_us(&self) -> i64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Both are read while nobody else can show a later one.
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (at, system_ns) = (Instant::now(), nanoseconds(system));
        let shown = last.map_or(Shown { at, ns: system_ns }, |last| last.then(at, system_ns));
        *last = Some(shown);
        shown.ns / MICRO_NS
    }

    /// Goes on from where the clock of an earlier process was, when that was ahead by no more than a day: the system's
    /// was set back while nobody ran. One that was wrong by more is not followed.
    pub(crate) fn goes_on_from(&self, earlier_us: i64) {
        let ahead_us = earlier_us.saturating_sub(self.now_us());
        if (1..DAY_US).contains(&ahead_us)
            && let Some(last) = self.last.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        {
            last.ns = last.ns.saturating_add(ahead_us * MICRO_NS);
        }
    }
}

/// So long after it was told a time is carried on: no clock drifts by anything meanwhile, and who has slept has been away.
const TOLD_LASTS: Duration = Duration::from_millis(100);

/// The time of a database that is elsewhere, as its last answer told it and with what has passed here since: who has just
/// heard need not ask. It is behind by as long as that answer was on its way, as whatever it is asked for would be.
#[derive(Debug, Default)]
pub(crate) struct ToldClock {
    told: Mutex<Option<(Instant, i64)>>,
}

impl ToldClock {
    pub(crate) fn tell(&self, now_us: i64) {
        *self.told() = Some((Instant::now(), now_us));
    }

    /// None when it was not told lately.
    pub(crate) fn now_us(&self) -> Option<i64> {
        let (at, told_us) = (*self.told())?;
        let passed = at.elapsed();
        (passed < TOLD_LASTS).then(|| told_us.saturating_add(nanoseconds(passed) / MICRO_NS))
    }

    /// Who follows has to ask.
    pub(crate) fn forget(&self) {
        *self.told() = None;
    }

    fn told(&self) -> MutexGuard<'_, Option<(Instant, i64)>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the clock showed, and when by the monotonic one.
#[derive(Debug, Clone, Copy)]
struct Shown {
    at: Instant,
    ns: i64,
}

impl Shown {
    /// What to show next. Never less, since what is closed of a gap is less than what has passed.
    fn then(self, at: Instant, system_ns: i64) -> Self {
        let passed_ns = nanoseconds(at.saturating_duration_since(self.at));
        let ns = self.ns.saturating_add(passed_ns);
        let gap_ns = system_ns.saturating_sub(ns);
        let most_ns = passed_ns / SLEW_PART;
        let closed_ns = if gap_ns > SLEPT_NS { gap_ns } else { gap_ns.clamp(-most_ns, most_ns) };
        Self { at, ns: ns.saturating_add(closed_ns) }
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The moment that a batch is decided at: whole milliseconds, as resources show them, so that what a caller compares
/// with is what is stored; and after everything that was shown in the order of time.
pub(crate) fn moment(now_us: i64, shown_us: Option<i64>) -> Timestamp {
    let now = now_us - now_us.rem_euclid(MILLI_US);
    Timestamp(shown_us.map_or(now, |shown| now.max(shown - shown.rem_euclid(MILLI_US) + MILLI_US)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: i64 = 1_000_000_000;
    const HOUR_NS: i64 = 3600 * SECOND_NS;
    const BEGAN_NS: i64 = 1_800_000_000 * SECOND_NS;

    /// What is shown at each second, when the system's clock is off by so much from the first second on.
    fn seconds(off_ns: i64, count: i64) -> Vec<i64> {
        let mut shown = Shown { at: Instant::now(), ns: BEGAN_NS };
        let second = |n: i64| {
            shown = shown.then(shown.at + Duration::from_secs(1), BEGAN_NS + n * SECOND_NS + off_ns);
            shown.ns - BEGAN_NS
        };
        (1..=count).map(second).collect()
    }

    #[test]
    fn it_goes_on_from_where_an_earlier_process_was() {
        let clock = SystemClock::default();
        let now_us = clock.now_us();
        clock.goes_on_from(now_us - DAY_US);
        assert!(clock.now_us() < now_us + DAY_US / 24, "what is behind changes nothing");
        clock.goes_on_from(now_us + 2 * DAY_US);
        assert!(clock.now_us() < now_us + DAY_US / 24, "a clock that was wrong is not followed");
        clock.goes_on_from(now_us + DAY_US / 24);
        assert!(clock.now_us() >= now_us + DAY_US / 24);
    }

    #[test]
    fn what_was_told_goes_on_for_a_moment() {
        let clock = ToldClock::default();
        assert_eq!(clock.now_us(), None);
        clock.tell(1_000);
        let began = Instant::now();
        std::thread::sleep(TOLD_LASTS / 10);
        // A machine that is busy may have slept for longer, and knows by itself.
        let now_us = clock.now_us();
        assert!(now_us.is_some_and(|now| now >= 11_000) || began.elapsed() >= TOLD_LASTS, "{now_us:?}");
        std::thread::sleep(TOLD_LASTS);
        assert_eq!(clock.now_us(), None);
        clock.tell(1_000);
        clock.forget();
        assert_eq!(clock.now_us(), None);
    }

    #[test]
    fn it_begins_with_the_systems_time_and_goes_with_it() {
        let system = nanoseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap()) / MICRO_NS;
        let clock = SystemClock::default();
        let (first, second) = (clock.now_us(), clock.now_us());
        assert!(system <= first && first <= second);
        assert_eq!(seconds(0, 3), [SECOND_NS, 2 * SECOND_NS, 3 * SECOND_NS]);
    }

    #[test]
    fn a_step_forward_ends_no_lease_at_once() {
        let lasted = seconds(HOUR_NS, 30).iter().take_while(|shown| **shown < 30 * SECOND_NS).count();
        assert_eq!(lasted, 28, "a lease of 30 s lasts 28.6 s");
    }

    #[test]
    fn a_step_back_does_not_stop_it() {
        let thirty = seconds(-HOUR_NS, 30);
        assert!(thirty.is_sorted_by(|one, next| next - one == SECOND_NS - SECOND_NS / SLEW_PART));
    }

    #[test]
    fn a_gap_is_closed_and_not_overshot() {
        let after_twenty = |off: i64| (21 + off..=40 + off).map(|n| n * SECOND_NS).collect::<Vec<_>>();
        for off in [1, -1] {
            let shown = seconds(off * SECOND_NS, 40);
            assert_ne!(shown[18], (19 + off) * SECOND_NS);
            assert_eq!(shown[20..], after_twenty(off));
        }
    }

    #[test]
    fn after_a_night_of_sleep_it_is_right_at_once() {
        assert_eq!(seconds(8 * HOUR_NS, 1), [8 * HOUR_NS + SECOND_NS]);
    }

    /// So often may it be asked that almost nothing has passed: the small parts must not be lost.
    #[test]
    fn asked_often_it_closes_a_gap_as_well() {
        let mut shown = Shown { at: Instant::now(), ns: 0 };
        for n in 1..=1_000_000 {
            shown = shown.then(shown.at + Duration::from_nanos(100), n * 100 + SECOND_NS);
        }
        assert_eq!(shown.ns, 105_000_000);
    }
}
