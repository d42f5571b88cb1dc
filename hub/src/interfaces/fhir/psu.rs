//! The surface of the NHS Prescription Status Update service: pharmacies push what they do with a prescription's items.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use hub_domain::command::{Caller, Role};
use hub_domain::workflows::Ask;
use hub_domain::workflows::psu;
use schemas::outcome::IssueType;

use super::answer::No;
use super::content::{self, RESOURCE_TYPES};
use super::doors::Doors;
use super::doors::Says::{Does, Nothing};
use super::messaging::{ask_service, parse, plain};
use super::metadata;
use super::write::demand_role;
use crate::service::Service;

pub(super) fn doors() -> Doors {
    Doors::new().get("/metadata", Nothing, metadata::psu).post("/", Does("transaction"), update)
}

async fn update(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    demand_role(&caller, Role::Filler)?;
    content::demand_type(&headers, &RESOURCE_TYPES)?;
    let bad = |text: &str| No::new(axum::http::StatusCode::BAD_REQUEST, IssueType::Value, text);
    if !headers.contains_key("x-request-id") {
        return Err(bad("Missing or empty x-request-id header."));
    }
    let bytes = content::bytes(&service, body).await?;
    let bundle = parse(&bytes)?;
    let is_bundle = bundle.get("resourceType").is_some_and(|kind| kind == "Bundle");
    let ask = psu::Ask::read(&bundle).filter(|_| is_bundle);
    let text = "Request body does not have resourceType of 'Bundle' and type of 'transaction'.";
    let ask = ask.ok_or_else(|| bad(text))?;
    // The same word twice is told by its Task, not by the request that brings it.
    Ok(plain(&ask_service(&service, caller, None, Ask::Psu(ask)).await?))
}
