//! Both sides of a search: the values by which a new order is found, and a worklist's query as the domain reads it.
//!
//! The commas, prefixes and modifiers are HTTP's and the SQL is the storage's: both are behind walls. Of reading a query
//! there are here the table of parameters, the references and the dates.

use std::hint::black_box;

use hub_domain::query::{
    DateMatch, Filter, ParamType, Prefix, Query, Sort, SortBy, SystemMatch, TokenMatch, find, index as values_of,
};
use schemas::ids::Target;
use schemas::resource::Kind;
use schemas::time::Timestamp;

use crate::registry::{Registry, submission};
use crate::{Work, orders};

/// What a laboratory asks every few seconds.
const WORKLIST: &str = "status=requested,ready&performer=urn:fhir-workflow-hub:work%7Claboratory\
    &owner=Organization/laboratory-1&patient=Patient/000000271828&authored-on=2026-11-20";

/// Of a request and its four Tasks.
pub(crate) fn index() -> Work {
    let decision = Registry::new().execute(submission(&orders::laboratory()));
    Box::new(move || {
        for write in &decision.writes {
            black_box(values_of(black_box(&write.resource)));
        }
    })
}

pub(crate) fn read() -> Work {
    Box::new(|| {
        let parameters = form_urlencoded::parse(black_box(WORKLIST.as_bytes()));
        let filters = parameters.map(|(name, value)| filter(&name, &value).unwrap()).collect();
        let sort = vec![Sort { by: SortBy::Priority, descending: false }];
        black_box(Query { kind: Kind::TASK, filters, sort, count: 50, page: None });
    })
}

fn filter(name: &str, value: &str) -> Option<Filter> {
    let param = find(Kind::TASK, name)?;
    match param.kind {
        ParamType::Token => Some(Filter::Token { param, any: value.split(',').map(token).collect() }),
        ParamType::Reference => match Target::parse(value) {
            Target::Relative { kind, id, .. } => Some(Filter::Reference { param, any: vec![format!("{kind}/{id}")] }),
            _ => None,
        },
        // No worklist asks by these.
        ParamType::Uri | ParamType::String | ParamType::Number | ParamType::Quantity | ParamType::Composite => None,
        ParamType::Date => {
            let (low, high) = Timestamp::range(value)?;
            Some(Filter::Date { param, any: vec![DateMatch { prefix: Prefix::Eq, low, high }] })
        }
    }
}

fn token(text: &str) -> TokenMatch {
    match text.split_once('|') {
        Some((system, code)) => TokenMatch { system: SystemMatch::Is(system.into()), code: Some(code.into()) },
        None => TokenMatch { system: SystemMatch::Any, code: Some(text.into()) },
    }
}
