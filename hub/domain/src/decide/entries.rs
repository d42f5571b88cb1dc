//! What is done to resources over REST: one interaction, or those of a transaction, all or nothing.
//!
//! However the entries stand, first goes what is deleted, then comes what is new, then what is changed, and last what is
//! only looked at. Every fault of every entry is told.

use std::collections::HashSet;
use std::mem;

use schemas::outcome::{Issue, IssueType};
use schemas::resource::{Key, Resource, text_at};
use schemas::time::Timestamp;

use super::condition;
use super::draft::{Draft, repeated};
use super::fate::{Fate, fate, id_of};
use super::references::{Names, resolved, targets};
use super::submit::{self, New};
use super::{Moment, Policy, Stop, change, join, offering, request, resource};
use crate::command::{Act, Command, Entry, Interaction, On};
use crate::decision::{Decision, EntryOutcome};
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::{Needs, Scene};

pub(super) fn needs(command: &Command, entries: &[Entry], policy: &Policy) -> Needs {
    let mut needs = Needs::default();
    if entries.iter().any(|entry| offering::looks_at(entry.interaction.kind())) {
        needs.roots.push(offering::SHELF);
    }
    for (n, entry) in entries.iter().enumerate() {
        for (_, condition) in &entry.links {
            needs = needs.and(condition::needs(condition));
        }
        needs = match &entry.interaction {
            Interaction::Create { kind, body, unless } => {
                needs.roots.push(id_of(command.id, n));
                needs = needs.and(targets(*kind, body, policy));
                needs.resources.extend(join::about(*kind, body));
                needs.resources.extend(request::replaced(*kind, body));
                unless.iter().fold(needs, |needs, condition| needs.and(condition::needs(condition)))
            }
            Interaction::Update { on, body, .. } => {
                let named = text_at(body, &["id"]).map(|id| Key::new(on.kind(), id));
                let named = named.filter(|_| matches!(on, On::The(_)));
                let needs = named.iter().fold(needs.and(of(on)), |needs, key| needs.and(resource(key)));
                needs.and(targets(on.kind(), body, policy))
            }
            Interaction::Patch { on, .. } | Interaction::Delete { on, .. } => needs.and(of(on)),
            Interaction::Read { key } => needs.and(resource(key)),
        };
    }
    needs
}

/// A new resource is told its id, its version and the time while nobody else has its body. So the decision shares it, and
/// copies nothing to say so; where it decides otherwise, it writes a body of its own.
pub fn stamp(command: &mut Command, now: Timestamp) {
    let id = command.id;
    let Act::Change(entries) = &mut command.act else { return };
    for (n, entry) in entries.iter_mut().enumerate() {
        if let Interaction::Create { kind, body, .. } = &mut entry.interaction {
            let key = Key::new(*kind, id_of(id, n).to_string());
            *body = Resource::new(key, 1, now, mem::take(body).into_body()).body;
        }
    }
}

fn of(on: &On) -> Needs {
    match on {
        On::Key(key) => resource(key),
        On::The(condition) => condition::needs(condition),
    }
}

pub(super) fn decide(scene: &Scene, command: &Command, entries: &[Entry], moment: &Moment) -> Result<Decision, Stop> {
    if let Some(decision) = repeated(scene, command)? {
        return Ok(decision);
    }
    let is_there = |n| scene.heads.contains_key(&id_of(command.id, n));
    if let Some(repeat) = &command.repeat
        && (0..entries.len()).any(is_there)
    {
        let text = format!("this {} was used before, and its answer is not kept any more", repeat.called);
        return Err(Refusal::conflict(text).into());
    }
    let mut course = Course { draft: Draft::new(scene, command, moment), entries, stops: Stops::default() };
    let mut fates = course.fates();
    let names = names(entries, &fates);
    course.delete(&mut fates);
    course.create(&fates, &names);
    course.change(&mut fates, &names);
    course.look(&fates);
    course.stops.end()?;
    answered(course.draft, &fates)
}

struct Course<'a> {
    draft: Draft<'a>,
    entries: &'a [Entry],
    stops: Stops,
}

impl<'a> Course<'a> {
    /// The fate of each entry. Where it cannot be told, one that does nothing, so that the faults of the others are their
    /// own.
    fn fates(&mut self) -> Vec<Fate> {
        let mut fates = Vec::with_capacity(self.entries.len());
        let mut named = HashSet::new();
        for (n, entry) in self.entries.iter().enumerate() {
            let fate = fate(&mut self.draft, n, &entry.interaction);
            let fate =
                self.stops.take(entry, fate).unwrap_or_else(|| Fate::unknown(&self.draft, n, &entry.interaction));
            let writes = !matches!(fate.outcome, EntryOutcome::Found | EntryOutcome::Absent | EntryOutcome::Looked);
            if self.entries.len() > 1 && writes && !named.insert(fate.key.clone()) {
                let text = "another entry of this transaction is about the same resource";
                let issue = Issue::error(IssueType::Duplicate, "request.url", text);
                self.stops.refuse(entry, Refusal::new(RefusalKind::Unprocessable, vec![issue]));
            }
            fates.push(fate);
        }
        fates
    }

    fn delete(&mut self, fates: &mut [Fate]) {
        for (entry, fate) in self.entries.iter().zip(fates) {
            if let Interaction::Delete { if_match, .. } = &entry.interaction
                && fate.outcome == EntryOutcome::Deleted
            {
                let outcome = change::delete(&mut self.draft, &fate.key, *if_match);
                fate.outcome = self.stops.take(entry, outcome).unwrap_or(fate.outcome);
            }
        }
    }

    fn create(&mut self, fates: &[Fate], names: &Names) {
        let (mut new, mut of) = (Vec::new(), Vec::new());
        for (entry, Fate { key, outcome, root }) in self.entries.iter().zip(fates) {
            let (Interaction::Create { body, .. } | Interaction::Update { body, .. }) = &entry.interaction else {
                continue;
            };
            if *outcome == EntryOutcome::Created {
                let body = resolved(&self.draft, entry, key.kind, body.clone(), names);
                if let Some(body) = self.stops.take(entry, body) {
                    new.push(New { root: *root, key: key.clone(), body });
                    of.push(entry);
                }
            }
        }
        for (entry, result) in of.into_iter().zip(submit::create(&mut self.draft, new)) {
            self.stops.take(entry, result);
        }
    }

    fn change(&mut self, fates: &mut [Fate], names: &Names) {
        for (entry, fate) in self.entries.iter().zip(fates) {
            if fate.outcome == EntryOutcome::Updated {
                let outcome = match &entry.interaction {
                    Interaction::Update { body, if_match, .. } => {
                        change::update(&mut self.draft, &fate.key, *if_match, |draft| {
                            resolved(draft, entry, fate.key.kind, body.clone(), names)
                        })
                    }
                    Interaction::Patch { patch, if_match, .. } => {
                        change::patch(&mut self.draft, &fate.key, patch, *if_match, |draft, body| {
                            resolved(draft, entry, fate.key.kind, body, names)
                        })
                    }
                    _ => continue,
                };
                fate.outcome = self.stops.take(entry, outcome).unwrap_or(fate.outcome);
            }
        }
    }

    fn look(&mut self, fates: &[Fate]) {
        for (entry, Fate { key, .. }) in self.entries.iter().zip(fates) {
            if matches!(entry.interaction, Interaction::Read { .. }) && !self.draft.is_here(key) {
                let gone = self.draft.is_gone(key);
                let why = if gone { Refusal::gone(key) } else { Refusal::not_found(key) };
                self.stops.refuse(entry, why);
            }
        }
    }
}

fn names<'a>(entries: &'a [Entry], fates: &[Fate]) -> Names<'a> {
    let mut names = Names::default();
    for (entry, Fate { key, outcome, .. }) in entries.iter().zip(fates) {
        let written = matches!(outcome, EntryOutcome::Created | EntryOutcome::Updated | EntryOutcome::Found);
        if let Some(url) = entry.full_url.as_deref().filter(|_| written) {
            names.by_url.insert(url, key.clone());
        }
        if let (EntryOutcome::Created, Interaction::Create { body, .. } | Interaction::Update { body, .. }) =
            (outcome, &entry.interaction)
            && entries.len() > 1
        {
            names.coming.insert(key.clone(), body);
        }
    }
    names
}

/// Answers in the order asked, with what all has come to.
fn answered(mut draft: Draft, fates: &[Fate]) -> Result<Decision, Stop> {
    for Fate { key, outcome, .. } in fates {
        match outcome {
            EntryOutcome::Absent | EntryOutcome::Looked => draft.answer_without(key, *outcome),
            _ => {
                let resource = draft.get(key)?.clone();
                let fulfilment = draft.fulfilment_of(key).filter(|_| *outcome != EntryOutcome::Deleted);
                draft.answer(&resource, *outcome, fulfilment);
            }
        }
    }
    Ok(draft.finish())
}

/// Why entries stop, all of them.
#[derive(Default)]
struct Stops {
    needs: Needs,
    refusals: Vec<Refusal>,
}

impl Stops {
    fn take<T>(&mut self, entry: &Entry, result: Result<T, Stop>) -> Option<T> {
        match result {
            Ok(done) => return Some(done),
            Err(Stop::More(needs)) => self.needs = mem::take(&mut self.needs).and(*needs),
            Err(Stop::No(refusal)) => self.refuse(entry, refusal),
        }
        None
    }

    fn refuse(&mut self, entry: &Entry, mut refusal: Refusal) {
        let is_patch = matches!(entry.interaction, Interaction::Patch { .. });
        for issue in &mut refusal.issues {
            // What a patch comes to does not stand in the Bundle.
            let beyond = is_patch && !entry.path.is_empty() && !issue.path.is_empty();
            if beyond && !issue.path.starts_with("Parameters") && !issue.path.starts_with("request") {
                issue.text = format!("{}: {}", issue.path, issue.text);
                issue.path.clear();
            }
            issue.path = entry.place(&issue.path);
        }
        self.refusals.push(refusal);
    }

    /// Whoever must see more is not refused yet: what was not seen may be what was missed.
    fn end(self) -> Result<(), Stop> {
        if !self.needs.is_empty() {
            return Err(Stop::more(self.needs));
        }
        let kinds: Vec<RefusalKind> = self.refusals.iter().map(|refusal| refusal.kind).collect();
        let Some(first) = kinds.first() else { return Ok(()) };
        let kind = match kinds.contains(&RefusalKind::Overtaken) {
            true => RefusalKind::Overtaken,
            false if kinds.iter().all(|kind| kind == first) => *first,
            false => RefusalKind::Unprocessable,
        };
        let issues = self.refusals.into_iter().flat_map(|refusal| refusal.issues).collect();
        Err(Refusal::new(kind, issues).into())
    }
}
