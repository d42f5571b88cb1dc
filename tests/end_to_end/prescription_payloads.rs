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

impl Step {
    /// Whether a prescription goes through that step before it comes to this one, its end.
    fn follows(self, step: Self) -> bool {
        match self {
            Self::Cancel => step < Self::Cancel,
            Self::Return => step <= Self::Release,
            _ => step <= Self::Notify,
        }
    }
}

/// A published request.
struct Message {
    step: Step,
    path: PathBuf,
    body: Value,
    expected: Expected,
}

impl Message {
    /// None of an answer.
    fn read(path: PathBuf) -> Option<Self> {
        let body = read(&path)?;
        let step = step_of(&path, &body)?;
        let expected = Expected::of(&path, step, &body);
        Some(Self { step, path, body, expected })
    }

    fn numbers(&self) -> Vec<String> {
        all_values(&self.body, "/Id/prescription-order-number")
    }

    fn patients(&self) -> Vec<String> {
        all_values(&self.body, "/Id/nhs-number")
    }

    /// The message in whose place it comes.
    fn replaced(&self) -> Option<String> {
        let header = if self.step == Step::Claim { &self.body } else { &self.body["entry"][0]["resource"] };
        let extension = extension(header, "Extension-replacementOf")?;
        extension["valueIdentifier"]["value"].as_str().map(str::to_owned)
    }
}

/// The id of a message.
fn id_of(body: &Value) -> Option<&str> {
    let identifier = &body["identifier"];
    identifier["value"].as_str().or_else(|| identifier[0]["value"].as_str())
}

/// What is published of what comes of a message: a status, words that are told, and all that a refusal tells.
struct Expected {
    status: u16,
    words: String,
    refusal: Value,
}

impl Expected {
    fn new(status: u16, words: impl Into<String>) -> Self {
        Self { status, words: words.into(), refusal: Value::Null }
    }

    /// From the answer beside the request, from the rules of the service, or from its name.
    fn of(path: &Path, step: Step, body: &Value) -> Self {
        let name = path.file_name().unwrap().to_string_lossy();
        if let Some(answer) = answer_to(path) {
            return Self::told_by(answer, step);
        }
        match broken_rule(step, body) {
            Some(code) => Self::new(400, code),
            None if name.contains("Missing_Endorsement") => Self::new(400, "endorsement"),
            None if name.contains("-400") || name.contains("_400") => Self::new(400, ""),
            None if step == Step::Cancel => Self::new(200, "R-0001"),
            None => Self::new(200, ""),
        }
    }

    fn told_by(answer: Value, step: Step) -> Self {
        if matches!(answer["issue"][0]["severity"].as_str(), Some("error" | "fatal")) {
            return Self { refusal: answer, ..Self::new(400, "") };
        }
        let words = if step == Step::Cancel { response_code(&answer) } else { String::new() };
        Self::new(if words.is_empty() || words == "R-0001" { 200 } else { 400 }, words)
    }

    /// What an answer does not tell as it must.
    fn lacking_in(&self, reply: &Reply) -> Option<String> {
        let is_right = reply.status == self.status && reply.text.contains(&self.words);
        let unlike = unlike(&self.refusal, &reply.body);
        if is_right { unlike } else { Some(format!("{} {}", self.status, self.words)) }
    }
}

/// A published issue that the answer does not tell in the same words, if there is one. (The service writes the system
/// of its own codes in two ways.)
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

/// The code of the answer to a cancellation.
fn response_code(answer: &Value) -> String {
    let request = part(answer, "MedicationRequest").unwrap_or(&Value::Null);
    let history = extension(request, "Extension-DM-PrescriptionStatusHistory").unwrap_or(&Value::Null);
    let status = extension(history, "status").unwrap_or(&Value::Null);
    status["valueCoding"]["code"].as_str().unwrap_or_default().to_owned()
}

/// The rule of the service that a message breaks, though its name may not say so: the code of the refusal.
fn broken_rule(step: Step, body: &Value) -> Option<&'static str> {
    match step {
        // A prescription is called by a number of the one system of numbers; older messages knew another.
        Step::Prepare | Step::Send => all_values(body, "/Id/prescription-order-number").is_empty().then_some(""),
        Step::Notify => broken_rule_of_notification(body),
        _ => None,
    }
}

fn broken_rule_of_notification(body: &Value) -> Option<&'static str> {
    // Who pays is told of the organisation that dispensed.
    if !body.to_string().contains("reimbursementAuthority") {
        return Some("");
    }
    let dispenses: Vec<&Value> = parts(body, "MedicationDispense").collect();
    let reason = |dispense: &&Value| {
        let told = extension(dispense, "Extension-DM-PrescriptionNonDispensingReason")?;
        Some(told["valueCoding"]["code"].clone())
    };
    let reasons: Vec<Option<Value>> = dispenses.iter().map(reason).collect();
    // Why a whole prescription was not dispensed is told once, or alike for each item.
    if reasons.iter().all(Option::is_some) && reasons.iter().any(|reason| *reason != reasons[0]) {
        return Some("INVALID_VALUE");
    }
    // What was dispensed is no item of a prescription that was not, what is still to come none of one that was.
    let admitted = match told_state(body) {
        "0006" => ["0001", "0002", "0005", "0006"].as_slice(),
        "0007" => &["0002", "0005", "0006"],
        _ => return None,
    };
    let is_admitted =
        |dispense: &Value| dispense["type"]["coding"][0]["code"].as_str().is_some_and(|c| admitted.contains(&c));
    let mut unexplained = dispenses.iter().zip(&reasons).filter(|(_, reason)| reason.is_none());
    unexplained.any(|(dispense, _)| !is_admitted(dispense)).then_some("MEDICATIONREQUEST_INVALID_STATE_TRANSITION")
}

/// The state to which a notification takes a prescription.
fn told_state(notification: &Value) -> &str {
    let dispense = part(notification, "MedicationDispense").unwrap_or(&Value::Null);
    let state = extension(dispense, "Extension-EPS-TaskBusinessStatus").unwrap_or(&Value::Null);
    state["valueCoding"]["code"].as_str().unwrap_or_default()
}

/// The answer that is published beside a request.
fn answer_to(request: &Path) -> Option<Value> {
    let name = request.file_name().unwrap().to_string_lossy();
    let answer = name.replace("-Request-", "-Response-").replace("-req.json", "-res.json");
    if answer == name { None } else { read(&request.with_file_name(answer)) }
}

pub(crate) fn shared() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    std::env::var_os("HUB_SHARED").map_or_else(beside, PathBuf::from)
}

fn payloads() -> PathBuf {
    shared().join("payloads/eps")
}

/// All files below a folder, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// None where there is no such file, or no JSON in it.
fn read(path: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// What a payload is a request for; none of an answer.
fn step_of(path: &Path, body: &Value) -> Option<Step> {
    let name = path.to_string_lossy();
    if ["Response", "-res.json"].iter().any(|part| name.contains(part)) {
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

fn parts<'a>(bundle: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    entries.map(|entry| &entry["resource"]).filter(move |resource| resource["resourceType"] == kind)
}

fn part<'a>(bundle: &'a Value, kind: &'a str) -> Option<&'a Value> {
    parts(bundle, kind).next()
}

fn extension<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    let mut all = of["extension"].as_array()?.iter();
    all.find(|extension| extension["url"].as_str().is_some_and(|url| url.ends_with(name)))
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

fn all_values(body: &Value, system: &str) -> Vec<String> {
    let mut values = Vec::new();
    values_of(body, system, &mut values);
    values
}

/// The items that a message is about: those of its requests, and those that it claims for.
fn items_in(body: &Value, into: &mut Vec<Uuid>) {
    match body {
        Value::Object(members) => {
            let is_claimed = body["url"].as_str().is_some_and(|url| url.ends_with("ClaimMedicationRequestReference"));
            let named = if body["resourceType"] == "MedicationRequest" { &body["identifier"] } else { &Value::Null };
            let named = if is_claimed { &body["valueReference"] } else { named };
            let ids = all_values(named, "/Id/prescription-order-item-number");
            into.extend(ids.iter().flat_map(|id| id.parse::<Uuid>()));
            members.values().for_each(|value| items_in(value, into));
        }
        Value::Array(values) => values.iter().for_each(|value| items_in(value, into)),
        _ => {}
    }
}

// ---- families

/// Where a file is, and what the names of those begin with that belong together there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    folder: PathBuf,
    scenario: String,
}

impl Place {
    /// In the specification those of a course are one scenario, elsewhere those of a number; others are alone.
    fn of(path: &Path) -> Self {
        let name = path.file_name().unwrap().to_string_lossy();
        let folder = path.parent().unwrap().strip_prefix(payloads()).unwrap();
        let course = ["acute", "repeat", "eRD"].into_iter().find(|course| name.starts_with(course));
        let number = name.split('-').next().filter(|first| first.chars().all(|c| c.is_ascii_digit()));
        match (course, number) {
            (Some(course), _) if folder.starts_with("spec") => {
                Self { folder: Path::new("spec").join(course), scenario: String::new() }
            }
            (_, number) => Self { folder: folder.into(), scenario: number.unwrap_or(&name).into() },
        }
    }
}

/// One scenario: its messages, and the day on which it happens.
struct Family {
    name: String,
    place: Place,
    day: String,
    messages: Vec<Message>,
}

impl Family {
    /// Whether one of these prescriptions is its own.
    fn is_about(&self, numbers: &[String]) -> bool {
        self.messages.iter().any(|message| message.numbers().iter().any(|number| numbers.contains(number)))
    }

    /// Whether the prescription that a message is about, and of the same patient, is ordered here.
    fn orders(&self, message: &Message) -> bool {
        let patients = message.patients();
        let is_of = |order: &Message| patients.is_empty() || order.patients().iter().any(|one| patients.contains(one));
        let mut orders = self.messages.iter().filter(|message| message.step == Step::Send);
        self.is_about(&message.numbers()) && orders.any(is_of)
    }

    /// The items of the prescription: as ordered, else all that are named.
    fn items(&self) -> Vec<Uuid> {
        let order = self.messages.iter().rfind(|message| message.step <= Step::Send);
        let mut items = Vec::new();
        match order {
            Some(order) => items_in(&order.body, &mut items),
            None => self.messages.iter().for_each(|message| items_in(&message.body, &mut items)),
        }
        let mut seen = BTreeSet::new();
        items.retain(|item| seen.insert(*item));
        items
    }

    /// Whether nothing is left of the prescription when its prescriber has cancelled what the messages say.
    fn is_cancelled(&self) -> bool {
        let mut items = Vec::new();
        let cancellations: Vec<&Message> = self.messages.iter().filter(|m| m.step == Step::Cancel).collect();
        for message in &cancellations {
            let before = items.len();
            items_in(&message.body, &mut items);
            if items.len() == before {
                return true;
            }
        }
        !cancellations.is_empty() && self.items().iter().all(|item| items.contains(item))
    }

    /// A prescription comes to one end: where several are published, each is walked to from the beginning.
    fn walks(&self) -> Vec<(String, Vec<&Message>)> {
        let is_end = |step: Step| match step {
            Step::Cancel => self.is_cancelled(),
            step => matches!(step, Step::Return | Step::Withdraw | Step::Claim),
        };
        let mut ends: Vec<Step> =
            self.messages.iter().map(|message| message.step).filter(|step| is_end(*step)).collect();
        ends.dedup();
        let mut walks = Vec::new();
        let furthest = self.messages.iter().map(|message| message.step).filter(|step| !is_end(*step)).max();
        if furthest.is_some_and(|furthest| !ends.iter().any(|end| end.follows(furthest))) {
            let way = self.messages.iter().filter(|message| !is_end(message.step));
            walks.push((self.name.clone(), way.collect()));
        }
        for end in &ends {
            let is_on_the_way = |step: Step| step == *end || (!is_end(step) && end.follows(step));
            let way = self.messages.iter().filter(|message| is_on_the_way(message.step));
            let name = if ends.len() > 1 { format!("{}, {end:?}", self.name) } else { self.name.clone() };
            walks.push((name, way.collect()));
        }
        walks
    }
}

/// The family that a message belongs to: that of its place if it is about the same prescription, else the nearest one
/// above that orders its prescription.
fn home_of(families: &[Family], place: &Place, message: &Message) -> Option<usize> {
    let numbers = message.numbers();
    let is_order = message.step <= Step::Send;
    let fits = |family: &Family| is_order || numbers.is_empty() || family.is_about(&numbers);
    let beside = families.iter().position(|family| family.place == *place && fits(family));
    let above = || {
        let nearest = place.folder.ancestors().find_map(|folder| {
            let is_there = |family: &&Family| family.place.folder == folder && family.orders(message);
            let alike = |family: &&Family| family.place.scenario == place.scenario;
            let mut there = families.iter().filter(is_there);
            there.clone().find(alike).or_else(|| there.next())
        })?;
        families.iter().position(|family| std::ptr::eq(family, nearest))
    };
    beside.or_else(|| if is_order { None } else { above() })
}

fn families() -> Vec<Family> {
    let mut messages: Vec<Message> = files(&payloads()).into_iter().filter_map(Message::read).collect();
    messages.sort_by_key(|message| message.step);
    let mut families: Vec<Family> = Vec::new();
    for message in messages {
        let place = Place::of(&message.path);
        if let Some(home) = home_of(&families, &place, &message) {
            families[home].messages.push(message);
            continue;
        }
        let mut name = format!("{} {}", place.folder.display(), place.scenario).trim_end().to_owned();
        if families.iter().any(|family| family.name == name) {
            name = format!("{name}, {}", message.numbers().concat());
        }
        families.push(Family { name, place, day: String::new(), messages: vec![message] });
    }
    for family in &mut families {
        let ids: Vec<String> =
            family.messages.iter().filter_map(|message| id_of(&message.body)).map(str::to_owned).collect();
        // What comes in the place of a published message comes after it.
        family.messages.sort_by_key(|message| (message.step, message.replaced().is_some_and(|id| ids.contains(&id))));
        let day = family.messages.iter().find_map(|message| day_of(&message.body));
        family.day = day.unwrap_or_else(|| "2022-10-21".into());
    }
    families.sort_by(|one, other| one.name.cmp(&other.name));
    families
}

/// When its order was written, signed and to be dispensed: the last of these days.
fn day_of(order: &Value) -> Option<String> {
    let request = part(order, "MedicationRequest")?;
    let signature = &part(order, "Provenance").unwrap_or(&Value::Null)["signature"][0];
    let days = [&request["authoredOn"], &signature["when"], &request["dispenseRequest"]["validityPeriod"]["start"]];
    days.into_iter().filter_map(|day| Some(day.as_str()?.get(..10)?.to_owned())).max()
}

/// The ODS code of the pharmacy that speaks: of who asks, of who dispensed, or of whose role it is.
fn pharmacy_of(body: &Value) -> Option<String> {
    let dispense = part(body, "MedicationDispense").unwrap_or(body);
    let contained = || dispense["contained"].as_array().into_iter().flatten();
    let named = match contained().find(|resource| resource["resourceType"] == "PractitionerRole") {
        Some(role) => organization_of(role, contained(), body),
        None => &body["parameter"],
    };
    all_values(named, "/Id/ods-organization-code").into_iter().next()
}

fn organization_of<'a>(
    role: &'a Value,
    mut contained: impl Iterator<Item = &'a Value>,
    bundle: &'a Value,
) -> &'a Value {
    let organization = &role["organization"];
    let Some(reference) = organization["reference"].as_str() else { return organization };
    let mut entries = bundle["entry"].as_array().into_iter().flatten();
    let within = contained.find(|resource| resource["id"].as_str().is_some_and(|id| reference == format!("#{id}")));
    let beside = || entries.find(|entry| entry["fullUrl"] == reference).map(|entry| &entry["resource"]);
    within.or_else(beside).map_or(&Value::Null, |organization| &organization["identifier"])
}

/// Of how many issues a course of repeat dispensing is; none of another. An order counts the repeats after the first, a
/// dispenser all of them.
fn issues_of(family: &Family) -> Option<u32> {
    let is_repeated = |message: &&Message| message.body.to_string().contains("\"continuous-repeat-dispensing\"");
    let body = &family.messages.iter().find(is_repeated)?.body;
    let told = number_in(body, &|one| Some(&one["valueInteger"]).filter(|_| one["url"] == "numberOfRepeatsAllowed"));
    let ordered = || Some(number_in(body, &|one| one.get("numberOfRepeatsAllowed"))? + 1);
    Some(told.or_else(ordered).unwrap_or(1))
}

/// The first number that is found.
fn number_in(body: &Value, found: &dyn Fn(&Value) -> Option<&Value>) -> Option<u32> {
    match body {
        Value::Object(members) => {
            let number = found(body).and_then(Value::as_u64).and_then(|number| number.try_into().ok());
            number.or_else(|| members.values().find_map(|value| number_in(value, found)))
        }
        Value::Array(values) => values.iter().find_map(|value| number_in(value, found)),
        _ => None,
    }
}

// ---- the walk

/// A row of a table.
struct Row {
    text: String,
    is_right: bool,
    is_refusal: bool,
}

impl Row {
    fn new(name: &str, step: &str, expected: &str, got: &str, is_right: bool) -> Self {
        Self { text: format!("{name:104} | {step:8} | {expected:16} | {got}"), is_right, is_refusal: false }
    }

    fn of_reply(name: &str, step: &str, expected: u16, reply: &Reply) -> Self {
        Self::new(name, step, &expected.to_string(), &told(reply), reply.status == expected)
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
    /// What was taken: the step, the id that was published, and that by which the service knows it.
    ids: Vec<(Step, String, String)>,
    cancelled: BTreeSet<Uuid>,
    /// The states that the notifications told that hold.
    told: Vec<String>,
    /// When that was last told of something handed over.
    handed_over: Option<String>,
    /// Where it must stand now; none as long as it is nowhere.
    state: Option<String>,
    rows: Vec<Row>,
}

impl<'s> Walk<'s> {
    fn new(service: &'s Client, family: &Family) -> Self {
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
    fn id_now(&self, step: Step, published: &str) -> Option<&str> {
        let mut sent = self.ids.iter().rev().filter(|(of, ..)| *of == step);
        let named = sent.clone().find(|(_, old, _)| old == published);
        named.or_else(|| sent.next()).map(|(.., id)| id.as_str())
    }

    /// The same payload about the one prescription of this walk, with ids that nobody has had yet.
    fn renewed(&self, message: &Message) -> Value {
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
    async fn posts(&mut self, step: Step, body: &Value, published: &str) -> Reply {
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
    fn moves(&mut self, step: Step, body: &Value, reply: &Reply) {
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
    async fn comes_to(&mut self, message: &Message) {
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
    async fn tells(&mut self, state: &str) {
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

    async fn makes_up(&mut self, step: Step, body: Value) {
        let reply = self.posts(step, &body, "").await;
        if reply.status != 200 {
            self.rows.push(Row::of_reply("(made up)", &format!("{step:?}"), 200, &reply));
        }
    }

    /// Sends one payload; a row of the table comes of it.
    async fn takes(&mut self, name: &str, message: &Message) {
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
    async fn is_tracked(&mut self, name: &str) {
        let Some(expected) = self.state.clone() else { return };
        let got = self.made.state(self.service).await;
        let is_right = got == expected;
        self.rows.push(Row::new(name, "track", &expected, &got, is_right));
    }
}

/// Which of the repeats was released.
fn told_repeats(reply: &Reply) -> String {
    let number = |name: &str| number_in(&reply.body, &|one| Some(&one["valueInteger"]).filter(|_| one["url"] == name));
    let number = |name: &str| number(name).map_or_else(String::new, |number| number.to_string());
    format!("{} of {}", number("numberOfRepeatsIssued"), number("numberOfRepeatsAllowed"))
}

fn told(reply: &Reply) -> String {
    let issue = &reply.body["issue"][0];
    let code = issue["details"]["coding"][0]["code"].as_str().unwrap_or_default();
    let words = issue["diagnostics"].as_str().unwrap_or_default().split(". ").next().unwrap_or_default();
    format!("{} {} {code} {words}", reply.status, reply.body["resourceType"].as_str().unwrap_or_default())
}

/// Tells the table, and what is wrong in it.
fn tells_table(title: &str, rows: &[Row]) {
    let lines: Vec<String> =
        rows.iter().map(|row| format!("{}{}", row.text, if row.is_right { "" } else { "  <- WRONG" })).collect();
    let count = |is_counted: fn(&Row) -> bool| rows.iter().filter(|row| is_counted(row)).count();
    let (right, refused) = (count(|row| row.is_right), count(|row| row.is_right && row.is_refusal));
    let sum = format!("{} rows, {right} as expected, {refused} of them refused by rule", rows.len());
    say_once(&format!("\n{title}: {sum}\n{}", lines.join("\n")));
    let wrong: Vec<&Row> = rows.iter().filter(|row| !row.is_right).collect();
    let wrong: Vec<&str> = wrong.iter().map(|row| row.text.as_str()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn published_prescriptions_are_walked_through(world: World) {
    let families = families();
    if families.is_empty() {
        return say_once("left out: published prescriptions (no folder of payloads; HUB_SHARED names its parent)");
    }
    assert!(families.len() >= 25, "the families are there: {}", families.len());
    let mut days: BTreeMap<&str, Vec<&Family>> = BTreeMap::new();
    for family in &families {
        days.entry(&family.day).or_default().push(family);
    }
    let mut rows = Vec::new();
    for (day, families) in days {
        let hub = world.hub_with(&[("now", &format!("{day}T20:00:00Z"))]).await;
        let service = Client::new(format!("{}/eps/FHIR/R4", hub.base.strip_suffix("/fhir/R4").unwrap()));
        for family in families {
            for (name, messages) in family.walks() {
                let mut walk = Walk::new(&service, family);
                for message in messages {
                    walk.takes(&name, message).await;
                }
                walk.is_tracked(&name).await;
                rows.extend(walk.rows);
            }
        }
        hub.closes().await;
    }
    tells_table("published prescriptions (family, step, expected, got)", &rows);
}

/// The elements of the newer tracker's answers that the service writes itself; the others are the order's own.
async fn what_is_tracked_has_the_published_shape(world: World) {
    let folder = shared().join("payloads/eps-tracker");
    if !folder.is_dir() {
        return say_once(
            "left out: published answers of the tracker (no folder of payloads; HUB_SHARED names its parent)",
        );
    }
    let published = |name: &str| read(&folder.join(format!("{name}.json"))).unwrap();
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
pub(crate) fn shape(value: &Value, path: &str, into: &mut BTreeSet<String>) {
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
    let mut paths = files(&shared().join("payloads/eps-status-update"));
    paths.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("request-"));
    if paths.is_empty() {
        return say_once("left out: published status updates (no folder of payloads; HUB_SHARED names its parent)");
    }
    let hub = world.hub().await;
    let service = Client::new(format!("{}/psu", hub.base.strip_suffix("/fhir/R4").unwrap()));
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut bundle = read(&path).unwrap();
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
