//! How long a delivery rests that was put off: in steps, and never quite the same.
//!
//! What failed together must not come back together, so each rests between one half and the whole of its step. Chance
//! alone would not spread them: in a broker's queue nothing overtakes the head, and behind whoever drew the longest time
//! all the others would pile up. So the times rise as the queue does: whoever comes next goes a little later than the
//! one before, by chance a little less or more.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// The steps of backoff.
pub(crate) const STEPS_SECONDS: [u32; 5] = [1, 5, 30, 300, 3600];

/// The next goes later by about one part in so many of the time that is left: so a thousand find room.
const PARTS: f64 = 1000.0;

/// The first step that is not shorter than `after`, or the last; in seconds.
pub(crate) fn step(after: Duration) -> u32 {
    let [.., longest] = STEPS_SECONDS;
    let fits = |step: &u32| Duration::from_secs(u64::from(*step)) >= after;
    STEPS_SECONDS.into_iter().find(fits).unwrap_or(longest)
}

/// What this process put off, as far as the next one has to know: when the last of each step comes back.
#[derive(Default)]
pub(crate) struct Resting(Mutex<[Option<Instant>; STEPS_SECONDS.len()]>);

impl Resting {
    /// How long the next one rests in this step.
    pub(crate) fn next(&self, step: u32) -> Duration {
        let Some(which) = STEPS_SECONDS.iter().position(|known| *known == step) else { return Duration::ZERO };
        let now = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = rest(Duration::from_secs(step.into()), last[which].map(|last| last.duration_since(now)), chance());
        last[which] = Some(now + rest);
        rest
    }
}

/// `last` is how long the one before still rests. Alone, it comes back somewhere in the third quarter of its step;
/// behind another, by up to two parts of what is left of the step later than that one.
fn rest(step: Duration, last: Option<Duration>, chance: f64) -> Duration {
    let half = step / 2;
    match last {
        Some(last) if last >= half => {
            let left = step.saturating_sub(last);
            last.min(step) + left.mul_f64(chance * 2.0 / PARTS)
        }
        _ => half + (half / 2).mul_f64(chance),
    }
}

/// From 0 up to 1.
fn chance() -> f64 {
    let [one, other, ..] = *Uuid::new_v4().as_bytes();
    f64::from(u16::from_be_bytes([one, other])) / 65536.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_step_is_not_shorter_than_asked_and_at_most_an_hour() {
        for (after_ms, seconds) in [(0, 1), (1000, 1), (1001, 5), (299_000, 300), (9_999_999_999, 3600)] {
            assert_eq!(step(Duration::from_millis(after_ms)), seconds);
        }
    }

    #[test]
    fn whoever_rests_alone_rests_for_more_than_half_a_step_and_never_the_same() {
        let step = Duration::from_secs(300);
        let rests = [0.0, 0.5, 0.99].map(|chance| rest(step, None, chance).as_millis());
        assert_eq!(rests, [150_000, 187_500, 224_250]);
        let long_ago = Some(Duration::from_secs(149));
        assert_eq!(rest(step, long_ago, 0.5), rest(step, None, 0.5), "who will be gone by then is in nobody's way");
    }

    /// As a broker lets them go: none before the one in front of it.
    #[test]
    fn a_thousand_that_failed_together_come_back_apart() {
        let resting = Resting::default();
        let mut seconds: BTreeMap<u64, u32> = BTreeMap::new();
        let mut head = Duration::ZERO;
        for _ in 0..1000 {
            let rest = resting.next(300);
            assert!((Duration::from_secs(150)..=Duration::from_secs(300)).contains(&rest), "{rest:?}");
            head = head.max(rest);
            *seconds.entry(head.as_secs()).or_default() += 1;
        }
        let most = seconds.values().max().copied().unwrap_or(0);
        assert!(seconds.len() >= 30 && most <= 60, "{seconds:?}");
    }

    #[test]
    fn the_steps_do_not_hold_up_one_another() {
        let resting = Resting::default();
        for _ in 0..100 {
            resting.next(3600);
        }
        assert!(resting.next(1) <= Duration::from_secs(1));
    }
}
