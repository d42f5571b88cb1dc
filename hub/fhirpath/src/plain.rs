//! Expressions that only go from a type of resource to an element, name by name, as most search parameters do:
//! `restriction.period` of a Task. What the definitions say of them is looked up once and not at every resource.

use schemas::resource::member;
use serde_json::{Map, Value};

use crate::navigate::elements;
use crate::syntax::{Expr, Node};
use crate::value::Collection;
use crate::{Expression, Model, R4};

/// Such an expression. It gives of a resource of its type what the [`Expression`] gives.
#[derive(Debug, Clone)]
pub struct Plain {
    /// The last name, and the type of what it leads to.
    last: (Box<str>, &'static str),
    before: Vec<Box<str>>,
}

impl Expression {
    /// Of this type of resource, if it is plain: all its names are those of elements that have one type each.
    pub fn plain(&self, of: &str) -> Option<Plain> {
        let mut names = Vec::new();
        let mut part: Option<&Expr> = Some(&self.root);
        while let Some(expr) = part {
            let Node::Member(focus, name) = &*expr.node else { return None };
            names.push(name.clone());
            part = focus.as_ref();
        }
        names.reverse();
        let mut kind = None;
        for name in &names {
            let found = R4.member(kind.unwrap_or(of), name).filter(|member| member.choice().is_none())?;
            // Only a resource says its type itself.
            kind = Some(found.kind).filter(|kind| !matches!(*kind, "" | "Resource"));
            kind?;
        }
        let last = names.pop().zip(kind)?;
        Some(Plain { last, before: names })
    }
}

impl Plain {
    /// What it gives of a resource.
    pub fn of<'a>(&'a self, body: &'a Map<String, Value>) -> Collection<'a> {
        let mut found = Vec::new();
        self.go(&self.before, body, &mut found);
        found
    }

    fn go<'a>(&'a self, before: &[Box<str>], object: &'a Map<String, Value>, into: &mut Collection<'a>) {
        let Some((name, before)) = before.split_first() else {
            let (name, kind) = &self.last;
            return elements(object, name, member(object, name), kind, into);
        };
        match member(object, name) {
            Some(Value::Object(inner)) => self.go(before, inner, into),
            Some(Value::Array(items)) => {
                items.iter().filter_map(Value::as_object).for_each(|inner| self.go(before, inner, into));
            }
            _ => {}
        }
    }
}
