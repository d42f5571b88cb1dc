//! The directory: whom a step may be offered to. It is made of the HealthcareServices, Organizations and Endpoints that
//! are stored here, and read when it is asked, so that what changes in it counts from then on.

use std::cmp::Reverse;

use schemas::resource::{Body, Key, Kind, Resource, list};
use serde_json::Value;

use crate::query::{Filter, Query, SystemMatch, TokenMatch, find};

/// How many Tasks of a service may be open at a time, said in the HealthcareService.
pub const CAPACITY: &str = "urn:fhir-workflow-hub:extension:capacity";
/// Most services that are looked at for one step.
const SERVICES_LIMIT: u32 = 100;
/// A capacity beyond this is not counted out.
const CAPACITY_LIMIT: u32 = 200;

/// Most plans that are stored for orders to start with.
pub(crate) const PLANS_LIMIT: u32 = 100;
/// Most active PlanDefinitions among which they are looked for.
const DEFINITIONS_LIMIT: u32 = 1_000;

/// Most definitions of one url among which that of a version is looked for.
const VERSIONS_LIMIT: u32 = 100;

/// A bounded look into the registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// HealthcareServices that carry one of these codes or references at a search parameter.
    Services { by: &'static str, any: Vec<String> },
    /// Tasks that this owner has open, counted no further than this.
    Open { owner: String, at_most: u32 },
    /// Active PlanDefinitions.
    Plans,
    /// Definitions of this type with this url, of all versions.
    Definitions { kind: Kind, url: String },
}

impl Lookup {
    /// None for what cannot be asked.
    pub fn query(&self) -> Option<Query> {
        let token = |text: &String| match text.split_once('|') {
            Some((system, code)) if !system.is_empty() => {
                TokenMatch { system: SystemMatch::Is(system.to_owned()), code: Some(code.to_owned()) }
            }
            _ => TokenMatch { system: SystemMatch::Any, code: Some(text.trim_start_matches('|').to_owned()) },
        };
        let (kind, filters, count) = match self {
            Self::Services { by, any } => {
                let kind = Kind::parse("HealthcareService")?;
                let param = find(kind, by)?;
                let filter = if *by == "location" {
                    Filter::Reference { param, any: any.clone() }
                } else {
                    Filter::Token { param, any: any.iter().map(token).collect() }
                };
                (kind, vec![filter], SERVICES_LIMIT)
            }
            Self::Open { owner, at_most } => {
                let status = OPEN.iter().map(|code| token(&(*code).to_owned())).collect();
                let of = Filter::Reference { param: find(Kind::TASK, "owner")?, any: vec![owner.clone()] };
                (Kind::TASK, vec![of, Filter::Token { param: find(Kind::TASK, "status")?, any: status }], *at_most)
            }
            Self::Plans => {
                let (kind, active) = (Kind::PLAN_DEFINITION, vec![token(&"active".to_owned())]);
                (kind, vec![Filter::Token { param: find(kind, "status")?, any: active }], DEFINITIONS_LIMIT)
            }
            Self::Definitions { kind, url } => {
                let any = vec![TokenMatch { system: SystemMatch::Any, code: Some(url.clone()) }];
                (*kind, vec![Filter::Token { param: find(*kind, "url")?, any }], VERSIONS_LIMIT)
            }
        };
        Some(Query { kind, filters, sort: Vec::new(), count, page: None })
    }
}

const OPEN: [&str; 6] = ["requested", "received", "accepted", "ready", "in-progress", "on-hold"];

/// What a request says about who may do it. What it does not say, any service has.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// `code` and `category`: as `type` of the service.
    types: Vec<String>,
    /// `performerType`: as `specialty`.
    specialties: Vec<String>,
    locations: Vec<String>,
}

impl Wanted {
    pub(crate) fn of(request: &Body) -> Self {
        let codings = |names: &[&str]| names.iter().flat_map(|name| concepts(request, name)).collect();
        let location = |at: &Value| at["reference"].as_str().map(str::to_owned);
        Self {
            types: codings(&["code", "category"]),
            specialties: codings(&["performerType"]),
            locations: list(request, "locationReference").filter_map(location).collect(),
        }
    }

    /// By what the directory is asked; none when the request says nothing by which a service could be found.
    pub(crate) fn lookup(&self) -> Option<Lookup> {
        let by = [("service-type", &self.types), ("specialty", &self.specialties), ("location", &self.locations)];
        let (by, any) = by.into_iter().find(|(_, any)| !any.is_empty())?;
        Some(Lookup::Services { by, any: any.clone() })
    }

    /// Whether a service is active and has all that is wanted.
    pub(crate) fn fits(&self, service: &Body) -> bool {
        let has = |wanted: &[String], has: &[String]| wanted.is_empty() || wanted.iter().any(|one| has.contains(one));
        let places: Vec<String> =
            list(service, "location").filter_map(|at| at["reference"].as_str().map(str::to_owned)).collect();
        is_active(service)
            && has(&self.types, &concepts(service, "type"))
            && has(&self.specialties, &concepts(service, "specialty"))
            && has(&self.locations, &places)
    }
}

/// `system|code` of each coding of an element that holds concepts.
fn concepts(body: &Body, name: &str) -> Vec<String> {
    let one = body.get(name).filter(|value| value.is_object());
    let codings = one.into_iter().chain(list(body, name)).flat_map(|c| c["coding"].as_array().into_iter().flatten());
    codings
        .filter_map(|c| Some(format!("{}|{}", c["system"].as_str().unwrap_or_default(), c["code"].as_str()?)))
        .collect()
}

/// Organizations and services say `active`, Endpoints have a status.
pub(crate) fn is_active(body: &Body) -> bool {
    body.get("active") != Some(&Value::Bool(false)) && body.get("status").is_none_or(|status| status == "active")
}

/// A service that fits, as somebody to be asked.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) service: &'a Resource,
}

impl Candidate<'_> {
    /// Who owns the Task: the organisation that provides the service, or the service itself.
    pub(crate) fn owner(&self) -> String {
        let by = self.service.body.get("providedBy").and_then(|by| by["reference"].as_str());
        by.map_or_else(|| self.service.key.to_string(), str::to_owned)
    }

    pub(crate) fn capacity(&self) -> Option<u32> {
        let mut extensions = list(&self.service.body, "extension");
        let said = extensions.find(|extension| extension["url"] == CAPACITY)?;
        let number =
            said.get("valuePositiveInt").or_else(|| said.get("valueUnsignedInt")).or_else(|| said.get("valueInteger"));
        let number = number?.as_u64()?;
        Some(u32::try_from(number).unwrap_or(CAPACITY_LIMIT).min(CAPACITY_LIMIT))
    }

    pub(crate) fn open(&self) -> Option<Lookup> {
        Some(Lookup::Open { owner: self.owner(), at_most: self.capacity()? }).filter(|_| self.capacity() != Some(0))
    }

    /// Who provides it and by what it is reached, as far as they may be here.
    pub(crate) fn behind(&self) -> Vec<Key> {
        let endpoints = list(&self.service.body, "endpoint").filter_map(|e| e["reference"].as_str());
        let by = self.service.body.get("providedBy").and_then(|by| by["reference"].as_str());
        endpoints.chain(by).filter_map(Key::of_reference).collect()
    }

    /// Whether who provides it is active, and one of its endpoints, of those that are known.
    pub(crate) fn is_reachable<'r>(&self, find: impl Fn(&Key) -> Option<&'r Resource>) -> bool {
        let known: Vec<&Resource> = self.behind().iter().filter_map(find).collect();
        let (endpoints, providers): (Vec<_>, Vec<_>) = known.into_iter().partition(|r| r.key.kind.name() == "Endpoint");
        providers.iter().all(|provider| is_active(&provider.body))
            && (endpoints.is_empty() || endpoints.iter().any(|endpoint| is_active(&endpoint.body)))
    }

    /// Most room first; who says nothing of capacity has all the room there is. Then by id, so that it is always the same.
    pub(crate) fn rank(&self, open: u32) -> (Reverse<u32>, String) {
        (
            Reverse(self.capacity().map_or(u32::MAX, |capacity| capacity.saturating_sub(open))),
            self.service.key.id.clone(),
        )
    }
}
