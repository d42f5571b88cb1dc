//! Links of a query to other resources, forth (`subject:Patient.name`) and back (`_has:Task:focus:status`).
//!
//! What stands at the other end is looked up first, by a search like any other, and goes into the query as the keys that
//! were found: the link is *settled*. Where that are too many, and the query asks for something else beside, the link
//! stays *open*: it is followed from those that pass all the rest. So a link costs bounded searches, and no join that
//! nobody can foresee. What is committed between two of them may be seen by one alone.

use std::collections::{BTreeSet, HashSet};

use hub_domain::query::{Filter, IndexValue, Inner, Param, Query, values};
use hub_domain::registry::{Stored, Trouble};
use schemas::resource::{Key, Kind};

use super::Source;
use super::read::{Limits, search};
use super::sql::Place;
use crate::body;
use crate::errors::corrupt;

/// Resources at the other end of a link that is settled, at most. More would make a search that nobody waits for.
const CARRIED_LIMIT: u32 = 500;
/// From so many a link is followed by one search.
const FOLLOWED_AT_ONCE: usize = 50;
/// Resources at the other end of an open link, for one search that follows it, at most.
const MET_LIMIT: usize = 5_000;

/// The query with its links settled, but for those that are open: these have a bit each. A later page is told them, and
/// has the same ones.
pub(super) async fn settled(
    source: &dyn Source,
    query: &Query,
    told: Option<i64>,
    limits: Limits,
) -> Result<(Query, i64), Trouble> {
    let (mut settled, mut open) = (query.clone(), told.unwrap_or(0));
    let mut wide = None;
    for (n, filter) in settled.filters.iter_mut().enumerate().filter(|(_, filter)| is_link(filter)) {
        let bit = 1_i64.checked_shl(n as u32).unwrap_or(0);
        if open & bit != 0 {
            continue;
        }
        match settle(source, query.kind, filter, limits).await {
            Err(trouble @ Trouble::TooWide { .. }) if told.is_none() && bit != 0 => {
                open |= bit;
                wide = Some(trouble);
            }
            settled => settled?,
        }
    }
    match wide {
        // Nothing else tells where to follow them from.
        Some(trouble) if open.count_ones() as usize == query.filters.len() => Err(trouble),
        _ => Ok((settled, open)),
    }
}

pub(super) fn is_link(filter: &Filter) -> bool {
    matches!(filter, Filter::Chain { .. } | Filter::Has { .. })
}

/// Puts keys in the place of a link.
async fn settle(source: &dyn Source, kind: Kind, filter: &mut Filter, limits: Limits) -> Result<(), Trouble> {
    *filter = match &*filter {
        Filter::Chain { param, to } => {
            let found = carried(source, to, param, limits).await?;
            Filter::Reference { param, any: found.into_iter().map(|stored| stored.key.to_string()).collect() }
        }
        Filter::Has { param, from } => {
            let mut ids = BTreeSet::new();
            for stored in carried(source, from, param, limits).await? {
                ids.extend(pointed_to(&stored, param, kind)?.into_iter().map(|key| key.id));
            }
            Filter::Id(ids.into_iter().collect())
        }
        _ => return Ok(()),
    };
    Ok(())
}

async fn carried(source: &dyn Source, inner: &Inner, by: &Param, limits: Limits) -> Result<Vec<Stored>, Trouble> {
    let Inner { kind, filters } = inner.clone();
    let query = Query { kind, filters, sort: Vec::new(), count: CARRIED_LIMIT, page: None };
    // It may have links of its own.
    match Box::pin(search(source, &query, limits)).await {
        Ok(page) if page.next.is_none() => Ok(page.entries),
        Ok(_) | Err(Trouble::TooCostly) => Err(too_wide(kind, by)),
        Err(trouble) => Err(trouble),
    }
}

fn too_wide(kind: Kind, by: &Param) -> Trouble {
    Trouble::TooWide { kind, by: by.name, limit: CARRIED_LIMIT }
}

/// Leaves those from which an open link leads to what it asks for.
pub(super) async fn follow(
    source: &dyn Source,
    kind: Kind,
    link: &Filter,
    hits: &mut Vec<(Stored, Place)>,
    limits: Limits,
) -> Result<(), Trouble> {
    let mut met: HashSet<Key> = HashSet::new();
    match link {
        Filter::Chain { param, to } => {
            let mut ends = Vec::with_capacity(hits.len());
            for (stored, _) in &*hits {
                ends.push(pointed_to(stored, param, to.kind)?);
            }
            let wanted: BTreeSet<&Key> = ends.iter().flatten().collect();
            for keys in wanted.into_iter().collect::<Vec<_>>().chunks(FOLLOWED_AT_ONCE) {
                let these = Filter::Id(keys.iter().map(|key| key.id.clone()).collect());
                met.extend(all(source, to, these, param, limits).await?.into_iter().map(|stored| stored.key));
            }
            let mut ends = ends.iter();
            hits.retain(|_| ends.next().is_some_and(|ends| ends.iter().any(|key| met.contains(key))));
        }
        Filter::Has { param, from } => {
            for hits in hits.chunks(FOLLOWED_AT_ONCE) {
                let any = hits.iter().map(|(stored, _)| stored.key.to_string()).collect();
                for stored in all(source, from, Filter::Reference { param, any }, param, limits).await? {
                    met.extend(pointed_to(&stored, param, kind)?);
                }
            }
            hits.retain(|(stored, _)| met.contains(&stored.key));
        }
        _ => {}
    }
    Ok(())
}

/// All at the other end of a link that are among these.
async fn all(
    source: &dyn Source,
    inner: &Inner,
    these: Filter,
    by: &Param,
    limits: Limits,
) -> Result<Vec<Stored>, Trouble> {
    let filters = inner.filters.iter().cloned().chain([these]).collect();
    let mut query = Query { kind: inner.kind, filters, sort: Vec::new(), count: CARRIED_LIMIT, page: None };
    let mut found = Vec::new();
    loop {
        let page = Box::pin(search(source, &query, limits)).await?;
        found.extend(page.entries);
        query.page = page.next;
        match query.page {
            None => return Ok(found),
            Some(_) if found.len() > MET_LIMIT => return Err(too_wide(inner.kind, by)),
            Some(_) => {}
        }
    }
}

/// What a resource points to that is of a type.
fn pointed_to(stored: &Stored, param: &Param, kind: Kind) -> Result<Vec<Key>, Trouble> {
    let row = || format!("{}/{}", stored.key, stored.version);
    let body = body::read(&stored.body).map_err(|why| corrupt("version", row(), why))?;
    let keys = values(param, &body).into_iter().filter_map(|value| match value {
        IndexValue::Reference(to) => Key::of_reference(to).filter(|key| key.kind == kind),
        _ => None,
    });
    Ok(keys.collect())
}
