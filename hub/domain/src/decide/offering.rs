//! Plans that are stored: an active PlanDefinition whose trigger names a type of request starts with such orders, as one
//! from the hub's files does. An order that runs keeps the version that it started with.

use std::borrow::Cow;

use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body, Key, Kind, Resource, list, text_at};
use serde_json::Value;
use uuid::Uuid;

use super::Stop;
use super::bodies::GENERAL_WORK;
use super::draft::Draft;
use crate::directory::{Lookup, PLANS_LIMIT};
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::Needs;
use crate::workflow::{Catalogue, Offered, canonical};

/// The root of the head that moves on with every PlanDefinition. Where it is not, none was ever stored, and nobody has to
/// look for one.
pub(super) const SHELF: Uuid = Uuid::from_u128(0x6a1f_03c9_7b52_4e0d_9c84_51e7_d2b0_8f36);

/// Whether a command about this type has to see it.
pub(super) fn looks_at(kind: Kind) -> bool {
    kind == Kind::PLAN_DEFINITION || (kind.is_request() && kind != Kind::REQUEST_GROUP)
}

/// The plan of such a request, among those of the files and those that are stored.
pub(super) fn choose<'a>(draft: &Draft<'a>, kind: Kind, request: &Body) -> Result<Option<Cow<'a, Offered>>, Stop> {
    let files: &'a Catalogue = &draft.moment.policy.catalogue;
    if !draft.scene.heads.contains_key(&SHELF) {
        return Ok(files.choose(kind, request).map(Cow::Borrowed));
    }
    let all = files.with(stored(draft)?.into_iter().map(|(_, offered)| offered).collect());
    Ok(all.choose(kind, request).cloned().map(Cow::Owned))
}

/// Those that start orders, the newest of each url.
fn stored(draft: &Draft) -> Result<Vec<(Key, Offered)>, Stop> {
    let found = draft.scene.found.get(&Lookup::Plans);
    let found = found.ok_or_else(|| Stop::more(Needs { lookups: vec![Lookup::Plans], ..Needs::default() }))?;
    let mut newest: Vec<&Resource> = found.iter().filter(|definition| starts_orders(&definition.body)).collect();
    newest.sort_by_key(|definition| std::cmp::Reverse(definition.last_updated));
    let mut plans: Vec<(Key, Offered)> = Vec::with_capacity(newest.len());
    for definition in newest {
        // It was read before it was kept; what an older hub kept, and this one cannot read, starts nothing.
        if let Ok(offered) = Offered::read(definition.body.text().get()) {
            let is_older = |(_, newer): &(Key, Offered)| canonical(&newer.plan.name) == canonical(&offered.plan.name);
            if !plans.iter().any(is_older) {
                plans.push((definition.key.clone(), offered));
            }
        }
    }
    Ok(plans)
}

/// Whether a definition says of itself that orders start it.
fn starts_orders(definition: &Body) -> bool {
    let triggers = list(definition, "action").flat_map(|action| action["trigger"].as_array().into_iter().flatten());
    let is_of = |data: &Value| data["type"].as_str().and_then(Kind::parse).is_some_and(Kind::is_request);
    triggers.into_iter().any(|trigger| {
        let mut types = trigger["data"].as_array().into_iter().flatten();
        trigger["type"] == "named-event" || types.any(is_of)
    })
}

/// A PlanDefinition is written. When orders are to start with it, it has to run, and to leave no doubt which plan is meant.
pub(super) fn offer(draft: &mut Draft, key: &Key, definition: &Body) -> Result<(), Stop> {
    let is_wanted = text_at(definition, &["status"]) == Some("active") && starts_orders(definition);
    if is_wanted {
        check(draft, key, definition).map_err(Stop::at_the_plan)?;
    }
    draft.head(SHELF);
    Ok(())
}

fn check(draft: &Draft, key: &Key, definition: &Body) -> Result<(), Stop> {
    let refused = |faults| Stop::from(Refusal::new(RefusalKind::Unprocessable, faults));
    let offered = Offered::read(&Value::Object(definition.clone()).to_string()).map_err(refused)?;
    let files = &draft.moment.policy.catalogue;
    let known = files.works();
    let mut works = offered.works();
    works.retain(|work| work != GENERAL_WORK && !known.contains(work));
    if !works.is_empty() {
        let text = format!("{} is no kind of work that is done here; there are {}", works.join(", "), known.join(", "));
        let path = format!("{}.action", Kind::PLAN_DEFINITION);
        return Err(refused(vec![Issue::error(IssueType::CodeInvalid, path, text)]));
    }
    let mut others: Vec<Offered> = Vec::new();
    if draft.scene.heads.contains_key(&SHELF) {
        let own = canonical(&offered.plan.name);
        let is_other = |(other, plan): &(Key, Offered)| other != key && canonical(&plan.plan.name) != own;
        others.extend(stored(draft)?.into_iter().filter(is_other).map(|(_, plan)| plan));
    }
    if others.len() as u32 >= PLANS_LIMIT {
        let text = format!("at most {PLANS_LIMIT} active plans are stored");
        return Err(Refusal::one(RefusalKind::Conflict, IssueType::TooCostly, "", text).into());
    }
    others.push(offered);
    let doubt = |faults| Stop::from(Refusal::new(RefusalKind::Conflict, faults));
    Catalogue::new(files.with(others).iter().cloned().collect()).map(drop).map_err(doubt)
}

impl Stop {
    /// A plan's own paths begin with its actions.
    fn at_the_plan(self) -> Self {
        match self {
            Self::No(mut refusal) => {
                for issue in &mut refusal.issues {
                    if issue.path.starts_with("action") || issue.path == "title" {
                        issue.path = format!("{}.{}", Kind::PLAN_DEFINITION, issue.path);
                    }
                }
                Self::No(refusal)
            }
            more => more,
        }
    }
}
