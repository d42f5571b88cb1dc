//! The surface of gematik's E-Rezept: operations on Tasks that are called by the number of their prescription.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
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
use super::doors::Says::{Does, Nothing};
use super::doors::{Doors, Operation};
use super::messaging::{execute_ask, plain, take};
use super::write::demand_role;
use super::{gatekeeper, metadata};
use crate::service::Service;

pub(super) fn doors() -> Doors {
    Doors::new()
        .get("/metadata", Nothing, metadata::erp)
        .post("/Task/$create", Operation::new("create", "A prescription's number"), create)
        .get("/Task/{number}", Does("read"), read)
        .post("/Task/{number}/$activate", Operation::new("activate", "It is signed, and can be dispensed"), activate)
        .post("/Task/{number}/$accept", Operation::new("accept", "A pharmacy takes it"), accept)
        .post("/Task/{number}/$reject", Operation::new("reject", "The pharmacy gives it back"), reject)
        .post("/Task/{number}/$dispense", Operation::new("dispense", "What was dispensed so far"), dispense)
        .post("/Task/{number}/$close", Operation::new("close", "All is dispensed: the receipt"), close)
        .post("/Task/{number}/$abort", Operation::new("abort", "It is deleted"), abort)
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
struct Call {
    service: Arc<Service>,
    caller: Caller,
    headers: HeaderMap,
    /// Of the prescription; none for a new one.
    number: Option<String>,
    query: String,
}

impl FromRequestParts<Arc<Service>> for Call {
    type Rejection = ErpNo;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, ErpNo> {
        let number = Path::<String>::from_request_parts(parts, service).await.ok().map(|Path(number)| number);
        if number.as_ref().is_some_and(|number| !erp::is_number(number)) {
            return Err(No::not_found("this is no prescription's number").into());
        }
        Ok(Self {
            service: service.clone(),
            caller: gatekeeper::caller_of(parts)?,
            headers: parts.headers.clone(),
            number,
            query: parts.uri.query().unwrap_or_default().to_owned(),
        })
    }
}

impl Call {
    fn parameter(&self, name: &str) -> Option<String> {
        content::form(&self.query).into_iter().find(|(given, _)| given == name).map(|(_, value)| value)
    }

    /// The code by which the caller proves itself, wherever it stands.
    fn code(&self) -> Option<String> {
        let header = self.headers.get("x-accesscode").and_then(|value| value.to_str().ok()).map(str::to_owned);
        header.or_else(|| self.parameter("secret")).or_else(|| self.parameter("ac"))
    }

    async fn asks(&self, wish: Wish, body: &[u8]) -> Result<Answer, ErpNo> {
        let (number, code) = (self.number.clone(), self.code());
        // The first answer is told again to who wants the same of the same prescription, and proves itself again.
        let parts = [wish.name(), number.as_deref().unwrap_or_default(), code.as_deref().unwrap_or_default()];
        let whole = [parts.join(" ").as_bytes(), body].concat();
        let repeat = content::repeat_by_request_id(&self.headers, &self.caller, "erp", &whole)?;
        let random = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let ask = erp::Ask { wish, number, code, random };
        Ok(execute_ask(&self.service, self.caller.clone(), repeat, Ask::Erp(Box::new(ask))).await?)
    }

    /// Of a request without a body.
    async fn asks_plainly(&self, wish: Wish) -> Result<Answer, ErpNo> {
        self.asks(wish, b"").await
    }

    fn base(&self) -> String {
        let base = self.service.config.erp_base.as_deref().unwrap_or_default();
        format!("{}{base}", content::origin(&self.service, &self.headers))
    }

    /// Where an answer comes from. Without a code: it would be one more place from which that could be read.
    fn link(&self, operation: &str) -> Value {
        let number = self.number.as_deref().unwrap_or_default();
        json!([{ "relation": "self", "url": format!("{}/Task/{number}{operation}", self.base()) }])
    }

    /// The Task, and what belongs to it.
    fn collection(&self, operation: &str, parts: Vec<Value>) -> Response {
        let entry = |part: Value| {
            let (kind, id) = (&part["resourceType"], part["id"].as_str().unwrap_or_default());
            let url = if kind == "Task" { format!("{}/Task/{id}", self.base()) } else { format!("urn:uuid:{id}") };
            json!({ "fullUrl": url, "resource": part })
        };
        let bundle = json!({
            "resourceType": "Bundle",
            "id": Uuid::new_v4(),
            "type": "collection",
            "timestamp": self.service.now().to_string(),
            "link": self.link(operation),
            "entry": parts.into_iter().map(entry).collect::<Vec<_>>(),
        });
        answer::json(StatusCode::OK, &bundle)
    }
}

async fn create(call: Call, body: Body) -> Result<Response, ErpNo> {
    demand_role(&call.caller, Role::Placer)?;
    let (parameters, bytes) = take(&call.service, &call.headers, body, "Parameters").await?;
    Ok(plain(&call.asks(erp::read_create(&parameters)?, &bytes).await?))
}

async fn activate(call: Call, body: Body) -> Result<Response, ErpNo> {
    demand_role(&call.caller, Role::Placer)?;
    let (parameters, bytes) = take(&call.service, &call.headers, body, "Parameters").await?;
    Ok(plain(&call.asks(erp::read_activate(&parameters)?, &bytes).await?))
}

/// The pharmacy gets the signed prescription, and the secret by which it goes on.
async fn accept(call: Call) -> Result<Response, ErpNo> {
    demand_role(&call.caller, Role::Filler)?;
    let answer = call.asks_plainly(Wish::Accept { pharmacy: telematik_id(&call.caller, &call.headers) }).await?;
    if answer.outcome != Outcome::Accepted {
        return Ok(plain(&answer));
    }
    let mut parts = vec![answer.body];
    let document = erp::document_key(erp::root_of(call.number.as_deref().unwrap_or_default()));
    for stored in call.service.registry.read(&[document]).await? {
        let mut document: Value = serde_json::from_slice(&stored.body).unwrap_or_default();
        document["meta"]["profile"] = json!(["https://gematik.de/fhir/erp/StructureDefinition/GEM_ERP_PR_Binary|1.4"]);
        parts.push(document);
    }
    Ok(call.collection("/$accept", parts))
}

/// Whose token it is; without authentication, who it says it is.
fn telematik_id(caller: &Caller, headers: &HeaderMap) -> String {
    let said = headers.get("x-telematik-id").and_then(|value| value.to_str().ok());
    match caller {
        Caller::Known { organization, .. } => organization.trim_start_matches("Organization/").to_owned(),
        Caller::Local | Caller::Hub => said.unwrap_or("local").to_owned(),
    }
}

async fn reject(call: Call) -> Result<Response, ErpNo> {
    demand_role(&call.caller, Role::Filler)?;
    Ok(plain(&call.asks_plainly(Wish::Reject).await?))
}

async fn abort(call: Call) -> Result<Response, ErpNo> {
    Ok(plain(&call.asks_plainly(Wish::Abort).await?))
}

async fn dispense(call: Call, body: Body) -> Result<Response, ErpNo> {
    let (dispenses, bytes) = dispensed(&call, body).await?;
    Ok(plain(&call.asks(Wish::Dispense { dispenses }, &bytes).await?))
}

/// The receipt, with which a pharmacy is paid.
async fn close(call: Call, body: Body) -> Result<Response, ErpNo> {
    let (dispenses, bytes) = dispensed(&call, body).await?;
    let mut answer = call.asks(Wish::Close { dispenses }, &bytes).await?;
    answer.body["link"] = call.link("/$close");
    Ok(plain(&answer))
}

/// What a body tells of dispenses. It may be empty where they were told before.
async fn dispensed(call: &Call, body: Body) -> Result<(Vec<Resource>, Vec<u8>), No> {
    demand_role(&call.caller, Role::Filler)?;
    let bytes = content::bytes(&call.service, body).await?;
    if bytes.is_empty() {
        return Ok((Vec::new(), bytes));
    }
    content::demand_type(&call.headers, &RESOURCE_TYPES)?;
    let sent = super::messaging::parse(&bytes)?;
    schemas::gate::check(&sent, None).map_err(No::bad_request)?;
    Ok((erp::read_dispenses(&sent), bytes))
}

/// The Task, for who has one of its codes.
async fn read(call: Call) -> Result<Response, ErpNo> {
    let root = erp::root_of(call.number.as_deref().unwrap_or_default());
    let needs = Needs { roots: vec![root], ..Needs::default() };
    let (mut scenes, _) = call.service.registry.load(&[needs]).await?;
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
        receipt["link"] = call.link("/$close");
        parts.push(receipt);
    }
    Ok(call.collection("", parts))
}
