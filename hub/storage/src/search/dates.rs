//! Searches that a date drives. An index has the low end of each range; where the high end decides, what is narrow lies
//! near enough, and what is coarse (a day, a year) is looked up apart.

use hub_domain::query::{DateMatch, Filter, Param, Prefix, Query};
use schemas::resource::Kind;

use super::plan::{Order, Plan, all};
use super::sql::{Arm, Is};
use crate::rows::column;
use crate::values;

/// A range of a date wider than this is coarse, and indexed apart.
const COARSE_US: i64 = 1_000_000;
/// No FHIR date means more than a year. A Period may be as long as it likes.
const WIDEST_US: i64 = 366 * 86_400 * 1_000_000;
/// Of `_lastUpdated`: so near to the newest that reading on from there is the shortest way.
const RECENT_US: i64 = 3_600 * 1_000_000;

pub(super) fn last_updated(query: &Query, when: &DateMatch, horizon_us: Option<i64>) -> Option<(u8, Plan)> {
    if when.prefix == Prefix::Ne {
        return None;
    }
    let starts = matches!(when.prefix, Prefix::Gt | Prefix::Ge | Prefix::Sa);
    let recent = starts && horizon_us.is_some_and(|horizon| when.low.0 > horizon - RECENT_US);
    let plan = Plan::walk(Order::Updated { descending: false }, updated(query, horizon_us));
    Some((if recent { 3 } else { 12 }, plan))
}

/// Where a Task's lastModified is the moment of its version, one index has both.
const ALIKE: Is = Is::Literal("modified IS NULL");
const APART: Is = Is::Literal("modified IS NOT NULL");

/// The parts of the type between the bounds that the filters set to `_lastUpdated`.
pub(super) fn updated(query: &Query, horizon_us: Option<i64>) -> Vec<Arm> {
    let mut arm = all(query.kind);
    for filter in &query.filters {
        if let Filter::LastUpdated(when) = filter {
            let (low, high) = bounds(when);
            arm.conditions.extend(low.map(|low| Is::Number("updated", ">=", low)));
            arm.conditions.extend(high.map(|high| Is::Number("updated", "<=", high)));
        }
    }
    arm.conditions.extend(horizon_us.map(|horizon| Is::Number("updated", "<=", horizon)));
    if query.kind == Kind::TASK { vec![arm.clone().and(ALIKE), arm.and(APART)] } else { vec![arm] }
}

pub(super) fn by_date(kind: Kind, param: &Param, when: &DateMatch) -> Option<(u8, Plan)> {
    if when.prefix == Prefix::Ne {
        return None;
    }
    let modified = column(kind, param) == Some("modified");
    let (table, low_end, order) =
        if modified { ("task", "modified", Order::Modified) } else { ("search_date", "low", Order::Value) };
    let base = if modified { vec![] } else { vec![Is::Number("param", "=", i64::from(values::param(kind, param)))] };
    let (low, high) = bounds(when);
    let arm = |from: Option<i64>, to: Option<i64>| {
        let mut conditions = base.clone();
        // A NULL passes no bound, so that one is always set.
        conditions.push(Is::Number(low_end, ">=", from.unwrap_or(i64::MIN)));
        conditions.extend(to.map(|to| Is::Number(low_end, "<=", to)));
        Arm::new(table, conditions)
    };
    let mut arms = vec![arm(low, high)];
    if modified {
        // Those that have none sort behind all.
        arms[0].conditions.push(Is::Number("modified", "<", i64::MAX));
        let mut alike = vec![ALIKE, Is::Number("updated", ">=", low.unwrap_or(i64::MIN))];
        alike.extend(high.map(|high| Is::Number("updated", "<=", high)));
        arms.push(Arm::new("task", alike).by("updated"));
    }
    if let (Some(low), Prefix::Gt | Prefix::Ge | Prefix::Ap) = (low, when.prefix) {
        // What began before, and means a time so long that it reaches beyond.
        let from = (!param.is_range).then(|| low - WIDEST_US);
        let mut coarse = arm(from, Some(low));
        coarse.conditions.push(Is::Literal(if modified {
            "modified_high - modified > 1000000"
        } else {
            "high - low > 1000000"
        }));
        arms.push(coarse);
    }
    Some((13, Plan::walk(order, arms)))
}

/// Between which instants the low end of a date lies that matches and is not coarse.
fn bounds(when: &DateMatch) -> (Option<i64>, Option<i64>) {
    match when.prefix {
        Prefix::Eq => (Some(when.low.0), Some(when.high.0)),
        Prefix::Gt => (Some(when.high.0.saturating_sub(COARSE_US)), None),
        Prefix::Ge => (Some(when.low.0.saturating_sub(COARSE_US)), None),
        Prefix::Sa => (Some(when.high.0), None),
        Prefix::Lt | Prefix::Eb => (None, Some(when.low.0)),
        Prefix::Le => (None, Some(when.high.0)),
        Prefix::Ap => (Some(when.low.0.saturating_sub(COARSE_US)), Some(when.high.0)),
        Prefix::Ne => (None, None),
    }
}
