//! Those who use the hubs: placers, services that claim over REST, and placers who change their mind. Each writes into
//! the diary what it wanted and what it was told.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use tests::bodies::{With, laboratory, prescription, referral};
use tests::{Client, Reply};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::diary::{Diary, Entry};
use crate::orchestrators::{ORCHESTRATORS, Orchestrators};
use crate::pharmacies::{PHARMACIES, PRESCRIBERS, Pharmacies};
use crate::referrers::{REFERRERS, Referrers};

const PLACERS: usize = 24;
const SERVICES: usize = 6;
const WAVERERS: usize = 2;
pub(crate) const CLIENTS: usize =
    PLACERS + SERVICES + WAVERERS + PRESCRIBERS + PHARMACIES.len() + REFERRERS + ORCHESTRATORS;

/// Who is not answered for so long asks again.
const PATIENCE: Duration = Duration::from_secs(8);
/// Who is not answered so often gives up, and says so.
const TRIES_MAX: usize = 200;
/// Orders that one may still change one's mind about.
const RECENT: usize = 200;
/// Of those who were answered, one in so many asks once more all the same.
const ASKS_AGAIN: u32 = 10;
/// Of the Tasks that are done over REST, the request of one in so many is revoked in the moment of its completion.
const RACES: u32 = 4;

/// All clients share these.
pub(crate) struct Clients {
    hubs: Vec<Client>,
    pub(crate) diary: Diary,
    recent: Mutex<VecDeque<String>>,
    open: watch::Receiver<bool>,
}

impl Clients {
    /// They begin nothing new once `open` is false.
    pub(crate) fn new(hubs: Vec<Client>, diary: Diary, open: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self { hubs, diary, recent: Mutex::default(), open })
    }

    /// Ends when every client has brought what it began to its end.
    pub(crate) async fn run(self: Arc<Self>, seed: u64, orders_per_second: f64) {
        let mut chance = Rng::with_seed(seed);
        let pause = Duration::from_secs_f64(PLACERS as f64 / orders_per_second);
        let mut jobs = tokio::task::JoinSet::new();
        for n in 0..PLACERS {
            jobs.spawn(self.clone().place(format!("{seed}-{n}"), pause, chance.fork()));
        }
        for n in 0..SERVICES {
            jobs.spawn(self.clone().serve(format!("Organization/service-{n}"), chance.fork()));
        }
        for _ in 0..WAVERERS {
            jobs.spawn(self.clone().waver(chance.fork()));
        }
        Pharmacies::new(self.clone()).begin(&mut jobs, orders_per_second, &mut chance);
        Orchestrators::new(self.clone()).begin(&mut jobs, seed, &mut chance);
        Referrers::new(self).begin(&mut jobs, &mut chance);
        // A client that panics has not told all.
        jobs.join_all().await;
    }

    /// Waits about so long; false when nothing new is to be begun.
    pub(crate) async fn goes_on(&self, pause: Duration, chance: &mut Rng) -> bool {
        sleep(pause.mul_f64(0.5 + chance.f64())).await;
        *self.open.borrow()
    }

    async fn place(self: Arc<Self>, name: String, pause: Duration, mut chance: Rng) {
        let mut n = 0;
        while self.goes_on(pause, &mut chance).await {
            n += 1;
            let identifier = format!("chaos-{name}-{n}");
            let (kind, body) = order(&identifier, &mut chance);
            let path = if kind == "Bundle" { "" } else { kind };
            let key = format!("key-{identifier}");
            let submit = |hub: &Client| hub.post(path, &body).header("idempotency-key", &key);
            let mut told = self.ask(&submit, &mut chance).await;
            if told.is_ok() && chance.u32(0..ASKS_AGAIN) == 0 {
                let again = self.ask(&submit, &mut chance).await;
                told.answers.extend(again.answers);
            }
            let order = told.reply.as_ref().filter(|_| told.is_ok()).map(|(hub, reply)| hub.order_of(reply));
            let request = order.as_ref().map(|order| order.request().to_owned()).unwrap_or_default();
            if !request.is_empty() {
                let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
                recent.push_back(request.clone());
                if recent.len() > RECENT {
                    recent.pop_front();
                }
            }
            self.diary.write(Entry::Submitted {
                key,
                identifier,
                kind: kind.to_owned(),
                tries: told.tries,
                answers: told.answers,
                request,
                fulfilment: order.map(|order| order.fulfilment).unwrap_or_default(),
            });
        }
    }

    /// Claims what anybody may claim, and does it.
    async fn serve(self: Arc<Self>, performer: String, mut chance: Rng) {
        while self.goes_on(Duration::from_secs(1), &mut chance).await {
            let Some(Open { task, version, request }) = self.finds_open(&mut chance).await else { continue };
            let owner = json!({ "reference": performer });
            let claim = json!([
                { "op": "add", "path": "/status", "value": "accepted" },
                { "op": "add", "path": "/owner", "value": owner },
            ]);
            let told = self.patch(&task, claim, Some(version), &mut chance).await;
            let won = told.is_ok();
            self.diary.write(Entry::Claimed {
                task: task.clone(),
                performer: performer.clone(),
                version_before: version,
                tries: told.tries,
                answers: told.statuses(),
                won,
            });
            if won {
                self.does(&task, &performer, &request, &mut chance).await;
            }
        }
    }

    async fn does(&self, task: &str, performer: &str, request: &str, chance: &mut Rng) {
        for to in ["in-progress", "completed"] {
            sleep(Duration::from_millis(chance.u64(10..300))).await;
            let step = json!([{ "op": "add", "path": "/status", "value": to }]);
            let raced = to == "completed" && chance.u32(0..RACES) == 0;
            let told = if raced {
                let mut other = chance.fork();
                tokio::join!(self.patch(task, step, None, chance), self.revokes(request, &mut other)).0
            } else {
                self.patch(task, step, None, chance).await
            };
            let done = told.is_ok();
            self.diary.write(Entry::Moved {
                task: task.to_owned(),
                performer: performer.to_owned(),
                to: to.to_owned(),
                raced,
                answers: told.statuses(),
                done,
            });
            if !done {
                return;
            }
        }
    }

    /// Revokes an order that was accepted a moment ago.
    async fn waver(self: Arc<Self>, mut chance: Rng) {
        while self.goes_on(Duration::from_secs(2), &mut chance).await {
            let request = {
                let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
                let length = recent.len();
                if length == 0 { None } else { recent.remove(chance.usize(0..length)) }
            };
            if let Some(request) = request {
                self.revokes(&request, &mut chance).await;
            }
        }
    }

    async fn revokes(&self, request: &str, chance: &mut Rng) {
        let word = if request.starts_with("MedicationRequest") { "cancelled" } else { "revoked" };
        let revoke = json!([{ "op": "add", "path": "/status", "value": word }]);
        let told = self.patch(request, revoke, None, chance).await;
        let (request, done) = (request.to_owned(), told.is_ok());
        self.diary.write(Entry::Cancelled { request, answers: told.statuses(), done });
    }

    /// A Task on offer to anybody. Those of a referral follow it: nobody claims them here.
    async fn finds_open(&self, chance: &mut Rng) -> Option<Open> {
        let search = "Task?status=requested&owner:missing=true&part-of:missing=false&_count=20";
        let hub = self.any(chance);
        let page = timeout(PATIENCE, hub.get(search).attempt()).await.ok()??;
        let mut tasks = page.resources();
        tasks.retain(|task| task["basedOn"][0]["reference"].as_str().is_some_and(|on| !on.contains("/r.")));
        let task = tasks.get(chance.usize(0..tasks.len().max(1)))?;
        Some(Open {
            task: format!("Task/{}", task["id"].as_str()?),
            version: task["meta"]["versionId"].as_str()?.parse().ok()?,
            request: task["basedOn"][0]["reference"].as_str()?.to_owned(),
        })
    }

    pub(crate) async fn patch(
        &self,
        reference: &str,
        operations: Value,
        version: Option<u32>,
        chance: &mut Rng,
    ) -> Told {
        let key = Uuid::from_u128(chance.u128(..)).to_string();
        let patch = |hub: &Client| {
            let request = hub.patch(reference, operations.clone()).header("idempotency-key", &key);
            match version {
                Some(version) => request.header("if-match", format!("W/\"{version}\"")),
                None => request,
            }
        };
        self.ask(&patch, chance).await
    }

    /// One hub or the other.
    pub(crate) fn any(&self, chance: &mut Rng) -> &Client {
        &self.hubs[chance.usize(0..self.hubs.len())]
    }

    /// Asks one hub or the other, with the same key, until it is told yes or no.
    pub(crate) async fn ask(&self, request: &impl Fn(&Client) -> tests::Request, chance: &mut Rng) -> Told {
        let mut told = Told::default();
        while told.tries < TRIES_MAX {
            told.tries += 1;
            let hub = self.any(chance);
            match timeout(PATIENCE, request(hub).attempt()).await {
                Ok(Some(reply)) => {
                    told.answers.push((reply.status, location(&reply), digest(&reply)));
                    if reply.status < 500 && reply.status != 429 {
                        told.reply = Some((hub.clone(), reply));
                        return told;
                    }
                }
                Ok(None) | Err(_) => told.answers.push((0, String::new(), String::new())),
            }
            sleep(Duration::from_millis(chance.u64(50..500))).await;
        }
        told
    }
}

/// Work that anybody may claim.
struct Open {
    task: String,
    version: u32,
    /// What it is for.
    request: String,
}

/// What came of asking.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) tries: usize,
    pub(crate) answers: Vec<(u16, String, String)>,
    /// The last word, and who said it.
    pub(crate) reply: Option<(Client, Reply)>,
}

impl Told {
    pub(crate) fn is_ok(&self) -> bool {
        self.reply.as_ref().is_some_and(|(_, reply)| reply.status < 300)
    }

    pub(crate) fn statuses(&self) -> Vec<u16> {
        self.answers.iter().map(|(status, ..)| *status).collect()
    }
}

/// Behind the address of a hub.
const BASES: [&str; 2] = ["/fhir/R4/", "/fhir/R5/"];

/// Without the address of the hub that said it.
fn location(reply: &Reply) -> String {
    let local = |url: &str| BASES.iter().find_map(|base| url.split_once(base)).map(|(_, local)| local.to_owned());
    local(reply.header("location")).unwrap_or_default()
}

/// Of what was said, the addresses apart.
fn digest(reply: &Reply) -> String {
    fn of_base(text: &str) -> Option<(&str, &str)> {
        BASES.iter().find_map(|base| text.split_once(base))
    }
    let base = reply.text.split('"').find_map(of_base).map(|(host, _)| host);
    let text = base.map_or_else(|| reply.text.clone(), |host| reply.text.replace(host, ""));
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// One of the kinds that there are, for a patient of its own.
fn order(identifier: &str, chance: &mut Rng) -> (&'static str, Value) {
    let priority = ["routine", "routine", "routine", "urgent", "stat"][chance.usize(0..5)];
    let number = json!([{ "system": "urn:chaos", "value": identifier }]);
    let mine = json!({
        "identifier": number,
        "priority": priority,
        "subject": { "reference": format!("Patient/{identifier}") },
    });
    match chance.u8(0..4) {
        0 => ("ServiceRequest", referral().with(mine)),
        1 | 2 => ("ServiceRequest", laboratory().with(mine)),
        _ => {
            let mut bundle = prescription();
            let entries = bundle["entry"].as_array_mut().into_iter().flatten();
            let mut requests = entries.filter(|entry| entry["resource"]["resourceType"] == "MedicationRequest");
            if let Some(first) = requests.next() {
                first["resource"]["identifier"] = number;
            }
            ("Bundle", bundle)
        }
    }
}
