//! A plan: the graph of steps by which an order is fulfilled, in the shape that `PlanDefinition.action` and
//! `RequestOrchestration.action` share. R5 inside; R4's spellings are read as well.

mod carried;
mod flow;
mod point;
mod read;
mod timing;
mod when;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::outcome::Issue;
use crate::resource::{Body, Kind};
use crate::task::is_questionnaire;

pub use carried::element_of_action;
pub use point::Point;
pub use timing::{DayTime, Days, Repeat};
pub use when::{Since, When, Window};

/// Marks an action that is done once for each request of the order (a prescription's items).
pub const PER_ITEM: &str = "urn:fhir-workflow-hub:extension:per-item";
/// Marks a step, or a group of steps, that is offered to one service of the directory after another.
pub const FROM_DIRECTORY: &str = "urn:fhir-workflow-hub:extension:from-directory";
/// How long each of them has to answer.
pub const ANSWER_WITHIN: &str = "urn:fhir-workflow-hub:extension:answer-within";
/// The days of its cycle on which an action is done: FHIR's own, with a `day` for each.
pub const DAYS_OF_CYCLE: &str = "http://hl7.org/fhir/StructureDefinition/timing-daysOfCycle";
/// Marks a choice whose branches are offered one after another, the next when the last came to nothing.
pub const IN_SEQUENCE: &str = "urn:fhir-workflow-hub:extension:in-sequence";
/// Names the action that undoes one, when the unit that it is a part of fails after it was done.
pub const UNDONE_BY: &str = "urn:fhir-workflow-hub:extension:undone-by";
/// Names the step that chooses among the branches of a choice: what it brings names those that come.
pub const CHOSEN_BY: &str = "urn:fhir-workflow-hub:extension:chosen-by";
/// An action of `cardinalityBehavior` multiple is done so often at most.
pub const MULTIPLE_LIMIT: usize = 10;
/// The system of the ids of a plan's own actions, where a time counts from one of them.
pub const ACTION: &str = "urn:fhir-workflow-hub:action";
/// The system of the tags by which a request says of which event it comes.
pub const EVENT: &str = "urn:fhir-workflow-hub:event";
/// The code system of the kinds of work: the queues' names.
pub const WORK: &str = "urn:fhir-workflow-hub:work";

#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// `url|version`, or the name where there is no url: what a message may call it.
    pub name: String,
    pub title: Option<String>,
    pub triggers: Vec<Trigger>,
    pub actions: Vec<Arc<Action>>,
    /// What it says and nobody carries out: faults, each with its place.
    pub unresolved: Vec<Issue>,
    /// The definitions that it was made with, by what it calls them: of a running order they do not change.
    pub definitions: HashMap<String, Body>,
}

/// Which orders start the plan: a type of request or the name of an event and, if given, one of these codes at an element.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// None: of any type, by the event.
    pub kind: Option<Kind>,
    /// The request has it as a tag of [`EVENT`].
    pub event: Option<String>,
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
    /// Unique in the plan: the `linkId`, or R4's element id; else its place, `action[0].action[2]`.
    pub id: String,
    /// What the relations of others may call it, each unique too.
    pub names: Vec<String>,
    /// Or what else describes it.
    pub title: Option<String>,
    /// CodeableConcept of the work item.
    pub code: Option<Value>,
    /// The queue that the step's Tasks go to.
    pub work: Option<String>,
    /// References to those who are named for it: a single one is the owner of its Tasks.
    pub actors: Vec<Value>,
    /// Of what kind whoever does it is to be, beside the work: CodeableConcepts.
    pub kinds: Vec<Value>,
    pub priority: Option<String>,
    pub selection: Selection,
    pub required: Required,
    /// It says itself that it must be done, and does not leave that to what is usual.
    pub is_demanded: bool,
    pub per_item: bool,
    /// It is done again when somebody asks for that.
    pub multiple: bool,
    pub from_directory: bool,
    /// Microseconds.
    pub answer_within_us: Option<i64>,
    pub in_sequence: bool,
    /// Usually chosen: offered first where branches are offered in sequence.
    pub precheck: bool,
    pub conditions: Vec<Condition>,
    /// One applicability condition that holds is enough; otherwise all must.
    pub any_applies: bool,
    pub when: Option<When>,
    /// What that counts from, when it is a point outside of the plan.
    pub point: Option<Point>,
    pub repeat: Option<Repeat>,
    /// On these days of what it stands in, the first one is 1.
    pub days: Vec<u32>,
    pub related: Vec<Related>,
    /// The name of the action that undoes it.
    pub undone_by: Option<String>,
    /// Of a choice, the name of the step that chooses.
    pub chosen_by: Option<String>,
    /// What an orchestration asks for with this step: a Reference to a request.
    pub resource: Option<Value>,
    /// The same where the plan says it itself, since a definition describes it.
    pub option: Option<Arc<Body>>,
    /// What is set when it is asked for, in this order.
    pub values: Vec<Dynamic>,
    /// Where its expressions look at it, or set what it says: as it stands, without the actions in it.
    pub own: Option<Arc<Value>>,
    /// What other steps have come to, that it is given.
    pub takes: Vec<Taken>,
    pub deed: Deed,
    /// The canonical or uri of what describes the step.
    pub definition: Option<String>,
    /// What its filler is to know, as `Task.input` has it.
    pub inputs: Vec<Value>,
    pub actions: Vec<Arc<Action>>,
}

/// `action.dynamicValue`, in FHIRPath.
#[derive(Debug, Clone, PartialEq)]
pub struct Dynamic {
    /// The element, as a path of names: of the request, or of the action itself.
    pub element: String,
    pub of_action: bool,
    pub expression: String,
    /// Where the plan has it.
    pub path: String,
}

/// An output of another action, which is an input of this one.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// The name of that action.
    pub from: String,
    /// How its Task may call that output: by its id, or its title.
    pub names: Vec<String>,
    /// The type of resource that it is, where that is said.
    pub kind: Option<String>,
    /// What the input is called.
    pub title: Option<String>,
}

/// `action.type`: what is done to what the step names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It is asked for; absent reads so.
    Create,
    Update,
    /// It is withdrawn.
    Remove,
    /// Somebody is told.
    FireEvent,
}

impl Deed {
    pub fn parse(code: &str) -> Option<Self> {
        [Self::Create, Self::Update, Self::Remove, Self::FireEvent].into_iter().find(|deed| deed.code() == code)
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Remove => "remove",
            Self::FireEvent => "fire-event",
        }
    }
}

impl Action {
    /// The queue that its Tasks go to, then of what kind whoever does it is to be: as `Task.performerType` has it.
    pub fn performer_types(&self) -> Vec<Value> {
        let work = self.work.iter().map(|work| json!({ "coding": [{ "system": WORK, "code": work }] }));
        work.chain(self.kinds.iter().cloned()).collect()
    }

    /// It asks for answers to a Questionnaire.
    pub fn is_questionnaire(&self) -> bool {
        self.definition.as_deref().is_some_and(is_questionnaire)
    }
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

impl Selection {
    /// Not more than one of its branches is done.
    pub fn is_exclusive(self) -> bool {
        matches!(self, Self::ExactlyOne | Self::AtMostOne)
    }

    /// Every branch comes in any case.
    pub fn is_certain(self) -> bool {
        matches!(self, Self::All | Self::AllOrNone)
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::All => "all",
            Self::AllOrNone => "all-or-none",
            Self::ExactlyOne => "exactly-one",
            Self::AtMostOne => "at-most-one",
            Self::OneOrMore => "one-or-more",
        }
    }
}

/// `action.requiredBehavior`; absent reads as must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    Must,
    Could,
    MustUnlessDocumented,
}

/// `action.condition`, in FHIRPath.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub kind: ConditionKind,
    pub expression: String,
    /// Where the plan has it.
    pub path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConditionKind {
    /// Asked once, when the order starts: whether the action is part of it.
    Applicability,
    /// Not before this holds.
    Start,
    /// Not any more once this holds.
    Stop,
}

/// `action.relatedAction`, read as "this one waits".
#[derive(Debug, Clone, PartialEq)]
pub struct Related {
    pub target: String,
    pub relationship: Relationship,
    /// The same for the end of this one.
    pub end_relationship: Option<Relationship>,
    pub offset: Window,
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
        let (plan, faults) = Self::read(body);
        if faults.is_empty() { Ok(plan) } else { Err(faults) }
    }

    /// The same, with as much of a faulty plan as could be read: for whoever looks for further faults.
    pub fn read(body: &Body) -> (Self, Vec<Issue>) {
        read::plan(body)
    }
}
