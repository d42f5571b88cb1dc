//! The states of referrals, the actions on them and who may take them, as the published table has them
//! (`tables/ers.json`). Whoever checks a history reads the same file.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemas::task::TaskStatus;
use serde::Deserialize;

pub use super::words::{Action, Role, State, Step};
use crate::task_machine::{Matrix, Transition};

/// The table as it is published.
pub const TABLE: &str = include_str!("../../../tables/ers.json");

/// The codes of actions and states that the service does not have.
const OWN_ACTIONS: &str = "urn:fhir-workflow-hub:referral-action";
const OWN_STATES: &str = "urn:fhir-workflow-hub:referral-state";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    Referral,
    Advice,
}

/// On which side somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Referrer,
    Provider,
}

impl Step {
    /// Of the codes of steps, in every plan.
    pub const SYSTEM: &str = "urn:fhir-workflow-hub:step";
}

impl Role {
    pub fn side(self) -> Side {
        match self {
            Self::ReferringClinician | Self::ReferringClinicianAdmin | Self::ReferringAdmin => Side::Referrer,
            Self::ProviderClinician | Self::ProviderClinicianAdmin | Self::ProviderAdmin => Side::Provider,
        }
    }

    /// Whether somebody in this role acts for a clinician, whom it names.
    pub fn is_for_a_clinician(self) -> bool {
        matches!(self, Self::ReferringClinicianAdmin | Self::ProviderClinicianAdmin)
    }
}

#[derive(Debug, Deserialize)]
struct Table {
    steps: Vec<StepRow>,
    states: Vec<StateRow>,
    actions: Vec<ActionRow>,
    reasons: Vec<ReasonRow>,
    worklists: Vec<Worklist>,
    transitions: Vec<Transition>,
}

#[derive(Debug, Deserialize)]
pub struct StepRow {
    pub step: Step,
    /// Of its Task, as the referral plan numbers it.
    pub number: usize,
    pub title: String,
    pub by: Side,
    /// Whether the provider may take it off its queue.
    #[serde(default)]
    pub queued: bool,
}

#[derive(Debug, Deserialize)]
struct StateRow {
    state: State,
    shown: Option<State>,
    display: String,
    #[serde(default)]
    ours: bool,
    of: Of,
    request: String,
    whole: String,
    steps: BTreeMap<Step, String>,
}

#[derive(Debug, Deserialize)]
pub struct ActionRow {
    pub action: Action,
    pub code: String,
    pub display: String,
    #[serde(default)]
    ours: bool,
    pub by: Vec<Role>,
    from: Vec<State>,
    /// None: it leads nowhere else.
    pub to: Option<State>,
    /// Where the referral begins that it makes.
    pub begins: Option<State>,
}

impl ActionRow {
    pub fn system(&self) -> &'static str {
        if self.ours { OWN_ACTIONS } else { "https://fhir.nhs.uk/STU3/CodeSystem/eRS-AvailableActionsForUser-1" }
    }
}

/// A code that may be given as the reason of an action.
#[derive(Debug, Deserialize)]
pub struct ReasonRow {
    list: String,
    r#for: Action,
    pub code: String,
    pub display: String,
    by: Vec<Role>,
    /// Whether a comment has to go with it.
    #[serde(default)]
    pub comment: bool,
    /// Whether it is for referrals without an appointment only.
    #[serde(default)]
    pub without_appointment: bool,
}

impl ReasonRow {
    /// The published list that it is of, as the service calls it at its own base.
    pub fn system(&self) -> String {
        if self.list.starts_with("eRS-") {
            format!("https://fhir.nhs.uk/STU3/CodeSystem/{}", self.list)
        } else {
            format!("https://api.service.nhs.uk/referrals/FHIR/STU3/CodeSystem/{}", self.list)
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct Worklist {
    pub list: String,
    pub of: Side,
    pub states: Vec<State>,
    /// The step whose open Tasks are on it, where the state does not tell.
    pub step: Option<Step>,
    /// What its entries are called.
    pub entry: String,
}

#[expect(clippy::expect_used, reason = "the table is part of the program, and a test reads it")]
static TABLES: LazyLock<(Table, Matrix)> = LazyLock::new(|| {
    let mut table: Table = serde_json::from_str(TABLE).expect("ers.json is readable");
    let transitions = std::mem::take(&mut table.transitions);
    (table, Matrix::of_rows(transitions))
});

/// The legal steps of the hub's own Tasks of a referral.
pub fn matrix() -> &'static Matrix {
    &TABLES.1
}

pub fn worklists() -> &'static [Worklist] {
    &TABLES.0.worklists
}

pub fn steps() -> &'static [StepRow] {
    &TABLES.0.steps
}

impl State {
    #[expect(clippy::expect_used, reason = "a test sees that every state has its row")]
    fn row(self) -> &'static StateRow {
        TABLES.0.states.iter().find(|row| row.state == self).expect("every state has a row")
    }

    pub fn of(self) -> Of {
        self.row().of
    }

    /// As the service says it: code and display.
    pub fn shown(self) -> (&'static str, &'static str) {
        let row = self.row();
        (row.shown.unwrap_or(row.state).code(), &row.display)
    }

    /// The system of the shown code.
    pub fn system(self) -> &'static str {
        let row = self.row();
        match row.of {
            _ if row.ours && row.shown.is_none() => OWN_STATES,
            Of::Referral => "https://fhir.nhs.uk/STU3/CodeSystem/eRS-ReferralState-1",
            Of::Advice => "https://fhir.nhs.uk/STU3/CodeSystem/eRS-AdviceAndGuidanceStatus-1",
        }
    }

    /// The system of its own code, under which the hub's Tasks have it.
    pub fn own_system(self) -> &'static str {
        if self.row().ours { OWN_STATES } else { self.system() }
    }

    /// ServiceRequest.status
    pub fn request(self) -> &'static str {
        &self.row().request
    }

    /// Where the fulfilment Task stands.
    pub fn whole(self) -> TaskStatus {
        TaskStatus::parse(&self.row().whole).unwrap_or(TaskStatus::Requested)
    }

    /// Where the Task of a step stands; none: where it was.
    pub fn step(self, step: Step) -> Option<TaskStatus> {
        TaskStatus::parse(self.row().steps.get(&step)?)
    }

    pub fn is_over(self) -> bool {
        self.request() != "active"
    }
}

/// What is said of an action that is not to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// Nobody in this role ever takes it.
    Role,
    /// It is for the other kind of request.
    Kind,
    /// Not from this state, or not by this role from here.
    State,
}

/// The row by which a role takes an action on what is in this state.
pub fn row(action: Action, state: State, by: Role) -> Result<&'static ActionRow, Against> {
    let rows = || TABLES.0.actions.iter().filter(move |row| row.action == action);
    if !rows().any(|row| row.by.contains(&by)) {
        return Err(Against::Role);
    }
    if !rows().any(|row| row.from.iter().any(|from| from.of() == state.of())) {
        return Err(Against::Kind);
    }
    rows().find(|row| row.from.contains(&state) && row.by.contains(&by)).ok_or(Against::State)
}

/// A reason for an action by its code.
pub fn reason(action: Action, code: &str) -> Option<&'static ReasonRow> {
    TABLES.0.reasons.iter().find(|row| row.r#for == action && row.code == code)
}

/// The codes by which a role may explain an action.
pub fn reasons(action: Action, by: Role) -> impl Iterator<Item = &'static ReasonRow> {
    TABLES.0.reasons.iter().filter(move |row| row.r#for == action && row.by.contains(&by))
}

/// What somebody in this role may do now, each by its code once.
pub fn available(state: State, by: Role) -> Vec<&'static ActionRow> {
    let mut rows: Vec<&ActionRow> = Vec::new();
    for row in TABLES.0.actions.iter().filter(|row| row.from.contains(&state) && row.by.contains(&by)) {
        if rows.iter().all(|other| other.code != row.code) {
            rows.push(row);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task_machine::Actor;

    fn all_states() -> impl Iterator<Item = State> {
        State::CODES.iter().filter_map(|code| State::parse(code))
    }

    fn all_roles() -> impl Iterator<Item = Role> {
        Role::CODES.iter().filter_map(|code| Role::parse(code))
    }

    #[test]
    fn every_state_has_its_row_and_every_status_is_one() {
        assert_eq!(TABLES.0.states.len(), State::CODES.len());
        for row in &TABLES.0.states {
            assert!(TaskStatus::parse(&row.whole).is_some(), "{:?}", row.state);
            assert!(row.steps.values().all(|status| TaskStatus::parse(status).is_some()), "{:?}", row.state);
            assert!(row.shown.is_none_or(|shown| shown.of() == row.of));
            assert_eq!(row.state.whole().is_terminal(), row.state.is_over(), "{:?}", row.state);
        }
    }

    #[test]
    fn an_action_of_a_role_leads_from_each_state_to_one() {
        for (n, row) in TABLES.0.actions.iter().enumerate() {
            let same = |other: &&ActionRow| {
                other.action == row.action
                    && other.from.iter().any(|from| row.from.contains(from))
                    && other.by.iter().any(|by| row.by.contains(by))
            };
            assert!(TABLES.0.actions[n + 1..].iter().all(|other| !same(&other)), "{:?}", row.action);
            let kinds: Vec<Of> = row.from.iter().chain(&row.to).map(|state| state.of()).collect();
            assert!(kinds.windows(2).all(|two| two[0] == two[1]), "{:?} stays with one kind of request", row.action);
        }
    }

    #[test]
    fn nothing_is_done_to_what_is_over_and_something_to_all_else() {
        for state in all_states() {
            let any = all_roles().any(|role| !available(state, role).is_empty());
            assert_eq!(any, !state.is_over(), "{state:?}");
        }
    }

    #[test]
    fn every_state_is_reached_from_the_beginning() {
        let mut reached = vec![State::NotBooked, State::AwaitingTriage, State::ProviderResponseRequired];
        let mut next = 0;
        while let Some(state) = reached.get(next).copied() {
            let rows = TABLES.0.actions.iter().filter(|row| row.from.contains(&state));
            let found: Vec<State> = rows.flat_map(|row| row.to.into_iter().chain(row.begins)).collect();
            reached.extend(found);
            let mut seen = Vec::new();
            reached.retain(|state| {
                !seen.contains(state) && {
                    seen.push(*state);
                    true
                }
            });
            next += 1;
        }
        assert_eq!(reached.len(), State::CODES.len());
    }

    #[test]
    fn a_task_that_has_to_follow_ends_or_has_a_way() {
        for to in all_states() {
            for (_, status) in TABLES.0.states.iter().flat_map(|row| &row.steps) {
                let status = TaskStatus::parse(status);
                assert!(
                    matrix().allows(None, status.unwrap_or(TaskStatus::Draft), &[Actor::Hub])
                        || matches!(status, Some(TaskStatus::Rejected | TaskStatus::Cancelled)),
                    "{to:?} {status:?}"
                );
            }
        }
    }

    /// The steps are those of the plan by which any other referral runs.
    #[test]
    fn the_steps_are_those_of_the_referral_plan() {
        let (_, plan) = crate::workflow::BUILT_IN.iter().find(|(file, _)| *file == "referral.json").unwrap();
        let plan: serde_json::Value = serde_json::from_str(plan).unwrap();
        let actions = plan["action"][0]["action"].as_array().unwrap();
        for (n, action) in actions.iter().enumerate() {
            let row = TABLES.0.steps.iter().find(|row| row.step.code() == action["id"]).unwrap();
            assert_eq!((row.number, row.title.as_str()), (n + 2, action["title"].as_str().unwrap()));
        }
        assert_eq!(actions.len(), 4);
    }
}
