//! Which plan an order starts with.

use std::sync::Arc;

use schemas::outcome::{Issue, IssueType};
use schemas::plan::{CodeFilter, EVENT, Plan, Trigger};
use schemas::resource::{Body, Kind};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::plan::check::check;
use crate::plan::kept::KeptPlan;

/// The plans shipped with the hub: (file name, PlanDefinition).
pub const BUILT_IN: &[(&str, &str)] = &[
    ("referral.json", include_str!("../../../schemas/plans/referral.json")),
    ("laboratory.json", include_str!("../../../schemas/plans/laboratory.json")),
    ("prescription.json", include_str!("../../../schemas/plans/prescription.json")),
];

/// A plan that orders start with.
#[derive(Debug, Clone)]
pub struct Offered {
    /// Of the content: an order names by it the plan that it started with.
    pub hash: String,
    pub plan: Arc<KeptPlan>,
    pub text: String,
}

impl Offered {
    /// Reads and checks a plan. The faults' paths are those of the file.
    pub fn read(text: &str) -> Result<Self, Vec<Issue>> {
        let unreadable = |e| vec![Issue::error(IssueType::Structure, "", format!("not JSON: {e}"))];
        let body: Body = serde_json::from_str(text).map_err(unreadable)?;
        let (plan, faults) = Plan::read(&body);
        let faults = check(&plan, faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let digest = Sha256::digest(text.as_bytes());
        let hash = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { hash, plan: Arc::new(KeptPlan::new(plan)), text: text.to_owned() })
    }

    /// The kinds of work of its steps.
    pub(crate) fn works(&self) -> Vec<String> {
        fn collect(actions: &[Arc<schemas::plan::Action>], into: &mut Vec<String>) {
            for action in actions {
                into.extend(action.work.clone());
                collect(&action.actions, into);
            }
        }
        let mut works = Vec::new();
        collect(&self.plan.actions, &mut works);
        works
    }
}

/// A plan's url without its version.
pub fn canonical(name: &str) -> &str {
    name.split('|').next().unwrap_or(name)
}

/// All plans that orders may start with.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    plans: Vec<Offered>,
}

impl Catalogue {
    /// Refuses two plans between which an order could not choose.
    pub fn new(plans: Vec<Offered>) -> Result<Self, Vec<Issue>> {
        let mut faults = Vec::new();
        for (i, one) in plans.iter().enumerate() {
            for other in &plans[i + 1..] {
                let ties = |a: &Trigger| other.plan.triggers.iter().any(|b| is_tie(a, b));
                if one.plan.triggers.iter().any(ties) {
                    let text = format!(
                        "{} and {} are started by the same orders: make one more specific, or remove it",
                        one.plan.name, other.plan.name
                    );
                    faults.push(Issue::error(IssueType::Conflict, "PlanDefinition.action.trigger", text));
                }
            }
        }
        if faults.is_empty() { Ok(Self { plans }) } else { Err(faults) }
    }

    /// These plans as well. One with the url of another takes its place.
    pub fn with(&self, plans: Vec<Offered>) -> Self {
        let is_kept =
            |offered: &&Offered| !plans.iter().any(|plan| canonical(&plan.plan.name) == canonical(&offered.plan.name));
        let kept: Vec<Offered> = self.plans.iter().filter(is_kept).cloned().collect();
        Self { plans: kept.into_iter().chain(plans).collect() }
    }

    /// The plan of this order: of those whose trigger fits, the one with the most filters.
    pub fn choose(&self, kind: Kind, request: &Body) -> Option<&Offered> {
        let fits = |offered: &&Offered| specificity(&offered.plan, kind, request).is_some();
        self.plans.iter().filter(fits).max_by_key(|offered| specificity(&offered.plan, kind, request))
    }

    /// The kind of work with which such a request begins to be done.
    pub fn work_for(&self, kind: Kind, request: &Body) -> Option<&str> {
        fn first(actions: &[Arc<schemas::plan::Action>]) -> Option<&str> {
            actions.iter().find_map(|action| action.work.as_deref().or_else(|| first(&action.actions)))
        }
        first(&self.choose(kind, request)?.plan.actions)
    }

    pub fn find(&self, hash: &str) -> Option<&Offered> {
        self.plans.iter().find(|offered| offered.hash == hash)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Offered> {
        self.plans.iter()
    }

    /// Every kind of work that some plan needs: the queues there must be.
    pub fn works(&self) -> Vec<String> {
        let mut works: Vec<String> = self.plans.iter().flat_map(Offered::works).collect();
        works.sort();
        works.dedup();
        works
    }
}

/// An event goes before all codes.
fn weight(trigger: &Trigger) -> (bool, usize) {
    (trigger.event.is_some(), trigger.filters.len())
}

fn specificity(plan: &Plan, kind: Kind, request: &Body) -> Option<(bool, usize)> {
    let fits = |trigger: &&Trigger| {
        trigger.kind.is_none_or(|of| of == kind)
            && trigger.event.as_ref().is_none_or(|event| comes_of(request, event))
            && trigger.filters.iter().all(|f| carries(request, f))
    };
    plan.triggers.iter().filter(fits).map(weight).max()
}

/// Whether the request says of itself that it comes of this event.
fn comes_of(request: &Body, event: &str) -> bool {
    let tags = request.get("meta").and_then(|meta| meta["tag"].as_array()).into_iter().flatten();
    tags.into_iter().any(|tag| tag["system"] == EVENT && tag["code"] == event)
}

/// Whether the element carries one of the codes. A choice of types is called without its type, as paths do.
fn carries(request: &Body, filter: &CodeFilter) -> bool {
    let choice = || request.get(&format!("{}CodeableConcept", filter.element));
    let concepts = match request.get(&filter.element).or_else(choice) {
        Some(Value::Array(concepts)) => concepts.iter().collect(),
        Some(concept) => vec![concept],
        None => return false,
    };
    let codings = concepts.into_iter().flat_map(|c| c["coding"].as_array().into_iter().flatten());
    let wanted = |coding: &Value| {
        filter.codes.iter().any(|(system, code)| {
            coding["code"] == *code && system.as_ref().is_none_or(|system| coding["system"] == *system)
        })
    };
    codings.into_iter().any(wanted)
}

/// Two triggers of the same weight that one order can meet. Different elements can always both be met.
fn is_tie(a: &Trigger, b: &Trigger) -> bool {
    a.kind.zip(b.kind).is_none_or(|(a, b)| a == b)
        && a.event.as_ref().zip(b.event.as_ref()).is_none_or(|(a, b)| a == b)
        && weight(a) == weight(b)
        && a.filters.iter().all(|f| {
            let same = b.filters.iter().find(|g| g.element == f.element);
            same.is_none_or(|g| f.codes.iter().any(|code| g.codes.contains(code)))
        })
}
