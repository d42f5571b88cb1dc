//! Bundles that come in: a transaction, all or nothing, or a batch, each entry for itself.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ETAG, HOST};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use hub_domain::command::{Act, Caller, Entry, Interaction, Repeat};
use hub_domain::decision::{EntryOutcome, ReplyEntry};
use schemas::gate;
use schemas::outcome::{Issue, IssueType, operation_outcome};
use schemas::resource::{Body as Resource, list};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::super::answer::{self, No};
use super::super::content::{self, RESOURCE_TYPES, Return};
use super::entry::{Asked, Reading, Sender};
use super::{body_of, execute, status_of};
use crate::engine::Done;
use crate::service::Service;

pub(in crate::interfaces::fhir) async fn submit(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    content::demand_type(&headers, &RESOURCE_TYPES)?;
    let bytes = content::bytes(&service, body).await?;
    let repeat = content::repeat(&headers, caller.name(), "transaction", &bytes)?;
    let bundle = gate::parse(&bytes, &gate::Limits::default()).map_err(No::bad_request)?;
    let faults = gate::check(&bundle, Some("Bundle")).err().unwrap_or_default();
    let base = content::base_url(&service, &headers);
    let course = Course { service: &service, caller, repeat, base, headers: &headers };
    let kind = bundle.get("type").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "transaction" if faults.is_empty() => course.transaction(&bundle).await,
        "batch" => course.batch(&bundle, faults).await,
        _ if !faults.is_empty() => Err(unprocessable(faults)),
        _ => {
            let text = "this base takes a Bundle of type transaction or batch";
            Err(unprocessable(vec![Issue::error(IssueType::NotSupported, "Bundle.type", text)]))
        }
    }
}

fn unprocessable(issues: Vec<Issue>) -> No {
    No(StatusCode::UNPROCESSABLE_ENTITY, issues)
}

/// Every fault of every entry, under the status that all have, or as one that cannot be processed.
fn all_of(faults: Vec<No>) -> No {
    let status = match faults.as_slice() {
        [first, rest @ ..] if rest.iter().all(|no| no.0 == first.0) => first.0,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    No(status, faults.into_iter().flat_map(|no| no.1).collect())
}

struct Course<'a> {
    service: &'a Arc<Service>,
    caller: Caller,
    repeat: Option<Repeat>,
    base: String,
    headers: &'a HeaderMap,
}

impl Course<'_> {
    /// What each entry asks for.
    fn read(&self, bundle: &Resource) -> Result<Vec<Result<Asked, No>>, No> {
        let limit = self.service.config.bundle_entries_limit;
        let all: Vec<&Value> = list(bundle, "entry").collect();
        if all.is_empty() {
            let text = "a Bundle without entries asks for nothing";
            return Err(unprocessable(vec![Issue::error(IssueType::Required, "Bundle.entry", text)]));
        }
        if all.len() > limit {
            let text = format!("a Bundle has 1 to {limit} entries (bundle_entries_limit)");
            return Err(unprocessable(vec![Issue::error(IssueType::TooLong, "Bundle.entry", text)]));
        }
        let sender = self.sender();
        Ok(all.into_iter().enumerate().map(|(n, value)| sender.read(value, path(n))).collect())
    }

    fn sender(&self) -> Sender<'_> {
        Sender { service: self.service, caller: &self.caller, base: &self.base }
    }

    async fn transaction(&self, bundle: &Resource) -> Result<Response, No> {
        let (mut entries, mut looks, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        for (n, asked) in self.read(bundle)?.into_iter().enumerate() {
            match asked {
                Ok(Asked::Change(mut entry)) => match self.sender().link(&mut entry) {
                    Ok(()) => entries.push(*entry),
                    Err(no) => faults.push(no),
                },
                Ok(Asked::Read(look)) => {
                    entries.extend(look.key.clone().map(|key| self.kept(key, &look)));
                    looks.push((n, look));
                }
                Err(no) => faults.push(no),
            }
        }
        for (_, look) in looks.iter().filter(|(_, look)| look.key.is_none()) {
            faults.extend(self.in_vain(look).await);
        }
        if !faults.is_empty() {
            return Err(all_of(faults));
        }
        let done = execute(self.service, self.caller.clone(), self.repeat.clone(), Act::Change(entries)).await?;
        let answers = self.answers(bundle, &done, &looks).await?;
        let bundle = json!({ "resourceType": "Bundle", "type": "transaction-response", "entry": answers });
        Ok(answer::json(StatusCode::OK, &bundle))
    }

    fn kept(&self, key: schemas::resource::Key, look: &Reading) -> Entry {
        Entry { path: look.path.clone(), ..Entry::new(Interaction::Read { key }) }
    }

    /// In the order asked.
    async fn answers(&self, bundle: &Resource, done: &Done, looks: &[(usize, Reading)]) -> Result<Vec<Value>, No> {
        let mut answers = Vec::new();
        let (mut replies, mut looks) = (done.reply.entries.iter(), looks.iter().peekable());
        for n in 0..list(bundle, "entry").count() {
            match looks.next_if(|(place, _)| *place == n) {
                Some((_, look)) => {
                    if look.key.is_some() {
                        replies.next();
                    }
                    answers.push(self.look(look).await.1);
                }
                None => {
                    if let Some(reply) = replies.next() {
                        answers.push(self.answer(done, reply).await?);
                    }
                }
            }
        }
        Ok(answers)
    }

    async fn answer(&self, done: &Done, reply: &ReplyEntry) -> Result<Value, No> {
        let mut entry = entry_response(&self.base, reply);
        let is_there = !matches!(reply.outcome, EntryOutcome::Deleted | EntryOutcome::Absent);
        if is_there && content::preferred_return(self.headers) == Some(Return::Representation) {
            let body = body_of(self.service, done, reply).await?;
            entry["resource"] = serde_json::from_slice(&body).unwrap_or_default();
        }
        Ok(entry)
    }

    /// Each entry for itself: one that is refused leaves its neighbours alone.
    async fn batch(&self, bundle: &Resource, faults: Vec<Issue>) -> Result<Response, No> {
        let count = list(bundle, "entry").count();
        let mut of_entries: Vec<Vec<Issue>> = vec![Vec::new(); count];
        let mut of_bundle = Vec::new();
        for fault in faults {
            let number = fault.path.strip_prefix("Bundle.entry[").and_then(|rest| rest.split_once(']')?.0.parse().ok());
            match number.and_then(|n: usize| of_entries.get_mut(n)) {
                Some(of_entry) => of_entry.push(fault),
                None => of_bundle.push(fault),
            }
        }
        if !of_bundle.is_empty() {
            return Err(unprocessable(of_bundle));
        }
        let asked = self.read(bundle)?.into_iter().zip(of_entries);
        let run = asked.enumerate().map(|(n, (asked, faults))| async move {
            let asked = if faults.is_empty() { asked } else { Err(unprocessable(faults)) };
            self.alone(n, asked).await.unwrap_or_else(refused)
        });
        let entries = futures_util::future::join_all(run).await;
        let bundle = json!({ "resourceType": "Bundle", "type": "batch-response", "entry": entries });
        Ok(answer::json(StatusCode::OK, &bundle))
    }

    async fn alone(&self, n: usize, asked: Result<Asked, No>) -> Result<Value, No> {
        let entry = match asked? {
            Asked::Read(look) => return Ok(self.look(&look).await.1),
            Asked::Change(entry) => *entry,
        };
        let repeat = self.repeat.as_ref();
        let repeat = repeat.map(|r| Repeat { key: format!("{} entry {n}", r.key), ..r.clone() });
        let done = execute(self.service, self.caller.clone(), repeat, Act::Change(vec![entry])).await?;
        match done.reply.entries.first() {
            Some(reply) => self.answer(&done, reply).await,
            None => Ok(json!({ "response": { "status": StatusCode::NO_CONTENT.to_string() } })),
        }
    }

    /// Why a GET would not be answered.
    async fn in_vain(&self, look: &Reading) -> Option<No> {
        let (status, entry) = self.look(look).await;
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return None;
        }
        let why = entry["response"]["outcome"]["issue"][0]["diagnostics"].as_str().unwrap_or_default();
        let issue = Issue::error(IssueType::Processing, format!("{}.request.url", look.path), why);
        Some(No(status, vec![issue]))
    }

    /// Goes the way of a request that comes by itself.
    async fn look(&self, look: &Reading) -> (StatusCode, Value) {
        let mut request = Request::builder().method(look.method.clone()).uri(look.url.as_str());
        if let Some(headers) = request.headers_mut() {
            headers.extend(look.headers.clone());
            for name in [HOST.as_str(), "x-forwarded-proto", "prefer"] {
                headers.extend(self.headers.get(name).map(|value| (name.parse().ok(), value.clone())));
            }
        }
        let Ok(request) = request.extension(self.caller.clone()).body(Body::empty()) else {
            let text = "this is no URL";
            let issue = Issue::error(IssueType::Invalid, format!("{}.request.url", look.path), text);
            return (StatusCode::BAD_REQUEST, refused(No::bad_request(vec![issue])));
        };
        let Ok(response) = super::super::resources().with_state(self.service.clone()).oneshot(request).await;
        let (parts, body) = response.into_parts();
        let (status, headers) = (parts.status, parts.headers);
        // Our own answer, which is in memory whole.
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut told = json!({ "status": status.to_string() });
        let etag = headers.get(ETAG).and_then(|value| value.to_str().ok());
        for (name, value) in [("etag", etag), ("lastModified", body["meta"]["lastUpdated"].as_str())] {
            if let Some(value) = value {
                told[name] = value.into();
            }
        }
        if status.is_client_error() || status.is_server_error() {
            told["outcome"] = body;
            return (status, json!({ "response": told }));
        }
        match body {
            Value::Null => (status, json!({ "response": told })),
            body => (status, json!({ "resource": body, "response": told })),
        }
    }
}

fn path(n: usize) -> String {
    format!("Bundle.entry[{n}]")
}

fn refused(No(status, issues): No) -> Value {
    json!({ "response": { "status": status.to_string(), "outcome": operation_outcome(&issues) } })
}

fn entry_response(base: &str, entry: &ReplyEntry) -> Value {
    let mut response = json!({ "status": status_of(entry.outcome).to_string() });
    if entry.outcome != EntryOutcome::Absent {
        response["etag"] = format!("W/\"{}\"", entry.version).into();
        response["lastModified"] = Timestamp(entry.last_updated).to_string().into();
    }
    if !matches!(entry.outcome, EntryOutcome::Absent | EntryOutcome::Deleted) {
        response["location"] = format!("{base}/{}/_history/{}", entry.reference, entry.version).into();
    }
    if let Some(task) = &entry.fulfilment {
        let text = format!("followed by {base}/{task}");
        response["outcome"] = operation_outcome(&[Issue::information(text)]);
    }
    json!({ "response": response })
}
