//! `ServiceRequest/$worklist`: what waits for somebody, as the service lists it. The same is found by plain searches for
//! Tasks, since a fulfilment Task has the state of its referral as its business status.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use hub_domain::query::{Filter, Query, Sort, SortBy, SystemMatch, TokenMatch, find};
use hub_domain::workflows::ers;
use hub_domain::workflows::ers::table::{Side, Step};
use hub_domain::workflows::ers::worklist::{self, Asked};
use schemas::outcome::IssueType;
use schemas::resource::{Key, Kind};
use uuid::Uuid;

use super::super::answer::{self, No};
use super::call::{Call, ErsNo};

/// The service's own name, and one that is easier to remember.
pub(super) const NAMES: [&str; 2] = ["$ers.fetchworklist", "$worklist"];

/// Most entries of a worklist: the service does not answer with more than 10 MB.
const ENTRIES_MAX: usize = 2_000;

pub(super) async fn fetch(call: Call, body: Body) -> Result<Response, ErsNo> {
    let (parameters, _) = call.take(body, "Parameters").await?;
    let asked = worklist::read(&parameters, &call.by)?;
    let mut found = Vec::new();
    for (root, record) in call.records(roots(&call, &asked).await?).await? {
        if asked.has(&record, &call.by) {
            found.push((root, record));
        }
    }
    let keys: Vec<Key> = found.iter().map(|(root, record)| ers::request_key(record, *root)).collect();
    let requests = call.service.registry.read(&keys).await?;
    let version = |key: &Key| requests.iter().find(|stored| stored.key == *key).map_or(0, |stored| stored.version);
    let found: Vec<_> =
        found.into_iter().zip(&keys).map(|((root, record), key)| (root, record, version(key))).collect();
    Ok(answer::json(StatusCode::OK, &worklist::list(&asked, &found)))
}

/// The referrals whose Tasks say that they are on the list: the most urgent first, then the oldest.
async fn roots(call: &Call, asked: &Asked) -> Result<Vec<Uuid>, ErsNo> {
    let by = |by: SortBy| Sort { by, descending: false };
    let sort = vec![by(SortBy::Priority), by(SortBy::Authored)];
    let count = call.service.config.page_entries_limit;
    let mut query = Query { kind: Kind::TASK, filters: filters(call, asked), sort, count, page: None };
    let mut roots = Vec::new();
    loop {
        let page = call.service.registry.search(&query).await?;
        roots.extend(page.entries.iter().filter_map(|task| hub_domain::decide::task_id(&task.key)).map(|id| id.root));
        if roots.len() > ENTRIES_MAX {
            let text = format!("the list has more than {ENTRIES_MAX} entries: narrow it by a filter");
            return Err(No::new(StatusCode::UNPROCESSABLE_ENTITY, IssueType::TooCostly, text).into());
        }
        query.page = page.next;
        if query.page.is_none() {
            return Ok(roots);
        }
    }
}

fn filters(call: &Call, asked: &Asked) -> Vec<Filter> {
    let list = asked.list;
    let side = if list.of == Side::Provider { "owner" } else { "requester" };
    let organization = format!("Organization/{}", call.by.organization);
    let token = |system: &str, code: &str| TokenMatch {
        system: SystemMatch::Is(system.to_owned()),
        code: Some(code.to_owned()),
    };
    let mut filters = Vec::new();
    filters.extend(find(Kind::TASK, side).map(|param| Filter::Reference { param, any: vec![organization] }));
    match list.step {
        Some(step) => {
            let requested = TokenMatch { system: SystemMatch::Any, code: Some("requested".into()) };
            filters.extend(find(Kind::TASK, "status").map(|param| Filter::Token { param, any: vec![requested] }));
            let step = token(Step::SYSTEM, step.code());
            filters.extend(find(Kind::TASK, "code").map(|param| Filter::Token { param, any: vec![step] }));
        }
        None => {
            let states = list.states.iter().map(|state| token(state.own_system(), state.code())).collect();
            filters.extend(find(Kind::TASK, "business-status").map(|param| Filter::Token { param, any: states }));
        }
    }
    filters
}
