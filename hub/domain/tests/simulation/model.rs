//! A second opinion, written from the published rules alone: what becomes of one Task or request when somebody wants
//! something of it. What everybody can read, it reads; it remembers only who was granted what.

use std::collections::BTreeMap;

use schemas::message::{Act, StatusReport};
use schemas::resource::{Key, Resource, text_at};
use schemas::task::{asked_code, asks_for_information, owner};

use crate::table::{Table, is_on_offer, is_terminal};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    Refused,
    /// Taken, and no version is written.
    Nothing,
    Becomes(String),
    /// Taken or refused: nothing comes of it.
    NoEffect,
}

impl Expected {
    pub(crate) fn fits(&self, happened: &Self) -> bool {
        self == happened || (*self == NoEffect && !matches!(happened, Becomes(_)))
    }
}

use Expected::{Becomes, NoEffect, Nothing, Refused};

/// What somebody over REST is entitled to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Speaker {
    /// Whose word is taken for everybody's.
    pub(crate) anybody: bool,
    pub(crate) organization: String,
    pub(crate) placer: bool,
    pub(crate) filler: bool,
}

impl Speaker {
    pub(crate) fn may_be(&self, organization: &str) -> bool {
        self.anybody || self.organization == organization
    }

    /// In which capacities it may move a Task, when it names `claimer` as the owner.
    pub(crate) fn capacities(&self, task: &Resource, claimer: Option<&str>) -> Vec<&'static str> {
        let requester = text_at(&task.body, &["requester", "reference"]);
        let mut capacities = Vec::new();
        // Whoever has the work asks what it lacks.
        let asks = self.placer || (requester.is_some() && asks_for_information(&task.body));
        if asks && requester.is_none_or(|requester| self.may_be(requester)) {
            capacities.push("requester");
        }
        match owner(&task.body) {
            Some(owner) if self.may_be(owner) => capacities.push("owner"),
            None if self.filler && claimer.is_none_or(|by| self.may_be(by)) => capacities.push("candidate"),
            _ => {}
        }
        capacities
    }
}

/// What somebody over REST makes of a Task.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) to: String,
    pub(crate) owner: Option<String>,
    /// A whole body is sent, as read at this version: a missing owner is taken away.
    pub(crate) read: Option<u32>,
    pub(crate) if_match: Option<u32>,
}

impl Wanted {
    /// Read before the Task moved, and of the status that it has now.
    pub(crate) fn is_old(&self, task: &Resource) -> bool {
        self.read.is_some_and(|version| version != task.version) && task.text("status") == Some(&self.to)
    }
}

/// Neither asks for another to stop, to pause or to go on, nor for information.
fn is_work(task: &Resource) -> bool {
    asked_code(&task.body).is_none() && !asks_for_information(&task.body)
}

/// What the worker that holds a Task last said.
#[derive(Debug, Clone)]
struct Grant {
    report: String,
    number: u32,
}

pub(crate) struct Model {
    pub(crate) table: &'static Table,
    grants: BTreeMap<Key, Grant>,
    /// The versions at which Tasks were given back, or put on offer anew.
    given_back: BTreeMap<Key, u32>,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self { table: Table::published(), grants: BTreeMap::new(), given_back: BTreeMap::new() }
    }

    /// A repeat, or overtaken by a later one.
    pub(crate) fn is_late(&self, task: &Resource, report: &StatusReport) -> bool {
        if owner(&task.body) != Some(&report.performer) {
            return false;
        }
        let claims = report.act == Act::Claim;
        let repeats = |grant: &Grant| grant.report == report.report_id || (!claims && report.sequence <= grant.number);
        self.grants.get(&task.key).is_some_and(repeats) || (!claims && self.is_of_earlier_grant(task, report))
    }

    /// About a version before the Task was given back.
    fn is_of_earlier_grant(&self, task: &Resource, report: &StatusReport) -> bool {
        self.given_back.get(&task.key).copied() > report.task_version
    }

    pub(crate) fn of_report(&self, task: &Resource, held: bool, report: &StatusReport) -> Expected {
        let status = task.text("status").unwrap();
        let owns = owner(&task.body) == Some(&report.performer);
        if task.key.id.ends_with(".0") {
            // It follows its children: nobody works on it.
            Refused
        } else if report.act != Act::Claim {
            // Whether an ended Task was told the same before is remembered of a step's newest offer only.
            let ended = is_terminal(status) && owns;
            if ended {
                NoEffect
            } else if owns {
                self.of_progress(task, status, report)
            } else {
                Refused
            }
        } else if self.is_late(task, report) {
            if is_terminal(status) { Refused } else { Nothing }
        } else {
            let free = owns || task.body.get("owner").is_none();
            let taken = self.is_of_earlier_grant(task, report) || self.grants.contains_key(&task.key);
            let waits = held && is_work(task);
            match status {
                _ if !free || taken || waits => Refused,
                "requested" => Becomes("accepted".into()),
                "ready" => Becomes("ready".into()),
                _ => Refused,
            }
        }
    }

    fn of_progress(&self, task: &Resource, status: &str, report: &StatusReport) -> Expected {
        let to = match report.act {
            Act::InProgress => "in-progress",
            Act::OnHold => "on-hold",
            Act::Completed => "completed",
            Act::Rejected if matches!(status, "requested" | "received") => "rejected",
            _ => "failed",
        };
        match () {
            () if self.is_late(task, report) || status == to => Nothing,
            () if self.table.owner_gets(status, to) => Becomes(to.into()),
            () => Refused,
        }
    }

    /// A Task that is sent back over REST, changed.
    pub(crate) fn of_move(&self, task: &Resource, held: bool, speaker: &Speaker, wanted: &Wanted) -> Expected {
        let (from, to) = (task.text("status").unwrap(), wanted.to.as_str());
        let before = owner(&task.body);
        let after = wanted.owner.as_deref().or(before.filter(|_| wanted.read.is_none()));
        let capacities = speaker.capacities(task, after);
        let derived = task.key.id.ends_with(".0");
        let taken = is_on_offer(from) && !is_terminal(to);
        // Once there is an owner, it stays; to name one is to speak for it.
        let changes_hands = before.is_some() && before != after;
        let claims_for_another = before.is_none() && after.is_some_and(|by| !speaker.may_be(by));
        if wanted.if_match.is_some_and(|version| version != task.version) {
            Refused
        } else if from == to && before == after {
            Nothing
        } else if changes_hands || claims_for_another || capacities.is_empty() {
            Refused
        } else if derived {
            let owns = capacities.contains(&"owner");
            let declines = owns && self.table.allows(true, from, to, &["owner"]);
            if from == to || declines { Becomes(to.into()) } else { Refused }
        } else if is_terminal(from) && from == to || taken && held && is_work(task) {
            Refused
        } else if from == to {
            Becomes(to.into())
        } else {
            let nameless = taken && after.is_none() && speaker.organization.is_empty();
            let before_its_turn = from == "draft" && is_on_offer(to);
            let legal = self.table.allows(false, from, to, &capacities);
            if legal && !nameless && !before_its_turn { Becomes(to.into()) } else { Refused }
        }
    }

    /// Only from its end a request does not come back, but to be called an error.
    pub(crate) fn of_change(&self, request: &Resource, speaker: &Speaker, to: &str) -> Expected {
        let from = request.text("status").unwrap();
        let ended = ["revoked", "cancelled", "completed", "entered-in-error"].contains(&from);
        match () {
            () if from == to => Nothing,
            () if !speaker.placer || (ended && to != "entered-in-error") => Refused,
            () => Becomes(to.into()),
        }
    }

    /// A request may be put into other words at any time; whoever had read it before it moved moves it back.
    pub(crate) fn of_other_words(&self, request: &Resource, speaker: &Speaker, read: &str) -> Expected {
        match self.of_change(request, speaker, read) {
            Nothing if speaker.placer => Becomes(read.into()),
            Nothing => Refused,
            other => other,
        }
    }

    /// A report was taken.
    pub(crate) fn heard(&mut self, task: &Key, report: &StatusReport) {
        let before = self.grants.get(task).map_or(0, |grant| grant.number);
        let number = if report.act == Act::Claim { report.sequence } else { report.sequence.max(before) };
        self.grants.insert(task.clone(), Grant { report: report.report_id.clone(), number });
    }

    /// Work that was given back is nobody's; older claims of it come too late.
    pub(crate) fn given_back(&mut self, task: &Resource) {
        self.grants.remove(&task.key);
        self.offered_anew(&task.key, task.version);
    }

    /// Claims by an older message of what is on offer come too late.
    pub(crate) fn offered_anew(&mut self, task: &Key, version: u32) {
        self.given_back.insert(task.clone(), version);
    }
}
