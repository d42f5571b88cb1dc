//! What FHIR says beyond the shape of single elements.

use super::super::{is_resource_type, known};
use super::{accepted, check, observation, parse, patient, refused, task};
use crate::gate::Limits;
use crate::outcome::IssueType::{
    Duplicate, Invalid, Invariant, NotFound, NotSupported, Required, Structure, Value as BadValue,
};

#[test]
fn a_type_that_fhir_does_not_have_is_refused() {
    refused(r#"{"resourceType":"Prescription"}"#, NotSupported, "resourceType");
    refused(r#"{"resourceType":"DomainResource"}"#, NotSupported, "resourceType");
    assert!(!is_resource_type("Prescription") && !is_resource_type("Resource") && !is_resource_type("HumanName"));
}

#[test]
fn what_is_of_stu3_is_refused_as_such() {
    let told = |text: &str| {
        let resource = parse(text.as_bytes(), &Limits::default()).expect("it is JSON");
        let issue = check(&resource, None).expect_err("it should be refused").remove(0);
        (issue.code, issue.path, issue.text)
    };
    let (code, path, text) = told(r#"{"resourceType":"ReferralRequest","status":"active"}"#);
    assert_eq!((code, path.as_str()), (NotSupported, "resourceType"));
    assert!(text.contains("of FHIR STU3") && text.contains("ServiceRequest"), "{text}");
    let stu3 = r#""meta":{"profile":["http://a.example/R4/T","https://fhir.nhs.uk/STU3/StructureDefinition/T-1"]}"#;
    let (code, path, text) = told(&task(stu3));
    assert_eq!((code, path.as_str()), (NotSupported, "Task.meta.profile[1]"));
    assert!(text.contains("FHIR STU3"), "{text}");
    accepted(&task(r#""instantiatesUri":"https://a.example/STU3/T""#));
}

#[test]
fn a_type_beyond_our_tables_is_held_against_what_all_resources_share() {
    assert!(is_resource_type("Account") && !known("Account") && known("Task"));
    accepted(r#"{"resourceType":"Account","id":"a","status":"active","_name":{"id":"b"},"owner":{"reference":"X/1"}}"#);
    refused(r#"{"resourceType":"Account","id":"a b"}"#, BadValue, "Account.id");
    refused(r#"{"resourceType":"Account","owner":{}}"#, Structure, "Account.owner");
    refused(r#"{"resourceType":"Account","owner":[{"display":null}]}"#, Structure, "Account.owner[0].display");
    refused(r#"{"resourceType":"Account","owner":[null]}"#, Structure, "Account.owner[0]");
    accepted(r#"{"resourceType":"Account","name":["x",null],"_name":[null,{"id":"a"}]}"#);
    refused(r#"{"resourceType":"Account","owner":{"a b":1}}"#, Structure, "Account.owner.(odd name)");
}

#[test]
fn another_type_than_the_address_promises_is_refused() {
    let resource = parse(task("").as_bytes(), &Limits::default()).expect("it is JSON");
    assert!(check(&resource, Some("Task")).is_ok());
    let issues = check(&resource, Some("Patient")).expect_err("a Task is no Patient");
    assert_eq!(issues[0].code, Invalid);
}

#[test]
fn an_extension_has_a_url_and_either_a_value_or_extensions() {
    accepted(&patient(r#""extension":[{"url":"u","extension":[{"url":"v","valueBoolean":true}]}]"#));
    refused(&patient(r#""extension":[{"valueBoolean":true}]"#), Required, "Patient.extension[0].url");
    refused(&patient(r#""extension":[{"url":"u"}]"#), Invariant, "Patient.extension[0]");
    let both = r#""extension":[{"url":"u","valueCode":"c","extension":[{"url":"v","valueCode":"c"}]}]"#;
    refused(&patient(both), Invariant, "Patient.extension[0]");
}

#[test]
fn a_reference_says_something_of_its_target() {
    accepted(&task(r#""for":{"identifier":{"value":"1"}},"owner":{"display":"x"}"#));
    refused(&task(r#""for":{"type":"Patient"}"#), Invariant, "Task.for");
}

#[test]
fn a_local_reference_leads_to_a_contained_resource() {
    let contained = r#""contained":[{"resourceType":"Patient","id":"p"}]"#;
    accepted(&task(&format!(r##"{contained},"for":{{"reference":"#p"}}"##)));
    refused(&task(&format!(r##"{contained},"for":{{"reference":"#q"}}"##)), NotFound, "Task.for.reference");
    refused(&task(r##""instantiatesCanonical":"#plan""##), NotFound, "Task.instantiatesCanonical");
    // Also out of the contained one, to the resource that contains it.
    let back = r##""contained":[{"resourceType":"Patient","id":"p","managingOrganization":{"reference":"#"}}]"##;
    accepted(&task(back));
}

#[test]
fn a_local_reference_does_not_leave_its_bundle_entry() {
    let entry = r##"{"resource":{"resourceType":"Task","status":"draft","intent":"order","for":{"reference":"#p"}}}"##;
    let holder = task(r#""contained":[{"resourceType":"Patient","id":"p"}]"#);
    let bundle =
        format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{holder}}},{entry}]}}"#);
    refused(&bundle, NotFound, "Bundle.entry[1].resource.for.reference");
}

#[test]
fn a_contained_resource_has_an_id_of_its_own_and_contains_no_other() {
    refused(&task(r#""contained":[{"resourceType":"Patient","active":true}]"#), Required, "Task.contained[0].id");
    let twice = r#""contained":[{"resourceType":"Patient","id":"p"},{"resourceType":"Account","id":"p"}]"#;
    refused(&task(twice), Duplicate, "Task.contained[1].id");
    let nested =
        r#""contained":[{"resourceType":"Patient","id":"p","contained":[{"resourceType":"Patient","id":"q"}]}]"#;
    refused(&task(nested), Structure, "Task.contained[0].contained");
    refused(
        &task(r#""contained":[{"resourceType":"Nobody","id":"p"}]"#),
        NotSupported,
        "Task.contained[0].resourceType",
    );
}

#[test]
fn a_task_is_not_modified_before_it_is_authored() {
    let dated =
        |authored: &str, modified: &str| task(&format!(r#""authoredOn":"{authored}","lastModified":"{modified}""#));
    accepted(&dated("2026-11-22T10:00:00+01:00", "2026-11-22T09:00:00Z"));
    accepted(&dated("2026-11-22T10:00:00.1Z", "2026-11-22T10:00:00.12Z"));
    accepted(&dated("2026-11-22", "2026-11"));
    for (authored, modified) in [
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00+01:00"),
        ("2026-11-22", "2026-11-21"),
        ("2026-11-22T10:00:00.12Z", "2026-11-22T10:00:00.1Z"),
    ] {
        refused(&dated(authored, modified), Invariant, "Task.lastModified");
    }
}

#[test]
fn elements_that_hold_themselves_are_checked_all_the_way() {
    let plan = |action: &str| {
        format!(
            r#"{{"resourceType":"PlanDefinition","status":"draft","action":[{{"title":"a","action":[{action}]}}]}}"#
        )
    };
    accepted(&plan(r#"{"title":"b","action":[{"title":"c"}]}"#));
    refused(&plan(r#"{"action":[{"name":"c"}]}"#), Structure, "PlanDefinition.action[0].action[0].action[0].name");
}

#[test]
fn the_two_lists_of_a_primitive_element_are_of_one_length() {
    let name = r#""name":[{"given":["A","B"],"_given":[{"id":"a"}]}]"#;
    refused(&patient(name), Structure, "Patient.name[0]._given");
}

#[test]
fn only_a_primitive_element_has_a_companion() {
    refused(&patient(r#""_maritalStatus":{"id":"a"}"#), Structure, "Patient._maritalStatus");
    refused(&patient(r#""_birthDate":{"id":"a"}"#), Structure, "Patient._birthDate");
    refused(&patient(r#""_birthDate":{"text":"a"}"#), Structure, "Patient._birthDate.text");
}

#[test]
fn each_primitive_type_has_its_format() {
    let extension = |member: &str| patient(&format!(r#""extension":[{{"url":"u",{member}}}]"#));
    for good in [
        r#""valueBase64Binary":"YWJj\nZGU=""#,
        r#""valueCode":"a b""#,
        r#""valueDate":"2026-11""#,
        r#""valueDecimal":-1.5e-7"#,
        r#""valueInstant":"2026-12-31T23:59:60Z""#,
        r#""valueInteger":-7"#,
        r#""valueMarkdown":"a\n\tb""#,
        r#""valueOid":"urn:oid:1.2.0.3""#,
        r#""valueTime":"09:00:00""#,
        r#""valueUnsignedInt":0"#,
        r#""valueUri":"a:b""#,
        r#""valueUuid":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520""#,
        r#""valueDateTime":"0001-01-01T00:00:00-14:00""#,
    ] {
        accepted(&extension(good));
    }
    for bad in [
        r#""valueBase64Binary":"YWJ""#,
        r#""valueBase64Binary":"Y=Jj""#,
        r#""valueCode":" a""#,
        r#""valueCode":"a  b""#,
        r#""valueDate":"2026-11-31""#,
        r#""valueDate":"0000""#,
        r#""valueDate":"2026-1-1""#,
        r#""valueDate":"2026-11-22T10:00:00Z""#,
        r#""valueInstant":"2026-11-22""#,
        r#""valueInstant":"2026-11-22T24:00:00Z""#,
        r#""valueInstant":"2026-11-22T10:00Z""#,
        r#""valueInteger":1.5"#,
        r#""valueInteger":1e3"#,
        r#""valueInteger":-0"#,
        r#""valueString":"a\u0000b""#,
        r#""valueOid":"urn:oid:1.02""#,
        r#""valueTime":"9:00:00""#,
        r#""valueTime":"09:00:00Z""#,
        r#""valueUnsignedInt":-1"#,
        r#""valueUri":"a b""#,
        r#""valueUuid":"c757873d-ec9a-4326-a141-556f43239520""#,
        r#""valueDateTime":"2026-11-22T10:00:00+14:30""#,
        r#""valueDateTime":"2026-11-22T10:00:00Zé""#,
        r#""valueDateTime":"é""#,
    ] {
        let key = bad.trim_start_matches('"').split('"').next().unwrap_or_default();
        refused(&extension(bad), BadValue, &format!("Patient.extension[0].{key}"));
    }
    refused(&patient(r#""text":{"status":"generated","div":"hello"}"#), BadValue, "Patient.text.div");
}

#[test]
fn the_least_of_every_kind_of_value_passes() {
    accepted(&observation(r#""valueQuantity":{"value":1,"comparator":"<="}"#));
}
