//! Clients that nobody here wrote: each places a referral, finds its work, does it and reads how it went. All that they are
//! told is FHIR in the eyes of a validator that nobody here wrote either.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::json;
use tests::{World, leave_out_for_want_of, say_once, stories};
use tokio::process::Command;

stories![clients_that_others_wrote_follow_a_referral];

/// A script for each client, in `tests/foreign`.
const CLIENTS: [&str; 4] = ["with_fhirpy.py", "with_fhirclient.py", "with_fhir_kit_client.mjs", "with_medplum.mjs"];

/// Names the folder where `tests/foreign/install` has put them.
const FOREIGN_VARIABLE: &str = "HUB_TEST_FOREIGN";

async fn clients_that_others_wrote_follow_a_referral(world: World) {
    let Some(installed) = std::env::var_os(FOREIGN_VARIABLE).map(PathBuf::from) else {
        let why = "clients that others wrote (HUB_TEST_FOREIGN is not set; ./tests/run sets it)";
        return leave_out_for_want_of("foreign", why);
    };
    let place = world.folder();
    copy_scripts(place);
    std::os::unix::fs::symlink(installed.join("node_modules"), place.join("node_modules")).unwrap();
    let python = installed.join("python/bin/python");
    let hub = world.hub().await;
    let mut records = Vec::new();
    for script in CLIENTS {
        let record = place.join(format!("{script}.jsonl"));
        let mut client = Command::new(if script.ends_with(".py") { &python } else { Path::new("node") });
        client.current_dir(place).args([script, &hub.base]).env("FOREIGN_RECORD", &record);
        is_well(script, &client.output().await.unwrap());
        records.push(record);
    }
    let told = Command::new(&python).current_dir(place).arg("validate.py").args(records).output().await.unwrap();
    is_well("validate.py", &told);
    say_once(&format!(
        "told to clients that others wrote, and valid: {}",
        String::from_utf8_lossy(&told.stdout).trim()
    ));
    sees_what_is_wrong(&python, place).await;
    hub.closes().await;
}

/// The validator takes not everything, and knows one release from the other.
async fn sees_what_is_wrong(python: &Path, place: &Path) {
    let orchestration = r#"{"resourceType":"RequestOrchestration","status":"draft","intent":"plan"}"#;
    for (asked, body, is_right) in [
        ("http://hub/fhir/R4/Task/1", r#"{"resourceType":"Task","status":"draft","intent":"order"}"#, true),
        ("http://hub/fhir/R4/Task/1", r#"{"resourceType":"Task","intent":"order"}"#, false),
        ("http://hub/fhir/R4/Task/1", r#"{"resourceType":"Task","status":"draft","intent":"order","x":1}"#, false),
        ("http://hub/fhir/R5/RequestOrchestration/1", orchestration, true),
        ("http://hub/fhir/R4/RequestOrchestration/1", orchestration, false),
    ] {
        let record = place.join("one.jsonl");
        std::fs::write(&record, json!({ "asked": asked, "status": 200, "body": body }).to_string()).unwrap();
        let told = Command::new(python).current_dir(place).arg("validate.py").arg(&record).output().await.unwrap();
        assert_eq!(told.status.success(), is_right, "{asked} {body}");
    }
}

fn copy_scripts(place: &Path) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign");
    for script in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if script.extension().is_some_and(|extension| extension == "py" || extension == "mjs") {
            std::fs::copy(&script, place.join(script.file_name().unwrap())).unwrap();
        }
    }
}

fn is_well(what: &str, output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {errors}");
}
