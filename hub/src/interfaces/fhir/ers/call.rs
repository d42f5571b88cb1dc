//! What every request of the service brings: who calls, in which role, for which organisation; and how it is answered.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hub_domain::command::{Caller, Role};
use hub_domain::scene::Needs;
use hub_domain::workflows::ers::table::{Role as Function, Side};
use hub_domain::workflows::ers::{self, Of, Record as Referral, Speaker, Wish};
use hub_domain::workflows::{Answer, Ask, Outcome, Record};
use schemas::gate;
use schemas::outcome::{Issue, IssueType, operation_outcome};
use schemas::resource::{Body as Resource, Key};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::answer::{self, No};
use super::super::content::{self, RESOURCE_TYPES};
use super::super::doors::Searched;
use super::super::gatekeeper::caller_of;
use super::super::messaging::{execute_ask, parse};
use super::super::write::demand_role;
use crate::service::Service;

const HTTP_ERRORS: &str = "https://fhir.nhs.uk/CodeSystem/http-error-codes";

/// A no in the words of this service: each issue has a code of its own.
pub(super) struct ErsNo(pub(super) No);

impl<N: Into<No>> From<N> for ErsNo {
    fn from(no: N) -> Self {
        Self(no.into())
    }
}

impl IntoResponse for ErsNo {
    fn into_response(self) -> Response {
        let No(status, issues) = self.0;
        let code = match status {
            StatusCode::FORBIDDEN => "REC_FORBIDDEN",
            StatusCode::NOT_FOUND | StatusCode::GONE => "REC_NOT_FOUND",
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => "REC_CONFLICT",
            StatusCode::NOT_ACCEPTABLE => "REC_NOT_ACCEPTABLE",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "REC_UNSUPPORTED_MEDIA_TYPE",
            StatusCode::SERVICE_UNAVAILABLE => "REC_UNAVAILABLE",
            status if status.is_server_error() => "REC_SERVER_ERROR",
            _ => "REC_BAD_REQUEST",
        };
        let named = |issue: Issue| if issue.coding.is_some() { issue } else { issue.called(HTTP_ERRORS, code) };
        let issues: Vec<Issue> = issues.into_iter().map(named).collect();
        let mut response = No(status, issues.clone()).into_response();
        *response.body_mut() = Body::from(operation_outcome(&issues).to_string());
        response
    }
}

/// What every operation brings.
pub(super) struct Call {
    pub(super) service: Arc<Service>,
    pub(super) caller: Caller,
    pub(super) by: Speaker,
    pub(super) headers: HeaderMap,
    pub(super) query: String,
}

impl FromRequestParts<Arc<Service>> for Call {
    type Rejection = ErsNo;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, ErsNo> {
        let caller = caller_of(parts)?;
        let by = speaker(&caller, &parts.headers)?;
        Ok(Self {
            service: service.clone(),
            caller,
            by,
            headers: parts.headers.clone(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
        })
    }
}

/// In which role, and for whom. A token says for whom; without one the header does.
fn speaker(caller: &Caller, headers: &HeaderMap) -> Result<Speaker, ErsNo> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
    let role = text("nhsd-ers-business-function").and_then(Function::parse);
    let unknown = || {
        let text = format!("NHSD-eRS-Business-Function is one of {}", Function::CODES.join(", "));
        No::new(StatusCode::FORBIDDEN, IssueType::Forbidden, text)
    };
    let role = role.ok_or_else(unknown)?;
    demand_role(caller, if role.side() == Side::Referrer { Role::Placer } else { Role::Filler })?;
    let of_token = match caller {
        Caller::Known { organization, .. } => organization.strip_prefix("Organization/"),
        Caller::Local | Caller::Hub => None,
    };
    let named = text("nhsd-end-user-organisation-ods").or(of_token);
    let nobody = || {
        let text = "NHSD-End-User-Organisation-ODS says for which organisation this is done";
        No::new(StatusCode::FORBIDDEN, IssueType::Forbidden, text)
    };
    let organization = named.ok_or_else(nobody)?.to_owned();
    let person = text("nhsd-ers-on-behalf-of-user-id").map(str::to_owned);
    if person.is_some() && !role.is_for_a_clinician() {
        let text = "NHSD-eRS-On-Behalf-Of-User-ID: only a clinician's administrator acts for somebody else";
        return Err(No::new(StatusCode::FORBIDDEN, IssueType::Forbidden, text).into());
    }
    Ok(Speaker { role, organization, person })
}

impl Call {
    /// What is sent as a resource of a type, and its bytes. An operation that needs nothing may be sent nothing.
    pub(super) async fn take(&self, body: Body, expected: &str) -> Result<(Resource, Vec<u8>), ErsNo> {
        let bytes = content::bytes(&self.service, body).await?;
        if bytes.is_empty() && expected == "Parameters" {
            let mut nothing = Resource::new();
            nothing.insert("resourceType".into(), expected.into());
            return Ok((nothing, bytes));
        }
        content::demand_type(&self.headers, &RESOURCE_TYPES)?;
        let sent = parse(&bytes)?;
        ers::check_release(&sent)?;
        gate::check(&sent, Some(expected)).map_err(No::bad_request)?;
        Ok((sent, bytes))
    }

    /// `bytes`: what makes it another request, or the same once more.
    pub(super) async fn asks(&self, of: Option<Of>, wish: Wish, bytes: &[u8]) -> Result<Answer, ErsNo> {
        let on = of.as_ref().map_or_else(String::new, |of| of.key.to_string());
        let repeat = content::repeat(&self.headers, self.caller.name(), &format!("ers {on}"), bytes)?;
        let ask = ers::Ask { by: self.by.clone(), wish, of };
        Ok(execute_ask(&self.service, self.caller.clone(), repeat, Ask::Ers(Box::new(ask))).await?)
    }

    /// A resource of a referral in the version that the caller read.
    pub(super) fn of(&self, key: Key, root: Uuid) -> Result<Of, ErsNo> {
        Ok(Of { key, root, version: content::if_match(&self.headers)? })
    }

    /// The record of a referral, for those who have to do with it.
    pub(super) async fn record(&self, root: Uuid) -> Result<Referral, ErsNo> {
        let record = self.records(vec![root]).await?.pop().map(|(_, record)| record);
        let record = record.ok_or_else(no_referral)?;
        if !record.concerns(&self.by) {
            let text = "the caller's organisation has nothing to do with this referral";
            let issue = Issue::error(IssueType::Forbidden, "", text);
            let issue = issue.called("https://fhir.nhs.uk/CodeSystem/ers-error-codes", "NO_RELATIONSHIP");
            return Err(No(StatusCode::FORBIDDEN, vec![issue]).into());
        }
        Ok(record)
    }

    /// The records of these referrals, as far as they are here.
    pub(super) async fn records(&self, roots: Vec<Uuid>) -> Result<Vec<(Uuid, Referral)>, ErsNo> {
        let needs = Needs { roots: roots.clone(), ..Needs::default() };
        let (scenes, _) = self.service.registry.load(&[needs]).await?;
        let mut heads = scenes.into_iter().next().map(|scene| scene.heads).unwrap_or_default();
        let record = |root: Uuid| match heads.remove(&root)?.run?.record? {
            Record::Ers(record) => Some((root, *record)),
            _ => None,
        };
        Ok(roots.into_iter().filter_map(record).collect())
    }

    pub(super) fn base(&self) -> String {
        let base = self.service.config.ers_base.as_deref().unwrap_or_default();
        format!("{}{base}", content::origin(&self.service, &self.headers))
    }

    /// What is asked, without how it is to look.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let mut parameters = content::form(&self.query);
        parameters.retain(|(name, _)| !matches!(name.as_str(), "_format" | "_pretty"));
        parameters
    }

    /// The same, where a few parameters are known: another one is refused.
    pub(super) fn asked(&self, of: &Searched) -> Result<Vec<(String, String)>, ErsNo> {
        let parameters = self.parameters();
        let is_known = |(name, value): &(String, String)| match name.as_str() {
            "_include" => of.include.contains(&value.as_str()),
            name => of.by.iter().any(|(known, _)| *known == name),
        };
        let includes = of.include.iter().map(|include| format!("_include={include}"));
        let known: Vec<String> = of.by.iter().map(|(name, _)| (*name).to_owned()).chain(includes).collect();
        let text = format!("this is not searched by; known: {}", known.join(", "));
        let unknown = parameters.iter().filter(|parameter| !is_known(parameter));
        let faults: Vec<Issue> =
            unknown.map(|(name, _)| Issue::error(IssueType::NotSupported, name.as_str(), text.as_str())).collect();
        if faults.is_empty() { Ok(parameters) } else { Err(No::bad_request(faults).into()) }
    }

    /// A resource in the version that an action has left.
    pub(super) fn written(&self, answer: &Answer) -> Response {
        let status = if answer.outcome == Outcome::Created { StatusCode::CREATED } else { StatusCode::OK };
        let mut response = answer::json(status, &answer.body);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, id) = (text(&answer.body["resourceType"]), text(&answer.body["id"]));
        let version = text(&answer.body["meta"]["versionId"]);
        if let Ok(number) = version.parse() {
            let updated = Timestamp::range(&text(&answer.body["meta"]["lastUpdated"])).map(|(at, _)| at);
            answer::version_headers(response.headers_mut(), number, updated.unwrap_or_default());
        }
        if status == StatusCode::CREATED {
            let url = format!("{}/{kind}/{id}/_history/{version}", self.base());
            answer::location(response.headers_mut(), url);
        }
        response
    }

    /// What a search has found, in the service's shape.
    pub(super) fn searchset(&self, kind: &str, found: Vec<Value>, included: Vec<Value>) -> Response {
        let entry = |mode: &'static str| {
            move |resource: Value| {
                let part = |name: &str| resource[name].as_str().unwrap_or_default().to_owned();
                let url = format!("{}/{}/{}", self.base(), part("resourceType"), part("id"));
                json!({ "fullUrl": url, "resource": resource, "search": { "mode": mode } })
            }
        };
        let now = self.service.now().to_string();
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        let mut bundle = json!({
            "resourceType": "Bundle",
            "id": Uuid::new_v4(),
            "meta": { "lastUpdated": now },
            "type": "searchset",
            "timestamp": now,
            "total": found.len(),
            "link": [{ "relation": "self", "url": format!("{}/{kind}{query}", self.base()) }],
        });
        let entries: Vec<Value> =
            found.into_iter().map(entry("match")).chain(included.into_iter().map(entry("include"))).collect();
        if !entries.is_empty() {
            bundle["entry"] = entries.into();
        }
        answer::json(StatusCode::OK, &bundle)
    }
}

pub(super) fn no_referral() -> No {
    No::not_found("there is no such referral")
}

pub(super) fn bad(name: &str, text: impl Into<String>) -> ErsNo {
    No::bad_request(vec![Issue::error(IssueType::Value, name, text)]).into()
}
