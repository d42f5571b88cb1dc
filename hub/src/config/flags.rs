//! The command line's part of the configuration.

use std::fmt;
use std::path::PathBuf;

/// Overrides the environment and the file.
#[derive(Clone, Default, clap::Args)]
pub struct Flags {
    /// Configuration file (TOML) [env: HUB_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address and port of the REST interface
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Path under which FHIR is served
    #[arg(long, value_name = "PATH")]
    pub base: Option<String>,
    /// sqlite:FILE, sqlite: (in memory) or postgres://...
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// embedded, amqp://... or amqps://...
    #[arg(long, value_name = "URL")]
    pub queue: Option<String>,
    /// Directory with the site's own PlanDefinitions
    #[arg(long, value_name = "DIRECTORY")]
    pub plans: Option<PathBuf>,
    /// A performer with a queue of its own, such as Organization/lab-1 (may be repeated)
    #[arg(long = "performer", value_name = "REFERENCE")]
    pub performers: Vec<String>,
    /// Rehearse: let the clock start at this instant
    #[arg(long, value_name = "INSTANT")]
    pub now: Option<String>,
    /// auto, text or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Which log lines: info, or hub=debug,info
    #[arg(long, value_name = "DIRECTIVES")]
    pub log_level: Option<String>,
    /// Collector of traces, such as http://localhost:4318
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Any field of the configuration, such as offers_max=5 (may be repeated)
    #[arg(long, value_name = "FIELD=VALUE", value_parser = field_and_value)]
    pub set: Vec<(String, String)>,
}

impl Flags {
    /// Field, flag and text of each one that was given.
    pub(super) fn said(&self) -> Vec<(String, String, String)> {
        let plans = self.plans.as_ref().map(|path| path.to_string_lossy().into_owned());
        let performers = (!self.performers.is_empty()).then(|| self.performers.join(","));
        let named = [
            ("listen", "--listen", &self.listen),
            ("base", "--base", &self.base),
            ("database", "--database", &self.database),
            ("queue", "--queue", &self.queue),
            ("plans", "--plans", &plans),
            ("performers", "--performer", &performers),
            ("now", "--now", &self.now),
            ("log_format", "--log-format", &self.log_format),
            ("log_level", "--log-level", &self.log_level),
            ("otlp_endpoint", "--otlp-endpoint", &self.otlp_endpoint),
        ];
        let set = self.set.iter().map(|(field, text)| (field.clone(), format!("--set {field}"), text.clone()));
        let given = |(field, flag, text): (&str, &str, &Option<String>)| {
            Some((field.to_owned(), flag.to_owned(), text.clone()?))
        };
        set.chain(named.into_iter().filter_map(given)).collect()
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the values: a URL may hold a password.
        f.debug_struct("Flags").field("config", &self.config).finish_non_exhaustive()
    }
}

fn field_and_value(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("it has no =, as in FIELD=VALUE")?;
    Ok((field.trim().to_owned(), value.trim().to_owned()))
}
