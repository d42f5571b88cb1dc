//! How a query is read: which filter drives, in which order, and what else could drive when that one reads too much.

use hub_domain::query::{DateMatch, Filter, Param, Prefix, Query, Sort, SortBy, SystemMatch, TextMatch, TokenMatch};
use schemas::resource::Kind;
use schemas::task::{Priority, TaskStatus};
use uuid::Uuid;

use super::dates::{by_date, last_updated, updated};
use super::sql::{Arm, Is, equals};
use super::values::{by_amount, by_text};
use crate::rows::{Index, column, is_own_identifier, is_usual, order_of};
use crate::values;

/// The order in which candidates come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Newest first, by creation.
    Created,
    Updated {
        descending: bool,
    },
    /// By lastModified.
    Modified,
    /// By the low end of a value of `search_date` or `search_value`.
    Value,
    /// By priority, then age; over open Tasks.
    Urgency {
        descending: bool,
    },
}

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) order: Order,
    pub(super) arms: Vec<Arm>,
    /// Read all candidates and sort them here, by these: no index has the order.
    pub(super) gather: Vec<Sort>,
}

impl Plan {
    /// A resource comes at each of its values, and not once.
    pub(super) fn is_by_value(&self) -> bool {
        self.order == Order::Value
    }

    /// Where a resource comes first of the places at which its values let it come.
    pub(super) fn first_place(&self, index: &Index) -> Option<i64> {
        let rows = |table| if table == "search_date" { &index.dates } else { &index.values };
        let of = |arm: &Arm| rows(arm.table).iter().filter(|row| arm.names(row)).map(|row| row.low).min();
        self.arms.iter().filter_map(of).min()
    }

    pub(super) fn walk(order: Order, arms: Vec<Arm>) -> Self {
        Self { order, arms, gather: Vec::new() }
    }
}

/// The plans for a query, the best first. `horizon_us` is set when it reads in the order of time.
pub(super) fn plans(query: &Query, horizon_us: Option<i64>) -> Vec<Plan> {
    let mut drives = drives(query, horizon_us);
    drives.sort_by_key(|(rank, _)| *rank);
    let drives = drives.into_iter().map(|(_, plan)| plan);
    let everything = Plan::walk(Order::Created, vec![all(query.kind)]);
    if query.sort.is_empty() {
        return drives.chain([everything]).collect();
    }
    if let Some(plan) = in_order(query) {
        return vec![plan];
    }
    let by_time = match query.sort[..] {
        [Sort { by: SortBy::LastUpdated, descending }] => {
            Some(Plan::walk(Order::Updated { descending }, updated(query, horizon_us)))
        }
        _ => None,
    };
    if by_time.is_some() && query.filters.iter().all(|filter| matches!(filter, Filter::LastUpdated(_))) {
        return by_time.into_iter().collect();
    }
    let gathered = drives.chain(by_time.is_none().then_some(everything));
    let gathered = gathered.map(|plan| Plan { gather: query.sort.clone(), ..plan });
    gathered.chain(by_time).collect()
}

/// Whether a search reads in the order of time, so that late commits must not be skipped.
pub(super) fn is_feed(query: &Query) -> bool {
    let after = |filter: &Filter| match filter {
        Filter::LastUpdated(when) => matches!(when.prefix, Prefix::Gt | Prefix::Ge | Prefix::Sa),
        _ => false,
    };
    query.sort.iter().any(|sort| sort.by == SortBy::LastUpdated) || query.filters.iter().any(after)
}

/// Priority, then age, of open Tasks with given statuses and perhaps owners.
fn in_order(query: &Query) -> Option<Plan> {
    let descending = match query.sort[..] {
        [Sort { by: SortBy::Priority, descending }] => descending,
        // Turned round, it would begin with those that tell no time, and these come last.
        [Sort { by: SortBy::Priority, descending: false }, Sort { by: SortBy::Authored, descending: false }] => false,
        _ => return None,
    };
    let statuses = statuses(query)?;
    let open = |status: &String| TaskStatus::parse(status).is_some_and(|status| !status.is_terminal());
    if query.kind != Kind::TASK || !statuses.iter().all(open) {
        return None;
    }
    let owners = query.filters.iter().find_map(|filter| match filter {
        Filter::Reference { param, any } if param.name == "owner" => Some(keys(any)),
        _ => None,
    });
    let owners = owners.map_or(vec![None], |owners| owners.into_iter().map(Some).collect());
    let arms = owners.iter().flat_map(|owner| {
        statuses.iter().map(move |status| {
            let owner = owner.iter().map(|owner| Is::Text("owner", owner.clone()));
            Arm::new("task", owner.chain([Is::Text("status", status.clone()), Is::Literal("open = 1")]).collect())
        })
    });
    Some(Plan::walk(Order::Urgency { descending }, arms.collect()))
}

/// Every filter that can drive, with how good it is at it: 0 is best.
fn drives(query: &Query, horizon_us: Option<i64>) -> Vec<(u8, Plan)> {
    let statuses = statuses(query);
    // An index of a Task's column has the status in it; those of other types have not.
    let all_statuses = || TaskStatus::ALL.map(|status| status.code().to_owned()).to_vec();
    let with_statuses = match &statuses {
        _ if query.kind != Kind::TASK => Vec::new(),
        Some(statuses) => statuses.clone(),
        None => all_statuses(),
    };
    let mut drives = Vec::new();
    for filter in &query.filters {
        let drive = match filter {
            Filter::Id(ids) => Some((0, Plan::walk(Order::Created, by_id(query.kind, ids)))),
            Filter::LastUpdated(when) => last_updated(query, when, horizon_us),
            Filter::Date { param, any } => by_dates(query.kind, param, any),
            Filter::Composite { any, .. } => {
                drives.extend(by_parts(query, any, &with_statuses));
                None
            }
            Filter::Missing { param, missing: true } => {
                let column = column(query.kind, param)
                    .filter(|column| !matches!(*column, "status" | "priority" | "grouped" | "modified"));
                let arms = column.map(|column| match column {
                    "owner" => by_status(query.kind, &with_statuses, || vec![Is::Null(column)]),
                    _ => by_urgency(&with_statuses).map(|arm| arm.and(Is::Null(column))).collect(),
                });
                arms.map(|arms| (if statuses.is_some() { 6 } else { 16 }, Plan::walk(Order::Created, arms)))
            }
            _ => by_value(query.kind, filter, &with_statuses),
        };
        drives.extend(drive);
    }
    drives
}

/// By the values of any of the parts of a composite, which are parameters too.
fn by_parts(query: &Query, any: &[Vec<Filter>], statuses: &[String]) -> Vec<(u8, Plan)> {
    let part = |number: usize| {
        let of = any.iter().map(|parts| match parts.get(number)? {
            Filter::Date { param, any } => by_dates(query.kind, param, any),
            filter => by_value(query.kind, filter, statuses),
        });
        one_way(of.collect::<Option<_>>()?)
    };
    let parts = any.first().map_or(0, Vec::len);
    (0..parts).filter_map(part).collect()
}

fn by_dates(kind: Kind, param: &Param, any: &[DateMatch]) -> Option<(u8, Plan)> {
    one_way(any.iter().map(|when| by_date(kind, param, when)).collect::<Option<_>>()?)
}

/// Ways to any of several values of one kind are one way.
fn one_way(plans: Vec<(u8, Plan)>) -> Option<(u8, Plan)> {
    plans.into_iter().reduce(|(rank, mut one), (_, other)| {
        one.arms.extend(other.arms);
        (rank, one)
    })
}

/// How few resources a value of this parameter usually has.
fn rank(name: &str) -> u8 {
    match name {
        "identifier" => 1,
        "focus" | "based-on" | "part-of" | "encounter" | "replaces" | "requisition" | "group-identifier" => 2,
        "subject" | "patient" => 4,
        "owner" | "requester" | "performer" | "intended-dispenser" | "intended-performer" => 6,
        "code" => 7,
        "business-status" | "category" => 8,
        "priority" => 9,
        "status" => 10,
        _ => 11,
    }
}

fn by_value(kind: Kind, filter: &Filter, statuses: &[String]) -> Option<(u8, Plan)> {
    let (rank, arms) = match filter {
        Filter::Token { param, any } => (rank(param.name), by_token(kind, param, any, statuses)?),
        Filter::Reference { param, any } => {
            let mut any = any.clone();
            any.sort_unstable();
            any.dedup();
            let arms = match column(kind, param) {
                Some(column) => {
                    let owned = any.iter().filter_map(|to| equals(kind, param, column, to));
                    owned.flat_map(|is| by_status(kind, statuses, || vec![is.clone()])).collect()
                }
                None => {
                    let rows = any.iter().map(|to| token_arm(values::digest(kind, param, to), None));
                    // What its id tells of a Task has no row.
                    let told = any.iter().filter(|_| kind == Kind::TASK).filter_map(|to| order_of(to));
                    rows.chain(told.map(|order| all(kind).few(Is::of_order(order)))).collect()
                }
            };
            (rank(param.name), arms)
        }
        Filter::ReferenceIdentifier { param, any } => {
            (3, token_arms(any, |code| values::digest_identifier(kind, param, code))?)
        }
        Filter::OfType { param, any } => {
            let values: Vec<TokenMatch> = any.iter().map(|wanted| wanted.value_match()).collect();
            (rank(param.name), by_token(kind, param, &values, statuses)?)
        }
        Filter::Text { param, how, any } => {
            let arms = any.iter().filter_map(|wanted| by_text(kind, param, *how, wanted)).collect();
            let rank = match how {
                TextMatch::Exact => 3,
                TextMatch::Begins => 5,
                TextMatch::Contains => 14,
            };
            return Some((rank, Plan::walk(Order::Value, arms)));
        }
        Filter::Amount { param, any } => {
            let arms = any.iter().map(|wanted| by_amount(kind, param, wanted)).collect::<Option<Vec<_>>>()?;
            return Some((13, Plan::walk(Order::Value, arms.concat())));
        }
        Filter::Not(of) => match &**of {
            // All Tasks with another one.
            Filter::Token { param, .. } if kind == Kind::TASK && param.name == "status" => {
                (rank(param.name), by_urgency(statuses).collect())
            }
            _ => return None,
        },
        _ => return None,
    };
    Some((rank, Plan::walk(Order::Created, arms)))
}

/// None when a value names only a system: no index has that.
fn by_token(kind: Kind, param: &Param, any: &[TokenMatch], statuses: &[String]) -> Option<Vec<Arm>> {
    let digest = |code: &str| values::digest(kind, param, code);
    let arms = match column(kind, param) {
        None if any.iter().any(|wanted| has_usual(kind, param, wanted)) => return None,
        None => {
            let told =
                any.iter().filter(|wanted| names_own(kind, param, wanted)).filter_map(|wanted| wanted.code.clone());
            let mut arms = token_arms(any, digest)?;
            arms.extend(by_id(kind, &told.collect::<Vec<_>>()));
            return Some(arms);
        }
        Some("status") => {
            let codes = any.iter().filter(|wanted| has_no_system(wanted)).map(|wanted| wanted.code.clone());
            let codes = codes.collect::<Option<Vec<_>>>()?;
            if kind == Kind::TASK {
                by_urgency(&codes).collect()
            } else {
                codes.into_iter().map(|code| all(kind).and(Is::Text("status", code))).collect()
            }
        }
        Some("priority") => {
            let ranks = any.iter().filter(|wanted| has_no_system(wanted)).map(|wanted| wanted.code.as_deref());
            let ranks =
                ranks.collect::<Option<Vec<_>>>()?.into_iter().map(|code| i64::from(Priority::parse(code).rank()));
            ranks.flat_map(|rank| by_status(kind, statuses, || vec![Is::Number("priority", "=", rank)])).collect()
        }
        Some(column) => {
            // Of several codings the first has the column.
            let mut arms = token_arms(any, digest)?;
            for code in any.iter().filter_map(|wanted| wanted.code.as_deref()) {
                arms.extend(by_status(kind, statuses, || vec![Is::Digest(column, digest(code))]));
            }
            arms
        }
    };
    Some(arms)
}

/// All Tasks with these statuses. The index by priority has them: one by status alone would be written anew with each
/// step of each Task.
fn by_urgency(statuses: &[String]) -> impl Iterator<Item = Arm> {
    let ranks = Priority::ALL.map(|priority| i64::from(priority.rank()));
    ranks.into_iter().flat_map(|rank| by_status(Kind::TASK, statuses, || vec![Is::Number("priority", "=", rank)]))
}

fn by_status(kind: Kind, statuses: &[String], first: impl Fn() -> Vec<Is>) -> Vec<Arm> {
    let with = |condition: Option<Is>| first().into_iter().chain(condition).fold(all(kind), Arm::and);
    if kind != Kind::TASK {
        return vec![with(None)];
    }
    statuses.iter().map(|status| with(Some(Is::Text("status", status.clone())))).collect()
}

/// Whether it asks for what has no index row.
pub(super) fn has_usual(kind: Kind, param: &Param, wanted: &TokenMatch) -> bool {
    wanted.code.as_deref().is_some_and(|code| is_usual(kind, param, code))
}

/// Whether it may ask for a Task by what the Task's id tells, which has no index row.
pub(super) fn names_own(kind: Kind, param: &Param, wanted: &TokenMatch) -> bool {
    let system = match &wanted.system {
        SystemMatch::Any => None,
        SystemMatch::Is(system) => Some(system.as_str()),
        SystemMatch::None => return false,
    };
    wanted.code.as_deref().is_some_and(|code| is_own_identifier(kind, param, system, code))
}

fn token_arms(any: &[TokenMatch], digest: impl Fn(&str) -> Uuid) -> Option<Vec<Arm>> {
    any.iter().map(|wanted| Some(token_arm(digest(wanted.code.as_deref()?), stored_system(&wanted.system)))).collect()
}

fn token_arm(value: Uuid, system: Option<i64>) -> Arm {
    let system = system.map(|system| Is::Number("system", "=", system));
    Arm::new("search_token", [Is::Digest("value", value)].into_iter().chain(system).collect())
}

/// A system as index rows have it; None for any.
pub(super) fn stored_system(system: &SystemMatch) -> Option<i64> {
    match system {
        SystemMatch::Any => None,
        SystemMatch::None => Some(values::system(None)),
        SystemMatch::Is(system) => Some(values::system(Some(system))),
    }
}

fn by_id(kind: Kind, ids: &[String]) -> Vec<Arm> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let arm = |id: String| all(kind).few(Is::Text("id", id));
    ids.into_iter().map(arm).collect()
}

pub(super) fn all(kind: Kind) -> Arm {
    if kind == Kind::TASK {
        return Arm::new("task", vec![]);
    }
    Arm::new("resource", vec![Is::Text("kind", kind.name().to_owned())])
}

/// The statuses that a Task search names, when it does, or all but those that it does not want.
fn statuses(query: &Query) -> Option<Vec<String>> {
    let named = |filter: &Filter| match filter {
        Filter::Token { param, any } if column(query.kind, param) == Some("status") => {
            let codes = any.iter().filter(|wanted| has_no_system(wanted)).map(|wanted| wanted.code.clone());
            codes.collect::<Option<Vec<_>>>()
        }
        _ => None,
    };
    let mut statuses = query.filters.iter().find_map(|filter| match filter {
        // A Task has a status, and one that the gate knows.
        Filter::Not(of) if query.kind == Kind::TASK => {
            let unwanted = named(of)?;
            let all = TaskStatus::ALL.iter().map(|status| status.code().to_owned());
            Some(all.filter(|status| !unwanted.contains(status)).collect())
        }
        filter => named(filter),
    })?;
    statuses.sort_unstable();
    statuses.dedup();
    Some(statuses)
}

/// A code element has no system: who asks for one finds nothing.
pub(super) fn has_no_system(wanted: &TokenMatch) -> bool {
    !matches!(wanted.system, SystemMatch::Is(_))
}

/// The index keys of references, each once.
fn keys(any: &[String]) -> Vec<String> {
    let mut keys: Vec<String> = any.iter().filter_map(|to| Some(values::key(to)?.into_owned())).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
