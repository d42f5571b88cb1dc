//! A family on its way through the service, step by step.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::prescription::Prescription;
use tests::{Client, Reply};
use uuid::Uuid;

use super::family::{Family, issues_of, number_in, pharmacy_of};
use super::message::{Expected, Message, Step, all_values, extension, id_of, items_in, part, told_state};

/// A row of a table.
pub(super) struct Row {
    pub(super) text: String,
    pub(super) is_right: bool,
    pub(super) is_refusal: bool,
}

impl Row {
    pub(super) fn new(name: &str, step: &str, expected: &str, got: &str, is_right: bool) -> Self {
        Self { text: format!("{name:104} | {step:8} | {expected:16} | {got}"), is_right, is_refusal: false }
    }

    pub(super) fn of_reply(name: &str, step: &str, expected: u16, reply: &Reply) -> Self {
        Self::new(name, step, &expected.to_string(), &told(reply), reply.status == expected)
    }
}

/// A family on its way through the service.
pub(super) struct Walk<'s> {
    pub(super) service: &'s Client,
    /// Its one prescription, as far as steps that were not published have to be made up.
    pub(super) made: Prescription,
    pub(super) pharmacy: String,
    pub(super) old_numbers: Vec<String>,
    pub(super) is_sent: bool,
    pub(super) is_released: bool,
    pub(super) release: String,
    /// What was taken: the step, the id that was published, and that by which the service knows it.
    pub(super) ids: Vec<(Step, String, String)>,
    pub(super) cancelled: BTreeSet<Uuid>,
    /// The states that the notifications told that hold.
    pub(super) told: Vec<String>,
    /// When that was last told of something handed over.
    pub(super) handed_over: Option<String>,
    /// Where it must stand now; none as long as it is nowhere.
    pub(super) state: Option<String>,
    pub(super) rows: Vec<Row>,
}

impl<'s> Walk<'s> {
    pub(super) fn new(service: &'s Client, family: &Family) -> Self {
        let all = |system: &str| -> Vec<String> {
            let bodies = family.messages.iter().map(|message| message.body.clone());
            all_values(&bodies.collect(), system)
        };
        let mut made = Prescription::new(1);
        if let Some(issues) = issues_of(family) {
            made = made.repeat_dispensing(issues, &family.day);
        }
        made.authored = Some(family.day.clone());
        let items = family.items();
        if !items.is_empty() {
            made.items = items;
        }
        if let Some(patient) = all("/Id/nhs-number").into_iter().next() {
            made.patient = patient;
        }
        let old_numbers = all("/Id/prescription-order-number");
        // What is wrong with an order may be its number.
        let is_refused = family.messages.iter().any(|m| m.step <= Step::Send && m.expected.status != 200);
        if let Some(number) = old_numbers.first().filter(|_| is_refused) {
            made.number = number.clone();
        }
        let dispensing = family.messages.iter().rev().filter(|message| message.step > Step::Cancel);
        let pharmacy = dispensing.filter_map(|message| pharmacy_of(&message.body)).next();
        Self {
            service,
            made,
            pharmacy: pharmacy.unwrap_or_else(|| "VNE51".into()),
            old_numbers,
            is_sent: false,
            is_released: false,
            release: String::new(),
            ids: Vec::new(),
            cancelled: BTreeSet::new(),
            told: Vec::new(),
            handed_over: None,
            state: None,
            rows: Vec::new(),
        }
    }

    /// The id of a message that was sent: of the published one that is named, else of the last.
    pub(super) fn id_now(&self, step: Step, published: &str) -> Option<&str> {
        let mut sent = self.ids.iter().rev().filter(|(of, ..)| *of == step);
        let named = sent.clone().find(|(_, old, _)| old == published);
        named.or_else(|| sent.next()).map(|(.., id)| id.as_str())
    }

    /// The same payload about the one prescription of this walk, with ids that nobody has had yet.
    pub(super) fn renewed(&self, message: &Message) -> Value {
        let mut text = message.body.to_string();
        for old in &self.old_numbers {
            text = text.replace(old.as_str(), &self.made.number);
        }
        if let Some(replaced) = message.replaced()
            && let Some(with) = self.id_now(message.step, &replaced)
        {
            text = text.replace(&replaced, with);
        }
        let mut body: Value = serde_json::from_str(&text).unwrap();
        let id = || Uuid::new_v4().to_string().into();
        match message.step {
            Step::Prepare | Step::Send | Step::Cancel | Step::Notify => body["identifier"]["value"] = id(),
            Step::Claim => body["identifier"][0]["value"] = id(),
            Step::Withdraw => {
                let told = body["focus"]["identifier"]["value"].as_str().unwrap_or_default();
                body["focus"]["identifier"]["value"] = self.id_now(Step::Notify, told).into();
            }
            Step::Return => body["focus"]["identifier"]["value"] = self.release.clone().into(),
            Step::Release => {
                for parameter in body["parameter"].as_array_mut().unwrap() {
                    if parameter["name"] == "owner" {
                        parameter["resource"]["identifier"][0]["value"] = self.pharmacy.clone().into();
                    }
                }
            }
        }
        body
    }

    /// `published`: the id that a published message had.
    pub(super) async fn posts(&mut self, step: Step, body: &Value, published: &str) -> Reply {
        let to = match step {
            Step::Prepare => "$prepare",
            Step::Send | Step::Cancel | Step::Notify => "$process-message",
            Step::Release => "Task/$release",
            Step::Return | Step::Withdraw => "Task",
            Step::Claim => "Claim",
        };
        let reply = self.service.post(to, body).await;
        if reply.status == 200 {
            self.ids.push((step, published.to_owned(), id_of(body).unwrap_or_default().to_owned()));
            self.moves(step, body, &reply);
        }
        reply
    }

    /// Where the service says that a prescription is after this.
    pub(super) fn moves(&mut self, step: Step, body: &Value, reply: &Reply) {
        let released = || if self.made.course == "continuous-repeat-dispensing" { "0003" } else { "0002" };
        let state = match step {
            Step::Prepare => return,
            Step::Send => {
                self.is_sent = true;
                "0001".into()
            }
            Step::Cancel => {
                let mut items = Vec::new();
                items_in(body, &mut items);
                self.cancelled.extend(if items.is_empty() { self.made.items.clone() } else { items });
                if self.cancelled.len() < self.made.items.len() { "0001".into() } else { "0005".into() }
            }
            Step::Release => {
                self.is_released = true;
                self.release = reply.body["id"].as_str().unwrap_or_default().to_owned();
                "0002".to_owned()
            }
            Step::Notify => {
                if extension(&body["entry"][0]["resource"], "Extension-replacementOf").is_some() {
                    self.told.pop();
                }
                self.told.push(told_state(body).to_owned());
                let dispense = part(body, "MedicationDispense").unwrap_or(&Value::Null);
                self.handed_over = dispense["whenHandedOver"].as_str().map(str::to_owned);
                told_state(body).to_owned()
            }
            // Back to what the notification before it told, or to what the release did.
            Step::Withdraw => {
                self.told.pop();
                self.told.last().cloned().unwrap_or_else(|| released().into())
            }
            Step::Return => {
                self.is_released = false;
                "0001".into()
            }
            Step::Claim => "0008".into(),
        };
        self.state = Some(state).filter(|_| self.is_sent);
    }

    /// What has to be before this step and was not published is made up.
    pub(super) async fn comes_to(&mut self, message: &Message) {
        let step = message.step;
        if self.old_numbers.is_empty() {
            return;
        }
        if step > Step::Send && !self.is_sent {
            let order = self.made.order();
            self.makes_up(Step::Send, order).await;
        }
        if step > Step::Release && !self.is_released {
            let release = self.made.release_by(&self.pharmacy);
            self.makes_up(Step::Release, release).await;
        }
        let is_amendment = message.replaced().is_some();
        let is_about_another = step == Step::Withdraw || (step == Step::Notify && is_amendment);
        if is_about_another && self.told.is_empty() {
            self.tells("0003").await;
        }
        if step == Step::Claim && !matches!(self.state.as_deref(), Some("0006" | "0008")) {
            self.tells("0006").await;
        }
        if step == Step::Claim && is_amendment && self.state.as_deref() != Some("0008") {
            let claim = self.made.claim_by(&self.pharmacy);
            self.makes_up(Step::Claim, claim).await;
        }
    }

    /// All that is left of it is handed over.
    pub(super) async fn tells(&mut self, state: &str) {
        let stands = self.made.stands(self.service).await;
        let items = stands.first().map(|(_, items)| items.as_slice()).unwrap_or_default();
        let is_over = |item: &&str| matches!(*item, "0002" | "0005" | "0006");
        let items: Vec<&str> = items.iter().map(|item| Some(item.as_str()).filter(is_over).unwrap_or("0001")).collect();
        let told = match &self.handed_over {
            Some(when) => self.made.notification_at(&self.pharmacy, state, &items, when),
            None => self.made.notification(&self.pharmacy, state, &items),
        };
        self.makes_up(Step::Notify, told).await;
    }

    pub(super) async fn makes_up(&mut self, step: Step, body: Value) {
        let reply = self.posts(step, &body, "").await;
        if reply.status != 200 {
            self.rows.push(Row::of_reply("(made up)", &format!("{step:?}"), 200, &reply));
        }
    }

    /// Sends one payload; a row of the table comes of it.
    pub(super) async fn takes(&mut self, name: &str, message: &Message) {
        self.comes_to(message).await;
        let body = self.renewed(message);
        let reply = self.posts(message.step, &body, id_of(&message.body).unwrap_or_default()).await;
        let lacking = message.expected.lacking_in(&reply);
        let step = format!("{:?}", message.step);
        let Expected { status, words, .. } = &message.expected;
        let expected = lacking.clone().unwrap_or_else(|| format!("{status} {words}"));
        let row = Row::new(name, &step, &expected, &told(&reply), lacking.is_none());
        self.rows.push(Row { is_refusal: *status != 200, ..row });
        if message.step == Step::Release && self.made.course == "continuous-repeat-dispensing" {
            let (expected, got) = (format!("0 of {}", self.made.repeats), told_repeats(&reply));
            self.rows.push(Row::new(name, "issue", &expected, &got, got == expected));
        }
    }

    /// Where the service says that it stands.
    pub(super) async fn is_tracked(&mut self, name: &str) {
        let Some(expected) = self.state.clone() else { return };
        let got = self.made.state(self.service).await;
        let is_right = got == expected;
        self.rows.push(Row::new(name, "track", &expected, &got, is_right));
    }
}

/// Which of the repeats was released.
pub(super) fn told_repeats(reply: &Reply) -> String {
    let number = |name: &str| number_in(&reply.body, &|one| Some(&one["valueInteger"]).filter(|_| one["url"] == name));
    let number = |name: &str| number(name).map_or_else(String::new, |number| number.to_string());
    format!("{} of {}", number("numberOfRepeatsIssued"), number("numberOfRepeatsAllowed"))
}

pub(super) fn told(reply: &Reply) -> String {
    let issue = &reply.body["issue"][0];
    let code = issue["details"]["coding"][0]["code"].as_str().unwrap_or_default();
    let words = issue["diagnostics"].as_str().unwrap_or_default().split(". ").next().unwrap_or_default();
    format!("{} {} {code} {words}", reply.status, reply.body["resourceType"].as_str().unwrap_or_default())
}
