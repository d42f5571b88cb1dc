//! An expression as it was read, and what is wrong with one.

use crate::functions::Function;
use crate::value::Item;

/// Why an expression cannot be read or worked out. It names types and places, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} (character {at})")]
pub struct Fault {
    /// Where in the expression, counted in characters from 1.
    pub at: usize,
    pub kind: FaultKind,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It is no expression of the language, or of the part of it that is here.
    Syntax,
    /// It asks for something that its values cannot give: `1 + 'a'`, a single item of several.
    Type,
    /// It takes more steps, or makes more items, than it may.
    TooCostly,
}

impl Fault {
    pub(crate) fn syntax(at: usize, text: impl Into<String>) -> Self {
        Self { at, kind: FaultKind::Syntax, text: text.into() }
    }

    pub(crate) fn of_type(at: usize, text: impl Into<String>) -> Self {
        Self { at, kind: FaultKind::Type, text: text.into() }
    }
}

/// A part of an expression, and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub(crate) at: usize,
    /// How many parts stand on one another in it.
    pub(crate) height: u16,
    pub(crate) node: Box<Node>,
}

#[derive(Debug, Clone)]
pub(crate) enum Node {
    Literal(Item<'static>),
    /// `{}`
    Empty,
    /// `%name`
    Variable(Box<str>),
    This,
    Index,
    Total,
    /// `name`, or `focus.name`.
    Member(Option<Expr>, Box<str>),
    /// `function(…)`, or `focus.function(…)`.
    Call(Option<Expr>, &'static Function, Vec<Expr>),
    /// `is(Type)`, `as(Type)`, `ofType(Type)`, and the operators `is` and `as`.
    OfType(Option<Expr>, TypeTest, TypeName),
    /// `focus[index]`
    Indexed(Expr, Expr),
    Negated(Expr),
    Binary(Operator, Expr, Expr),
}

impl Node {
    /// What it is made of.
    pub(crate) fn parts(&self) -> Vec<&Expr> {
        match self {
            Self::Literal(_) | Self::Empty | Self::Variable(_) | Self::This | Self::Index | Self::Total => Vec::new(),
            Self::Member(focus, _) | Self::OfType(focus, ..) => focus.iter().collect(),
            Self::Call(focus, _, arguments) => focus.iter().chain(arguments).collect(),
            Self::Negated(of) => vec![of],
            Self::Indexed(left, right) | Self::Binary(_, left, right) => vec![left, right],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TypeTest {
    Is,
    /// What it is called on, if it is one item and of this type.
    As,
    /// The same for each item of many.
    OfType,
}

/// `Quantity`, `FHIR.Quantity`, `System.Quantity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeName {
    pub(crate) at: usize,
    pub(crate) namespace: Option<Box<str>>,
    pub(crate) name: Box<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Implies,
    Or,
    Xor,
    And,
    In,
    Contains,
    Equal,
    NotEqual,
    Equivalent,
    NotEquivalent,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Union,
    Plus,
    Minus,
    Concatenate,
    Times,
    Divide,
    Div,
    Mod,
}

/// Each with how strongly it binds; the same strength from left to right.
pub(crate) const OPERATORS: [(&str, Operator, u8); 22] = [
    ("implies", Operator::Implies, 1),
    ("or", Operator::Or, 2),
    ("xor", Operator::Xor, 2),
    ("and", Operator::And, 3),
    ("in", Operator::In, 4),
    ("contains", Operator::Contains, 4),
    ("=", Operator::Equal, 5),
    ("!=", Operator::NotEqual, 5),
    ("~", Operator::Equivalent, 5),
    ("!~", Operator::NotEquivalent, 5),
    ("<", Operator::Less, 6),
    ("<=", Operator::AtMost, 6),
    (">", Operator::Greater, 6),
    (">=", Operator::AtLeast, 6),
    ("|", Operator::Union, 7),
    // `is` and `as` bind with 8.
    ("+", Operator::Plus, 9),
    ("-", Operator::Minus, 9),
    ("&", Operator::Concatenate, 9),
    ("*", Operator::Times, 10),
    ("/", Operator::Divide, 10),
    ("div", Operator::Div, 10),
    ("mod", Operator::Mod, 10),
];

pub(crate) const TYPE_OPERATORS_BIND: u8 = 8;
