//! Bundles: a transaction or batch that comes in, and the pages that go out.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hub_domain::command::{Act, Caller, Entry, Repeat, Role};
use hub_domain::decision::ReplyEntry;
use hub_domain::registry::{Method, Stored};
use schemas::outcome::{Issue, IssueType, operation_outcome};
use schemas::resource::{Body as Resource, Kind, list};
use schemas::time::Timestamp;
use serde_json::{Value, json};

use super::answer::{self, No};
use super::content::{self, RESOURCE_TYPES};
use super::look::Look;
use super::write::{demand_role, execute, status_of};
use crate::service::Service;

pub(super) async fn submit(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    demand_role(&caller, Role::Placer)?;
    content::demand_type(&headers, &RESOURCE_TYPES)?;
    let bytes = content::bytes(&service, body).await?;
    let repeat = content::repeat(&headers, caller.name(), "transaction", &bytes)?;
    let bundle = content::resource(&bytes, "Bundle")?;
    let kind = bundle.get("type").and_then(Value::as_str).unwrap_or_default();
    if !matches!(kind, "transaction" | "batch") {
        let text = "this base takes a Bundle of type transaction or batch";
        return Err(unprocessable(vec![Issue::error(IssueType::NotSupported, "Bundle.type", text)]));
    }
    let entries = entries(&service, &bundle)?;
    match kind {
        "transaction" => transaction(&service, caller, repeat, entries, &headers).await,
        _ => Ok(batch(&service, &caller, repeat.as_ref(), entries, &headers).await),
    }
}

fn unprocessable(issues: Vec<Issue>) -> No {
    No(StatusCode::UNPROCESSABLE_ENTITY, issues)
}

/// What the entries want to create. Every fault of every entry is told.
fn entries(service: &Service, bundle: &Resource) -> Result<Vec<Entry>, No> {
    let limit = service.config.bundle_entries_limit;
    let all: Vec<&Value> = list(bundle, "entry").collect();
    if all.is_empty() {
        let text = "a Bundle without entries asks for nothing";
        return Err(unprocessable(vec![Issue::error(IssueType::Required, "Bundle.entry", text)]));
    }
    if all.len() > limit {
        let text = format!("a Bundle has 1 to {limit} entries (bundle_entries_limit)");
        return Err(unprocessable(vec![Issue::error(IssueType::TooLong, "Bundle.entry", text)]));
    }
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    for (i, value) in all.into_iter().enumerate() {
        match entry(value, &format!("Bundle.entry[{i}]")) {
            Ok(entry) => entries.push(entry),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(entries) } else { Err(unprocessable(faults)) }
}

fn entry(value: &Value, path: &str) -> Result<Entry, Issue> {
    let fault = |at: &str, text: &str| Issue::error(IssueType::NotSupported, format!("{path}{at}"), text);
    let request = &value["request"];
    if request["method"] != "POST" {
        return Err(fault(".request.method", "a Bundle may POST here; send other interactions one by one"));
    }
    let Some(body) = value["resource"].as_object() else {
        return Err(Issue::error(IssueType::Required, format!("{path}.resource"), "a POST has a resource"));
    };
    let name = body.get("resourceType").and_then(Value::as_str).unwrap_or_default();
    let url = request["url"].as_str().unwrap_or_default();
    let Some(kind) = Kind::parse(name) else {
        return Err(fault(".resource", "this type is not kept by this hub; /metadata lists what is"));
    };
    if url.trim_matches('/') != name {
        return Err(Issue::error(IssueType::Invalid, format!("{path}.request.url"), "the url is the resource's type"));
    }
    let condition = request["ifNoneExist"].as_str();
    let at = format!("{path}.request.ifNoneExist");
    let if_none_exist = content::if_none_exist(kind, condition, &at)
        .map_err(|no| no.1.into_iter().next().unwrap_or_else(|| fault(".request.ifNoneExist", "not understood")))?;
    let full_url = value["fullUrl"].as_str().map(str::to_owned);
    Ok(Entry { kind, body: body.clone(), full_url, if_none_exist, path: format!("{path}.resource") })
}

async fn transaction(
    service: &Service,
    caller: Caller,
    repeat: Option<Repeat>,
    entries: Vec<Entry>,
    headers: &HeaderMap,
) -> Result<Response, No> {
    let done = execute(service, caller, repeat, Act::Submit(entries)).await?;
    let base = content::base_url(service, headers);
    let entries: Vec<Value> = done.reply.entries.iter().map(|entry| entry_response(&base, entry)).collect();
    let bundle = json!({ "resourceType": "Bundle", "type": "transaction-response", "entry": entries });
    Ok(answer::json(StatusCode::OK, &bundle))
}

/// Each entry for itself: one that is refused leaves its neighbours alone.
async fn batch(
    service: &Service,
    caller: &Caller,
    repeat: Option<&Repeat>,
    entries: Vec<Entry>,
    headers: &HeaderMap,
) -> Response {
    let base = content::base_url(service, headers);
    let run = entries.into_iter().enumerate().map(|(n, entry)| {
        let repeat = repeat.map(|r| Repeat { key: format!("{} entry {n}", r.key), ..r.clone() });
        execute(service, caller.clone(), repeat, Act::Submit(vec![entry]))
    });
    let results = futures_util::future::join_all(run).await;
    let respond = |result: Result<crate::engine::Done, No>| match result {
        Ok(done) => done.reply.entries.first().map_or_else(|| json!({}), |entry| entry_response(&base, entry)),
        Err(No(status, issues)) => json!({
            "response": { "status": status.to_string(), "outcome": operation_outcome(&issues) }
        }),
    };
    let entries: Vec<Value> = results.into_iter().map(respond).collect();
    let bundle = json!({ "resourceType": "Bundle", "type": "batch-response", "entry": entries });
    answer::json(StatusCode::OK, &bundle).into_response()
}

fn entry_response(base: &str, entry: &ReplyEntry) -> Value {
    let mut response = json!({
        "status": status_of(entry.outcome).to_string(),
        "location": format!("{base}/{}/_history/{}", entry.reference, entry.version),
        "etag": format!("W/\"{}\"", entry.version),
        "lastModified": Timestamp(entry.last_updated).to_string(),
    });
    if let Some(task) = &entry.fulfilment {
        let text = format!("followed by {base}/{task}");
        response["outcome"] = operation_outcome(&[Issue::information(text)]);
    }
    json!({ "response": response })
}

/// Writes a Bundle around bodies that are JSON text already.
pub(super) struct Writer {
    head: Value,
    links: Vec<Value>,
    entries: Vec<u8>,
}

impl Writer {
    pub(super) fn new(kind: &str) -> Self {
        let head = json!({ "resourceType": "Bundle", "type": kind });
        Self { head, links: Vec::new(), entries: Vec::new() }
    }

    pub(super) fn link(&mut self, relation: &str, url: &str) {
        self.links.push(json!({ "relation": relation, "url": url }));
    }

    pub(super) fn total(&mut self, total: u64) {
        self.head["total"] = total.into();
    }

    /// By a search, as a match or with one.
    pub(super) fn found(&mut self, base: &str, stored: &Stored, mode: &str, look: &Look) {
        let body = look.shown(&stored.body);
        self.entry(&format!("{base}/{}", stored.key), Some(&body), &json!({ "search": { "mode": mode } }));
    }

    pub(super) fn outcome(&mut self, outcome: &Value) {
        let body = outcome.to_string().into_bytes();
        self.entry("", Some(&body), &json!({ "search": { "mode": "outcome" } }));
    }

    /// A history entry tells how the version came to be.
    pub(super) fn history(&mut self, base: &str, stored: &Stored, look: &Look) {
        let url = match stored.method {
            Method::Create => stored.key.kind.to_string(),
            Method::Update | Method::Delete => stored.key.to_string(),
        };
        let status = match stored.method {
            Method::Create => "201 Created",
            Method::Update => "200 OK",
            Method::Delete => "204 No Content",
        };
        let rest = json!({
            "request": { "method": stored.method.http(), "url": url },
            "response": {
                "status": status,
                "etag": format!("W/\"{}\"", stored.version),
                "lastModified": stored.last_updated.to_string(),
            },
        });
        let body = (stored.method != Method::Delete).then(|| look.shown(&stored.body));
        self.entry(&format!("{base}/{}", stored.key), body.as_deref(), &rest);
    }

    fn entry(&mut self, full_url: &str, body: Option<&[u8]>, rest: &Value) {
        if !self.entries.is_empty() {
            self.entries.push(b',');
        }
        self.entries.push(b'{');
        if !full_url.is_empty() {
            self.entries.extend_from_slice(format!("\"fullUrl\":{},", Value::from(full_url)).as_bytes());
        }
        if let Some(body) = body {
            self.entries.extend_from_slice(b"\"resource\":");
            self.entries.extend_from_slice(body);
            self.entries.push(b',');
        }
        // `rest` is an object with at least one member: its braces close this entry.
        self.entries.extend_from_slice(&rest.to_string().as_bytes()[1..]);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if !self.links.is_empty() {
            self.head["link"] = Value::Array(self.links);
        }
        let mut out = self.head.to_string().into_bytes();
        if !self.entries.is_empty() {
            out.pop();
            out.extend_from_slice(b",\"entry\":[");
            out.extend_from_slice(&self.entries);
            out.extend_from_slice(b"]}");
        }
        out
    }
}
