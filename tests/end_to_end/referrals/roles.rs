//! Who may do what: somebody in each role tries every action in every state. What was offered works and leads where the
//! table says; all else is refused, and changes nothing. The published table is read here anew.

use std::collections::{BTreeMap, VecDeque};

use futures_util::future::join_all;
use hub_domain::workflows::ers::table::TABLE;
use serde_json::{Value, json};
use tests::{Hub, Reply, World, stories};

use super::advising::question;
use super::{
    CLINIC, Desk, PRACTICE, booking, clinic, coded, directory, document, letter, nothing, parameters, practice,
    referral, shortlist, slots, state, text,
};

stories![whoever_tries_whatever_in_any_state_may_do_what_it_was_offered, who_acts_for_a_clinician_says_for_whom];

const ROLES: [&str; 6] = [
    "REFERRING_CLINICIAN",
    "REFERRING_CLINICIAN_ADMIN",
    "REFERRING_ADMIN",
    "SERVICE_PROVIDER_CLINICIAN",
    "SERVICE_PROVIDER_CLINICIAN_ADMIN",
    "SERVICE_PROVIDER_ADMIN",
];
/// Where a referral, and a question, begins.
const BEGINNINGS: [&str; 2] = ["NOT_BOOKED", "PROVIDER_RESPONSE_REQUIRED"];

fn table() -> Value {
    serde_json::from_str(TABLE).unwrap()
}

fn has(list: &Value, word: &str) -> bool {
    list.as_array().unwrap().iter().any(|other| other == word)
}

/// The rows of actions, those that somebody in a role may take from a state.
fn rows<'t>(table: &'t Value, state: &'t str, role: &'t str) -> impl Iterator<Item = &'t Value> {
    let all = table["actions"].as_array().unwrap().iter();
    all.filter(move |row| has(&row["from"], state) && has(&row["by"], role))
}

/// By which actions, and of whom, each state is reached.
fn ways(table: &Value) -> BTreeMap<String, Vec<(String, &'static str)>> {
    let mut ways: BTreeMap<String, Vec<(String, &'static str)>> =
        BEGINNINGS.iter().map(|state| ((*state).to_owned(), Vec::new())).collect();
    let mut next: VecDeque<String> = ways.keys().cloned().collect();
    while let Some(state) = next.pop_front() {
        for role in ROLES {
            for row in rows(table, &state, role) {
                let Some(to) = row["to"].as_str().filter(|to| !ways.contains_key(*to)) else { continue };
                let mut way = ways[&state].clone();
                way.push((row["action"].as_str().unwrap().to_owned(), role));
                ways.insert(to.to_owned(), way);
                next.push_back(to.to_owned());
            }
        }
    }
    ways
}

fn desk(hub: &Hub, role: &'static str) -> Desk {
    let organization = if role.starts_with("REFERRING") { PRACTICE } else { CLINIC };
    Desk { role, organization, ..practice(hub) }
}

/// A referral or a question, with a service of its own that has two slots.
struct Case<'h> {
    hub: &'h Hub,
    service: String,
    slots: Vec<String>,
    /// Of the file that somebody may attach.
    binary: String,
    path: String,
}

impl<'h> Case<'h> {
    async fn begins(hub: &'h Hub, is_question: bool) -> Self {
        let by = practice(hub);
        // A service that does not say what it does does all of it.
        let service = directory(hub, "BOOKABLE").await;
        let mut body = hub.reads(&service).await;
        body.as_object_mut().unwrap().remove("characteristic");
        hub.put(&service, &body).await.is(200);
        let slots = slots(hub, &service, 2).await;
        let file = letter(&by, "file", "letter.txt").await;
        let binary = file["resource"]["content"][0]["attachment"]["url"].as_str().unwrap().to_owned();
        let path = if is_question {
            let asks = question(&service, "AUTHORISED_TO_CONVERT");
            by.post("ServiceRequest/$ers.createAdviceAndGuidance", &asks).await.is(201).reference()
        } else {
            by.refers(&[&service]).await
        };
        Self { hub, service, slots, binary, path }
    }

    /// One that is in a state.
    async fn at(hub: &'h Hub, table: &Value, state: &str, way: &[(String, &'static str)]) -> Self {
        let is_question = table["states"].as_array().unwrap().iter().any(|row| said_of(row) == (state, "advice"));
        let case = Self::begins(hub, is_question).await;
        for (action, role) in way {
            let reply = case.tries(&desk(hub, role), action, &case.slots[0]).await.unwrap();
            assert!(reply.status < 300, "{action} on the way to {state}: {}", reply.text);
        }
        assert_eq!(case.state().await, shown(table, state));
        case
    }

    async fn state(&self) -> String {
        state(&self.hub.reads(&self.path).await)
    }

    async fn version(&self) -> Value {
        self.hub.reads(&self.path).await["meta"]["versionId"].clone()
    }

    /// Somebody does this now, as it should be done; none when there is nothing to do it to.
    async fn tries(&self, desk: &Desk, action: &str, slot: &str) -> Option<Reply> {
        let operation = async |name: &str, all: Value| Some(desk.acts(&self.path, name, &parameters(all)).await);
        let reason = |name: &str, action: &str| coded(name, &reason_for(action, desk.role));
        let services = || shortlist(&[&self.service], "URGENT");
        match action {
            "change-shortlist" => operation("$ers.changeShortlist", json!([services()])).await,
            "send-for-triage" => operation("$ers.changeShortlistAndSendForTriage", json!([services()])).await,
            "maintain-letter" => {
                let letter = document("referralLetterFile", "letter.txt", &self.binary);
                operation("$ers.maintainReferralLetter", json!([letter])).await
            }
            "book" | "rebook" => Some(super::books(desk, &self.path, slot).await),
            "defer" => Some(self.defers(desk).await),
            "cancel-appointment" => self.cancels_appointment(desk).await,
            "accept" => operation("$ers.acceptReferral", json!([])).await,
            "reject" => {
                let no = json!([reason("rejectionReason", "reject"), text("rejectionComments", "No")]);
                operation("$ers.rejectReferral", no).await
            }
            "accept-book-later" | "return-with-advice" => {
                let outcome = match action {
                    "accept-book-later" => "ACCEPT_REFER_BOOK_LATER",
                    _ => "RETURN_TO_REFERRER_WITH_ADVICE",
                };
                let review = json!([coded("reviewOutcome", outcome), text("reviewComments", "Seen")]);
                operation("$ers.recordReviewOutcome", review).await
            }
            "cancel-appointment-action-later" => {
                operation("$ers.cancelAppointmentActionLater", json!([text("comments", "Later")])).await
            }
            "did-not-attend" => {
                operation("$recordNonAttendance", json!([reason("nonAttendanceReason", "did-not-attend")])).await
            }
            "attended" => operation("$recordAttendance", json!([])).await,
            "close" => operation("$close", json!([])).await,
            "cancel" => {
                let why = json!([reason("cancellationReason", "cancel"), text("cancellationComments", "So")]);
                operation("$ers.cancelReferral", why).await
            }
            "advise" | "ask-for-information" => {
                let outcome = match action {
                    "advise" => "RETURN_TO_REFERRER_WITH_ADVICE",
                    _ => "REQUIRE_FURTHER_INFORMATION",
                };
                let said = json!([coded("guidanceOutcome", outcome), text("guidance", "So")]);
                operation("$ers.sendCommunicationToRequester", said).await
            }
            "reply" => operation("$sendCommunicationToProvider", json!([text("information", "So")])).await,
            "convert" if desk.role.starts_with("REFERRING") => {
                Some(desk.acts(&self.path, "$ers.createFromCommunicationRequestActionLater", &nothing()).await)
            }
            "convert" => {
                let said = json!([text("guidance", "Seen"), text("reviewComments", "Book")]);
                operation("$ers.createFromCommunicationRequestActionLater", said).await
            }
            other => panic!("nobody knows how {other} is done"),
        }
    }

    /// There are no slots while it is tried.
    async fn defers(&self, desk: &Desk) -> Reply {
        let mut before = Vec::new();
        for slot in &self.slots {
            before.push(self.hub.reads(slot).await["status"].clone());
            self.hub.sets(slot, "status", "busy").await.is(200);
        }
        let mut body = booking(&self.path, "Slot/none");
        body.as_object_mut().unwrap().remove("slot");
        body["status"] = "proposed".into();
        body["reasonCode"] = json!([{ "coding": [{ "code": "NO_SLOTS_AT_SERVICE" }] }]);
        body["participant"][0]["actor"]["reference"] = self.service.as_str().into();
        let version = desk.version(&self.path).await;
        let reply = desk.post("Appointment", &body).header("if-match", version).await;
        for (slot, status) in self.slots.iter().zip(before) {
            self.hub.sets(slot, "status", status).await.is(200);
        }
        reply
    }

    async fn cancels_appointment(&self, desk: &Desk) -> Option<Reply> {
        let mut appointment = self.hub.finds(&format!("Appointment?based-on={}", self.path)).await.pop()?;
        let path = format!("Appointment/{}", appointment["id"].as_str().unwrap());
        let version = desk.version(&path).await;
        appointment["status"] = "cancelled".into();
        let reason = reason_for("cancel-appointment", desk.role);
        appointment["cancelationReason"] = json!({ "coding": [{ "code": reason }] });
        appointment["comment"] = "So".into();
        Some(desk.put(&path, &appointment).header("if-match", version).await)
    }
}

/// A reason that somebody in a role may give, with or without an appointment; of others, one that anybody may.
fn reason_for(action: &str, role: &str) -> String {
    let table = table();
    let all = table["reasons"].as_array().unwrap();
    let for_it = || all.iter().filter(|row| row["for"] == action && row["without_appointment"] != true);
    let row = for_it().find(|row| has(&row["by"], role)).or(for_it().next()).unwrap();
    row["code"].as_str().unwrap().to_owned()
}

async fn whoever_tries_whatever_in_any_state_may_do_what_it_was_offered(world: World) {
    let hub = world.hub().await;
    let service = directory(&hub, "BOOKABLE").await;
    for role in ROLES {
        let begun = desk(&hub, role).post("ServiceRequest/$ers.createReferral", &referral(&[&service])).await;
        let status = if role.starts_with("REFERRING_CLINICIAN") { 201 } else { 403 };
        assert_eq!(begun.status, status, "{role} begins a referral: {}", begun.text);
    }
    let table = table();
    let ways = ways(&table);
    let states: Vec<(&str, &str)> = table["states"].as_array().unwrap().iter().map(said_of).collect();
    assert!(states.iter().all(|(state, _)| *state == "ADVICE_CONVERTED" || ways.contains_key(*state)));
    let counted = join_all(states.iter().filter_map(|(state, _)| {
        let way = ways.get(*state)?;
        Some(tries_all(&hub, &table, state, way))
    }));
    let (done, refused) = counted.await.into_iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    let allowed = |role: &str| {
        let each = states.iter().map(|(state, _)| rows(&table, state, role).count());
        each.sum::<usize>()
    };
    assert_eq!(done, ROLES.iter().map(|role| allowed(role)).sum::<usize>(), "each row of the table was tried");
    assert!(refused > done, "{refused}");
    hub.closes().await;
}

/// A state and what it is of.
fn said_of(row: &Value) -> (&str, &str) {
    (row["state"].as_str().unwrap(), row["of"].as_str().unwrap())
}

/// In one state, everybody everything: how much was done, how much refused.
async fn tries_all(hub: &Hub, table: &Value, state: &str, way: &[(String, &'static str)]) -> (usize, usize) {
    let (mut done, mut refused) = (0, 0);
    let still = Case::at(hub, table, state, way).await;
    let before = still.version().await;
    let is_booked = ["BOOKED", "ACCEPTED"].contains(&state);
    for role in ROLES {
        let desk = desk(hub, role);
        let mut offered: Vec<&str> = rows(table, state, role).map(|row| row["code"].as_str().unwrap()).collect();
        let mut seen = Vec::new();
        offered.retain(|code| {
            !seen.contains(code) && {
                seen.push(*code);
                true
            }
        });
        assert_eq!(desk.may(&still.path).await, offered, "what {role} may do in {state}");

        let mut names: Vec<&str> =
            table["actions"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        // What is booked is rebooked, by the same call.
        names.retain(|name| *name != if is_booked { "book" } else { "rebook" });
        for name in names {
            let told = format!("{role} tries {name} in {state}");
            let Some(row) = rows(table, state, role).find(|row| row["action"] == name) else {
                if let Some(reply) = still.tries(&desk, name, &still.slots[1]).await {
                    assert!([403, 412, 422].contains(&reply.status), "{told}: {} {}", reply.status, reply.text);
                    refused += 1;
                }
                continue;
            };
            let case = Case::at(hub, table, state, way).await;
            let reply = case.tries(&desk, name, &case.slots[1]).await.unwrap();
            assert!(reply.status < 300, "{told}: {}", reply.text);
            assert_eq!(case.state().await, shown(table, row["to"].as_str().unwrap_or(state)), "{told}");
            done += 1;
        }
    }
    assert_eq!(still.version().await, before, "what was refused in {state} changed nothing");
    (done, refused)
}

/// The state that the service shows for one of ours.
fn shown<'t>(table: &'t Value, state: &'t str) -> &'t str {
    let row = table["states"].as_array().unwrap().iter().find(|row| row["state"] == state).unwrap();
    row["shown"].as_str().unwrap_or(state)
}

async fn who_acts_for_a_clinician_says_for_whom(world: World) {
    let hub = world.hub().await;
    let service = directory(&hub, "ADVICE_AND_GUIDANCE").await;
    let asks = question(&service, "NOT_AUTHORISED_TO_CONVERT");
    let asked = practice(&hub).post("ServiceRequest/$ers.createAdviceAndGuidance", &asks).await.is(201);
    let said = parameters(json!([coded("guidanceOutcome", "RETURN_TO_REFERRER_WITH_ADVICE"), text("guidance", "So")]));
    let path = format!("{}/$ers.sendCommunicationToRequester", asked.reference());
    let says = async |role: &'static str| {
        let request = Desk { role, ..clinic(&hub) }.post(&path, &said).header("if-match", "W/\"1\"");
        request.header("nhsd-ers-on-behalf-of-user-id", "555000000100").await
    };
    says("SERVICE_PROVIDER_CLINICIAN").await.refuses(403, "forbidden", "");
    says("SERVICE_PROVIDER_CLINICIAN_ADMIN").await.is(200);
    let told = hub.finds(&format!("Communication?based-on={}&_sort=-sent", asked.reference())).await;
    assert_eq!(told[0]["sender"]["identifier"]["value"], "555000000100");
    hub.closes().await;
}
