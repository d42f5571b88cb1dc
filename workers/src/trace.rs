//! The trace that a work order belongs to, carried into every report: the one place where it passes through a worker.

use hub_transport::Message;
use schemas::message::{CloudEvent, WorkOrder};
use tracing::Span;

const HEADER: &str = "traceparent";

/// W3C trace context of whoever caused the work. What is said about it comes from the work's own span, or, in a process
/// without spans, goes on as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace(Option<String>);

impl Trace {
    /// The event's own; the header's, when a broker's tracing wrote only that.
    pub(crate) fn of<T>(message: &Message, event: &CloudEvent<T>) -> Self {
        Self(event.traceparent.clone().or_else(|| message.header(HEADER).map(str::to_owned)))
    }

    /// What a worker does for one order, as a span. It names the work and never whom it is for.
    pub(crate) fn span(&self, order: &WorkOrder) -> Span {
        let span = tracing::info_span!(
            "work_order",
            task.id = order.task_id,
            task.version = order.task_version,
            work = order.work,
            step = order.step,
            trace_id = tracing::field::Empty,
        );
        hub_telemetry::continue_from(&span, self.0.as_deref());
        span
    }

    /// For whoever reads a message: the event has it for workers, the header for brokers.
    pub(crate) fn traceparent(&self) -> Option<String> {
        hub_telemetry::current_traceparent().or_else(|| self.0.clone())
    }

    pub(crate) fn header(traceparent: String) -> (String, String) {
        (HEADER.to_owned(), traceparent)
    }
}
