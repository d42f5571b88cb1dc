//! Orchestrations in the shape of FHIR R5. The hub has them as R4's RequestGroups: what comes in here is held against
//! R5's definitions and goes on in R4's shape, the way of every other request; the answer comes back in R5's.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, LOCATION};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use hub_domain::command::Caller;
use schemas::gate;
use schemas::outcome::Issue;
use serde_json::Value;
use tower::ServiceExt as _;

use super::answer::{self, No};
use super::content::{self, R5, RESOURCE_TYPES};
use super::doors::Doors;
use super::doors::Says::{Does, Nothing, OnFound};
use super::{apply, graph, metadata, resources};
use crate::config::Config;
use crate::service::Service;

/// What R5 and R4 call them.
pub(super) const HERE: &str = "RequestOrchestration";
pub(super) const THERE: &str = "RequestGroup";

/// Whether a path is below the base that speaks R5.
pub(super) fn is_below(config: &Config, path: &str) -> bool {
    let rest = config.r5_base.as_deref().and_then(|base| path.strip_prefix(base));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn doors() -> Doors {
    Doors::new()
        .get("/metadata", Nothing, metadata::r5)
        .post("/RequestOrchestration", Does("create"), through)
        .get("/RequestOrchestration", Does("search-type"), through)
        .put("/RequestOrchestration", OnFound("update"), through)
        .delete("/RequestOrchestration", OnFound("delete"), through)
        .post("/RequestOrchestration/_search", Does("search-type"), through)
        .get("/RequestOrchestration/_history", Does("history-type"), through)
        .get("/RequestOrchestration/{id}", Does("read"), through)
        .put("/RequestOrchestration/{id}", Does("update"), through)
        .delete("/RequestOrchestration/{id}", Does("delete"), through)
        .get("/RequestOrchestration/{id}/$graph", graph(), through)
        .get("/RequestOrchestration/{id}/_history", Does("history-instance"), through)
        .get("/RequestOrchestration/{id}/_history/{version}", Does("vread"), through)
        .get("/PlanDefinition/{id}/$apply", super::apply(), apply::plan_in_r5)
        .post("/PlanDefinition/{id}/$apply", super::apply(), apply::plan_in_r5)
        .get("/ActivityDefinition/{id}/$apply", super::apply(), apply::activity_in_r5)
        .post("/ActivityDefinition/{id}/$apply", super::apply(), apply::activity_in_r5)
        .elsewhere(elsewhere)
}

async fn elsewhere(State(service): State<Arc<Service>>) -> Response {
    let base = &service.config.base;
    No::not_found(format!("this base has RequestOrchestration and $apply; everything else is below {base}"))
        .into_response()
}

async fn through(State(service): State<Arc<Service>>, request: Request) -> Result<Response, No> {
    let names = Names::of(&service, &request);
    let (mut head, body) = request.into_parts();
    let is_form = head.uri.path().ends_with("/_search");
    let body = match head.method {
        Method::POST if is_form => {
            let form = content::bytes(&service, body).await?;
            Body::from(String::from_utf8_lossy(&form).replace(HERE, THERE))
        }
        Method::POST | Method::PUT => {
            content::demand_type_of(&head.headers, &RESOURCE_TYPES, &R5)?;
            let sent = content::bytes(&service, body).await?;
            head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer::FHIR_JSON));
            Body::from(in_r4(&sent)?)
        }
        _ => body,
    };
    head.headers.remove(CONTENT_LENGTH);
    head.uri = in_r4_uri(&head.uri)?;
    // The route that led here has left its own marks.
    let caller = head.extensions.get::<Caller>().cloned();
    head.extensions.clear();
    caller.map(|caller| head.extensions.insert(caller));
    let Ok(response) = resources().with_state(service).oneshot(Request::from_parts(head, body)).await;
    Ok(names.shown(response).await)
}

fn in_r4_uri(uri: &Uri) -> Result<Uri, No> {
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str).replace(HERE, THERE);
    path.parse().map_err(|_| No::not_found("there is nothing at this path"))
}

/// The body in R4's shape; refused as R5 or, for what cannot be kept, as what R4 takes.
fn in_r4(sent: &[u8]) -> Result<Vec<u8>, No> {
    let sent = gate::parse(sent, &gate::Limits::default()).map_err(No::bad_request)?;
    let refused = |faults| No(StatusCode::UNPROCESSABLE_ENTITY, faults);
    gate::check_r5(&sent, Some(HERE)).map_err(refused)?;
    let kept = gate::to_r4(&sent);
    gate::check(&kept, Some(THERE)).map_err(|faults| refused(faults.into_iter().map(not_kept).collect()))?;
    Ok(Value::Object(kept).to_string().into_bytes())
}

fn not_kept(fault: Issue) -> Issue {
    let text = format!("in the shape of R4, in which it is kept: {}", fault.text);
    Issue::error(fault.code, gate::path_in_r5(&fault.path), text)
}

/// What addresses are called at this base and at the other.
struct Names {
    here: String,
    there: String,
}

impl Names {
    fn of(service: &Service, request: &Request) -> Self {
        let origin = content::origin(service, request.headers());
        let base = service.config.r5_base.as_deref().unwrap_or_default();
        Self { here: format!("{origin}{base}/{HERE}"), there: format!("{origin}{}/{THERE}", service.config.base) }
    }

    fn address(&self, text: &str) -> String {
        text.replace(&self.there, &self.here).replace(THERE, HERE)
    }

    /// An answer, with all that is of R4 in it said in R5.
    async fn shown(&self, response: Response) -> Response {
        let (mut head, body) = response.into_parts();
        for name in [LOCATION, CONTENT_LOCATION] {
            self.header(&mut head.headers, &name);
        }
        // Our own answer, which is in memory whole.
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let Ok(Value::Object(told)) = serde_json::from_slice(&body) else {
            return Response::from_parts(head, Body::from(body));
        };
        head.headers.remove(CONTENT_LENGTH);
        let mut told = Value::Object(told);
        self.say(&mut told);
        Response::from_parts(head, Body::from(told.to_string()))
    }

    fn header(&self, headers: &mut HeaderMap, name: &HeaderName) {
        let said = headers.get(name).and_then(|value| value.to_str().ok()).map(|text| self.address(text));
        if let Some(said) = said.and_then(|said| HeaderValue::from_str(&said).ok()) {
            headers.insert(name, said);
        }
    }

    fn say(&self, told: &mut Value) {
        match told["resourceType"].as_str() {
            Some(THERE) => {
                if let Value::Object(group) = &*told {
                    *told = gate::to_r5(group).into();
                }
            }
            Some("Bundle") => {
                each(told, "link", &|link| self.rename(link, "/url"));
                each(told, "entry", &|entry| {
                    for place in ["/fullUrl", "/request/url", "/response/location"] {
                        self.rename(entry, place);
                    }
                    if let Some(resource) = entry.get_mut("resource") {
                        self.say(resource);
                    }
                });
            }
            Some("OperationOutcome") => each(told, "issue", &|issue| {
                self.rename(issue, "/diagnostics");
                each(issue, "expression", &|path| {
                    *path = gate::path_in_r5(path.as_str().unwrap_or_default()).into();
                });
            }),
            _ => {}
        }
    }

    fn rename(&self, within: &mut Value, place: &str) {
        if let Some(Value::String(text)) = within.pointer_mut(place) {
            *text = self.address(text);
        }
    }
}

fn each(within: &mut Value, list: &str, change: &dyn Fn(&mut Value)) {
    within.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().for_each(change);
}
