//! The referrals of the e-Referral Service and their bookings: whether a slot was ever had by two, whether each slot is as
//! its appointments say, and whether what referrers were told holds. Judged from the resources and their histories alone.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::ledger::{Appointment, Ledger, Moment, Task};
use super::promises::is_no;
use super::verdict::{Fact, Fault, Verdict};
use crate::diary::Entry;

/// Steps of the referral plan that every referral has from its beginning: triage, booking, attendance, report.
const STEPS: std::ops::RangeInclusive<u32> = 2..=5;
/// The only no that a good booking may hear.
const TAKEN: &str = "SLOT_NOT_AVAILABLE";
/// How an appointment gives back its slot. However else it ends, it keeps it.
const GIVEN_BACK: &str = "cancelled";

// ---- whether it is whole

/// Judges the referral with these requests.
pub(super) fn is_whole(root: Uuid, requests: &[String], ledger: &Ledger, verdict: &mut Verdict) {
    let tasks = ledger.orders.get(&root).map(Vec::as_slice).unwrap_or_default();
    let Some(whole) = tasks.iter().find(|task| task.step == 0) else {
        return verdict.blame(Fault::Lost, || format!("referral {root} has no fulfilment Task"));
    };
    for step in STEPS {
        let mut offers: Vec<&Task> = tasks.iter().filter(|task| task.step == step).collect();
        offers.sort_by_key(|task| task.offer);
        if offers.is_empty() || offers.iter().zip(1..).any(|(task, n)| task.offer != n) {
            verdict.blame(Fault::Lost, || format!("referral {root} misses a Task of step {step}"));
        }
    }
    for status in requests.iter().filter_map(|name| Some(&ledger.requests.get(name)?.status)) {
        if !matches!((status.as_str(), whole.status.as_str()), ("completed", "completed") | ("revoked", "cancelled")) {
            let whole = &whole.status;
            verdict.blame(Fault::Unfit, || format!("referral {root} is {status}, its fulfilment Task {whole}"));
        }
    }
}

// ---- slots and answers

pub(super) fn judge(diary: &[Entry], ledger: &Ledger, verdict: &mut Verdict) {
    let mut of_slots: HashMap<&str, Vec<&Appointment>> =
        ledger.slots.keys().map(|slot| (slot.as_str(), Vec::new())).collect();
    for appointment in ledger.appointments.values() {
        of_slots.entry(&appointment.slot).or_default().push(appointment);
    }
    for (slot, appointments) in of_slots {
        let history = ledger.slots.get(slot).map(Vec::as_slice).unwrap_or_default();
        judge_slot(slot, history, &appointments, verdict);
    }
    judge_answers(diary, ledger, verdict);
    count_races(diary, verdict);
}

/// One has it at any time, and it is busy for as long.
fn judge_slot(name: &str, history: &[Moment], appointments: &[&Appointment], verdict: &mut Verdict) {
    let mut changes: Vec<(i64, i32)> = appointments.iter().flat_map(|appointment| appointment.changes()).collect();
    // What is given back in a moment can be had in the same.
    changes.sort_unstable();
    let mut holders = 0;
    let most = changes.iter().map(|(_, change)| {
        holders += change;
        holders
    });
    let most = most.max().unwrap_or_default();
    if most > 1 {
        verdict.blame(Fault::BookedTwice, || format!("{name} had {most} appointments at once"));
    }
    let status = history.last().map_or("not there", |moment| &moment.status);
    if (status == "busy") != (holders > 0) {
        verdict.blame(Fault::Slot, || format!("{name} is {status} in the end, and {holders} have it"));
    }
    let (taken, times) = (history.iter().filter(|moment| moment.status == "busy").count(), appointments.len());
    if taken != times {
        verdict.blame(Fault::Slot, || format!("{name} became busy {taken} times, for {times} appointments"));
    }
}

impl Appointment {
    /// When it took its slot, and when it gave it back.
    fn changes(&self) -> impl Iterator<Item = (i64, i32)> {
        let taken = self.history.first().map(|moment| (moment.at_us, 1));
        let given_back = self.history.iter().find(|moment| moment.status == GIVEN_BACK);
        taken.into_iter().chain(given_back.map(|moment| (moment.at_us, -1)))
    }

    fn status(&self) -> &str {
        self.history.last().map_or("", |moment| &moment.status)
    }
}

fn judge_answers(diary: &[Entry], ledger: &Ledger, verdict: &mut Verdict) {
    let mut told: HashSet<&str> = HashSet::new();
    let mut unanswered: HashSet<(&str, &str)> = HashSet::new();
    for entry in diary {
        match entry {
            Entry::Referred { number, request, answers, .. } => {
                is_taken(request, answers, verdict);
                let there = ledger.identified.get(number).map(Vec::as_slice).unwrap_or_default();
                if !request.is_empty() && !there.contains(request) {
                    verdict.blame(Fault::Lost, || format!("{request} was acknowledged, and is not there"));
                }
                if there.len() > 1 {
                    verdict.blame(Fault::Doubled, || format!("number {number} has {}", there.join(", ")));
                }
            }
            Entry::Booked { request, slot, appointment, .. } if !appointment.is_empty() => {
                let is_theirs = |there: &&Appointment| there.request == *request && there.slot == *slot;
                if ledger.appointments.get(appointment).filter(is_theirs).is_none() || !told.insert(appointment) {
                    verdict.blame(Fault::NotBooked, || format!("{request} was given {slot} by {appointment}"));
                }
            }
            Entry::Booked { code, .. } if code == TAKEN => {}
            Entry::Booked { request, slot, code, answers, .. } => {
                is_taken(&format!("{request} at {slot} ({code})"), answers, verdict);
                unanswered.insert((request, slot));
            }
            Entry::Appointed { appointment, to, answers, done } => {
                is_taken(appointment, answers, verdict);
                let status = ledger.appointments.get(appointment).map_or("not there", Appointment::status);
                if *done && status != to {
                    verdict.blame(Fault::NotBooked, || format!("{appointment} was to be {to}, and is {status}"));
                }
            }
            _ => {}
        }
    }
    for (name, Appointment { request, slot, .. }) in &ledger.appointments {
        if !told.contains(name.as_str()) && !unanswered.contains(&(request, slot)) {
            verdict.blame(Fault::NotBooked, || format!("{request} has {slot} by {name}, and was told that it has not"));
        }
    }
}

/// Whoever acts on a referral is the only one who does, and does it by its state and version: there is no reason for a no.
fn is_taken(name: &str, answers: &[u16], verdict: &mut Verdict) {
    if let Some(status) = answers.iter().find(|status| is_no(**status)) {
        verdict.blame(Fault::Refused, || format!("{name} was answered {status}"));
    }
}

/// Those in which somebody won and somebody lost.
fn count_races(diary: &[Entry], verdict: &mut Verdict) {
    let mut races: HashMap<(u32, &str), (bool, bool)> = HashMap::new();
    for entry in diary {
        if let Entry::Booked { race, slot, appointment, code, .. } = entry {
            let (is_won, is_lost) = races.entry((*race, slot)).or_default();
            *is_won |= !appointment.is_empty();
            *is_lost |= code == TAKEN;
        }
    }
    verdict.saw(Fact::Raced, races.values().filter(|race| **race == (true, true)).count());
}
