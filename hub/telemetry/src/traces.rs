//! Spans: which become traces, and where they are sent.

use std::env;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::runtime::TokioCurrentThread;
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
        let sender = BatchSpanProcessor::builder(sender(options.otlp_endpoint.as_deref())?, TokioCurrentThread).build();
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
        // A span is entered whenever what it is about is polled, and nobody here asks OpenTelemetry where that is.
        let layer = layer.with_tracked_inactivity(false).with_context_activation(false);
        layer.with_filter(ours)
    }

    /// Sends what waits, for at most [`FLUSH_LIMIT_MS`].
    pub(crate) async fn shutdown(self) {
        self.shutdown_within(Duration::from_millis(FLUSH_LIMIT_MS)).await;
    }

    /// A collector that is away must not keep the process from ending.
    async fn shutdown_within(self, limit: Duration) {
        if !self.sends {
            return;
        }
        let (tell, told) = tokio::sync::oneshot::channel();
        // The SDK blocks the thread that asks. Not one of tokio's: a runtime does not end before they do.
        std::thread::spawn(move || tell.send(self.provider.shutdown()));
        match tokio::time::timeout(limit, told).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last spans were not sent"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the last spans were not sent in time"),
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

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[tokio::test]
    async fn a_collector_that_says_nothing_does_not_keep_us() {
        crate::install_tls_provider();
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", silent.local_addr().unwrap());
        let exporter = Exporter::open(&Options { otlp_endpoint: Some(endpoint), ..Options::new("test") }).unwrap();
        let subscriber = tracing_subscriber::registry().with(exporter.layer());
        tracing::subscriber::with_default(subscriber, || drop(tracing::info_span!(target: "hub", "last").entered()));
        let began = Instant::now();
        exporter.shutdown_within(Duration::from_millis(100)).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}
