//! Where in a body we are.

use std::fmt::{self, Display, Formatter};

/// A place in a body, FHIRPath-like, each element spelt as the body spells it: `Bundle.entry[0].resource.status`.
///
/// Each step lives on the stack of the call that took it and points to the one before. So walking costs no
/// allocation, and only a fault pays for its words.
#[derive(Debug, Clone, Copy)]
pub struct Path<'a> {
    step: Step<'a>,
    outer: Option<&'a Path<'a>>,
    depth: usize,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    pub(super) fn root(name: &'a str) -> Self {
        Self { step: Step::Name(name), outer: None, depth: 0 }
    }

    pub(super) fn name(&'a self, name: &'a str) -> Self {
        self.then(Step::Name(name))
    }

    pub(super) fn index(&'a self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    fn then(&'a self, step: Step<'a>) -> Self {
        Self { step, outer: Some(self), depth: self.depth + 1 }
    }

    /// Of a resource whose type is not known, or no type at all.
    fn is_nameless_root(&self) -> bool {
        matches!((self.step, self.outer), (Step::Name(""), None))
    }

    /// How many brackets are open here.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer {
            outer.fmt(f)?;
        }
        match self.step {
            Step::Index(index) => write!(f, "[{index}]"),
            // A key may be anything, a patient's name too; only what could be an element's is said again.
            Step::Name(name) => {
                let dot = if self.outer.is_some_and(|outer| !outer.is_nameless_root()) { "." } else { "" };
                write!(f, "{dot}{}", if is_element_name(name) || self.outer.is_none() { name } else { "(odd name)" })
            }
        }
    }
}

/// Whether a key could name an element of FHIR, or the companion of one (`_birthDate`).
pub(super) fn is_element_name(key: &str) -> bool {
    let name = key.strip_prefix('_').unwrap_or(key);
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
