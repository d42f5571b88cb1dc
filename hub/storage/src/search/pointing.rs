//! What points to a resource. Where index rows tell it all, that is one statement for all types; where they do not, each
//! parameter is searched by.

use std::collections::{HashMap, HashSet};

use hub_domain::query::{Filter, Param, Query};
use hub_domain::registry::{Pointer, Stored, Trouble};
use schemas::resource::{Key, Kind};
use uuid::Uuid;

use super::Source;
use super::read::{Limits, search};
use crate::errors::corrupt;
use crate::rows::column;
use crate::values;

/// A resource that has a row with one of the values asked for.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct PointerRow {
    value: Uuid,
    kind: String,
    id: String,
    status: Option<String>,
}

/// In the order of `by`; of each parameter and each target the newest `limit`.
pub(crate) async fn pointing(
    source: &dyn Source,
    to: &[Key],
    by: &[&'static Param],
    limit: u32,
    limits: Limits,
) -> Result<Vec<Pointer>, Trouble> {
    let targets: Vec<String> = to.iter().map(Key::to_string).collect();
    let mut places: HashMap<Uuid, usize> = HashMap::new();
    let mut found = Vec::new();
    for (place, param) in by.iter().enumerate() {
        let filter = Filter::Reference { param, any: targets.clone() };
        if has_all_rows(source, param, &filter) {
            places.extend(targets.iter().map(|to| (values::digest(param.of, param, to), place)));
        } else {
            let query = Query { kind: param.of, filters: vec![filter], sort: Vec::new(), count: limit, page: None };
            let entries = search(source, &query, limits).await?.entries;
            let status = |body: &[u8]| serde_json::from_slice::<Told>(body).ok().and_then(|told| told.status);
            let pointer = |stored: Stored| Pointer { by: param, status: status(&stored.body), from: stored.key };
            found.extend(entries.into_iter().map(|stored| (place, pointer(stored))));
        }
    }
    if !places.is_empty() {
        let digests: Vec<Uuid> = places.keys().copied().collect();
        for row in source.pointers(&digests, limit).await? {
            let Some(place) = places.get(&row.value).copied() else { continue };
            let kind = Kind::parse(&row.kind).ok_or_else(|| corrupt("resource", row.id.clone(), "unknown type"))?;
            found.push((place, Pointer { by: by[place], from: Key::new(kind, row.id), status: row.status }));
        }
    }
    found.sort_by_key(|(place, _)| *place);
    // One that points to several of them is told once.
    let mut met = HashSet::new();
    found.retain(|(place, pointer)| met.insert((*place, pointer.from.clone())));
    Ok(found.into_iter().map(|(_, pointer)| pointer).collect())
}

/// The part of a resource that tells how it stands.
#[derive(serde::Deserialize)]
struct Told {
    status: Option<String>,
}

/// Whether each value of the parameter has an index row. Some of a Task's are in columns, or told by its id.
fn has_all_rows(source: &dyn Source, param: &Param, filter: &Filter) -> bool {
    param.of != Kind::TASK && column(param.of, param).is_none() && !source.behind().lacks(param.of, filter)
}
