//! W3C trace context: out of a span, into a message, and out of the message into the next span.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Whether a text has the shape of a `traceparent`: it came from a stranger, and is kept beside what it caused.
pub fn is_traceparent(text: &str) -> bool {
    const LENGTH: usize = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".len();
    text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// The current span as a `traceparent`, for a message or a request. `None` outside of any span, or before
/// [`init`](crate::init).
pub fn current_traceparent() -> Option<String> {
    let context = current()?;
    let flags = context.trace_flags().to_u8();
    Some(format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id()))
}

/// The id of the current trace: fit to tell a caller beside an error, since it says nothing about a patient.
pub fn current_trace_id() -> Option<String> {
    Some(current()?.trace_id().to_string())
}

/// Makes `span` part of the trace that a message or a request belongs to. Call it before the span is entered; one that
/// has begun is linked instead. What is no `traceparent` is passed over: a stranger may have written it.
///
/// A span that declares the field `trace_id` gets it filled in, so that log lines can be found by it.
pub fn continue_from(span: &Span, traceparent: Option<&str>) {
    if let Some(traceparent) = traceparent {
        let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
        let parent = TraceContextPropagator::new().extract(&carrier);
        let context = parent.span().span_context().clone();
        if context.is_valid() && span.set_parent(parent).is_err() {
            span.add_link(context);
        }
    }
    if span.has_field("trace_id")
        && let Some(context) = valid(span)
    {
        span.record("trace_id", context.trace_id().to_string());
    }
}

fn current() -> Option<SpanContext> {
    valid(&Span::current())
}

fn valid(span: &Span) -> Option<SpanContext> {
    Some(span.context().span().span_context().clone()).filter(SpanContext::is_valid)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::Options;
    use crate::traces::Exporter;

    const ELSEWHERE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// In a process that exports nothing.
    fn in_a_process<T>(act: impl FnOnce() -> T) -> T {
        let exporter = Exporter::open(&Options::new("test")).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(exporter.layer()), act)
    }

    fn span() -> Span {
        tracing::info_span!(target: "hub", "work", trace_id = tracing::field::Empty)
    }

    #[test]
    fn a_trace_crosses_processes_though_none_exports() {
        let sent = in_a_process(|| span().in_scope(current_traceparent)).unwrap();
        let received = in_a_process(|| {
            let span = span();
            continue_from(&span, Some(&sent));
            span.in_scope(current_traceparent)
        });
        let received = received.unwrap();
        assert_eq!(sent[..35], received[..35], "one trace");
        assert_ne!(sent[36..52], received[36..52], "two spans");
    }

    #[test]
    fn a_trace_that_began_elsewhere_goes_on() {
        let id = in_a_process(|| {
            let span = span();
            continue_from(&span, Some(ELSEWHERE));
            span.in_scope(|| tracing::info_span!(target: "hub", "inner").in_scope(current_trace_id))
        });
        assert_eq!(id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    }

    #[test]
    fn nonsense_starts_a_trace_of_its_own() {
        for nonsense in ["", "00-0-0-00", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "Jane Doe"] {
            let id = in_a_process(|| {
                let span = span();
                continue_from(&span, Some(nonsense));
                span.in_scope(current_trace_id)
            });
            assert!(id.is_some_and(|id| id.len() == 32), "{nonsense:?}");
        }
    }

    #[test]
    fn a_span_that_has_begun_is_linked_and_stays_in_its_trace() {
        let (before, after) = in_a_process(|| {
            let span = span();
            let before = span.in_scope(current_trace_id);
            continue_from(&span, Some(ELSEWHERE));
            (before, span.in_scope(current_trace_id))
        });
        assert!(before.is_some());
        assert_eq!(before, after);
    }

    #[test]
    fn outside_of_any_span_there_is_none() {
        assert_eq!(current_traceparent(), None);
        assert_eq!(in_a_process(current_traceparent), None);
        continue_from(&Span::none(), Some(ELSEWHERE));
    }
}
