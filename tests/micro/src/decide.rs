//! What the hub decides most often: a laboratory order comes, its first Task is claimed, and is completed, which
//! releases the next one.

use std::hint::black_box;

use hub_domain::decide::needs;
use schemas::message::Act as Reported;

use crate::registry::{self, Case, Registry, report};
use crate::{Work, orders};

/// The first one of the laboratory's plan.
const STEP: usize = 2;

pub(crate) fn submission() -> Work {
    deciding(submitted())
}

pub(crate) fn claim() -> Work {
    deciding(claimed())
}

pub(crate) fn completion() -> Work {
    deciding(completed())
}

fn submitted() -> Case {
    Registry::new().case(registry::submission(&orders::laboratory()))
}

fn claimed() -> Case {
    let mut registry = Registry::new();
    registry.execute(registry::submission(&orders::laboratory()));
    registry.case(report(STEP, Reported::Claim, 1))
}

fn completed() -> Case {
    let mut registry = Registry::new();
    registry.execute(registry::submission(&orders::laboratory()));
    registry.execute(report(STEP, Reported::Claim, 1));
    registry.case(report(STEP, Reported::Completed, 2))
}

/// What is needed, and what follows from it.
fn deciding(case: Case) -> Work {
    Box::new(move || {
        black_box(needs(black_box(&case.command), &case.policy));
        black_box(case.decided());
    })
}

#[cfg(test)]
mod tests {
    use hub_domain::decision::Decision;

    use super::*;

    /// `2 requested`: the step and the status of each Task version.
    fn tasks(decision: &Decision) -> Vec<String> {
        let tasks = decision.writes.iter().map(|write| &write.resource).filter(|it| !it.key.kind.is_request());
        tasks
            .map(|task| format!("{} {}", task.key.id.rsplit('.').next().unwrap(), task.text("status").unwrap()))
            .collect()
    }

    #[test]
    fn what_is_measured_is_what_is_said() {
        let (submission, claim, completion) = (submitted().decided(), claimed().decided(), completed().decided());
        assert_eq!(tasks(&submission), ["0 requested", "2 requested", "3 draft", "4 draft"]);
        assert_eq!(tasks(&claim), ["2 accepted", "0 accepted"]);
        assert_eq!(tasks(&completion), ["2 in-progress", "2 completed", "3 requested", "0 in-progress"]);
        assert_eq!([submission.outbox.len(), claim.outbox.len(), completion.outbox.len()], [1, 0, 1]);
    }
}
