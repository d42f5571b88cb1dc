//! Metrics are counted by the `metrics` macros wherever something happens, and rendered here for who asks.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::Unit;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::names::{self, BATCH_BUCKETS, SECONDS_BUCKETS, Shape};

/// How often observations move into their buckets, in milliseconds.
const UPKEEP_PAUSE_MS: u64 = 5_000;

/// Renders what has been counted in this process.
#[derive(Clone)]
pub struct Recorder(PrometheusHandle);

impl Recorder {
    /// The text format of Prometheus.
    pub fn render(&self) -> String {
        self.0.render()
    }
}

/// The recorder of this process; the first call installs it.
pub fn metrics() -> Recorder {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    Recorder(RECORDER.get_or_init(install).clone())
}

/// Gives every metric its unit and its text. Installs the recorder.
pub fn describe_all() {
    metrics();
    for metric in names::ALL {
        match metric.shape {
            Shape::Counter => metrics::describe_counter!(metric.name, metric.text),
            Shape::Gauge => metrics::describe_gauge!(metric.name, metric.text),
            Shape::Seconds => metrics::describe_histogram!(metric.name, Unit::Seconds, metric.text),
            Shape::Batch => metrics::describe_histogram!(metric.name, Unit::Count, metric.text),
        }
    }
}

fn install() -> PrometheusHandle {
    let recorder = builder().unwrap_or_else(|error| unreachable!("buckets are never empty: {error}")).build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("somebody else records the metrics of this process: ours stay empty");
    }
    let upkept = handle.clone();
    // Observations pile up until somebody renders them, and nobody may.
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(UPKEEP_PAUSE_MS));
            upkept.run_upkeep();
        }
    });
    handle
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in names::ALL {
        let buckets: &[f64] = match metric.shape {
            Shape::Counter | Shape::Gauge => continue,
            Shape::Seconds => &SECONDS_BUCKETS,
            Shape::Batch => &BATCH_BUCKETS,
        };
        builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_rendered_with_its_text_and_in_its_buckets() {
        describe_all();
        metrics::counter!(names::ORDERS_TOTAL, "kind" => "ServiceRequest").increment(2);
        metrics::histogram!(names::COMMIT_SECONDS).record(0.003);
        metrics::histogram!(names::LANE_BATCH_COMMANDS).record(100.0);
        let text = metrics().render();
        assert!(text.contains(r#"hub_orders_total{kind="ServiceRequest"} 2"#), "{text}");
        assert!(text.contains("# HELP hub_orders_total Orders that started"), "{text}");
        assert!(text.contains(r#"hub_commit_seconds_bucket{le="0.005"} 1"#), "{text}");
        assert!(text.contains(r#"hub_lane_batch_commands_bucket{le="128"} 1"#), "{text}");
    }
}
