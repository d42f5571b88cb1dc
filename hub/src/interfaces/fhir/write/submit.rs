//! `$submit`: what is asked for comes as a parameter, beside who is to be told how it ended. Whether it is taken is said at
//! once; the end is told by a call.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hub_domain::command::{Act, Caller, Entry, Interaction};
use hub_domain::decide::CALLBACK;
use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body as Resource, Kind, list, text_at};
use serde_json::{Value, json};

use super::super::answer::{self, No};
use super::super::content::{self, RESOURCE_TYPES};
use super::execute;
use crate::callbacks::token_for;
use crate::service::Service;

pub(in crate::interfaces::fhir) async fn submit(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, No> {
    content::demand_type(&headers, &RESOURCE_TYPES)?;
    let bytes = content::bytes(&service, body).await?;
    let repeat = content::repeat(&headers, caller.name(), "submit", &bytes)?;
    let parameters = content::resource(&bytes, "Parameters")?;
    let (kind, entry) = read(&service, &parameters)?;
    let done = execute(&service, caller, repeat, Act::Change(vec![entry])).await?;
    let base = content::base_url(&service, &headers);
    let Some(taken) = done.reply.entries.first() else {
        return Err(No::new(StatusCode::INTERNAL_SERVER_ERROR, IssueType::Exception, "nothing was submitted"));
    };
    let mut parameter = vec![
        json!({ "name": "outcome", "valueCode": if taken.fulfilment.is_some() { "accepted" } else { "stored" } }),
        json!({ "name": "request", "valueReference": { "reference": taken.reference, "type": kind.name() } }),
    ];
    if let Some(task) = &taken.fulfilment {
        parameter.push(json!({ "name": "task", "valueReference": { "reference": task, "type": "Task" } }));
        parameter.push(json!({ "name": "status", "valueUrl": format!("{base}/{task}/$order-status") }));
    }
    Ok(answer::json(StatusCode::OK, &json!({ "resourceType": "Parameters", "parameter": parameter })))
}

/// The one resource that is asked for, with the address of whoever is to be called. Every fault is told.
fn read(service: &Service, parameters: &Resource) -> Result<(Kind, Entry), No> {
    let mut faults = Vec::new();
    let mut fault = |code, path: String, text: &str| faults.push(Issue::error(code, path, text));
    let (mut request, mut callback) = (None, None);
    for (n, parameter) in list(parameters, "parameter").enumerate() {
        let path = format!("Parameters.parameter[{n}]");
        match parameter["name"].as_str().unwrap_or_default() {
            "request" if request.is_none() => match parameter["resource"].as_object() {
                Some(body) => request = Some((body.clone(), path)),
                None => fault(IssueType::Required, format!("{path}.resource"), "the request itself"),
            },
            "callback" if callback.is_none() => {
                let address = parameter["valueUrl"].as_str().unwrap_or_default();
                if token_for(&service.config.callbacks, address).is_none() {
                    let text = "an address that this site calls (callbacks)";
                    fault(IssueType::Value, format!("{path}.valueUrl"), text);
                }
                callback = Some(address.to_owned());
            }
            _ => fault(IssueType::NotSupported, path, "this takes one request and at most one callback"),
        }
    }
    let kind = match &request {
        None => {
            fault(IssueType::Required, "Parameters.parameter".into(), "a parameter request with the resource");
            None
        }
        Some((body, path)) => {
            let kind = text_at(body, &["resourceType"]).and_then(Kind::parse).filter(|kind| kind.is_request());
            if kind.is_none() {
                fault(IssueType::Value, format!("{path}.resource"), "a request of a type that is kept here");
            }
            kind
        }
    };
    match (request, kind, faults.is_empty()) {
        (Some((mut body, path)), Some(kind), true) => {
            add_callback(&mut body, callback);
            Ok((kind, Entry { path, ..Entry::new(Interaction::Create { kind, body: body.into(), unless: None }) }))
        }
        _ => Err(No(StatusCode::UNPROCESSABLE_ENTITY, faults)),
    }
}

fn add_callback(body: &mut Resource, callback: Option<String>) {
    let Some(address) = callback else { return };
    if let Value::Array(extensions) = body.entry("extension").or_insert_with(|| json!([])) {
        extensions.retain(|extension| extension["url"] != CALLBACK);
        extensions.push(json!({ "url": CALLBACK, "valueUrl": address }));
    }
}
