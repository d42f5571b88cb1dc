//! The whole way of a span: out of the process, over HTTP, into a collector. Alone in its process, for `init` is global.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::routing::post;
use hub_telemetry::{Format, Options};

type Received = Arc<Mutex<Vec<u8>>>;

/// A collector that keeps whatever it is sent.
async fn collector() -> (String, Received) {
    let received = Received::default();
    let kept = Arc::clone(&received);
    let keep = move |body: Bytes| {
        kept.lock().unwrap().extend_from_slice(&body);
        async {}
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/v1/traces", post(keep));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (endpoint, received)
}

fn holds(received: &Received, text: &str) -> bool {
    received.lock().unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes())
}

#[tokio::test]
async fn the_last_span_arrives_before_the_process_ends() {
    let (endpoint, received) = collector().await;
    // The filter of the log lines is no filter of the traces.
    let options = Options {
        format: Format::Json,
        filter: "off".to_owned(),
        otlp_endpoint: Some(endpoint),
        ..Options::new("hub-under-test")
    };
    let guard = hub_telemetry::init(&options).unwrap();
    assert!(hub_telemetry::init(&options).is_err(), "once");

    // As it comes from a process that does not export: not sampled.
    let span = tracing::info_span!(target: "hub", "fulfil", task.id = "t-1");
    hub_telemetry::continue_from(&span, Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"));
    let traceparent = span.in_scope(hub_telemetry::current_traceparent).unwrap();
    assert!(traceparent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && traceparent.ends_with("-01"));
    tracing::info_span!(target: "hyper", "not ours").in_scope(|| {});
    drop(span);

    tokio::time::timeout(Duration::from_secs(6), guard.shutdown()).await.unwrap();
    for expected in ["hub-under-test", "fulfil", "task.id", "t-1"] {
        assert!(holds(&received, expected), "{expected}");
    }
    assert!(!holds(&received, "not ours"));
}
