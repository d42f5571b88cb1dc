//! The official examples, where they are at hand: what HL7 publishes as right must pass.

use super::super::{Limits, check_r5, parse};
use super::gate;
use std::path::PathBuf;

/// Examples that are wrong, and why.
const WRONG: &[(&str, &str)] = &[];

fn folder() -> PathBuf {
    std::env::var_os("HUB_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from)
}

/// A file of theirs, where it is at hand.
#[expect(clippy::print_stderr, reason = "a test that saw nothing must say so")]
pub(super) fn shared(name: &str) -> Option<String> {
    let file = folder().join(name);
    let text = std::fs::read_to_string(&file).ok();
    if text.is_none() {
        eprintln!("skipped: there is no {}", file.display());
    }
    text
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that saw nothing must say so")]
fn the_official_examples_pass() {
    let shared = folder();
    let Ok(folder) = std::fs::read_dir(shared.join("examples/r4")) else {
        eprintln!("skipped: no official examples in {}", shared.display());
        return;
    };
    let mut refused = Vec::new();
    for path in folder.map(|entry| entry.expect("a readable folder").path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let body = std::fs::read_to_string(&path).expect("a readable file");
        let wrong = WRONG.iter().any(|(known, _)| *known == name);
        match gate(&body) {
            Err(issues) if !wrong => refused.push(format!("{name}: {issues:#?}")),
            Ok(_) if wrong => refused.push(format!("{name} is listed as wrong, but passes")),
            _ => {}
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// Examples of R5 that are wrong, and why.
const WRONG_IN_R5: &[(&str, &str)] = &[];

#[test]
#[expect(clippy::print_stderr, reason = "a test that saw nothing must say so")]
fn the_official_examples_of_r5_pass_its_own_gate() {
    let Ok(folder) = std::fs::read_dir(folder().join("examples/r5")) else {
        eprintln!("skipped: no official examples of R5 in {}", folder().display());
        return;
    };
    let mut refused = Vec::new();
    for path in folder.map(|entry| entry.expect("a readable folder").path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let body = std::fs::read_to_string(&path).expect("a readable file");
        let wrong = WRONG_IN_R5.iter().any(|(known, _)| *known == name);
        let read = parse(body.as_bytes(), &Limits::default()).and_then(|resource| check_r5(&resource, None));
        match read {
            Err(issues) if !wrong => refused.push(format!("{name}: {issues:#?}")),
            Ok(()) if wrong => refused.push(format!("{name} is listed as wrong, but passes")),
            _ => {}
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
