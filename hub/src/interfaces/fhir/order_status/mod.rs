//! `$order-status`: where an order stands, for a person and for a machine. Asked by the id of a request or a Task, by a
//! business identifier, or by the number of a group of orders.

mod links;
mod tell;

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::query::{Filter, Query, find};
use schemas::outcome::IssueType;
use schemas::resource::{Key, Kind};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{self, No};
use super::content;
use super::search::values::read_token;
use crate::service::Service;
use tell::Standing;

/// Elements by which an order carries a number of its own, and by which it carries one that it shares with others.
const OWN_AND_SHARED: [&str; 3] = ["identifier", "group-identifier", "requisition"];
const SHARED: &[&str] = OWN_AND_SHARED.split_at(1).1;

/// Of one request or Task.
pub(super) async fn of_one(
    State(service): State<Arc<Service>>,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, No> {
    let key = content::key(&kind, id)?;
    let root = root_of(&service, &key).await?;
    respond(&service, &headers, root, Some(&key)).await
}

pub(super) async fn by_identifier(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, No> {
    let requests = Kind::ALL.iter().filter(|kind| kind.is_request());
    let kinds: Vec<Kind> = std::iter::once(&Kind::TASK).chain(requests).copied().collect();
    by_number(&service, &kinds, query.as_deref(), &headers).await
}

pub(super) async fn by_identifier_of_type(
    State(service): State<Arc<Service>>,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, No> {
    by_number(&service, &[content::kind(&kind)?], query.as_deref(), &headers).await
}

/// What was asked for: one order by a number, or all that share one.
async fn by_number(
    service: &Service,
    kinds: &[Kind],
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, No> {
    let parameters = content::form(query.unwrap_or_default());
    let value = |name: &str| parameters.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str());
    match (value("identifier"), value("group")) {
        (Some(token), None) => of_identifier(service, kinds, token, headers).await,
        (None, Some(token)) => of_group(service, token).await,
        _ => {
            let text = "ask with ?identifier=system|value or ?group=system|value, or of one resource: \
                        Type/id/$order-status";
            Err(No::new(StatusCode::BAD_REQUEST, IssueType::Required, text))
        }
    }
}

/// The order that carries an identifier, of its own or of its group; refused when there are several.
async fn of_identifier(service: &Service, kinds: &[Kind], token: &str, headers: &HeaderMap) -> Result<Response, No> {
    for kind in kinds {
        match roots_by(service, *kind, &OWN_AND_SHARED, token).await?.as_slice() {
            [] => {}
            [(root, key)] => return respond(service, headers, *root, Some(key)).await,
            _ => {
                let text = "several orders carry this identifier: ask for one of them by its id, or for all that share \
                            it with ?group=";
                return Err(No::new(StatusCode::PRECONDITION_FAILED, IssueType::MultipleMatches, text));
            }
        }
    }
    Err(No::not_found("no order carries this identifier"))
}

/// All orders that share a number, each for itself.
async fn of_group(service: &Service, token: &str) -> Result<Response, No> {
    let mut roots = Vec::new();
    for kind in Kind::ALL.iter().filter(|kind| kind.is_request()) {
        roots.extend(roots_by(service, *kind, SHARED, token).await?);
    }
    if roots.is_empty() {
        return Err(No::not_found("no order shares this number"));
    }
    let mut orders: Vec<Value> = Vec::new();
    for (root, key) in roots {
        let parts = Standing::of(service, root, Some(&key)).await?.tell();
        orders.push(json!({ "name": "order", "part": parts }));
    }
    Ok(answer::json(StatusCode::OK, &json!({ "resourceType": "Parameters", "parameter": orders })))
}

/// The orders whose resources of this type carry a number at one of these elements, each by one of these resources.
async fn roots_by(service: &Service, kind: Kind, elements: &[&str], token: &str) -> Result<Vec<(Uuid, Key)>, No> {
    let mut roots = Vec::new();
    for param in elements.iter().filter_map(|name| find(kind, name)) {
        let filters = vec![Filter::Token { param, any: vec![read_token(token)] }];
        let query = Query { kind, filters, sort: Vec::new(), count: service.config.page_entries_limit, page: None };
        for stored in service.registry.search(&query).await?.entries {
            roots.push((root_of(service, &stored.key).await?, stored.key));
        }
    }
    roots.sort();
    roots.dedup_by_key(|(root, _)| *root);
    Ok(roots)
}

async fn root_of(service: &Service, key: &Key) -> Result<Uuid, No> {
    if let Some(id) = hub_domain::decide::task_id(key) {
        return Ok(id.root);
    }
    service.registry.root_of(key).await?.ok_or_else(|| No::not_found(format!("{key} is not here")))
}

async fn respond(service: &Service, headers: &HeaderMap, root: Uuid, asked: Option<&Key>) -> Result<Response, No> {
    let base = content::base_url(service, headers);
    Ok(answer::text(StatusCode::OK, Standing::of(service, root, asked).await?.answer(&base)))
}
