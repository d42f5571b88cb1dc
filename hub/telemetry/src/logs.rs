//! Log lines: which there are, and how they look. `docs/logging.md` says how they are written.

use std::str::FromStr;

use anyhow::Context as _;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Text when stderr is a terminal, else JSON.
    #[default]
    Auto,
    Text,
    /// One JSON object a line.
    Json,
}

/// No format is called so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAFormat;

impl std::fmt::Display for NotAFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a log format is auto, text or json")
    }
}

impl std::error::Error for NotAFormat {}

impl FromStr for Format {
    type Err = NotAFormat;

    fn from_str(text: &str) -> Result<Self, NotAFormat> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(NotAFormat),
        }
    }
}

/// Whether [`Options::filter`](crate::Options::filter) may be this.
pub fn is_filter(text: &str) -> bool {
    EnvFilter::builder().parse(text).is_ok()
}

/// The layer that writes log lines to `writer`.
pub(crate) fn layer<S, W>(
    format: Format,
    directives: &str,
    at_terminal: bool,
    writer: W,
) -> anyhow::Result<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let wanted = EnvFilter::builder().parse(directives).context("the log filter")?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let as_text = format == Format::Text || (format == Format::Auto && at_terminal);
    // Colours are for eyes: a file or a pipe gets none.
    let lines = if as_text { lines.with_ansi(at_terminal).boxed() } else { lines.json().flatten_event(true).boxed() };
    // The hint: without one, every trace! in every dependency is asked at run time.
    let harmless = filter_fn(may_be_logged).with_max_level_hint(LevelFilter::TRACE);
    Ok(lines.with_filter(wanted.and(harmless)).boxed())
}

/// What our own crates are called. Everything else is a dependency.
const OURS: [&str; 3] = ["hub", "worker", "schemas"];

pub(crate) fn is_ours(target: &str) -> bool {
    OURS.iter().any(|name| target.starts_with(name))
}

/// What a dependency may not tell, whatever was asked for: a body is about a patient.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    // lapin prints a returned message with its body at `warn`, and frames, which are bodies too, at `trace`.
    let carries_bodies = metadata.target().starts_with("lapin::returned_messages");
    // It calls an error what the transport asks for on purpose ("is this exchange there?"); what matters, that tells.
    let cries_wolf = metadata.target() == "lapin::channel";
    is_ours(metadata.target()) || !(carries_bodies || cries_wolf || *metadata.level() == Level::TRACE)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a process with this filter writes while `act` runs.
    fn written(format: Format, directives: &str, act: impl FnOnce()) -> String {
        let lines = Lines::default();
        let kept = lines.clone();
        let layer = layer(format, directives, false, move || lines.clone()).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_is_one_json_object_with_its_fields_at_the_top() {
        let text = written(Format::Json, "info", || tracing::info!(target: "hub", { task.id = "t-1" }, "claimed"));
        assert!(text.ends_with("}\n") && text.lines().count() == 1, "{text}");
        assert!(text.contains(r#""task.id":"t-1""#) && text.contains(r#""message":"claimed""#), "{text}");
    }

    #[test]
    fn auto_is_json_where_nobody_looks() {
        assert!(written(Format::Auto, "info", || tracing::info!(target: "hub", "x")).starts_with('{'));
        assert!(!written(Format::Text, "info", || tracing::info!(target: "hub", "x")).contains('{'));
    }

    #[test]
    fn a_body_is_not_logged_whatever_the_filter_says() {
        let text = written(Format::Text, "trace,lapin::returned_messages=trace,lapin=trace", || {
            tracing::warn!(target: "lapin::returned_messages", "Jane Doe");
            tracing::trace!(target: "lapin::frames", "Jane Doe");
            tracing::debug!(target: "lapin::channels", "create channel");
            tracing::trace!(target: "hub_domain", "ours");
        });
        assert!(!text.contains("Jane") && text.contains("create channel") && text.contains("ours"), "{text}");
    }

    #[test]
    fn a_filter_is_checked_before_it_is_used() {
        assert!(["info", "hub=debug,info", "off"].iter().all(|good| is_filter(good)));
        assert!(!is_filter("hub=loud"));
    }
}
