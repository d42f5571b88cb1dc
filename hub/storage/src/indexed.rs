//! Resources that were stored before somebody thought of a parameter are found by it too.
//!
//! The database has written down by which elements each type is indexed. What is new in the table of parameters is missing
//! there: until all resources of the type have their rows, a search by it does not go by the index, but asks the
//! resources. So an answer is never less than the truth, only sooner or later `too-costly`. Meanwhile the resources are
//! indexed anew, some at a time, by whichever hub comes to it; one that stops is taken up where it was.
//!
//! Beside a hub that knows other parameters this waits, since whatever that one writes has no rows for the new ones. One
//! that starts takes from the list what it does not know.

use std::collections::{BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock};

use async_trait::async_trait;
use hub_domain::query::{Filter, Param, ParamType, params};
use hub_domain::registry::Trouble;
use schemas::resource::Kind;

use crate::rows::{Index, IndexChanges, VersionRow, column};
use crate::values::fnv64;

/// How it is written down that what points to requests has rows of its own.
const LINKS: &str = "links";

/// A row of `indexed`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct State {
    pub(crate) kind: String,
    pub(crate) elements: String,
    pub(crate) coming: String,
    pub(crate) seq: i64,
}

/// A current resource, to be indexed anew.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct ToIndex {
    pub(crate) seq: i64,
    #[sqlx(flatten)]
    pub(crate) version: VersionRow,
}

/// A database, as far as indexing anew goes.
#[async_trait]
pub(crate) trait Indexed: Sync {
    async fn states(&self) -> Result<Vec<State>, Trouble>;

    /// Whether a hub that knows other parameters is at work.
    async fn has_others(&self) -> Result<bool, Trouble>;

    /// Indexes the next `limit` resources behind `state`, while nobody commits, and moves it on; how many they were. None
    /// when somebody else has moved it.
    async fn advance(&self, state: &State, elements: &str, limit: u32) -> Result<Option<u64>, Trouble>;
}

/// The elements by which this hub indexes a type.
pub(crate) fn elements(kind: Kind) -> String {
    let links = has_links(kind).then(|| LINKS.to_owned());
    joined(&params(kind).filter_map(element).chain(links).collect())
}

/// Whether resources of a type may point to requests: see [`values::is_link`](crate::values::is_link).
fn has_links(kind: Kind) -> bool {
    kind != Kind::TASK && params(kind).any(|param| param.kind == ParamType::Reference)
}

/// All of all types: two hubs of the same number index alike.
pub(crate) fn fingerprint() -> u64 {
    Kind::ALL.iter().fold(0, |sum, kind| fnv64(format!("{sum} {kind} {}", elements(*kind)).as_bytes()))
}

/// How an element and the kind of its values are written down; none of what has no rows of its own.
fn element(param: &Param) -> Option<String> {
    let way = match param.kind {
        ParamType::Token => "token",
        ParamType::Reference => "reference",
        ParamType::Date => "date",
        ParamType::Uri => "uri",
        ParamType::String => "string",
        ParamType::Number | ParamType::Quantity => "quantity",
        ParamType::Composite => return None,
    };
    Some(format!("{way} {}", param.element))
}

fn listed(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

fn joined(elements: &BTreeSet<String>) -> String {
    elements.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// What a hub writes down when it starts: of types that are new to the database, whether anything is stored of them; of the
/// others what it does not know, and so will not keep up.
pub(crate) fn at_start(states: &[State], is_stored: impl Fn(Kind) -> bool) -> Vec<State> {
    let state = |kind: &Kind| {
        let ours = elements(*kind);
        let Some(state) = states.iter().find(|state| state.kind == kind.name()) else {
            let elements = if is_stored(*kind) { String::new() } else { ours };
            return Some(State { kind: kind.name().into(), elements, coming: String::new(), seq: 0 });
        };
        let (kept, known) = (listed(&state.elements), listed(&ours));
        let unknown = !kept.is_subset(&known);
        unknown.then(|| State { elements: joined(&(&kept & &known)), ..state.clone() })
    };
    Kind::ALL.iter().filter_map(state).collect()
}

/// Of each type the elements that it is not indexed by yet, as this hub last saw it.
#[derive(Debug, Default)]
pub(crate) struct Behind(RwLock<HashMap<Kind, BTreeSet<String>>>);

impl Behind {
    pub(crate) fn see(&self, states: &[State]) {
        let missing = |kind: &Kind| {
            let state = states.iter().find(|state| state.kind == kind.name());
            let there = state.map(|state| listed(&state.elements)).unwrap_or_default();
            (*kind, &listed(&elements(*kind)) - &there)
        };
        let behind = Kind::ALL.iter().map(missing).filter(|(_, missing)| !missing.is_empty());
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = behind.collect();
    }

    /// Whether what points to requests does not have all rows that say so.
    pub(crate) fn lacks_links(&self, kind: Kind) -> bool {
        let behind = self.0.read().unwrap_or_else(PoisonError::into_inner);
        behind.get(&kind).is_some_and(|missing| missing.contains(LINKS))
    }

    /// Whether an index would know less of a filter than the resources do.
    pub(crate) fn lacks(&self, kind: Kind, filter: &Filter) -> bool {
        let behind = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(missing) = behind.get(&kind) else { return false };
        let is_missing = |param: &Param| element(param).is_some_and(|element| missing.contains(&element));
        // What has a column of its own always had it.
        filter.params().iter().any(|param| column(kind, param).is_none() && is_missing(param))
    }
}

/// Indexes some resources anew: how many, none when there is nothing to do now.
pub(crate) async fn index_anew(database: &dyn Indexed, behind: &Behind, limit: u32) -> Result<Option<u64>, Trouble> {
    let states = database.states().await?;
    behind.see(&states);
    let lacking = states.iter().find_map(|state| {
        let ours = elements(Kind::parse(&state.kind)?);
        (!listed(&ours).is_subset(&listed(&state.elements))).then_some((state, ours))
    });
    let Some((state, ours)) = lacking else { return Ok(None) };
    if database.has_others().await? {
        return Ok(None);
    }
    Ok(Some(database.advance(state, &ours, limit).await?.unwrap_or(0)))
}

impl State {
    /// The number behind which a pass for these elements goes on.
    pub(crate) fn after(&self, elements: &str) -> i64 {
        if self.coming == elements { self.seq } else { 0 }
    }

    /// As it is when `rows` are indexed, of `limit` that were asked for.
    pub(crate) fn then(&self, elements: &str, rows: &[ToIndex], limit: u32) -> Self {
        let is_done = rows.len() < limit as usize;
        let kind = self.kind.clone();
        if is_done {
            return Self { kind, elements: elements.to_owned(), coming: String::new(), seq: 0 };
        }
        let seq = rows.last().map_or(self.seq, |row| row.seq);
        Self { kind, elements: self.elements.clone(), coming: elements.to_owned(), seq }
    }
}

/// All index rows of these resources.
pub(crate) fn changes(rows: &[ToIndex]) -> Result<IndexChanges, Trouble> {
    let mut changes = IndexChanges::default();
    for row in rows {
        changes.add(row.seq, &Index::of(&row.version.resource()?));
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(kind: Kind, elements: &str) -> State {
        State { kind: kind.name().into(), elements: elements.into(), coming: String::new(), seq: 0 }
    }

    #[test]
    fn a_start_tells_new_types_and_takes_away_what_it_does_not_know() {
        let ours = elements(Kind::TASK);
        let newer = format!("{ours}\ntoken unheardOf");
        let written = at_start(&[state(Kind::TASK, &newer)], |kind| kind == Kind::BINARY);
        let of = |kind: Kind| written.iter().find(|state| state.kind == kind.name());
        assert_eq!(of(Kind::TASK).map(|state| state.elements.as_str()), Some(ours.as_str()));
        assert_eq!(of(Kind::BINARY).map(|state| state.elements.as_str()), Some(""), "something is stored of it");
        assert_eq!(of(Kind::CLAIM).map(|state| state.elements.clone()), Some(elements(Kind::CLAIM)));
        let alike: Vec<State> = Kind::ALL.iter().map(|kind| state(*kind, &elements(*kind))).collect();
        assert_eq!(at_start(&alike, |_| true), []);
    }

    #[test]
    fn a_pass_begins_anew_for_other_elements() {
        let begun = State { coming: "a".into(), seq: 7, ..state(Kind::TASK, "") };
        assert_eq!((begun.after("a"), begun.after("a\nb")), (7, 0));
        let done = begun.then("a", &[], 10);
        assert_eq!((done.elements.as_str(), done.seq), ("a", 0));
    }
}
