//! Those who use the prescription service: prescribers, some of whom change their mind at once or before, and pharmacies,
//! some of which want the same prescription. What nominates the last pharmacy goes to its workers' queue, too.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use tests::prescription::{Prescription, code_of, nominated_release, response_of, stands_in};
use tests::{Client, Reply};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::clients::{Clients, Told};
use crate::diary::Entry;

/// Half of them only take back what others prescribed.
pub(crate) const PRESCRIBERS: usize = 6;
pub(crate) const PHARMACIES: [&str; 4] = ["FX001", "FX002", "FX003", WITH_WORKERS];
/// Three workers take what they find in this one's queue. One that dies leaves what it had to the pharmacist.
const WITH_WORKERS: &str = "chaos-pharmacy";

/// Of all orders, one in so many is a prescription of the service.
const SHARE: f64 = 3.0;
const SERVICE: &str = "/eps/FHIR/R4";
const PATIENCE: Duration = Duration::from_secs(8);
/// What did not move for so long was left: no worker is stalled for longer.
const LEFT: Duration = Duration::from_secs(12);
/// A prescription may be cancelled for as long as so many others are prescribed.
const RECENT: usize = 12;

// What the service calls the states of items.
const DISPENSED: &str = "0001";
const NOT_DISPENSED: &str = "0002";
const PARTLY: &str = "0003";
const OWING: &str = "0004";
const CANCELLED: &str = "0005";
const TO_BE_DISPENSED: &str = "0007";
const WITH_DISPENSER: &str = "0008";

/// All of them share this.
pub(crate) struct Pharmacies {
    clients: Arc<Clients>,
    /// By their numbers, from before they are sent.
    known: Mutex<HashMap<String, Prescription>>,
    recent: Mutex<Vec<String>>,
    /// What any pharmacy may ask for by its number.
    for_anybody: Mutex<Vec<String>>,
    prescribers: AtomicUsize,
}

/// A prescription that a pharmacy was given.
struct Given {
    prescription: Prescription,
    release: String,
    /// The codes of its items.
    items: Vec<String>,
}

impl Pharmacies {
    pub(crate) fn new(clients: Arc<Clients>) -> Arc<Self> {
        Arc::new(Self {
            clients,
            known: Mutex::default(),
            recent: Mutex::default(),
            for_anybody: Mutex::default(),
            prescribers: AtomicUsize::new(PRESCRIBERS),
        })
    }

    /// Pharmacies end when every prescription has come to its end.
    pub(crate) fn begin(self: Arc<Self>, jobs: &mut JoinSet<()>, orders_per_second: f64, chance: &mut Rng) {
        let pause = Duration::from_secs_f64(PRESCRIBERS as f64 / 2.0 * SHARE / orders_per_second);
        for n in 0..PRESCRIBERS {
            let (prescribers, mut chance) = (self.clone(), chance.fork());
            jobs.spawn(async move {
                if n % 2 == 0 {
                    prescribers.prescribe(pause, &mut chance).await;
                } else {
                    prescribers.waver(&mut chance).await;
                }
                prescribers.prescribers.fetch_sub(1, Ordering::SeqCst);
            });
        }
        for pharmacy in PHARMACIES {
            jobs.spawn(self.clone().serve(pharmacy, chance.fork()));
        }
    }

    // ---- prescribers

    async fn prescribe(&self, pause: Duration, chance: &mut Rng) {
        while self.clients.goes_on(pause, chance).await {
            let mut prescription = Prescription::new(chance.usize(1..4));
            if chance.u8(0..4) > 0 {
                prescription = prescription.nominated(PHARMACIES[chance.usize(0..PHARMACIES.len())]);
            }
            let number = prescription.number.clone();
            locked(&self.known).insert(number.clone(), prescription.clone());
            let mut second = chance.fork();
            if chance.u8(0..12) == 0 {
                // Either may arrive first.
                tokio::join!(self.send(&prescription, chance), self.cancel(&number, &mut second));
            } else {
                self.send(&prescription, chance).await;
            }
        }
    }

    async fn send(&self, prescription: &Prescription, chance: &mut Rng) {
        let order = prescription.order();
        let mut told = self.ask("$process-message", &order, chance).await;
        if told.is_ok() && chance.u8(0..10) == 0 {
            let again = self.ask("$process-message", &order, chance).await;
            told.answers.extend(again.answers);
        }
        let number = prescription.number.clone();
        self.clients.diary.write(Entry::Prescribed {
            message: text(&order["identifier"]["value"]),
            number: number.clone(),
            items: prescription.items.iter().map(Uuid::to_string).collect(),
            done: told.is_ok(),
            answers: told.answers,
        });
        if prescription.nominated.is_none() {
            locked(&self.for_anybody).push(number.clone());
        }
        let mut recent = locked(&self.recent);
        recent.push(number);
        if recent.len() > RECENT {
            recent.remove(0);
        }
    }

    async fn waver(&self, chance: &mut Rng) {
        while self.clients.goes_on(Duration::from_secs(2), chance).await {
            let number = {
                let mut recent = locked(&self.recent);
                let length = recent.len();
                if length == 0 { None } else { Some(recent.remove(chance.usize(0..length))) }
            };
            if let Some(number) = number {
                self.cancel(&number, chance).await;
            }
        }
    }

    /// The whole, or an item.
    async fn cancel(&self, number: &str, chance: &mut Rng) {
        let Some(prescription) = locked(&self.known).get(number).cloned() else { return };
        let item = chance.bool().then(|| chance.usize(0..prescription.items.len()));
        let told = self.ask("$process-message", &prescription.cancellation(item, None), chance).await;
        let response = told.reply.as_ref().map(|(_, reply)| response_of(reply)).unwrap_or_default();
        let (number, answers) = (number.to_owned(), told.statuses());
        self.clients.diary.write(Entry::Unprescribed { number, item, answers, response });
    }

    // ---- pharmacies

    async fn serve(self: Arc<Self>, pharmacy: &'static str, mut chance: Rng) {
        let mut held = HashMap::new();
        loop {
            let is_open = self.clients.goes_on(Duration::from_millis(700), &mut chance).await;
            let is_last = !is_open && self.prescribers.load(Ordering::SeqCst) == 0;
            let mut is_idle = self.releases(pharmacy, None, &mut chance).await == 0;
            let wanted = {
                let waiting = locked(&self.for_anybody);
                (!waiting.is_empty()).then(|| waiting[chance.usize(0..waiting.len())].clone())
            };
            if let Some(number) = wanted {
                is_idle = false;
                self.releases(pharmacy, Some(number), &mut chance).await;
            }
            if is_last && pharmacy == WITH_WORKERS {
                is_idle &= self.takes_over(&mut held, &mut chance).await;
            }
            if is_last && is_idle {
                return;
            }
        }
    }

    /// Asks for all that nominate the pharmacy, or for one, and dispenses what it is given: so many.
    async fn releases(&self, pharmacy: &str, number: Option<String>, chance: &mut Rng) -> usize {
        let one = number.as_ref().and_then(|number| locked(&self.known).get(number).cloned());
        let asked = one.as_ref().map_or_else(|| nominated_release(pharmacy), |one| one.release_by(pharmacy));
        let told = self.ask("Task/$release", &asked, chance).await;
        let given = told.reply.as_ref().map(|(_, reply)| self.given(reply)).unwrap_or_default();
        self.clients.diary.write(Entry::Released {
            pharmacy: pharmacy.to_owned(),
            is_nominated: one.is_none(),
            numbers: given.iter().map(|given| given.prescription.number.clone()).collect(),
            answers: told.statuses(),
        });
        let is_over = told.reply.as_ref().is_some_and(|(_, reply)| {
            ["PRESCRIPTION_CANCELLED", "PRESCRIPTION_DISPENSED", "RESOURCE_NOT_FOUND"].contains(&code_of(reply))
        });
        if let Some(number) = number.filter(|_| is_over || !given.is_empty()) {
            locked(&self.for_anybody).retain(|waiting| *waiting != number);
        }
        let count = given.len();
        for given in given {
            self.dispense(pharmacy, given, chance).await;
        }
        count
    }

    fn given(&self, reply: &Reply) -> Vec<Given> {
        let release = text(&reply.body["id"]);
        let passed = reply.body["parameter"][0]["resource"]["entry"].as_array();
        let given = passed.into_iter().flatten().filter_map(|entry| {
            let entries = entry["resource"]["entry"].as_array()?;
            let requests: Vec<&Value> = entries
                .iter()
                .map(|entry| &entry["resource"])
                .filter(|part| part["resourceType"] == "MedicationRequest")
                .collect();
            let number = requests.first()?["groupIdentifier"]["value"].as_str()?;
            let prescription = locked(&self.known).get(number)?.clone();
            let items = requests.iter().map(|request| dispense_status(request)).collect();
            Some(Given { prescription, release: release.clone(), items })
        });
        given.collect()
    }

    /// Gives it back, or hands it out at once or in two parts; some of what was told is told otherwise afterwards.
    async fn dispense(&self, pharmacy: &str, given: Given, chance: &mut Rng) {
        let Given { prescription, release, items } = given;
        let hand = Hand { all: self, pharmacy, prescription: &prescription };
        hand.pauses(chance).await;
        if chance.u8(0..8) == 0 && self.prescribers.load(Ordering::SeqCst) > 0 {
            return hand.gives_back(&release, items, chance).await;
        }
        let mut now = items.clone();
        if chance.bool() {
            let part = |code: String, chance: &mut Rng| match code.as_str() {
                WITH_DISPENSER => [DISPENSED, PARTLY, OWING, WITH_DISPENSER][chance.usize(0..4)].to_owned(),
                _ => code,
            };
            now = now.into_iter().map(|code| part(code, chance)).collect();
            let Some(message) = hand.tells("0003", &now, None, chance).await else { return };
            hand.pauses(chance).await;
            if chance.u8(0..5) == 0 {
                if !hand.withdraws(&message, &items, chance).await {
                    return;
                }
                now.clone_from(&items);
                hand.pauses(chance).await;
            }
        }
        let (state, last) = finished(&now, chance);
        let Some(message) = hand.tells(state, &last, None, chance).await else { return };
        if chance.u8(0..6) == 0 {
            hand.pauses(chance).await;
            let (state, last) = finished(&now, chance);
            hand.tells(state, &last, Some(&message), chance).await;
        }
    }

    /// The pharmacist does what a worker had begun and did not end. True when there was nothing.
    async fn takes_over(&self, held: &mut HashMap<String, (String, Instant)>, chance: &mut Rng) -> bool {
        let search = format!("Task?owner=Organization/{WITH_WORKERS}&status=requested,accepted,in-progress&_count=100");
        let Some(page) = self.look(&search, chance).await else { return false };
        let mut is_idle = true;
        for task in page.resources() {
            let number = text(&task["focus"]["identifier"]["value"]);
            let Some(prescription) = locked(&self.known).get(&number).cloned() else { continue };
            is_idle = false;
            let version = text(&task["meta"]["versionId"]);
            let seen = held.entry(number.clone()).or_insert_with(|| (version.clone(), Instant::now()));
            if seen.0 != version {
                *seen = (version, Instant::now());
            }
            if task["status"] == "requested" || seen.1.elapsed() < LEFT {
                continue;
            }
            let search = format!("{SERVICE}/Task?identifier={number}");
            let stands = self.look(&search, chance).await.map(|page| stands_in(&page));
            let Some((_, items)) = stands.into_iter().flatten().next() else { continue };
            let hand = Hand { all: self, pharmacy: WITH_WORKERS, prescription: &prescription };
            let (state, items) = finished(&items, chance);
            hand.tells(state, &items, None, chance).await;
        }
        is_idle
    }

    async fn look(&self, path: &str, chance: &mut Rng) -> Option<Reply> {
        let hub = self.clients.any(chance);
        timeout(PATIENCE, hub.get(path).attempt()).await.ok().flatten().filter(|reply| reply.status == 200)
    }

    /// One of the service's interactions.
    async fn ask(&self, path: &str, body: &Value, chance: &mut Rng) -> Told {
        let id = Uuid::from_u128(chance.u128(..)).to_string();
        let path = format!("{SERVICE}/{path}");
        let request = |hub: &Client| hub.post(&path, body).header("x-request-id", &id);
        self.clients.ask(&request, chance).await
    }
}

/// One pharmacy at one prescription.
struct Hand<'a> {
    all: &'a Pharmacies,
    pharmacy: &'a str,
    prescription: &'a Prescription,
}

impl Hand<'_> {
    async fn pauses(&self, chance: &mut Rng) {
        sleep(Duration::from_millis(chance.u64(10..300))).await;
    }

    /// The message, if it was taken; it may replace another.
    async fn tells(&self, state: &str, items: &[String], instead: Option<&Value>, chance: &mut Rng) -> Option<Value> {
        let codes: Vec<&str> = items.iter().map(String::as_str).collect();
        let mut message = match instead {
            Some(other) => self.prescription.amendment(other, self.pharmacy, state, &codes),
            None => self.prescription.notification(self.pharmacy, state, &codes),
        };
        let mut dispenses = Vec::new();
        for entry in message["entry"].as_array_mut().into_iter().flatten() {
            if entry["resource"]["resourceType"] == "MedicationDispense" {
                let identifier = Uuid::from_u128(chance.u128(..)).to_string();
                entry["resource"]["identifier"] = json!([{ "system": "urn:chaos", "value": identifier }]);
                dispenses.push(identifier);
            }
        }
        let told = self.all.ask("$process-message", &message, chance).await;
        let done = told.is_ok();
        self.writes(dispenses, state, items, &told);
        done.then_some(message)
    }

    async fn withdraws(&self, message: &Value, items: &[String], chance: &mut Rng) -> bool {
        let told = self.all.ask("Task", &self.prescription.withdrawal_by(self.pharmacy, message), chance).await;
        self.writes(Vec::new(), "0002", items, &told);
        told.is_ok()
    }

    async fn gives_back(&self, release: &str, items: Vec<String>, chance: &mut Rng) {
        let told = self.all.ask("Task", &self.prescription.return_by(self.pharmacy, release), chance).await;
        let back = |code: String| if code == WITH_DISPENSER { TO_BE_DISPENSED.to_owned() } else { code };
        let items: Vec<String> = items.into_iter().map(back).collect();
        self.writes(Vec::new(), "0001", &items, &told);
        locked(&self.all.for_anybody).push(self.prescription.number.clone());
    }

    fn writes(&self, dispenses: Vec<String>, state: &str, items: &[String], told: &Told) {
        self.all.clients.diary.write(Entry::Told {
            number: self.prescription.number.clone(),
            pharmacy: self.pharmacy.to_owned(),
            dispenses,
            state: state.to_owned(),
            items: items.to_vec(),
            answers: told.statuses(),
            done: told.is_ok(),
        });
    }
}

/// An end that fits these items: all are dispensed, but for some of those that were not begun.
fn finished(items: &[String], chance: &mut Rng) -> (&'static str, Vec<String>) {
    let end = |code: &String| match code.as_str() {
        CANCELLED | NOT_DISPENSED => code.clone(),
        WITH_DISPENSER | OWING if chance.u8(0..6) == 0 => NOT_DISPENSED.to_owned(),
        _ => DISPENSED.to_owned(),
    };
    let items: Vec<String> = items.iter().map(end).collect();
    (if items.iter().any(|code| code == DISPENSED) { "0006" } else { "0007" }, items)
}

fn dispense_status(request: &Value) -> String {
    let told = request["extension"].as_array().into_iter().flatten().flat_map(|extension| {
        extension["extension"].as_array().into_iter().flatten().filter(|inner| inner["url"] == "dispenseStatus")
    });
    told.map(|status| text(&status["valueCoding"]["code"])).next_back().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
