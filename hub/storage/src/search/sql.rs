//! The text of a search: arms that name candidates through an index, merged in their order, and the tests on each.

use hub_domain::query::{DateMatch, Filter, Param, Prefix, Query, TokenMatch};
use schemas::resource::Kind;
use schemas::task::Priority;
use uuid::Uuid;

use super::plan::{Order, has_no_system, has_usual, names_own, stored_system};
use crate::rows::{RangeRow, column, order_of};
use crate::values;

/// A Task's lastModified, which is as a rule the moment of its version.
const MODIFIED: &str = "coalesce(r.modified, r.updated)";
const MODIFIED_HIGH: &str = "CASE WHEN r.modified IS NULL THEN r.updated ELSE r.modified_high END";
/// What is told of a candidate, and asked of it.
const OF_RESOURCES: &str = "id, version, updated, status, priority, authored, authored_high";
const OF_TASKS: &str = "id, version, updated, status, priority, authored, authored_high, \
                        modified, modified_high, owner, requester, subject, code, grouped";

#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Text(String),
    Digest(Uuid),
    Number(i64),
}

/// SQL for both databases, with `$1`, `$2`, …
#[derive(Debug, Default)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) args: Vec<Arg>,
}

/// Candidates of one table that all lie in one stretch of one index.
#[derive(Debug, Clone)]
pub(super) struct Arm {
    pub(super) table: &'static str,
    pub(super) conditions: Vec<Is>,
    /// Its conditions leave few rows: better found and sorted than met on a walk through all.
    few: bool,
    /// What it has for the first key of the order, when that is not the column of the order's name.
    key: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub(super) enum Is {
    Text(&'static str, String),
    Digest(&'static str, Uuid),
    Number(&'static str, &'static str, i64),
    Null(&'static str),
    /// From the first to before the second.
    Between(&'static str, String, String),
    /// As it stands in the definition of a partial index.
    Literal(&'static str),
}

/// A place between two candidates, in some order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) a: i64,
    pub(super) b: i64,
    pub(super) seq: i64,
}

/// How much to ask for, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    pub(super) rows: u64,
    /// Each arm says its order itself. PostgreSQL plans the arms of a UNION ALL one by one, and only so sees that it
    /// can merge them; SQLite merges them anyway, and only when they do not say it.
    pub(super) arms_in_order: bool,
    /// With the bodies of those that pass.
    pub(super) bodies: bool,
}

impl Is {
    /// A Task of this order, as its id tells.
    pub(super) fn of_order(root: Uuid) -> Self {
        // `/` comes after `.`: between them are all ids that begin with the root and a point.
        Self::Between("id", format!("{root}."), format!("{root}/"))
    }
}

impl Arm {
    pub(super) fn new(table: &'static str, conditions: Vec<Is>) -> Self {
        Self { table, conditions, few: false, key: None }
    }

    pub(super) fn by(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }

    pub(super) fn few(self, condition: Is) -> Self {
        Self { few: true, ..self.and(condition) }
    }

    pub(super) fn and(mut self, condition: Is) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Whether it leads to a row of `search_date` or `search_value`.
    pub(super) fn names(&self, row: &RangeRow) -> bool {
        self.conditions.iter().all(|condition| match condition {
            Is::Number(column, than, number) => {
                let value = match *column {
                    "param" => i64::from(row.param),
                    "low" => row.low,
                    _ => row.high,
                };
                match *than {
                    "=" => value == *number,
                    "<=" => value <= *number,
                    _ => value >= *number,
                }
            }
            // Of those tables only what is coarse is told apart, which lies between wider bounds.
            _ => true,
        })
    }
}

impl Order {
    /// The columns that it sorts by before the row's number.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Created => &[],
            Self::Updated { .. } => &["updated"],
            Self::Modified => &["modified"],
            Self::Value => &["low"],
            Self::Urgency { .. } => &["priority", "authored"],
        }
    }

    /// As the arms name it.
    fn sql(self) -> String {
        let direction = if self.is_descending() { "DESC" } else { "ASC" };
        let names = ["a", "b"].into_iter().take(self.keys().len()).chain(["seq"]);
        names.map(|name| format!("{name} {direction}")).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn is_descending(self) -> bool {
        match self {
            Self::Created => true,
            Self::Updated { descending } | Self::Urgency { descending } => descending,
            Self::Modified | Self::Value => false,
        }
    }
}

impl Statement {
    /// The next candidates of these arms after a place.
    pub(super) fn of(
        query: &Query,
        order: Order,
        arms: &[Arm],
        after: Option<Place>,
        horizon_us: Option<i64>,
        slice: Slice,
    ) -> Self {
        let mut statement = Self::default();
        let is_task = query.kind == Kind::TASK;
        let (table, columns, modified) =
            if is_task { ("task", OF_TASKS, MODIFIED) } else { ("resource", OF_RESOURCES, "CAST(NULL AS BIGINT)") };
        let limit = format!("ORDER BY {} LIMIT {}", order.sql(), slice.rows);
        // Arms that meet the rows themselves bring them along: each is looked up once.
        let has_rows = arms.iter().all(|arm| arm.table == table);
        let arm = |arm| {
            let text = statement.arm(arm, order, after, has_rows.then_some(columns));
            if slice.arms_in_order { format!("SELECT * FROM ({text} {limit}) AS arm") } else { text }
        };
        let arms: Vec<String> = arms.iter().map(arm).collect();
        let arms = format!("({} {limit})", arms.join("\nUNION ALL "));
        let candidates = if has_rows {
            format!("{arms} AS r")
        } else {
            format!("(SELECT a, b, {table}.seq, {columns} FROM {arms} AS k JOIN {table} ON {table}.seq = k.seq) AS r")
        };
        let tests = statement.tests(query, horizon_us);
        let mut text = format!(
            "-- search\nWITH c AS MATERIALIZED (\
             SELECT CAST(a AS BIGINT) AS a, CAST(b AS BIGINT) AS b, seq, id, version, updated, status, priority, \
             authored, {modified} AS modified, CASE WHEN {tests} THEN 1 ELSE 0 END AS passes\nFROM {candidates})\n",
        );
        if slice.bodies {
            let kind = statement.text(query.kind.name());
            text.push_str(&format!(
                "SELECT c.*, v.method, v.body FROM c LEFT JOIN version AS v \
                 ON c.passes = 1 AND v.kind = {kind} AND v.id = c.id AND v.version = c.version"
            ));
        } else {
            text.push_str("SELECT c.*, NULL AS method, NULL AS body FROM c");
        }
        statement.text = text;
        statement
    }

    fn arm(&mut self, arm: &Arm, order: Order, after: Option<Place>, columns: Option<&str>) -> String {
        let mut keys = order.keys().to_vec();
        if let Some((first, key)) = keys.first_mut().zip(arm.key) {
            *first = key;
        }
        let key = |i: usize| keys.get(i).copied().unwrap_or("0");
        let mut conditions: Vec<String> = arm.conditions.iter().map(|is| self.condition("", is)).collect();
        if let Some(after) = after {
            let than = if order.is_descending() { "<" } else { ">" };
            let values: Vec<String> = [after.a, after.b].into_iter().take(keys.len()).map(|n| self.number(n)).collect();
            let seq = self.number(after.seq);
            conditions.push(if keys.is_empty() {
                format!("seq {than} {seq}")
            } else {
                format!("({}, seq) {than} ({}, {seq})", keys.join(", "), values.join(", "))
            });
        }
        let given = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        // An expression that no index has the order of.
        let seq = if arm.few { "seq + 0 AS seq" } else { "seq" };
        let columns = columns.map(|columns| format!(", {columns}")).unwrap_or_default();
        format!("SELECT {} AS a, {} AS b, {seq}{columns} FROM {}{given}", key(0), key(1), arm.table)
    }

    fn condition(&mut self, of: &str, is: &Is) -> String {
        match is {
            Is::Text(column, text) => format!("{of}{column} = {}", self.text(text)),
            Is::Digest(column, digest) => format!("{of}{column} = {}", self.digest(*digest)),
            Is::Number(column, than, number) => format!("{of}{column} {than} {}", self.number(*number)),
            Is::Null(column) => format!("{of}{column} IS NULL"),
            Is::Between(column, from, to) => {
                let (from, to) = (self.text(from), self.text(to));
                format!("({of}{column} >= {from} AND {of}{column} < {to})")
            }
            Is::Literal(condition) => (*condition).to_owned(),
        }
    }

    fn text(&mut self, text: &str) -> String {
        self.args.push(Arg::Text(text.to_owned()));
        format!("${}", self.args.len())
    }

    fn digest(&mut self, digest: Uuid) -> String {
        self.args.push(Arg::Digest(digest));
        format!("${}", self.args.len())
    }

    fn number(&mut self, number: i64) -> String {
        self.args.push(Arg::Number(number));
        format!("${}", self.args.len())
    }

    /// Every filter as far as a row can tell.
    fn tests(&mut self, query: &Query, horizon_us: Option<i64>) -> String {
        let mut tests: Vec<String> = query.filters.iter().filter_map(|filter| self.test(query.kind, filter)).collect();
        if let Some(horizon) = horizon_us {
            let horizon = self.number(horizon);
            tests.push(format!("r.updated <= {horizon}"));
        }
        if tests.is_empty() { "1 = 1".into() } else { tests.join(" AND ") }
    }

    fn test(&mut self, kind: Kind, filter: &Filter) -> Option<String> {
        match filter {
            Filter::Id(ids) => Some(self.one_of("r.id", ids.iter().map(String::as_str))),
            Filter::LastUpdated(when) => Some(self.date(when, "r.updated", "r.updated")),
            Filter::Date { param, any } if param.element == "authoredOn" => {
                Some(self.any(any, |statement, when| Some(statement.date(when, "r.authored", "r.authored_high"))))
            }
            Filter::Date { param, any } if column(kind, param) == Some("modified") => {
                Some(self.any(any, |statement, when| Some(statement.date(when, MODIFIED, MODIFIED_HIGH))))
            }
            // An index of values is in their order: it does not tell whether a given resource has one.
            Filter::Date { .. } | Filter::Text { .. } | Filter::Amount { .. } => None,
            Filter::Missing { missing: false, .. } | Filter::CodeText { .. } | Filter::Below { .. } => None,
            // The first part is a code.
            Filter::Composite { any, .. } => {
                let first = |statement: &mut Self, parts: &Vec<Filter>| statement.test(kind, parts.first()?);
                any.iter().map(|parts| first(self, parts)).collect::<Option<Vec<_>>>().map(|all| any_of(&all))
            }
            Filter::OfType { param, any } => {
                let values: Vec<TokenMatch> = any.iter().map(|wanted| wanted.value_match()).collect();
                self.token(kind, param, &values)
            }
            Filter::Missing { param, .. } => {
                match column(kind, param).filter(|column| !matches!(*column, "status" | "priority"))? {
                    "modified" => Some(format!("{MODIFIED_HIGH} IS NULL")),
                    column => Some(format!("r.{column} IS NULL")),
                }
            }
            Filter::Reference { param, any } => Some(match column(kind, param) {
                Some(column) => {
                    self.any(any, |statement, to| Some(statement.condition("r.", &equals(kind, param, column, to)?)))
                }
                None => self.any(any, |statement, to| {
                    let row = statement.has_token(values::digest(kind, param, to), None);
                    let order = order_of(to).filter(|_| kind == Kind::TASK);
                    Some(match order.map(|order| statement.condition("r.", &Is::of_order(order))) {
                        Some(told) => format!("({told} OR {row})"),
                        None => row,
                    })
                }),
            }),
            Filter::ReferenceIdentifier { param, any } => self.tokens(any, |statement, code, wanted| {
                let digest = values::digest_identifier(kind, param, code);
                statement.has_token(digest, stored_system(&wanted.system))
            }),
            Filter::Token { param, any } => self.token(kind, param, any),
            Filter::Not(of) if is_exact_of(kind, of) => Some(format!("({}) IS NOT TRUE", self.test(kind, of)?)),
            Filter::Not(_) | Filter::Chain { .. } | Filter::Has { .. } => None,
        }
    }

    fn token(&mut self, kind: Kind, param: &Param, any: &[TokenMatch]) -> Option<String> {
        match column(kind, param) {
            None if any.iter().any(|wanted| has_usual(kind, param, wanted)) => None,
            None => self.tokens(any, |statement, code, wanted| {
                let row = statement.has_token(values::digest(kind, param, code), stored_system(&wanted.system));
                if !names_own(kind, param, wanted) {
                    return row;
                }
                let id = statement.text(code);
                format!("(r.id = {id} OR {row})")
            }),
            Some("status") => {
                let codes = any.iter().filter(|wanted| has_no_system(wanted)).map(|wanted| wanted.code.as_deref());
                let codes = codes.collect::<Option<Vec<_>>>()?;
                Some(self.one_of("r.status", codes.into_iter()))
            }
            Some("priority") => self.tokens(any, |statement, code, _| {
                let rank = statement.number(i64::from(Priority::parse(code).rank()));
                format!("r.priority = {rank}")
            }),
            Some(column) => self.tokens(any, |statement, code, wanted| {
                let digest = values::digest(kind, param, code);
                let first = statement.condition("r.", &Is::Digest(column, digest));
                let other = statement.has_token(digest, stored_system(&wanted.system));
                format!("({first} OR {other})")
            }),
        }
    }

    /// One of the codes; None when a value names only a system.
    fn tokens(&mut self, any: &[TokenMatch], test: impl Fn(&mut Self, &str, &TokenMatch) -> String) -> Option<String> {
        if any.iter().any(|wanted| wanted.code.is_none()) {
            return None;
        }
        Some(self.any(any, |statement, wanted| Some(test(statement, wanted.code.as_deref()?, wanted))))
    }

    fn any<T>(&mut self, any: &[T], test: impl Fn(&mut Self, &T) -> Option<String>) -> String {
        any_of(&any.iter().filter_map(|value| test(self, value)).collect::<Vec<_>>())
    }

    fn one_of<'a>(&mut self, column: &str, texts: impl Iterator<Item = &'a str>) -> String {
        let marks: Vec<String> = texts.map(|text| self.text(text)).collect();
        if marks.is_empty() { "1 = 0".into() } else { format!("{column} IN ({})", marks.join(", ")) }
    }

    fn has_token(&mut self, value: Uuid, system: Option<i64>) -> String {
        let value = self.digest(value);
        let system = system.map(|system| format!(" AND x.system = {}", self.number(system))).unwrap_or_default();
        // Counted, not EXISTS: for that PostgreSQL may read every row of the value, to look them up in a table of its own.
        format!("(SELECT count(*) FROM search_token AS x WHERE x.value = {value} AND x.seq = r.seq{system}) > 0")
    }

    fn date(&mut self, when: &DateMatch, low: &str, high: &str) -> String {
        let (from, to) = (self.number(when.low.0), self.number(when.high.0));
        let test = match when.prefix {
            Prefix::Eq => format!("{low} >= {from} AND {high} <= {to}"),
            Prefix::Ne => format!("{low} < {from} OR {high} > {to}"),
            Prefix::Gt => format!("{high} > {to}"),
            Prefix::Lt => format!("{low} < {from}"),
            Prefix::Ge => format!("{high} > {to} OR {low} >= {from}"),
            Prefix::Le => format!("{low} < {from} OR {high} <= {to}"),
            Prefix::Sa => format!("{low} > {to}"),
            Prefix::Eb => format!("{high} < {from}"),
            Prefix::Ap => format!("{low} <= {to} AND {high} >= {from}"),
        };
        // Both numbers are named, so that both have a type; and without a date there is no high end.
        format!("(({test}) AND {high} IS NOT NULL AND {from} <= {to})")
    }
}

fn any_of(tests: &[String]) -> String {
    if tests.is_empty() { "1 = 0".into() } else { format!("({})", tests.join(" OR ")) }
}

/// A reference in the column of its parameter; None when it cannot be there.
pub(super) fn equals(kind: Kind, param: &Param, column: &'static str, to: &str) -> Option<Is> {
    match column {
        "owner" => Some(Is::Text(column, values::key(to)?.into_owned())),
        _ => Some(Is::Digest(column, values::digest(kind, param, to))),
    }
}

/// Whether the tests say all that the filters mean; else the resource itself is asked.
pub(super) fn is_exact(query: &Query) -> bool {
    query.filters.iter().all(|filter| is_exact_of(query.kind, filter))
}

fn is_exact_of(kind: Kind, filter: &Filter) -> bool {
    match filter {
        Filter::Id(_) | Filter::LastUpdated(_) => true,
        Filter::Date { param, .. } => param.element == "authoredOn" || column(kind, param) == Some("modified"),
        Filter::Missing { .. } | Filter::Text { .. } | Filter::Amount { .. } | Filter::Composite { .. } => false,
        Filter::CodeText { .. } | Filter::OfType { .. } | Filter::Below { .. } => false,
        Filter::Chain { .. } | Filter::Has { .. } => false,
        Filter::Not(of) => is_exact_of(kind, of),
        Filter::Reference { param, any } => {
            let of_patient = |to: &String| to.starts_with("Patient/") || to.contains("://");
            let by_id = |to: &String| kind == Kind::TASK && order_of(to).is_some();
            let is_whole = |to: &String| param.name != "owner" || is_short(to);
            (param.name != "patient" || any.iter().all(of_patient)) && any.iter().all(|to| is_whole(to) && !by_id(to))
        }
        Filter::ReferenceIdentifier { any, .. } => any.iter().all(has_code),
        Filter::Token { param, any } => match column(kind, param) {
            None => any.iter().all(|wanted| {
                let has_row = !has_usual(kind, param, wanted) && !names_own(kind, param, wanted);
                has_code(wanted) && has_row
            }),
            Some("status") => any.iter().all(has_code),
            // A Task without a priority has the rank of a routine one.
            Some("priority") => {
                let urgent = |code: &str| Priority::parse(code) != Priority::Routine;
                any.iter().all(|wanted| has_no_system(wanted) && wanted.code.as_deref().is_some_and(urgent))
            }
            Some(_) => any
                .iter()
                .all(|wanted| has_code(wanted) && matches!(wanted.system, hub_domain::query::SystemMatch::Any)),
        },
    }
}

fn has_code(wanted: &TokenMatch) -> bool {
    wanted.code.is_some()
}

/// Whether the whole of it is kept.
fn is_short(value: &str) -> bool {
    matches!(values::key(value), Some(std::borrow::Cow::Borrowed(_)))
}
