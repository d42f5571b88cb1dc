//! FHIRPath over resources as they are stored: JSON, and what FHIR's definitions say about its types.
//!
//! ```
//! use hub_fhirpath::{Expression, Scope};
//!
//! let request = serde_json::json!({
//!     "resourceType": "MedicationRequest",
//!     "dispenseRequest": { "expectedSupplyDuration": { "value": 28, "unit": "day", "code": "d" } },
//! });
//! let long = Expression::parse("MedicationRequest.dispenseRequest.expectedSupplyDuration > 3 weeks")?;
//! let now = time::OffsetDateTime::UNIX_EPOCH;
//! assert_eq!(long.holds(&request, &Scope::new(now))?, Some(true));
//! # Ok::<(), hub_fhirpath::Fault>(())
//! ```
//!
//! An expression is read once ([`Expression::parse`], with every fault's place in it) and asked of many resources. It
//! reads no clock, no database and no network: `now()` is an argument, and where a reference points is asked of a
//! [`Resolver`]. It ends after a bounded number of steps, whatever it says. No fault tells a value.
//!
//! Text becomes words and parts in `parse`; `evaluate` works a part out, `navigate` goes from an element to those in it,
//! by the types of a [`Model`], `operators` and `functions` do the rest. To add a function: a row in `functions`, and
//! its body in the file that it belongs to.

mod evaluate;
mod functions;
mod model;
mod moment;
mod navigate;
mod operators;
mod parse;
mod patch;
mod plain;
mod syntax;
mod units;
mod value;

use std::fmt;
use std::str::FromStr;

use ::time::OffsetDateTime;
use serde_json::Value;

pub use functions::names as function_names;
pub use model::{Model, R4};
pub use moment::{Form, Moment};
pub use patch::Patch;
pub use plain::Plain;
pub use rust_decimal::Decimal;
pub use syntax::{Fault, FaultKind};
pub use units::Measure;
pub use value::{Collection, Item, Node, Quantity, decimal};

use evaluate::{Evaluation, Frame};

/// So many steps an expression takes at most unless told otherwise: some tens of milliseconds.
pub const MOST_STEPS: usize = 100_000;

/// An expression that was read and found to be one.
#[derive(Debug, Clone)]
pub struct Expression {
    text: String,
    root: syntax::Expr,
}

impl Expression {
    /// Reads an expression. Names of functions and numbers of arguments are checked here already.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        Ok(Self { text: text.to_owned(), root: parse::parse(text)? })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// A variable that it mentions and nobody knows: FHIR's own are always known, and these.
    pub fn unknown_variable(&self, known: &[&str]) -> Option<&str> {
        let mut left = vec![&self.root];
        while let Some(expr) = left.pop() {
            match &*expr.node {
                syntax::Node::Variable(name) if !known.contains(&&**name) && !evaluate::is_standard(name) => {
                    return Some(name);
                }
                node => left.extend(node.parts()),
            }
        }
        None
    }

    /// What it gives of a resource.
    pub fn of<'a>(&'a self, resource: &'a Value, scope: &Scope<'a>) -> Result<Collection<'a>, Fault> {
        self.evaluate(&[Item::Node(Node::resource(resource))], scope)
    }

    /// What it gives of any collection.
    pub fn evaluate<'a>(&'a self, context: &[Item<'a>], scope: &Scope<'a>) -> Result<Collection<'a>, Fault> {
        let frame = Frame { this: context, index: None, total: None };
        Evaluation::new(scope, context).eval(&self.root, frame)
    }

    /// For `a.b`, what `a` gives, and `b`.
    pub(crate) fn of_last_step<'a>(
        &'a self,
        resource: &'a Value,
        scope: &Scope<'a>,
    ) -> Option<Result<(Collection<'a>, &'a str), Fault>> {
        let syntax::Node::Member(focus, name) = &*self.root.node else { return None };
        let context = [Item::Node(Node::resource(resource))];
        let Some(focus) = focus else { return Some(Ok((context.to_vec(), name))) };
        let found = Evaluation::new(scope, &context).eval(focus, Frame { this: &context, index: None, total: None });
        Some(found.map(|found| (found, &**name)))
    }

    /// Whether it is true of a resource; nothing when it gives nothing. Anything else than a Boolean is a fault.
    pub fn holds<'a>(&'a self, resource: &'a Value, scope: &Scope<'a>) -> Result<Option<bool>, Fault> {
        let context = [Item::Node(Node::resource(resource))];
        let mut evaluation = Evaluation::new(scope, &context);
        let found = evaluation.eval(&self.root, Frame { this: &context, index: None, total: None })?;
        evaluation.boolean(self.root.at, &found)
    }
}

impl FromStr for Expression {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        Self::parse(text)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// All that an expression may see beside what it is asked of.
pub struct Scope<'a> {
    pub model: &'a dyn Model,
    pub resolver: &'a dyn Resolver<'a>,
    /// What `now()` gives.
    pub now: OffsetDateTime,
    /// `%resource`, when the expression is asked of a part of one.
    pub resource: Option<Node<'a>>,
    /// Named values, for `%name`.
    pub variables: Vec<(&'a str, Collection<'a>)>,
    /// After so many steps it ends with a fault.
    pub most_steps: usize,
}

impl<'a> Scope<'a> {
    /// Of FHIR R4, with nothing to see but the types of what references point to.
    pub fn new(now: OffsetDateTime) -> Self {
        let variables = Vec::new();
        Self { model: &R4, resolver: &OnlyTypes, now, resource: None, variables, most_steps: MOST_STEPS }
    }

    pub fn with(mut self, name: &'a str, value: Collection<'a>) -> Self {
        self.variables.push((name, value));
        self
    }
}

/// Knows where references point.
pub trait Resolver<'a> {
    /// The resource that a literal reference points to; none where it cannot be told.
    fn resolve(&self, reference: &'a str) -> Option<Node<'a>>;
}

/// Tells of a resource only the type that stands in the reference: enough for `resolve() is Patient`.
#[derive(Debug, Clone, Copy, Default)]
pub struct OnlyTypes;

impl<'a> Resolver<'a> for OnlyTypes {
    fn resolve(&self, reference: &'a str) -> Option<Node<'a>> {
        let unversioned = reference.split_once("/_history/").map_or(reference, |(before, _)| before);
        let (before, _) = unversioned.rsplit_once('/')?;
        let kind = before.rsplit('/').next()?;
        schemas::gate::is_resource_type(kind).then(|| Node::of_type(kind))
    }
}
