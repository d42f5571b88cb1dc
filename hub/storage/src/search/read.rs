//! From a plan to a page.

use std::collections::{HashMap, HashSet};

use hub_domain::query::{Filter, Query, SortBy};
use hub_domain::registry::{Page, Stored, Trouble};
use schemas::resource::Kind;
use uuid::Uuid;

use super::plan::{Order, Plan, is_feed, plans};
use super::sort::sort_key;
use super::sql::{Arm, Is, Place, Slice, Statement, is_exact};
use super::{Candidate, Source, exact, links};
use crate::pages;
use crate::rows::{Index, VersionRow};

/// Candidates asked for at once, at most.
const CHUNK_ROWS_MAX: u64 = 1_000;
/// As many as a page's token has bits for.
const FILTERS_TOLD_APART: usize = 62;
/// Resources that are looked into to sort them by what no row tells, at most.
const SORTED_BY_VALUE_LIMIT: usize = 2_000;
/// Resources from which open links are followed for one page, at most.
const FOLLOWED_LIMIT: usize = 2_000;
/// Arms of a statement, at most: each value of a list times each status is one. A plan with more takes turns.
const ARMS_AT_ONCE: usize = 100;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Rows to look at for one page.
    pub(crate) rows: u64,
}

pub(crate) async fn search(source: &dyn Source, query: &Query, limits: Limits) -> Result<Page, Trouble> {
    // A later page is read as the first was.
    let token = query.page.as_deref().map(pages::numbers).transpose()?;
    let (ways, token) = match token.as_deref() {
        None => (None, None),
        Some([open, unindexed, number, place @ ..]) => (Some([*open, *unindexed]), Some((*number, place))),
        Some(_) => return Err(Trouble::BadPage),
    };
    let asked = Asked::read(source, query, ways, limits).await?;
    let plans = plans(&asked.indexed, asked.horizon_us);
    let mut reader = Reader::new(source, &asked, limits);
    let Some((number, place)) = token else { return reader.first(&plans).await };
    let plan = usize::try_from(number).ok().and_then(|number| plans.get(number)).ok_or(Trouble::BadPage)?;
    reader.page(plan, number, Some(place)).await
}

/// How many resources a query finds, on all its pages.
pub(crate) async fn count(source: &dyn Source, query: &Query, limits: Limits) -> Result<u64, Trouble> {
    let query = Query { sort: Vec::new(), page: None, ..query.clone() };
    let asked = Asked::read(source, &query, None, limits).await?;
    let mut reader = Reader::new(source, &asked, limits);
    for plan in plans(&asked.indexed, asked.horizon_us) {
        (reader.rows_read, reader.followed) = (0, 0);
        match reader.count(&plan).await {
            Err(Trouble::TooCostly) => {}
            counted => return counted,
        }
    }
    Err(Trouble::TooCostly)
}

/// A query as it is read.
struct Asked {
    /// With its links settled, but for those that are open.
    query: Query,
    /// The same with the filters alone that an index knows all of; the others are asked of the resources.
    indexed: Query,
    /// Which links are open, and which filters no index knows all of, as bits. A later page has the same ones.
    ways: [i64; 2],
    horizon_us: Option<i64>,
    /// The database's tests say all.
    exact: bool,
}

impl Asked {
    async fn read(source: &dyn Source, query: &Query, ways: Option<[i64; 2]>, limits: Limits) -> Result<Self, Trouble> {
        let (query, open) = links::settled(source, query, ways.map(|[open, _]| open), limits).await?;
        let unindexed = ways.map_or_else(|| unindexed(source, &query), |[_, unindexed]| unindexed);
        let horizon_us = if is_feed(&query) { Some(source.horizon_us(query.kind).await?) } else { None };
        let indexed = Query { filters: among(&query.filters, unindexed), ..query.clone() };
        let exact = unindexed == 0 && is_exact(&query);
        Ok(Self { query, indexed, ways: [open, unindexed], horizon_us, exact })
    }
}

/// Which of the filters an index knows less of than the resources do, as bits. More filters than bits are not told apart.
fn unindexed(source: &dyn Source, query: &Query) -> i64 {
    let lacks = |filter: &Filter| source.behind().lacks(query.kind, filter);
    query
        .filters
        .iter()
        .take(FILTERS_TOLD_APART)
        .enumerate()
        .fold(0, |bits, (n, filter)| bits | i64::from(lacks(filter)) << n)
}

/// Those that an index may be asked for.
fn among(filters: &[Filter], unindexed: i64) -> Vec<Filter> {
    let is_indexed = |n: usize| n < FILTERS_TOLD_APART && unindexed >> n & 1 == 0;
    let all = filters.iter().enumerate();
    all.filter(|(n, _)| unindexed == 0 || is_indexed(*n)).map(|(_, filter)| filter.clone()).collect()
}

struct Reader<'a> {
    source: &'a dyn Source,
    query: &'a Query,
    indexed: &'a Query,
    ways: [i64; 2],
    limits: Limits,
    horizon_us: Option<i64>,
    exact: bool,
    rows_read: u64,
    /// Resources from which open links were followed.
    followed: usize,
}

impl<'a> Reader<'a> {
    fn new(source: &'a dyn Source, asked: &'a Asked, limits: Limits) -> Self {
        let Asked { query, indexed, ways, horizon_us, exact } = asked;
        let (ways, horizon_us, exact) = (*ways, *horizon_us, *exact);
        Self { source, query, indexed, ways, limits, horizon_us, exact, rows_read: 0, followed: 0 }
    }

    /// By the first plan that does not read too much.
    async fn first(&mut self, plans: &[Plan]) -> Result<Page, Trouble> {
        for (number, plan) in (0..).zip(plans) {
            (self.rows_read, self.followed) = (0, 0);
            match self.page(plan, number, None).await {
                Err(Trouble::TooCostly) => {}
                page => return page,
            }
        }
        Err(Trouble::TooCostly)
    }

    async fn page(&mut self, plan: &Plan, number: i64, after: Option<&[i64]>) -> Result<Page, Trouble> {
        if plan.gather.is_empty() {
            self.walk(plan, number, after).await
        } else {
            self.gather(plan, number, after).await
        }
    }

    /// Candidates come in the order of the answer: read until the page is full.
    async fn walk(&mut self, plan: &Plan, number: i64, after: Option<&[i64]>) -> Result<Page, Trouble> {
        let wanted = self.query.count as usize;
        let mut trail = Trail::new(plan, after, self.horizon_us)?;
        let mut hits: Vec<(Stored, Place)> = Vec::new();
        let mut chunk_rows = (u64::from(self.query.count) + 1).min(self.left()?);
        loop {
            let rows = self.chunk(trail.plan(), trail.after, chunk_rows, true).await?;
            let ended = (rows.len() as u64) < chunk_rows;
            trail.after = rows.last().map(Candidate::place).or(trail.after);
            hits.extend(self.confirmed(rows, Some(trail.plan())).await?);
            if hits.len() > wanted {
                hits.truncate(wanted);
                break;
            }
            if ended && !trail.turn() {
                let entries = hits.into_iter().map(|(stored, _)| stored).collect();
                return Ok(Page { entries, next: None, rows_read: self.rows_read });
            }
            chunk_rows = (chunk_rows * 2).min(CHUNK_ROWS_MAX).min(self.left()?);
        }
        let next = hits.last().map(|(_, place)| self.token(number, trail.numbers(*place)));
        Ok(Page { entries: hits.into_iter().map(|(stored, _)| stored).collect(), next, rows_read: self.rows_read })
    }

    /// No index has the order: read all candidates, then sort.
    async fn gather(&mut self, plan: &Plan, number: i64, after: Option<&[i64]>) -> Result<Page, Trouble> {
        let by_value = plan.gather.iter().any(|sort| matches!(sort.by, SortBy::Param(_)));
        let mut sorted: Vec<(Vec<i64>, Candidate)> = Vec::new();
        let mut place = None;
        loop {
            let chunk_rows = CHUNK_ROWS_MAX.min(self.left()?);
            let rows = self.chunk(plan, place, chunk_rows, by_value).await?;
            let ended = (rows.len() as u64) < chunk_rows;
            place = rows.last().map(Candidate::place).or(place);
            for mut row in rows.into_iter().filter(|row| row.passes != 0) {
                let body = row.body.take().filter(|_| by_value);
                let version = body.zip(row.method).map(|(body, method)| row.version(self.query.kind, method, body));
                let resource = version.map(|version| version.resource()).transpose()?;
                sorted.push((sort_key(&row, resource.as_ref(), &plan.gather), row));
            }
            if by_value && sorted.len() > SORTED_BY_VALUE_LIMIT {
                return Err(Trouble::TooCostly);
            }
            if ended {
                break;
            }
        }
        sorted.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        sorted.dedup_by(|(one, _), (other, _)| one == other);
        let rest = sorted.into_iter().filter(|(key, _)| after.is_none_or(|after| key.as_slice() > after));
        let mut rest = rest.peekable();
        let wanted = self.query.count as usize;
        let (mut entries, mut last) = (Vec::new(), Vec::new());
        while entries.len() < wanted && rest.peek().is_some() {
            let rows: Vec<(Vec<i64>, Candidate)> = rest.by_ref().take(wanted - entries.len()).collect();
            last = rows.last().map(|(key, _)| key.clone()).unwrap_or(last);
            let mut rows = rows.into_iter().map(|(_, row)| row).collect();
            self.read(&mut rows).await?;
            entries.extend(self.confirmed(rows, None).await?);
        }
        let entries = entries.into_iter().map(|(stored, _)| stored).collect();
        let next = rest.peek().is_some().then(|| self.token(number, last));
        Ok(Page { entries, next, rows_read: self.rows_read })
    }

    async fn count(&mut self, plan: &Plan) -> Result<u64, Trouble> {
        // Of several dates a resource has several places.
        let (mut seen, mut place) = (HashSet::new(), None);
        loop {
            let chunk_rows = CHUNK_ROWS_MAX.min(self.left()?);
            let rows = self.chunk(plan, place, chunk_rows, !self.exact).await?;
            let ended = (rows.len() as u64) < chunk_rows;
            place = rows.last().map(Candidate::place).or(place);
            if self.exact {
                seen.extend(rows.iter().filter(|row| row.passes != 0).map(|row| row.seq));
            } else {
                seen.extend(self.confirmed(rows, None).await?.into_iter().map(|(_, place)| place.seq));
            }
            if ended {
                return Ok(seen.len() as u64);
            }
        }
    }

    /// Rows that may still be looked at.
    fn left(&self) -> Result<u64, Trouble> {
        let left = self.limits.rows.saturating_sub(self.rows_read);
        if left == 0 { Err(Trouble::TooCostly) } else { Ok(left) }
    }

    /// The next candidates, in order, each once.
    async fn chunk(
        &mut self,
        plan: &Plan,
        after: Option<Place>,
        rows: u64,
        bodies: bool,
    ) -> Result<Vec<Candidate>, Trouble> {
        let slice = Slice { rows, arms_in_order: self.source.plans_arms_alone(), bodies };
        let mut found = Vec::new();
        for arms in plan.arms.chunks(ARMS_AT_ONCE) {
            let statement = Statement::of(self.indexed, plan.order, arms, after, self.horizon_us, slice);
            found.extend(self.source.candidates(statement).await?);
        }
        self.rows_read += found.len() as u64;
        found.sort_unstable_by_key(|row| (row.a, row.b, row.seq));
        if plan.order.is_descending() {
            found.reverse();
        }
        // Behind the last row of any of the turns there may be more.
        found.truncate(usize::try_from(rows).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// Gives candidates their bodies.
    async fn read(&self, rows: &mut Vec<Candidate>) -> Result<(), Trouble> {
        let wanted: Vec<(String, i32)> = rows.iter().map(|row| (row.id.clone(), row.version)).collect();
        let versions = self.source.versions(self.query.kind, &wanted).await?;
        let mut versions: HashMap<String, _> = versions.into_iter().map(|row| (row.id.clone(), row)).collect();
        for row in rows {
            (row.method, row.body) = versions.remove(&row.id).map(|version| (version.method, version.body)).unzip();
        }
        Ok(())
    }

    /// Where a page ended, in the order of the plan of this number.
    fn token(&self, number: i64, place: impl IntoIterator<Item = i64>) -> String {
        let numbers: Vec<i64> = self.ways.into_iter().chain([number]).chain(place).collect();
        pages::write(&numbers)
    }

    /// Those that are what was asked for. On a walk by values, a resource may be met at several: it counts at the first.
    async fn confirmed(
        &mut self,
        mut rows: Vec<Candidate>,
        walk: Option<&Plan>,
    ) -> Result<Vec<(Stored, Place)>, Trouble> {
        rows.retain(|row| row.passes != 0);
        // Two arms may name the same row.
        rows.dedup_by_key(|row| row.seq);
        let mut confirmed = Vec::with_capacity(rows.len());
        for row in rows {
            let place = row.place();
            let Some(version) = row.stored_as(self.query.kind) else { continue };
            if !self.exact {
                let resource = version.resource()?;
                let first = || walk.filter(|plan| plan.is_by_value())?.first_place(&Index::of(&resource));
                if !exact::matches(&resource, &self.query.filters) || first().is_some_and(|first| first != place.a) {
                    continue;
                }
            }
            confirmed.push((version.stored()?, place));
        }
        for link in self.query.filters.iter().filter(|filter| links::is_link(filter)) {
            self.followed += confirmed.len();
            if self.followed > FOLLOWED_LIMIT {
                return Err(Trouble::TooCostly);
            }
            links::follow(self.source, self.query.kind, link, &mut confirmed, self.limits).await?;
        }
        Ok(confirmed)
    }
}

/// Where a walk is. One against the direction of change has a second leg: back to the end, over what moved past it.
struct Trail<'a> {
    plan: &'a Plan,
    back: Option<Plan>,
    on_the_way_back: bool,
    /// Up to where time had come when the walk began.
    began_us: i64,
    after: Option<Place>,
}

impl<'a> Trail<'a> {
    fn new(plan: &'a Plan, after: Option<&[i64]>, horizon_us: Option<i64>) -> Result<Self, Trouble> {
        let horizon = horizon_us.unwrap_or(0);
        let back = (plan.order == Order::Updated { descending: true }).then(|| {
            let order = Order::Updated { descending: false };
            let upto = |arm: &Arm| Arm::clone(arm).and(Is::Number("updated", "<=", horizon));
            Plan { order, arms: plan.arms.iter().map(upto).collect(), gather: Vec::new() }
        });
        let Some(after) = after else {
            return Ok(Self { plan, back, on_the_way_back: false, began_us: horizon, after: None });
        };
        let [leg, began_us, a, b, seq] = after.try_into().map_err(|_| Trouble::BadPage)?;
        if leg != 0 && back.is_none() {
            return Err(Trouble::BadPage);
        }
        Ok(Self { plan, back, on_the_way_back: leg != 0, began_us, after: Some(Place { a, b, seq }) })
    }

    fn plan(&self) -> &Plan {
        self.back.as_ref().filter(|_| self.on_the_way_back).unwrap_or(self.plan)
    }

    /// Begins the second leg; false when there is none left.
    fn turn(&mut self) -> bool {
        if self.back.is_none() || self.on_the_way_back {
            return false;
        }
        self.on_the_way_back = true;
        self.after = Some(Place { a: self.began_us, b: 0, seq: i64::MAX });
        true
    }

    fn numbers(&self, place: Place) -> [i64; 5] {
        [i64::from(self.on_the_way_back), self.began_us, place.a, place.b, place.seq]
    }
}

impl Candidate {
    /// None when its version is not there any more.
    fn stored_as(mut self, kind: Kind) -> Option<VersionRow> {
        let body = self.body.take()?;
        Some(self.version(kind, self.method?, body))
    }

    fn version(&self, kind: Kind, method: i16, body: Vec<u8>) -> VersionRow {
        let (kind, id, version) = (kind.name().to_owned(), self.id.clone(), self.version);
        VersionRow { kind, id, version, root: Uuid::nil(), method, updated: self.updated, body }
    }

    pub(super) fn place(&self) -> Place {
        Place { a: self.a, b: self.b, seq: self.seq }
    }
}
