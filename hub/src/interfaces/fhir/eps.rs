//! The surface of the NHS Electronic Prescription Service: what is different there from plain FHIR.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{OriginalUri, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::command::{Caller, Role};
use hub_domain::query::{Filter, Query, Sort, SortBy, SystemMatch, TokenMatch, find};
use hub_domain::scene::Needs;
use hub_domain::workflows::eps::answer::{orders_of, release_parameters};
use hub_domain::workflows::eps::message::{NHS_NUMBER, NUMBER};
use hub_domain::workflows::eps::number::{is_nhs_number, is_prescription_number};
use hub_domain::workflows::eps::table::{BUSINESS_STATUS, State as Stand};
use hub_domain::workflows::eps::tracker::{listed, tracked, viewed};
use hub_domain::workflows::eps::{self, RELEASE_MAX, TAKEN_MEANWHILE};
use hub_domain::workflows::{Answer, Ask, Outcome, Record};
use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body as Resource, Key, Kind};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{self, No};
use super::content;
use super::doors::Says::{Does, Finds, Nothing};
use super::doors::{Doors, Operation, Searched};
use super::messaging::{self, ask_service, plain, take};
use super::write::demand_role;
use super::{metadata, process_message};
use crate::service::Service;

/// How often a release looks for prescriptions that others took in between.
const LOOKS_MAX: usize = 5;

pub(super) fn doors() -> Doors {
    Doors::new()
        .get("/metadata", Nothing, metadata::eps)
        .post("/$prepare", preparing(), prepare)
        .post("/$process-message", process_message(&[]), messaging::process)
        .post("/Task/$release", releasing(), release)
        .post("/Task", Does("create"), task)
        .get("/Task", Finds(&TRACKER), track)
        .post("/Claim", Does("create"), claim)
        .get("/RequestGroup", Finds(&LIST), list)
        .get("/RequestGroup/{number}", Does("read"), view)
}

pub(super) fn preparing() -> Operation {
    Operation::new("prepare", "What a prescriber is to sign")
}

pub(super) fn releasing() -> Operation {
    Operation::new("release", "A dispenser takes prescriptions")
}

const TRACKER: Searched = Searched {
    by: &[
        ("identifier", "token"),
        ("focus:identifier", "token"),
        ("patient:identifier", "token"),
        ("business-status", "token"),
        ("authored-on", "date"),
    ],
    include: &[],
};
const LIST: Searched = Searched { by: &[("prescriptionId", "token"), ("nhsNumber", "token")], include: &[] };

/// What a prescriber is to sign. Nothing is kept.
pub(super) async fn prepare(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    demand_role(&caller, Role::Placer)?;
    let (bundle, _) = take(&service, &headers, body, "Bundle").await?;
    Ok(answer::json(StatusCode::OK, &eps::prepare(&bundle, &service.reading())?))
}

/// A dispenser takes prescriptions: one that it names, or those that nominate it.
pub(super) async fn release(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    demand_role(&caller, Role::Filler)?;
    let (parameters, bytes) = take(&service, &headers, body, "Parameters").await?;
    let ask = eps::read_release(&parameters, &service.eps)?;
    let repeat = content::repeat_by_request_id(&headers, &caller, "release", &bytes)?;
    for _ in 0..LOOKS_MAX {
        let candidates = match ask.number {
            Some(_) => Vec::new(),
            None => nominating(&service, &ask.by.code).await?,
        };
        let verifier = service.eps.verifier.clone();
        let ask = Ask::Eps(Box::new(eps::Ask::Release { ask: ask.clone(), candidates, verifier }));
        match ask_service(&service, caller.clone(), repeat.clone(), ask).await {
            Err(No(_, issues)) if issues.iter().any(|issue| issue.text == TAKEN_MEANWHILE) => {}
            Err(no) => return Err(no),
            Ok(answer) => return write_release(&service, &headers, uri.path(), &answer).await,
        }
    }
    Err(No::new(StatusCode::SERVICE_UNAVAILABLE, IssueType::Conflict, "others were faster; try again"))
}

/// The prescriptions that a dispenser may download: urgent ones first, then in the order in which they came.
async fn nominating(service: &Service, dispenser: &str) -> Result<Vec<Uuid>, No> {
    let owner = find(Kind::TASK, "owner").zip(find(Kind::TASK, "status")).zip(find(Kind::TASK, "business-status"));
    let Some(((owner, status), business)) = owner else { return Ok(Vec::new()) };
    let token = |system: SystemMatch, code: &str| vec![TokenMatch { system, code: Some(code.to_owned()) }];
    let filters = vec![
        Filter::Reference { param: owner, any: vec![format!("Organization/{dispenser}")] },
        Filter::Token { param: status, any: token(SystemMatch::Any, "requested") },
        Filter::Token {
            param: business,
            any: token(SystemMatch::Is(BUSINESS_STATUS.into()), Stand::ToBeDispensed.code()),
        },
    ];
    let by = |by: SortBy| Sort { by, descending: false };
    let sort = vec![by(SortBy::Priority), by(SortBy::Authored)];
    let query = Query { kind: Kind::TASK, filters, sort, count: RELEASE_MAX as u32, page: None };
    let page = service.registry.search(&query).await?;
    Ok(page.entries.iter().filter_map(|task| hub_domain::decide::task_id(&task.key)).map(|id| id.root).collect())
}

/// The messages of what was released are put in here: the answer that is kept names them only.
async fn write_release(service: &Service, headers: &HeaderMap, path: &str, answer: &Answer) -> Result<Response, No> {
    if answer.outcome != Outcome::Released {
        return Ok(plain(answer));
    }
    let messages = messages(service, orders_of(answer)).await?;
    let url = format!("{}{path}", content::origin(service, headers));
    Ok(answer::json(StatusCode::OK, &release_parameters(answer, messages, &url)))
}

/// A dispenser gives a prescription back, or withdraws what it told.
async fn task(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    demand_role(&caller, Role::Filler)?;
    let (sent, bytes) = take(&service, &headers, body, "Task").await?;
    let ask = eps::read_task(&sent)?;
    let repeat = content::repeat_by_request_id(&headers, &caller, "task", &bytes)?;
    Ok(plain(&ask_service(&service, caller, repeat, ask).await?))
}

async fn claim(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    demand_role(&caller, Role::Filler)?;
    let (sent, bytes) = take(&service, &headers, body, "Claim").await?;
    let ask = eps::read_claim(&sent)?;
    let repeat = content::repeat_by_request_id(&headers, &caller, "claim", &bytes)?;
    Ok(plain(&ask_service(&service, caller, repeat, ask).await?))
}

// ---- the tracker

/// What the tracker is asked.
#[derive(Default)]
struct Tracked {
    number: Option<String>,
    patient: Option<String>,
    status: Option<String>,
    authored: Vec<(String, Timestamp, Timestamp)>,
}

async fn track(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, No> {
    let asked = read_tracked(query.as_deref().unwrap_or_default())?;
    let roots = match (&asked.number, &asked.patient) {
        (Some(number), _) => vec![eps::root_of(number)],
        (None, Some(patient)) => of_patient(&service, patient).await?,
        (None, None) => Vec::new(),
    };
    let records = records(&service, roots).await?;
    let mut tasks = Vec::new();
    for (root, record) in records {
        let fits = asked.patient.as_ref().is_none_or(|patient| *patient == record.patient);
        let fits = fits && asked.authored.iter().all(|when| is_then(record.prescribed, when));
        tasks.extend(tracked(&record, root).into_iter().filter(|task| fits && has_status(task, &asked)));
    }
    let base = format!("{}{}", content::origin(&service, &headers), service.config.eps_base.as_deref().unwrap_or(""));
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": tasks.len() });
    if !tasks.is_empty() {
        let entry = |task: Value| {
            let url = format!("{base}/Task/{}", task["id"].as_str().unwrap_or_default());
            json!({ "fullUrl": url, "search": { "mode": "match" }, "resource": task })
        };
        bundle["entry"] = tasks.into_iter().map(entry).collect();
    }
    Ok(answer::json(StatusCode::OK, &bundle))
}

/// The records of these prescriptions, as far as they are here.
async fn records(service: &Service, roots: Vec<Uuid>) -> Result<Vec<(Uuid, eps::Record)>, No> {
    let needs = Needs { roots: roots.clone(), ..Needs::default() };
    let (scenes, _) = service.registry.load(&[needs]).await?;
    let mut heads = scenes.into_iter().next().map(|scene| scene.heads).unwrap_or_default();
    let record = |root: Uuid| match heads.remove(&root)?.run?.record? {
        Record::Eps(record) => Some((root, *record)),
        _ => None,
    };
    Ok(roots.into_iter().filter_map(record).collect())
}

fn has_status(task: &Value, asked: &Tracked) -> bool {
    asked.status.as_ref().is_none_or(|status| task["businessStatus"]["coding"][0]["code"] == status.as_str())
}

fn is_then(prescribed: Timestamp, (prefix, low, high): &(String, Timestamp, Timestamp)) -> bool {
    match prefix.as_str() {
        "le" => prescribed <= *high,
        "ge" => prescribed >= *low,
        _ => (*low..=*high).contains(&prescribed),
    }
}

/// The orders of a patient's prescriptions.
async fn of_patient(service: &Service, patient: &str) -> Result<Vec<Uuid>, No> {
    let params = find(Kind::TASK, "patient").zip(find(Kind::TASK, "business-status"));
    let Some((subject, business)) = params else { return Ok(Vec::new()) };
    let number = TokenMatch { system: SystemMatch::Is(NHS_NUMBER.into()), code: Some(patient.to_owned()) };
    let filters = vec![
        Filter::ReferenceIdentifier { param: subject, any: vec![number] },
        Filter::Token {
            param: business,
            any: vec![TokenMatch { system: SystemMatch::Is(BUSINESS_STATUS.into()), code: None }],
        },
    ];
    let count = service.config.page_entries_limit;
    let mut query = Query { kind: Kind::TASK, filters, sort: Vec::new(), count, page: None };
    let mut roots = BTreeSet::new();
    loop {
        let page = service.registry.search(&query).await?;
        roots.extend(page.entries.iter().filter_map(|task| hub_domain::decide::task_id(&task.key)).map(|id| id.root));
        query.page = page.next;
        if query.page.is_none() {
            return Ok(roots.into_iter().collect());
        }
    }
}

/// The parameters of the service's tracker, each with the system it may name.
const PARAMETERS: [(&str, &str); 4] = [
    ("focus:identifier", NUMBER),
    ("identifier", NUMBER),
    ("patient:identifier", NHS_NUMBER),
    ("business-status", BUSINESS_STATUS),
];

fn read_tracked(query: &str) -> Result<Tracked, No> {
    let (mut asked, mut faults) = (Tracked::default(), Vec::new());
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in content::form(query) {
        if name == "authored-on" {
            match read_date(&value) {
                Some(when) => asked.authored.push(when),
                None => {
                    let text =
                        "Value for date param authored-on should match pattern /(eq|le|ge)\\d{4}-\\d{2}-\\d{2}/.";
                    faults.push(Issue::error(IssueType::Invalid, "", text));
                }
            }
            continue;
        }
        let Some((_, system)) = PARAMETERS.iter().find(|(known, _)| *known == name) else { continue };
        if seen.contains(&name) {
            faults.push(Issue::error(IssueType::Invalid, "", "Invalid combination of query parameters."));
        }
        let code = match value.split_once('|') {
            Some((given, _)) if given != *system => {
                let text = format!("Query parameter {name} must have system {system} if specified.");
                faults.push(Issue::error(IssueType::Value, "", text));
                continue;
            }
            Some((_, code)) => code.to_owned(),
            None => value,
        };
        let (place, code) = match name.as_str() {
            "patient:identifier" => (&mut asked.patient, code),
            "business-status" => (&mut asked.status, code),
            // A `+` that was not escaped has become a space; no number has one.
            _ => (&mut asked.number, code.replace(' ', "+")),
        };
        if place.as_ref().is_some_and(|other| *other != code) {
            // Two numbers: no prescription has both.
            faults.push(Issue::error(IssueType::Invalid, "", "Invalid combination of query parameters."));
        }
        *place = Some(code);
        seen.push(name);
    }
    if asked.number.is_none() && asked.patient.is_none() && faults.is_empty() {
        let text = "At least one of the following query parameters must be provided: focus:identifier, identifier, \
                    patient:identifier.";
        faults.push(Issue::error(IssueType::Invalid, "", text));
    }
    if faults.is_empty() { Ok(asked) } else { Err(No::bad_request(faults)) }
}

fn read_date(value: &str) -> Option<(String, Timestamp, Timestamp)> {
    let (prefix, date) = value.split_at_checked(2)?;
    let known = matches!(prefix, "eq" | "le" | "ge") && date.len() == 10;
    let (low, high) = Timestamp::range(date).filter(|_| known)?;
    Some((prefix.to_owned(), low, high))
}

// ---- the newer tracker

/// `GET /RequestGroup`: one prescription by its number, or all of a patient.
async fn list(State(service): State<Arc<Service>>, RawQuery(query): RawQuery) -> Result<Response, No> {
    let parameters = content::form(query.as_deref().unwrap_or_default());
    let value = |name: &str| parameters.iter().find(|(given, _)| given == name).map(|(_, value)| value);
    let roots = match (value("prescriptionId"), value("nhsNumber")) {
        (Some(number), None) if is_prescription_number(&number.replace(' ', "+")) => {
            vec![eps::root_of(&number.replace(' ', "+"))]
        }
        (None, Some(patient)) if is_nhs_number(patient) => of_patient(&service, patient).await?,
        (Some(_), Some(_)) => return Err(bad("give prescriptionId or nhsNumber, not both")),
        (None, None) => return Err(bad("give prescriptionId or nhsNumber")),
        (Some(_), None) => return Err(bad("prescriptionId is no prescription's number")),
        (None, Some(_)) => return Err(bad("nhsNumber is no NHS number")),
    };
    let records = records(&service, roots).await?;
    let found: Vec<&(Uuid, eps::Record)> = records.iter().filter(|(_, record)| !record.issues.is_empty()).collect();
    if found.is_empty() {
        return Err(no_prescription());
    }
    let messages = messages(&service, found.iter().map(|(root, _)| *root)).await?;
    let entries = found.iter().flat_map(|(root, record)| listed(record, *root, messages.get(root))).collect();
    Ok(answer::json(StatusCode::OK, &searchset(found.len(), entries)))
}

/// `GET /RequestGroup/{number}?issueNumber=`: all of one issue of a prescription, the current one unless told.
async fn view(
    State(service): State<Arc<Service>>,
    Path(number): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, No> {
    let records = records(&service, vec![eps::root_of(&number)]).await?;
    let Some((root, record)) = records.first().filter(|(_, record)| !record.issues.is_empty()) else {
        return Err(no_prescription());
    };
    let parameters = content::form(query.as_deref().unwrap_or_default());
    let asked = parameters.iter().find(|(name, _)| name == "issueNumber").map(|(_, value)| value.parse::<usize>());
    let n = match asked {
        None => record.current(),
        Some(Ok(n)) if (1..=record.issues.len()).contains(&n) => n - 1,
        Some(_) => return Err(bad("issueNumber is no issue of this prescription")),
    };
    let messages = messages(&service, [*root]).await?;
    let mut dispenses = Vec::new();
    for stored in service.registry.read(&eps::dispenses_of(record, *root, n)).await? {
        dispenses.extend(serde_json::from_slice::<Value>(&stored.body));
    }
    let entries = viewed(record, *root, n, messages.get(root), &dispenses);
    Ok(answer::json(StatusCode::OK, &searchset(1, entries)))
}

fn searchset(total: usize, entries: Vec<Value>) -> Value {
    json!({ "resourceType": "Bundle", "type": "searchset", "total": total, "entry": entries })
}

const HTTP_ERRORS: &str = "https://fhir.nhs.uk/CodeSystem/http-error-codes";

fn bad(text: &str) -> No {
    No::bad_request(vec![Issue::error(IssueType::Value, "", text).called(HTTP_ERRORS, "BAD_REQUEST")])
}

fn no_prescription() -> No {
    let issue = Issue::error(IssueType::NotFound, "", "there is no such prescription").called(HTTP_ERRORS, "NOT_FOUND");
    No(StatusCode::NOT_FOUND, vec![issue])
}

/// The order messages of these prescriptions.
async fn messages(service: &Service, roots: impl IntoIterator<Item = Uuid>) -> Result<HashMap<Uuid, Resource>, No> {
    let keys: Vec<Key> = roots.into_iter().map(eps::message_key).collect();
    let mut messages = HashMap::new();
    for stored in service.registry.read(&keys).await? {
        if let (Ok(root), Ok(body)) = (Uuid::try_parse(&stored.key.id), serde_json::from_slice(&stored.body)) {
            messages.insert(root, body);
        }
    }
    Ok(messages)
}
