//! What its request, or the performer of the whole, may do to a running order: revoke it, declare it complete, put it on
//! hold, resume it, decline it.

use schemas::resource::Key;
use schemas::task::{TaskStatus, asked_code, reason};
use serde_json::Value;

use super::Stop;
use super::order::Order;
use crate::task_machine::Actor;

impl Order<'_, '_> {
    /// No longer on hold: whoever has not begun to pause or to go on need not.
    fn stop_holding(&mut self) -> Result<(), Stop> {
        if !std::mem::take(&mut self.run().held) {
            return Ok(());
        }
        let asked: Vec<usize> = (self.graph.nodes.len()..self.run().tasks.len()).collect();
        self.look_at(&asked)?;
        for step in asked {
            let key = Key::task(self.id_of(step));
            let asked = self.draft.find(&key).and_then(|task| asked_code(&task.body));
            let pause = matches!(asked, Some("suspend" | "resume"));
            let begun = self.state(step).status.is_none_or(|status| status.is_terminal() || status.is_started());
            if pause && !begun {
                self.cancel(step, "no-longer-on-hold")?;
            }
        }
        Ok(())
    }

    /// The named performer of the whole declines before anything has started.
    pub(crate) fn decline(&mut self, why: Option<Value>) -> Result<(), Stop> {
        self.cause = why;
        for leaf in self.look_at_all()? {
            self.cancel(leaf, "declined")?;
        }
        let cause = self.cause.clone();
        self.call_back()?;
        self.move_task(0, TaskStatus::Rejected, Actor::Owner, |body| {
            if let Some(cause) = cause {
                body.insert("statusReason".into(), cause);
            }
        })?;
        self.follow_joined()
    }

    /// Requests were revoked (or entered in error): their steps end; with the last of them, the order, once it goes on.
    pub(crate) fn revoke(&mut self, items: &[usize], all: bool, why: &str) -> Result<(), Stop> {
        self.cause = Some(reason(why, "the request was withdrawn"));
        for leaf in self.look_at_all()? {
            let concerned = all || self.graph.nodes[leaf].item.is_some_and(|item| items.contains(&item));
            // What was cancelled or failed before is not missed any more either.
            if concerned && self.state(leaf).status != Some(TaskStatus::Completed) {
                self.state(leaf).withdrawn = true;
                self.cancel(leaf, why)?;
            }
        }
        if all {
            self.run().revoked = true;
            self.stop_holding()?;
        }
        Ok(())
    }

    /// The placer declared the order complete: nothing else begins.
    pub(crate) fn close(&mut self) -> Result<(), Stop> {
        self.cause = Some(reason("request-completed", "the placer declared the request complete"));
        for leaf in self.look_at_all()? {
            if self.state(leaf).status.is_none_or(|status| !status.is_terminal() && !status.is_started()) {
                self.cancel(leaf, "request-completed")?;
            }
        }
        self.run().closed = true;
        self.stop_holding()?;
        self.go_on()
    }

    /// On hold: nothing is released or granted, and who has started is asked to pause.
    pub(crate) fn hold(&mut self) -> Result<(), Stop> {
        self.run().held = true;
        for leaf in self.look_at_all()? {
            if self.state(leaf).status == Some(TaskStatus::InProgress) {
                self.ask(leaf, "suspend")?;
            }
        }
        self.go_on()
    }

    /// Active again: what was on offer is published once more, and who paused is asked to go on.
    pub(crate) fn resume(&mut self) -> Result<(), Stop> {
        self.stop_holding()?;
        for leaf in self.look_at_all()? {
            let is_engaged = self.state(leaf).is_engaged();
            match self.state(leaf).status {
                Some(TaskStatus::OnHold) => self.ask(leaf, "resume")?,
                Some(status) if status.is_offered() && !is_engaged => self.offer_anew(leaf)?,
                _ => {}
            }
        }
        self.go_on()
    }
}
