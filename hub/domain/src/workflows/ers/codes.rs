//! What the service calls its faults, and what the hub answers to each.
//!
//! Source: NHSDigital/e-referrals-service-api, `specification/components/**/responses`.

use schemas::outcome::{Issue, IssueType};

use crate::refusal::{Refusal, RefusalKind};

pub(super) const ERS: &str = "https://fhir.nhs.uk/CodeSystem/ers-error-codes";
pub(super) const HTTP: &str = "https://fhir.nhs.uk/CodeSystem/http-error-codes";

/// A fault with a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code {
    system: &'static str,
    name: &'static str,
    code: IssueType,
    kind: RefusalKind,
    text: &'static str,
}

impl Code {
    pub(super) fn at(self, path: &str) -> Issue {
        self.because(path, self.text)
    }

    /// In other words than its own.
    pub(super) fn because(self, path: &str, text: impl Into<String>) -> Issue {
        Issue::error(self.code, path, text).called(self.system, self.name)
    }

    pub(super) fn refusal(self) -> Refusal {
        self.refused("", self.text)
    }

    pub(super) fn refused(self, path: &str, text: impl Into<String>) -> Refusal {
        Refusal::new(self.kind, vec![self.because(path, text)])
    }
}

macro_rules! codes {
    ($($name:ident: $system:ident, $code:ident, $kind:ident, $text:literal;)+) => {
        $(pub(super) const $name: Code = Code {
            system: $system,
            name: stringify!($name),
            code: IssueType::$code,
            kind: RefusalKind::$kind,
            text: $text,
        };)+

        /// All of them: each is raised by some story of the tests.
        pub const NAMES: &[&str] = &[$(stringify!($name)),+];
    };
}

codes! {
    REC_FORBIDDEN: HTTP, Forbidden, Forbidden, "nobody in this role does that";
    REC_NOT_FOUND: HTTP, NotFound, NotFound, "there is no such referral";
    REC_CONFLICT: HTTP, Conflict, PreconditionFailed, "the referral has changed: read it again";
    REC_BAD_REQUEST: HTTP, NotSupported, Malformed, "this is FHIR STU3; here R4 is spoken";

    MISSING_VALUE: ERS, Required, Unprocessable, "this has to be given";
    INVALID_VALUE: ERS, Value, Unprocessable, "this value does not have the form that it must have";
    INVALID_CODE: ERS, CodeInvalid, Unprocessable, "this code is none of those that are allowed here";
    UNEXPECTED_FIELD: ERS, Structure, Unprocessable, "no such parameter is expected here";
    INVALID_FHIR_STRUCTURE: ERS, Structure, Unprocessable, "this parameter has another kind of value";
    TOO_MANY_ITEMS: ERS, BusinessRule, Unprocessable, "a shortlist has at most 20 services";
    DUPLICATE_SERVICE: ERS, Duplicate, Unprocessable, "this service is on the shortlist already";
    REFERENCE_NOT_FOUND: ERS, NotFound, Unprocessable, "what this refers to is not here";
    INAPPROPRIATE_VALUE: ERS, BusinessRule, Unprocessable, "this value does not fit here";
    VALUE_IS_REQUIRED: ERS, Required, Unprocessable, "a rule of the service demands this value";
    FIELD_NOT_PERMITTED: ERS, BusinessRule, Unprocessable, "a rule of the service forbids this value";
    CONFLICTING_VALUES: ERS, BusinessRule, Unprocessable, "two values contradict each other";
    SERVICE_UNAVAILABLE: ERS, BusinessRule, Unprocessable, "this service is not offered any more";
    SHORTLISTED_SERVICE_NOT_IN_RESULTS: ERS, BusinessRule, Unprocessable, "this service does not fit the search criteria";
    UNSUPPORTED_PRIORITY: ERS, BusinessRule, Unprocessable, "this service takes no referrals of this priority";
    NO_RELATIONSHIP: ERS, Forbidden, Unprocessable, "the caller's organisation has nothing to do with this referral";
    INVALID_REQUEST_STATE: ERS, BusinessRule, Unprocessable, "this is not done to a referral in this state";
    INVALID_REQUEST_TYPE: ERS, BusinessRule, Unprocessable, "this is done to another kind of request";
    INVALID_STATE: ERS, BusinessRule, Unprocessable, "what this refers to is in another state";
    PRIORITY_NOT_CURRENT: ERS, BusinessRule, Unprocessable, "what is returned to its referrer keeps its priority";
    DUPLICATE_FILENAME: ERS, Duplicate, Unprocessable, "a document of this name is attached already";
    NO_CHANGES_DETECTED: ERS, BusinessRule, Unprocessable, "nothing would be different";
    INAPPROPRIATE_SLOT: ERS, BusinessRule, Unprocessable, "this slot is none of the service's, or has passed";
    SLOT_NOT_AVAILABLE: ERS, BusinessRule, Unprocessable, "the slot is taken";
    SLOTS_CURRENTLY_AVAILABLE: ERS, BusinessRule, Unprocessable, "the service has slots that can be booked";
    THIS_SLOT_IS_AVAILABLE: ERS, BusinessRule, Unprocessable, "the slot can be booked";
    MISSING_PARAMETER: ERS, Required, Malformed, "this search parameter is missing";
    HISTORY_NOT_SUPPORTED: ERS, NotSupported, Malformed, "what may be done is told of the current version alone";
}
