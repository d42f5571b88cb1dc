//! The fillers that come with the hub: simulated ones, for a demonstration and for trying out a plan.
//!
//! To add one: a file here, and a line in [`ALL`].

mod clinic;
mod laboratory;
mod pharmacy;
mod simulation;

use std::sync::Arc;
use std::time::Duration;

use crate::filler::Filler;
use simulation::Pace;

type Make = fn(Pace) -> Arc<dyn Filler>;

const ALL: [(&str, Make); 3] = [
    (clinic::WORK, |pace| Arc::new(clinic::Clinic { pace })),
    (laboratory::WORK, |pace| Arc::new(laboratory::Laboratory { pace })),
    (pharmacy::WORK, |pace| Arc::new(pharmacy::Pharmacy { pace })),
];

/// A pace at which one can watch, and need not wait.
pub const PACE: Duration = Duration::from_millis(300);

/// The kinds of work there is a simulated filler for.
pub fn kinds() -> [&'static str; 3] {
    ALL.map(|(kind, _)| kind)
}

/// The simulated filler of a kind of work. `pace` is how long one stage of a step takes; zero is as fast as can be.
pub fn simulated(kind: &str, pace: Duration) -> Option<Arc<dyn Filler>> {
    let (_, make) = ALL.into_iter().find(|(known, _)| *known == kind)?;
    Some(make(Pace(pace)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filler_is_found_by_the_work_it_does() {
        for kind in kinds() {
            assert_eq!(simulated(kind, PACE).unwrap().work(), kind);
        }
        assert!(simulated("plumbing", PACE).is_none());
    }
}
