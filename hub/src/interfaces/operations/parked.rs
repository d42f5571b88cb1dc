//! Messages that could not be handled, for operators: list, show, send again, drop.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hub_domain::registry::Parked;
use serde_json::{Value, json};

use super::operator::{No, answer, broken, demand_operator};
use crate::parking;
use crate::service::Service;

/// Most messages of one answer; ask on with `?after=<the last id>`.
const LIST_LIMIT_MESSAGES: u32 = 100;

pub(super) async fn list(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, No> {
    demand_operator(&service, &headers).await?;
    let after = query.as_deref().and_then(|query| query.strip_prefix("after=")).map_or(Ok(0), str::parse);
    let after = after.map_err(|_| No(StatusCode::BAD_REQUEST, "after is the id of a parked message".into()))?;
    let parked = service.registry.parked(after, LIST_LIMIT_MESSAGES).await.map_err(broken)?;
    let list: Vec<Value> = parked.iter().map(summary).collect();
    Ok(answer(StatusCode::OK, &json!({ "parked": list })))
}

pub(super) async fn show(
    State(service): State<Arc<Service>>,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Result<Response, No> {
    demand_operator(&service, &headers).await?;
    let parked = find(&service, id).await?;
    let mut shown = summary(&parked);
    shown["headers"] = parked.headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    shown["body"] = String::from_utf8_lossy(&parked.body).into();
    Ok(answer(StatusCode::OK, &shown))
}

pub(super) async fn retry(
    State(service): State<Arc<Service>>,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Result<Response, No> {
    demand_operator(&service, &headers).await?;
    let parked = find(&service, id).await?;
    let queue = parked.queue.clone();
    parking::retry(&*service.registry, &*service.transport, parked).await.map_err(|error| {
        tracing::warn!(parked.id = id, cause = %error, "a parked message could not be sent again");
        No(StatusCode::SERVICE_UNAVAILABLE, "it could not be sent again; it is still parked".into())
    })?;
    tracing::info!(parked.id = id, queue, "a parked message was sent again");
    Ok(answer(StatusCode::OK, &json!({ "id": id, "sent_to": queue })))
}

pub(super) async fn drop_one(
    State(service): State<Arc<Service>>,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Result<Response, No> {
    demand_operator(&service, &headers).await?;
    if !service.registry.unpark(id).await.map_err(broken)? {
        return Err(nothing(id));
    }
    tracing::info!(parked.id = id, "a parked message was dropped");
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn find(service: &Service, id: i64) -> Result<Parked, No> {
    let found = service.registry.parked(id.saturating_sub(1), 1).await.map_err(broken)?;
    found.into_iter().find(|parked| parked.id == id).ok_or_else(|| nothing(id))
}

/// What may stand in a list: not the body, which may be about a patient.
fn summary(parked: &Parked) -> Value {
    json!({
        "id": parked.id,
        "at": parked.at.to_string(),
        "queue": parked.queue,
        "why": parked.why,
        "message_id": parked.message_id,
        "attempts": parked.attempts,
        "body_bytes": parked.body.len(),
    })
}

fn nothing(id: i64) -> No {
    No(StatusCode::NOT_FOUND, format!("no message {id} is parked"))
}
