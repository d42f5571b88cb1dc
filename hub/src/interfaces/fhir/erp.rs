//! The surface of gematik's E-Rezept: operations on Tasks that are called by the number of their prescription.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use hub_domain::command::{Caller, Role};
use hub_domain::scene::Needs;
use hub_domain::workflows::erp::{self, Wish};
use hub_domain::workflows::{Answer, Ask, Outcome, Record};
use schemas::outcome::IssueType;
use schemas::resource::Body as Resource;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{self, No};
use super::content::{self, RESOURCE_TYPES};
use super::messaging::{execute_ask, plain, take};
use super::write::demand_role;
use super::{gatekeeper, metadata};
use crate::service::Service;

pub(super) fn router() -> Router<Arc<Service>> {
    Router::new()
        .route("/metadata", get(metadata::erp))
        .route("/Task/$create", post(create))
        .route("/Task/{number}", get(read))
        .route("/Task/{number}/$activate", post(activate))
        .route("/Task/{number}/$accept", post(accept))
        .route("/Task/{number}/$reject", post(reject))
        .route("/Task/{number}/$dispense", post(dispense))
        .route("/Task/{number}/$close", post(close))
        .route("/Task/{number}/$abort", post(abort))
        .fallback(gatekeeper::unknown_path)
        .method_not_allowed_fallback(gatekeeper::method_not_allowed)
}

/// A no in the words of this service.
struct ErpNo(No);

impl<N: Into<No>> From<N> for ErpNo {
    fn from(no: N) -> Self {
        Self(no.into())
    }
}

impl IntoResponse for ErpNo {
    fn into_response(self) -> Response {
        let No(status, issues) = self.0;
        if status.is_server_error() {
            return No(status, issues).into_response();
        }
        answer::json(status, &erp::told(&issues))
    }
}

/// What every operation brings.
struct Call<'c> {
    service: &'c Service,
    caller: Caller,
    headers: &'c HeaderMap,
    query: Option<String>,
}

impl Call<'_> {
    fn parameter(&self, name: &str) -> Option<String> {
        let mut all = content::form(self.query.as_deref().unwrap_or_default()).into_iter();
        all.find(|(given, _)| given == name).map(|(_, value)| value)
    }

    /// The code by which the caller proves itself, wherever it stands.
    fn code(&self) -> Option<String> {
        let header = self.headers.get("x-accesscode").and_then(|value| value.to_str().ok()).map(str::to_owned);
        header.or_else(|| self.parameter("secret")).or_else(|| self.parameter("ac"))
    }

    async fn asks(self, number: Option<String>, wish: Wish, body: &[u8]) -> Result<Answer, ErpNo> {
        if number.as_ref().is_some_and(|number| !erp::is_number(number)) {
            return Err(No::not_found("this is no prescription's number").into());
        }
        let repeat = content::repeat_by_request_id(self.headers, &self.caller, "erp", body)?;
        let random = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let ask = erp::Ask { wish, number, code: self.code(), random };
        Ok(execute_ask(self.service, self.caller, repeat, Ask::Erp(Box::new(ask))).await?)
    }
}

async fn create(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ErpNo> {
    demand_role(&caller, Role::Placer)?;
    let (parameters, bytes) = take(&service, &headers, body, "Parameters").await?;
    let wish = erp::read_create(&parameters)?;
    let call = Call { service: &service, caller, headers: &headers, query: None };
    Ok(plain(&call.asks(None, wish, &bytes).await?))
}

async fn activate(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ErpNo> {
    demand_role(&caller, Role::Placer)?;
    let (parameters, bytes) = take(&service, &headers, body, "Parameters").await?;
    let wish = erp::read_activate(&parameters)?;
    let call = Call { service: &service, caller, headers: &headers, query };
    Ok(plain(&call.asks(Some(number), wish, &bytes).await?))
}

/// The pharmacy gets the signed prescription, and the secret by which it goes on.
async fn accept(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ErpNo> {
    demand_role(&caller, Role::Filler)?;
    let wish = Wish::Accept { pharmacy: telematik_id(&caller, &headers) };
    let call = Call { service: &service, caller, headers: &headers, query };
    let answer = call.asks(Some(number.clone()), wish, number.as_bytes()).await?;
    if answer.outcome != Outcome::Accepted {
        return Ok(plain(&answer));
    }
    let mut parts = vec![answer.body];
    for stored in service.registry.read(&[erp::document_key(erp::root_of(&number))]).await? {
        let mut document: Value = serde_json::from_slice(&stored.body).unwrap_or_default();
        document["meta"]["profile"] = json!(["https://gematik.de/fhir/erp/StructureDefinition/GEM_ERP_PR_Binary|1.4"]);
        parts.push(document);
    }
    let link = link(&service, &headers, &number, "/$accept");
    Ok(answer::json(StatusCode::OK, &collection(&service, &headers, link, parts)))
}

/// Whose token it is; without authentication, who it says it is.
fn telematik_id(caller: &Caller, headers: &HeaderMap) -> String {
    let said = headers.get("x-telematik-id").and_then(|value| value.to_str().ok());
    match caller {
        Caller::Known { organization, .. } => organization.trim_start_matches("Organization/").to_owned(),
        Caller::Local | Caller::Hub => said.unwrap_or("local").to_owned(),
    }
}

async fn reject(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ErpNo> {
    demand_role(&caller, Role::Filler)?;
    let call = Call { service: &service, caller, headers: &headers, query };
    Ok(plain(&call.asks(Some(number.clone()), Wish::Reject, number.as_bytes()).await?))
}

async fn abort(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ErpNo> {
    let call = Call { service: &service, caller, headers: &headers, query };
    Ok(plain(&call.asks(Some(number.clone()), Wish::Abort, number.as_bytes()).await?))
}

async fn dispense(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ErpNo> {
    let (dispenses, bytes) = dispensed(&service, &caller, &headers, body).await?;
    let call = Call { service: &service, caller, headers: &headers, query };
    Ok(plain(&call.asks(Some(number), Wish::Dispense { dispenses }, &bytes).await?))
}

/// The receipt, with which a pharmacy is paid.
async fn close(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ErpNo> {
    let (dispenses, bytes) = dispensed(&service, &caller, &headers, body).await?;
    let call = Call { service: &service, caller, headers: &headers, query };
    let mut answer = call.asks(Some(number.clone()), Wish::Close { dispenses }, &bytes).await?;
    answer.body["link"] = link(&service, &headers, &number, "/$close");
    Ok(plain(&answer))
}

/// What a body tells of dispenses. It may be empty where they were told before.
async fn dispensed(
    service: &Service,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Vec<Resource>, Vec<u8>), No> {
    demand_role(caller, Role::Filler)?;
    let bytes = content::bytes(service, body).await?;
    if bytes.is_empty() {
        return Ok((Vec::new(), bytes));
    }
    content::demand_type(headers, &RESOURCE_TYPES)?;
    let sent = super::messaging::parse(&bytes)?;
    schemas::gate::check(&sent, None).map_err(No::bad_request)?;
    Ok((erp::read_dispenses(&sent), bytes))
}

/// The Task, for who has one of its codes.
async fn read(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ErpNo> {
    let call = Call { service: &service, caller, headers: &headers, query };
    let root = erp::root_of(&number);
    let needs = Needs { roots: vec![root], ..Needs::default() };
    let (mut scenes, _) = service.registry.load(&[needs]).await?;
    let head = scenes.pop().and_then(|mut scene| scene.heads.remove(&root));
    let gone = || No::new(StatusCode::GONE, IssueType::Deleted, "the prescription was deleted");
    let Some(head) = head else { return Err(No::not_found("there is no such prescription").into()) };
    let Some(Record::Erp(record)) = head.run.and_then(|run| run.record) else { return Err(gone().into()) };
    let code = call.code();
    let (access, secret) = (code.as_ref() == Some(&record.access_code), code.is_some() && code == record.secret);
    if !access && !secret {
        let text = "the code does not open this prescription";
        return Err(No::new(StatusCode::FORBIDDEN, IssueType::Forbidden, text).into());
    }
    if record.status == schemas::task::TaskStatus::Cancelled {
        return Err(gone().into());
    }
    let mut parts = vec![erp::task(&record, true, secret)];
    if secret && record.status == schemas::task::TaskStatus::Completed {
        let mut receipt = erp::receipt(&record);
        receipt["link"] = link(&service, &headers, &number, "/$close");
        parts.push(receipt);
    }
    let link = link(&service, &headers, &number, "");
    Ok(answer::json(StatusCode::OK, &collection(&service, &headers, link, parts)))
}

fn base(service: &Service, headers: &HeaderMap) -> String {
    format!("{}{}", content::origin(service, headers), service.config.erp_base.as_deref().unwrap_or_default())
}

/// Where an answer comes from. Without a code: it would be one more place from which that could be read.
fn link(service: &Service, headers: &HeaderMap, number: &str, operation: &str) -> Value {
    json!([{ "relation": "self", "url": format!("{}/Task/{number}{operation}", base(service, headers)) }])
}

/// The Task, and what belongs to it.
fn collection(service: &Service, headers: &HeaderMap, link: Value, parts: Vec<Value>) -> Value {
    let entry = |part: Value| {
        let (kind, id) = (&part["resourceType"], part["id"].as_str().unwrap_or_default());
        let url =
            if kind == "Task" { format!("{}/Task/{id}", base(service, headers)) } else { format!("urn:uuid:{id}") };
        json!({ "fullUrl": url, "resource": part })
    };
    json!({
        "resourceType": "Bundle",
        "id": Uuid::new_v4(),
        "type": "collection",
        "timestamp": service.now().to_string(),
        "link": link,
        "entry": parts.into_iter().map(entry).collect::<Vec<_>>(),
    })
}
