//! Published messages of the e-Referral Service: what is answered there in R4 has the shape of what is answered here, its
//! refusals come by the same codes, and what is asked there in STU3 is refused as such.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::{Hub, Reply, World, leave_out_for_want_of, say_once, stories};

use crate::prescription_payloads::{shape, shared};
use crate::referrals::{Desk, clinic, coded, directory, parameters, patient, practice, referral, shortlist, text};

stories![published_referral_messages_are_walked];

/// What no part of the hub answers.
const LEFT_OUT: [(&str, &str); 7] = [
    ("NHSDigital-OperationOutcome-401.json", "of the gate, before any realm: the hub's own words"),
    ("NHSDigital-OperationOutcome-422.json", "files are not scanned"),
    ("NHSDigital-OperationOutcome-429.json", "there is no quota"),
    ("NHSDigital-OperationOutcome-500.json", "nothing here makes the hub fail"),
    ("NHSDigital-OperationOutcome-503.json", "the same"),
    ("R4-SandboxErrorOutcome.json", "the sandbox's own"),
    ("retrieve", "users and their functions are the issuer's of tokens"),
];

/// Where each STU3 request would go.
const PLACES: [(&str, &str); 8] = [
    ("createReferralAndSendForTriage", "ServiceRequest/$ers.createReferralAndSendForTriage"),
    ("createReferral", "ServiceRequest/$ers.createReferral"),
    ("maintainReferralLetter", "ServiceRequest/r.ID/$ers.maintainReferralLetter"),
    ("bookOrDeferAppointment", "Appointment"),
    ("retrieveWorklist", "ServiceRequest/$worklist"),
    ("retrieveAdviceAndGuidanceWorklist", "ServiceRequest/$worklist"),
    ("sendAdviceAndGuidanceResponse", "ServiceRequest/a.ID/$ers.sendCommunicationToRequester"),
    ("recordTriageOutcome", "ServiceRequest/r.ID/$ers.recordReviewOutcome"),
];

#[derive(Default)]
struct Walk {
    rows: Vec<String>,
    wrong: usize,
}

impl Walk {
    fn row(&mut self, file: &str, expected: &str, got: &str, right: bool) {
        self.wrong += usize::from(!right);
        let mark = if right { "" } else { "  <- WRONG" };
        self.rows.push(format!("{file:66} | {expected:20} | {got}{mark}"));
    }

    /// The answer has every element of the published one.
    fn is_like(&mut self, file: &str, published: &Value, reply: &Reply) {
        let (wanted, told) = (elements(published), elements(&reply.body));
        let lacking: Vec<&String> = wanted.difference(&told).collect();
        let right = reply.status == 200 && lacking.is_empty();
        let expected = format!("200, {} elements", wanted.len());
        self.row(file, &expected, &format!("{}, lacking {lacking:?}", reply.status), right);
    }

    fn has_code(&mut self, file: &str, published: &Value, status: u16, reply: &Reply) {
        let code = |body: &Value| body["issue"][0]["details"]["coding"][0].clone();
        let (wanted, told) = (code(published), code(&reply.body));
        let right = reply.status == status && wanted["code"] == told["code"] && wanted["system"] == told["system"];
        self.row(file, &format!("{status} {}", wanted["code"]), &format!("{} {}", reply.status, told["code"]), right);
    }
}

fn elements(answer: &Value) -> BTreeSet<String> {
    let mut elements = BTreeSet::new();
    shape(answer, "", &mut elements);
    elements
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

async fn published_referral_messages_are_walked(world: World) {
    let folder = shared().join("payloads/ers");
    if !folder.is_dir() {
        let why = "published referral messages (no folder of payloads; HUB_SHARED names its parent)";
        return leave_out_for_want_of("payloads", why);
    }
    let hub = world.hub().await;
    let mut walk = Walk::default();
    for path in files(&folder.join("r4")) {
        let name = path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
        let left_out = LEFT_OUT.iter().find(|(part, _)| name.contains(part));
        match left_out {
            Some((_, why)) => walk.rows.push(format!("{name:66} | not compared         | {why}")),
            None => answers(&hub, &mut walk, &name, &read(&path)).await,
        }
    }
    refuses_stu3(&practice(&hub), &mut walk, &folder).await;
    hub.closes().await;
    say_once(&format!("\npublished referral messages (file, expected, got):\n{}", walk.rows.join("\n")));
    let wrong: Vec<&String> = walk.rows.iter().filter(|row| row.ends_with("WRONG")).collect();
    assert_eq!(walk.wrong, 0, "{wrong:#?}");
}

async fn answers(hub: &Hub, walk: &mut Walk, name: &str, published: &Value) {
    let desk = practice(hub);
    let file = name.rsplit('/').next().unwrap();
    match file {
        "ResponseExampleReferral.json" => {
            let service = directory(hub, "BOOKABLE").await;
            let created = desk.post("ServiceRequest/$ers.createReferral", &referral(&[&service])).await.is(201);
            walk.is_like(name, published, &found(&desk, &created).await);
        }
        "ResponseExampleAdvice.json" => {
            let service = directory(hub, "ADVICE_AND_GUIDANCE").await;
            let question = parameters(json!([
                patient(),
                coded("providerConversionAuthorisation", "AUTHORISED_TO_CONVERT"),
                text("adviceRequest", "?"),
                shortlist(&[&service], "ROUTINE"),
            ]));
            let created = desk.post("ServiceRequest/$ers.createAdviceAndGuidance", &question).await.is(201);
            walk.is_like(name, published, &found(&desk, &created).await);
        }
        _ if name.contains("getService") => {
            let kept = hub.post("HealthcareService", published).await.is(201).reference();
            walk.is_like(name, published, &desk.get(&kept).await);
        }
        _ if name.contains("searchForServices") => {
            let mut ids = vec!["none".to_owned()];
            for entry in published["entry"].as_array().into_iter().flatten() {
                let kept = hub.post("HealthcareService", &entry["resource"]).await.is(201).reference();
                ids.push(kept.trim_start_matches("HealthcareService/").to_owned());
            }
            walk.is_like(name, published, &desk.get(&format!("HealthcareService?_id={}", ids.join(","))).await);
        }
        "NHSDigital-OperationOutcome-400.json" => {
            walk.has_code(name, published, 400, &desk.get("ServiceRequest?identifier=1").await);
        }
        "NHSDigital-OperationOutcome-403.json" => {
            walk.has_code(name, published, 403, &clinic(hub).get("HealthcareService?_id=1").await);
        }
        "NHSDigital-OperationOutcome-404.json" => {
            walk.has_code(name, published, 404, &desk.get("HealthcareService/none").await);
        }
        "NHSDigital-OperationOutcome-406.json" => {
            let reply = desk.get("HealthcareService/none").header("accept", "application/xml").await;
            walk.row(name, "406", &reply.status.to_string(), reply.status == 406);
        }
        "NHSDigital-OperationOutcome-415.json" => {
            let request = desk.service.request(reqwest::Method::POST, "Appointment").body("text/plain", "x");
            walk.has_code(name, published, 415, &desk.with(request).await);
        }
        _ => walk.row(name, "known", "a file that nobody compares", false),
    }
}

/// By its number.
async fn found(desk: &Desk, created: &Reply) -> Reply {
    let number = created.body["identifier"][0]["value"].as_str().unwrap();
    desk.get(&format!("ServiceRequest?identifier=https://fhir.nhs.uk/Id/UBRN|{number}")).await
}

async fn refuses_stu3(desk: &Desk, walk: &mut Walk, folder: &Path) {
    let (mut answers, id) = (0, uuid::Uuid::new_v4().to_string());
    for path in files(&folder.join("stu3")) {
        let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
        let place = PLACES.iter().find(|(part, _)| name.contains(&format!("/{part}/requests/")));
        let Some((_, place)) = place else {
            // Answers, and the search for services, which no operation here is like.
            answers += 1;
            continue;
        };
        let sent = desk.post(&place.replace("ID", &id), &read(&path)).header("if-match", "W/\"1\"").await;
        let right = sent.status == 400 && sent.says().contains("STU3");
        walk.row(&name, "400, STU3", &format!("{} {}", sent.status, sent.says()), right);
    }
    walk.rows.push(format!("stu3: {answers} files that are answers, or of interactions that are not here"));
}
