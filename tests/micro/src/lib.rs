//! Single units of the hub's own work on inputs that never change, without a database, a broker or a network: what a
//! change of the code costs, before a benchmark of the whole could tell it from the machine's mood.
//!
//! They are measured twice. `cargo bench -p micro --features time` takes the time of each (criterion), for a person who
//! looks for a gain. `tests/micro/run` counts the instructions of each (callgrind), compares them with the baseline that
//! is kept beside it, and fails when a subject costs more than it did: that is part of every full test run.
//!
//! To add a subject: a function that prepares it, in the module of its part, and a line in [`SUBJECTS`]; then
//! `tests/micro/run --renew`.

#![expect(clippy::unwrap_used, reason = "the inputs are fixed: whatever does not hold is a fault of this program")]

mod decide;
mod event;
mod fhirpath;
mod gate;
mod orders;
mod plan;
mod query;
mod registry;
mod serialise;

/// One unit of work, to be done as often as one likes. What it makes is thrown away inside it, as the hub does in time.
pub type Work = Box<dyn Fn()>;

/// Something whose cost is watched.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// Also its name in the baseline.
    pub name: &'static str,
    /// Makes what the work needs; this is not measured.
    pub prepare: fn() -> Work,
}

/// All of them, in the order in which an order meets them.
pub const SUBJECTS: [Subject; 15] = [
    Subject { name: "gate-laboratory", prepare: gate::laboratory },
    Subject { name: "gate-prescription", prepare: gate::prescription },
    Subject { name: "decide-submission", prepare: decide::submission },
    Subject { name: "decide-claim", prepare: decide::claim },
    Subject { name: "decide-completion", prepare: decide::completion },
    Subject { name: "plan-bind", prepare: plan::bind },
    Subject { name: "plan-advance", prepare: plan::advance },
    Subject { name: "plan-event-10", prepare: event::of_10 },
    Subject { name: "plan-event-1000", prepare: event::of_1000 },
    Subject { name: "serialise-order", prepare: serialise::order },
    Subject { name: "serialise-message", prepare: serialise::message },
    Subject { name: "query-index", prepare: query::index },
    Subject { name: "query-read", prepare: query::read },
    Subject { name: "fhirpath-parse", prepare: fhirpath::parse },
    Subject { name: "fhirpath-evaluate", prepare: fhirpath::evaluate },
];

impl Subject {
    /// The subject of this name.
    pub fn named(name: &str) -> Option<Self> {
        SUBJECTS.into_iter().find(|subject| subject.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::SUBJECTS;

    /// Whatever a subject expects of its input holds, so that a full test run finds out, not only a measurement.
    #[test]
    fn every_subject_does_its_work_more_than_once() {
        for subject in SUBJECTS {
            let work = (subject.prepare)();
            work();
            work();
        }
    }
}
