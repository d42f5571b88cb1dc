//! Those who refer by the e-Referral Service, and all want the same few slots. They go by one clock: at each tick one slot
//! is wanted by whoever has none, or would rather have that one; whoever has it may give it back in the same moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::referral::{booking, coded, entry_of, parameters, referral, slot_of};
use tests::{Client, Request};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::clients::{Clients, Told};
use crate::diary::Entry;

pub(crate) const REFERRERS: usize = 6;
/// That can be had at one time.
const SLOTS: usize = 3;
const TICK: Duration = Duration::from_millis(600);
/// So often one books, books anew or gives back before the referral comes to its end.
const TURNS: usize = 5;

/// A role, and the organisation that it is had in.
type Desk = [&'static str; 2];
const PRACTICE: Desk = ["REFERRING_CLINICIAN", "R68"];
const CLINIC: Desk = ["SERVICE_PROVIDER_CLINICIAN", "R69"];

/// All of them share this.
pub(crate) struct Referrers {
    clients: Arc<Clients>,
    begun: Instant,
    slots: Mutex<Vec<String>>,
}

/// What they refer to: a service, and the schedule of its slots.
pub(crate) struct Clinic {
    service: String,
    schedule: String,
}

/// A referral, as its referrer knows it.
pub(crate) struct Referral {
    /// `ServiceRequest/id`
    pub(crate) request: String,
    /// Nobody else acts on it: each thing that is done is one more.
    version: u32,
    pub(crate) held: Option<Held>,
}

/// The appointment that holds.
pub(crate) struct Held {
    pub(crate) slot: String,
    /// `Appointment/id`
    pub(crate) name: String,
    body: Value,
}

impl Referrers {
    pub(crate) fn new(clients: Arc<Clients>) -> Arc<Self> {
        Arc::new(Self { clients, begun: Instant::now(), slots: Mutex::default() })
    }

    /// Each ends when its last referral has come to its end.
    pub(crate) fn begin(self: Arc<Self>, jobs: &mut JoinSet<()>, chance: &mut Rng) {
        let mut chance = chance.fork();
        jobs.spawn(async move {
            if let Some(clinic) = self.opens(&mut chance).await {
                let chances: Vec<Rng> = (0..REFERRERS).map(|_| chance.fork()).collect();
                join_all(chances.into_iter().map(|chance| self.refer(&clinic, chance))).await;
            }
        });
    }

    /// The clinic is there, with all slots free.
    pub(crate) async fn opens(&self, chance: &mut Rng) -> Option<Clinic> {
        let service = self.puts(&entry_of(CLINIC[1], "BOOKABLE"), chance).await?;
        let schedule = json!({ "resourceType": "Schedule", "actor": [{ "reference": service }] });
        let schedule = self.puts(&schedule, chance).await?;
        for day in 1..=SLOTS {
            let slot = self.puts(&slot_of(&schedule, day), chance).await?;
            self.slots().push(slot);
        }
        Some(Clinic { service, schedule })
    }

    async fn refer(&self, clinic: &Clinic, mut chance: Rng) {
        while self.clients.goes_on(TICK, &mut chance).await {
            let Some(mut referral) = self.begins(clinic, &mut chance).await else { continue };
            for _ in 0..TURNS {
                let (race, slot) = self.wanted().await;
                let has_it = referral.held.as_ref().is_some_and(|held| held.slot == slot);
                if has_it || (referral.held.is_some() && chance.u8(0..4) == 0) {
                    self.gives_back(&mut referral, &mut chance).await;
                } else {
                    self.books(&mut referral, race, &slot, &mut chance).await;
                }
            }
            if referral.held.is_some() && chance.bool() {
                self.attends(&mut referral, clinic, &mut chance).await;
            } else {
                self.cancels(&mut referral, &mut chance).await;
            }
        }
    }

    /// At the next tick: its number, and the slot that is wanted then.
    async fn wanted(&self) -> (u32, String) {
        let race = (self.begun.elapsed().as_millis() / TICK.as_millis()) as u32 + 1;
        sleep_until(self.begun + TICK * race).await;
        (race, self.slots()[race as usize % SLOTS].clone())
    }

    pub(crate) fn slots(&self) -> MutexGuard<'_, Vec<String>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- what is done to a referral

    pub(crate) async fn begins(&self, clinic: &Clinic, chance: &mut Rng) -> Option<Referral> {
        let wanted = referral(&[&clinic.service]);
        let key = Uuid::from_u128(chance.u128(..)).to_string();
        let begin = |hub: &Client| hub.post("/ers/ServiceRequest/$ers.createReferral", &wanted);
        let told = self.ask(PRACTICE, &key, None, &begin, chance).await;
        let reply = told.reply.as_ref().filter(|_| told.is_ok()).map(|(_, reply)| reply);
        let request = reply.map(|reply| reply.reference()).unwrap_or_default();
        let number = reply.and_then(|reply| reply.body["identifier"][0]["value"].as_str()).unwrap_or_default();
        let (number, answers) = (number.to_owned(), told.statuses());
        self.clients.diary.write(Entry::Referred { key, number, request: request.clone(), answers });
        (!request.is_empty()).then_some(Referral { request, version: 1, held: None })
    }

    /// What it had before is free again.
    pub(crate) async fn books(&self, referral: &mut Referral, race: u32, slot: &str, chance: &mut Rng) {
        let body = booking(&referral.request, slot);
        let book = |hub: &Client| hub.post("/ers/Appointment", &body);
        let told = self.act(PRACTICE, referral, &book, chance).await;
        let (request, slot, answers) = (referral.request.clone(), slot.to_owned(), told.statuses());
        let (mut appointment, mut code) = (String::new(), String::new());
        if let Some((_, reply)) = &told.reply {
            if told.is_ok() {
                appointment = reply.reference();
                let (slot, name, body) = (slot.clone(), appointment.clone(), reply.body.clone());
                referral.held = Some(Held { slot, name, body });
            } else {
                let told = &reply.body["issue"][0]["details"]["coding"][0]["code"];
                told.as_str().unwrap_or_default().clone_into(&mut code);
            }
        }
        self.clients.diary.write(Entry::Booked { race, request, slot, appointment, code, answers });
    }

    pub(crate) async fn gives_back(&self, referral: &mut Referral, chance: &mut Rng) {
        let Some(Held { name, mut body, .. }) = referral.held.take() else { return };
        body["status"] = "cancelled".into();
        body["cancelationReason"] = json!({ "coding": [{ "code": "PATIENT_ILL" }] });
        let key = Uuid::from_u128(chance.u128(..)).to_string();
        let path = format!("/ers/{name}");
        let told = self.ask(PRACTICE, &key, Some(1), &|hub: &Client| hub.put(&path, &body), chance).await;
        referral.version += u32::from(told.is_ok());
        self.ends(name, "cancelled", &told);
    }

    /// The clinic says yes, the patient comes, and all is done. The slot is over; there is another one instead.
    pub(crate) async fn attends(&self, referral: &mut Referral, clinic: &Clinic, chance: &mut Rng) {
        let Some(Held { slot, name, .. }) = referral.held.take() else { return };
        let nothing = json!({ "resourceType": "Parameters" });
        for operation in ["$ers.acceptReferral", "$recordAttendance", "$close"] {
            let path = format!("/ers/{}/{operation}", referral.request);
            let told = self.act(CLINIC, referral, &|hub: &Client| hub.post(&path, &nothing), chance).await;
            if operation == "$recordAttendance" {
                self.ends(name.clone(), "fulfilled", &told);
            }
        }
        if let Some(new) = self.puts(&slot_of(&clinic.schedule, chance.usize(1..29)), chance).await {
            self.slots().iter_mut().filter(|old| **old == slot).for_each(|old| old.clone_from(&new));
        }
    }

    /// With the referral goes its appointment.
    pub(crate) async fn cancels(&self, referral: &mut Referral, chance: &mut Rng) {
        let reason = parameters(json!([coded("cancellationReason", "PATIENT_DIED")]));
        let path = format!("/ers/{}/$ers.cancelReferral", referral.request);
        let told = self.act(PRACTICE, referral, &|hub: &Client| hub.post(&path, &reason), chance).await;
        let (request, answers, done) = (referral.request.clone(), told.statuses(), told.is_ok());
        self.clients.diary.write(Entry::Cancelled { request, answers, done });
        if let Some(Held { name, .. }) = referral.held.take() {
            self.ends(name, "cancelled", &told);
        }
    }

    fn ends(&self, appointment: String, to: &str, told: &Told) {
        let (to, answers, done) = (to.to_owned(), told.statuses(), told.is_ok());
        self.clients.diary.write(Entry::Appointed { appointment, to, answers, done });
    }

    /// Acts on the version of the referral that holds now.
    async fn act(&self, by: Desk, on: &mut Referral, request: &impl Fn(&Client) -> Request, chance: &mut Rng) -> Told {
        let key = Uuid::from_u128(chance.u128(..)).to_string();
        let told = self.ask(by, &key, Some(on.version), request, chance).await;
        on.version += u32::from(told.is_ok());
        told
    }

    async fn ask(
        &self,
        [role, organization]: Desk,
        key: &str,
        version: Option<u32>,
        request: &impl Fn(&Client) -> Request,
        chance: &mut Rng,
    ) -> Told {
        let request = |hub: &Client| {
            let request = request(hub)
                .header("nhsd-ers-business-function", role)
                .header("nhsd-end-user-organisation-ods", organization)
                .header("idempotency-key", key);
            match version {
                Some(version) => request.header("if-match", format!("W/\"{version}\"")),
                None => request,
            }
        };
        self.clients.ask(&request, chance).await
    }

    /// Something that is kept without an order: its reference.
    async fn puts(&self, body: &Value, chance: &mut Rng) -> Option<String> {
        let key = Uuid::from_u128(chance.u128(..)).to_string();
        let kind = body["resourceType"].as_str().unwrap_or_default();
        let told = self.clients.ask(&|hub: &Client| hub.post(kind, body).header("idempotency-key", &key), chance).await;
        told.reply.as_ref().filter(|_| told.is_ok()).map(|(_, reply)| reply.reference())
    }
}
