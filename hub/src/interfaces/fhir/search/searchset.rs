//! Searches as they are answered: of one type or of several, page by page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::query::Query;
use hub_domain::registry::{Stored, Trouble};
use schemas::outcome::{Issue, IssueType, operation_outcome};
use schemas::resource::Kind;

use super::super::accept::demand_accept;
use super::super::answer::{self, No};
use super::super::bundle::{Mode, Writer};
use super::super::content::{self, FORM_TYPES, R4};
use super::super::look::Look;
use super::Reader;
use super::include::{self, Include};
use crate::service::Service;

pub(in crate::interfaces::fhir) async fn by_get(
    State(service): State<Arc<Service>>,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, No> {
    of_type(&service, &kind, content::form(query.as_deref().unwrap_or_default()), &headers).await
}

/// Parameters of the URL and of the body count alike.
pub(in crate::interfaces::fhir) async fn by_post(
    State(service): State<Arc<Service>>,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    of_type(&service, &kind, posted(&service, query, &headers, body).await?, &headers).await
}

pub(in crate::interfaces::fhir) async fn all_by_get(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, No> {
    of_types(&service, content::form(query.as_deref().unwrap_or_default()), &headers).await
}

pub(in crate::interfaces::fhir) async fn all_by_post(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    of_types(&service, posted(&service, query, &headers, body).await?, &headers).await
}

/// The types that a search over several of them is about.
const TYPES: &str = "_type";

type Parameters = Vec<(String, String)>;

async fn posted(service: &Service, query: Option<String>, headers: &HeaderMap, body: Body) -> Result<Parameters, No> {
    content::demand_type(headers, &FORM_TYPES)?;
    let bytes = content::bytes(service, body).await?;
    let mut parameters = content::form(query.as_deref().unwrap_or_default());
    let sent = content::form(&String::from_utf8_lossy(&bytes));
    if let Some((_, format)) = sent.iter().find(|(name, _)| name == "_format") {
        demand_accept(headers, Some(format), &R4)?;
    }
    parameters.extend(sent);
    Ok(parameters)
}

pub(in crate::interfaces::fhir) async fn of_type(
    service: &Service,
    kind: &str,
    parameters: Parameters,
    headers: &HeaderMap,
) -> Result<Response, No> {
    let kind = content::kind(kind)?;
    search(service, &[kind], &format!("/{kind}?"), &parameters, headers).await
}

async fn of_types(service: &Service, parameters: Parameters, headers: &HeaderMap) -> Result<Response, No> {
    let fault = |code, text: &str| No::bad_request(vec![Issue::error(code, TYPES, text)]);
    let (named, rest): (Parameters, Parameters) = parameters.into_iter().partition(|(name, _)| name == TYPES);
    let names: Vec<&str> = named.iter().flat_map(|(_, types)| types.split(',')).collect();
    if names.is_empty() {
        return Err(fault(IssueType::Required, "a search over several types names them: _type=Task,ServiceRequest"));
    }
    let mut kinds = Vec::new();
    for name in names {
        let unknown =
            || fault(IssueType::Value, "one of the types is not kept by this hub; /metadata lists those that are");
        let kind = Kind::parse(name).ok_or_else(unknown)?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let types = kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(",");
    search(service, &kinds, &format!("?{TYPES}={types}&"), &rest, headers).await
}

/// What is asked of one type, as far as it was understood.
pub(in crate::interfaces::fhir) struct Asked {
    pub(in crate::interfaces::fhir) query: Query,
    pub(super) wishes: Vec<Include>,
    pub(super) look: Look,
    pub(super) total: Total,
    /// Because the caller said that it may be.
    pub(super) ignored: Vec<Issue>,
}

/// `_total`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::interfaces::fhir) enum Total {
    None,
    /// When that is not too costly.
    Estimate,
    Accurate,
    /// When all fit on the first page.
    IfKnown,
}

/// What was found: a page, and what comes with it.
struct Found {
    entries: Vec<Stored>,
    next: Option<String>,
}

async fn search(
    service: &Service,
    kinds: &[Kind],
    address: &str,
    parameters: &[(String, String)],
    headers: &HeaderMap,
) -> Result<Response, No> {
    let base = content::base_url(service, headers);
    let all = read(service, kinds, &base, parameters, content::is_lenient(headers))?;
    // What does not depend on the type is the same of each.
    let Some(asked) = all.first() else { return Err(No::not_found("there is no type to search")) };
    let found =
        if asked.look.only_count { Found { entries: Vec::new(), next: None } } else { page(service, &all).await? };
    let included = include::included(service, &asked.wishes, &found.entries).await?;

    let mut bundle = Writer::new("searchset", &base);
    let first = format!("{base}{address}{}", understood(&all, parameters));
    let at = |page: &str| format!("{first}&_page={}", content::encode(page));
    bundle.link("self", &asked.query.page.as_deref().map_or_else(|| first.clone(), at));
    bundle.link("first", &first);
    found.next.iter().for_each(|next| bundle.link("next", &at(next)));
    total(service, &all, &found).await?.into_iter().for_each(|total| bundle.total(total));
    found.entries.iter().for_each(|stored| bundle.found(stored, Mode::Match, &asked.look));
    let look = asked.look.of_others();
    included.iter().for_each(|stored| bundle.found(stored, Mode::Include, &look));
    let ignored = once(all.iter().flat_map(|asked| asked.ignored.clone()));
    if !ignored.is_empty() {
        bundle.outcome(&operation_outcome(&ignored));
    }
    Ok(answer::text(StatusCode::OK, bundle.finish()))
}

/// The parameters, as each type understands them. Every fault is told, once.
fn read(
    service: &Service,
    kinds: &[Kind],
    base: &str,
    parameters: &[(String, String)],
    lenient: bool,
) -> Result<Vec<Asked>, No> {
    let (mut all, mut faults) = (Vec::new(), Vec::new());
    for kind in kinds {
        let mut reader = Reader::new(service, *kind, base);
        parameters.iter().for_each(|(name, value)| reader.parameter(name, value));
        match reader.finish(lenient) {
            Ok(asked) => all.push(asked),
            Err(No(_, issues)) => faults.extend(issues),
        }
    }
    if all.len() > 1 && all.iter().any(|asked| !asked.query.sort.is_empty()) {
        let text = "the types come one after the other: a search over several is not sorted";
        faults.push(Issue::error(IssueType::NotSupported, "_sort", text));
    }
    if faults.is_empty() { Ok(all) } else { Err(No::bad_request(once(faults))) }
}

fn once(issues: impl IntoIterator<Item = Issue>) -> Vec<Issue> {
    let mut kept: Vec<Issue> = Vec::new();
    issues.into_iter().for_each(|issue| {
        if !kept.contains(&issue) {
            kept.push(issue)
        }
    });
    kept
}

/// One type after the other, until the page is full. A page is named by the number of a type, and its place in that.
async fn page(service: &Service, all: &[Asked]) -> Result<Found, No> {
    let named = all.first().and_then(|asked| asked.query.page.as_deref());
    let place = named.map(|page| page.split_once('.').and_then(|(n, at)| Some((n.parse::<usize>().ok()?, at))));
    let (from, at) = place.map_or(Ok((0, "")), |place| place.ok_or(Trouble::BadPage))?;
    let mut entries = Vec::new();
    for (n, asked) in all.iter().enumerate().skip(from) {
        let left = (asked.query.count as usize).saturating_sub(entries.len());
        if left == 0 {
            return Ok(Found { entries, next: Some(format!("{n}.")) });
        }
        let page = Some(at).filter(|at| n == from && !at.is_empty()).map(str::to_owned);
        let found = service.registry.search(&Query { count: left as u32, page, ..asked.query.clone() }).await?;
        entries.extend(found.entries);
        if let Some(next) = found.next {
            return Ok(Found { entries, next: Some(format!("{n}.{next}")) });
        }
    }
    Ok(Found { entries, next: None })
}

/// How many there are in all, when that is known or wanted.
async fn total(service: &Service, all: &[Asked], found: &Found) -> Result<Option<u64>, No> {
    let Some(Asked { query, look, total, .. }) = all.first() else { return Ok(None) };
    match total {
        _ if look.only_count => {}
        Total::None => return Ok(None),
        _ if found.next.is_none() && query.page.is_none() => return Ok(Some(found.entries.len() as u64)),
        Total::IfKnown => return Ok(None),
        Total::Estimate | Total::Accurate => {}
    }
    let mut sum = 0;
    for asked in all {
        match service.registry.count(&asked.query).await {
            Err(Trouble::TooCostly | Trouble::TooWide { .. }) if *total == Total::Estimate => return Ok(None),
            counted => sum += counted?,
        }
    }
    Ok(Some(sum))
}

/// The parameters as the links say them.
fn understood(all: &[Asked], parameters: &[(String, String)]) -> String {
    let is_ignored = |name: &str| all.iter().any(|asked| asked.ignored.iter().any(|issue| issue.path == name));
    let kept = parameters.iter().filter(|(name, _)| !is_ignored(name) && name != "_page" && name != "_count");
    let pairs = kept.map(|(name, value)| format!("{}={}", content::encode(name), content::encode(value)));
    let count = all.first().map_or(0, |asked| if asked.look.only_count { 0 } else { asked.query.count });
    pairs.chain([format!("_count={count}")]).collect::<Vec<_>>().join("&")
}
