//! An entry of a transaction or a batch: what it asks for.

use axum::http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hub_domain::command::{Caller, Condition, Entry, Interaction, On, Patch, Role};
use hub_domain::decide::is_conditional;
use schemas::gate;
use schemas::ids::{Target, is_id};
use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body, Key, Kind, text_at};
use schemas::time::Timestamp;
use serde_json::Value;

use super::super::answer::No;
use super::super::content::{JSON_PATCH, MERGE_PATCH};
use super::condition;
use super::{check_id, demand_role, fhirpath_patch, json_patch, merge_patch};
use crate::service::Service;

/// What an entry asks for.
pub(super) enum Asked {
    Change(Box<Entry>),
    Read(Reading),
}

/// A GET or HEAD: answered as if it came by itself.
pub(super) struct Reading {
    pub(super) method: Method,
    /// Below the base, with its leading `/`.
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    /// The resource that it reads. It must be there when all else is done.
    pub(super) key: Option<Key>,
    pub(super) path: String,
}

/// Who sent the Bundle, and to where.
pub(super) struct Sender<'a> {
    pub(super) service: &'a Service,
    pub(super) caller: &'a Caller,
    /// As the sender sees it.
    pub(super) base: &'a str,
}

/// Which resources a `request.url` is about.
enum Place<'u> {
    Type(Kind),
    Instance(Key),
    Found(Kind, &'u str),
}

/// The conditions of `Bundle.entry.request`, and the methods that they go with.
const CONDITIONS: [(&str, &[&str]); 4] = [
    ("ifMatch", &["PUT", "PATCH", "DELETE"]),
    ("ifNoneExist", &["POST"]),
    ("ifNoneMatch", &["GET", "HEAD"]),
    ("ifModifiedSince", &["GET", "HEAD"]),
];

impl Sender<'_> {
    pub(super) fn read(&self, value: &Value, path: String) -> Result<Asked, No> {
        let request = &value["request"];
        let method = request["method"].as_str().unwrap_or_default();
        let misplaced =
            CONDITIONS.iter().find(|(name, methods)| !request[*name].is_null() && !methods.contains(&method));
        if let Some((name, methods)) = misplaced {
            let text = format!("{name} goes with {}", methods.join(", "));
            return Err(fault(IssueType::NotSupported, format!("{path}.request.{name}"), text));
        }
        let url = self.below_base(request["url"].as_str().unwrap_or_default());
        if matches!(method, "GET" | "HEAD") {
            return look(request, method, url, path).map(Asked::Read);
        }
        if method == "DELETE" {
            demand_role(self.caller, Role::Placer).map_err(|no| placed(no, &path, "request.method"))?;
        }
        let interaction = match (method, place(url, &path)?) {
            ("POST", Place::Type(kind)) => self.create(value, kind, &path)?,
            ("POST", _) => return Err(wrong_url(&path, "a POST has the resource's type as its url")),
            (_, Place::Type(_)) => return Err(wrong_url(&path, "this wants Type/id, or Type? and a condition")),
            ("PUT", place) => {
                let on = self.on(place, &path)?;
                let body = resource(value, &path, on.kind().name())?.clone();
                let unfit = |issue| No(StatusCode::UNPROCESSABLE_ENTITY, vec![issue]);
                check_id(&on, &body, &path).map_err(unfit)?;
                Interaction::Update { on, body: body.into(), if_match: if_match(request, &path)? }
            }
            ("PATCH", place) => {
                let (on, if_match) = (self.on(place, &path)?, if_match(request, &path)?);
                Interaction::Patch { on, patch: patch(value, &path)?, if_match }
            }
            ("DELETE", place) => {
                Interaction::Delete { on: self.on(place, &path)?, if_match: if_match(request, &path)? }
            }
            _ => {
                let text = "an entry may GET, HEAD, POST, PUT, PATCH and DELETE";
                return Err(fault(IssueType::NotSupported, format!("{path}.request.method"), text));
            }
        };
        let full_url = value["fullUrl"].as_str().map(str::to_owned);
        Ok(Asked::Change(Box::new(Entry { interaction, links: Vec::new(), full_url, path })))
    }

    /// A url may be relative, as most are, or name this base.
    fn below_base<'u>(&self, url: &'u str) -> &'u str {
        url.strip_prefix(self.base).unwrap_or(url).trim_matches('/')
    }

    fn on(&self, place: Place, path: &str) -> Result<On, No> {
        match place {
            Place::Instance(key) => Ok(On::Key(key)),
            Place::Found(kind, query) => self.condition(kind, query, path, "request.url").map(On::The),
            Place::Type(_) => Err(wrong_url(path, "this wants Type/id, or Type? and a condition")),
        }
    }

    fn condition(&self, kind: Kind, query: &str, path: &str, at: &str) -> Result<Condition, No> {
        condition::read(self.service, self.base, kind, query).map_err(|no| placed(no, path, at))
    }

    fn create(&self, value: &Value, kind: Kind, path: &str) -> Result<Interaction, No> {
        let body = value["resource"].as_object();
        if body.is_some_and(|body| text_at(body, &["resourceType"]) != Some(kind.name())) {
            return Err(wrong_url(path, "the url is the resource's type"));
        }
        let body = resource(value, path, kind.name())?.clone();
        let unless = value["request"]["ifNoneExist"].as_str();
        let unless = unless.map(|query| self.condition(kind, query, path, "request.ifNoneExist")).transpose()?;
        Ok(Interaction::Create { kind, body: body.into(), unless })
    }

    /// The conditional references of what an entry brings, each with its condition.
    pub(super) fn link(&self, entry: &mut Entry) -> Result<(), No> {
        let (Interaction::Create { body, .. } | Interaction::Update { body, .. }) = &entry.interaction else {
            return Ok(());
        };
        let mut links: Vec<(String, String)> = Vec::new();
        gate::references(body, &mut |at, reference| {
            let text = text_at(reference, &["reference"]).unwrap_or_default();
            if is_conditional(text) && !links.iter().any(|(link, _)| link == text) {
                links.push((text.to_owned(), format!("{at}.reference")));
            }
        });
        for (link, at) in links {
            let Some((kind, query)) = link.split_once('?') else { continue };
            let Some(kind) = Kind::parse(kind) else { continue };
            let condition = condition::read(self.service, self.base, kind, query);
            let condition = condition.map_err(|no| No(no.0, told(no.1, &entry.place(&at))))?;
            entry.links.push((link, condition));
        }
        Ok(())
    }
}

fn fault(code: IssueType, path: String, text: impl Into<String>) -> No {
    No(StatusCode::UNPROCESSABLE_ENTITY, vec![Issue::error(code, path, text)])
}

fn wrong_url(path: &str, text: &str) -> No {
    fault(IssueType::Invalid, format!("{path}.request.url"), text)
}

/// A refusal of a part of the entry, with that part as its place.
fn placed(no: No, path: &str, part: &str) -> No {
    No(no.0, told(no.1, &format!("{path}.{part}")))
}

fn told(issues: Vec<Issue>, path: &str) -> Vec<Issue> {
    let told = |issue: Issue| {
        let text = if issue.path.is_empty() { issue.text } else { format!("{}: {}", issue.path, issue.text) };
        Issue { path: path.to_owned(), text, ..issue }
    };
    issues.into_iter().map(told).collect()
}

fn place<'u>(url: &'u str, path: &str) -> Result<Place<'u>, No> {
    let (target, query) = url.split_once('?').map_or((url, None), |(target, query)| (target, Some(query)));
    let kind = |name: &str| {
        Kind::parse(name).ok_or_else(|| {
            let text = "this is no type that is kept by this hub; /metadata lists what is";
            fault(IssueType::NotSupported, format!("{path}.request.url"), text)
        })
    };
    match (target.trim_end_matches('/').split_once('/'), query) {
        (None, None) => Ok(Place::Type(kind(target)?)),
        (None, Some(query)) => Ok(Place::Found(kind(target)?, query)),
        (Some((name, id)), None) if is_id(id) => Ok(Place::Instance(Key::new(kind(name)?, id))),
        _ => Err(wrong_url(path, "a url is Type, Type/id, or Type? and a condition")),
    }
}

fn resource<'v>(value: &'v Value, path: &str, kind: &str) -> Result<&'v Body, No> {
    let missing =
        || fault(IssueType::Required, format!("{path}.resource"), format!("this interaction has a resource: {kind}"));
    let body = value["resource"].as_object().ok_or_else(missing)?;
    if text_at(body, &["resourceType"]) != Some(kind) {
        return Err(fault(IssueType::Invalid, format!("{path}.resource"), format!("the url asks for {kind}")));
    }
    Ok(body)
}

fn if_match(request: &Value, path: &str) -> Result<Option<u32>, No> {
    let Some(tag) = request["ifMatch"].as_str() else { return Ok(None) };
    let text = "ifMatch is the ETag of a version, for example W/\"3\"";
    let unread = || fault(IssueType::Value, format!("{path}.request.ifMatch"), text);
    super::super::content::version_of(tag).map(Some).ok_or_else(unread)
}

/// A FHIRPath Patch is a Parameters resource, a JSON or Merge Patch the content of a Binary.
fn patch(value: &Value, path: &str) -> Result<Patch, No> {
    let at = format!("{path}.resource");
    let body = value["resource"].as_object();
    match body.and_then(|body| text_at(body, &["resourceType"])) {
        Some("Parameters") => {
            let place = |issue: Issue| {
                let inside = issue.path.split_once('.').map_or(String::new(), |(_, rest)| format!(".{rest}"));
                Issue { path: format!("{at}{inside}"), ..issue }
            };
            let read = fhirpath_patch(body.unwrap_or(&Body::new()));
            read.map_err(|no| No(no.0, no.1.into_iter().map(place).collect()))
        }
        Some("Binary") if [JSON_PATCH, MERGE_PATCH].iter().any(|kind| value["resource"]["contentType"] == *kind) => {
            let data = value["resource"]["data"].as_str().unwrap_or_default();
            let data: String = data.split_ascii_whitespace().collect();
            let unread = || fault(IssueType::Value, format!("{at}.data"), "the patch in base64");
            let bytes = STANDARD.decode(data).map_err(|_| unread())?;
            let patch = match value["resource"]["contentType"] == JSON_PATCH {
                true => json_patch(&bytes),
                false => merge_patch(&bytes).and_then(|patch| patch.ok_or_else(unread)),
            };
            patch.map_err(|no| placed(no, path, "resource.data"))
        }
        _ => {
            let text = "a PATCH has a Parameters resource (FHIRPath Patch), or a Binary of contentType \
                        application/json-patch+json or application/merge-patch+json";
            Err(fault(IssueType::NotSupported, at, text))
        }
    }
}

fn look(request: &Value, method: &str, url: &str, path: String) -> Result<Reading, No> {
    let key = match Target::parse(url) {
        Target::Relative { kind, id, version: None } => Kind::parse(kind).map(|kind| Key::new(kind, id)),
        _ => None,
    };
    let mut headers = HeaderMap::new();
    let mut put = |name: HeaderName, element: &str, value: Option<String>| match value.map(HeaderValue::try_from) {
        Some(Ok(value)) => {
            headers.insert(name, value);
            Ok(())
        }
        _ if request[element].is_null() => Ok(()),
        _ => Err(fault(IssueType::Value, format!("{path}.request.{element}"), "this cannot be read")),
    };
    put(IF_NONE_MATCH, "ifNoneMatch", request["ifNoneMatch"].as_str().map(str::to_owned))?;
    let since = request["ifModifiedSince"].as_str().and_then(Timestamp::range);
    put(IF_MODIFIED_SINCE, "ifModifiedSince", since.map(|(since, _)| since.http_date()))?;
    let method = if method == "HEAD" { Method::HEAD } else { Method::GET };
    Ok(Reading { method, url: format!("/{url}"), headers, key, path })
}
