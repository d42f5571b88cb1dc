//! FHIR's Task: its states, and reading and building its body.

use serde_json::{Value, json};

use crate::resource::{Body, list, text_at};

/// `http://hl7.org/fhir/task-status`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskStatus {
    Draft,
    Requested,
    Received,
    Accepted,
    Rejected,
    Ready,
    Cancelled,
    InProgress,
    OnHold,
    Failed,
    Completed,
    EnteredInError,
}

impl TaskStatus {
    pub const ALL: [Self; 12] = [
        Self::Draft,
        Self::Requested,
        Self::Received,
        Self::Accepted,
        Self::Rejected,
        Self::Ready,
        Self::Cancelled,
        Self::InProgress,
        Self::OnHold,
        Self::Failed,
        Self::Completed,
        Self::EnteredInError,
    ];

    pub fn code(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Requested => "requested",
            Self::Received => "received",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Ready => "ready",
            Self::Cancelled => "cancelled",
            Self::InProgress => "in-progress",
            Self::OnHold => "on-hold",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::EnteredInError => "entered-in-error",
        }
    }

    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    pub fn of(task: &Body) -> Option<Self> {
        Self::parse(text_at(task, &["status"])?)
    }

    /// Nothing follows a terminal state.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Rejected | Self::Cancelled | Self::Failed | Self::Completed | Self::EnteredInError)
    }

    /// Someone has begun: work that is stopped now has to be asked to stop.
    pub fn is_started(self) -> bool {
        matches!(self, Self::InProgress | Self::OnHold)
    }

    /// On offer: it may be claimed.
    pub fn is_offered(self) -> bool {
        matches!(self, Self::Requested | Self::Ready)
    }
}

impl std::fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

/// `http://hl7.org/fhir/request-priority`, most urgent first. Absent means routine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    Stat,
    Asap,
    Urgent,
    #[default]
    Routine,
}

impl Priority {
    pub const ALL: [Self; 4] = [Self::Stat, Self::Asap, Self::Urgent, Self::Routine];

    pub fn parse(code: &str) -> Self {
        match code {
            "stat" => Self::Stat,
            "asap" => Self::Asap,
            "urgent" => Self::Urgent,
            _ => Self::Routine,
        }
    }

    pub fn of(body: &Body) -> Self {
        text_at(body, &["priority"]).map_or(Self::Routine, Self::parse)
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::Stat => "stat",
            Self::Asap => "asap",
            Self::Urgent => "urgent",
            Self::Routine => "routine",
        }
    }

    /// 0 for stat to 3 for routine, so that sorting by it sorts by urgency.
    pub fn rank(self) -> i16 {
        self as i16
    }
}

/// `http://hl7.org/fhir/CodeSystem/task-code`
pub const TASK_CODES: &str = "http://hl7.org/fhir/CodeSystem/task-code";

/// A Task.code of FHIR's own code system.
pub fn task_code(code: &str) -> Value {
    json!({ "coding": [{ "system": TASK_CODES, "code": code }] })
}

/// Whether a Task is coded so in FHIR's own code system.
pub fn has_task_code(task: &Body, code: &str) -> bool {
    let codings = task.get("code").and_then(|c| c.get("coding")).and_then(Value::as_array);
    codings.into_iter().flatten().any(|c| c["system"] == TASK_CODES && c["code"] == code)
}

/// What a Task asks the owner of another Task for: to stop, to pause, to go on, or to heed what its request says now. None
/// for a Task that is work itself.
pub fn asked_code(task: &Body) -> Option<&'static str> {
    ["abort", "suspend", "resume", "change"].into_iter().find(|code| has_task_code(task, code))
}

/// Whether a canonical names a Questionnaire. It need not be here: its url tells.
pub fn is_questionnaire(canonical: &str) -> bool {
    canonical.starts_with("Questionnaire/") || canonical.contains("/Questionnaire/")
}

/// Whether a Task asks for information: coded so (as Da Vinci's guides do), or about a Questionnaire.
pub fn asks_for_information(task: &Body) -> bool {
    const CODES: [&str; 3] = ["data-request-code", "data-request-query", "data-request-questionnaire"];
    let codings = task.get("code").and_then(|code| code["coding"].as_array());
    let is_coded = codings.into_iter().flatten().any(|c| CODES.iter().any(|code| c["code"] == *code));
    let inputs =
        list(task, "input").flat_map(|input| [&input["valueReference"]["reference"], &input["valueCanonical"]]);
    let mut named = inputs.filter_map(Value::as_str).chain(focus(task));
    is_coded || named.any(is_questionnaire)
}

/// FHIR's codes for Tasks that ask for answers to a Questionnaire (Structured Data Capture).
const QUESTIONNAIRES: &str = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp";

/// One of those codes: `complete-questionnaire`, `questionnaire`.
pub fn questionnaire_code(code: &str) -> Value {
    json!({ "coding": [{ "system": QUESTIONNAIRES, "code": code }] })
}

/// The hub's own businessStatus: what a Task waits for, or has got.
pub fn business(code: &str, text: &str) -> Value {
    json!({ "coding": [{ "system": "urn:fhir-workflow-hub:business-status", "code": code }], "text": text })
}

/// The hub's own statusReasons: why it ended a Task.
pub const REASONS: &str = "urn:fhir-workflow-hub:status-reason";

/// A statusReason of the hub's own code system.
pub fn reason(code: &str, text: &str) -> Value {
    json!({ "coding": [{ "system": REASONS, "code": code }], "text": text })
}

/// Whether it is the hub that gives this reason.
pub fn is_ours(reason: &Value) -> bool {
    reason["coding"].as_array().is_some_and(|all| all.iter().any(|coding| coding["system"] == REASONS))
}

pub fn owner(task: &Body) -> Option<&str> {
    text_at(task, &["owner", "reference"])
}

pub fn focus(task: &Body) -> Option<&str> {
    text_at(task, &["focus", "reference"])
}
