//! `/metadata`: what this base really offers, built from the tables that the code itself works by.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::query::{ParamType, params};
use hub_domain::workflows::EVENTS;
use hub_domain::workflows::ers::{EVENTS as EVENTS_OF_REFERRALS, OPERATIONS};
use schemas::resource::Kind;
use serde_json::{Value, json};

use super::answer;
use super::content::{base_url, origin};
use super::messaging::order;
use super::search::include;
use crate::service::Service;

pub(super) async fn read(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let (open, update_create) = (service.config.auth.is_none(), service.config.update_create);
    answer::json(StatusCode::OK, &statement(&base_url(&service, &headers), open, update_create))
}

/// The same of the base that speaks R5.
pub(super) async fn r5(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let base = format!("{}{}", origin(&service, &headers), service.config.r5_base.as_deref().unwrap_or_default());
    let name = |text: &str| text.replace("RequestGroup", "RequestOrchestration");
    let mut orchestration = resource(Kind::REQUEST_GROUP, service.config.update_create);
    for list in ["searchInclude", "searchRevInclude"] {
        let names = orchestration[list].as_array().into_iter().flatten().filter_map(Value::as_str);
        orchestration[list] = names.map(name).collect();
    }
    orchestration["type"] = "RequestOrchestration".into();
    if let Some(interactions) = orchestration["interaction"].as_array_mut() {
        interactions.retain(|interaction| interaction["code"] != "patch");
    }
    if let Some(orchestration) = orchestration.as_object_mut() {
        orchestration.shift_remove("operation");
    }
    let mut statement = head(&base, "Orchestrations of requests, which the other base has as RequestGroups");
    statement["fhirVersion"] = "5.0.0".into();
    statement["rest"] = json!([{
        "mode": "server",
        "security": security(service.config.auth.is_none()),
        "resource": [orchestration],
    }]);
    answer::json(StatusCode::OK, &statement)
}

/// The same of the Electronic Prescription Service.
pub(super) async fn eps(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let base = format!("{}{}", origin(&service, &headers), service.config.eps_base.as_deref().unwrap_or_default());
    let interactions = |codes: &[&str]| codes.iter().map(|code| json!({ "code": code })).collect::<Vec<_>>();
    let resource = |kind: &str, codes: &[&str]| json!({ "type": kind, "interaction": interactions(codes) });
    let mut task = resource("Task", &["create", "search-type"]);
    let names = ["identifier", "focus:identifier", "patient:identifier", "business-status", "authored-on"];
    task["searchParam"] = names
        .iter()
        .map(|name| json!({ "name": name, "type": if *name == "authored-on" { "date" } else { "token" } }))
        .collect();
    task["operation"] = json!([named_operation(&base, "release", "A dispenser takes prescriptions")]);
    let mut statement = head(&base, "Prescriptions, as the NHS Electronic Prescription Service does them");
    statement["rest"] = json!([{
        "mode": "server",
        "security": security(service.config.auth.is_none()),
        "resource": [task, resource("Claim", &["create"]), resource("RequestGroup", &["read", "search-type"])],
        "operation": [
            named_operation(&base, "prepare", "What a prescriber is to sign"),
            named_operation(&base, "process-message", &format!("Events: {}", events().join(", "))),
        ],
    }]);
    answer::json(StatusCode::OK, &statement)
}

/// The same of the Prescription Status Update service.
pub(super) async fn psu(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let base = format!("{}{}", origin(&service, &headers), service.config.psu_base.as_deref().unwrap_or_default());
    let mut statement = head(&base, "What pharmacies do with a prescription's items");
    statement["rest"] = json!([{
        "mode": "server",
        "security": security(service.config.auth.is_none()),
        "interaction": [{ "code": "transaction", "documentation": "Tasks, each with a businessStatus" }],
    }]);
    answer::json(StatusCode::OK, &statement)
}

/// The same of the E-Rezept.
pub(super) async fn erp(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let base = format!("{}{}", origin(&service, &headers), service.config.erp_base.as_deref().unwrap_or_default());
    let operations = ["create", "activate", "accept", "reject", "dispense", "close", "abort"];
    let operations =
        operations.map(|name| named_operation(&base, name, "on a Task, called by its prescription's number"));
    let mut statement = head(&base, "Prescriptions, as gematik's E-Rezept does them");
    statement["rest"] = json!([{
        "mode": "server",
        "security": security(service.config.auth.is_none()),
        "resource": [{ "type": "Task", "interaction": [{ "code": "read" }], "operation": operations }],
    }]);
    answer::json(StatusCode::OK, &statement)
}

/// The same of the e-Referral Service.
pub(super) async fn ers(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let base = format!("{}{}", origin(&service, &headers), service.config.ers_base.as_deref().unwrap_or_default());
    let interactions = |codes: &[&str]| codes.iter().map(|code| json!({ "code": code })).collect::<Vec<_>>();
    let resource = |kind: &str, codes: &[&str]| json!({ "type": kind, "interaction": interactions(codes) });
    let searched = |kind: &str, codes: &[&str], names: &[(&str, &str)]| {
        let mut resource = resource(kind, codes);
        let param = |(name, kind): &(&str, &str)| json!({ "name": name, "type": kind });
        resource["searchParam"] = names.iter().map(param).collect();
        resource
    };
    let names = [("identifier", "token")];
    let mut request = searched("ServiceRequest", &["read", "vread", "update", "search-type"], &names);
    let operations = OPERATIONS.iter().map(|operation| (operation.name, operation.about));
    let operations = operations.chain([("$worklist", "What waits for somebody")]);
    request["operation"] =
        operations.map(|(name, about)| named_operation(&base, name.trim_start_matches('$'), about)).collect();
    let focus = [("focus", "reference"), ("intent", "token"), ("status", "token")];
    let mut resources = vec![
        request,
        searched("Task", &["read", "update", "search-type"], &focus),
        resource("Appointment", &["create", "read", "update"]),
        searched("Slot", &["search-type"], &[("status", "token"), ("schedule.actor:HealthcareService", "reference")]),
        searched("HealthcareService", &["read", "search-type"], &[("_id", "token")]),
        searched("Communication", &["search-type"], &[("based-on", "reference")]),
        resource("Binary", &["create", "read"]),
    ];
    // A letter is read by itself, too.
    let of_event = |kind: &str| if kind == "DocumentReference" { &["create", "read"][..] } else { &["create"][..] };
    resources.extend(EVENTS_OF_REFERRALS.iter().map(|(kind, _)| resource(kind, of_event(kind))));
    let mut statement = head(&base, "Referrals, as the NHS e-Referral Service does them");
    statement["rest"] = json!([{
        "mode": "server",
        "security": security(service.config.auth.is_none()),
        "resource": resources,
    }]);
    answer::json(StatusCode::OK, &statement)
}

fn events() -> Vec<&'static str> {
    EVENTS.iter().map(|event| event.code).collect()
}

fn named_operation(base: &str, name: &str, documentation: &str) -> Value {
    json!({
        "name": name,
        "definition": format!("{base}/OperationDefinition/{name}"),
        "documentation": documentation,
    })
}

fn security(open: bool) -> Value {
    if open {
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
    }
}

fn head(base: &str, description: &str) -> Value {
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": BUILT,
        "kind": "instance",
        "software": { "name": "FHIR workflow hub", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": description, "url": base },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
    })
}

fn statement(base: &str, open: bool, update_create: bool) -> Value {
    let mut statement = head(base, "A broker of orders, Tasks and their fulfilment");
    statement["patchFormat"] =
        json!(["application/json-patch+json", "application/fhir+json", "application/merge-patch+json"]);
    statement["rest"] = json!([{
        "mode": "server",
        "security": security(open),
        "resource": Kind::ALL.iter().map(|kind| resource(*kind, update_create)).collect::<Vec<_>>(),
        "interaction": [
            { "code": "transaction" }, { "code": "batch" }, { "code": "history-system" }, { "code": "search-system" },
        ],
        "documentation": SEARCHES,
        "operation": [
            operation(base),
            named_operation(base, "submit", "A request, and who is called back when its order has ended"),
            named_operation(base, "process-message", &format!("Events: {}, {}", order::EVENT, events().join(", "))),
            named_operation(base, "prepare", "What a prescriber is to sign"),
            named_operation(base, "release", "A dispenser takes prescriptions: [base]/Task/$release"),
        ],
    }]);
    statement
}

/// What a CapabilityStatement has no element for.
const SEARCHES: &str = "Searches take chains and _has, _include and _revinclude (also :iterate), _sort, _count, _total, \
    _summary and _elements; over several types, _type names them";

/// The day of this release: a CapabilityStatement must say when it was last changed.
const BUILT: &str = "2026-11-23";

fn resource(kind: Kind, update_create: bool) -> Value {
    let codes =
        ["create", "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "search-type"];
    let own = params(kind).map(|param| {
        let kind = match param.kind {
            ParamType::Token => "token",
            ParamType::Reference => "reference",
            ParamType::Date => "date",
            ParamType::Uri => "uri",
            ParamType::String => "string",
            ParamType::Number => "number",
            ParamType::Quantity => "quantity",
            ParamType::Composite => "composite",
        };
        json!({ "name": param.name, "type": kind })
    });
    let common = [json!({ "name": "_id", "type": "token" }), json!({ "name": "_lastUpdated", "type": "date" })];
    let [includes, revincludes] = include::offered(kind);
    let mut operations = vec![json!({
        "name": "validate",
        "definition": "http://hl7.org/fhir/OperationDefinition/Resource-validate",
    })];
    if matches!(kind.name(), "PlanDefinition" | "ActivityDefinition") {
        let definition = format!("http://hl7.org/fhir/OperationDefinition/{kind}-apply");
        operations.push(json!({ "name": "apply", "definition": definition }));
    }
    if matches!(kind, Kind::PLAN_DEFINITION | Kind::REQUEST_GROUP) {
        operations.push(json!({
            "name": "graph",
            "definition": "urn:fhir-workflow-hub:operation:graph",
            "documentation": "[base]/[type]/[id]/$graph?as=json|mermaid|svg: what waits for what",
        }));
    }
    json!({
        "type": kind.name(),
        "interaction": codes.iter().map(|code| json!({ "code": code })).collect::<Vec<_>>(),
        "versioning": "versioned-update",
        "readHistory": true,
        "updateCreate": update_create,
        "conditionalCreate": true,
        "conditionalRead": "full-support",
        "conditionalUpdate": true,
        "conditionalDelete": "single",
        "referencePolicy": ["literal", "logical", "local"],
        "operation": operations,
        "searchInclude": includes,
        "searchRevInclude": revincludes,
        "searchParam": common.into_iter().chain(own).collect::<Vec<_>>(),
    })
}

fn operation(base: &str) -> Value {
    json!({
        "name": "order-status",
        "definition": format!("{base}/OperationDefinition/order-status"),
        "documentation": "Where an order stands: [base]/[type]/[id]/$order-status, or [base]/$order-status?identifier=, or ?group= for all that share a number",
    })
}
