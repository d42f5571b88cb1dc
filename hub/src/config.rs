//! What a site decides: one [`Config`], from a TOML file, the environment (`HUB_*`) and flags, the later winning.
//!
//! The hub refuses to start on nonsense. It names every field that is wrong, where the value came from and what is
//! allowed there, so that one look is enough to mend it. `docs/configuration.md` lists the fields; a test compares.
//!
//! To add a field: 1. a documented field here; 2. its line in [`read`], which gives its name, default and limits;
//! 3. its row in `docs/configuration.md`. File, environment and `--set` follow by themselves.

mod fault;
mod flags;
mod given;
mod setting;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemas::message::Payload;
use schemas::time::Timestamp;

pub use fault::{ConfigError, Fault, Source};
pub use flags::Flags;
use given::Given;
pub(crate) use setting::is_organization;
pub use setting::{Address, ByWork, CheckCharacter, KeySource, Leases, Payloads, References, Secret};
use sources::Sources;

/// So long the claim of a worker that died keeps others from the work.
const LEASE: Duration = Duration::from_secs(30 * 60);

/// All that a site decides. Printing it shows no password.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address and port of the REST interface; port 0 takes a free one. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Path under which FHIR is served, without a slash at its end. Default `/fhir/R4`.
    pub base: String,
    /// The registry: `sqlite:FILE`, `sqlite:` (in memory) or `postgres://...`. Default `sqlite:hub.db`.
    pub database: Address,
    /// The transport: `embedded` (in this process) or `amqp://...`, `amqps://...`. Default `embedded`.
    pub queue: Address,
    /// Whether an order starts only when it carries the `actionable` tag. Default `false`.
    pub require_actionable: bool,
    /// Whether what a resource refers to must exist here. Default `lenient`.
    pub references: References,
    /// Whether callers may create by an update, under an id of their own. Default `false`.
    pub update_create: bool,
    /// Whether an update without `If-Match` is refused. Default `false`.
    pub require_if_match: bool,
    /// Whether a request is completed when all its Tasks are. Default `true`.
    pub auto_complete_request: bool,
    /// How often an open step is offered, counting the first time, before a rejection or failure ends it; offers.
    /// Default 3.
    pub offers_max: u32,
    /// How long a claim over the queue holds without a sign of life, by kind of work; `none`: until its owner ends it.
    /// Claims over REST, which people make, have none. Default 30 minutes: workers renew theirs at half of it.
    pub lease: Leases,
    /// How much of a patient's data goes over the broker, by kind of work. Default `full`.
    pub payload: Payloads,
    /// How long a repeat with the same `Idempotency-Key` is answered as the first was. Default 7 days.
    pub receipts_kept: Duration,
    /// Performers with a queue of their own, as references. Default none.
    pub performers: Vec<String>,
    /// Directory with the site's own PlanDefinitions (JSON). Default none: the built-in plans only.
    pub plans: Option<PathBuf>,
    /// Who may be called back when an order ends: beginnings of addresses, each with the token to show there. Default
    /// none: nobody is called.
    pub callbacks: BTreeMap<String, Secret>,
    /// Path under which RequestOrchestrations are served in the shape of FHIR R5; `none`: they are not. Default
    /// `/fhir/R5`.
    pub r5_base: Option<String>,
    /// Path under which the NHS Electronic Prescription Service is served; `none`: it is not. Default `/eps/FHIR/R4`.
    pub eps_base: Option<String>,
    /// Path under which pharmacies push what they do (NHS Prescription Status Update); `none`: they do not. Default
    /// `/psu`.
    pub psu_base: Option<String>,
    /// Path under which gematik's E-Rezept is served; `none`: it is not. Default `/erp`.
    pub erp_base: Option<String>,
    /// Path under which the NHS e-Referral Service is served; `none`: it is not. Default `/ers`.
    pub ers_base: Option<String>,
    /// Whether a prescription's number must have the right check character. Default `strict`.
    pub eps_check_character: CheckCharacter,
    /// Certificates in PEM at which those of prescribers have to end; none: signatures are not verified. Default none.
    pub eps_signature_roots: Option<PathBuf>,
    /// Where the rehearsal clock starts. Default none: the clock of the database as it is.
    pub now: Option<Timestamp>,

    /// Largest request body in bytes; a larger one is answered 413. Default 5 MiB.
    pub body_limit_bytes: usize,
    /// Largest head of a request (line and headers) in bytes. Default 64 KiB.
    pub header_limit_bytes: usize,
    /// Most entries of a Bundle that is submitted. Default 500.
    pub bundle_entries_limit: usize,
    /// Entries of a page for which nobody asked a `_count`. Default 20.
    pub page_entries: u32,
    /// Most entries of a page, whatever `_count` asks. Default 200.
    pub page_entries_limit: u32,
    /// Most commands that one lane commits together. Default 128.
    pub batch_limit_commands: usize,
    /// Most lanes, each with one connection; a further one begins when enough commands wait. On SQLite, which has one
    /// writer, no more than two: one decides while the other is committed. Default 3.
    pub lanes: usize,
    /// Most commands that wait for a lane; further ones are answered 503. Default 4096.
    pub queue_limit_commands: usize,
    /// For how long a message in the outbox is left to the hub that took it, in milliseconds, before another hub sends
    /// it. Default 10000.
    pub outbox_lease_ms: u64,
    /// Most messages that may wait for the broker; while there are more, new orders are answered 503. Default 1000000.
    pub outbox_limit_messages: u64,
    /// Most requests under way; further ones are answered 503. Default 4096.
    pub requests_limit: usize,
    /// Most bytes of bodies of requests under way; further ones are answered 503. Default 256 MiB.
    pub bodies_limit_bytes: usize,
    /// How long a request may take, in milliseconds. Default 30000.
    pub request_timeout_ms: u64,
    /// How long a search may take, in milliseconds. Default 5000.
    pub search_timeout_ms: u64,
    /// Most rows that a search may look at. Default 100000.
    pub search_rows_limit: u32,
    /// How long work under way may go on after the first signal to stop, in milliseconds. Default 10000.
    pub drain_ms: u64,

    /// Who may call. Default none: every caller is the local user, and only a loopback address may be listened on.
    pub auth: Option<Auth>,
    /// Whom a user of the broker speaks for: user name to reference. Default none.
    pub amqp_users: BTreeMap<String, String>,

    /// How log lines look. Default `auto`: text at a terminal, else JSON.
    pub log_format: hub_telemetry::Format,
    /// Which log lines there are, as `tracing`'s directives. Default `info`.
    pub log_level: String,
    /// Collector of traces (OTLP over HTTP), without `/v1/traces`. Default none: `OTEL_EXPORTER_OTLP_ENDPOINT` counts.
    pub otlp_endpoint: Option<Address>,
}

/// Whose tokens are believed, and what they say.
#[derive(Debug, Clone)]
pub struct Auth {
    /// The issuer's public keys (JWKS): a file or an `https://` URL (`http://` on loopback only).
    pub jwks: KeySource,
    /// The `iss` that a token must carry.
    pub issuer: String,
    /// The `aud` that a token must carry, among others.
    pub audience: String,
    /// The claim with the caller's organisation, `Organization/<id>`. Default `organization`.
    pub organization_claim: String,
    /// The claim with the caller's roles (`placer`, `filler`, `operator`): a list, or words as in `scope`. Default `roles`.
    pub roles_claim: String,
    /// How much the issuer's clock may differ, in seconds. Default 60.
    pub clock_skew_s: u64,
}

impl Config {
    /// From the flags, this process's environment, and the file that either names.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Self::from_sources(flags, std::env::vars())
    }

    /// As [`Config::load`], with an environment of its own.
    pub fn from_sources(
        flags: &Flags,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut given = Given::new(Sources::gather(flags, environment)?);
        let config = read(&mut given);
        check(&config, &mut given);
        given.finish(config)
    }

    /// How the telemetry of a process called `service_name` is set up.
    pub fn telemetry(&self, service_name: &str) -> hub_telemetry::Options {
        hub_telemetry::Options {
            service_name: service_name.to_owned(),
            format: self.log_format,
            filter: self.log_level.clone(),
            otlp_endpoint: self.otlp_endpoint.as_ref().map(|address| address.reveal().to_owned()),
        }
    }

    /// How far the rehearsal clock is from `real`, in microseconds; 0 without one.
    pub fn clock_offset_us(&self, real: Timestamp) -> i64 {
        self.now.map_or(0, |rehearsed| rehearsed.0.saturating_sub(real.0))
    }

    /// The paths under which something is served.
    pub fn bases(&self) -> impl Iterator<Item = &str> {
        let others = [&self.r5_base, &self.eps_base, &self.psu_base, &self.erp_base, &self.ers_base];
        std::iter::once(&self.base).chain(others.into_iter().flatten()).map(String::as_str)
    }

    pub fn outbox_lease(&self) -> Duration {
        Duration::from_millis(self.outbox_lease_ms)
    }

    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub fn search_timeout(&self) -> Duration {
        Duration::from_millis(self.search_timeout_ms)
    }

    pub fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}

/// Every field by its name, with its default and its limits.
fn read(given: &mut Given) -> Config {
    Config {
        listen: given.field("listen", "127.0.0.1:8080", setting::socket),
        base: given.field("base", "/fhir/R4", setting::base),
        database: given.field("database", "sqlite:hub.db", setting::database),
        queue: given.field("queue", "embedded", setting::queue),
        require_actionable: given.field("require_actionable", "false", setting::yes_or_no),
        references: given.field("references", "lenient", setting::references),
        update_create: given.field("update_create", "false", setting::yes_or_no),
        require_if_match: given.field("require_if_match", "false", setting::yes_or_no),
        auto_complete_request: given.field("auto_complete_request", "true", setting::yes_or_no),
        offers_max: given.number("offers_max", 3, 1..=100),
        lease: Leases::new(given.table("lease", setting::kind_of_work, setting::lease), Some(LEASE)),
        payload: Payloads::new(given.table("payload", setting::kind_of_work, setting::payload), Payload::Full),
        receipts_kept: given.field("receipts_kept", "7d", setting::kept),
        performers: given.list("performers", setting::performer),
        plans: given.optional("plans", setting::directory),
        callbacks: given.table("callbacks", setting::callee, setting::secret),
        r5_base: given.field("r5_base", "/fhir/R5", setting::realm_base),
        eps_base: given.field("eps_base", "/eps/FHIR/R4", setting::realm_base),
        psu_base: given.field("psu_base", "/psu", setting::realm_base),
        erp_base: given.field("erp_base", "/erp", setting::realm_base),
        ers_base: given.field("ers_base", "/ers", setting::realm_base),
        eps_check_character: given.field("eps_check_character", "strict", setting::check_character),
        eps_signature_roots: given.optional("eps_signature_roots", setting::file),
        now: given.optional("now", setting::instant),
        body_limit_bytes: given.number("body_limit_bytes", 5 << 20, 1 << 10..=256 << 20),
        // hyper cannot do with less than 8 KiB.
        header_limit_bytes: given.number("header_limit_bytes", 64 << 10, 8 << 10..=1 << 20),
        bundle_entries_limit: given.number("bundle_entries_limit", 500, 1..=10_000),
        page_entries: given.number("page_entries", 20, 1..=10_000),
        page_entries_limit: given.number("page_entries_limit", 200, 1..=10_000),
        batch_limit_commands: given.number("batch_limit_commands", 128, 1..=10_000),
        lanes: given.number("lanes", 3, 1..=256),
        queue_limit_commands: given.number("queue_limit_commands", 4096, 1..=1_000_000),
        outbox_lease_ms: given.number("outbox_lease_ms", 10_000, 100..=600_000),
        outbox_limit_messages: given.number("outbox_limit_messages", 1_000_000, 1..=1_000_000_000),
        requests_limit: given.number("requests_limit", 4096, 1..=1_000_000),
        bodies_limit_bytes: given.number("bodies_limit_bytes", 256 << 20, 1 << 10..=64 << 30),
        request_timeout_ms: given.number("request_timeout_ms", 30_000, 100..=600_000),
        search_timeout_ms: given.number("search_timeout_ms", 5_000, 10..=600_000),
        search_rows_limit: given.number("search_rows_limit", 100_000, 100..=100_000_000),
        drain_ms: given.number("drain_ms", 10_000, 0..=600_000),
        auth: read_auth(given),
        amqp_users: given.table("amqp_users", setting::anything, setting::organization),
        log_format: given.field("log_format", "auto", setting::log_format),
        log_level: given.field("log_level", "info", setting::log_level),
        otlp_endpoint: given.optional("otlp_endpoint", setting::collector),
    }
}

/// Nobody means to have half of it: one field of `auth` needs the three that have no default.
fn read_auth(given: &mut Given) -> Option<Auth> {
    let jwks = given.optional("auth.jwks", setting::key_source);
    let issuer = given.optional("auth.issuer", setting::name);
    let audience = given.optional("auth.audience", setting::name);
    let organization_claim = given.field("auth.organization_claim", "organization", setting::name);
    let roles_claim = given.field("auth.roles_claim", "roles", setting::name);
    let clock_skew_s = given.number("auth.clock_skew_s", 60, 0..=600);
    let (Some(jwks), Some(issuer), Some(audience)) = (jwks, issuer, audience) else {
        if given.has_any("auth.") {
            ["auth.jwks", "auth.issuer", "auth.audience"].into_iter().for_each(|field| given.require(field));
        }
        return None;
    };
    Some(Auth { jwks, issuer, audience, organization_claim, roles_claim, clock_skew_s })
}

/// What is wrong only when one looks at two fields.
fn check(config: &Config, given: &mut Given) {
    if config.auth.is_none() && !config.listen.ip().is_loopback() {
        let text =
            format!("{} can be reached from elsewhere, and auth.jwks is not set: anybody could call", config.listen);
        given.fault(
            "listen",
            text,
            "a loopback address such as 127.0.0.1:8080, or any address together with auth.jwks",
        );
    }
    let services = [
        ("r5_base", config.r5_base.as_ref()),
        ("eps_base", config.eps_base.as_ref()),
        ("psu_base", config.psu_base.as_ref()),
        ("erp_base", config.erp_base.as_ref()),
        ("ers_base", config.ers_base.as_ref()),
    ];
    for (n, (field, path)) in services.iter().enumerate() {
        let others = services[..n].iter().filter_map(|(_, other)| *other).chain([&config.base]);
        for other in others.filter(|other| path.is_some_and(|path| overlap(path, other))) {
            let text = format!("{} and {other} are one below the other", path.map_or("", String::as_str));
            given.fault(field, text, "a path of its own");
        }
    }
    if config.page_entries > config.page_entries_limit {
        let text = format!("{} is more than page_entries_limit, {}", config.page_entries, config.page_entries_limit);
        given.fault("page_entries", text, "at most page_entries_limit");
    }
    if config.bodies_limit_bytes < config.body_limit_bytes {
        let text = format!("{} is less than body_limit_bytes, {}", config.bodies_limit_bytes, config.body_limit_bytes);
        given.fault("bodies_limit_bytes", text, "at least body_limit_bytes");
    }
    if config.search_timeout_ms > config.request_timeout_ms {
        let text =
            format!("{} is more than request_timeout_ms, {}", config.search_timeout_ms, config.request_timeout_ms);
        given.fault("search_timeout_ms", text, "at most request_timeout_ms");
    }
}

/// Whether one path is the other, or below it.
fn overlap(one: &str, other: &str) -> bool {
    let below = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below(one, other) || below(other, one)
}
