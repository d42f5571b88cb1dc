//! What only operators may ask: who they are is proven, and a no is told in plain JSON, since this is no FHIR.

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hub_domain::registry::Trouble;
use serde_json::{Value, json};

use crate::service::Service;

/// A handler's no.
pub(super) struct No(pub(super) StatusCode, pub(super) String);

impl IntoResponse for No {
    fn into_response(self) -> Response {
        answer(self.0, &json!({ "error": self.1 }))
    }
}

pub(super) fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

pub(super) async fn demand_operator(service: &Service, headers: &HeaderMap) -> Result<(), No> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let caller = service.authenticator.authenticate(authorization).await;
    let caller = caller.map_err(|error| No(StatusCode::UNAUTHORIZED, error.to_string()))?;
    if caller.is_operator() { Ok(()) } else { Err(No(StatusCode::FORBIDDEN, "this needs the role operator".into())) }
}

/// Logs why the registry could not do it, and keeps that from the caller.
pub(super) fn broken(trouble: Trouble) -> No {
    tracing::error!(cause = %trouble, "the registry could not do what an operator asked");
    No(StatusCode::SERVICE_UNAVAILABLE, "the registry is not available".into())
}
