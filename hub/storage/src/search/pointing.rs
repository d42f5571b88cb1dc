//! What points to a request. Where index rows tell it all, that is one statement for all types and elements; where they do
//! not, each parameter is searched by.

use std::collections::{HashMap, HashSet};

use hub_domain::query::{Filter, Param, Query};
use hub_domain::registry::{Pointer, Stored, Trouble};
use schemas::resource::{Key, Kind, glance, text_at};

use super::Source;
use super::read::{Limits, search};
use crate::errors::corrupt;
use crate::values;

/// A resource that points to one that was asked about.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct PointerRow {
    /// The number of the element that it does it by.
    system: i64,
    kind: String,
    id: String,
    status: Option<String>,
}

/// In the order of `by`; of each target the newest `limit`.
pub(crate) async fn pointing(
    source: &dyn Source,
    to: &[Key],
    by: &[&'static Param],
    limit: u32,
    limits: Limits,
) -> Result<Vec<Pointer>, Trouble> {
    let targets: Vec<String> = to.iter().map(Key::to_string).collect();
    let (mut places, mut found) = (HashMap::new(), Vec::new());
    for (place, param) in by.iter().enumerate() {
        if has_rows(source, param, to) {
            // Of two parameters of one element, the first counts.
            places.entry((param.of, values::param(param.of, param).into())).or_insert(place);
        } else {
            let filters = vec![Filter::Reference { param, any: targets.clone() }];
            let query = Query { kind: param.of, filters, sort: Vec::new(), count: limit, page: None };
            let entries = search(source, &query, limits).await?.entries;
            found.extend(entries.into_iter().map(|stored| (place, pointer(param, stored))));
        }
    }
    if !places.is_empty() {
        let links: Vec<_> = targets.iter().map(|to| values::link(to)).collect();
        let mut elements: Vec<i64> = places.keys().map(|(_, element)| *element).collect();
        elements.sort_unstable();
        for row in source.pointers(&links, &elements, limit).await? {
            let kind = Kind::parse(&row.kind).ok_or_else(|| corrupt("resource", row.id.clone(), "unknown type"))?;
            let Some(place) = places.get(&(kind, row.system)).copied() else { continue };
            found.push((place, Pointer { by: by[place], from: Key::new(kind, row.id), status: row.status }));
        }
    }
    found.sort_by_key(|(place, _)| *place);
    // One that points to several of them is told once.
    let mut met = HashSet::new();
    found.retain(|(place, pointer)| met.insert((*place, pointer.from.clone())));
    Ok(found.into_iter().map(|(_, pointer)| pointer).collect())
}

fn pointer(by: &'static Param, stored: Stored) -> Pointer {
    let told = glance(&stored.body, &["status"]).unwrap_or_default();
    Pointer { by, status: text_at(&told, &["status"]).map(str::to_owned), from: stored.key }
}

/// Whether all that points to these by the parameter has a row that says so: see [`values::is_link`].
fn has_rows(source: &dyn Source, param: &Param, to: &[Key]) -> bool {
    let are_links = to.iter().all(|key| values::is_link(param.of, key));
    are_links && !source.behind().lacks_links(param.of)
}
