//! Real payloads of the Electronic Prescription Service: each family of published messages is walked in the order in
//! which a user would send them, at its own date. What came of each step is one table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::prescription::Prescription;
use tests::{Client, Reply, World, say_once, stories};
use uuid::Uuid;

stories![
    published_prescriptions_are_walked_through,
    published_status_updates_are_taken,
    what_is_tracked_has_the_published_shape,
];

/// What a file asks for, in the order in which it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Prepare,
    Send,
    Cancel,
    Release,
    Notify,
    Withdraw,
    Return,
    Claim,
}

/// One scenario: its messages, and the day on which it happens.
#[derive(Default)]
struct Family {
    day: String,
    steps: Vec<(Step, PathBuf, Value)>,
}

impl Family {
    /// Whether a message names no prescription that others of the family name, but another.
    fn is_of_another(&self, message: &Value) -> bool {
        let wanted = numbers_of(message);
        let known: Vec<String> = self.steps.iter().flat_map(|(_, _, body)| numbers_of(body)).collect();
        !wanted.is_empty() && !known.is_empty() && !wanted.iter().any(|number| known.contains(number))
    }
}

/// The numbers of the prescriptions that it names.
fn numbers_of(body: &Value) -> Vec<String> {
    let mut numbers = Vec::new();
    values_of(body, "/Id/prescription-order-number", &mut numbers);
    numbers
}

fn payloads() -> PathBuf {
    shared().join("payloads/eps")
}

fn shared() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    std::env::var_os("HUB_SHARED").map_or_else(beside, PathBuf::from)
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

/// What a payload is a request for; none of an answer.
fn step_of(path: &Path, body: &Value) -> Option<Step> {
    let name = path.to_string_lossy();
    if ["Response", "-res.json", "tracker-spine", "/spec/errors/", "/sandbox/"].iter().any(|part| name.contains(part))
        && !name.contains("R-0006-Prescription")
    {
        return None;
    }
    let event = || body["entry"][0]["resource"]["eventCoding"]["code"].as_str();
    Some(match (body["resourceType"].as_str()?, body["status"].as_str()) {
        ("Bundle", _) => match event()? {
            "prescription-order" if part(body, "Provenance").is_none() => Step::Prepare,
            "prescription-order" => Step::Send,
            "prescription-order-update" => Step::Cancel,
            "dispense-notification" => Step::Notify,
            _ => return None,
        },
        ("Parameters", _) if name.contains("elease") => Step::Release,
        ("Task", Some("rejected")) => Step::Return,
        ("Task", _) => Step::Withdraw,
        ("Claim", _) => Step::Claim,
        _ => return None,
    })
}

fn part<'a>(bundle: &'a Value, kind: &str) -> Option<&'a Value> {
    let entries = bundle["entry"].as_array()?;
    entries.iter().map(|entry| &entry["resource"]).find(|resource| resource["resourceType"] == kind)
}

/// Files of one folder whose names begin alike belong together; in the specification, those of a course. What ends a
/// prescription is told from its beginning, by itself.
fn family_of(path: &Path, step: Step) -> String {
    let name = path.file_name().unwrap().to_string_lossy();
    let folder = path.parent().unwrap().strip_prefix(payloads()).unwrap().display().to_string();
    let course = ["acute", "repeat", "eRD"].into_iter().find(|course| name.starts_with(course));
    let first = name.split('-').next().filter(|first| first.chars().all(|c| c.is_ascii_digit()));
    match (course, first) {
        _ if matches!(step, Step::Return | Step::Claim) => format!("{folder} {name}"),
        (Some(course), _) if folder.starts_with("spec") => format!("spec {course}"),
        (_, Some(number)) => format!("{folder} {number}"),
        _ => format!("{folder} {name}"),
    }
}

fn families() -> BTreeMap<String, Family> {
    let mut paths = Vec::new();
    files(&payloads(), &mut paths);
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let read = |path: PathBuf| {
        let body: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        Some((step_of(&path, &body)?, path, body))
    };
    let mut steps: Vec<(Step, PathBuf, Value)> = paths.into_iter().filter_map(read).collect();
    steps.sort_by_key(|(step, ..)| *step);
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for (step, path, body) in steps {
        let mut name = family_of(&path, step);
        if step > Step::Send && families.get(&name).is_some_and(|family| family.is_of_another(&body)) {
            name = format!("{name}, another prescription");
        }
        families.entry(name).or_default().steps.push((step, path, body));
    }
    for family in families.values_mut() {
        family.day = family.steps.iter().find_map(|(_, _, body)| day_of(body)).unwrap_or_else(|| "2022-10-21".into());
    }
    families
}

/// When its order was signed.
fn day_of(order: &Value) -> Option<String> {
    let request = part(order, "MedicationRequest")?;
    let signed = part(order, "Provenance").and_then(|provenance| provenance["signature"][0]["when"].as_str());
    Some(request["authoredOn"].as_str().or(signed)?[..10].to_owned())
}

/// The values of all identifiers of a system, wherever they are.
fn values_of(body: &Value, system: &str, into: &mut Vec<String>) {
    match body {
        Value::Object(members) => {
            if members.get("system").and_then(Value::as_str).is_some_and(|s| s.ends_with(system))
                && let Some(value) = members.get("value").and_then(Value::as_str)
                && !into.contains(&value.to_owned())
            {
                into.push(value.to_owned());
            }
            members.values().for_each(|value| values_of(value, system, into));
        }
        Value::Array(values) => values.iter().for_each(|value| values_of(value, system, into)),
        _ => {}
    }
}

/// A family on its way through the service.
struct Walk<'s> {
    service: &'s Client,
    /// Its one prescription, as far as steps that were not published have to be made up.
    made: Prescription,
    pharmacy: String,
    old_numbers: Vec<String>,
    is_sent: bool,
    is_released: bool,
    release: String,
    notification: Value,
    claim: Value,
    rows: Vec<String>,
    wrong: usize,
}

impl<'s> Walk<'s> {
    fn new(service: &'s Client, name: &str, family: &Family) -> Self {
        let all = |system: &str| {
            let mut values = Vec::new();
            family.steps.iter().for_each(|(_, _, body)| values_of(body, system, &mut values));
            values
        };
        let mut made = Prescription { authored: Some(family.day.clone()), ..Prescription::new(1) };
        let items: Vec<Uuid> = all("/Id/prescription-order-item-number").iter().flat_map(|id| id.parse()).collect();
        if !items.is_empty() {
            made.items = items;
        }
        if let Some(patient) = all("/Id/nhs-number").into_iter().next() {
            made.patient = patient;
        }
        let old_numbers = all("/Id/prescription-order-number");
        if name.starts_with("errors") {
            made.number = old_numbers[0].clone();
        }
        let pharmacy = family.steps.iter().rev().find(|(step, ..)| *step > Step::Cancel).map(|(_, _, body)| {
            let mut organizations = Vec::new();
            let told: Vec<&Value> =
                body["contained"].as_array().into_iter().flatten().chain(part(body, "Organization")).collect();
            told.iter()
                .filter(|r| r["resourceType"] == "Organization")
                .for_each(|r| values_of(&r["identifier"], "/Id/ods-organization-code", &mut organizations));
            values_of(&body["parameter"], "/Id/ods-organization-code", &mut organizations);
            organizations.into_iter().next().unwrap_or_else(|| "VNE51".into())
        });
        Self {
            service,
            made,
            pharmacy: pharmacy.unwrap_or_default(),
            old_numbers,
            is_sent: false,
            is_released: false,
            release: String::new(),
            notification: Value::Null,
            claim: Value::Null,
            rows: Vec::new(),
            wrong: 0,
        }
    }

    /// The same payload about the one prescription of this walk, with ids that nobody has had yet.
    fn renewed(&self, step: Step, body: &Value) -> Value {
        let mut text = body.to_string();
        for old in &self.old_numbers {
            text = text.replace(old.as_str(), &self.made.number);
        }
        let last = if step == Step::Claim { &self.claim["identifier"][0] } else { &self.notification["identifier"] };
        if let (Some(replaced), Some(with)) = (replaced(body), last["value"].as_str()) {
            text = text.replace(&replaced, with);
        }
        let mut body: Value = serde_json::from_str(&text).unwrap();
        match step {
            Step::Prepare | Step::Send | Step::Cancel | Step::Notify => {
                body["identifier"]["value"] = Uuid::new_v4().to_string().into();
            }
            Step::Withdraw => body["focus"]["identifier"] = self.notification["identifier"].clone(),
            Step::Return => body["focus"]["identifier"]["value"] = self.release.clone().into(),
            Step::Release => {
                for parameter in body["parameter"].as_array_mut().unwrap() {
                    if parameter["name"] == "owner" {
                        parameter["resource"]["identifier"][0]["value"] = self.pharmacy.clone().into();
                    }
                }
            }
            Step::Claim => body["identifier"][0]["value"] = Uuid::new_v4().to_string().into(),
        }
        body
    }

    async fn posts(&mut self, step: Step, body: &Value) -> Reply {
        let to = match step {
            Step::Prepare => "$prepare",
            Step::Send | Step::Cancel | Step::Notify => "$process-message",
            Step::Release => "Task/$release",
            Step::Return | Step::Withdraw => "Task",
            Step::Claim => "Claim",
        };
        let reply = self.service.post(to, body).await;
        match step {
            Step::Send => self.is_sent = true,
            Step::Release => {
                self.is_released = true;
                self.release = reply.body["id"].as_str().unwrap_or_default().to_owned();
            }
            Step::Notify => self.notification = body.clone(),
            Step::Claim => self.claim = body.clone(),
            _ => {}
        }
        reply
    }

    /// What has to be before this step and was not published is made up.
    async fn comes_to(&mut self, step: Step, body: &Value) {
        let names_one = !self.old_numbers.is_empty();
        if step > Step::Send && !self.is_sent && names_one {
            let order = self.made.order();
            self.makes_up(Step::Send, &order).await;
        }
        if step > Step::Release && !self.is_released {
            let release = self.made.release_by(&self.pharmacy);
            self.makes_up(Step::Release, &release).await;
        }
        let dispensed = if step == Step::Claim { "0006" } else { "0003" };
        if matches!(step, Step::Claim | Step::Withdraw) && self.notification.is_null() {
            let all = vec!["0001"; self.made.items.len()];
            let told = self.made.notification(&self.pharmacy, dispensed, &all);
            self.makes_up(Step::Notify, &told).await;
        }
        if step == Step::Claim && replaced(body).is_some() && self.claim.is_null() {
            let claim = self.made.claim_by(&self.pharmacy);
            self.makes_up(Step::Claim, &claim).await;
        }
    }

    async fn makes_up(&mut self, step: Step, body: &Value) {
        let reply = self.posts(step, body).await;
        if reply.status != 200 {
            self.row("(made up)", &format!("{step:?}"), "200", &told(&reply), false);
        }
    }

    /// Sends one payload; a row of the table comes of it.
    async fn takes(&mut self, family: &str, step: Step, path: &Path, body: &Value) {
        let (status, words) = expected(path, step, body);
        self.comes_to(step, body).await;
        let body = self.renewed(step, body);
        let reply = self.posts(step, &body).await;
        let unlike = published_answer(path).filter(|_| status != 200).and_then(|answer| unlike(&answer, &reply.body));
        let right = reply.status == status && reply.text.contains(words) && unlike.is_none();
        if let Some(unlike) = unlike {
            self.row(family, &format!("{step:?}"), &unlike, &reply.text, false);
        }
        self.row(family, &format!("{step:?}"), &format!("{status} {words}"), &told(&reply), right);
    }

    fn row(&mut self, family: &str, step: &str, expected: &str, got: &str, right: bool) {
        self.wrong += usize::from(!right);
        let mark = if right { "" } else { "  <- WRONG" };
        self.rows.push(format!("{family:104} | {step:8} | {expected:16} | {got}{mark}"));
    }

    /// Where the service says that it stands.
    async fn stands(&mut self, family: &str, expected: &str) {
        let got = self.made.state(self.service).await;
        let right = got == expected;
        self.row(family, "track", expected, &got, right);
    }
}

/// The notification, or the claim, in whose place one comes.
fn replaced(body: &Value) -> Option<String> {
    let it = extension(&body["entry"][0]["resource"], "replacementOf").or(extension(body, "replacementOf"))?;
    it["valueIdentifier"]["value"].as_str().map(str::to_owned)
}

/// What the name of a payload says that comes of it: a status, and words that are told. One breaks a rule of the service
/// itself, whatever it is called.
fn expected(path: &Path, step: Step, body: &Value) -> (u16, &'static str) {
    let name = path.file_name().unwrap().to_string_lossy();
    match () {
        () if name.contains("INVALID_CHECKSUM") => (400, "invalid checksum"),
        () if name.contains("invalid_intent") => (400, "intent"),
        () if name.contains("Missing_Endorsement") => (400, "endorsement"),
        () if name.contains("-400") || name.contains("_400") => (400, ""),
        () if name.contains("No-Extension") || name.contains("No-ODS-Code") => (400, ""),
        () if step == Step::Notify && has_different_reasons(body) => (400, "prescriptionNonDispensingReason"),
        () if step == Step::Notify && is_at_odds(body) => (400, "MEDICATIONREQUEST_INVALID_STATE_TRANSITION"),
        () if step == Step::Cancel => (200, "R-0001"),
        () => (200, ""),
    }
}

/// The answer that is published beside a request.
fn published_answer(request: &Path) -> Option<Value> {
    let name = request.file_name()?.to_str()?.replace("-Request-", "-Response-");
    let answer = request.with_file_name(name);
    if answer == request {
        return None;
    }
    serde_json::from_str(&std::fs::read_to_string(answer).ok()?).ok()
}

/// A published issue that the answer does not tell in the same words, if there is one. (The service writes the system of
/// its own codes in two ways.)
fn unlike(published: &Value, answer: &Value) -> Option<String> {
    let all = |outcome: &Value| outcome["issue"].as_array().cloned().unwrap_or_default();
    let is_alike = |issue: &Value, told: &Value| {
        let same = |path: &str| issue.pointer(path).is_none_or(|value| told.pointer(path) == Some(value));
        let paths = ["/severity", "/code", "/diagnostics", "/expression"];
        paths.into_iter().all(same) && ["code", "display"].iter().all(|name| same(&format!("/details/coding/0/{name}")))
    };
    let told = all(answer);
    let unlike = all(published).into_iter().find(|issue| !told.iter().any(|told| is_alike(issue, told)));
    unlike.map(|issue| issue.to_string())
}

fn dispenses(notification: &Value) -> impl Iterator<Item = &Value> {
    let entries = notification["entry"].as_array().into_iter().flatten().map(|entry| &entry["resource"]);
    entries.filter(|resource| resource["resourceType"] == "MedicationDispense")
}

fn extension<'a>(resource: &'a Value, name: &str) -> Option<&'a Value> {
    let mut extensions = resource["extension"].as_array()?.iter();
    extensions.find(|extension| extension["url"].as_str().is_some_and(|url| url.ends_with(name)))
}

/// Each item was not dispensed, and not for the same reason.
fn has_different_reasons(notification: &Value) -> bool {
    let reasons: Option<Vec<&Value>> =
        dispenses(notification).map(|dispense| extension(dispense, "NonDispensingReason")).collect();
    reasons.is_some_and(|reasons| reasons.iter().any(|reason| *reason != reasons[0]))
}

/// The prescription was not dispensed, and an item of it was.
fn is_at_odds(notification: &Value) -> bool {
    dispenses(notification).any(|dispense| {
        let whole = extension(dispense, "TaskBusinessStatus").map(|status| &status["valueCoding"]["code"]);
        let is_explained = extension(dispense, "NonDispensingReason").is_some();
        whole.is_some_and(|code| code == "0007") && !is_explained && dispense["type"]["coding"][0]["code"] == "0001"
    })
}

fn told(reply: &Reply) -> String {
    let issue = &reply.body["issue"][0];
    let code = issue["details"]["coding"][0]["code"].as_str().unwrap_or_default();
    let words = issue["diagnostics"].as_str().unwrap_or_default().split(". ").next().unwrap_or_default();
    format!("{} {} {code} {words}", reply.status, reply.body["resourceType"].as_str().unwrap_or_default())
}

/// The state in which a family of the specification, or one that ends a prescription, leaves it.
fn end_of(name: &str, family: &Family, last: Step) -> Option<&'static str> {
    let notifications = family.steps.iter().filter(|(step, ..)| *step == Step::Notify).count();
    match last {
        Step::Send | Step::Return => Some("0001"),
        Step::Claim => Some("0008"),
        // Back to what an earlier notification left, or to what the release did; repeat dispensing is released as 0003.
        Step::Withdraw if notifications > 1 || name.contains("eRD") || name.contains("repeat-dispensing") => {
            Some("0003")
        }
        Step::Withdraw => Some("0002"),
        Step::Release if !name.contains("Nominated") => Some("0002"),
        _ => None,
    }
}

async fn published_prescriptions_are_walked_through(world: World) {
    let families = families();
    if families.is_empty() {
        return say_once("left out: published prescriptions (no folder of payloads; HUB_SHARED names its parent)");
    }
    assert!(families.len() >= 25, "the families are there: {}", families.len());
    let mut days: BTreeMap<&str, Vec<(&str, &Family)>> = BTreeMap::new();
    for (name, family) in &families {
        days.entry(&family.day).or_default().push((name, family));
    }
    let (mut rows, mut wrong) = (Vec::new(), 0);
    for (day, families) in days {
        let hub = world.hub_with(&[("now", &format!("{day}T20:00:00Z"))]).await;
        let service = Client::new(format!("{}/eps/FHIR/R4", hub.base.strip_suffix("/fhir/R4").unwrap()));
        for (name, family) in families {
            let mut walk = Walk::new(&service, name, family);
            for (step, path, body) in &family.steps {
                walk.takes(name, *step, path, body).await;
            }
            let taken = family.steps.last().filter(|(step, path, body)| expected(path, *step, body).0 == 200);
            if let Some(state) = taken.and_then(|(step, ..)| end_of(name, family, *step)) {
                walk.stands(name, state).await;
            }
            rows.extend(walk.rows);
            wrong += walk.wrong;
        }
        hub.closes().await;
    }
    say_once(&format!("\npublished prescriptions (family, step, expected, got):\n{}", rows.join("\n")));
    let wrong_rows: Vec<&String> = rows.iter().filter(|row| row.ends_with("WRONG")).collect();
    assert_eq!(wrong, 0, "{wrong_rows:#?}");
}

/// The elements of the newer tracker's answers that the service writes itself; the others are the order's own.
async fn what_is_tracked_has_the_published_shape(world: World) {
    let folder = shared().join("payloads/eps-tracker");
    if !folder.is_dir() {
        return say_once(
            "left out: published answers of the tracker (no folder of payloads; HUB_SHARED names its parent)",
        );
    }
    let published = |name: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap()).unwrap()
    };
    let hub = world.hub().await;
    let service = Client::new(hub.base.replace("/fhir/R4", "/eps/FHIR/R4"));
    let prescription = Prescription::new(2).nominated("FA565");
    let sends = async |message: Value| drop(service.post("$process-message", &message).await.is(200));
    let looks = async |name: &str| {
        let view = service.get(&format!("RequestGroup/{}", prescription.escaped())).await.is(200);
        has_shape(&published(&format!("clinicalView/{name}")), &view.body, name);
    };
    sends(prescription.order()).await;
    looks("200_AcuteWithMultipleItems_Created").await;
    let list = service.get(&format!("RequestGroup?prescriptionId={}", prescription.escaped())).await.is(200);
    has_shape(&published("prescriptionSearch/200_WithSingleAcute"), &list.body, "search");
    service.post("Task/$release", &prescription.release_by("FA565")).await.is(200);
    sends(prescription.notification("FA565", "0003", &["0001", "0004"])).await;
    looks("200_AcuteWithMultipleItems_PartiallyDispensed").await;
    sends(prescription.notification("FA565", "0006", &["0001", "0001"])).await;
    looks("200_AcuteWithMultipleItems_Dispensed").await;
    let repeats = Prescription::new(1).repeat_dispensing(3, "2026-11-01");
    sends(repeats.order()).await;
    let view = service.get(&format!("RequestGroup/{}", repeats.escaped())).await.is(200);
    has_shape(&published("clinicalView/200_ErdWithSingleItem_Created"), &view.body, "repeat dispensing");
    hub.closes().await;
}

/// What an order, or a notification, may bring or leave out.
const OF_THE_SENDER: [&str; 4] = ["dosageInstruction", "quantity", "PrescriptionType", "whenHandedOver"];

fn has_shape(published: &Value, answer: &Value, name: &str) {
    let elements = |bundle: &Value| {
        let mut elements = BTreeSet::new();
        for entry in bundle["entry"].as_array().unwrap() {
            let kind = entry["resource"]["resourceType"].as_str().unwrap();
            if matches!(kind, "RequestGroup" | "MedicationDispense") {
                shape(&entry["resource"], kind, &mut elements);
            }
        }
        elements.retain(|element: &String| !OF_THE_SENDER.iter().any(|part| element.contains(part)));
        elements
    };
    let (wanted, told) = (elements(published), elements(answer));
    assert!(wanted.len() > 10, "{name}: {wanted:?}");
    assert!(told.is_superset(&wanted), "{name}: {:#?}", wanted.difference(&told).collect::<Vec<_>>());
}

/// The paths of all values; an extension is named by its url.
fn shape(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            let url = members.get("url").and_then(Value::as_str).filter(|_| path.ends_with("xtension"));
            let path = url.map_or(path.to_owned(), |url| format!("{path}[{}]", url.rsplit('/').next().unwrap_or(url)));
            for (name, value) in members {
                shape(value, &format!("{path}.{name}"), into);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| shape(value, path, into)),
        _ => drop(into.insert(path.to_owned())),
    }
}

/// What pharmacies push, with ids of its own: the published requests come twice with the same.
async fn published_status_updates_are_taken(world: World) {
    let mut paths = Vec::new();
    files(&shared().join("payloads/eps-status-update"), &mut paths);
    paths.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("request-"));
    paths.sort();
    if paths.is_empty() {
        return say_once("left out: published status updates (no folder of payloads; HUB_SHARED names its parent)");
    }
    let hub = world.hub().await;
    let service = Client::new(format!("{}/psu", hub.base.strip_suffix("/fhir/R4").unwrap()));
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut bundle: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for entry in bundle["entry"].as_array_mut().unwrap() {
            if entry["resource"]["id"].is_string() {
                let id = Uuid::new_v4();
                entry["fullUrl"] = format!("urn:uuid:{id}").into();
                entry["resource"]["id"] = id.to_string().into();
            }
        }
        let reply = service.post("", &bundle).header("x-request-id", Uuid::new_v4().to_string()).await;
        let expected = if name.contains("missing") { 400 } else { 201 };
        assert_eq!(reply.status, expected, "{name}: {}", reply.text);
        assert_eq!(reply.resources().len(), bundle["entry"].as_array().unwrap().len(), "an answer to each");
        if expected == 400 {
            assert!(reply.text.contains("Missing required field(s) - PharmacyODSCode, TaskID."), "{}", reply.text);
        }
    }
    hub.closes().await;
}
