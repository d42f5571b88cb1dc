//! Reads a plan, and tells every fault with its path.

use std::sync::Arc;

use serde_json::Value;

use super::carried::{actors_of, element_of_action, kinds_of, tells_only, work_of};
use super::flow::Flow;
use super::timing::{REPEATS_LIMIT, TIMING, timing};
use super::when::{self, OFFSET, micros};
use super::{
    ANSWER_WITHIN, Action, CHOSEN_BY, CodeFilter, Condition, ConditionKind, DAYS_OF_CYCLE, FROM_DIRECTORY, IN_SEQUENCE,
    PER_ITEM, Plan, Point, Related, Relationship, Repeat, Required, Selection, Trigger, UNDONE_BY, WORK, When, Window,
};
use crate::outcome::{Issue, IssueType};
use crate::resource::{Body, Kind, list};

/// The language of expressions that are read; without one it is this, too.
const FHIRPATH: &str = "text/fhirpath";

/// What has actions.
const PLANS: [&str; 3] = ["PlanDefinition", "RequestOrchestration", "RequestGroup"];

/// Where a plan of the hub's own making keeps the definitions that it was made with.
const DEFINITIONS: &str = "definitions";

pub(super) fn plan(body: &Body) -> (Plan, Vec<Issue>) {
    let kind = body.get("resourceType").and_then(Value::as_str).unwrap_or("PlanDefinition");
    let (goals, contained) = (list(body, "goal").collect(), list(body, "contained").collect());
    let actors = list(body, "actor").collect();
    let top: Vec<&Value> = list(body, "action").collect();
    let (orchestrates, flow) = (kind != "PlanDefinition", Flow::of(&top));
    let events = Vec::new();
    let mut reader =
        Reader { issues: Vec::new(), unresolved: Vec::new(), orchestrates, goals, contained, actors, flow, events };
    if !PLANS.contains(&kind) {
        let text = format!("a plan is one of {}; this is a {kind}", PLANS.join(", "));
        reader.fault(IssueType::Value, "resourceType", text);
    } else if top.is_empty() {
        reader.fault(IssueType::Required, &format!("{kind}.action"), "a plan needs at least one action");
    }
    let triggers: Vec<Trigger> = top
        .iter()
        .enumerate()
        .flat_map(|(i, action)| {
            let path = format!("{kind}.action[{i}].trigger");
            members(action, "trigger").filter_map(|t| reader.trigger(t, &path)).collect::<Vec<_>>()
        })
        .collect();
    reader.events = triggers.iter().filter_map(|trigger| trigger.event.clone()).collect();
    let actions = reader.actions(&top, &format!("{kind}.action"), &Named::default());
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let name = match (text("url"), text("version")) {
        (Some(url), Some(version)) => format!("{url}|{version}"),
        (Some(url), None) => url.to_owned(),
        _ => text("name").or(text("id")).unwrap_or("plan").to_owned(),
    };
    let title = text("title").map(str::to_owned);
    let definitions = body.get(DEFINITIONS).and_then(Value::as_object).into_iter().flatten();
    let definitions = definitions.filter_map(|(name, one)| Some((name.clone(), one.as_object()?.clone()))).collect();
    let unresolved = std::mem::take(&mut reader.unresolved);
    (Plan { name, title, triggers, actions, unresolved, definitions }, reader.issues)
}

/// Who is named for a group: for those of its steps that name nobody.
#[derive(Clone, Default)]
struct Named {
    work: Option<String>,
    actors: Vec<Value>,
    kinds: Vec<Value>,
}

impl Named {
    fn or(self, above: &Self) -> Self {
        let or = |own: Vec<Value>, above: &Vec<Value>| if own.is_empty() { above.clone() } else { own };
        Self {
            work: self.work.or_else(|| above.work.clone()),
            actors: or(self.actors, &above.actors),
            kinds: or(self.kinds, &above.kinds),
        }
    }
}

/// Collects faults while it reads.
pub(super) struct Reader<'a> {
    issues: Vec<Issue>,
    /// They do not keep it from being read.
    unresolved: Vec<Issue>,
    /// A RequestOrchestration or RequestGroup: its steps ask for resources.
    orchestrates: bool,
    pub(super) goals: Vec<&'a Value>,
    pub(super) contained: Vec<&'a Value>,
    pub(super) actors: Vec<&'a Value>,
    pub(super) flow: Flow<'a>,
    /// The names of those that start the plan.
    pub(super) events: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn fault(&mut self, code: IssueType, path: &str, text: impl Into<String>) {
        self.issues.push(Issue::error(code, path, text));
    }

    fn actions(&mut self, values: &[&'a Value], path: &str, above: &Named) -> Vec<Arc<Action>> {
        let read = |(i, value): (usize, &&'a Value)| Arc::new(self.action(value, &format!("{path}[{i}]"), above));
        values.iter().enumerate().map(read).collect()
    }

    fn action(&mut self, value: &'a Value, path: &str, above: &Named) -> Action {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut names: Vec<String> = [text("linkId"), text("id")].into_iter().flatten().collect();
        names.dedup();
        let place = || path.split_once('.').map_or(path, |(_, place)| place).to_owned();
        let children: Vec<&'a Value> = members(value, "action").collect();
        let who = self.participants(value, path);
        let named = Named { work: work_of(&who), actors: actors_of(&who), kinds: kinds_of(&who) }.or(above);
        let definition = text("definitionCanonical");
        self.unresolved(value, path);
        let is_defined = definition.is_some() || value.get("definitionUri").is_some();
        self.parts(value, path, &children, &named, is_defined);
        let (takes, waits) = self.takes(value, path);
        let deed = self.deed(value, path);
        let (when, point) = self.when(value, path);
        let related = self.related(value, path).into_iter().chain(waits).chain(self.counted_from(value));
        Action {
            id: names.first().cloned().unwrap_or_else(place),
            names,
            title: text("title").or_else(|| text("description")).or_else(|| text("textEquivalent")),
            code: self.code(value, definition.as_deref(), deed),
            work: named.work.clone(),
            actors: named.actors.clone(),
            kinds: named.kinds.clone(),
            priority: text("priority"),
            selection: self.selection(value, path, !children.is_empty()),
            required: self.required(value, path),
            is_demanded: value["requiredBehavior"] == "must",
            per_item: has_mark(value, PER_ITEM),
            multiple: self.cardinality(value, path),
            from_directory: has_mark(value, FROM_DIRECTORY),
            answer_within_us: self.answer_within(value, path),
            in_sequence: has_mark(value, IN_SEQUENCE),
            precheck: value["precheckBehavior"] == "yes",
            conditions: self.conditions(value, path),
            any_applies: value["applicabilityBehavior"] == "any",
            related: related.collect(),
            when,
            point,
            repeat: self.repeat(value, path),
            days: self.days(value, path),
            undone_by: self.names(value, UNDONE_BY, path),
            chosen_by: self.names(value, CHOSEN_BY, path),
            resource: value.get("resource").cloned(),
            option: self.option(value),
            own: own(value),
            values: self.values(value, path),
            inputs: self.inputs(value, path, definition.as_deref()),
            takes,
            deed,
            definition,
            actions: self.actions(&children, &format!("{path}.action"), &named),
        }
    }

    /// What says elsewhere what is done, and is not carried out.
    fn unresolved(&mut self, value: &Value, path: &str) {
        const UNRESOLVED: [(&str, &str); 2] = [
            ("transform", "a transform is not carried out: say by dynamic values what it would"),
            ("definitionUri", "a definition that is no canonical is not resolved"),
        ];
        for (name, text) in UNRESOLVED.iter().filter(|(name, _)| value.get(*name).is_some()) {
            self.unresolved.push(Issue::error(IssueType::NotSupported, format!("{path}.{name}"), *text));
        }
    }

    /// A group has actions, a step has what it asks for: one of both.
    fn parts(&mut self, value: &Value, path: &str, children: &[&Value], named: &Named, is_defined: bool) {
        let asks = value.get("resource").is_some() || is_defined || value.get("type").is_some_and(tells_only);
        if asks && !children.is_empty() {
            self.fault(IssueType::Invariant, path, "an action has actions, or a resource or definition: not both");
        }
        if asks || !children.is_empty() {
            return;
        }
        if self.orchestrates {
            self.fault(IssueType::Required, path, "an action has a resource, a definition or actions: this has none");
        } else if named.work.is_none() {
            let text = format!("a step needs a participant whose role has a code of {WORK}: who does it");
            self.fault(IssueType::Required, &format!("{path}.participant"), text);
        }
    }

    /// Whether it may be done several times.
    fn cardinality(&mut self, value: &Value, path: &str) -> bool {
        let path = format!("{path}.cardinalityBehavior");
        match value.get("cardinalityBehavior").and_then(Value::as_str) {
            None | Some("single") => return false,
            Some("multiple") => {}
            Some(_) => self.fault(IssueType::CodeInvalid, &path, "unknown cardinality behaviour"),
        }
        let is_of_cycle = members(value, "extension").any(|extension| extension["url"] == DAYS_OF_CYCLE);
        if value.get("timingTiming").is_some() || is_of_cycle {
            let text = "it is done at its times, or as often as somebody asks for it: not both";
            self.fault(IssueType::Invariant, &path, text);
        }
        true
    }

    fn selection(&mut self, value: &Value, path: &str, is_group: bool) -> Selection {
        let said = value.get("selectionBehavior").and_then(Value::as_str);
        let path = format!("{path}.selectionBehavior");
        let selection = match said {
            // The children of a sentence group are variants of one thing.
            None if value["groupingBehavior"] == "sentence-group" => Selection::ExactlyOne,
            None | Some("all") => Selection::All,
            Some("any") => Selection::Any,
            Some("all-or-none") => Selection::AllOrNone,
            Some("exactly-one") => Selection::ExactlyOne,
            Some("at-most-one") => Selection::AtMostOne,
            Some("one-or-more") => Selection::OneOrMore,
            Some(_) => {
                self.fault(IssueType::CodeInvalid, &path, "unknown selection behaviour");
                return Selection::All;
            }
        };
        if said.is_some() && !selection.is_certain() && !is_group {
            self.fault(IssueType::Invariant, &path, "there is nothing to choose from: this action has no actions");
        }
        let is_chosen = members(value, "extension").any(|extension| extension["url"] == CHOSEN_BY);
        if is_chosen && (selection.is_certain() || has_mark(value, IN_SEQUENCE)) {
            let text = format!("a step chooses among the branches of a choice, and all at once ({CHOSEN_BY})");
            self.fault(IssueType::Invariant, &path, text);
        }
        if has_mark(value, IN_SEQUENCE) && selection.is_certain() {
            self.fault(IssueType::Invariant, &path, format!("only a choice is offered in sequence ({IN_SEQUENCE})"));
        }
        selection
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

    /// Another action, by an extension.
    fn names(&mut self, value: &Value, url: &str, path: &str) -> Option<String> {
        let said = members(value, "extension").find(|extension| extension["url"] == url)?;
        let name = said["valueString"].as_str();
        if name.is_none() {
            let text = format!("{url} is a valueString: the id of an action");
            self.fault(IssueType::Value, &format!("{path}.extension"), text);
        }
        name.map(str::to_owned)
    }

    /// Its language is FHIRPath; whether it is an expression is for others to say.
    fn conditions(&mut self, value: &Value, path: &str) -> Vec<Condition> {
        let mut read = Vec::new();
        for (i, condition) in members(value, "condition").enumerate() {
            let path = format!("{path}.condition[{i}]");
            let kind = match condition["kind"].as_str() {
                Some("applicability") => ConditionKind::Applicability,
                Some("start") => ConditionKind::Start,
                Some("stop") => ConditionKind::Stop,
                _ => {
                    self.fault(IssueType::CodeInvalid, &format!("{path}.kind"), "applicability, start or stop");
                    continue;
                }
            };
            let expression = self.expression(condition, &path);
            let path = format!("{path}.expression.expression");
            read.extend(expression.map(|expression| Condition { kind, expression, path }));
        }
        read
    }

    /// The `expression` of a condition or of a dynamic value.
    pub(super) fn expression(&mut self, of: &Value, path: &str) -> Option<String> {
        let said = &of["expression"];
        if said["language"].as_str().is_some_and(|language| language != FHIRPATH) {
            let text = format!("only {FHIRPATH} is understood");
            self.fault(IssueType::NotSupported, &format!("{path}.expression.language"), text);
            return None;
        }
        let expression = said["expression"].as_str();
        if expression.is_none() {
            let text = "there is no expression";
            self.fault(IssueType::Required, &format!("{path}.expression"), text);
        }
        expression.map(str::to_owned)
    }

    /// When it may begin, and what that counts from.
    fn when(&mut self, value: &Value, path: &str) -> (Option<When>, Option<Point>) {
        type Read = fn(&Value) -> Option<When>;
        const READ: [(&str, Read, &str); 4] = [
            ("timingDateTime", when::date_time, "no date"),
            ("timingPeriod", when::period, "a period has a start or an end, in this order"),
            ("timingDuration", |value| when::duration(value).map(When::After), OFFSET),
            ("timingRange", |value| when::range(value).map(When::After), "a range of times, the lower one first"),
        ];
        let (age, relative) = (value.get("timingAge"), value.get("timingRelativeTime"));
        let of_point = match (age, relative) {
            (Some(age), _) => self.aged(age, &format!("{path}.timingAge")),
            (None, Some(relative)) => self.relative(relative, &format!("{path}.timingRelativeTime")),
            (None, None) => None,
        };
        let Some((said, (name, read, text))) = READ.iter().find_map(|row| Some((value.get(row.0)?, row))) else {
            return of_point.unzip();
        };
        let when = read(said);
        if when.is_none() {
            self.fault(IssueType::Value, &format!("{path}.{name}"), *text);
        }
        (when, None)
    }

    fn repeat(&mut self, value: &Value, path: &str) -> Option<Repeat> {
        let repeat = timing(value.get("timingTiming")?);
        if repeat.is_none() {
            self.fault(IssueType::NotSupported, &format!("{path}.timingTiming"), TIMING);
        }
        let is_of_cycle = members(value, "extension").any(|extension| extension["url"] == DAYS_OF_CYCLE);
        if is_of_cycle && matches!(repeat, Some(Repeat::Days { .. })) {
            let text = "days of a cycle, or days by the calendar: not both";
            self.fault(IssueType::Invariant, &format!("{path}.timingTiming"), text);
        }
        repeat
    }

    fn days(&mut self, value: &Value, path: &str) -> Vec<u32> {
        let said = members(value, "extension").filter(|extension| extension["url"] == DAYS_OF_CYCLE);
        let days = said.flat_map(|extension| members(extension, "extension")).filter(|day| day["url"] == "day");
        let read: Vec<Option<u32>> = days
            .map(|day| day["valueInteger"].as_u64().and_then(|day| u32::try_from(day).ok()).filter(|day| *day > 0))
            .collect();
        if read.len() > REPEATS_LIMIT || read.contains(&None) {
            let text = format!("days of a cycle are counted from 1, and are {} at most", REPEATS_LIMIT);
            self.fault(IssueType::Value, &format!("{path}.extension"), text);
        }
        read.into_iter().flatten().collect()
    }

    fn related(&mut self, value: &Value, path: &str) -> Vec<Related> {
        let values: Vec<&Value> = members(value, "relatedAction").collect();
        let read = values.into_iter().enumerate().filter_map(|(i, related)| {
            let path = format!("{path}.relatedAction[{i}]");
            let target = related.get("targetId").or_else(|| related.get("actionId")).and_then(Value::as_str);
            if target.is_none() {
                self.fault(IssueType::Required, &path, "a related action names its targetId (R5) or actionId (R4)");
            }
            let relationship = self.relationship(related, "relationship", &path);
            if related.get("relationship").is_none() {
                self.fault(IssueType::Required, &format!("{path}.relationship"), "before, concurrent or after what?");
            }
            let end_relationship = self.relationship(related, "endRelationship", &path);
            let offset = self.offset(related, &path);
            Some(Related { target: target?.to_owned(), relationship: relationship?, end_relationship, offset: offset? })
        });
        read.collect()
    }

    fn relationship(&mut self, related: &Value, name: &str, path: &str) -> Option<Relationship> {
        let code = related.get(name)?.as_str().unwrap_or_default();
        let known = Relationship::parse(code);
        if known.is_none() {
            self.fault(IssueType::CodeInvalid, &format!("{path}.{name}"), "unknown relationship");
        }
        known
    }

    fn offset(&mut self, related: &Value, path: &str) -> Option<Window> {
        let (duration, range) = (related.get("offsetDuration"), related.get("offsetRange"));
        match (duration, range) {
            (None, None) => Some(Window::default()),
            (Some(duration), _) => {
                let offset = when::duration(duration);
                if offset.is_none() {
                    self.fault(IssueType::Value, &format!("{path}.offsetDuration"), OFFSET);
                }
                offset
            }
            (None, Some(range)) => {
                let offset = when::range(range);
                if offset.is_none() {
                    let text = format!("a range has a low or a high, in this order; {OFFSET}");
                    self.fault(IssueType::Value, &format!("{path}.offsetRange"), text);
                }
                offset
            }
        }
    }

    fn trigger(&mut self, value: &Value, path: &str) -> Option<Trigger> {
        let data = value.get("data").map(|data| data.get(0).unwrap_or(data));
        let named = value["type"] == "named-event";
        let event = value["name"].as_str().filter(|_| named).map(str::to_owned);
        if named && event.is_none() {
            self.fault(IssueType::Required, &format!("{path}.name"), "which event starts the plan");
            return None;
        }
        let kind = data.and_then(|data| data["type"].as_str()).and_then(Kind::parse).filter(|kind| kind.is_request());
        if kind.is_none() && (event.is_none() || data.is_some()) {
            self.fault(IssueType::Value, path, "a trigger names the type of request that starts the plan in data.type");
            return None;
        }
        let filters = data.into_iter().flat_map(|data| members(data, "codeFilter")).map(|filter| CodeFilter {
            element: filter["path"].as_str().unwrap_or("code").to_owned(),
            codes: members(filter, "code")
                .filter_map(|c| Some((c["system"].as_str().map(str::to_owned), c["code"].as_str()?.to_owned())))
                .collect(),
        });
        Some(Trigger { kind, event, filters: filters.collect() })
    }
}

fn has_mark(action: &Value, url: &str) -> bool {
    members(action, "extension").any(|extension| extension["url"] == url && extension["valueBoolean"] == true)
}

/// An action as it stands, where an expression of it needs that.
fn own(action: &Value) -> Option<Arc<Value>> {
    let texts = members(action, "condition").chain(members(action, "dynamicValue"));
    let mut texts = texts.flat_map(|of| [&of["path"], &of["expression"]["expression"]]).filter_map(Value::as_str);
    let is_wanted = texts.any(|text| text.contains("%action") || element_of_action(text).is_some());
    let mut own = action.as_object().filter(|_| is_wanted)?.clone();
    own.shift_remove("action");
    Some(Arc::new(own.into()))
}

pub(super) fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

impl Relationship {
    fn parse(code: &str) -> Option<Self> {
        Some(match code {
            "before" => Self::Before,
            "before-start" => Self::BeforeStart,
            "before-end" => Self::BeforeEnd,
            "concurrent" => Self::Concurrent,
            "concurrent-with-start" => Self::ConcurrentWithStart,
            "concurrent-with-end" => Self::ConcurrentWithEnd,
            "after" => Self::After,
            "after-start" => Self::AfterStart,
            "after-end" => Self::AfterEnd,
            _ => return None,
        })
    }
}
