//! Reading JSON.

use super::super::{Limits, parse, parse_json};
use super::{accepted, patient, refused};
use crate::outcome::{Issue, IssueType};
use proptest::prelude::*;
use serde_json::Value;

fn fault(body: &[u8]) -> Issue {
    parse(body, &Limits::default()).expect_err("it should be refused").remove(0)
}

#[test]
fn a_syntax_fault_is_told_by_line_and_column() {
    let issue = fault(b"{\n  \"resourceType\": \"Pat\xc3\xadent\" oops\n}");
    assert_eq!(issue.code, IssueType::Structure);
    assert!(issue.text.ends_with("a comma or } must stand here (line 2, column 29)"), "{}", issue.text);
}

#[test]
fn what_is_not_json_is_refused() {
    for body in [
        "",
        " ",
        "{",
        "[",
        "\"",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1,",
        "{\"a\":1,}",
        "[1,]",
        "[1 2]",
        "{a:1}",
        "{'a':1}",
        "tru",
        "nul",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "0x1",
        "NaN",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u+123\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"a\nb\"",
        "{} {}",
        "\u{feff}{}",
        "/* */ {}",
    ] {
        assert!(parse_json(body.as_bytes(), &Limits::default()).is_err(), "{body:?}");
    }
    assert!(fault(b"{\"resourceType\":\"\xff\"}").text.contains("not UTF-8 (line 1, column 18)"));
}

#[test]
fn a_resource_is_an_object_that_says_its_type() {
    assert_eq!(fault(b"[]").code, IssueType::Structure);
    assert_eq!(fault(b"{}").path, "resourceType");
    assert_eq!(fault(b"{\"resourceType\":7}").code, IssueType::Structure);
}

#[test]
fn ten_thousand_levels_are_refused_at_the_first_too_many() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let body = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        let column = 64 * open.len() + 1;
        let text = fault(body.as_bytes()).text;
        assert!(text.ends_with(&format!("nested deeper than 64 levels (line 1, column {column})")), "{text}");
    }
    assert!(parse_json("[".repeat(10_000).as_bytes(), &Limits { depth: usize::MAX }).is_err());
}

#[test]
fn the_deepest_allowed_level_is_read() {
    let body = format!("{}{}", "[".repeat(64), "]".repeat(64));
    assert!(parse_json(body.as_bytes(), &Limits::default()).is_ok());
}

#[test]
fn escapes_are_read_as_json_means_them() {
    let read = parse_json(br#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#, &Limits::default()).expect("all are escapes");
    assert_eq!(read, Value::String("\"\\/\u{8}\u{c}\n\r\té😀".to_owned()));
}

#[test]
fn a_key_private_to_the_json_library_is_a_key_like_any_other() {
    let body = br#"{"$serde_json::private::Number":"1"}"#;
    assert!(parse_json(body, &Limits::default()).expect("it is JSON").is_object());
    let body = r#"{"resourceType":"Patient","birthDate":{"$serde_json::private::Number":"1"}}"#;
    refused(body, IssueType::Structure, "Patient.birthDate");
}

#[test]
fn nothing_is_reordered() {
    let body = patient(r#""gender":"male","active":true,"birthDate":"2001""#);
    assert_eq!(Value::Object(accepted(&body)).to_string(), body);
}

#[test]
fn faults_are_counted_when_they_are_too_many_to_tell() {
    let body = patient(&format!(r#""name":[{}]"#, vec![r#"{"x":1}"#; 150].join(",")));
    let issues = super::gate(&body).expect_err("150 faults");
    assert_eq!(issues.len(), 101);
    assert_eq!(issues[100].text, "50 more faults were left out");
}

/// JSON of any shape, with names that FHIR knows often enough to get past the first element.
fn some_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        "[a-z]{1,3}",
        "(resourceType|extension|contained|_id|id|valueString|entry|resource|name|given|_given|reference)"
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "(Patient|Task|Bundle|Account|#a|2026-02-30T|.{0,6})".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|all| Value::Object(all.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, &Limits::default());
    }

    #[test]
    fn no_text_made_of_json_signs_makes_it_panic(text in "[\\[\\]{}:,\"\\\\u0-9eE+.tfn -]{0,60}") {
        let _ = parse_json(text.as_bytes(), &Limits::default());
    }

    #[test]
    fn it_reads_what_the_json_library_reads(value in some_json()) {
        let text = value.to_string();
        let read = parse_json(text.as_bytes(), &Limits::default()).expect("it was written as JSON");
        prop_assert_eq!(read.to_string(), text);
    }

    #[test]
    fn no_json_makes_the_check_panic(value in some_json(), kind in "(Patient|Task|Bundle|Account|Parameters)") {
        let Value::Object(mut resource) = value else { return Ok(()) };
        resource.insert("resourceType".to_owned(), kind.into());
        let _ = super::check(&resource, None);
        super::super::references(&resource, &mut |_, _| {});
    }
}
