//! Spans: which become traces, and where they are sent.

use std::env;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::Options;
use crate::logs::is_ours;

/// How long a process that stops waits for its last spans to be sent, in milliseconds.
pub(crate) const FLUSH_LIMIT_MS: u64 = 5_000;

/// Makes ids for all spans, and sends them when there is somebody to send them to.
#[derive(Debug)]
pub(crate) struct Exporter {
    provider: SdkTracerProvider,
    sends: bool,
}

impl Exporter {
    pub(crate) fn open(options: &Options) -> anyhow::Result<Self> {
        let resource = Resource::builder().with_service_name(options.service_name.clone()).build();
        let builder = SdkTracerProvider::builder().with_resource(resource);
        let sends = options.otlp_endpoint.is_some() || is_endpoint_in_environment();
        if !sends {
            // Ids are made all the same: a trace that begins elsewhere passes through a process that does not export.
            let provider = builder.with_sampler(Sampler::AlwaysOff).build();
            return Ok(Self { provider, sends });
        }
        anyhow::ensure!(tokio::runtime::Handle::try_current().is_ok(), "traces are exported on a tokio runtime");
        let sender = BatchSpanProcessor::builder(sender(options.otlp_endpoint.as_deref())?, Tokio).build();
        let builder = builder.with_span_processor(sender);
        // Not the SDK's `parentbased`: what came by a process that does not export is marked as unsampled.
        let builder = if env::var_os("OTEL_TRACES_SAMPLER").is_some() {
            builder
        } else {
            builder.with_sampler(Sampler::AlwaysOn)
        };
        Ok(Self { provider: builder.build(), sends })
    }

    /// The layer through which spans become traces: ours, from `info` on, whatever the log lines are filtered by.
    ///
    /// Only ours, for the exporter's own HTTP client has spans too, and they would be exported, and so on.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let tracer = self.provider.tracer("hub");
        let ours = |metadata: &Metadata<'_>| is_ours(metadata.target()) && *metadata.level() <= LevelFilter::INFO;
        let ours = filter_fn(ours).with_max_level_hint(LevelFilter::INFO);
        // Neither threads nor lines of code: they cost more than they tell.
        let layer = tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false);
        layer.with_filter(ours)
    }

    /// Sends what waits. A collector that is away must not keep the process from ending.
    pub(crate) async fn shutdown(self) {
        if !self.sends {
            return;
        }
        // The SDK blocks the thread that asks.
        let flushed = tokio::task::spawn_blocking(move || self.provider.shutdown());
        match tokio::time::timeout(Duration::from_millis(FLUSH_LIMIT_MS), flushed).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last spans were not sent"),
            Ok(Err(_)) | Err(_) => tracing::warn!(limit_ms = FLUSH_LIMIT_MS, "the last spans were not sent in time"),
        }
    }
}

fn is_endpoint_in_environment() -> bool {
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
        .iter()
        .any(|name| env::var(name).is_ok_and(|endpoint| !endpoint.is_empty()))
}

fn sender(endpoint: Option<&str>) -> anyhow::Result<SpanExporter> {
    let builder = SpanExporter::builder().with_http();
    let builder = match endpoint {
        // Only from the environment does the exporter add the path by itself.
        Some(endpoint) => builder.with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/'))),
        None => builder,
    };
    builder.build().context("the exporter of traces")
}
