//! What is read: referrals and their versions, what may be done with them, conversations, services and their slots.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use hub_domain::query::{Filter, Query, Sort, SortBy, SystemMatch, TokenMatch, find};
use hub_domain::registry::{Method, Stored};
use hub_domain::workflows::ers::table::Side;
use hub_domain::workflows::ers::{self, UBRN, available, shown};
use schemas::ids::TaskId;
use schemas::outcome::IssueType;
use schemas::resource::{Body as Resource, Key, Kind};
use serde_json::Value;

use super::super::answer::{self, No};
use super::super::content;
use super::super::search::searchset;
use super::call::{Call, ErsNo, bad, no_referral};
use super::{CONVERSATION, REFERRALS, SERVICES, SLOTS};

/// Services that are asked for at once.
const SERVICES_MAX: usize = 20;

pub(super) fn code(code: &str) -> TokenMatch {
    TokenMatch { system: SystemMatch::Any, code: Some(code.to_owned()) }
}

fn resource(stored: Stored) -> Response {
    let mut response = answer::text(StatusCode::OK, stored.body);
    answer::version_headers(response.headers_mut(), stored.version, stored.last_updated);
    response
}

async fn stored(call: &Call, key: &Key, version: Option<u32>) -> Result<Stored, ErsNo> {
    let stored = call.service.registry.version(key, version).await?;
    let here = stored.filter(|stored| stored.method != Method::Delete);
    Ok(here.ok_or_else(|| No::not_found(format!("there is no such {}", key.kind)))?)
}

fn bodies(found: impl IntoIterator<Item = Stored>) -> Vec<Value> {
    found.into_iter().filter_map(|stored| serde_json::from_slice(&stored.body).ok()).collect()
}

// ---- referrals

pub(super) async fn referral(Path(id): Path<String>, call: Call) -> Result<Response, ErsNo> {
    call.record(ers::root_of_request(&id).ok_or_else(no_referral)?).await?;
    Ok(resource(stored(&call, &Key::new(Kind::SERVICE_REQUEST, id), None).await?))
}

pub(super) async fn version(Path((id, version)): Path<(String, String)>, call: Call) -> Result<Response, ErsNo> {
    call.record(ers::root_of_request(&id).ok_or_else(no_referral)?).await?;
    let number = version.parse().map_err(|_| No::not_found("there is no such version"))?;
    Ok(resource(stored(&call, &Key::new(Kind::SERVICE_REQUEST, id), Some(number)).await?))
}

/// `ServiceRequest?identifier=https://fhir.nhs.uk/Id/UBRN|<number>`: a referral, a request for advice, or both.
pub(super) async fn by_number(call: Call) -> Result<Response, ErsNo> {
    let parameters = call.asked(&REFERRALS)?;
    let [(name, value)] = parameters.as_slice() else {
        return Err(bad("identifier", format!("a referral is found by one parameter: identifier={UBRN}|<number>")));
    };
    let number = value.strip_prefix(UBRN).and_then(|rest| rest.strip_prefix('|'));
    let is_number = |number: &&str| number.len() == 12 && number.bytes().all(|byte| byte.is_ascii_digit());
    let Some(number) = number.filter(is_number).filter(|_| name == "identifier") else {
        return Err(bad(name, format!("identifier={UBRN}|<number>, and the number has 12 digits")));
    };
    let Some(param) = find(Kind::SERVICE_REQUEST, "identifier") else { return Err(no_referral().into()) };
    let any = vec![TokenMatch { system: SystemMatch::Is(UBRN.into()), code: Some(number.to_owned()) }];
    let filters = vec![Filter::Token { param, any }];
    let query = Query { kind: Kind::SERVICE_REQUEST, filters, sort: Vec::new(), count: 2, page: None };
    let mut found = Vec::new();
    for stored in call.service.registry.search(&query).await?.entries {
        let Some(root) = ers::root_of_request(&stored.key.id) else { continue };
        let concerns = call.records(vec![root]).await?.iter().any(|(_, record)| record.concerns(&call.by));
        if let (true, Ok(body)) = (concerns, serde_json::from_slice::<Resource>(&stored.body)) {
            found.push(shown::found(&body));
        }
    }
    Ok(call.searchset("ServiceRequest", found, Vec::new()))
}

/// What may be done now with a version of a referral; or any other search for Tasks.
pub(super) async fn tasks(call: Call) -> Result<Response, ErsNo> {
    let parameters = call.parameters();
    let Some(focus) = available::read(&parameters)? else {
        // Those of referrals that the caller has to do with: nobody else's are found.
        let own = if call.by.role.side() == Side::Referrer { "requester" } else { "owner" };
        let own = (own.to_owned(), format!("Organization/{}", call.by.organization));
        let parameters = parameters.into_iter().chain([own]).collect();
        return Ok(searchset::of_type(&call.service, "Task", parameters, &call.headers).await?);
    };
    let record = call.records(vec![focus.root]).await?.pop().map(|(_, record)| record).ok_or_else(no_referral)?;
    let current = stored(&call, &ers::request_key(&record, focus.root), None).await?.version;
    let tasks = available::tasks(&focus, &record, current, &call.by)?;
    Ok(call.searchset("Task", tasks, Vec::new()))
}

/// `Communication?based-on=ServiceRequest/a.<uuid>`: the newest first.
pub(super) async fn conversation(call: Call) -> Result<Response, ErsNo> {
    let parameters = call.asked(&CONVERSATION)?;
    let value = parameters.iter().find(|(name, _)| name == "based-on").map(|(_, value)| value.as_str());
    let key = value.and_then(Key::of_reference).filter(|key| key.kind == Kind::SERVICE_REQUEST);
    let root = key.as_ref().and_then(|key| ers::root_of_request(&key.id));
    let (Some(key), Some(root)) = (key, root) else {
        return Err(bad("based-on", "what was said is found by based-on=ServiceRequest/<id>"));
    };
    call.record(root).await?;
    let Some(param) = find(Kind::COMMUNICATION, "based-on") else { return Err(no_referral().into()) };
    let filters = vec![Filter::Reference { param, any: vec![key.to_string()] }];
    let sort = vec![Sort { by: SortBy::LastUpdated, descending: true }];
    let count = call.service.config.page_entries_limit;
    let query = Query { kind: Kind::COMMUNICATION, filters, sort, count, page: None };
    let found = call.service.registry.search(&query).await?.entries;
    Ok(call.searchset("Communication", bodies(found), Vec::new()))
}

/// What belongs to a referral, for those who have to do with that.
async fn belonging(call: &Call, kind: &str, id: String) -> Result<Response, ErsNo> {
    let key = content::key(kind, id)?;
    let found = stored(call, &key, None).await?;
    let root = call.service.registry.root_of(&key).await?.ok_or_else(no_referral)?;
    call.record(root).await?;
    Ok(resource(found))
}

pub(super) async fn appointment(Path(id): Path<String>, call: Call) -> Result<Response, ErsNo> {
    belonging(&call, "Appointment", id).await
}

pub(super) async fn document(Path(id): Path<String>, call: Call) -> Result<Response, ErsNo> {
    belonging(&call, "DocumentReference", id).await
}

/// A Task of the hub's own; those that tell what may be done are nowhere to be read.
pub(super) async fn task(Path(id): Path<String>, call: Call) -> Result<Response, ErsNo> {
    let task: TaskId = id.parse().map_err(|()| No::not_found("there is no such Task"))?;
    call.record(task.root).await?;
    Ok(resource(stored(&call, &Key::task(task), None).await?))
}

/// A file was there before anything that it belongs to.
pub(super) async fn file(Path(id): Path<String>, call: Call) -> Result<Response, ErsNo> {
    Ok(resource(stored(&call, &content::key("Binary", id)?, None).await?))
}

// ---- services

/// `HealthcareService?_id=1,2`: of up to 20 services, what the directory says.
pub(super) async fn services(call: Call) -> Result<Response, ErsNo> {
    for_referrers(&call)?;
    let parameters = call.asked(&SERVICES)?;
    let ids: Vec<&str> = match parameters.as_slice() {
        [(name, value)] if name == "_id" => value.split(',').filter(|id| !id.is_empty()).collect(),
        _ => Vec::new(),
    };
    if ids.is_empty() || ids.len() > SERVICES_MAX {
        return Err(bad("_id", format!("services are asked for by _id, 1 to {SERVICES_MAX} of them")));
    }
    let keys: Result<Vec<Key>, No> =
        ids.into_iter().map(|id| content::key("HealthcareService", id.to_owned())).collect();
    let found = call.service.registry.read(&keys?).await?;
    Ok(call.searchset("HealthcareService", bodies(found), Vec::new()))
}

pub(super) async fn service(Path(id): Path<String>, call: Call) -> Result<Response, ErsNo> {
    Ok(resource(stored(&call, &content::key("HealthcareService", id)?, None).await?))
}

fn for_referrers(call: &Call) -> Result<(), ErsNo> {
    if call.by.role.side() == Side::Referrer {
        return Ok(());
    }
    Err(No::new(StatusCode::FORBIDDEN, IssueType::Forbidden, "shortlists are made by referrers").into())
}

/// The schedules of a service.
pub(super) async fn schedules(call: &Call, service: &Key) -> Result<Vec<Stored>, ErsNo> {
    let Some(param) = find(Kind::SCHEDULE, "actor") else { return Ok(Vec::new()) };
    let filters = vec![Filter::Reference { param, any: vec![service.to_string()] }];
    let count = call.service.config.page_entries_limit;
    let query = Query { kind: Kind::SCHEDULE, filters, sort: Vec::new(), count, page: None };
    Ok(call.service.registry.search(&query).await?.entries)
}

/// `Slot?schedule.actor:HealthcareService=<id>&status=free`
pub(super) async fn slots(call: Call) -> Result<Response, ErsNo> {
    let parameters = call.asked(&SLOTS)?;
    let value = |name: &str| parameters.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
    let Some(service) = value("schedule.actor:HealthcareService") else {
        return Err(bad("schedule.actor:HealthcareService", "slots are those of a service"));
    };
    let service = content::key("HealthcareService", service.trim_start_matches("HealthcareService/").to_owned())?;
    let schedules = schedules(&call, &service).await?;
    let params = find(Kind::SLOT, "schedule").zip(find(Kind::SLOT, "status"));
    let (Some((schedule, status)), false) = (params, schedules.is_empty()) else {
        return Ok(call.searchset("Slot", Vec::new(), Vec::new()));
    };
    let wanted = value("status").unwrap_or_else(|| "free".to_owned());
    let filters = vec![
        Filter::Reference { param: schedule, any: schedules.iter().map(|stored| stored.key.to_string()).collect() },
        Filter::Token { param: status, any: vec![code(&wanted)] },
    ];
    let count = call.service.config.page_entries_limit;
    let query = Query { kind: Kind::SLOT, filters, sort: Vec::new(), count, page: None };
    let found = bodies(call.service.registry.search(&query).await?.entries);
    let included = if value("_include").as_deref() == Some("Slot:schedule") { bodies(schedules) } else { Vec::new() };
    Ok(call.searchset("Slot", found, included))
}
