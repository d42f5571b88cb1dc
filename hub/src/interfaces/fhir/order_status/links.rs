//! What an order is linked with: the requests it is made of, what they are based on and replace, what replaces them or
//! is based on them, and the events that were reported of them.

use std::sync::LazyLock;

use hub_domain::query::{Param, find};
use hub_domain::registry::{Pointer, Stored};
use schemas::order;
use schemas::resource::{Body, Key, Kind, glance, list};
use serde_json::{Value, json};

use super::super::answer::No;
use crate::service::Service;

/// How an event of a type points to its request, where that is not by `based-on`.
const OTHERWISE: [(&str, &str); 2] = [("MedicationDispense", "prescription"), ("DocumentReference", "related")];
/// How a request points to the one that it is based on, and to the one that it replaces, where there is a search parameter
/// for it.
const BASED_ON: &str = "based-on";
const REPLACES: [&str; 2] = ["replaces", "prior-request"];

/// What of a request tells its links: those of all types.
const TOLD: [&str; 6] = ["basedOn", "replaces", "priorPrescription", "priorRequest", "groupIdentifier", "requisition"];

/// The search parameters by which events and requests point to requests.
static POINTING: LazyLock<Vec<&'static Param>> = LazyLock::new(|| {
    let of = |kinds: fn(&Kind) -> bool, name: &'static str| {
        Kind::ALL.iter().filter(move |kind| kinds(kind)).filter_map(move |kind| find(*kind, name))
    };
    let events = of(is_event, BASED_ON);
    let others = OTHERWISE.iter().filter_map(|(kind, name)| find(Kind::parse(kind)?, name));
    let requests = [BASED_ON].into_iter().chain(REPLACES).flat_map(|name| of(|kind| kind.is_request(), name));
    events.chain(others).chain(requests).collect()
});

#[derive(Default)]
pub(super) struct Links {
    requests: Vec<(Key, Body)>,
    replaced_by: Vec<Key>,
    children: Vec<Key>,
    events: Vec<(Key, Option<String>)>,
}

impl Links {
    /// Of the requests of an order, and of others that are not among these.
    pub(super) async fn of(service: &Service, requests: Vec<Stored>, mut others: Vec<Key>) -> Result<Self, No> {
        others.sort();
        others.dedup();
        others.retain(|key| requests.iter().all(|request| request.key != *key));
        let others = if others.is_empty() { Vec::new() } else { service.registry.read(&others).await? };
        let read = |stored: Stored| Some((stored.key, glance(&stored.body, &TOLD).ok()?));
        let requests: Vec<(Key, Body)> = requests.into_iter().chain(others).filter_map(read).collect();
        if requests.is_empty() {
            return Ok(Self::default());
        }
        let keys: Vec<Key> = requests.iter().map(|(key, _)| key.clone()).collect();
        let pointers = service.registry.pointing(&keys, &POINTING, service.config.page_entries_limit).await?;
        let mut links = Self { requests, ..Self::default() };
        for Pointer { by, from, status } in pointers {
            match from.kind.is_request() {
                true if REPLACES.contains(&by.name) => links.replaced_by.push(from),
                true => links.children.push(from),
                false => links.events.push((from, status)),
            }
        }
        Ok(links)
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

fn is_event(kind: &Kind) -> bool {
    !kind.is_request() && *kind != Kind::TASK
}
