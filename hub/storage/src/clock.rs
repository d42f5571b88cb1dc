//! The registry's time: the database's, with an offset that tests and the demo set.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use schemas::time::Timestamp;

const MILLI_US: i64 = 1000;

/// The system's clock, which is the database's where the database is a file. Never steps back within the process.
#[derive(Debug, Default)]
pub(crate) struct SystemClock {
    last_us: AtomicI64,
}

impl SystemClock {
    pub(crate) fn now_us(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        self.last_us.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

/// The moment that a batch is decided at: whole milliseconds, as resources show them, so that what a caller compares
/// with is what is stored; and after everything that was shown in the order of time.
pub(crate) fn moment(now_us: i64, shown_us: Option<i64>) -> Timestamp {
    let now = now_us - now_us.rem_euclid(MILLI_US);
    Timestamp(shown_us.map_or(now, |shown| now.max(shown - shown.rem_euclid(MILLI_US) + MILLI_US)))
}
