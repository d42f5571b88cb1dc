//! What the story searches by: parameters as FHIR's definitions have them, and where their values stand.

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    Text,
    Token,
    Reference,
    Date,
    Amount,
}

#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) of: &'static str,
    pub(super) name: &'static str,
    pub(super) way: Way,
    /// Where its values stand.
    pub(super) paths: &'static [&'static str],
}

const fn by(of: &'static str, name: &'static str, way: Way, paths: &'static [&'static str]) -> Parameter {
    Parameter { of, name, way, paths }
}

pub(super) const PARAMETERS: [Parameter; 51] = [
    by("Patient", "name", Way::Text, &["name.text", "name.family", "name.given", "name.prefix", "name.suffix"]),
    by("Patient", "family", Way::Text, &["name.family"]),
    by("Patient", "given", Way::Text, &["name.given"]),
    by("Patient", "address", Way::Text, &["address.text", "address.line", "address.city", "address.postalCode"]),
    by("Patient", "address-city", Way::Text, &["address.city"]),
    by("Patient", "identifier", Way::Token, &["identifier"]),
    by("Patient", "gender", Way::Token, &["gender"]),
    by("Patient", "active", Way::Token, &["active"]),
    by("Patient", "birthdate", Way::Date, &["birthDate"]),
    by("Patient", "general-practitioner", Way::Reference, &["generalPractitioner"]),
    by("Patient", "_tag", Way::Token, &["meta.tag"]),
    by("Patient", "_source", Way::Token, &["meta.source"]),
    by("Observation", "status", Way::Token, &["status"]),
    by("Observation", "code", Way::Token, &["code"]),
    by("Observation", "category", Way::Token, &["category"]),
    by("Observation", "subject", Way::Reference, &["subject"]),
    by("Observation", "encounter", Way::Reference, &["encounter"]),
    by("Observation", "date", Way::Date, &["effectiveDateTime", "effectivePeriod"]),
    by("Observation", "value-quantity", Way::Amount, &["valueQuantity"]),
    by("Observation", "value-concept", Way::Token, &["valueCodeableConcept"]),
    by("Observation", "value-string", Way::Text, &["valueString", "valueCodeableConcept.text"]),
    by("Observation", "component-code", Way::Token, &["component.code"]),
    by("Observation", "component-value-quantity", Way::Amount, &["component.valueQuantity"]),
    by("Observation", "combo-code", Way::Token, &["code", "component.code"]),
    by("Observation", "combo-value-quantity", Way::Amount, &["valueQuantity", "component.valueQuantity"]),
    by("Observation", "_tag", Way::Token, &["meta.tag"]),
    by("Encounter", "status", Way::Token, &["status"]),
    by("Encounter", "class", Way::Token, &["class"]),
    by("Encounter", "date", Way::Date, &["period"]),
    by("Encounter", "length", Way::Amount, &["length"]),
    by("Encounter", "subject", Way::Reference, &["subject"]),
    by("Encounter", "part-of", Way::Reference, &["partOf"]),
    by("Encounter", "_tag", Way::Token, &["meta.tag"]),
    by("ServiceRequest", "code", Way::Token, &["code"]),
    by("ServiceRequest", "identifier", Way::Token, &["identifier"]),
    by("ServiceRequest", "requisition", Way::Token, &["requisition"]),
    by("ServiceRequest", "authored", Way::Date, &["authoredOn"]),
    by("ServiceRequest", "occurrence", Way::Date, &["occurrenceDateTime", "occurrencePeriod"]),
    by("ServiceRequest", "subject", Way::Reference, &["subject"]),
    by("ServiceRequest", "encounter", Way::Reference, &["encounter"]),
    by("ServiceRequest", "_tag", Way::Token, &["meta.tag"]),
    by("Task", "status", Way::Token, &["status"]),
    by("Task", "priority", Way::Token, &["priority"]),
    by("Task", "code", Way::Token, &["code"]),
    by("Task", "business-status", Way::Token, &["businessStatus"]),
    by("Task", "group-identifier", Way::Token, &["groupIdentifier"]),
    by("Task", "subject", Way::Reference, &["for"]),
    by("Task", "encounter", Way::Reference, &["encounter"]),
    by("Task", "authored-on", Way::Date, &["authoredOn"]),
    by("Task", "modified", Way::Date, &["lastModified"]),
    by("Task", "period", Way::Date, &["executionPeriod"]),
];

/// A parameter that leads from one resource to another.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) of: &'static str,
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) to: &'static str,
}

const fn link(of: &'static str, name: &'static str, path: &'static str, to: &'static str) -> Link {
    Link { of, name, path, to }
}

pub(super) const LINKS: [Link; 8] = [
    link("Observation", "subject", "subject", "Patient"),
    link("Observation", "encounter", "encounter", "Encounter"),
    link("Encounter", "subject", "subject", "Patient"),
    link("Encounter", "part-of", "partOf", "Encounter"),
    link("ServiceRequest", "subject", "subject", "Patient"),
    link("ServiceRequest", "encounter", "encounter", "Encounter"),
    link("Task", "subject", "for", "Patient"),
    link("Task", "encounter", "encounter", "Encounter"),
];

/// Composites of an Observation: where the elements are that they are about. Of each they compare `code` and
/// `valueQuantity`.
pub(super) const COMPOSITES: [(&str, &[&str]); 3] = [
    ("code-value-quantity", &[""]),
    ("component-code-value-quantity", &["component"]),
    ("combo-code-value-quantity", &["", "component"]),
];
