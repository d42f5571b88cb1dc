//! `/metadata`: what this base really offers, built from the tables that the code itself works by.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::query::{ParamType, params};
use schemas::resource::Kind;
use serde_json::{Value, json};

use super::answer;
use super::content::base_url;
use crate::service::Service;

pub(super) async fn read(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    answer::json(StatusCode::OK, &statement(&base_url(&service, &headers), service.config.auth.is_none()))
}

fn statement(base: &str, open: bool) -> Value {
    let security = if open {
        json!({ "description": "No authentication is configured: the hub listens on this machine only." })
    } else {
        json!({
            "description": "Bearer tokens (JWT) with the caller's organisation and roles: placer, filler, operator.",
            "service": [{
                "coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "OAuth",
                }],
            }],
        })
    };
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": BUILT,
        "kind": "instance",
        "software": { "name": "FHIR workflow hub", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": "A broker of orders, Tasks and their fulfilment", "url": base },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": ["application/json-patch+json"],
        "rest": [{
            "mode": "server",
            "security": security,
            "resource": Kind::ALL.iter().map(|kind| resource(*kind)).collect::<Vec<_>>(),
            "interaction": [{ "code": "transaction" }, { "code": "batch" }],
            "operation": [operation(base)],
        }],
    })
}

/// The day of this release: a CapabilityStatement must say when it was last changed.
const BUILT: &str = "2026-11-22";

fn resource(kind: Kind) -> Value {
    let codes =
        ["create", "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "search-type"];
    let own = params(kind).map(|param| {
        let kind = match param.kind {
            ParamType::Token => "token",
            ParamType::Reference => "reference",
            ParamType::Date => "date",
        };
        json!({ "name": param.name, "type": kind })
    });
    let common = [json!({ "name": "_id", "type": "token" }), json!({ "name": "_lastUpdated", "type": "date" })];
    json!({
        "type": kind.name(),
        "interaction": codes.iter().map(|code| json!({ "code": code })).collect::<Vec<_>>(),
        "versioning": "versioned-update",
        "readHistory": true,
        "updateCreate": false,
        "conditionalCreate": true,
        "conditionalRead": "full-support",
        "conditionalUpdate": false,
        "conditionalDelete": "not-supported",
        "referencePolicy": ["literal", "logical", "local"],
        "searchParam": common.into_iter().chain(own).collect::<Vec<_>>(),
    })
}

fn operation(base: &str) -> Value {
    json!({
        "name": "order-status",
        "definition": format!("{base}/OperationDefinition/order-status"),
        "documentation": "Where an order stands: [base]/[type]/[id]/$order-status, or [base]/$order-status?identifier=",
    })
}
