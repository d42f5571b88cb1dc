//! What a value may be. Each function reads one text; its `Err` says what is allowed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hub_transport::Place;
use schemas::message::Payload;
use schemas::time::Timestamp;

type Read<T> = Result<T, &'static str>;

/// A URL that may hold a password. It is shown without.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// With the password: for whoever connects, never for a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", redacted(&self.0))
    }
}

/// A token. It is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For whoever it is shown to, never for a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The text without what may be secret in a URL: the user and the password, and all behind `?`.
///
/// Too much rather than too little: a password that was not escaped may hold any of these signs.
pub(super) fn redacted(text: &str) -> String {
    let (scheme, rest) = text.split_at(text.find("://").map_or(0, |at| at + "://".len()));
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    if query.contains('@') {
        return format!("{scheme}***");
    }
    let host = before.rsplit_once('@').map_or(before.to_owned(), |(_, host)| format!("***@{host}"));
    format!("{scheme}{host}{}", if query.is_empty() { "" } else { "?***" })
}

/// Whether what a resource refers to must exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum References {
    /// It may live elsewhere.
    Lenient,
    /// A relative reference must lead to a resource of this hub.
    Strict,
}

/// One value for each kind of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByWork<T> {
    otherwise: T,
    by_work: BTreeMap<String, T>,
}

/// How long a claim holds without a sign of life; `None`: until its owner ends it.
pub type Leases = ByWork<Option<Duration>>;

/// What the messages carry.
pub type Payloads = ByWork<Payload>;

impl<T: Copy> ByWork<T> {
    /// The table's `default` holds for what it does not name.
    pub fn new(mut table: BTreeMap<String, T>, otherwise: T) -> Self {
        Self { otherwise: table.remove("default").unwrap_or(otherwise), by_work: table }
    }

    /// The kinds of work that are named, and what holds for the others.
    pub fn into_parts(self) -> (BTreeMap<String, T>, T) {
        (self.by_work, self.otherwise)
    }

    pub fn of(&self, work: &str) -> T {
        self.by_work.get(work).copied().unwrap_or(self.otherwise)
    }
}

/// Where the issuer's public keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    File(PathBuf),
    Url(Address),
}

pub(super) fn yes_or_no(text: &str) -> Read<bool> {
    text.parse().map_err(|_| "true or false")
}

pub(super) fn socket(text: &str) -> Read<SocketAddr> {
    text.parse().map_err(|_| "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080")
}

pub(super) fn base(text: &str) -> Read<String> {
    let is_segment = |segment: &str| {
        !segment.is_empty() && segment.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    let segments = text.strip_prefix('/').filter(|rest| rest.split('/').all(is_segment));
    segments.map(|_| text.to_owned()).ok_or("a path such as /fhir/R4, without a slash at its end")
}

/// The base of a national service, or of another release of FHIR, or none.
pub(super) fn realm_base(text: &str) -> Read<Option<String>> {
    if text == "none" {
        return Ok(None);
    }
    base(text).map(Some).map_err(|_| "none, or a path such as /eps/FHIR/R4, without a slash at its end")
}

/// How the check character of a number is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckCharacter {
    /// A wrong one is refused.
    Strict,
    /// A wrong one is taken.
    Lenient,
}

pub(super) fn check_character(text: &str) -> Read<CheckCharacter> {
    match text {
        "strict" => Ok(CheckCharacter::Strict),
        "lenient" => Ok(CheckCharacter::Lenient),
        _ => Err("strict or lenient"),
    }
}

pub(super) fn database(text: &str) -> Read<Address> {
    let known = ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
    known.then(|| Address::new(text)).ok_or("sqlite:FILE, sqlite: (in memory) or postgres://USER:PASSWORD@HOST/NAME")
}

pub(super) fn queue(text: &str) -> Read<Address> {
    let known = text == "embedded" || text.starts_with("amqp://") || text.starts_with("amqps://");
    known.then(|| Address::new(text)).ok_or("embedded, amqp://USER:PASSWORD@HOST or amqps://USER:PASSWORD@HOST")
}

pub(super) fn collector(text: &str) -> Read<Address> {
    let known = text.starts_with("http://") || text.starts_with("https://");
    known.then(|| Address::new(text)).ok_or("http://HOST:PORT or https://HOST:PORT")
}

pub(super) fn references(text: &str) -> Read<References> {
    match text {
        "lenient" => Ok(References::Lenient),
        "strict" => Ok(References::Strict),
        _ => Err("lenient or strict"),
    }
}

pub(super) fn lease(text: &str) -> Read<Option<Duration>> {
    if text == "none" {
        return Ok(None);
    }
    time(text).map(Some).ok_or("none, or a whole number with s, m, h or d, such as 30m; from 1s to 366d")
}

pub(super) fn kept(text: &str) -> Read<Duration> {
    time(text).ok_or("a whole number with s, m, h or d, such as 7d; from 1s to 366d")
}

fn time(text: &str) -> Option<Duration> {
    let seconds_each = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    let count: u64 = text[..text.len() - 1].parse().ok()?;
    let seconds = count.checked_mul(seconds_each).filter(|seconds| (1..=366 * 24 * 60 * 60).contains(seconds));
    seconds.map(Duration::from_secs)
}

pub(super) fn payload(text: &str) -> Read<Payload> {
    match text {
        "full" => Ok(Payload::Full),
        "id-only" => Ok(Payload::IdOnly),
        _ => Err("full or id-only"),
    }
}

pub(super) fn kind_of_work(text: &str) -> Read<()> {
    Place::open(text).map(|_| ()).map_err(|_| "a kind of work (a-z, 0-9 and -), or default")
}

/// Who may own a Task, so that work can be directed to it.
pub(super) fn performer(text: &str) -> Read<String> {
    let types = ["Organization", "HealthcareService", "CareTeam", "Practitioner", "PractitionerRole", "Device"];
    let known = text.split_once('/').is_some_and(|(kind, id)| types.contains(&kind) && is_id(id));
    known.then(|| text.to_owned()).ok_or("a reference to who does the work, such as Organization/lab-1")
}

pub(super) fn organization(text: &str) -> Read<String> {
    is_organization(text).then(|| text.to_owned()).ok_or("a reference such as Organization/lab-1")
}

/// `Organization/<id>`, and nothing else.
pub(crate) fn is_organization(text: &str) -> bool {
    text.strip_prefix("Organization/").is_some_and(is_id)
}

/// FHIR's pattern of an id.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

pub(super) fn directory(text: &str) -> Read<PathBuf> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err("a directory that exists") }
}

pub(super) fn file(text: &str) -> Read<PathBuf> {
    let path = PathBuf::from(text);
    if path.is_file() { Ok(path) } else { Err("a file that exists") }
}

pub(super) fn instant(text: &str) -> Read<Timestamp> {
    let allowed = "an instant with its zone, such as 2026-01-31T08:00:00Z";
    let parsed = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
    let nanoseconds = parsed.map_err(|_| allowed)?.unix_timestamp_nanos();
    i64::try_from(nanoseconds / 1000).map(Timestamp).map_err(|_| allowed)
}

/// Whether a URL, without its scheme, leads to this machine.
fn is_loopback(url: &str) -> bool {
    let authority = url.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Plain HTTP would let whoever sits between choose the keys.
pub(super) fn key_source(text: &str) -> Read<KeySource> {
    match text.split_once("://") {
        None if text.is_empty() => Err("a file, or an https:// URL"),
        None => Ok(KeySource::File(text.into())),
        Some(("https", _)) => Ok(KeySource::Url(Address::new(text))),
        Some(("http", rest)) if is_loopback(rest) => Ok(KeySource::Url(Address::new(text))),
        Some(_) => Err("a file, or an https:// URL (http:// on a loopback address only)"),
    }
}

pub(super) fn name(text: &str) -> Read<String> {
    if text.is_empty() { Err("some text") } else { Ok(text.to_owned()) }
}

/// What is told there may be a patient's, and so is the token: nobody may listen on the way.
pub(super) fn callee(text: &str) -> Read<()> {
    match text.split_once("://") {
        Some(("https", rest)) if !rest.is_empty() => Ok(()),
        Some(("http", rest)) if is_loopback(rest) => Ok(()),
        _ => Err("the beginning of an https:// address (http:// on a loopback address only)"),
    }
}

pub(super) fn secret(text: &str) -> Read<Secret> {
    let is_token = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if is_token { Ok(Secret::new(text)) } else { Err("a token of printable characters, without spaces") }
}

pub(super) fn anything(_: &str) -> Read<()> {
    Ok(())
}

pub(super) fn log_format(text: &str) -> Read<hub_telemetry::Format> {
    text.parse().map_err(|_| "auto, text or json")
}

pub(super) fn log_level(text: &str) -> Read<String> {
    let allowed = "a level (error, warn, info, debug, trace), or directives such as hub=debug,info";
    if hub_telemetry::is_filter(text) { Ok(text.to_owned()) } else { Err(allowed) }
}
