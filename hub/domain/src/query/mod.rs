//! Search: what may be asked ([`params()`]), by which values a resource is found ([`index()`]), and a query that was read.

mod index;
mod params;

pub use index::{IndexValue, digest, index};
pub use params::{Param, ParamType, find, params};

use schemas::resource::Kind;
use schemas::time::Timestamp;

/// A search over one type: every filter must hold; a filter holds when one of its values does.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub kind: Kind,
    pub filters: Vec<Filter>,
    pub sort: Vec<Sort>,
    /// Entries a page.
    pub count: u32,
    /// Where the page before ended, as the registry wrote it.
    pub page: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// `_id`
    Id(Vec<String>),
    /// `_lastUpdated`
    LastUpdated(DateMatch),
    Token {
        param: &'static Param,
        any: Vec<TokenMatch>,
    },
    /// `Type/id` or a URL each.
    Reference {
        param: &'static Param,
        any: Vec<String>,
    },
    /// `param:identifier=system|value`
    ReferenceIdentifier {
        param: &'static Param,
        any: Vec<TokenMatch>,
    },
    Date {
        param: &'static Param,
        when: DateMatch,
    },
    /// `param:missing=true|false`
    Missing {
        param: &'static Param,
        missing: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMatch {
    pub system: SystemMatch,
    /// None: any code of the system.
    pub code: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemMatch {
    /// `code`
    Any,
    /// `|code`
    None,
    /// `system|code`
    Is(String),
}

/// A date value: the range it means, and how the resource's range must lie to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateMatch {
    pub prefix: Prefix,
    pub low: Timestamp,
    pub high: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    /// starts after
    Sa,
    /// ends before
    Eb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    pub by: SortBy,
    pub descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    LastUpdated,
    Id,
    /// Task.priority by urgency, not by spelling.
    Priority,
    Status,
    /// authoredOn of a Task or request
    Authored,
    /// Task.lastModified
    Modified,
}
