//! What those who run the hub ask of it: is it alive, is it ready, how is it doing.

mod operator;
mod parked;
mod republish;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hub_telemetry::names;
use serde_json::json;

use crate::service::Service;

pub fn router() -> Router<Arc<Service>> {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/parked", get(parked::list))
        .route("/parked/{id}", get(parked::show).delete(parked::drop_one))
        .route("/parked/{id}/retry", post(parked::retry))
        .route("/republish", post(republish::all))
}

async fn live() -> Response {
    ([(CONTENT_TYPE, "application/json")], json!({ "status": "live" }).to_string()).into_response()
}

/// Names the part that is down.
async fn ready(State(service): State<Arc<Service>>) -> Response {
    let database = service.registry.health().await.map_err(|trouble| {
        tracing::warn!(cause = %trouble, "not ready: database");
        "the database is not available".to_owned()
    });
    let queue = service.transport.health().map_err(|why| {
        tracing::warn!(cause = why, "not ready: queue");
        "the broker is not available".to_owned()
    });
    let status = if database.is_ok() && queue.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let part = |health: Result<(), String>| health.map_or_else(|why| why, |()| "ready".to_owned());
    let ready = if status == StatusCode::OK { "ready" } else { "not ready" };
    let body = json!({ "status": ready, "database": part(database), "queue": part(queue) });
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// Prometheus text. Gauges are read from the registry and the transport when somebody asks.
async fn metrics(State(service): State<Arc<Service>>) -> Response {
    if let Ok(figures) = service.registry.figures().await {
        for (work, status, count) in figures.open_tasks {
            metrics::gauge!(names::TASKS, "work" => work, "status" => status).set(count as f64);
        }
        for (work, age) in figures.oldest_offers {
            metrics::gauge!(names::OLDEST_OFFER_AGE_SECONDS, "work" => work).set(age.as_secs_f64());
        }
        metrics::gauge!(names::PARKED_MESSAGES).set(figures.parked as f64);
        metrics::gauge!(names::OUTBOX_DEPTH).set(figures.outbox_depth as f64);
        metrics::gauge!(names::OUTBOX_OLDEST_AGE_SECONDS).set(figures.outbox_age.as_secs_f64());
        metrics::gauge!(names::TIMERS_OVERDUE).set(figures.overdue_timers as f64);
    }
    for depth in service.transport.depths().await.unwrap_or_default() {
        metrics::gauge!(names::QUEUE_READY, "queue" => depth.queue).set(depth.ready as f64);
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], service.metrics.render()).into_response()
}
