//! What is said to a caller whose input cannot be taken: FHIR's OperationOutcome, one issue for each fault.

use serde_json::{Value, json};

/// How bad one issue is (`http://hl7.org/fhir/ValueSet/issue-severity`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing further was looked at.
    Fatal,
    Error,
    Warning,
    Information,
}

/// What kind of fault (`http://hl7.org/fhir/ValueSet/issue-type`), as far as the hub uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueType {
    Invalid,
    Structure,
    Required,
    Value,
    Invariant,
    Security,
    Login,
    Expired,
    Forbidden,
    Processing,
    NotSupported,
    Duplicate,
    MultipleMatches,
    NotFound,
    Deleted,
    TooLong,
    CodeInvalid,
    TooCostly,
    BusinessRule,
    Conflict,
    Transient,
    Exception,
    Timeout,
    Throttled,
    Informational,
}

impl IssueType {
    /// The code as FHIR spells it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Structure => "structure",
            Self::Required => "required",
            Self::Value => "value",
            Self::Invariant => "invariant",
            Self::Security => "security",
            Self::Login => "login",
            Self::Expired => "expired",
            Self::Forbidden => "forbidden",
            Self::Processing => "processing",
            Self::NotSupported => "not-supported",
            Self::Duplicate => "duplicate",
            Self::MultipleMatches => "multiple-matches",
            Self::NotFound => "not-found",
            Self::Deleted => "deleted",
            Self::TooLong => "too-long",
            Self::CodeInvalid => "code-invalid",
            Self::TooCostly => "too-costly",
            Self::BusinessRule => "business-rule",
            Self::Conflict => "conflict",
            Self::Transient => "transient",
            Self::Exception => "exception",
            Self::Timeout => "timeout",
            Self::Throttled => "throttled",
            Self::Informational => "informational",
        }
    }
}

/// One fault: what, where, in words. `path` is FHIRPath-like (`ServiceRequest.performer[0].reference`),
/// empty when the fault has no place in the body.
///
/// The words never quote a value from the body: a value may be a patient's, and outcomes end in other people's logs.
/// Codes and names of elements may be quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    pub severity: Severity,
    pub code: IssueType,
    pub path: String,
    pub text: String,
    /// What a service of its own calls it.
    pub coding: Option<Coding>,
}

/// A fault by the code of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coding {
    pub system: &'static str,
    pub code: &'static str,
}

impl Issue {
    pub fn error(code: IssueType, path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, path: path.into(), text: text.into(), coding: None }
    }

    pub fn warning(code: IssueType, path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code, path: path.into(), text: text.into(), coding: None }
    }

    pub fn information(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Information,
            code: IssueType::Informational,
            path: String::new(),
            text: text.into(),
            coding: None,
        }
    }

    /// The same, with the code of a service; the words are its display.
    pub fn called(self, system: &'static str, code: &'static str) -> Self {
        Self { coding: Some(Coding { system, code }), ..self }
    }

    fn to_json(&self) -> Value {
        let severity = match self.severity {
            Severity::Fatal => "fatal",
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Information => "information",
        };
        let mut issue = json!({
            "severity": severity,
            "code": self.code.code(),
            "diagnostics": self.text,
        });
        if let Some(Coding { system, code }) = self.coding {
            issue["details"] = json!({ "coding": [{ "system": system, "code": code, "display": self.text }] });
        }
        if !self.path.is_empty() {
            issue["expression"] = json!([self.path]);
        }
        issue
    }
}

/// The OperationOutcome of these issues.
pub fn operation_outcome(issues: &[Issue]) -> Value {
    json!({
        "resourceType": "OperationOutcome",
        "issue": issues.iter().map(Issue::to_json).collect::<Vec<_>>(),
    })
}
