//! What a worker reports off a queue: a claim, progress, the end. Repeats and latecomers change nothing.

use schemas::gate;
use schemas::message::{Act, StatusReport};
use schemas::outcome::IssueType;
use schemas::resource::{Body, Key, Resource};
use schemas::task::{TaskStatus, owner, reason};
use schemas::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::draft::Draft;
use super::order::Order;
use super::task::{self, Wish};
use super::{Moment, Stop, task_id};
use crate::command::Command;
use crate::decision::{Decision, ReportReply};
use crate::plan::run::TaskState;
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::Scene;
use crate::task_machine::{Actor, Matrix};
use crate::workflows;

pub(super) fn decide(
    scene: &Scene,
    command: &Command,
    report: &StatusReport,
    moment: &Moment,
) -> Result<Decision, Stop> {
    let key = Key::task(&report.task_id);
    let mut draft = Draft::new(scene, command, moment);
    let (task, root) = draft.named(&key)?;
    let task = task.clone();
    if !command.caller.may_be(&report.performer) {
        return Err(Refusal::forbidden("the broker knows this worker as another performer").into());
    }
    if task::is_derived(&draft, &key, root) {
        return Err(Refusal::conflict("a fulfilment Task follows its work items: nobody works on it").into());
    }
    let state = state(&draft, root, &key);
    let same = state.as_ref().is_some_and(|s| s.report.as_deref() == Some(&report.report_id));
    let is_late = |s: &TaskState| report.sequence <= s.sequence || is_of_earlier_grant(report, s);
    let late = report.act != Act::Claim && state.as_ref().is_some_and(is_late);
    let status = task::status_of(&task.body)?;
    let owns = owner(&task.body) == Some(report.performer.as_str());
    if owns && (same || late) {
        // A repeat, or a latecomer. Another claim of the same performer is another worker's: there is one winner.
        return if report.act == Act::Claim {
            granted_again(draft, report, root, &task, status)
        } else {
            Ok(unchanged(&task, moment.now))
        };
    }
    check(report)?;
    if draft.run_of(root).is_some_and(|run| run.record.is_some()) {
        workflows::report(&mut draft, report, root, &task)?;
    } else if report.act == Act::Claim {
        claim(&mut draft, report, root, &task, status)?;
    } else {
        progress(&mut draft, report, root, &task, status)?;
    }
    let renewed = renew_lease(&mut draft, root, &key)?;
    remember(&mut draft, report, root, &key);
    Ok(finish(draft, &key, &task, renewed))
}

/// What a report says is written into the Task as it is: it must be FHIR, as what comes over REST.
fn check(report: &StatusReport) -> Result<(), Stop> {
    let mut said = Body::new();
    let mut put = |name: &str, value: Value| said.insert(name.into(), value);
    put("resourceType", "Task".into());
    put("status", TaskStatus::Requested.code().into());
    put("intent", "order".into());
    put("owner", json!({ "reference": report.performer }));
    report.business_status.clone().map(|business| put("businessStatus", business.into()));
    report.status_reason.clone().map(|why| put("statusReason", why.into()));
    if !report.output.is_empty() {
        put("output", report.output.iter().cloned().map(Value::Object).collect());
    }
    let faults = |faults| Refusal::new(RefusalKind::Unprocessable, faults).into();
    gate::check(&said, Some("Task")).map_err(faults)
}

/// About a version before the Task was given back.
fn is_of_earlier_grant(report: &StatusReport, state: &TaskState) -> bool {
    report.task_version.is_some_and(|version| Some(version) < state.offered)
}

fn state(draft: &Draft, root: Uuid, key: &Key) -> Option<TaskState> {
    let run = draft.run_of(root).filter(|run| task::is_current(run, key))?;
    run.tasks.get(task::step_of(key)).cloned()
}

fn granted_again(
    mut draft: Draft,
    report: &StatusReport,
    root: Uuid,
    task: &Resource,
    status: TaskStatus,
) -> Result<Decision, Stop> {
    if status.is_terminal() {
        return Err(Refusal::conflict(format!("the Task is {status} already")).into());
    }
    let until = renew_lease(&mut draft, root, &task.key)?;
    if until.is_some() {
        remember(&mut draft, report, root, &task.key);
    }
    Ok(finish(draft, &task.key, task, until))
}

fn unchanged(task: &Resource, now: Timestamp) -> Decision {
    let mut decision = Decision::default();
    decision.reply.report =
        Some(ReportReply { task_version: task.version, lease_until: None, at: now.0, effect: false });
    decision
}

fn claim(
    draft: &mut Draft,
    report: &StatusReport,
    root: Uuid,
    task: &Resource,
    status: TaskStatus,
) -> Result<(), Stop> {
    if !status.is_offered() {
        return Err(Refusal::conflict(format!("the Task is {status}: it cannot be claimed")).into());
    }
    if task.body.contains_key("owner") && owner(&task.body) != Some(report.performer.as_str()) {
        return Err(Refusal::conflict("the Task is another performer's").into());
    }
    task::check_meant(draft, task, root, &report.performer)?;
    if task::is_held(draft, root, &task.body) {
        return Err(Refusal::conflict("the request is on hold: nothing is granted now").into());
    }
    let state = state(draft, root, &task.key).unwrap_or_default();
    if state.report.is_some() {
        return Err(Refusal::conflict("the Task is another worker's").into());
    }
    if is_of_earlier_grant(report, &state) {
        return Err(Refusal::conflict("the Task was offered anew since the version that this claims").into());
    }
    // A ready Task needs no acceptance: the claim only names its owner.
    let way = if status == TaskStatus::Requested { vec![TaskStatus::Accepted] } else { Vec::new() };
    if let Some(to) = way.first() {
        Matrix::of_work().check(Some(status), *to, &[Actor::Candidate, Actor::Owner])?;
    }
    let wish = Wish { claimed_by: Some(json!({ "reference": report.performer })), ..Wish::default() };
    task::apply(draft, &task.key, root, &way, wish)?;
    Ok(())
}

fn progress(
    draft: &mut Draft,
    report: &StatusReport,
    root: Uuid,
    task: &Resource,
    status: TaskStatus,
) -> Result<(), Stop> {
    if owner(&task.body) != Some(report.performer.as_str()) {
        let text = "the Task is not this performer's: claim it first";
        return Err(Refusal::one(RefusalKind::Conflict, IssueType::Conflict, "Task.owner", text).into());
    }
    let to = wanted(report.act, status);
    let actors = [Actor::Owner];
    let Some(way) = Matrix::of_work().way(status, to, &actors) else {
        // Says what is allowed instead.
        Matrix::of_work().check(Some(status), to, &actors)?;
        return Ok(());
    };
    let wish = wish(report, to);
    // What has ended is not added to: it was reported twice.
    if way.is_empty() && (status.is_terminal() || wish.set.is_empty() && wish.outputs.is_empty()) {
        return Ok(());
    }
    task::apply(draft, &task.key, root, &way, wish)?;
    Ok(())
}

/// Where an act takes a Task. To refuse is to reject before the start, and to fail after.
fn wanted(act: Act, status: TaskStatus) -> TaskStatus {
    match act {
        Act::Claim => TaskStatus::Accepted,
        Act::InProgress => TaskStatus::InProgress,
        Act::OnHold => TaskStatus::OnHold,
        Act::Completed => TaskStatus::Completed,
        Act::Failed => TaskStatus::Failed,
        // Once accepted there is no rejecting: it began, and failed.
        Act::Rejected if matches!(status, TaskStatus::Requested | TaskStatus::Received) => TaskStatus::Rejected,
        Act::Rejected => TaskStatus::Failed,
    }
}

fn wish(report: &StatusReport, to: TaskStatus) -> Wish {
    let mut set = Vec::new();
    if let Some(business) = &report.business_status {
        set.push(("businessStatus", Value::Object(business.clone())));
    }
    if let Some(why) = &report.status_reason {
        set.push(("statusReason", Value::Object(why.clone())));
    } else if to == TaskStatus::Failed || to == TaskStatus::Rejected {
        set.push(("statusReason", reason("not-given", "the performer gave no reason")));
    }
    let outputs = report.output.iter().cloned().map(Value::Object).collect();
    Wish { set, outputs, ..Wish::default() }
}

/// A claim holds for the lease of its kind of work, from the last report on.
fn renew_lease(draft: &mut Draft, root: Uuid, key: &Key) -> Result<Option<Timestamp>, Stop> {
    let held = task::status_of(&draft.get(key)?.body).is_ok_and(|status| !status.is_terminal());
    let Some(id) = task_id(key).filter(|_| held) else { return Ok(None) };
    match Order::find(draft, root)? {
        Some(mut order) => order.renew_lease(id.step as usize),
        None => Ok(None),
    }
}

fn remember(draft: &mut Draft, report: &StatusReport, root: Uuid, key: &Key) {
    let Some(run) = draft.head(root).run.as_mut() else { return };
    if !task::is_current(run, key) {
        return;
    }
    if let Some(state) = task::state_of(run, key) {
        // Each grant counts from its claim on.
        let before = if report.act == Act::Claim { 0 } else { state.sequence };
        state.sequence = before.max(report.sequence);
        // Of what has ended every further report is a late one.
        let is_over = state.status.is_some_and(TaskStatus::is_terminal);
        state.report = (!is_over).then(|| report.report_id.clone());
    }
}

fn finish(mut draft: Draft, key: &Key, before: &Resource, lease: Option<Timestamp>) -> Decision {
    let version = draft.find(key).map_or(before.version, |task| task.version);
    draft.decision.reply.report = Some(ReportReply {
        task_version: version,
        lease_until: lease.map(|until| until.0),
        at: draft.now().0,
        effect: version != before.version || lease.is_some(),
    });
    draft.finish()
}
