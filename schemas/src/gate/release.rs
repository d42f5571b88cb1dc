//! Other releases of FHIR, as far as a body says that it is of one: whoever sends it hears that, and not only what of it
//! does not fit R4.

use serde_json::{Map, Value};

/// Types that STU3 had and R4 has not, and what R4 has instead.
///
/// Source: the list of differences in HL7's R4 specification (`diff.html`), and the types' own pages.
const OF_STU3: [(&str, Option<&str>); 13] = [
    ("BodySite", Some("BodyStructure")),
    ("DataElement", Some("StructureDefinition")),
    ("DeviceComponent", Some("Device")),
    ("EligibilityRequest", Some("CoverageEligibilityRequest")),
    ("EligibilityResponse", Some("CoverageEligibilityResponse")),
    ("ExpansionProfile", None),
    ("ImagingManifest", None),
    ("ProcedureRequest", Some("ServiceRequest")),
    ("ProcessRequest", Some("Task")),
    ("ProcessResponse", Some("Task")),
    ("ReferralRequest", Some("ServiceRequest")),
    ("Sequence", Some("MolecularSequence")),
    ("ServiceDefinition", None),
];

/// What is to be said of a type that R4 does not have, if STU3 had it.
pub fn former(name: &str) -> Option<String> {
    let (name, now) = OF_STU3.iter().find(|(former, _)| *former == name)?;
    let instead = now.map_or("has no such type any more".to_owned(), |now| format!("has {now} instead"));
    Some(format!("{name} is of FHIR STU3; this base speaks R4, which {instead}"))
}

/// The profiles of a body that are of STU3, by their place in the list: publishers put the release into the address.
pub(super) fn stu3_profiles(resource: &Map<String, Value>) -> impl Iterator<Item = usize> {
    let profiles = resource.get("meta").and_then(|meta| meta.get("profile")).and_then(Value::as_array);
    let is_stu3 = |profile: &Value| profile.as_str().is_some_and(|url| url.split('/').any(|part| part == "STU3"));
    profiles.into_iter().flatten().enumerate().filter(move |(_, profile)| is_stu3(profile)).map(|(n, _)| n)
}
