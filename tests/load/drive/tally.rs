//! What was answered, and how soon.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Of the requests of one measured time.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    measured: Duration,
    /// In microseconds, by what was asked.
    latencies: BTreeMap<&'static str, Histogram<u64>>,
    /// What was answered otherwise than expected, or not at all.
    pub(crate) faults: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn new(measured: Duration) -> Self {
        Self { measured, latencies: BTreeMap::new(), faults: BTreeMap::new() }
    }

    /// Both measured times as one.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.measured += other.measured;
        for (what, latencies) in &other.latencies {
            // They have the same bounds.
            let _ = self.histogram(what).add(latencies);
        }
        for (fault, times) in other.faults {
            *self.faults.entry(fault).or_default() += times;
        }
        self
    }

    pub(super) fn count(&mut self, what: &'static str, expects: &[u16], status: Option<u16>, took: Duration) {
        match status {
            Some(status) if expects.contains(&status) => self.histogram(what).saturating_record(micros(took)),
            Some(status) => *self.faults.entry(format!("{what}: {status}")).or_default() += 1,
            None => *self.faults.entry(format!("{what}: no answer")).or_default() += 1,
        }
    }

    /// What is missing of so many was never answered.
    pub(super) fn expect(&mut self, number: u64) {
        let counted = self.whole().len() + self.faults.values().sum::<u64>();
        // Where the time begins and ends, one more or less is none.
        let missing = number.saturating_sub(counted);
        if missing > number / 1000 {
            *self.faults.entry("not answered in time".to_owned()).or_default() += missing;
        }
    }

    fn histogram(&mut self, what: &'static str) -> &mut Histogram<u64> {
        self.latencies.entry(what).or_insert_with(histogram)
    }

    /// Of everything that was asked.
    pub(crate) fn whole(&self) -> Histogram<u64> {
        self.latencies.values().fold(histogram(), |mut all, one| {
            let _ = all.add(one);
            all
        })
    }

    /// By what was asked.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, &Histogram<u64>)> {
        self.latencies.iter().map(|(what, latencies)| (*what, latencies))
    }

    /// In a second.
    pub(crate) fn rate(&self) -> f64 {
        self.whole().len() as f64 / self.measured.as_secs_f64()
    }
}

/// To three digits. What takes longer counts as a minute.
pub(crate) fn histogram() -> Histogram<u64> {
    const MINUTE_US: u64 = 60_000_000;
    Histogram::new_with_bounds(1, MINUTE_US, 3).expect("the bounds are in order")
}

/// In milliseconds.
pub(crate) fn quantile(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1000.0
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
