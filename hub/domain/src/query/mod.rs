//! Search: what may be asked ([`params()`]), by which values a resource is found ([`index()`]), and a query that was read.

mod amount;
mod index;
mod params;
mod text;

pub use amount::{Amount, AmountMatch, Unit, UnitMatch, place_of};
pub use index::{IndexValue, codes_called, composed, digest, index, index_by, typed, values};
pub use params::{Param, ParamType, find, params, touched};
pub use text::{TextMatch, fold};

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
        any: Vec<DateMatch>,
    },
    /// Of a string: `name=ann`, `name:exact=Ann`, `name:contains=nn`.
    Text {
        param: &'static Param,
        how: TextMatch,
        any: Vec<String>,
    },
    /// Of a number or a quantity.
    Amount {
        param: &'static Param,
        any: Vec<AmountMatch>,
    },
    /// Of a composite: the filters of its parts, in their order, that hold of one and the same element.
    Composite {
        param: &'static Param,
        any: Vec<Vec<Filter>>,
    },
    /// `code:text=haem`: how what is written beside a code begins.
    CodeText {
        param: &'static Param,
        any: Vec<String>,
    },
    /// `identifier:of-type=system|code|value`
    OfType {
        param: &'static Param,
        any: Vec<TypedIdentifier>,
    },
    /// `url:below=http://example.org/plans`: this URI, and what lies below it.
    Below {
        param: &'static Param,
        any: Vec<String>,
    },
    /// `param:missing=true|false`
    Missing {
        param: &'static Param,
        missing: bool,
    },
    /// `param:not=value`: the filter does not hold, also because there is no value.
    Not(Box<Filter>),
    /// `param:Type.rest=value`: it points to one of these.
    Chain {
        param: &'static Param,
        to: Inner,
    },
    /// `_has:Type:param:rest=value`: one of these points to it.
    Has {
        param: &'static Param,
        from: Inner,
    },
}

/// The other end of a link: resources of a type, for which every filter holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Inner {
    pub kind: Kind,
    pub filters: Vec<Filter>,
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

impl Filter {
    /// The parameters by whose values it finds.
    pub fn params(&self) -> Vec<&'static Param> {
        match self {
            Self::Id(_) | Self::LastUpdated(_) => Vec::new(),
            Self::Token { param, .. } | Self::Reference { param, .. } | Self::ReferenceIdentifier { param, .. } => {
                vec![param]
            }
            Self::Date { param, .. } | Self::Text { param, .. } | Self::Amount { param, .. } => vec![param],
            Self::CodeText { param, .. } | Self::OfType { param, .. } | Self::Below { param, .. } => vec![param],
            Self::Missing { param, .. } => vec![param],
            Self::Composite { any, .. } => any.iter().flatten().flat_map(Self::params).collect(),
            Self::Not(of) => of.params(),
            // Followed from the resource, or settled as another filter.
            Self::Chain { .. } | Self::Has { .. } => Vec::new(),
        }
    }
}

/// An identifier, and what kind of identifier it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedIdentifier {
    pub system: String,
    pub code: String,
    pub value: String,
}

impl TypedIdentifier {
    /// The same of any kind and system.
    pub fn value_match(&self) -> TokenMatch {
        TokenMatch { system: SystemMatch::Any, code: Some(self.value.clone()) }
    }
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
    /// about the same: of a date, what it means is a tenth wider of the time that lies between it and now
    Ap,
}

impl Prefix {
    const ALL: [(&str, Self); 9] = [
        ("eq", Self::Eq),
        ("ne", Self::Ne),
        ("gt", Self::Gt),
        ("lt", Self::Lt),
        ("ge", Self::Ge),
        ("le", Self::Le),
        ("sa", Self::Sa),
        ("eb", Self::Eb),
        ("ap", Self::Ap),
    ];

    /// The prefix of a value, and what follows it.
    pub fn split(text: &str) -> (Self, &str) {
        let known = Self::ALL.iter().find_map(|(name, prefix)| Some((*prefix, text.strip_prefix(name)?)));
        known.unwrap_or((Self::Eq, text))
    }
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
    /// By a value that is looked for in the resource itself.
    Param(&'static Param),
}
