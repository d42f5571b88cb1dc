//! `$graph`: a plan or an orchestration to look at, its actions and what waits for what.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hub_domain::plan::drawing::Drawing;
use hub_domain::plan::graph::Graph;
use hub_domain::registry::Method;
use hub_domain::workflow::Offered;
use schemas::gate;
use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body, Kind};
use serde_json::Value;

use super::answer::No;
use super::content;
use crate::service::Service;

/// What is drawn.
pub(super) const KINDS: [Kind; 2] = [Kind::REQUEST_GROUP, Kind::PLAN_DEFINITION];

pub(super) async fn of_one(
    State(service): State<Arc<Service>>,
    Path((kind, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, No> {
    let key = content::key(&kind, id)?;
    if !KINDS.contains(&key.kind) {
        return Err(No::not_found("$graph is an operation of RequestGroup and PlanDefinition"));
    }
    let wanted = content::form(query.as_deref().unwrap_or_default()).into_iter().find(|(name, _)| name == "as");
    let stored = service.registry.version(&key, None).await?.filter(|stored| stored.method != Method::Delete);
    let stored = stored.ok_or_else(|| No::not_found(format!("{key} is not here")))?;
    let body: Body = serde_json::from_slice(&stored.body).unwrap_or_default();
    let shown = if key.kind == Kind::REQUEST_GROUP { gate::to_r5(&body) } else { body };
    let plan = Offered::read(&Value::Object(shown).to_string()).map_err(|faults| refused(key.kind, faults))?;
    // What is done once for each item is drawn once.
    let graph = Graph::bind(&plan.plan, 1);
    let drawing = Drawing::of(&graph);
    let (media, text) = match wanted.as_ref().map_or("json", |(_, wanted)| wanted.as_str()) {
        "json" => ("application/json", drawing.json().to_string()),
        "mermaid" => ("text/vnd.mermaid", drawing.mermaid()),
        "svg" => ("image/svg+xml", drawing.svg()),
        _ => return Err(No::new(StatusCode::BAD_REQUEST, IssueType::Value, "as is json, mermaid or svg")),
    };
    Ok((StatusCode::OK, [(CONTENT_TYPE, media)], text).into_response())
}

/// What is no plan has no graph: its faults, with their places in the resource.
fn refused(kind: Kind, faults: Vec<Issue>) -> No {
    let place = |fault: Issue| {
        let path = match fault.path.strip_prefix("RequestOrchestration") {
            Some(rest) => format!("{kind}{rest}"),
            None if fault.path.starts_with(kind.name()) => fault.path,
            None => format!("{kind}.{}", fault.path),
        };
        Issue::error(fault.code, path, fault.text)
    };
    No(StatusCode::UNPROCESSABLE_ENTITY, faults.into_iter().map(place).collect())
}
