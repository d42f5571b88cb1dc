//! The faults that validators were seen to miss, and the truths they were seen to refuse.

use super::{accepted, observation, patient, refused, task};
use crate::outcome::IssueType::{CodeInvalid, Required, Structure, Value as BadValue};
use serde_json::json;

#[test]
fn an_unknown_element_is_refused() {
    refused(&task(r#""colour":"red""#), Structure, "Task.colour");
    refused(&patient(r#""name":[{"surname":"x"}]"#), Structure, "Patient.name[0].surname");
}

#[test]
fn a_missing_required_element_is_refused() {
    refused(r#"{"resourceType":"Task","status":"requested"}"#, Required, "Task.intent");
    refused(&task(r#""input":[{"type":{"text":"x"}}]"#), Required, "Task.input[0].value");
}

#[test]
fn a_code_outside_a_required_binding_is_refused_and_the_right_ones_are_told() {
    let text = refused(r#"{"resourceType":"Task","status":"done","intent":"order"}"#, CodeInvalid, "Task.status");
    assert!(text.contains("draft, requested, received"), "{text}");
    refused(&patient(r#""identifier":[{"use":"mine","value":"1"}]"#), CodeInvalid, "Patient.identifier[0].use");
    refused(&patient(r#""name":[{"use":"stage","text":"x"}]"#), CodeInvalid, "Patient.name[0].use");
}

#[test]
fn a_date_time_that_no_calendar_has_is_refused() {
    refused(&task(r#""authoredOn":"2026-13-45""#), BadValue, "Task.authoredOn");
    refused(&task(r#""authoredOn":"2026-02-29""#), BadValue, "Task.authoredOn");
    accepted(&task(r#""authoredOn":"2028-02-29""#));
}

#[test]
fn a_date_time_with_a_time_needs_a_zone() {
    refused(&task(r#""authoredOn":"2026-11-22T10:00:00""#), BadValue, "Task.authoredOn");
    accepted(&task(r#""authoredOn":"2026-11-22T10:00:00.5+01:00""#));
}

#[test]
fn an_object_where_a_list_belongs_is_refused() {
    refused(&patient(r#""name":{"family":"x"}"#), Structure, "Patient.name");
}

#[test]
fn a_list_where_one_value_belongs_is_refused() {
    refused(&task(r#""status":["requested"]"#).replacen(r#""status":"requested","#, "", 1), Structure, "Task.status");
    refused(&task(r#""for":[{"reference":"Patient/1"}]"#), Structure, "Task.for");
}

#[test]
fn a_boolean_in_quotes_is_refused() {
    refused(&patient(r#""active":"true""#), Structure, "Patient.active");
}

#[test]
fn a_number_where_a_string_belongs_is_refused_and_the_other_way_round() {
    refused(&patient(r#""gender":1"#), Structure, "Patient.gender");
    refused(&observation(r#""valueQuantity":{"value":"1.5"}"#), Structure, "Observation.valueQuantity.value");
}

#[test]
fn an_id_with_a_space_is_refused() {
    refused(&patient(r#""id":"a b""#), BadValue, "Patient.id");
    refused(&patient(&format!(r#""id":"{}""#, "a".repeat(65))), BadValue, "Patient.id");
    accepted(&patient(&format!(r#""id":"{}""#, "a".repeat(64))));
}

#[test]
fn two_types_of_one_choice_are_refused() {
    refused(&observation(r#""valueString":"x","valueBoolean":true"#), Structure, "Observation.valueBoolean");
    let companion = r#""_valueTime":{"extension":[{"url":"u","valueCode":"c"}]}"#;
    refused(&observation(&format!(r#""valueString":"x",{companion}"#)), Structure, "Observation._valueTime");
}

#[test]
fn a_choice_may_have_its_own_companion() {
    let companion = r#""_valueString":{"extension":[{"url":"u","valueCode":"c"}]}"#;
    accepted(&observation(&format!(r#""valueString":"x",{companion}"#)));
    accepted(&observation(companion));
}

#[test]
fn a_choice_of_a_type_it_does_not_have_is_refused() {
    let text = refused(&observation(r#""valueMoney":{"value":1}"#), Structure, "Observation.valueMoney");
    assert!(text.contains("value[x]"), "{text}");
}

#[test]
fn a_decimal_keeps_its_zeros() {
    let resource = accepted(&observation(r#""valueQuantity":{"value":1.50}"#));
    assert_eq!(resource["valueQuantity"].to_string(), r#"{"value":1.50}"#);
}

#[test]
fn a_decimal_of_21_digits_keeps_them_all() {
    let resource = accepted(&observation(r#""valueQuantity":{"value":0.100000000000000000055}"#));
    assert_eq!(resource["valueQuantity"]["value"].to_string(), "0.100000000000000000055");
}

#[test]
fn a_companion_may_stand_beside_its_element_or_alone() {
    let companion = r#""_birthDate":{"extension":[{"url":"http://x/born","valueDateTime":"2001-05-06T07:08:09Z"}]}"#;
    accepted(&patient(&format!(r#""birthDate":"2001-05-06",{companion}"#)));
    accepted(&patient(companion));
    accepted(&patient(r#""birthDate":"2001-05-06","_birthDate":{"id":"a"}"#));
}

#[test]
fn null_fills_up_a_list_of_primitives_where_only_the_companion_speaks() {
    let name = r#"{"given":["A",null,"C"],"_given":[null,{"extension":[{"url":"u","valueCode":"masked"}]},null]}"#;
    let resource = accepted(&patient(&format!(r#""name":[{name}]"#)));
    assert_eq!(resource["name"][0]["given"], json!(["A", null, "C"]));
}

#[test]
fn null_without_a_companion_at_its_place_is_refused() {
    refused(&patient(r#""name":[{"given":["A",null]}]"#), Structure, "Patient.name[0].given[1]");
    let misplaced = r#""name":[{"given":["A",null],"_given":[{"id":"a"},null]}]"#;
    let issues = super::gate(&patient(misplaced)).expect_err("nothing is said at the second place");
    assert_eq!(issues[0].path, "Patient.name[0].given[1]");
}

#[test]
fn an_empty_list_is_refused() {
    refused(&patient(r#""name":[]"#), Structure, "Patient.name");
}

#[test]
fn null_is_refused() {
    refused(&patient(r#""birthDate":null"#), Structure, "Patient.birthDate");
    refused(&patient(r#""name":null"#), Structure, "Patient.name");
    refused(&patient(r#""name":[null]"#), Structure, "Patient.name[0]");
}

#[test]
fn a_key_given_twice_is_refused_with_its_place() {
    refused(&patient(r#""name":[{"family":"x","family":"y"}]"#), Structure, "Patient.name[0].family");
    refused(r#"{"id":"a","id":"b","resourceType":"Patient"}"#, Structure, "Patient.id");
    // The same letters, written as an escape.
    refused(&patient(r#""gender":"male","gen\u0064er":"female""#), Structure, "Patient.gender");
}

#[test]
fn a_fault_within_a_bundle_is_told_with_its_full_path() {
    let bundle = |resource: &str| {
        format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{resource}}}]}}"#)
    };
    accepted(&bundle(&task("")));
    refused(&bundle(r#"{"resourceType":"Task","status":"requested"}"#), Required, "Bundle.entry[0].resource.intent");
    refused(&bundle(&task(r#""colour":"red""#)), Structure, "Bundle.entry[0].resource.colour");
}

#[test]
fn a_positive_integer_starts_at_one() {
    let telecom = |rank: &str| patient(&format!(r#""telecom":[{{"rank":{rank}}}]"#));
    refused(&telecom("0"), BadValue, "Patient.telecom[0].rank");
    refused(&telecom("1.0"), BadValue, "Patient.telecom[0].rank");
    refused(&telecom("2147483648"), BadValue, "Patient.telecom[0].rank");
    accepted(&telecom("1"));
}

#[test]
fn an_empty_string_is_refused() {
    refused(&patient(r#""name":[{"family":""}]"#), BadValue, "Patient.name[0].family");
}

#[test]
fn an_empty_object_is_refused() {
    refused(&patient(r#""maritalStatus":{}"#), Structure, "Patient.maritalStatus");
    refused(&patient(r#""maritalStatus":{"id":"a"}"#), Structure, "Patient.maritalStatus");
}

#[test]
fn every_fault_is_told_not_only_the_first() {
    let body = r#"{"resourceType":"Task","status":"done","colour":"red","for":[],"authoredOn":"now"}"#;
    let issues = super::gate(body).expect_err("it is full of faults");
    let paths: Vec<_> = issues.iter().map(|issue| issue.path.as_str()).collect();
    assert_eq!(paths, ["Task.status", "Task.colour", "Task.for", "Task.authoredOn", "Task.intent"]);
}

#[test]
fn no_fault_repeats_what_the_body_says_of_a_person() {
    let body = patient(
        r#""birthDate":"Secret","name":[{"family":7,"Secret Name":"Secret"}],"gender":"Secret","active":"Secret""#,
    );
    let issues = super::gate(&body).expect_err("it is full of faults");
    assert_eq!(issues.len(), 5);
    assert!(!format!("{issues:?}").contains("Secret"), "{issues:#?}");
}
