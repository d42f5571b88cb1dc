//! Conditions: which resource is meant where its id is not known (`Patient?identifier=…`).
//!
//! An identifier is looked up by the lane itself. Anything else is searched for before the command goes to its lane, and
//! what was found is compared there with what is so when it is decided; if somebody else was faster, the search is made
//! again.

use hub_domain::command::{Act, Command, Condition, Entry, Found, Interaction, On, guard};
use hub_domain::query::Query;
use hub_domain::refusal::RefusalKind;
use hub_domain::registry::Trouble;
use hub_domain::scene::{Identifier, Needs};
use schemas::outcome::{Issue, IssueType};
use schemas::resource::Kind;
use uuid::Uuid;

use super::super::answer::No;
use super::super::content;
use super::super::search::Reader;
use crate::engine::{Done, Failure};
use crate::service::Service;

/// How often a search is made for one command, since others changed what it finds.
const TRIES_MAX: u32 = 100;
/// The condition that a query says.
pub(super) fn read(service: &Service, base: &str, kind: Kind, query: &str) -> Result<Condition, No> {
    let mut criteria = content::form(query.trim_start_matches('?'));
    criteria.retain(|(name, _)| !matches!(name.as_str(), "_format" | "_pretty"));
    if let Some(identifier) = identifier(kind, &criteria) {
        return Ok(Condition::Identifier(identifier));
    }
    if criteria.is_empty() {
        let text = format!("a condition has search parameters of {kind}, for example identifier=system|value");
        return Err(No::bad_request(vec![Issue::error(IssueType::Required, "", text)]));
    }
    let mut reader = Reader::new(service, kind, base);
    criteria.iter().for_each(|(name, value)| reader.criterion(name, value));
    // One more than may be found.
    let query = Box::new(Query { count: 2, ..reader.finish(false)?.query });
    criteria.sort();
    let written: Vec<String> = criteria.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let guard = guard(kind, &written.join("&"));
    Ok(Condition::Search { query, guard, found: Found::Nothing { guard: None } })
}

/// `identifier=system|value` alone, and one value of it.
fn identifier(kind: Kind, criteria: &[(String, String)]) -> Option<Identifier> {
    let [(name, value)] = criteria else { return None };
    let (system, value) = value.split_once('|').filter(|_| name == "identifier" && !value.contains([',', '\\']))?;
    let is_whole = !system.is_empty() && !value.is_empty();
    is_whole.then(|| Identifier { kind, system: system.to_owned(), value: value.to_owned() })
}

/// Executes a command; where something is searched for, as often as others change what is found.
pub(super) async fn execute(service: &Service, mut command: Command) -> Result<Done, No> {
    let mut tries = 0;
    while let Act::Change(entries) = &mut command.act
        && entries.iter_mut().flat_map(conditions).any(|condition| matches!(condition, Condition::Search { .. }))
        && tries < TRIES_MAX
    {
        tries += 1;
        search(service, entries).await?;
        match service.engine.execute(command.clone()).await {
            Err(Failure::Refused(refusal)) if refusal.kind == RefusalKind::Overtaken => {}
            done => return Ok(done?),
        }
    }
    Ok(service.engine.execute(command).await?)
}

fn conditions(entry: &mut Entry) -> impl Iterator<Item = &mut Condition> {
    let own = match &mut entry.interaction {
        Interaction::Create { unless, .. } => unless.as_mut(),
        Interaction::Update { on, .. } | Interaction::Patch { on, .. } | Interaction::Delete { on, .. } => match on {
            On::The(condition) => Some(condition),
            On::Key(_) => None,
        },
        Interaction::Read { .. } => None,
    };
    own.into_iter().chain(entry.links.iter_mut().map(|(_, condition)| condition))
}

/// Writes into each condition what is found by it now. The guards first: who creates after this look moves them on.
async fn search(service: &Service, entries: &mut [Entry]) -> Result<(), No> {
    let guard = |condition: &mut Condition| match condition {
        Condition::Search { guard, .. } => Some(*guard),
        Condition::Identifier(_) => None,
    };
    let roots: Vec<Uuid> = entries.iter_mut().flat_map(conditions).filter_map(guard).collect();
    let (scenes, _) = service.registry.load(&[Needs { roots, ..Needs::default() }]).await?;
    for condition in entries.iter_mut().flat_map(conditions) {
        if let Condition::Search { query, guard, found } = condition {
            let seen = scenes.first().and_then(|scene| scene.heads.get(guard)).map(|head| head.version);
            *found = look(service, query, seen).await?;
        }
    }
    Ok(())
}

async fn look(service: &Service, query: &Query, guard: Option<u64>) -> Result<Found, Trouble> {
    let page = service.registry.search(query).await?;
    Ok(match page.entries.as_slice() {
        [] => Found::Nothing { guard },
        [one] => Found::One { key: one.key.clone(), version: one.version },
        _ => Found::Several,
    })
}
