//! `$validate`: what would be said to a resource, without storing it.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::command::{Act, Caller, Command, Interaction, On, Role};
use hub_domain::decide::remarks;
use schemas::gate;
use schemas::outcome::{Issue, IssueType, operation_outcome};
use schemas::resource::{Body as Resource, Key, Kind, list, text_at};
use uuid::Uuid;

use super::super::answer::{self, No};
use super::super::content::{self, RESOURCE_TYPES};
use super::{check_id, demand_role};
use crate::engine::Failure;
use crate::service::Service;

pub(in crate::interfaces::fhir) async fn of_type(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    let of = Of { kind: content::kind(&kind)?, key: None };
    validate(&service, caller, &of, query, &headers, body).await
}

pub(in crate::interfaces::fhir) async fn of_one(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path((kind, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    let key = content::key(&kind, id)?;
    let of = Of { kind: key.kind, key: Some(key) };
    validate(&service, caller, &of, query, &headers, body).await
}

/// Where it is called.
struct Of {
    kind: Kind,
    key: Option<Key>,
}

/// What is asked: by a Parameters resource, or by the resource itself and the query.
#[derive(Default)]
struct Asked {
    resource: Option<Resource>,
    mode: Option<String>,
    profile: Option<String>,
    /// The path under which the resource stands: none when it is the body.
    within: Option<String>,
}

async fn validate(
    service: &Service,
    caller: Caller,
    of: &Of,
    query: Option<String>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, No> {
    content::demand_type(headers, &RESOURCE_TYPES)?;
    let bytes = content::bytes(service, body).await?;
    let body = gate::parse(&bytes, &gate::Limits::default()).map_err(No::bad_request)?;
    let asked = read(body, query.as_deref().unwrap_or_default())?;
    let mut issues = structure(of, &asked);
    if issues.is_empty() {
        issues = rehearsed(service, caller, of, &asked).await?;
    }
    let taken = issues.is_empty();
    issues.extend(asked.resource.iter().flat_map(remarks).map(|issue| asked.placed(issue)));
    issues.extend(asked.profile.as_deref().and_then(|profile| of_profile(of.kind, profile)));
    if taken {
        let text = match asked.mode.as_deref() {
            None | Some("profile") => "this is a resource of FHIR R4",
            Some(_) => "this would be done now",
        };
        issues.push(Issue::information(text));
    }
    Ok(answer::json(StatusCode::OK, &operation_outcome(&issues)))
}

fn read(body: Resource, query: &str) -> Result<Asked, No> {
    let mut asked = Asked::default();
    for (name, value) in content::form(query) {
        match name.as_str() {
            "mode" => asked.mode = Some(value),
            "profile" => asked.profile = Some(value),
            _ => {}
        }
    }
    if text_at(&body, &["resourceType"]) != Some("Parameters") {
        asked.resource = Some(body);
    } else {
        for (n, parameter) in list(&body, "parameter").enumerate() {
            let text = |names: &[&str]| names.iter().find_map(|name| parameter[*name].as_str()).map(str::to_owned);
            match parameter["name"].as_str() {
                Some("resource") => {
                    asked.resource = parameter["resource"].as_object().cloned();
                    asked.within = Some(format!("Parameters.parameter[{n}].resource"));
                }
                Some("mode") => asked.mode = text(&["valueCode", "valueString"]),
                Some("profile") => asked.profile = text(&["valueUri", "valueCanonical", "valueString"]),
                _ => {}
            }
        }
    }
    let known = asked.mode.as_deref().is_none_or(|mode| ["create", "update", "delete", "profile"].contains(&mode));
    let bad = |code, text: &str| No::bad_request(vec![Issue::error(code, "mode", text)]);
    if !known {
        return Err(bad(IssueType::CodeInvalid, "mode is create, update, delete or profile"));
    }
    Ok(asked)
}

/// Against FHIR's own definitions.
fn structure(of: &Of, asked: &Asked) -> Vec<Issue> {
    let Some(resource) = &asked.resource else {
        let needs_none = asked.mode.as_deref() == Some("delete");
        let text = "there is no resource to validate: send it as the body, or as the parameter resource";
        return if needs_none { Vec::new() } else { vec![Issue::error(IssueType::Required, "resource", text)] };
    };
    let faults = gate::check(resource, Some(of.kind.name())).err().unwrap_or_default();
    faults.into_iter().map(|issue| asked.placed(issue)).collect()
}

impl Asked {
    /// A fault's path from the Parameters on, where the resource is one of them.
    fn placed(&self, issue: Issue) -> Issue {
        let Some(within) = self.within.as_ref().filter(|_| !issue.path.is_empty()) else { return issue };
        let path = issue.path.split_once('.').map_or(within.clone(), |(_, rest)| format!("{within}.{rest}"));
        Issue { path, ..issue }
    }
}

/// By the rules of the hub, as everything stands now: the interaction is decided, and not done.
async fn rehearsed(service: &Service, caller: Caller, of: &Of, asked: &Asked) -> Result<Vec<Issue>, No> {
    let interaction = match interaction(&caller, of, asked) {
        Ok(Some(interaction)) => interaction,
        Ok(None) => return Ok(Vec::new()),
        Err(issues) => return Ok(issues.into_iter().map(|issue| asked.placed(issue)).collect()),
    };
    let id = Uuid::now_v7();
    let command = Command { id, caller, act: Act::alone(interaction), repeat: None, traceparent: None };
    match service.engine.rehearse(command).await {
        Ok(_) => Ok(Vec::new()),
        Err(Failure::Refused(refusal)) => Ok(refusal.issues.into_iter().map(|issue| asked.placed(issue)).collect()),
        Err(trouble) => Err(trouble.into()),
    }
}

/// The interaction that a mode means; none where only the resource is asked about.
fn interaction(caller: &Caller, of: &Of, asked: &Asked) -> Result<Option<Interaction>, Vec<Issue>> {
    let body = asked.resource.clone().unwrap_or_default();
    let named = || {
        let text = "this mode is asked of one resource: Type/id/$validate";
        let of_body = text_at(&body, &["id"]).map(|id| Key::new(of.kind, id));
        of.key.clone().or(of_body).ok_or_else(|| vec![Issue::error(IssueType::Required, "mode", text)])
    };
    Ok(match asked.mode.as_deref() {
        Some("create") => Some(Interaction::Create { kind: of.kind, body: body.into(), unless: None }),
        Some("update") => {
            let on = On::Key(named()?);
            check_id(&on, &body, "").map_err(|issue| vec![issue])?;
            Some(Interaction::Update { on, body: body.into(), if_match: None })
        }
        Some("delete") => {
            demand_role(caller, Role::Placer).map_err(|no| no.1)?;
            Some(Interaction::Delete { on: On::Key(named()?), if_match: None })
        }
        _ => None,
    })
}

/// Profiles are not known here but FHIR's own definition of the type, by which everything is checked.
fn of_profile(kind: Kind, profile: &str) -> Option<Issue> {
    let own = format!("http://hl7.org/fhir/StructureDefinition/{kind}");
    let text =
        "this hub knows no profiles: checked was FHIR R4's own definition of the type, and nothing of the profile";
    (profile != own).then(|| Issue::warning(IssueType::NotSupported, "profile", text))
}
