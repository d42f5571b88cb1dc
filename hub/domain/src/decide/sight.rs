//! What expressions of a plan see beside what they are asked of.

use hub_fhirpath::{Collection, Item, Node, Scope};
use schemas::order;
use schemas::resource::{Body, Document, Key, Resource};
use schemas::time::Timestamp;
use serde_json::Value;

use super::Stop;
use super::order::Order;
use crate::apply::of_action;
use crate::plan::variables::{ACTION, ENCOUNTER, INPUTS, ORGANIZATION, PRACTITIONER, REQUESTS, SUBJECT, TASKS};
use crate::scene::Needs;

/// The element of a request that refers to somebody.
type Refer = fn(&Body) -> Option<&Value>;

/// Whom the order is for and who asks, as `$apply` calls them: what refers to each, and to which types.
const PEOPLE: [(&str, Refer, &[&str]); 4] = [
    (SUBJECT, order::subject, &[]),
    (ENCOUNTER, |request| request.get("encounter"), &["Encounter"]),
    (PRACTITIONER, order::requester, &["Practitioner", "PractitionerRole"]),
    (ORGANIZATION, order::requester, &["Organization"]),
];

/// By name, only what some expression mentions: whoever asks for it has it loaded.
#[derive(Default)]
pub(super) struct Sight {
    seen: Vec<(&'static str, Vec<Seen>)>,
}

/// A resource as it is kept, which is not copied; or a part of one.
enum Seen {
    Kept(Document),
    Part(Value),
}

impl Seen {
    fn value(&self) -> &Value {
        match self {
            Self::Kept(document) => document.tree(),
            Self::Part(value) => value,
        }
    }
}

fn kept(resource: &Resource) -> Seen {
    Seen::Kept(resource.body.clone())
}

impl Sight {
    /// `step`: the one that they are of.
    pub(super) fn of<'e>(
        order: &mut Order,
        expressions: impl Iterator<Item = &'e str> + Clone,
        step: Option<usize>,
    ) -> Result<Self, Stop> {
        let mentions = |name: &str| {
            let (plain, quoted) = (format!("%{name}"), format!("%`{name}`"));
            expressions.clone().any(|text| text.contains(&plain) || text.contains(&quoted))
        };
        let mut sight = Self::default();
        if mentions(TASKS) {
            sight.seen.push((TASKS, order.newest_tasks()?.iter().map(kept).collect()));
        }
        let people: Vec<_> = PEOPLE.into_iter().filter(|(name, ..)| mentions(name)).collect();
        if mentions(REQUESTS) || !people.is_empty() {
            let requests = order.requests()?;
            for (name, refer, types) in people {
                let key = refer(&requests[order.request_of(step.unwrap_or(0), &requests)].body)
                    .and_then(|to| Key::of_reference(to["reference"].as_str()?));
                let key = key.filter(|key| types.is_empty() || types.contains(&key.kind.name()));
                let found = key.map_or(Ok(None), |key| order.if_here(&key))?;
                sight.seen.push((name, found.iter().map(kept).collect()));
            }
            sight.seen.push((REQUESTS, requests.iter().map(kept).collect()));
        }
        if mentions(INPUTS)
            && let Some(step) = step
        {
            sight.seen.push((INPUTS, order.inputs_of(step)?.into_iter().map(Seen::Part).collect()));
        }
        Ok(sight)
    }

    /// `action`: that of the expression, where it looks at it.
    pub(super) fn scope<'s>(&'s self, action: Option<&'s Value>, now: Timestamp) -> Scope<'s> {
        let scope = Scope::new(now.date_time()).with(ACTION, action.map(of_action).into_iter().collect());
        self.seen.iter().fold(scope, |scope, (name, values)| {
            let values: Collection = values.iter().map(|seen| Item::Node(node(name, seen.value()))).collect();
            scope.with(name, values)
        })
    }
}

fn node<'a>(name: &str, value: &'a Value) -> Node<'a> {
    let node = Node::resource(value);
    if name == INPUTS { Node { kind: "Task.input", ..node } } else { node }
}

impl Order<'_, '_> {
    /// A resource, if it is kept here.
    pub(super) fn if_here(&self, key: &Key) -> Result<Option<Resource>, Stop> {
        match self.draft.find(key) {
            Some(found) => Ok(Some(found.clone())),
            None if self.draft.scene.is_absent(key) => Ok(None),
            None => Err(Stop::more(Needs {
                resources: vec![key.clone()],
                existence: vec![key.clone()],
                ..Needs::default()
            })),
        }
    }
}
