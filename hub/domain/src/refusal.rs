//! We say no: told in full, as an OperationOutcome. (A machine that failed is [`Trouble`](crate::registry::Trouble).)

use schemas::outcome::{Issue, IssueType};

/// Why not, in kinds that every interface can map to its own language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The body cannot be read.
    Malformed,
    /// Readable, and against a rule.
    Unprocessable,
    NotFound,
    /// Was here, and was deleted.
    Gone,
    /// If-Match named another version.
    PreconditionFailed,
    /// If-Match is demanded, and was not given.
    PreconditionRequired,
    /// What a condition found is not so any more: to be searched for again.
    Overtaken,
    /// It is not here, and callers do not choose ids.
    NotAllowed,
    /// Somebody else was first, or the state does not allow it now.
    Conflict,
    Forbidden,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub kind: RefusalKind,
    pub issues: Vec<Issue>,
}

impl Refusal {
    pub fn new(kind: RefusalKind, issues: Vec<Issue>) -> Self {
        Self { kind, issues }
    }

    pub fn one(kind: RefusalKind, code: IssueType, path: &str, text: impl Into<String>) -> Self {
        Self { kind, issues: vec![Issue::error(code, path, text)] }
    }

    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::one(RefusalKind::NotFound, IssueType::NotFound, "", format!("{what} is not here"))
    }

    pub fn gone(what: impl std::fmt::Display) -> Self {
        Self::one(RefusalKind::Gone, IssueType::Deleted, "", format!("{what} was deleted"))
    }

    pub fn rule(path: &str, text: impl Into<String>) -> Self {
        Self::one(RefusalKind::Unprocessable, IssueType::BusinessRule, path, text)
    }

    pub fn conflict(text: impl Into<String>) -> Self {
        Self::one(RefusalKind::Conflict, IssueType::Conflict, "", text)
    }

    pub fn forbidden(text: impl Into<String>) -> Self {
        Self::one(RefusalKind::Forbidden, IssueType::Forbidden, "", text)
    }

    /// The first issue in words: for logs and for a claim's answer.
    pub fn text(&self) -> &str {
        self.issues.first().map_or("refused", |issue| &issue.text)
    }
}
