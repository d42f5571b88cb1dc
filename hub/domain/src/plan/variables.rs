//! What expressions of a plan may mention, beside FHIR's own variables.

/// Whom the order is for and who asks, as `$apply` calls them.
pub(crate) const SUBJECT: &str = "subject";
pub(crate) const ENCOUNTER: &str = "encounter";
pub(crate) const PRACTITIONER: &str = "practitioner";
pub(crate) const ORGANIZATION: &str = "organization";
/// The requests of the order.
pub(crate) const REQUESTS: &str = "requests";
/// The newest Tasks of all steps.
pub(crate) const TASKS: &str = "tasks";
/// The action that the expression is of.
pub(crate) const ACTION: &str = "action";
/// What the Task of the step has been given.
pub(crate) const INPUTS: &str = "inputs";

/// In a time.
pub(crate) const OF_TIMES: [&str; 6] = [SUBJECT, ENCOUNTER, PRACTITIONER, ORGANIZATION, REQUESTS, TASKS];
/// In a condition.
pub(crate) const OF_CONDITIONS: [&str; 7] = [SUBJECT, ENCOUNTER, PRACTITIONER, ORGANIZATION, REQUESTS, TASKS, ACTION];
/// In a dynamic value.
pub(crate) const OF_VALUES: [&str; 8] =
    [SUBJECT, ENCOUNTER, PRACTITIONER, ORGANIZATION, REQUESTS, TASKS, ACTION, INPUTS];
