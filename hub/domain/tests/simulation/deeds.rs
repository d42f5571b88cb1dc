//! From what may happen to a command, as the world stands: "the second open Task" becomes the Task that it is.

use std::collections::BTreeSet;

use hub_domain::command::{Act, Caller, Command, Interaction, On, Patch, Repeat, Role};
use hub_domain::decision::TimerId;
use schemas::message::{Act as Reported, StatusReport};
use schemas::resource::{Key, Kind, Resource};
use schemas::task::{owner, task_code};
use serde_json::json;
use uuid::Uuid;

use crate::model::{Speaker, Wanted};
use crate::orders::{self, SURGERY};
use crate::step::{About, Asked, Deed, Matched, Number, Pick, Voice, What, Who};
use crate::table::is_terminal;
use crate::wish::{Matter, Wish};
use crate::world::{Kept, World};

impl World {
    /// None when there is nothing yet that it could be about.
    pub(crate) fn wish(&mut self, deed: &Deed) -> Option<Wish> {
        match deed {
            Deed::Submit { what, performer, keyed } => Some(self.submission(*what, *performer, *keyed)),
            Deed::Resubmit { nth, other_body } => self.resubmission(*nth, *other_body),
            Deed::Report { task, who, act, number, forged } => {
                let task = self.pick(*task)?;
                let performer = performer(*who, &task);
                let number = self.number(&task.key, &performer, *number);
                Some(self.report(&task, &performer, *act, number, *forged))
            }
            Deed::Redeliver { nth } => {
                let (report, forged) = nth_of(&self.reports, *nth)?.clone();
                Some(self.delivery(report, forged, "again: "))
            }
            Deed::Move { task, voice, to, owner, patch, matched } => {
                let task = self.pick(*task)?;
                let owner = owner.map(|who| performer(who, &task));
                Some(self.movement(&task, *voice, to, owner, *patch, *matched))
            }
            Deed::Change { nth, voice, to } => {
                let request = nth_of(&self.requests(), *nth)?.clone();
                Some(self.change(&request, *voice, *to))
            }
            Deed::About { task, how } => {
                // What is said of the whole stands alone: no order has it.
                let task = self.pick(*task).filter(|task| !task.key.id.ends_with(".0"))?;
                Some(self.about(&task, *how))
            }
            Deed::Delete { nth } => {
                let key = nth_of(&self.registry.births, *nth)?.clone();
                let told = format!("{} is deleted", self.name(&key, self.registry.current[&key].root));
                Some(self.plain(
                    Act::alone(Interaction::Delete { on: On::Key(key), if_match: None }),
                    Caller::Local,
                    told,
                ))
            }
            Deed::Fire { nth } => {
                let id = nth_of(&self.timers, *nth)?.clone();
                Some(self.fire(id))
            }
        }
    }

    fn next_id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids << 64)
    }

    fn wished(&mut self, act: Act, caller: Caller, matter: Matter, told: String) -> Wish {
        let command = Command { id: self.next_id(), caller, act, repeat: None, traceparent: None };
        Wish { command, speaker: Speaker::default(), matter, told }
    }

    fn plain(&mut self, act: Act, caller: Caller, told: String) -> Wish {
        self.wished(act, caller, Matter::Plain, told)
    }

    // ---- orders

    fn submission(&mut self, what: What, who: Option<Who>, keyed: bool) -> Wish {
        let performer = who.map(|_| "Organization/a");
        let entries = orders::entries(what, performer);
        let told =
            format!("the surgery orders: {what:?}{}", performer.map(|p| format!(", of {p}")).unwrap_or_default());
        let mut wish = self.wished(Act::Change(entries.clone()), Caller::Local, Matter::New, told);
        if keyed {
            let key = format!("key {}", self.submissions.len());
            let repeat = Repeat { key, fingerprint: "body".into(), called: "Idempotency-Key" };
            wish.command.id = repeat.command_id();
            wish.command.repeat = Some(repeat.clone());
            self.submissions.push(Kept { repeat, entries, reply: None });
        }
        wish
    }

    fn resubmission(&mut self, nth: usize, other_body: bool) -> Option<Wish> {
        let answered: Vec<&Kept> = self.submissions.iter().filter(|kept| kept.reply.is_some()).collect();
        let kept = nth_of(&answered, nth)?;
        let (mut repeat, entries) = (kept.repeat.clone(), kept.entries.clone());
        let told = format!("{} comes again{}", repeat.key, if other_body { ", with another body" } else { "" });
        if other_body {
            repeat.fingerprint = "another body".into();
        }
        let mut wish = self.wished(Act::Change(entries), Caller::Local, Matter::Repeat { same: !other_body }, told);
        wish.command.id = repeat.command_id();
        wish.command.repeat = Some(repeat);
        Some(wish)
    }

    fn requests(&self) -> Vec<Resource> {
        let requests = self.registry.births.iter().filter(|key| key.kind.is_request());
        requests.filter_map(|key| self.registry.live(key).cloned()).collect()
    }

    pub(crate) fn change(&mut self, request: &Resource, voice: Voice, to: Asked) -> Wish {
        let Some(to) = status_of_request(request.key.kind, to) else { return self.other_words(request, voice) };
        let (caller, speaker) = speaker(voice, "");
        let told = format!("{} makes {} {to}", name_of(&caller), self.name_of(request));
        let mut body = request.body.clone().into_body();
        body.insert("status".into(), to.into());
        let act =
            Act::alone(Interaction::Update { on: On::Key(request.key.clone()), body: body.into(), if_match: None });
        Wish { speaker, ..self.wished(act, caller, Matter::Change(to.into()), told) }
    }

    fn other_words(&mut self, request: &Resource, voice: Voice) -> Wish {
        let (caller, speaker) = speaker(voice, "");
        let told = format!("{} says {} in other words", name_of(&caller), self.name_of(request));
        let mut body = request.body.clone().into_body();
        body.insert("note".into(), json!([{ "text": format!("word {}", self.ids) }]));
        let matter = Matter::OtherWords(request.text("status").unwrap_or_default().to_owned());
        let act =
            Act::alone(Interaction::Update { on: On::Key(request.key.clone()), body: body.into(), if_match: None });
        Wish { speaker, ..self.wished(act, caller, matter, told) }
    }

    // ---- Tasks

    fn pick(&self, pick: Pick) -> Option<Resource> {
        let tasks = self.tasks();
        let open =
            |task: &&Resource| task.text("status").is_some_and(|status| !is_terminal(status) && status != "draft");
        let works = |task: &&Resource| !task.key.id.ends_with(".0");
        match pick {
            Pick::Open(nth) => {
                nth_of(&tasks.into_iter().filter(open).filter(works).collect::<Vec<_>>(), nth).copied().cloned()
            }
            Pick::Any(nth) => nth_of(&tasks, nth).copied().cloned(),
        }
    }

    pub(crate) fn tasks(&self) -> Vec<&Resource> {
        let tasks = self.registry.births.iter().filter(|key| key.kind == Kind::TASK);
        tasks.filter_map(|key| self.registry.live(key)).collect()
    }

    /// The number of the next report about a Task, as its sender counts: 1 is the claim's.
    fn number(&self, task: &Key, performer: &str, number: Number) -> u32 {
        let last = self.numbers.get(&(task.clone(), performer.to_owned())).copied().unwrap_or_default();
        match number {
            Number::Next => last + 1,
            Number::Same => last.max(1),
            Number::Skip => last + 2,
        }
    }

    pub(crate) fn report(&mut self, task: &Resource, who: &str, act: Reported, number: u32, forged: bool) -> Wish {
        // Each claim counts from one again.
        let number = if act == Reported::Claim { 1 } else { number };
        self.numbers.insert((task.key.clone(), who.to_owned()), number);
        let report = StatusReport {
            report_id: format!("report {}", self.reports.len()),
            task_id: task.key.id.clone(),
            sequence: number,
            performer: who.to_owned(),
            act,
            task_version: Some(task.version),
            business_status: None,
            status_reason: None,
            output: Vec::new(),
            quiet: false,
        };
        self.reports.push((report.clone(), forged));
        self.delivery(report, forged, "")
    }

    fn delivery(&mut self, report: StatusReport, forged: bool, how: &str) -> Wish {
        let caller = match forged {
            true => known("Organization/forger", Role::Filler),
            false => Caller::Local,
        };
        let key = Key::task(&report.task_id);
        let name = self.name(&key, self.registry.current[&key].root);
        let told = format!("{how}{} reports of {name}: {:?}, number {}", report.performer, report.act, report.sequence);
        let matter = if forged { Matter::Forged } else { Matter::Plain };
        self.wished(Act::Report(report), caller, matter, told)
    }

    fn movement(
        &mut self,
        task: &Resource,
        voice: Voice,
        to: &str,
        owner: Option<String>,
        patch: bool,
        matched: Matched,
    ) -> Wish {
        let (caller, speaker) = speaker(voice, &performer(Who::Owner, task));
        let if_match = match matched {
            Matched::No => None,
            Matched::Current => Some(task.version),
            Matched::Old => Some(task.version - 1),
        };
        let mut told = format!("{} moves {} to {to}", name_of(&caller), self.name_of(task));
        told += &owner.as_ref().map(|owner| format!(" for {owner}")).unwrap_or_default();
        told += if_match.filter(|version| *version < task.version).map_or("", |_| " from an old version");
        let named = owner.clone().or(schemas::task::owner(&task.body).filter(|_| !patch).map(str::to_owned));
        let read = (!patch).then_some(task.version);
        let wanted = Wanted { to: to.to_owned(), owner: named, read, if_match };
        let on = On::Key(task.key.clone());
        let interaction = if patch {
            let mut operations = vec![json!({ "op": "replace", "path": "/status", "value": to })];
            let named = owner.map(|who| json!({ "op": "add", "path": "/owner", "value": { "reference": who } }));
            operations.extend(named);
            let patch = Patch::Json(serde_json::from_value(operations.into()).unwrap());
            Interaction::Patch { on, patch, if_match }
        } else {
            let mut body = task.body.clone().into_body();
            body.insert("status".into(), to.into());
            body.extend(owner.map(|who| ("owner".to_owned(), json!({ "reference": who }))));
            Interaction::Update { on, body: body.into(), if_match }
        };
        Wish { speaker, ..self.wished(Act::alone(interaction), caller, Matter::Move(wanted), told) }
    }

    fn about(&mut self, task: &Resource, how: About) -> Wish {
        let mut body = json!({ "resourceType": "Task", "status": "requested", "intent": "order" });
        match how {
            About::Ask(code) => {
                body["code"] = task_code(code);
                body["focus"] = task.reference();
            }
            About::Question => {
                body["partOf"] = json!([task.reference()]);
                body["focus"] = json!({ "reference": "Questionnaire/history" });
            }
            About::Twin(status, who) => {
                body["partOf"] = json!([task.reference()]);
                body["focus"] = task.body.get("focus").cloned().unwrap_or_default();
                body["status"] = status.into();
                body["owner"] = json!({ "reference": performer(who, task) });
            }
        }
        let told = format!("somebody writes of {}: {how:?}", self.name_of(task));
        let body = body.as_object().cloned().unwrap_or_default();
        let create = Interaction::Create { kind: Kind::TASK, body: body.into(), unless: None };
        let (caller, speaker) = speaker(Voice::Local, "");
        Wish { speaker, ..self.wished(Act::alone(create), caller, Matter::About, told) }
    }

    pub(crate) fn fire(&mut self, id: TimerId) -> Wish {
        let orders: BTreeSet<Uuid> = self.timers.iter().map(|timer| timer.root).collect();
        let order = orders.iter().position(|root| *root == id.root).unwrap_or_default() + 1;
        let told = format!("timer {} of order {order} fires", id.name);
        self.plain(Act::Fire(id), Caller::Hub, told)
    }

    fn name_of(&self, resource: &Resource) -> String {
        self.name(&resource.key, self.registry.current[&resource.key].root)
    }
}

fn nth_of<T>(of: &[T], nth: usize) -> Option<&T> {
    of.get(nth.checked_rem(of.len())?)
}

fn performer(who: Who, task: &Resource) -> String {
    match who {
        Who::Owner => owner(&task.body).unwrap_or("Organization/a").to_owned(),
        Who::A => "Organization/a".to_owned(),
        Who::B => "Organization/b".to_owned(),
    }
}

fn known(organization: &str, role: Role) -> Caller {
    Caller::Known { organization: organization.to_owned(), roles: [role].into() }
}

fn name_of(caller: &Caller) -> &str {
    match caller {
        Caller::Local => "somebody",
        caller => caller.name(),
    }
}

/// The caller, and what it may do by the published rules. `owner`: of the Task in question.
fn speaker(voice: Voice, owner: &str) -> (Caller, Speaker) {
    let organization = match voice {
        Voice::Local => "",
        Voice::Surgery => SURGERY,
        Voice::Stranger => "Organization/stranger",
        Voice::Filler(Who::Owner) if !owner.is_empty() => owner,
        Voice::Filler(Who::B) => "Organization/b",
        Voice::Filler(_) => "Organization/a",
        Voice::Operator => "Organization/trust",
    };
    let (anybody, placer, filler, caller) = match voice {
        Voice::Local => (true, true, true, Caller::Local),
        Voice::Surgery | Voice::Stranger => (false, true, false, known(organization, Role::Placer)),
        Voice::Filler(_) => (false, false, true, known(organization, Role::Filler)),
        Voice::Operator => (true, true, true, known(organization, Role::Operator)),
    };
    (caller, Speaker { anybody, organization: organization.to_owned(), placer, filler })
}

/// None: it stays what it is.
fn status_of_request(kind: Kind, to: Asked) -> Option<&'static str> {
    Some(match to {
        Asked::Active => "active",
        Asked::OnHold => "on-hold",
        Asked::Revoked if kind == Kind::MEDICATION_REQUEST => "cancelled",
        Asked::Revoked => "revoked",
        Asked::Completed => "completed",
        Asked::EnteredInError => "entered-in-error",
        Asked::OtherWords => return None,
    })
}
