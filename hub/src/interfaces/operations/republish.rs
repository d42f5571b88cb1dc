//! For a broker that lost messages and does not know it: every Task on offer is told once more.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::operator::{No, answer, broken, demand_operator};
use crate::service::Service;

/// Into the outbox, from where the relay sends them. A worker that hears of a Task twice claims it once.
pub(super) async fn all(State(service): State<Arc<Service>>, headers: HeaderMap) -> Result<Response, No> {
    demand_operator(&service, &headers).await?;
    let tasks = service.registry.republish().await.map_err(broken)?;
    tracing::info!(queue.tasks = tasks, "an operator has every Task on offer published again");
    Ok(answer(StatusCode::OK, &json!({ "tasks": tasks })))
}
