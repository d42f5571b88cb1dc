//! `$apply` of a PlanDefinition or an ActivityDefinition: what it comes to for somebody. Nothing is kept.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{Method as Verb, StatusCode};
use axum::response::Response;
use hub_domain::apply::{self, Given};
use hub_domain::directory::Lookup;
use hub_domain::registry::{Method, Stored};
use schemas::gate;
use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body as Resource, Key, Kind, list, text_at};
use serde_json::{Value, json};

use super::answer::{self, No};
use super::content::{self, RESOURCE_TYPES};
use crate::service::Service;

/// So many definitions are looked up for one that names others.
const DEFINITIONS_LIMIT: usize = 100;

const PLAN: &str = "PlanDefinition";
const ACTIVITY: &str = "ActivityDefinition";

/// What is applied.
pub(super) const KINDS: [Kind; 2] = [Kind::PLAN_DEFINITION, Kind::ACTIVITY_DEFINITION];

pub(super) async fn of_type(
    State(service): State<Arc<Service>>,
    Path(kind): Path<String>,
    asked: Asked,
) -> Result<Response, No> {
    answer(&service, &kind, None, asked).await
}

pub(super) async fn of_one(
    State(service): State<Arc<Service>>,
    Path((kind, id)): Path<(String, String)>,
    asked: Asked,
) -> Result<Response, No> {
    answer(&service, &kind, Some(id), asked).await
}

/// R4 wraps what a plan comes to in a CarePlan.
async fn answer(service: &Service, kind: &str, id: Option<String>, asked: Asked) -> Result<Response, No> {
    let (definition, given) = prepared(service, kind, id, asked).await?;
    let made = match kind {
        PLAN => apply::plan(&definition, &given).and_then(|group| {
            let plan = care_plan(group);
            gate::check(&plan, None).map(|()| plan)
        }),
        _ => apply::activity(&definition, &given),
    };
    let made = made.map_err(|faults| No(StatusCode::UNPROCESSABLE_ENTITY, faults))?;
    Ok(answer::json(StatusCode::OK, &made.into()))
}

/// R5 has a Bundle, whose first entry is the orchestration.
pub(super) async fn plan_in_r5(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, No> {
    let shown = in_r5(&service, PLAN, id, asked, apply::plan).await?;
    let bundle = json!({ "resourceType": "Bundle", "type": "collection", "entry": [{ "resource": shown }] });
    Ok(answer::json(StatusCode::OK, &bundle))
}

pub(super) async fn activity_in_r5(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, No> {
    let shown = in_r5(&service, ACTIVITY, id, asked, apply::activity).await?;
    Ok(answer::json(StatusCode::OK, &shown))
}

/// What a definition comes to, in R5's shape.
async fn in_r5(
    service: &Service,
    kind: &str,
    id: String,
    asked: Asked,
    apply: fn(&Resource, &Given) -> Result<Resource, Vec<Issue>>,
) -> Result<Value, No> {
    let (definition, given) = prepared(service, kind, Some(id), asked).await?;
    let shown = apply(&definition, &given).map(|made| gate::to_r5(&made));
    let shown = shown.and_then(|shown| gate::check_r5(&shown, None).map(|()| shown));
    shown.map(Value::Object).map_err(|faults| No(StatusCode::UNPROCESSABLE_ENTITY, faults))
}

/// What is contained in the group is contained in the plan: no contained resource contains another.
fn care_plan(mut group: Resource) -> Resource {
    let mut contained: Vec<Value> = match group.shift_remove("contained") {
        Some(Value::Array(options)) => options,
        _ => Vec::new(),
    };
    let mut plan = json!({
        "resourceType": "CarePlan",
        "status": "draft",
        "intent": "proposal",
        "activity": [{ "reference": { "reference": "#group" } }],
    });
    for name in ["instantiatesCanonical", "subject", "encounter", "author"] {
        if let Some(value) = group.get(name) {
            plan[name] = value.clone();
        }
    }
    if let Some(title) = text_at(&group, &["code", "text"]) {
        plan["title"] = title.into();
    }
    let goals = contained.iter().filter(|inner| inner["resourceType"] == "Goal").filter_map(|goal| goal["id"].as_str());
    let goals: Vec<Value> = goals.map(|id| json!({ "reference": format!("#{id}") })).collect();
    if !goals.is_empty() {
        plan["goal"] = goals.into();
    }
    group.insert("id".into(), "group".into());
    contained.insert(0, group.into());
    plan["contained"] = contained.into();
    match plan {
        Value::Object(plan) => plan,
        _ => Resource::new(),
    }
}

/// The parameters of the operation.
#[derive(Default)]
pub(super) struct Asked {
    texts: HashMap<String, String>,
    /// A definition that came with the call.
    definition: Option<Resource>,
}

impl FromRequest<Arc<Service>> for Asked {
    type Rejection = No;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, No> {
        let (head, body) = request.into_parts();
        let mut asked = Self::default();
        for (name, value) in content::form(head.uri.query().unwrap_or_default()) {
            asked.take(name, value)?;
        }
        if head.method == Verb::POST {
            content::demand_type(&head.headers, &RESOURCE_TYPES)?;
            let parameters = content::resource(&content::bytes(service, body).await?, "Parameters")?;
            for parameter in list(&parameters, "parameter") {
                let name = parameter["name"].as_str().unwrap_or_default();
                if let Some(Value::Object(definition)) = parameter.get("resource") {
                    asked.definition = Some(definition.clone());
                } else if let Some(text) = text_of(parameter) {
                    asked.take(name.to_owned(), text)?;
                }
            }
        }
        Ok(asked)
    }
}

impl Asked {
    fn take(&mut self, name: String, value: String) -> Result<(), No> {
        if self.texts.insert(name.clone(), value).is_some() {
            let text = format!("{name} is given once here: call the operation for each");
            return Err(No::new(StatusCode::BAD_REQUEST, IssueType::NotSupported, text));
        }
        Ok(())
    }
}

/// The value of a parameter, of whichever type that says a reference.
fn text_of(parameter: &Value) -> Option<String> {
    let reference = parameter["valueReference"]["reference"].as_str();
    let names = ["valueString", "valueUri", "valueCanonical", "valueId"];
    let text = reference.or_else(|| names.iter().find_map(|name| parameter.get(*name)?.as_str()));
    text.map(str::to_owned)
}

/// The definition that is meant, and all that it is applied with.
async fn prepared(service: &Service, kind: &str, id: Option<String>, asked: Asked) -> Result<(Resource, Given), No> {
    if KINDS.iter().all(|known| known.name() != kind) {
        return Err(No::not_found("$apply is an operation of PlanDefinition and ActivityDefinition"));
    }
    let bad = |text: String| No::new(StatusCode::BAD_REQUEST, IssueType::Required, text);
    let named = if kind == PLAN { "planDefinition" } else { "activityDefinition" };
    let definition = match (id, asked.definition, asked.texts.get(named).or_else(|| asked.texts.get("url"))) {
        (Some(id), ..) => current(service, &content::key(kind, id)?).await?,
        (None, Some(definition), _) if text_at(&definition, &["resourceType"]) == Some(kind) => Some(definition),
        (None, Some(_), _) => return Err(bad(format!("{named} is a {kind}"))),
        (None, None, Some(canonical)) => by_url(service, kind, canonical).await?,
        (None, None, None) => return Err(bad(format!("name the definition: {named}, or its id in the path"))),
    };
    let definition = definition.ok_or_else(|| No::not_found("there is no such definition here"))?;
    let text = |name: &str| asked.texts.get(name).cloned();
    let subject = text("subject").ok_or_else(|| bad("subject is missing: for whom, Patient/1 for one".to_owned()))?;
    let (encounter, practitioner, organization) = (text("encounter"), text("practitioner"), text("organization"));
    let mut seen = Vec::new();
    let named = [
        ("subject", Some(&subject)),
        ("encounter", encounter.as_ref()),
        ("practitioner", practitioner.as_ref()),
        ("organization", organization.as_ref()),
    ];
    for (name, reference) in named {
        if let Some(key) = reference.and_then(|reference| Key::of_reference(reference))
            && let Some(found) = current(service, &key).await?
        {
            seen.push((name, Value::Object(found)));
        }
    }
    let definitions = others(service, &definition).await?;
    let now = service.now();
    Ok((definition, Given { subject, encounter, practitioner, organization, seen, now, definitions }))
}

/// The definitions that one names, and those that these name.
async fn others(service: &Service, definition: &Resource) -> Result<HashMap<String, Resource>, No> {
    let mut found = HashMap::new();
    let mut wanted = apply::names(definition);
    while let Some(name) = wanted.pop() {
        if found.contains_key(&name) {
            continue;
        }
        if found.len() == DEFINITIONS_LIMIT {
            let text = format!("more than {DEFINITIONS_LIMIT} definitions are named");
            return Err(No(StatusCode::UNPROCESSABLE_ENTITY, vec![Issue::error(IssueType::TooCostly, "", text)]));
        }
        let one = match Key::of_reference(&name) {
            Some(key) => current(service, &key).await?,
            None => match by_url(service, ACTIVITY, &name).await? {
                Some(activity) => Some(activity),
                None => by_url(service, PLAN, &name).await?,
            },
        };
        if let Some(one) = one {
            wanted.extend(apply::names(&one));
            found.insert(name, one);
        }
    }
    Ok(found)
}

async fn current(service: &Service, key: &Key) -> Result<Option<Resource>, No> {
    Ok(service.registry.version(key, None).await?.and_then(|stored| body(&stored)))
}

fn body(stored: &Stored) -> Option<Resource> {
    let deleted = stored.method == Method::Delete;
    if deleted { None } else { serde_json::from_slice(&stored.body).ok() }
}

/// The newest definition of a url, or that of the version.
async fn by_url(service: &Service, kind: &str, canonical: &str) -> Result<Option<Resource>, No> {
    let Some(kind) = Kind::parse(kind) else { return Ok(None) };
    let lookup = Lookup::Definitions { kind, url: canonical.split('|').next().unwrap_or_default().to_owned() };
    let Some(query) = lookup.query() else { return Ok(None) };
    let page = service.registry.search(&query).await?;
    let found: Vec<Resource> = page.entries.iter().filter_map(body).collect();
    Ok(apply::newest(found.iter(), canonical).cloned())
}
