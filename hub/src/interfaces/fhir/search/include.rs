//! `_include` and `_revinclude`: what the matches of a search point to, and what points to them, in the same answer.

use std::collections::HashSet;

use axum::http::StatusCode;
use hub_domain::query::{Filter, IndexValue, Param, ParamType, Query, find, params, values};
use hub_domain::registry::Stored;
use schemas::outcome::IssueType;
use schemas::resource::{Body, Key, Kind, Resource};

use super::super::answer::No;
use crate::service::Service;

/// Most resources that come with the matches of a page.
const INCLUDED_LIMIT: usize = 1_000;
/// How far `:iterate` follows what came.
const ROUNDS_LIMIT: usize = 8;
/// Of so many resources it is asked at once what points to them: each is a value of one search.
const ASKED_AT_ONCE: usize = 50;

/// One wish for more than the matches.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::interfaces::fhir) struct Include {
    /// The type whose references are followed.
    of: Kind,
    /// By these parameters.
    by: Vec<&'static Param>,
    /// To this type only.
    to: Option<Kind>,
    /// From what points to what is pointed to, or back.
    back: bool,
    /// Also of what came by this or another wish.
    iterates: bool,
}

const FORM: &str = "it takes Type:parameter or Type:parameter:Type, with a parameter that is a reference";

impl Include {
    /// Reads `_include=Task:focus`, `_revinclude:iterate=Task:part-of:Task`. None: it is another parameter.
    pub(super) fn read(name: &str, value: &str) -> Option<Result<Self, String>> {
        let (plain, modifier) = name.split_once(':').map_or((name, None), |(plain, modifier)| (plain, Some(modifier)));
        let back = match plain {
            "_include" => false,
            "_revinclude" => true,
            _ => return None,
        };
        let iterates = match modifier {
            None => false,
            Some("iterate") => true,
            Some(other) => return Some(Err(format!("the modifier :{other} is not known here"))),
        };
        let mut parts = value.splitn(3, ':');
        let of = parts.next().and_then(Kind::parse);
        let by: Vec<&Param> = match (of, parts.next()) {
            // What points to something may do so by many parameters: one of them is named.
            (Some(of), Some("*")) if !back => params(of).filter(|param| param.kind == ParamType::Reference).collect(),
            (Some(of), Some(name)) => {
                find(of, name).into_iter().filter(|param| param.kind == ParamType::Reference).collect()
            }
            _ => Vec::new(),
        };
        let to = parts.next().map(Kind::parse);
        Some(match (of, to) {
            (Some(of), None | Some(Some(_))) if !by.is_empty() => Ok(Self { of, by, to: to.flatten(), back, iterates }),
            _ => Err(FORM.to_owned()),
        })
    }

    /// What a resource points to.
    fn targets(&self, resource: &Resource) -> Vec<Key> {
        let values = self.by.iter().flat_map(|param| values(param, &resource.body));
        let keys = values.filter_map(|value| match value {
            IndexValue::Reference(to) => Key::of_reference(to),
            _ => None,
        });
        keys.filter(|key| self.to.is_none_or(|to| to == key.kind)).collect()
    }
}

/// What comes with the matches, each once.
pub(super) async fn included(service: &Service, wishes: &[Include], matches: &[Stored]) -> Result<Vec<Stored>, No> {
    let mut seen: HashSet<Key> = matches.iter().map(|stored| stored.key.clone()).collect();
    let mut came: Vec<Stored> = Vec::new();
    let mut fresh = matches.to_vec();
    for round in 0..ROUNDS_LIMIT {
        let mut next = Vec::new();
        for wish in wishes.iter().filter(|wish| round == 0 || wish.iterates) {
            let found =
                if wish.back { pointing(service, wish, &fresh).await? } else { pointed(service, wish, &fresh).await? };
            next.extend(found.into_iter().filter(|stored| seen.insert(stored.key.clone())));
            if came.len() + next.len() > INCLUDED_LIMIT {
                let text = format!("more than {INCLUDED_LIMIT} resources come with this page: ask for fewer matches");
                return Err(No::new(StatusCode::UNPROCESSABLE_ENTITY, IssueType::TooCostly, text));
            }
        }
        if next.is_empty() {
            break;
        }
        came.extend(next.iter().cloned());
        fresh = next;
    }
    Ok(came)
}

async fn pointed(service: &Service, wish: &Include, from: &[Stored]) -> Result<Vec<Stored>, No> {
    let of_type = from.iter().filter(|stored| stored.key.kind == wish.of).filter_map(resource);
    let mut keys: Vec<Key> = of_type.flat_map(|resource| wish.targets(&resource)).collect();
    keys.sort();
    keys.dedup();
    if keys.is_empty() { Ok(Vec::new()) } else { Ok(service.registry.read(&keys).await?) }
}

async fn pointing(service: &Service, wish: &Include, to: &[Stored]) -> Result<Vec<Stored>, No> {
    let wanted = to.iter().filter(|stored| wish.to.is_none_or(|to| to == stored.key.kind));
    let references: Vec<String> = wanted.map(|stored| stored.key.to_string()).collect();
    let mut found = Vec::new();
    for any in references.chunks(ASKED_AT_ONCE) {
        let Some(param) = wish.by.first() else { break };
        let filters = vec![Filter::Reference { param, any: any.to_vec() }];
        let count = service.config.page_entries_limit;
        let mut query = Query { kind: wish.of, filters, sort: Vec::new(), count, page: None };
        loop {
            let page = service.registry.search(&query).await?;
            found.extend(page.entries);
            query.page = page.next;
            if query.page.is_none() || found.len() > INCLUDED_LIMIT {
                break;
            }
        }
    }
    Ok(found)
}

fn resource(stored: &Stored) -> Option<Resource> {
    let body: Body = serde_json::from_slice(&stored.body).ok()?;
    Some(Resource {
        key: stored.key.clone(),
        version: stored.version,
        last_updated: stored.last_updated,
        body: body.into(),
    })
}

/// The wishes that may be had of a type, as `/metadata` lists them: forth, and back.
pub(in crate::interfaces::fhir) fn offered(kind: Kind) -> [Vec<String>; 2] {
    let is_reference = |param: &&Param| param.kind == ParamType::Reference;
    let forth = params(kind).filter(is_reference).map(|param| format!("{kind}:{}", param.name));
    let all = params(kind).any(|param| is_reference(&param)).then(|| format!("{kind}:*"));
    let of_all = Kind::ALL.iter().flat_map(|kind| params(*kind)).filter(is_reference);
    let back = of_all.filter(|param| param.leads_to(kind)).map(|param| format!("{}:{}", param.of, param.name));
    [all.into_iter().chain(forth).collect(), back.collect()]
}
