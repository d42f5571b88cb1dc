//! The services among which a referral may choose: read, looked up in the directory, and changed.

use schemas::outcome::Issue;
use schemas::resource::{Body, Key, Kind, Resource, list, text_at};
use serde_json::Value;

use super::codes::{
    DUPLICATE_SERVICE, INAPPROPRIATE_VALUE, INVALID_CODE, INVALID_VALUE, MISSING_VALUE, NO_CHANGES_DETECTED,
    REFERENCE_NOT_FOUND, SERVICE_UNAVAILABLE, SHORTLISTED_SERVICE_NOT_IN_RESULTS, TOO_MANY_ITEMS, UNSUPPORTED_PRIORITY,
};
use super::read::Reader;
use super::record::{Record, Service, Speaker, Urgency};
use super::{ODS, look};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::{Identifier, Needs};

/// Services of a shortlist, at most.
const SERVICES_MAX: usize = 20;
/// The system of a service's number.
const SERVICE: [&str; 2] = ["https://fhir.nhs.uk/Id/ers-service", "http://fhir.nhs.net/Id/ers-service"];
pub(super) const FLOW_TYPE: &str = "https://fhir.nhs.uk/CodeSystem/eRS-RequestFlowType";
const PRIORITY: &str = "https://fhir.nhs.uk/CodeSystem/eRS-Priority";

/// A shortlist as somebody sent it.
#[derive(Debug, Clone)]
pub struct Shortlist {
    path: String,
    services: Vec<Named>,
    pub(super) urgency: Urgency,
    pub(super) specialty: Option<String>,
    pub(super) clinic_type: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Named {
    Key(Key),
    Number(String),
}

/// What a referral does at a service; the directory says which services do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Bookable,
    Review,
    Advice,
    /// Either of the first two.
    Referral,
}

impl Flow {
    fn codes(self) -> &'static [&'static str] {
        match self {
            Self::Bookable => &["BOOKABLE"],
            Self::Review => &["REVIEW"],
            Self::Advice => &["ADVICE_AND_GUIDANCE"],
            Self::Referral => &["BOOKABLE", "REVIEW"],
        }
    }
}

/// A List with 1 to 20 services; what was searched for is in the Parameters that it contains.
pub(super) fn read(reader: &mut Reader) -> Option<Shortlist> {
    let (path, body) = reader.needed_resource("shortlist", "List")?;
    let mut services = Vec::new();
    for (n, entry) in list(body, "entry").enumerate() {
        let path = format!("{path}.entry[{n}].item");
        match named(&entry["item"]) {
            Some(service) if services.contains(&service) => reader.fault(DUPLICATE_SERVICE, &path),
            Some(service) => services.push(service),
            None => {
                let text = "a service is called by HealthcareService/<id>, or by its number";
                reader.faults.push(INVALID_VALUE.because(&path, text));
            }
        }
    }
    match services.len() {
        0 if list(body, "entry").next().is_none() => {
            let text = "a shortlist has at least one service";
            reader.faults.push(MISSING_VALUE.because(&format!("{path}.entry"), text));
        }
        n if n > SERVICES_MAX => reader.fault(TOO_MANY_ITEMS, &format!("{path}.entry")),
        _ => {}
    }
    let criteria = list(body, "contained").position(|contained| contained["resourceType"] == "Parameters");
    let at = format!("{path}.contained[{}]", criteria.unwrap_or_default());
    let criteria = criteria.and_then(|n| list(body, "contained").nth(n)).and_then(Value::as_object);
    let code = |name: &str| {
        let mut all = criteria.into_iter().flat_map(|criteria| list(criteria, "parameter"));
        Some(all.find(|parameter| parameter["name"] == name)?["valueCoding"]["code"].as_str()?.to_owned())
    };
    let urgency = code("priority").map(|code| Urgency::parse(&code));
    match urgency {
        None => reader.faults.push(MISSING_VALUE.because(&at, "the search criteria name a priority")),
        Some(None) => {
            let text = format!("priority is one of {}", Urgency::CODES.join(", "));
            reader.faults.push(INVALID_CODE.because(&at, text));
        }
        Some(Some(_)) => {}
    }
    Some(Shortlist {
        path,
        services,
        urgency: urgency.flatten().unwrap_or(Urgency::Routine),
        specialty: code("specialty"),
        clinic_type: code("clinicType"),
    })
}

fn named(item: &Value) -> Option<Named> {
    let number = &item["identifier"];
    if let Some(reference) = item["reference"].as_str() {
        return Key::of_reference(reference).filter(|key| key.kind == Kind::HEALTHCARE_SERVICE).map(Named::Key);
    }
    let is_number = SERVICE.iter().any(|system| number["system"] == *system);
    number["value"].as_str().filter(|_| is_number).map(|value| Named::Number(value.to_owned()))
}

impl Shortlist {
    pub(super) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        for service in &self.services {
            match service {
                Named::Key(key) => {
                    needs.resources.push(key.clone());
                    needs.existence.push(key.clone());
                }
                Named::Number(number) => needs.identifiers.extend(identifiers(number)),
            }
        }
        needs
    }

    pub(super) fn len(&self) -> usize {
        self.services.len()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The services as the directory has them; every one that does not do is told.
    pub(super) fn services(&self, draft: &Draft, flow: Flow) -> Result<Vec<Service>, Stop> {
        let keys: Vec<Option<Key>> = self.services.iter().map(|service| key_of(draft, service)).collect();
        let wanted: Vec<&Key> = keys.iter().flatten().filter(|key| !is_known(draft, key)).collect();
        if !wanted.is_empty() {
            let resources: Vec<Key> = wanted.into_iter().cloned().collect();
            return Err(Stop::more(Needs { existence: resources.clone(), resources, ..Needs::default() }));
        }
        let (mut services, mut faults) = (Vec::new(), Vec::new());
        for (n, key) in keys.iter().enumerate() {
            let path = format!("{}.entry[{n}].item", self.path);
            let found = match key {
                Some(key) => look(draft, key)?,
                None => None,
            };
            match found {
                Some(resource) => match self.fit(resource, flow, &path) {
                    Ok(service) => services.push(service),
                    Err(fault) => faults.push(fault),
                },
                None => faults.push(REFERENCE_NOT_FOUND.because(&path, "there is no such service in the directory")),
            }
        }
        if faults.is_empty() { Ok(services) } else { Err(Refusal::new(RefusalKind::Unprocessable, faults).into()) }
    }

    fn fit(&self, resource: &Resource, flow: Flow, path: &str) -> Result<Service, Issue> {
        let body: &Body = &resource.body;
        if body.get("active") == Some(&Value::Bool(false)) {
            return Err(SERVICE_UNAVAILABLE.at(path));
        }
        if !offers(body, flow) {
            let text = format!("this service is not of the type {}", flow.codes().join(" or "));
            return Err(INAPPROPRIATE_VALUE.because(path, text));
        }
        let priorities = characteristics(body, PRIORITY);
        if !priorities.is_empty() && !priorities.contains(&self.urgency.code()) {
            return Err(UNSUPPORTED_PRIORITY.at(path));
        }
        let specialties: Vec<&str> = codes(list(body, "specialty")).map(|(_, code)| code).collect();
        let sought = self.specialty.as_deref();
        if sought.is_some_and(|sought| !specialties.is_empty() && !specialties.contains(&sought)) {
            return Err(SHORTLISTED_SERVICE_NOT_IN_RESULTS.at(path));
        }
        let Some(provider) = provider(body) else {
            let text = "the directory does not say who provides this service (providedBy)";
            return Err(INAPPROPRIATE_VALUE.because(path, text));
        };
        let name = text_at(body, &["name"]).unwrap_or_default().to_owned();
        Ok(Service { id: resource.key.id.clone(), name, provider: provider.to_owned() })
    }
}

fn identifiers(number: &str) -> impl Iterator<Item = Identifier> {
    let identifier = |system: &str| Identifier {
        kind: Kind::HEALTHCARE_SERVICE,
        system: system.to_owned(),
        value: number.to_owned(),
    };
    SERVICE.map(identifier).into_iter()
}

fn key_of(draft: &Draft, service: &Named) -> Option<Key> {
    match service {
        Named::Key(key) => Some(key.clone()),
        Named::Number(number) => {
            let mut ids = identifiers(number).filter_map(|identifier| draft.scene.identified.get(&identifier)?.first());
            ids.next().map(|id| Key::new(Kind::HEALTHCARE_SERVICE, id.clone()))
        }
    }
}

fn is_known(draft: &Draft, key: &Key) -> bool {
    draft.find(key).is_some() || draft.scene.deleted.contains(key) || draft.scene.asked.contains(key)
}

/// Code by code, with its system.
fn codes<'a>(concepts: impl Iterator<Item = &'a Value>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let codings = concepts.flat_map(|concept| concept["coding"].as_array().into_iter().flatten());
    codings.filter_map(|coding| Some((coding["system"].as_str().unwrap_or_default(), coding["code"].as_str()?)))
}

fn characteristics<'a>(body: &'a Body, system: &str) -> Vec<&'a str> {
    codes(list(body, "characteristic")).filter(|(of, _)| *of == system).map(|(_, code)| code).collect()
}

/// Whether a service does this. One that does not say what it does is taken for all of it.
pub(super) fn offers(body: &Body, flow: Flow) -> bool {
    let types = characteristics(body, FLOW_TYPE);
    types.is_empty() || flow.codes().iter().any(|code| types.contains(code))
}

/// ODS code of who provides it.
fn provider(body: &Body) -> Option<&str> {
    let by = body.get("providedBy")?;
    let number = &by["identifier"];
    let code = number["value"].as_str().filter(|_| number["system"] == ODS);
    code.or_else(|| by["reference"].as_str()?.strip_prefix("Organization/"))
}

/// `$ers.changeShortlist`: other services, until it is sent to one of them.
pub(super) fn change(draft: &Draft, record: &mut Record, shortlist: &Shortlist, flow: Flow) -> Result<(), Stop> {
    let services = shortlist.services(draft, flow)?;
    let same = services == record.shortlist
        && shortlist.urgency == record.urgency
        && shortlist.specialty == record.specialty
        && shortlist.clinic_type == record.clinic_type;
    if same && record.state == super::table::State::NotBooked && flow == Flow::Referral {
        return Err(NO_CHANGES_DETECTED.refused(&shortlist.path, "the shortlist is the same as before").into());
    }
    record.urgency = shortlist.urgency;
    record.specialty.clone_from(&shortlist.specialty);
    record.clinic_type.clone_from(&shortlist.clinic_type);
    record.shortlist = services;
    record.sent_to = None;
    Ok(())
}

/// The provider that is to act on a referral finds it services of its own.
pub(super) fn change_own(draft: &Draft, record: &mut Record, shortlist: &Shortlist, by: &Speaker) -> Result<(), Stop> {
    let services = shortlist.services(draft, Flow::Bookable)?;
    if services.iter().any(|service| service.provider != by.organization) {
        let text = "a provider refers on to services of its own";
        return Err(INAPPROPRIATE_VALUE.refused(&shortlist.path, text).into());
    }
    record.sent_to = services.first().map(|service| service.id.clone());
    record.shortlist = services;
    Ok(())
}
