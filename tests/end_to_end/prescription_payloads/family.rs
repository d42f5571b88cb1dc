//! Messages that belong together, and the ways through them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use uuid::Uuid;

use super::message::{Message, Step, all_values, files, id_of, items_in, part, payloads};

/// Where a file is, and what the names of those begin with that belong together there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) scenario: String,
}

impl Place {
    /// In the specification those of a course are one scenario, elsewhere those of a number; others are alone.
    pub(super) fn of(path: &Path) -> Self {
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
pub(super) struct Family {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) day: String,
    pub(super) messages: Vec<Message>,
}

impl Family {
    /// Whether one of these prescriptions is its own.
    pub(super) fn is_about(&self, numbers: &[String]) -> bool {
        self.messages.iter().any(|message| message.numbers().iter().any(|number| numbers.contains(number)))
    }

    /// Whether the prescription that a message is about, and of the same patient, is ordered here.
    pub(super) fn orders(&self, message: &Message) -> bool {
        let patients = message.patients();
        let is_of = |order: &Message| patients.is_empty() || order.patients().iter().any(|one| patients.contains(one));
        let mut orders = self.messages.iter().filter(|message| message.step == Step::Send);
        self.is_about(&message.numbers()) && orders.any(is_of)
    }

    /// The items of the prescription: as ordered, else all that are named.
    pub(super) fn items(&self) -> Vec<Uuid> {
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
    pub(super) fn is_cancelled(&self) -> bool {
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
    pub(super) fn walks(&self) -> Vec<(String, Vec<&Message>)> {
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
pub(super) fn home_of(families: &[Family], place: &Place, message: &Message) -> Option<usize> {
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

pub(super) fn families() -> Vec<Family> {
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
pub(super) fn day_of(order: &Value) -> Option<String> {
    let request = part(order, "MedicationRequest")?;
    let signature = &part(order, "Provenance").unwrap_or(&Value::Null)["signature"][0];
    let days = [&request["authoredOn"], &signature["when"], &request["dispenseRequest"]["validityPeriod"]["start"]];
    days.into_iter().filter_map(|day| Some(day.as_str()?.get(..10)?.to_owned())).max()
}

/// The ODS code of the pharmacy that speaks: of who asks, of who dispensed, or of whose role it is.
pub(super) fn pharmacy_of(body: &Value) -> Option<String> {
    let dispense = part(body, "MedicationDispense").unwrap_or(body);
    let contained = || dispense["contained"].as_array().into_iter().flatten();
    let named = match contained().find(|resource| resource["resourceType"] == "PractitionerRole") {
        Some(role) => organization_of(role, contained(), body),
        None => &body["parameter"],
    };
    all_values(named, "/Id/ods-organization-code").into_iter().next()
}

pub(super) fn organization_of<'a>(
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
pub(super) fn issues_of(family: &Family) -> Option<u32> {
    let is_repeated = |message: &&Message| message.body.to_string().contains("\"continuous-repeat-dispensing\"");
    let body = &family.messages.iter().find(is_repeated)?.body;
    let told = number_in(body, &|one| Some(&one["valueInteger"]).filter(|_| one["url"] == "numberOfRepeatsAllowed"));
    let ordered = || Some(number_in(body, &|one| one.get("numberOfRepeatsAllowed"))? + 1);
    Some(told.or_else(ordered).unwrap_or(1))
}

/// The first number that is found.
pub(super) fn number_in(body: &Value, found: &dyn Fn(&Value) -> Option<&Value>) -> Option<u32> {
    match body {
        Value::Object(members) => {
            let number = found(body).and_then(Value::as_u64).and_then(|number| number.try_into().ok());
            number.or_else(|| members.values().find_map(|value| number_in(value, found)))
        }
        Value::Array(values) => values.iter().find_map(|value| number_in(value, found)),
        _ => None,
    }
}
