//! The same of a prescription: one that was given out in two parts, amended, and kept its pharmacy's and prescriber's word.

use serde_json::json;
use sqlx::{Connection, PgConnection};
use tests::prescription::{Prescription, response_of};
use tests::{Client, Hub, Parts, eventually, tell};

use super::super::verdict::Fault::{self, *};
use super::super::{is_settled, judge, judge_database};
use super::Life;
use crate::diary::Entry;

const PHARMACY: &str = "FX001";

/// Statements, in which `GIVEN` stands for the root of a prescription that was dispensed, `ITEM` for the id of the
/// request of its first item, `DISPENSE` for the id of a MedicationDispense, and `OFF` for one that was cancelled.
const DAMAGES: [(Fault, &str); 9] = [
    (Lost, "DELETE FROM version WHERE id = 'GIVEN.1'"),
    (Lost, "DELETE FROM version WHERE id = 'ITEM'"),
    (Lost, "DELETE FROM version WHERE root = 'GIVEN' AND kind = 'Task'"),
    (Lost, "DELETE FROM version WHERE id = 'DISPENSE'"),
    (Lost, "DELETE FROM head WHERE root = 'GIVEN'"),
    (
        Doubled,
        "INSERT INTO version (kind, id, version, root, method, updated, body)
        SELECT kind, 'another', version, root, method, updated, body FROM version WHERE id = 'DISPENSE'",
    ),
    (Timer, "UPDATE timer SET due = 0 WHERE root = 'GIVEN'"),
    (NoReceipt, "DELETE FROM receipt WHERE key LIKE '%MESSAGE'"),
    (NotCurrent, "DELETE FROM task WHERE id = 'GIVEN.1'"),
];

/// A Task, which of its versions (0 is the newest), and what is written into its body.
const REWRITTEN: [(Fault, &str, i32, &str, &str); 8] = [
    (Illegal, "GIVEN.0", 2, "status", r#""completed""#),
    (Illegal, "GIVEN.0", 2, "businessStatus", r#"{"coding":[{"code":"0008"}]}"#),
    (Illegal, "GIVEN.0", 1, "businessStatus", r#"{"coding":[{"code":"0002"}]}"#),
    (Unfit, "GIVEN.0", 0, "businessStatus", r#"{"coding":[{"code":"0007"}]}"#),
    (Unfit, "GIVEN.1", 0, "status", r#""failed""#),
    (Unfit, "ITEM", 0, "status", r#""stopped""#),
    (Open, "GIVEN.1", 0, "status", r#""in-progress""#),
    (DoneTwice, "GIVEN.0", 3, "owner", r#"{"reference":"Organization/FX009"}"#),
];

#[test]
fn every_damage_to_a_prescription_is_found_under_its_own_heading() {
    tell(Parts::POSTGRES_EMBEDDED, |world| async move {
        let hub = world.hub().await;
        let life = lived(&hub).await;
        eventually("all is settled", async || is_settled(&world.database).await.unwrap().is_still().then_some(()))
            .await;
        hub.closes().await;
        let healthy = judge(&world.database, &world.queue, &life.diary).await.unwrap();
        assert!(healthy.is_clean(), "{}", healthy.table());

        let mut database = PgConnection::connect(&world.database).await.unwrap();
        for (fault, statement) in DAMAGES {
            life.damaged(&mut database, fault, &[life.named(statement)]).await;
        }
        for (fault, task, version, element, value) in REWRITTEN {
            let written = life.rewritten(&mut database, task, version, element, value).await;
            life.damaged(&mut database, fault, &[written]).await;
        }
        other_diaries(&life, &mut database).await;
        database.close().await.unwrap();
    });
}

/// Two prescriptions: one is given out in two parts, and one is cancelled before anybody has it.
async fn lived(hub: &Hub) -> Life {
    let service = Client::new(hub.base.replace("/fhir/R4", "/eps/FHIR/R4"));
    let mut diary = Vec::new();
    let given = Prescription::new(2);
    let message = sent(&service, &given, &mut diary).await;
    service.post("Task/$release", &given.release_by(PHARMACY)).await.is(200);
    let numbers = vec![given.number.clone()];
    diary.push(Entry::Released { pharmacy: PHARMACY.into(), is_nominated: true, numbers, answers: vec![200] });
    told(&service, &given, "0003", ["0001", "0004"], &mut diary).await;
    let dispense = told(&service, &given, "0006", ["0001", "0001"], &mut diary).await;

    let off = Prescription::new(1);
    sent(&service, &off, &mut diary).await;
    let reply = service.post("$process-message", &off.cancellation(None, None)).await;
    let (number, response) = (off.number.clone(), response_of(&reply));
    diary.push(Entry::Unprescribed { number, item: None, answers: vec![200], response });

    let task = hub.finds(&format!("Task?group-identifier={}&part-of:missing=true", given.escaped())).await.remove(0);
    let item = hub.finds(&format!("MedicationRequest?identifier={}", given.items[0])).await.remove(0);
    let dispenses = hub.finds("MedicationDispense?_lastUpdated=gt2000-01-01").await;
    let dispense = dispenses.into_iter().find(|body| body["identifier"][0]["value"] == dispense.as_str()).unwrap();
    let id = |body: &serde_json::Value| body["id"].as_str().unwrap().to_owned();
    let root = id(&task).trim_end_matches(".0").to_owned();
    Life { diary, names: vec![("GIVEN", root), ("ITEM", id(&item)), ("DISPENSE", id(&dispense)), ("MESSAGE", message)] }
}

/// The id of its message.
async fn sent(service: &Client, prescription: &Prescription, diary: &mut Vec<Entry>) -> String {
    let order = prescription.order();
    let reply = service.post("$process-message", &order).await.is(200);
    let message = order["identifier"]["value"].as_str().unwrap().to_owned();
    diary.push(Entry::Prescribed {
        message: message.clone(),
        number: prescription.number.clone(),
        items: prescription.items.iter().map(ToString::to_string).collect(),
        answers: vec![(200, String::new(), reply.text)],
        done: true,
    });
    message
}

/// The identifier of the first dispense.
async fn told(
    service: &Client,
    prescription: &Prescription,
    state: &str,
    items: [&str; 2],
    diary: &mut Vec<Entry>,
) -> String {
    let mut message = prescription.notification(PHARMACY, state, &items);
    let identifiers = ["first", "second"].map(|name| format!("{name}-{state}"));
    for (entry, identifier) in message["entry"].as_array_mut().unwrap()[1..].iter_mut().zip(&identifiers) {
        entry["resource"]["identifier"] = json!([{ "system": "urn:chaos", "value": identifier }]);
    }
    service.post("$process-message", &message).await.is(200);
    let first = identifiers[0].clone();
    diary.push(Entry::Told {
        number: prescription.number.clone(),
        pharmacy: PHARMACY.into(),
        dispenses: identifiers.into(),
        state: state.into(),
        items: items.map(str::to_owned).into(),
        answers: vec![200],
        done: true,
    });
    first
}

/// The same database, with people who were told something else.
async fn other_diaries(life: &Life, database: &mut PgConnection) {
    let Some(Entry::Prescribed { number, .. }) = life.diary.first().cloned() else { panic!("it was sent first") };
    let with = |more: Entry| [life.diary.clone(), vec![more]].concat();
    let released = |pharmacy: &str| Entry::Released {
        pharmacy: pharmacy.to_owned(),
        is_nominated: true,
        numbers: vec![number.clone()],
        answers: vec![200],
    };
    let told = |state: &str, answer: u16| Entry::Told {
        number: number.clone(),
        pharmacy: PHARMACY.to_owned(),
        dispenses: Vec::new(),
        state: state.to_owned(),
        items: ["0001", "0001"].map(str::to_owned).into(),
        answers: vec![answer],
        done: answer == 200,
    };
    let cancelled = |item: Option<usize>, response: &str| Entry::Unprescribed {
        number: number.clone(),
        item,
        answers: vec![200],
        response: response.to_owned(),
    };
    let answered = |answer: (u16, &str)| {
        let mut diary = life.diary.clone();
        if let Some(Entry::Prescribed { answers, .. }) = diary.first_mut() {
            answers.push((answer.0, String::new(), answer.1.to_owned()));
        }
        diary
    };
    for (fault, diary) in [
        (DoneTwice, with(released(PHARMACY))),
        (Broken, with(released("FX002"))),
        (Broken, with(told("0007", 200))),
        (Broken, with(told("0001", 200))),
        (Refused, with(told("0006", 400))),
        (Broken, with(cancelled(None, "R-0001"))),
        (Broken, with(cancelled(Some(1), "R-0008"))),
        (Refused, with(cancelled(None, "R-5000"))),
        (Doubled, answered((200, "another answer"))),
        (Refused, answered((400, ""))),
        (Unasked, life.diary[1..].to_vec()),
    ] {
        let verdict = judge_database(database, &diary).await.unwrap();
        assert!(verdict.faults().contains(&fault), "is not {fault:?}: {}", verdict.table());
    }
}
