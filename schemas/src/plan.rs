//! A plan: the graph of steps by which an order is fulfilled, in the shape that `PlanDefinition.action` and
//! `RequestOrchestration.action` share. R5 inside; R4's spellings are read as well.

use serde_json::Value;

use crate::outcome::{Issue, IssueType};
use crate::resource::{Body, Kind, list};

/// Marks an action that is done once for each request of the order (a prescription's items).
pub const PER_ITEM: &str = "urn:fhir-workflow-hub:extension:per-item";
/// Marks a step, or a group of steps, that is offered to one service of the directory after another.
pub const FROM_DIRECTORY: &str = "urn:fhir-workflow-hub:extension:from-directory";
/// How long each of them has to answer.
pub const ANSWER_WITHIN: &str = "urn:fhir-workflow-hub:extension:answer-within";
/// The code system of the kinds of work: the queues' names.
pub const WORK: &str = "urn:fhir-workflow-hub:work";

#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// `url|version`, or the name where there is no url: what a message may call it.
    pub name: String,
    pub title: Option<String>,
    pub triggers: Vec<Trigger>,
    pub actions: Vec<Action>,
}

/// Which orders start the plan: a type of request and, if given, one of these codes at an element.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    pub kind: Kind,
    pub filters: Vec<CodeFilter>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CodeFilter {
    /// An element of the request that holds codes: `category`, `code`.
    pub element: String,
    /// (system, code), any of them.
    pub codes: Vec<(Option<String>, String)>,
}

/// A step, or a group of steps when `actions` is not empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// Unique in the plan: the `linkId`, or R4's element id.
    pub id: String,
    pub title: Option<String>,
    /// CodeableConcept of the work item.
    pub code: Option<Value>,
    /// The queue that the step's Tasks go to.
    pub work: Option<String>,
    pub priority: Option<String>,
    pub selection: Selection,
    pub required: Required,
    pub per_item: bool,
    pub from_directory: bool,
    /// Microseconds.
    pub answer_within_us: Option<i64>,
    pub related: Vec<Related>,
    pub actions: Vec<Action>,
}

/// `action.selectionBehavior`; absent reads as all, as the hub's other documents say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    Any,
    All,
    AllOrNone,
    ExactlyOne,
    AtMostOne,
    OneOrMore,
}

/// `action.requiredBehavior`; absent reads as must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    Must,
    Could,
    MustUnlessDocumented,
}

/// `action.relatedAction`, read as "this one waits".
#[derive(Debug, Clone, PartialEq)]
pub struct Related {
    pub target: String,
    pub relationship: Relationship,
    /// How long after (microseconds).
    pub offset_us: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relationship {
    Before,
    BeforeStart,
    BeforeEnd,
    Concurrent,
    ConcurrentWithStart,
    ConcurrentWithEnd,
    After,
    AfterStart,
    AfterEnd,
}

impl Plan {
    /// Reads a PlanDefinition, a RequestOrchestration or a RequestGroup. Every fault is told with its path.
    pub fn parse(body: &Body) -> Result<Self, Vec<Issue>> {
        let mut reader = Reader { issues: Vec::new() };
        let kind = body.get("resourceType").and_then(Value::as_str).unwrap_or("PlanDefinition");
        let top: Vec<&Value> = list(body, "action").collect();
        if top.is_empty() {
            reader.fault(IssueType::Required, &format!("{kind}.action"), "a plan needs at least one action");
        }
        let triggers = top
            .iter()
            .enumerate()
            .flat_map(|(i, action)| {
                let path = format!("{kind}.action[{i}].trigger");
                members(action, "trigger").filter_map(|t| reader.trigger(t, &path)).collect::<Vec<_>>()
            })
            .collect();
        let actions = reader.actions(&top, &format!("{kind}.action"));
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let name = match (text("url"), text("version")) {
            (Some(url), Some(version)) => format!("{url}|{version}"),
            (Some(url), None) => url.to_owned(),
            _ => text("name").or(text("id")).unwrap_or("plan").to_owned(),
        };
        let title = text("title").map(str::to_owned);
        if reader.issues.is_empty() { Ok(Self { name, title, triggers, actions }) } else { Err(reader.issues) }
    }
}

/// Collects faults while it reads.
struct Reader {
    issues: Vec<Issue>,
}

impl Reader {
    fn fault(&mut self, code: IssueType, path: &str, text: impl Into<String>) {
        self.issues.push(Issue::error(code, path, text));
    }

    fn actions(&mut self, values: &[&Value], path: &str) -> Vec<Action> {
        values.iter().enumerate().map(|(i, value)| self.action(value, &format!("{path}[{i}]"))).collect()
    }

    fn action(&mut self, value: &Value, path: &str) -> Action {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let id = text("linkId").or_else(|| text("id")).unwrap_or_else(|| {
            self.fault(IssueType::Required, path, "an action needs a linkId (R5) or an id (R4)");
            String::new()
        });
        let children: Vec<&Value> = members(value, "action").collect();
        let work = work_of(value);
        if children.is_empty() && work.is_none() {
            let text = format!("a step needs a participant whose role has a code of {WORK}: who does it");
            self.fault(IssueType::Required, &format!("{path}.participant"), text);
        }
        Action {
            id,
            title: text("title"),
            code: value.get("code").map(|code| code.get(0).unwrap_or(code).clone()),
            work,
            priority: text("priority"),
            selection: self.selection(value, path),
            required: self.required(value, path),
            per_item: has_mark(value, PER_ITEM),
            from_directory: has_mark(value, FROM_DIRECTORY),
            answer_within_us: self.answer_within(value, path),
            related: self.related(value, path),
            actions: self.actions(&children, &format!("{path}.action")),
        }
    }

    fn selection(&mut self, value: &Value, path: &str) -> Selection {
        match value.get("selectionBehavior").and_then(Value::as_str) {
            None | Some("all") => Selection::All,
            Some("any") => Selection::Any,
            Some("all-or-none") => Selection::AllOrNone,
            Some("exactly-one") => Selection::ExactlyOne,
            Some("at-most-one") => Selection::AtMostOne,
            Some("one-or-more") => Selection::OneOrMore,
            Some(_) => {
                self.fault(IssueType::CodeInvalid, &format!("{path}.selectionBehavior"), "unknown selection behaviour");
                Selection::All
            }
        }
    }

    fn required(&mut self, value: &Value, path: &str) -> Required {
        match value.get("requiredBehavior").and_then(Value::as_str) {
            None | Some("must") => Required::Must,
            Some("could") => Required::Could,
            Some("must-unless-documented") => Required::MustUnlessDocumented,
            Some(_) => {
                self.fault(IssueType::CodeInvalid, &format!("{path}.requiredBehavior"), "unknown required behaviour");
                Required::Must
            }
        }
    }

    fn answer_within(&mut self, value: &Value, path: &str) -> Option<i64> {
        let said = members(value, "extension").find(|extension| extension["url"] == ANSWER_WITHIN)?;
        let within = micros(&said["valueDuration"]);
        if within.is_none() || !has_mark(value, FROM_DIRECTORY) {
            let text = format!("{ANSWER_WITHIN} is a valueDuration with a UCUM unit of time, beside {FROM_DIRECTORY}");
            self.fault(IssueType::Value, &format!("{path}.extension"), text);
        }
        within
    }

    fn related(&mut self, value: &Value, path: &str) -> Vec<Related> {
        let values: Vec<&Value> = members(value, "relatedAction").collect();
        let read = values.into_iter().enumerate().filter_map(|(i, related)| {
            let path = format!("{path}.relatedAction[{i}]");
            let target = related.get("targetId").or_else(|| related.get("actionId")).and_then(Value::as_str);
            let relationship = related.get("relationship").and_then(Value::as_str).and_then(relationship);
            let offset_us = match related.get("offsetDuration") {
                None => Some(0),
                Some(duration) => micros(duration),
            };
            if related.get("offsetRange").is_some() {
                self.fault(IssueType::NotSupported, &format!("{path}.offsetRange"), "give the offset as a Duration");
            }
            if target.is_none() {
                self.fault(IssueType::Required, &path, "a related action names its targetId (R5) or actionId (R4)");
            }
            if relationship.is_none() {
                self.fault(IssueType::CodeInvalid, &format!("{path}.relationship"), "missing or unknown relationship");
            }
            if offset_us.is_none() {
                let text = "an offset is a positive number with a UCUM unit of time: s, min, h, d, wk, mo, a";
                self.fault(IssueType::Value, &format!("{path}.offsetDuration"), text);
            }
            Some(Related { target: target?.to_owned(), relationship: relationship?, offset_us: offset_us? })
        });
        read.collect()
    }

    fn trigger(&mut self, value: &Value, path: &str) -> Option<Trigger> {
        let data = value.get("data").map(|data| data.get(0).unwrap_or(data));
        let kind = data.and_then(|data| data["type"].as_str()).and_then(Kind::parse).filter(|kind| kind.is_request());
        let Some((data, kind)) = data.zip(kind) else {
            self.fault(IssueType::Value, path, "a trigger names the type of request that starts the plan in data.type");
            return None;
        };
        let filters = members(data, "codeFilter").map(|filter| CodeFilter {
            element: filter["path"].as_str().unwrap_or("code").to_owned(),
            codes: members(filter, "code")
                .filter_map(|c| Some((c["system"].as_str().map(str::to_owned), c["code"].as_str()?.to_owned())))
                .collect(),
        });
        Some(Trigger { kind, filters: filters.collect() })
    }
}

fn has_mark(action: &Value, url: &str) -> bool {
    members(action, "extension").any(|extension| extension["url"] == url && extension["valueBoolean"] == true)
}

fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// The queue of a step: the code of [`WORK`] among the roles of its participants.
fn work_of(action: &Value) -> Option<String> {
    members(action, "participant")
        .filter_map(|participant| participant.get("role"))
        .flat_map(|role| members(role, "coding"))
        .find(|coding| coding["system"] == WORK)
        .and_then(|coding| coding["code"].as_str())
        .map(str::to_owned)
}

fn relationship(code: &str) -> Option<Relationship> {
    Some(match code {
        "before" => Relationship::Before,
        "before-start" => Relationship::BeforeStart,
        "before-end" => Relationship::BeforeEnd,
        "concurrent" => Relationship::Concurrent,
        "concurrent-with-start" => Relationship::ConcurrentWithStart,
        "concurrent-with-end" => Relationship::ConcurrentWithEnd,
        "after" => Relationship::After,
        "after-start" => Relationship::AfterStart,
        "after-end" => Relationship::AfterEnd,
        _ => return None,
    })
}

/// A FHIR Duration in microseconds. A month is 30 days and a year 365: an offset in a plan is a rule of thumb.
fn micros(duration: &Value) -> Option<i64> {
    let value: f64 = duration.get("value")?.to_string().parse().ok()?;
    let code = duration.get("code").or_else(|| duration.get("unit")).and_then(Value::as_str)?;
    let seconds = match code {
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "wk" => 604_800.0,
        "mo" => 2_592_000.0,
        "a" => 31_536_000.0,
        _ => return None,
    };
    let micros = value * seconds * 1_000_000.0;
    (0.0..9e15).contains(&micros).then_some(micros as i64)
}
