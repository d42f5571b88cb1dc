use std::io::Write as _;

use super::*;

/// Reads a configuration from a file with this text, these variables and these arguments.
fn load(file: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Result<Config, ConfigError> {
    let mut written = Temporary::new();
    written.file.write_all(file.as_bytes()).unwrap();
    let flags = Flags { config: Some(written.path.clone()), ..flags(arguments) };
    Config::from_sources(&flags, environment.iter().map(|(name, text)| (name.to_string(), text.to_string())))
}

fn flags(arguments: &[&str]) -> Flags {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }
    let line = std::iter::once(&"hub").chain(arguments);
    <Line as clap::Parser>::try_parse_from(line).unwrap_or_else(|error| panic!("{error}")).flags
}

/// A file that is gone with the test.
struct Temporary {
    path: PathBuf,
    file: std::fs::File,
}

impl Temporary {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("hub-config-{}.toml", uuid::Uuid::new_v4()));
        Self { file: std::fs::File::create(&path).unwrap(), path }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn faults(file: &str, environment: &[(&str, &str)], arguments: &[&str]) -> String {
    load(file, environment, arguments).unwrap_err().to_string()
}

const AUTH: &str = "[auth]\njwks = 'https://id.example/jwks'\nissuer = 'https://id.example'\naudience = 'hub'\n";

#[test]
fn nothing_said_means_the_defaults() {
    let config = load("", &[], &[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!((config.base.as_str(), config.database.reveal()), ("/fhir/R4", "sqlite:hub.db"));
    assert_eq!(config.body_limit_bytes, 5 * 1024 * 1024);
    assert_eq!(config.lease.of("laboratory"), Some(std::time::Duration::from_secs(1800)));
    assert_eq!(config.payload.of("laboratory"), Payload::Full);
    assert!(config.auth.is_none() && config.auto_complete_request && !config.require_if_match);
}

#[test]
fn a_flag_beats_the_environment_and_that_beats_the_file() {
    let file = "listen = '127.0.0.1:1'\nqueue = 'embedded'\noffers_max = 4\n";
    let environment = [("HUB_LISTEN", "127.0.0.1:2"), ("HUB_OFFERS_MAX", "5"), ("HUB_SERVICE_HOST", "10.0.0.1")];
    let config = load(file, &environment, &["--listen", "127.0.0.1:3"]).unwrap();
    assert_eq!((config.listen.port(), config.offers_max), (3, 5));
    let config = load(file, &environment, &["--set", "offers_max=6"]).unwrap();
    assert_eq!((config.listen.port(), config.offers_max), (2, 6));
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    assert!(load("", &[("HUB_LISTEN", ""), ("HUB_AUTH_JWKS", " ")], &[]).is_ok());
}

#[test]
fn a_table_may_come_from_everywhere() {
    let file = "[lease]\ndefault = '2h'\nlaboratory = '30m'\n[payload]\nlaboratory = 'id-only'\n[amqp_users]\n\
                'lab.1' = 'Organization/lab-1'\n";
    let config = load(file, &[("HUB_LEASE", "laboratory=10m, imaging=none")], &["--set", "lease=imaging=1d"]).unwrap();
    let minutes = |work| config.lease.of(work).map(|lease| lease.as_secs() / 60);
    assert_eq!((minutes("laboratory"), minutes("imaging"), minutes("other")), (Some(10), Some(1440), Some(120)));
    assert_eq!((config.payload.of("laboratory"), config.payload.of("other")), (Payload::IdOnly, Payload::Full));
    assert_eq!(config.amqp_users["lab.1"], "Organization/lab-1");
}

#[test]
fn a_list_is_an_array_or_has_commas() {
    let expected = ["Organization/lab-1", "HealthcareService/x-ray"];
    let in_file = load("performers = ['Organization/lab-1', 'HealthcareService/x-ray']", &[], &[]).unwrap();
    let by_variable = load("", &[("HUB_PERFORMERS", "Organization/lab-1, HealthcareService/x-ray")], &[]).unwrap();
    let flags = ["--performer", "Organization/lab-1", "--performer", "HealthcareService/x-ray"];
    assert_eq!(in_file.performers, expected);
    assert_eq!(by_variable.performers, expected);
    assert_eq!(load("", &[], &flags).unwrap().performers, expected);
}

#[test]
fn a_misspelt_field_is_named_with_its_source() {
    let text = faults("lisen = '127.0.0.1:1'\n[auth]\njwk = 'x'", &[], &["--set", "ofers=1"]);
    for (field, source) in [("lisen", ".toml"), ("auth.jwk", ".toml"), ("ofers", "--set ofers")] {
        let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{field} ("))).unwrap();
        assert!(line.contains(source) && line.contains("no such field") && line.contains("listen"), "{line}");
    }
}

#[test]
fn all_wrong_values_are_told_at_once() {
    let file = "require_actionable = 'yes'\nreferences = 'loose'\nbody_limit_bytes = 10\nnow = 'today'\n\
                receipts_kept = 'none'\nperformers = ['lab-1']\nplans = '/does/not/exist'\n[lease]\nLab = '30m'\nlaboratory = '30x'\n";
    let text = faults(file, &[("HUB_BASE", "fhir/"), ("HUB_LOG_LEVEL", "hub=loud")], &["--queue", "kafka://x"]);
    for (field, allowed) in [
        ("require_actionable", "true or false"),
        ("references", "lenient or strict"),
        ("body_limit_bytes", "a whole number from 1024 to 268435456"),
        ("now", "2026-01-31T08:00:00Z"),
        ("receipts_kept", "such as 7d"),
        ("performers", "Organization/lab-1"),
        ("plans", "a directory that exists"),
        ("lease.Lab", "a-z, 0-9"),
        ("lease.laboratory", "30m"),
        ("base (in the environment's HUB_BASE)", "/fhir/R4"),
        ("log_level (in the environment's HUB_LOG_LEVEL)", "hub=debug"),
        ("queue (by --queue)", "embedded, amqp://"),
    ] {
        let line = text.lines().find(|line| line.trim_start().starts_with(field));
        assert!(line.is_some_and(|line| line.contains(allowed)), "{field} in {text}");
    }
}

#[test]
fn listening_to_the_world_needs_authentication() {
    let text = faults("listen = '0.0.0.0:8080'", &[], &[]);
    assert!(text.contains("listen (in ") && text.contains("auth.jwks"), "{text}");
    assert!(load(&format!("listen = '0.0.0.0:8080'\n{AUTH}"), &[], &[]).is_ok());
    assert!(load("listen = '[::1]:8080'", &[], &[]).is_ok());
}

#[test]
fn half_an_authentication_is_none() {
    let text = faults("[auth]\nissuer = 'https://id.example'", &[], &[]);
    assert!(text.contains("auth.jwks (by default): it is missing") && text.contains("auth.audience"), "{text}");
    assert!(!text.contains("auth.issuer"), "{text}");
    let text = faults("[auth]\nclock_skew_s = 5", &[], &[]);
    assert!(text.contains("auth.issuer"), "{text}");
    let text = faults(&AUTH.replace("https://id.example/jwks", "http://id.example/jwks"), &[], &[]);
    assert!(text.contains("http:// on a loopback address only"), "{text}");
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let text = faults("page_entries_limit = 10\nrequest_timeout_ms = 1000\nbodies_limit_bytes = 5000", &[], &[]);
    for field in ["page_entries (", "search_timeout_ms (", "bodies_limit_bytes ("] {
        assert!(text.contains(field), "{text}");
    }
}

#[test]
fn a_file_that_is_none_is_named() {
    let text = faults("listen = '127.0.0.1:1'\ndatabase = postgres://u:secret@h/d\n", &[], &[]);
    assert!(text.contains(".toml is not TOML, line 2") && !text.contains("secret"), "{text}");
    let nowhere = Config::from_sources(&Flags::default(), [("HUB_CONFIG".to_owned(), "/nowhere.toml".to_owned())]);
    assert!(nowhere.unwrap_err().to_string().contains("/nowhere.toml cannot be read"));
}

#[test]
fn a_password_is_never_shown() {
    for url in [
        "postgres://hub:secret@db/hub",
        "postgres://hub:se?cret@db/hub",
        "postgres://hub:se/cr@secret@db/hub",
        "postgres://db/hub?user=hub&password=secret",
        "postgres://db/hub?password=a@secret",
    ] {
        let config = load("", &[("HUB_DATABASE", url)], &[]).unwrap();
        assert_eq!(config.database.reveal(), url);
        let shown = format!("{config:?} {}", config.database);
        assert!(!shown.contains("secret") && !shown.contains("cret"), "{shown}");
        let wrong = url.replace("postgres", "mysql");
        let text = faults("", &[("HUB_DATABASE", &wrong), ("HUB_QUEUE", &wrong), ("HUB_LISTEN", &wrong)], &[]);
        assert!(!text.contains("cret"), "{text}");
    }
    assert!(!format!("{:?}", flags(&["--database", "postgres://hub:secret@db/hub"])).contains("secret"));
    assert_eq!(Address::new("amqp://hub:secret@broker:5672/v").to_string(), "amqp://***@broker:5672/v");
}

#[test]
fn a_rehearsal_has_its_own_time() {
    let config = load("now = 2026-01-31T08:00:00Z", &[], &[]).unwrap();
    let an_hour_earlier = Timestamp(config.now.unwrap().0 - 3_600_000_000);
    assert_eq!(config.clock_offset_us(an_hour_earlier), 3_600_000_000);
    assert_eq!(load("", &[], &[]).unwrap().clock_offset_us(an_hour_earlier), 0);
}

#[test]
fn the_documentation_lists_every_field_with_its_default_and_no_other() {
    let page = include_str!("../../../docs/configuration.md");
    let mut given = Given::new(Sources::gather(&Flags::default(), []).unwrap_or_else(|error| panic!("{error}")));
    read(&mut given);
    let expected: Vec<_> = given
        .known
        .iter()
        .map(|known| match known.default.as_str() {
            "" => format!("| `{}` | |", known.field),
            default => format!("| `{}` | `{default}` |", known.field),
        })
        .collect();
    for row in &expected {
        assert!(page.lines().any(|line| line.starts_with(row.as_str())), "docs/configuration.md lacks the row {row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, expected.len(), "docs/configuration.md has a row for a field that there is not");
}
