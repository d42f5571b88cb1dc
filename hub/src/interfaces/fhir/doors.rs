//! The doors of a base: every route, with what `/metadata` says of it. No door is opened without a word, and no word is
//! there without a door.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use schemas::resource::Kind;

use super::gatekeeper;
use crate::service::Service;

/// What stands for the type in a path, where it may be any that is kept.
const ANY_KIND: &str = "{kind}";

/// What is said of a door.
pub(super) enum Says {
    /// These interactions, by FHIR's codes. Searched is by all parameters that FHIR has of the type.
    Does(&'static str),
    /// A search by parameters of its own.
    Finds(&'static Searched),
    /// One of these interactions, with what a condition finds.
    OnFound(&'static str),
    /// One operation, or those that the last part of the path may name.
    Operations(Vec<Operation>),
    /// It is `/metadata` itself: who reads there has found it.
    Nothing,
}

/// What a type is searched by at a base that has a few parameters of its own: name and type.
pub(super) struct Searched {
    pub(super) by: &'static [(&'static str, &'static str)],
    pub(super) include: &'static [&'static str],
}

/// An operation as `/metadata` names it.
#[derive(Clone)]
pub(super) struct Operation {
    /// Without the `$`.
    pub(super) name: &'static str,
    pub(super) about: String,
    /// The definition that FHIR publishes; `{kind}` stands for the type. None: it is the hub's own.
    published: Option<&'static str>,
    /// The types that have it, of those that its path may name; empty: all.
    kinds: &'static [Kind],
}

impl Operation {
    pub(super) fn new(name: &'static str, about: impl Into<String>) -> Self {
        Self { name, about: about.into(), published: None, kinds: &[] }
    }

    pub(super) fn published(self, definition: &'static str) -> Self {
        Self { published: Some(definition), ..self }
    }

    pub(super) fn of(self, kinds: &'static [Kind]) -> Self {
        Self { kinds, ..self }
    }

    /// The canonical of its definition.
    pub(super) fn definition(&self, kind: &str) -> String {
        match self.published {
            Some(definition) => definition.replace(ANY_KIND, kind),
            None => format!("urn:fhir-workflow-hub:operation:{}", self.name),
        }
    }

    fn is_of(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|of| of.name() == kind)
    }
}

impl From<Operation> for Says {
    fn from(operation: Operation) -> Self {
        Self::Operations(vec![operation])
    }
}

/// A door that is open.
pub(super) struct Door {
    verb: &'static str,
    path: Cow<'static, str>,
    pub(super) says: Says,
}

impl Door {
    /// The types whose door it is; none: that of the whole base.
    pub(super) fn types(&self) -> Vec<&str> {
        match self.path.split('/').nth(1) {
            Some(ANY_KIND) => Kind::ALL.iter().map(|kind| kind.name()).collect(),
            Some(name) if name.starts_with(|letter: char| letter.is_ascii_uppercase()) => vec![name],
            _ => Vec::new(),
        }
    }

    /// The operations that a type has here; of no type, those of the whole base.
    pub(super) fn operations(&self, kind: &str) -> impl Iterator<Item = &Operation> {
        let all = if let Says::Operations(all) = &self.says { all.as_slice() } else { &[] };
        all.iter().filter(move |operation| !self.path.contains(ANY_KIND) || operation.is_of(kind))
    }

    /// How an operation of a type is called here: `GET [base]/Task/[id]/$order-status`.
    pub(super) fn call(&self, operation: &Operation, kind: &str) -> String {
        let path = match self.path.rsplit_once('/') {
            Some((before, last)) if !last.starts_with('$') => format!("{before}/${}", operation.name),
            _ => self.path.to_string(),
        };
        let path = path.replace(ANY_KIND, kind).replace('{', "[").replace('}', "]");
        format!("{} [base]{path}", self.verb)
    }
}

/// A base that is being built.
pub(super) struct Doors {
    router: Router<Arc<Service>>,
    /// The root of the base, which is there with a slash too.
    root: Option<MethodRouter<Arc<Service>>>,
    pub(super) all: Vec<Door>,
}

impl Doors {
    pub(super) fn new() -> Self {
        Self { router: Router::new().fallback(gatekeeper::unknown_path), root: None, all: Vec::new() }
    }

    pub(super) fn get<T: 'static>(
        self,
        path: impl Into<Cow<'static, str>>,
        says: impl Into<Says>,
        handler: impl Handler<T, Arc<Service>>,
    ) -> Self {
        self.open("GET", path.into(), says.into(), get(handler))
    }

    pub(super) fn post<T: 'static>(
        self,
        path: impl Into<Cow<'static, str>>,
        says: impl Into<Says>,
        handler: impl Handler<T, Arc<Service>>,
    ) -> Self {
        self.open("POST", path.into(), says.into(), post(handler))
    }

    pub(super) fn put<T: 'static>(
        self,
        path: impl Into<Cow<'static, str>>,
        says: impl Into<Says>,
        handler: impl Handler<T, Arc<Service>>,
    ) -> Self {
        self.open("PUT", path.into(), says.into(), put(handler))
    }

    pub(super) fn patch<T: 'static>(
        self,
        path: impl Into<Cow<'static, str>>,
        says: impl Into<Says>,
        handler: impl Handler<T, Arc<Service>>,
    ) -> Self {
        self.open("PATCH", path.into(), says.into(), patch(handler))
    }

    pub(super) fn delete<T: 'static>(
        self,
        path: impl Into<Cow<'static, str>>,
        says: impl Into<Says>,
        handler: impl Handler<T, Arc<Service>>,
    ) -> Self {
        self.open("DELETE", path.into(), says.into(), delete(handler))
    }

    /// What is answered where there is no door.
    pub(super) fn elsewhere<T: 'static>(self, handler: impl Handler<T, Arc<Service>>) -> Self {
        Self { router: self.router.fallback(handler), ..self }
    }

    fn open(
        mut self,
        verb: &'static str,
        path: Cow<'static, str>,
        says: Says,
        behind: MethodRouter<Arc<Service>>,
    ) -> Self {
        if path == "/" {
            self.root = Some(self.root.unwrap_or_default().merge(behind.clone()));
        }
        self.router = self.router.route(&path, behind);
        self.all.push(Door { verb, path, says });
        self
    }

    /// What is below the base.
    pub(super) fn router(self) -> Router<Arc<Service>> {
        self.router.method_not_allowed_fallback(gatekeeper::method_not_allowed)
    }

    /// The same at its place.
    pub(super) fn at(mut self, base: &str) -> Router<Arc<Service>> {
        let root = self.root.take().map(|root| Router::new().route(&format!("{base}/"), root));
        root.unwrap_or_default().nest(base, self.router())
    }
}
