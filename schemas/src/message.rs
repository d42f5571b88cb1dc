//! What travels over the queues: structured CloudEvents in JSON. A worker in any language can be written from these
//! types alone; `schemas/generated/` has them as JSON Schema and as an AsyncAPI document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::resource::Document;

/// The media type of every message.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

pub const WORK_ORDER: &str = "fhir-workflow-hub.work-order.v1";
pub const STATUS_REPORT: &str = "fhir-workflow-hub.status-report.v1";
pub const CLAIM_REPLY: &str = "fhir-workflow-hub.claim-reply.v1";

/// A CloudEvents 1.0 envelope, with the extension attribute `traceparent` (W3C Trace Context).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CloudEvent<T> {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique for each event of a source. A second event with the same id is the same event.
    pub id: String,
    /// Who says it: `urn:fhir-workflow-hub`, or the worker's own URI.
    pub source: String,
    /// `fhir-workflow-hub.work-order.v1`, `fhir-workflow-hub.status-report.v1`, `fhir-workflow-hub.claim-reply.v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about: `Task/<id>`.
    pub subject: String,
    /// When, as an RFC 3339 instant in UTC.
    pub time: String,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// W3C trace context of whoever caused this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    pub data: T,
}

impl<T> CloudEvent<T> {
    /// An event of `kind` about `Task/<task>`.
    pub fn new(kind: &str, id: String, source: &str, task: &str, time: String, data: T) -> Self {
        Self {
            specversion: "1.0".into(),
            id,
            source: source.into(),
            kind: kind.into(),
            subject: format!("Task/{task}"),
            time,
            datacontenttype: "application/json".into(),
            traceparent: None,
            data,
        }
    }
}

/// How much of the patient's data goes over the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// The Task, its focus and what they point to.
    #[default]
    Full,
    /// Ids and codes only; the worker reads the rest over REST.
    IdOnly,
}

/// Hub to worker: this Task wants doing (or, when `task_status` says so, wants it no longer).
// `B` is how the resources are held: who reads one pays for the trees that are looked into; who only writes the message
// lends their text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "WorkOrder")]
pub struct WorkOrder<B = Document> {
    /// The Task's id.
    pub task_id: String,
    /// The Task's version. A worker that has seen a later one drops this message.
    pub task_version: u32,
    /// The Task's status when this was written: `requested` or `ready`.
    pub task_status: String,
    /// The kind of work: the name of the queue, for example `laboratory`.
    pub work: String,
    /// The step of the plan, for example `collect`.
    pub step: String,
    /// `stat`, `asap`, `urgent` or `routine`.
    pub priority: String,
    /// The reference of the owner, when the Task is directed to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The reference of what is to be fulfilled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub focus: Option<String>,
    pub payload: Payload,
    /// The Task, when the payload is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<B>,
    /// What the filler needs beside the Task: the request that is its focus and its subject, as far as the hub has
    /// them. Empty when the payload is id-only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<B>,
}

/// What a worker says about a Task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// "I want to do this." Answered to `reply_to` with a [`ClaimReply`]; only a granted claim may start.
    Claim,
    /// Work has started, goes on, or is at another business status. Renews the lease.
    InProgress,
    /// Started work pauses.
    OnHold,
    Completed,
    /// Started, and could not be completed.
    Failed,
    /// Not started, and will not be.
    Rejected,
}

/// Worker to hub, through the queue `hub.v1.reports`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct StatusReport {
    /// Unique for each report. A repeat of the same id is answered as the first was, and done once.
    pub report_id: String,
    /// The Task's id.
    pub task_id: String,
    /// Rises with each report of one worker on one Task; a report with a lower number than one already seen has no
    /// effect.
    pub sequence: u32,
    /// Reference of who reports: `Organization/lab-1`.
    pub performer: String,
    pub act: Act,
    /// For a claim: the version in the work order. Later: the version that was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_version: Option<u32>,
    /// CodeableConcept: the domain's own state, for example "specimen collected".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_status: Option<Map<String, Value>>,
    /// CodeableConcept: why it failed, was rejected or paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<Map<String, Value>>,
    /// Task.output entries to add: each has `type` and one `value[x]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<Map<String, Value>>,
    /// No answer is wanted when it is taken, only when it is refused. A claim is answered all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quiet: bool,
}

/// Hub to worker, to the claim's `reply_to`: the end of the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct ClaimReply {
    /// The claim that is answered.
    pub report_id: String,
    pub task_id: String,
    pub answer: Answer,
    /// When granted: the Task's version now, to be named in later reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_version: Option<u32>,
    /// When granted: until when, unless a report renews it. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<String>,
    /// When refused: why, for a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Granted,
    Refused,
}
