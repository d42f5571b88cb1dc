//! What the service calls its faults.
//!
//! Source: NHSDigital/electronic-prescription-service-api, `spine-response-handler.ts`.

use schemas::outcome::{Issue, IssueType};

use crate::refusal::{Refusal, RefusalKind};

const EPS: &str = "https://fhir.nhs.uk/CodeSystem/EPS-IssueCode";
const SPINE: &str = "https://fhir.nhs.uk/CodeSystem/Spine-ErrorOrWarningCode";
pub(super) const STATUS_HISTORY: &str = "https://fhir.nhs.uk/CodeSystem/medicationrequest-status-history";

/// A fault with a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code {
    system: &'static str,
    name: &'static str,
    kind: IssueType,
    display: &'static str,
}

const fn code(system: &'static str, kind: IssueType, name: &'static str, display: &'static str) -> Code {
    Code { system, name, kind, display }
}

impl Code {
    pub(super) fn issue(self) -> Issue {
        self.because(self.display)
    }

    /// In other words than its own.
    pub(super) fn because(self, text: impl Into<String>) -> Issue {
        Issue::error(self.kind, "", text).called(self.system, self.name)
    }

    pub(super) fn at(self, path: &str, text: impl Into<String>) -> Issue {
        Issue { path: path.to_owned(), ..self.because(text) }
    }

    pub(super) fn refusal(self) -> Refusal {
        Refusal::new(RefusalKind::Malformed, vec![self.issue()])
    }
}

use IssueType::{BusinessRule, Duplicate, Exception, Invalid, NotFound, NotSupported, Processing, Structure, Value};

pub(super) const DECEASED: Code = code(EPS, BusinessRule, "PATIENT_DECEASED", "Patient is recorded as dead");
pub(super) const DUPLICATE_PRESCRIPTION: Code =
    code(EPS, Duplicate, "DUPLICATE_PRESCRIPTION_ID", "Duplicate prescription ID exists");
pub(super) const MISSING_SIGNATURE: Code =
    code(EPS, BusinessRule, "MISSING_DIGITAL_SIGNATURE", "Digital signature not found");
pub(super) const PRESCRIPTION_NOT_FOUND: Code =
    code(EPS, NotFound, "PRESCRIPTION_NOT_FOUND", "Prescription can not be found. Contact prescriber");
pub(super) const INVALID_MESSAGE: Code = code(EPS, Structure, "INVALID_MESSAGE", "Invalid Message");
pub(super) const NUMBER_OF_ITEMS: Code = code(
    EPS,
    BusinessRule,
    "INVALID_NUMBER_MEDICATIONREQUESTS",
    "Number of items on a prescription should be between 1 and 4",
);
pub(super) const STATE: Code =
    code(EPS, BusinessRule, "PRESCRIPTION_INVALID_STATE_TRANSITION", "Invalid State Transition for Prescription");
pub(super) const ITEM_STATE: Code = code(
    EPS,
    BusinessRule,
    "MEDICATIONREQUEST_INVALID_STATE_TRANSITION",
    "Invalid State Transition for Prescription Item",
);
pub(super) const ITEM_NOT_FOUND: Code =
    code(EPS, NotFound, "MEDICATIONREQUEST_NOT_FOUND", "Prescription Item Not found");
pub(super) const CLAIM_NOT_DISPENSED: Code =
    code(EPS, BusinessRule, "CLAIM_INVALID_NOT_DISPENSED", "Invalid Claim. Prescription is not Dispensed");
pub(super) const REPEAT_MISMATCH: Code =
    code(EPS, BusinessRule, "MISMATCH_AUTHORISED_REPEAT_COUNT", "Mismatch in authorised repeat counts");
pub(super) const REPEAT_COUNT: Code =
    code(EPS, BusinessRule, "INVALID_REPEAT_COUNT", "Repeat count should be between 1 and 99");
pub(super) const NOT_LAST_DISPENSE: Code = code(
    EPS,
    BusinessRule,
    "DISPENSE_AMEND_IDENTIFIER_MISMATCH",
    "Dispense Amendment/Cancellation Request does not pertain to Last Dispense",
);
pub(super) const CLAIM_AMEND: Code = code(
    SPINE,
    BusinessRule,
    "CLAIM_AMEND_PERIOD_ISSUE",
    "Claim amendment is not permitted outside of the claim period",
);
pub(super) const DUPLICATE_ITEM: Code = code(EPS, Value, "DUPLICATE_MEDICATIONREQUEST_ID", "Duplicate item ID exists");
pub(super) const DATE: Code = code(EPS, Value, "INVALID_DATE_FORMAT", "Format of date passed is invalid");
pub(super) const NOT_PROCESSED: Code = code(SPINE, Processing, "FAILURE_TO_PROCESS_MESSAGE", "");
pub(super) const MISSING_VALUE: Code = code(SPINE, Value, "MISSING_VALUE", "");
pub(super) const INVALID_VALUE: Code = code(SPINE, Invalid, "INVALID_VALUE", "");
pub(super) const CONFLICTING: Code =
    code(SPINE, Structure, "CONFLICTING_VALUES", "Conflicting values have been specified in different fields");

pub(super) const CANCELLED: Code = code(EPS, BusinessRule, "PRESCRIPTION_CANCELLED", "Prescription has been cancelled");
pub(super) const EXPIRED: Code = code(EPS, BusinessRule, "PRESCRIPTION_EXPIRED", "Prescription has expired");
pub(super) const NOT_FOUND: Code = code(SPINE, NotFound, "RESOURCE_NOT_FOUND", "Resource not found");
pub(super) const ANOTHER_DISPENSER: Code =
    code(EPS, BusinessRule, "PRESCRIPTION_WITH_ANOTHER_DISPENSER", "Prescription is with another dispenser");
pub(super) const DISPENSED: Code = code(EPS, BusinessRule, "PRESCRIPTION_DISPENSED", "Prescription has been dispensed");
pub(super) const DISABLED: Code = code(EPS, Exception, "SERVICE_DISABLED", "Functionality disabled in spine");
pub(super) const NO_MORE: (&str, &str, &str) = (EPS, "NO_MORE_PRESCRIPTIONS", "No more prescriptions available");

/// The answers to a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Response {
    Cancelled,
    WithDispenser,
    WithDispenserActive,
    Dispensed,
    Expired,
    AlreadyCancelled,
    AnotherPrescriber,
    NotFound,
    Disabled,
    NotDispensed,
    Unprocessable,
    Invalid,
}

impl Response {
    /// Code, display, and the MedicationRequest.status that the answer shows.
    pub(super) fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Cancelled => ("R-0001", "Prescription/item was cancelled", "cancelled"),
            Self::WithDispenser => {
                ("R-0002", "Prescription/item was not cancelled. With dispenser. Marked for cancellation", "active")
            }
            Self::WithDispenserActive => (
                "R-0003",
                "Prescription/item was not cancelled. With dispenser active. Marked for cancellation",
                "active",
            ),
            Self::Dispensed => {
                ("R-0004", "Prescription/item was not cancelled. Prescription has been dispensed.", "completed")
            }
            Self::Expired => ("R-0005", "Prescription/item has expired", "stopped"),
            Self::AlreadyCancelled => ("R-0006", "Prescription/item had already been cancelled", "cancelled"),
            Self::AnotherPrescriber => {
                ("R-0007", "Prescription/item cancellation requested by another prescriber", "unknown")
            }
            Self::NotFound => ("R-0008", "Prescription/item not found", ""),
            Self::Disabled => ("R-0009", "Cancellation functionality disabled in SPINE", ""),
            Self::NotDispensed => {
                ("R-0010", "Prescription/item was not cancelled. Prescription has been not dispensed.", "stopped")
            }
            Self::Unprocessable => ("R-5000", "Unable to process message. Information missing or invalid", ""),
            Self::Invalid => ("R-5888", "Invalid Message.", ""),
        }
    }

    /// Those that are told as an OperationOutcome.
    pub(super) fn issue(self, why: &str) -> Issue {
        let kind = match self {
            Self::NotFound => NotFound,
            Self::Disabled => NotSupported,
            Self::Unprocessable => Processing,
            _ => Invalid,
        };
        let (code, display, _) = self.row();
        let text = if why.is_empty() { display.to_owned() } else { format!("{display} - {why}") };
        Issue::error(kind, "", text).called(STATUS_HISTORY, code)
    }
}
