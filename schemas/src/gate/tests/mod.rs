//! Each test is a sentence about what the gate lets through, or what it says when it does not.

mod across;
mod examples;
mod fixtures;
mod reading;
mod rules;
mod walking;

use super::{Limits, check, parse};
use crate::outcome::{Issue, IssueType};
use serde_json::{Map, Value};

fn gate(body: &str) -> Result<Map<String, Value>, Vec<Issue>> {
    let resource = parse(body.as_bytes(), &Limits::default())?;
    check(&resource, None).map(|()| resource)
}

#[track_caller]
fn accepted(body: &str) -> Map<String, Value> {
    gate(body).unwrap_or_else(|issues| panic!("refused: {issues:#?}"))
}

/// Asserts that exactly one fault is found, of this kind and at this place; gives its words.
#[track_caller]
fn refused(body: &str, code: IssueType, path: &str) -> String {
    let issues = gate(body).expect_err("it should be refused");
    let [issue] = issues.as_slice() else { panic!("one fault, not {issues:#?}") };
    assert_eq!((issue.code, issue.path.as_str()), (code, path), "{}", issue.text);
    issue.text.clone()
}

/// A Task with these members beside the least it must have.
fn task(members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    format!(r#"{{"resourceType":"Task","status":"requested","intent":"order"{comma}{members}}}"#)
}

fn patient(members: &str) -> String {
    format!(r#"{{"resourceType":"Patient",{members}}}"#)
}

fn observation(members: &str) -> String {
    format!(r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},{members}}}"#)
}
