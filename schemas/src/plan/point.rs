//! Points in time outside of a plan: what `timingAge` and R6's `timingRelativeTime` count from.

use serde_json::Value;

use super::read::{Reader, members};
use super::when::{self, OFFSET};
use super::{ACTION, EVENT, Related, Relationship, Since, When, Window};
use crate::outcome::IssueType;
use crate::resource::Key;

/// FHIR's codes of events.
const EVENTS: &str = "http://hl7.org/fhir/evidence-variable-event";
/// Those of them that are found here, each with the expression that finds it.
const FOUND: [(&str, &str); 3] = [
    ("treatment-start", STARTED),
    ("hospital-admission", "%encounter.period.start"),
    ("hospital-discharge", "%encounter.period.end"),
];
/// The order starts.
const STARTED: &str = "now()";
const BIRTH: &str = "%subject.birthDate";

/// A point in time that is looked for when the order starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// `Type/id` of what is asked. None: the request itself.
    pub of: Option<String>,
    /// In FHIRPath.
    pub expression: String,
    /// Where the plan has it.
    pub path: String,
}

impl Point {
    /// The same one, wherever the plan has it.
    pub fn is_as(&self, other: &Self) -> bool {
        (&self.of, &self.expression) == (&other.of, &other.expression)
    }
}

/// What a RelativeTime counts from.
enum Context {
    Point(Option<String>, String),
    /// The start or the end of an action of the plan: it is a relation like any other.
    Action(String, Relationship),
}

/// The code, the element that has it, and why.
type Fault = (IssueType, &'static str, String);

impl Reader<'_> {
    pub(super) fn aged(&mut self, said: &Value, path: &str) -> Option<(When, Point)> {
        let since = when::age(said);
        if since.is_none() {
            let text = "an age is a number, not negative, of whole months (mo, a) or with another UCUM unit of time";
            self.fault(IssueType::Value, path, text);
        }
        let point = Point { of: None, expression: BIRTH.to_owned(), path: path.to_owned() };
        since.map(|since| (When::Since(since), point))
    }

    pub(super) fn relative(&mut self, said: &Value, path: &str) -> Option<(When, Point)> {
        let window = offset(said);
        if window.is_none() {
            self.fault(IssueType::Value, path, format!("an offset is a Duration or a Range; {OFFSET}"));
        }
        match self.context(said) {
            Err((code, element, text)) => {
                self.fault(code, &format!("{path}{element}"), text);
                None
            }
            Ok(Context::Action(..)) => None,
            Ok(Context::Point(of, expression)) => {
                let when = When::Since(Since { months: 0, window: window? });
                Some((when, Point { of, expression, path: path.to_owned() }))
            }
        }
    }

    /// The wait for another action that a RelativeTime comes to. Its faults were told already.
    pub(super) fn counted_from(&self, action: &Value) -> Option<Related> {
        let said = action.get("timingRelativeTime")?;
        let Ok(Context::Action(target, relationship)) = self.context(said) else { return None };
        Some(Related { target, relationship, end_relationship: None, offset: offset(said)? })
    }

    fn context(&self, said: &Value) -> Result<Context, Fault> {
        let no = |code, element, text: &str| Err((code, element, text.to_owned()));
        let path = said["contextPath"].as_str();
        let reference = said.get("contextReference");
        if said.get("contextDefinition").is_some() {
            let text = "which event of this kind is meant is not known: name it by contextReference or contextCode";
            return no(IssueType::NotSupported, ".contextDefinition", text);
        }
        if reference.is_some() && said.get("contextCode").is_some() {
            return no(IssueType::Invariant, "", "the event is a resource, or has a code: not both");
        }
        if let Some(reference) = reference {
            let key = reference["reference"].as_str().and_then(Key::of_reference);
            let Some(key) = key else {
                return no(IssueType::NotSupported, ".contextReference", "the event is a resource kept here: Type/id");
            };
            let Some(path) = path else {
                return no(IssueType::Required, ".contextPath", "which element of the event says when it is");
            };
            return Ok(Context::Point(Some(key.to_string()), path.to_owned()));
        }
        match (said.get("contextCode"), path) {
            (Some(code), path) => self.coded(code, path),
            (None, Some(path)) => Ok(Context::Point(None, path.to_owned())),
            (None, None) => no(IssueType::Required, "", "which event it counts from: contextReference or contextCode"),
        }
    }

    fn coded(&self, concept: &Value, path: Option<&str>) -> Result<Context, Fault> {
        let no = |element, text: &str| Err((IssueType::NotSupported, element, text.to_owned()));
        let codings =
            || members(concept, "coding").filter_map(|one| Some((one["system"].as_str()?, one["code"].as_str()?)));
        if let Some((_, id)) = codings().find(|(system, _)| *system == ACTION) {
            return match path {
                None | Some("end") => Ok(Context::Action(id.to_owned(), Relationship::AfterEnd)),
                Some("start") => Ok(Context::Action(id.to_owned(), Relationship::AfterStart)),
                Some(_) => no(".contextPath", "of an action its start or its end counts"),
            };
        }
        if path.is_some() {
            return no(".contextPath", "of an event with a code it is known where it says when it is");
        }
        let started = |system: &str, code: &str| system == EVENT && self.events.iter().any(|event| event == code);
        let found = codings().find_map(|(system, code)| match () {
            () if started(system, code) => Some(STARTED),
            () => FOUND.iter().find(|row| system == EVENTS && row.0 == code).map(|row| row.1),
        });
        if let Some(expression) = found {
            return Ok(Context::Point(None, expression.to_owned()));
        }
        let known: Vec<&str> = FOUND.iter().map(|row| row.0).collect();
        let text = format!(
            "when that is nobody here knows; known are {} of {EVENTS}, an event that starts the plan ({EVENT}), and its \
             actions ({ACTION})",
            known.join(", "),
        );
        no(".contextCode", &text)
    }
}

/// Without one it is that time itself.
fn offset(said: &Value) -> Option<Window> {
    match (said.get("offsetDuration"), said.get("offsetRange")) {
        (Some(duration), _) => when::duration(duration),
        (None, Some(range)) => when::range(range),
        (None, None) => Some(Window::default()),
    }
}
