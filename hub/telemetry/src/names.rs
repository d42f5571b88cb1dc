//! All metrics there are. A label has few values: a kind of work or a route, never an id, never anything of a patient.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Only rises.
    Counter,
    Gauge,
    /// Durations, in [`SECONDS_BUCKETS`].
    Seconds,
    /// How many at once, in [`BATCH_BUCKETS`].
    Batch,
}

/// Bounds of the buckets of durations, in seconds: from a commit in memory to a search at its limit.
pub const SECONDS_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Bounds of the buckets of batch sizes, in commands.
pub const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub shape: Shape,
    /// What its labels are called.
    pub labels: &'static [&'static str],
    pub text: &'static str,
}

/// Writes the constants and the table from one list, so that neither can lack what the other has.
macro_rules! metrics_table {
    ($($constant:ident = $name:literal, $shape:ident, [$($label:literal),*], $text:literal;)*) => {
        $(#[doc = $text] pub const $constant: &str = $name;)*

        /// The table.
        pub const ALL: &[Metric] =
            &[$(Metric { name: $name, shape: Shape::$shape, labels: &[$($label),*], text: $text }),*];
    };
}

metrics_table! {
    ORDERS_TOTAL = "hub_orders_total", Counter, ["kind"], "Orders that started, by the kind of request.";
    TASKS = "hub_tasks", Gauge, ["work", "status"], "Tasks that are not finished, by kind of work and status.";
    TASK_TRANSITIONS_TOTAL = "hub_task_transitions_total", Counter, ["work", "to"],
        "Tasks that took a new status, by kind of work and that status.";
    REFUSALS_TOTAL = "hub_refusals_total", Counter, ["issue"], "Commands that were refused, by the code of the first issue.";
    TURNED_AWAY_TOTAL = "hub_turned_away_total", Counter, ["why"],
        "What was refused early for want of room, by what was full: requests, bodies, lane, outbox.";
    TROUBLES_TOTAL = "hub_troubles_total", Counter, ["where"], "Commands that failed by a fault of a machine, by which.";

    LANE_BATCH_COMMANDS = "hub_lane_batch_commands", Batch, [], "Commands that a lane committed together.";
    LANE_WAITING_COMMANDS = "hub_lane_waiting_commands", Gauge, [], "Commands that wait for a lane.";
    COMMIT_SECONDS = "hub_commit_seconds", Seconds, [], "Time for one commit of a lane.";
    LOAD_SECONDS = "hub_load_seconds", Seconds, [], "Time to load the scenes of one batch.";
    STALE_TOTAL = "hub_stale_total", Counter, [], "Decisions that came too late and were taken again.";

    STORAGE_SECONDS = "hub_storage_seconds", Seconds, ["operation"], "Time for one operation of the registry.";
    STORAGE_BATCH_DECISIONS = "hub_storage_batch_decisions", Batch, [], "Decisions that were committed together.";
    STORAGE_OVERTAKEN_TOTAL = "hub_storage_overtaken_total", Counter, [], "Commits that found something otherwise than it was decided upon, and looked again.";
    STORAGE_RETRIES_TOTAL = "hub_storage_retries_total", Counter, [], "Commits that the database asked to try again.";

    RECEIPTS_PRUNED_TOTAL = "hub_receipts_pruned_total", Counter, [],
        "Answers kept for repeats that were old and are forgotten.";
    RESOURCES_INDEXED_TOTAL = "hub_resources_indexed_total", Counter, [],
        "Resources that were indexed by search parameters which were not there when they were stored.";

    OLDEST_OFFER_AGE_SECONDS = "hub_oldest_offer_age_seconds", Gauge, ["work"],
        "How long the oldest Task on offer has waited, by kind of work: what nobody takes shows here.";
    PARKED_MESSAGES = "hub_parked_messages", Gauge, [], "Messages that wait for a person to look at them.";
    OUTBOX_DEPTH = "hub_outbox_depth", Gauge, [], "Messages that are committed and not yet sent.";
    OUTBOX_OLDEST_AGE_SECONDS = "hub_outbox_oldest_age_seconds", Gauge, [], "Age of the oldest message not yet sent.";
    TIMERS_OVERDUE = "hub_timers_overdue", Gauge, [], "Timers that are due and have not fired.";
    PUBLISHED_TOTAL = "hub_published_total", Counter, ["work"], "Work orders that the broker confirmed, by kind of work.";
    UNROUTABLE_POLLED_TOTAL = "hub_unroutable_polled_total", Counter, [],
        "Tasks directed to a performer without a queue, who finds them by asking.";
    REPORTS_TOTAL = "hub_reports_total", Counter, ["outcome"],
        "Reports of workers, by what became of them: taken, refused, again, parked.";
    PARKED_TOTAL = "hub_parked_total", Counter, ["queue"], "Messages that were put aside for a person to look at.";
    QUEUE_READY = "hub_queue_ready", Gauge, ["queue"], "Messages that wait in a queue.";
    CLAIMS_TOTAL = "hub_claims_total", Counter, ["outcome"], "Claims of workers: granted, refused.";
    TIMERS_FIRED_TOTAL = "hub_timers_fired_total", Counter, [], "Timers that fired.";

    HTTP_REQUESTS_TOTAL = "hub_http_requests_total", Counter, ["method", "route", "status"], "Requests answered.";
    HTTP_REQUEST_SECONDS = "hub_http_request_seconds", Seconds, ["method", "route"], "Time to answer a request.";
    AUTH_REFUSED_TOTAL = "hub_auth_refused_total", Counter, ["why"], "Callers that were not believed, by why.";

    TRANSPORT_PUBLISHED_TOTAL = "hub_transport_published_total", Counter, [], "Messages that the transport took.";
    TRANSPORT_UNROUTABLE_TOTAL = "hub_transport_unroutable_total", Counter, [], "Messages for which there was no queue.";
    TRANSPORT_RETRIED_TOTAL = "hub_transport_retried_total", Counter, [], "Deliveries that were put off.";
    TRANSPORT_PARKED_TOTAL = "hub_transport_parked_total", Counter, [], "Deliveries that were parked.";
    TRANSPORT_RECONNECTS_TOTAL = "hub_transport_reconnects_total", Counter, [], "Connections to the broker made again.";

    WORKER_STARTED_TOTAL = "hub_worker_started_total", Counter, ["work"], "Work that a worker started.";
    WORKER_FINISHED_TOTAL = "hub_worker_finished_total", Counter, ["work", "outcome"],
        "Work that a worker ended: completed, failed, rejected, stopped, fenced.";
    WORKER_SECONDS = "hub_worker_seconds", Seconds, ["work"], "Time from the start of a work to its end.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_says_what_it_counts_and_in_which_unit() {
        let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len(), "no name twice");
        for Metric { name, shape, .. } in ALL {
            assert!(name.starts_with("hub_"), "{name}");
            assert_eq!(name.ends_with("_total"), *shape == Shape::Counter, "{name}");
            assert!(*shape != Shape::Seconds || name.ends_with("_seconds"), "{name}");
        }
    }
}
