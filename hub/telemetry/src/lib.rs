//! Logs, traces and metrics of a process, and the thread that ties a trace together across queues.
//!
//! - [`init`], once, in `main`: log lines go to stderr, spans to an OTLP collector if one is configured.
//! - [`current_traceparent`] goes into a message; [`continue_from`] takes it out again, in whatever process.
//! - [`metrics`] renders what the `metrics` macros counted; [`names`] lists all there is to count.
//!
//! No patient's data in any of them: identifiers and codes, never a body, a name or a search value.
//!
//! To add a metric: one line in the table of [`names`], then use its constant.

mod logs;
mod metrics;
pub mod names;
mod trace;
mod traces;

use std::io::IsTerminal;

pub use logs::{Format, NotAFormat, is_filter};
pub use metrics::{Recorder, describe_all, metrics};
pub use trace::{continue_from, current_trace_id, current_traceparent, is_traceparent};
use traces::Exporter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How a process tells what it does.
#[derive(Debug, Clone)]
pub struct Options {
    /// `service.name` of its traces: `hub`, `worker`.
    pub service_name: String,
    pub format: Format,
    /// Which log lines, as `tracing`'s directives: `info`, `hub=debug,info`.
    pub filter: String,
    /// Where traces go, without `/v1/traces`. `None`: where `OTEL_EXPORTER_OTLP_ENDPOINT` says, or nowhere.
    pub otlp_endpoint: Option<String>,
}

impl Options {
    /// Log lines from `info` on, in the format that fits stderr.
    pub fn new(service_name: impl Into<String>) -> Self {
        Self { service_name: service_name.into(), format: Format::Auto, filter: "info".to_owned(), otlp_endpoint: None }
    }
}

/// Sets up logs and traces for the whole process. Once: a second time is an error.
pub fn init(options: &Options) -> anyhow::Result<Guard> {
    install_tls_provider();
    let exporter = Exporter::open(options)?;
    let log_layer = logs::layer(options.format, &options.filter, std::io::stderr().is_terminal(), std::io::stderr)?;
    tracing_subscriber::registry().with(exporter.layer()).with(log_layer).try_init()?;
    describe_all();
    Ok(Guard { exporter })
}

/// One TLS implementation for all of the process. Harmless when there is one already.
pub fn install_tls_provider() {
    // An error says that somebody installed one first.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Keep it as long as the process does something worth telling.
#[must_use = "without shutdown the last spans are lost"]
#[derive(Debug)]
pub struct Guard {
    exporter: Exporter,
}

impl Guard {
    /// Sends the spans that still wait, for at most five seconds.
    pub async fn shutdown(self) {
        self.exporter.shutdown().await;
    }
}
