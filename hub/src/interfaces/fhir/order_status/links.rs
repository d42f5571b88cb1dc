//! What an order is linked with: the requests it is made of, what they are based on and replace, what replaces them or
//! is based on them, and the events that were reported of them.

use futures_util::future::try_join_all;
use hub_domain::query::{Filter, Param, Query, find};
use hub_domain::registry::Stored;
use schemas::order;
use schemas::resource::{Body, Key, Kind, list, text_at};
use serde_json::{Value, json};

use super::super::answer::No;
use crate::service::Service;

/// How an event of a type points to its request, where that is not by `based-on`.
const OTHERWISE: [(&str, &str); 2] = [("MedicationDispense", "prescription"), ("DocumentReference", "related")];
/// How a request points to the one that it replaces, where there is a search parameter for it.
const REPLACES: [&str; 2] = ["replaces", "prior-request"];

#[derive(Default)]
pub(super) struct Links {
    requests: Vec<(Key, Body)>,
    replaced_by: Vec<Key>,
    children: Vec<Key>,
    events: Vec<(Key, Option<String>)>,
}

impl Links {
    pub(super) async fn of(service: &Service, requests: &[Key]) -> Result<Self, No> {
        if requests.is_empty() {
            return Ok(Self::default());
        }
        let read = |stored: Stored| Some((stored.key, serde_json::from_slice(&stored.body).ok()?));
        let stored = service.registry.read(requests).await?;
        let (events, children, replaced_by) = tokio::try_join!(
            pointing(service, events(), requests),
            pointing(service, of_requests(&["based-on"]), requests),
            pointing(service, of_requests(&REPLACES), requests),
        )?;
        let keys = |found: Vec<Stored>| found.into_iter().map(|stored| stored.key).collect();
        let status = |stored: &Stored| {
            let body: Body = serde_json::from_slice(&stored.body).ok()?;
            text_at(&body, &["status"]).map(str::to_owned)
        };
        Ok(Self {
            requests: stored.into_iter().filter_map(read).collect(),
            replaced_by: keys(replaced_by),
            children: keys(children),
            events: events.into_iter().map(|stored| (stored.key.clone(), status(&stored))).collect(),
        })
    }

    pub(super) fn tell(&self) -> Vec<Value> {
        let link = |name: &str, to: &str| json!({ "name": name, "valueReference": { "reference": to } });
        let mut parameter = Vec::new();
        let mut groups = Vec::new();
        for (key, body) in &self.requests {
            parameter.push(link("request", &key.to_string()));
            let based_on = list(body, "basedOn").filter_map(|on| on["reference"].as_str());
            parameter.extend(based_on.map(|on| link("basedOn", on)));
            parameter.extend(order::replaced(key.kind, body).map(|old| link("replaces", old)));
            groups.extend(order::group_identifier(key.kind, body).filter(|group| !groups.contains(group)));
        }
        parameter.extend(groups.into_iter().map(|group| json!({ "name": "group", "valueIdentifier": group })));
        parameter.extend(self.replaced_by.iter().map(|key| link("replacedBy", &key.to_string())));
        parameter.extend(self.children.iter().map(|key| link("child", &key.to_string())));
        for (key, status) in &self.events {
            let mut event = link("event", &key.to_string());
            if let Some(status) = status {
                event["valueReference"]["display"] = status.as_str().into();
            }
            parameter.push(event);
        }
        parameter
    }
}

/// The search parameters by which events point to requests.
fn events() -> Vec<&'static Param> {
    let is_event = |kind: &&Kind| !kind.is_request() && **kind != Kind::TASK;
    let based_on = Kind::ALL.iter().filter(is_event).filter_map(|kind| find(*kind, "based-on"));
    let others = OTHERWISE.iter().filter_map(|(kind, name)| find(Kind::parse(kind)?, name));
    based_on.chain(others).collect()
}

/// Those by which requests point to requests.
fn of_requests(names: &[&str]) -> Vec<&'static Param> {
    let requests = Kind::ALL.iter().filter(|kind| kind.is_request());
    requests.flat_map(|kind| names.iter().filter_map(|name| find(*kind, name))).collect()
}

/// All that points to one of these by one of the parameters, a page of each type at most.
async fn pointing(service: &Service, params: Vec<&'static Param>, to: &[Key]) -> Result<Vec<Stored>, No> {
    let searches = params.into_iter().map(|param| {
        let any = to.iter().map(Key::to_string).collect();
        let filters = vec![Filter::Reference { param, any }];
        let count = service.config.page_entries_limit;
        let query = Query { kind: param.of, filters, sort: Vec::new(), count, page: None };
        async move { service.registry.search(&query).await }
    });
    let pages = try_join_all(searches).await?;
    Ok(pages.into_iter().flat_map(|page| page.entries).collect())
}
