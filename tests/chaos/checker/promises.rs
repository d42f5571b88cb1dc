//! Whether every answer that a client was given holds.

use std::collections::{BTreeSet, HashMap};

use super::ledger::{Ledger, Step, parts_of};
use super::verdict::{Fact, Fault, Verdict};
use crate::diary::Entry;

/// By If-Match: the Task has another version.
const OTHER_VERSION: u16 = 412;
/// The client was too slow, or is to come again.
const LATER: [u16; 2] = [408, 429];

pub(super) fn judge(diary: &[Entry], ledger: &Ledger, verdict: &mut Verdict) {
    let mut claims: HashMap<(&str, u32), Vec<Claim>> = HashMap::new();
    for entry in diary {
        match entry {
            Entry::Submitted { identifier, kind, answers, request, fulfilment, .. } => {
                let order = Order { identifier, kind, answers, request, fulfilment };
                order.judge(ledger, verdict);
            }
            Entry::Claimed { task, performer, version_before, answers, won, .. } => {
                let claim = Claim { performer, last: answers.last().copied().unwrap_or_default(), won: *won };
                claims.entry((task, *version_before)).or_default().push(claim);
            }
            Entry::Moved { task, performer, to, done: true, .. } => {
                let is_it = |step: &Step| step.status == *to && step.owner == *performer;
                if !history(ledger, task).iter().any(is_it) {
                    verdict.blame(Fault::Broken, || format!("{task} never became {to}, as {performer} was told"));
                }
            }
            Entry::Cancelled { request, done: true, .. }
                if ledger.requests.get(request).is_none_or(|request| request.revoked_us.is_none()) =>
            {
                verdict.blame(Fault::Broken, || format!("{request} was never revoked, as its placer was told"));
            }
            _ => {}
        }
    }
    judge_refused_revocations(diary, ledger, verdict);
    for ((task, version), claims) in claims {
        judge_claims(task, version, &claims, history(ledger, task), verdict);
    }
}

/// Who was told no has not revoked it: a request that nobody was told yes of stays as it was.
fn judge_refused_revocations(diary: &[Entry], ledger: &Ledger, verdict: &mut Verdict) {
    let mut all_refused: HashMap<&str, bool> = HashMap::new();
    for entry in diary {
        if let Entry::Cancelled { request, answers, .. } = entry {
            let is_refused = answers.last().copied().is_some_and(is_no);
            all_refused.entry(request).and_modify(|all| *all &= is_refused).or_insert(is_refused);
        }
    }
    for (request, _) in all_refused.into_iter().filter(|(_, is_refused)| *is_refused) {
        if ledger.requests.get(request).is_some_and(|request| request.revoked_us.is_some()) {
            verdict.blame(Fault::Broken, || format!("{request} is revoked, and whoever asked for it was told no"));
        }
    }
}

fn history<'l>(ledger: &'l Ledger, task: &str) -> &'l [Step] {
    ledger.watched.get(task).map(Vec::as_slice).unwrap_or_default()
}

/// An order as its placer knows it.
struct Order<'a> {
    identifier: &'a str,
    kind: &'a str,
    answers: &'a [(u16, String, String)],
    request: &'a str,
    fulfilment: &'a str,
}

impl Order<'_> {
    fn judge(&self, ledger: &Ledger, verdict: &mut Verdict) {
        let name = self.identifier;
        let there = ledger.identified.get(name).map(Vec::as_slice).unwrap_or_default();
        if there.len() > 1 {
            verdict.blame(Fault::Doubled, || format!("{name} is there {} times: {}", there.len(), there.join(", ")));
        }
        let answers: BTreeSet<&str> =
            self.answers.iter().filter(|answer| is_yes(answer.0)).map(|a| self.told(a)).collect();
        if answers.len() > 1 {
            let told = answers.into_iter().collect::<Vec<_>>().join(" and ");
            verdict.blame(Fault::Doubled, || format!("{name} was answered differently: {told}"));
        }
        self.is_not_refused(verdict);
        if self.request.is_empty() {
            verdict.saw(Fact::UnansweredButThere, there.len().min(1));
        } else {
            self.is_there(there, ledger, verdict);
        }
    }

    /// What a yes names. That to a Bundle has no location: its body stands for it.
    fn told<'a>(&self, (_, location, digest): &'a (u16, String, String)) -> &'a str {
        if self.kind == "Bundle" { digest } else { location.split("/_history/").next().unwrap_or_default() }
    }

    /// Every order was good: there is no reason for a no, least of all after a yes.
    fn is_not_refused(&self, verdict: &mut Verdict) {
        if let Some((status, ..)) = self.answers.iter().find(|answer| is_no(answer.0)) {
            verdict.blame(Fault::Refused, || format!("{} was answered {status}", self.identifier));
        }
    }

    fn is_there(&self, there: &[String], ledger: &Ledger, verdict: &mut Verdict) {
        let (name, request) = (self.identifier, self.request);
        if !there.iter().any(|found| found == request) {
            return verdict.blame(Fault::Lost, || format!("{name} was acknowledged as {request}, which is not there"));
        }
        let root = self.fulfilment.strip_prefix("Task/").and_then(parts_of).map(|(root, ..)| root);
        if root.is_none_or(|root| ledger.fulfilment(root).is_none()) {
            let fulfilment = self.fulfilment;
            return verdict.blame(Fault::Lost, || format!("{name} ({request}) has no fulfilment Task '{fulfilment}'"));
        }
        if root != ledger.requests.get(request).map(|request| request.root) {
            let fulfilment = self.fulfilment;
            verdict.blame(Fault::Doubled, || format!("{name} ({request}) belongs to another order than {fulfilment}"));
        }
    }
}

fn is_yes(status: u16) -> bool {
    matches!(status, 200 | 201)
}

/// What was asked was wrong: to ask again would not help.
pub(super) fn is_no(status: u16) -> bool {
    (400..500).contains(&status) && !LATER.contains(&status)
}

struct Claim<'a> {
    performer: &'a str,
    /// The last answer.
    last: u16,
    won: bool,
}

/// All claims to one version of a Task. Whoever won has it, and keeps it to its end.
fn judge_claims(task: &str, version: u32, claims: &[Claim], history: &[Step], verdict: &mut Verdict) {
    let won: Vec<&Claim> = claims.iter().filter(|claim| claim.won).collect();
    if won.len() > 1 {
        verdict.blame(Fault::DoneTwice, || format!("{task} version {version} was granted to {} claims", won.len()));
    }
    let next = history.iter().find(|step| step.version == version + 1);
    let owner = next.filter(|step| step.status == "accepted").map(|step| step.owner.as_str());
    for Claim { performer, .. } in won {
        if owner != Some(performer) {
            let who = owner.unwrap_or("nobody");
            verdict.blame(Fault::Broken, || format!("{task} was granted to {performer}, and {who} has taken it"));
        } else if let Some(end) = history.last().filter(|step| step.owner != *performer) {
            verdict.blame(Fault::Broken, || format!("{task} was granted to {performer}, and is '{}'s", end.owner));
        }
    }
    // The version was what it should be, or the claim could not have succeeded: the no came from its own yes.
    if let [claim] = claims
        && claim.last == OTHER_VERSION
        && owner == Some(claim.performer)
    {
        verdict.blame(Fault::Broken, || format!("{task} is {}'s by a claim that was answered 412", claim.performer));
    }
}
