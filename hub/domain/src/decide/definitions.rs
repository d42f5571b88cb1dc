//! The definitions that an orchestration, or a plan, names: looked for when an order begins to run by it.

use std::collections::HashMap;

use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Body, Key, Kind, text_at};

use super::Stop;
use super::draft::Draft;
use crate::apply;
use crate::directory::Lookup;
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::Needs;

/// Definitions that definitions name are followed so deep: each level is one more look into the registry.
const LEVELS_LIMIT: usize = 4;
/// More definitions than this are not looked at for one order.
const DEFINITIONS_LIMIT: usize = 100;

/// Those that it names, and those that these name, by what they are called. What is not here is not among them.
/// `kept`: those that it has already.
pub(super) fn named(draft: &Draft, of: &Body, kept: &HashMap<String, Body>) -> Result<HashMap<String, Body>, Stop> {
    let mut found: HashMap<String, Body> = HashMap::new();
    let mut wanted = apply::names(of);
    for _ in 0..=LEVELS_LIMIT {
        wanted.retain(|name| !found.contains_key(name));
        if wanted.is_empty() {
            return Ok(found);
        }
        if found.len() + wanted.len() > DEFINITIONS_LIMIT {
            return Err(too_many(of, format!("at most {DEFINITIONS_LIMIT} definitions are named")));
        }
        let (mut needs, mut next) = (Needs::default(), Vec::new());
        for name in std::mem::take(&mut wanted) {
            let one = match kept.get(&name) {
                Some(kept) => Some(kept.clone()),
                None => look(draft, &name, &mut needs),
            };
            if let Some(one) = one {
                next.extend(apply::names(&one));
                found.insert(name, one);
            }
        }
        if !needs.is_empty() {
            return Err(Stop::more(needs));
        }
        wanted = next;
    }
    Err(too_many(of, format!("definitions name definitions, deeper than {LEVELS_LIMIT}")))
}

fn too_many(of: &Body, text: String) -> Stop {
    let is_plan = text_at(of, &["resourceType"]) == Some(Kind::PLAN_DEFINITION.name());
    let path = format!("{}.action", if is_plan { Kind::PLAN_DEFINITION } else { Kind::REQUEST_GROUP });
    Refusal::new(RefusalKind::Unprocessable, vec![Issue::error(IssueType::TooCostly, path, text)]).into()
}

/// None: it is not here, or it is to be looked for.
fn look(draft: &Draft, name: &str, needs: &mut Needs) -> Option<Body> {
    if let Some(key) = Key::of_reference(name) {
        let found = draft.find(&key).map(|found| (*found.body).clone());
        if found.is_none() && !draft.scene.looked_for(&key) {
            needs.resources.push(key.clone());
            needs.existence.push(key);
        }
        return found;
    }
    let url = name.split('|').next().unwrap_or_default();
    for kind in ["ActivityDefinition", "PlanDefinition"].into_iter().filter_map(Kind::parse) {
        let lookup = Lookup::Definitions { kind, url: url.to_owned() };
        match draft.scene.found.get(&lookup) {
            Some(found) => {
                if let Some(one) = apply::newest(found.iter().map(|one| &*one.body), name) {
                    return Some(one.clone());
                }
            }
            None => needs.lookups.push(lookup),
        }
    }
    None
}
