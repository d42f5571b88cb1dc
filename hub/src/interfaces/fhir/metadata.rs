//! `/metadata`: what each base really offers. Types, interactions and operations are told by its doors, and search
//! parameters by the tables that the code reads searches by: nothing of that is written here.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::query::{Param, ParamType, params};
use schemas::resource::Kind;
use serde_json::{Map, Value, json};

use super::answer;
use super::content::{PATCH_TYPES, origin};
use super::doors::{Door, Doors, Says, Searched};
use super::r5::{self, HERE, THERE};
use super::search::include;
use super::{eps, erp, ers, psu};
use crate::config::Config;
use crate::service::Service;

pub(super) async fn read(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let about = "A broker of orders, Tasks and their fulfilment";
    let mut told = statement(&service, &headers, &service.config.base, about, &super::doors());
    told["patchFormat"] = json!(PATCH_TYPES);
    keeps(&mut told, &service.config);
    told["rest"][0]["documentation"] = SEARCHES.into();
    let of_several = OF_EVERY_SEARCH.map(|name| json!({ "name": name, "type": "special" }));
    told["rest"][0]["searchParam"] = of_several.into_iter().collect();
    answer::json(StatusCode::OK, &told)
}

/// The same of the base that speaks R5.
pub(super) async fn r5(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let about = "Orchestrations of requests, which the other base has as RequestGroups";
    let base = service.config.r5_base.as_deref().unwrap_or_default();
    let mut told = statement(&service, &headers, base, about, &r5::doors());
    told["fhirVersion"] = "5.0.0".into();
    keeps(&mut told, &service.config);
    told["rest"][0]["documentation"] = SEARCHES.into();
    answer::json(StatusCode::OK, &told)
}

/// The same of the Electronic Prescription Service.
pub(super) async fn eps(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let about = "Prescriptions, as the NHS Electronic Prescription Service does them";
    let base = service.config.eps_base.as_deref().unwrap_or_default();
    answer::json(StatusCode::OK, &statement(&service, &headers, base, about, &eps::doors()))
}

/// The same of the Prescription Status Update service.
pub(super) async fn psu(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let about = "What pharmacies do with a prescription's items: Tasks, each with a businessStatus";
    let base = service.config.psu_base.as_deref().unwrap_or_default();
    answer::json(StatusCode::OK, &statement(&service, &headers, base, about, &psu::doors()))
}

/// The same of the E-Rezept.
pub(super) async fn erp(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let about = "Prescriptions, as gematik's E-Rezept does them: a Task is called by its prescription's number";
    let base = service.config.erp_base.as_deref().unwrap_or_default();
    answer::json(StatusCode::OK, &statement(&service, &headers, base, about, &erp::doors()))
}

/// The same of the e-Referral Service.
pub(super) async fn ers(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let about = "Referrals, as the NHS e-Referral Service does them";
    let base = service.config.ers_base.as_deref().unwrap_or_default();
    answer::json(StatusCode::OK, &statement(&service, &headers, base, about, &ers::doors()))
}

/// What a CapabilityStatement has no element for.
const SEARCHES: &str = "Searches take chains and _has, _include and _revinclude (also :iterate). What is put, patched or \
    deleted is named by an id or by a condition";

/// What a search of any type takes beside what it searches by, and `_type` when it is of several.
const OF_EVERY_SEARCH: [&str; 6] = ["_type", "_sort", "_count", "_total", "_summary", "_elements"];

/// The statement of a base with these doors.
fn statement(service: &Service, headers: &HeaderMap, base: &str, about: &str, doors: &Doors) -> Value {
    let mut rest = Map::new();
    rest.insert("mode".into(), "server".into());
    rest.insert("security".into(), security(service.config.auth.is_none()));
    let mut kinds: Vec<&str> = Vec::new();
    for kind in doors.all.iter().flat_map(Door::types) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let of = |kind: &str| doors.all.iter().filter(|door| door.types().contains(&kind)).collect::<Vec<_>>();
    put(&mut rest, "resource", kinds.iter().map(|kind| resource(kind, &of(kind))).collect());
    let of_all: Vec<&Door> = doors.all.iter().filter(|door| door.types().is_empty()).collect();
    put(&mut rest, "interaction", interactions(&of_all));
    put(&mut rest, "operation", operations("", &of_all));
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        // What is offered depends on how the hub is configured, which changes when it starts.
        "date": service.opened.to_string(),
        "kind": "instance",
        "software": { "name": "FHIR workflow hub", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": about, "url": format!("{}{base}", origin(service, headers)) },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/json", "json"],
        "rest": [rest],
    })
}

/// FHIR knows no empty lists.
fn put(into: &mut Map<String, Value>, name: &str, list: Vec<Value>) {
    if !list.is_empty() {
        into.insert(name.into(), list.into());
    }
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

fn resource(kind: &str, doors: &[&Door]) -> Value {
    let mut told = Map::new();
    told.insert("type".into(), kind.into());
    put(&mut told, "interaction", interactions(doors));
    for door in doors {
        match door.says {
            Says::OnFound("update") => told.insert("conditionalUpdate".into(), true.into()),
            Says::OnFound("delete") => told.insert("conditionalDelete".into(), "single".into()),
            _ => None,
        };
    }
    put(&mut told, "operation", operations(kind, doors));
    let searched = doors.iter().find_map(|door| match door.says {
        Says::Does("search-type") => Kind::parse(&kind.replace(HERE, THERE)).map(|of| by_table(of, kind)),
        Says::Finds(searched) => Some(by_few(searched)),
        _ => None,
    });
    for (name, list) in searched.into_iter().flatten() {
        put(&mut told, name, list);
    }
    told.into()
}

/// Each interaction once, whichever doors lead to it.
fn interactions(doors: &[&Door]) -> Vec<Value> {
    let mut codes: Vec<&str> = Vec::new();
    let told = doors.iter().flat_map(|door| match door.says {
        Says::Does(codes) => codes.split(' '),
        Says::Finds(_) => "search-type".split(' '),
        _ => "".split(' '),
    });
    for code in told.filter(|code| !code.is_empty()) {
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    codes.into_iter().map(|code| json!({ "code": code })).collect()
}

/// Each operation once, with all ways to call it.
fn operations(kind: &str, doors: &[&Door]) -> Vec<Value> {
    let mut told: Vec<Value> = Vec::new();
    for door in doors {
        for operation in door.operations(kind) {
            let call = door.call(operation, kind);
            match told.iter_mut().find(|known| known["name"] == operation.name) {
                Some(known) => {
                    known["documentation"] =
                        format!("{}, {call}", known["documentation"].as_str().unwrap_or_default()).into();
                }
                None => told.push(json!({
                    "name": operation.name,
                    "definition": operation.definition(kind),
                    "documentation": format!("{}: {call}", operation.about),
                })),
            }
        }
    }
    told
}

type Lists = Vec<(&'static str, Vec<Value>)>;

/// What a type is searched by, as FHIR has it. `called`: by this base.
fn by_table(kind: Kind, called: &str) -> Lists {
    let named = |names: Vec<String>| names.into_iter().map(|name| name.replace(kind.name(), called).into()).collect();
    let every = [json!({ "name": "_id", "type": "token" }), json!({ "name": "_lastUpdated", "type": "date" })];
    let own = params(kind).map(|param| json!({ "name": param.name, "type": type_of(param) }));
    let [includes, revincludes] = include::offered(kind).map(named);
    vec![
        ("searchInclude", includes),
        ("searchRevInclude", revincludes),
        ("searchParam", every.into_iter().chain(own).collect()),
    ]
}

fn by_few(searched: &Searched) -> Lists {
    let by = searched.by.iter().map(|(name, kind)| json!({ "name": name, "type": kind }));
    let includes = searched.include.iter().map(|include| (*include).into());
    vec![("searchInclude", includes.collect()), ("searchParam", by.collect())]
}

fn type_of(param: &Param) -> &'static str {
    match param.kind {
        ParamType::Token => "token",
        ParamType::Reference => "reference",
        ParamType::Date => "date",
        ParamType::Uri => "uri",
        ParamType::String => "string",
        ParamType::Number => "number",
        ParamType::Quantity => "quantity",
        ParamType::Composite => "composite",
    }
}

/// What holds of every type that is kept, however it is asked for.
fn keeps(statement: &mut Value, config: &Config) {
    let resources = statement["rest"][0]["resource"].as_array_mut().into_iter().flatten();
    for told in resources.filter_map(Value::as_object_mut).filter(|told| told.contains_key("interaction")) {
        let versioning = if config.require_if_match { "versioned-update" } else { "versioned" };
        let more = [
            ("versioning", json!(versioning)),
            ("readHistory", json!(true)),
            ("updateCreate", json!(config.update_create)),
            ("conditionalCreate", json!(true)),
            ("conditionalRead", json!("full-support")),
            ("referencePolicy", json!(["literal", "logical"])),
        ];
        told.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
}
