//! Pharmacies that work off their queues.

use hub_transport::Place;
use schemas::message::{Act, Answer};
use serde_json::json;
use tests::prescription::{Prescription, code_of, nominated_release};
use tests::{ByHand, Hub, Report, World, eventually, stories};

use super::{OTHER, PHARMACY, releases, sends, service};

stories![releasing_off_a_queue_is_the_claim, the_simulated_pharmacy_supplies_in_parts_and_gives_back,];

async fn releasing_off_a_queue_is_the_claim(world: World) {
    let hub = world.hub_with(&[("performers", &format!("Organization/{PHARMACY}"))]).await;
    let service = service(&hub);
    let performer = format!("Organization/{PHARMACY}");
    let places = vec![Place::performer(&performer).unwrap()];
    let mut pharmacy = ByHand::of(hub.worker_transport().await, places, &performer).await;

    let prescription = Prescription::new(2).nominated(PHARMACY);
    sends(&service, &prescription.order()).await;
    let work = pharmacy.claims_next().await;
    assert_eq!(work.resources.len(), 2, "with its items");
    assert_eq!(prescription.state(&service).await, "0002");
    let none = service.post("Task/$release", &nominated_release(PHARMACY)).await.is(200);
    assert_eq!(code_of(&none), "NO_MORE_PRESCRIPTIONS", "the claim was the release");
    pharmacy.reports(Report::new(&work, Act::InProgress, 2)).await;
    assert_eq!(prescription.state(&service).await, "0003");
    let part = Report::new(&work, Act::InProgress, 4).of_items(&work, &["0001", "0004"]);
    assert_eq!(pharmacy.reports(part).await.answer, Answer::Granted);
    assert_eq!(prescription.stands(&service).await, [("0003".into(), vec!["0001".into(), "0004".into()])]);
    let late = Report::new(&work, Act::InProgress, 3).of_items(&work, &["0001", "0003"]);
    pharmacy.reports(late).await;
    let unknown = Report::new(&work, Act::InProgress, 5).of_items(&work, &["0001", "0099"]);
    assert_eq!(pharmacy.reports(unknown).await.answer, Answer::Refused);
    assert_eq!(prescription.stands(&service).await, [("0003".into(), vec!["0001".into(), "0004".into()])]);
    let done = Report::new(&work, Act::Completed, 6);
    assert_eq!(pharmacy.reports(done.clone()).await.answer, Answer::Granted);
    assert_eq!(pharmacy.reports(done).await.answer, Answer::Granted, "the same once more");
    assert_eq!(prescription.stands(&service).await, [("0006".into(), vec!["0001".into(), "0001".into()])]);

    // Released over REST before: the claim comes too late.
    let other = Prescription::new(1).nominated(PHARMACY);
    sends(&service, &other.order()).await;
    let job = pharmacy.takes().await;
    releases(&service, &other, OTHER).await;
    assert_eq!(pharmacy.claims(&job.order).await.answer, Answer::Refused);
    job.acknowledged().await;

    // Released and given back over REST: it waits for anybody, but not by the message of a Task that has ended.
    let third = Prescription::new(1).nominated(PHARMACY);
    sends(&service, &third.order()).await;
    let job = pharmacy.takes().await;
    let release = releases(&service, &third, PHARMACY).await;
    service.post("Task", &third.return_by(PHARMACY, &release)).await.is(200);
    assert_eq!(pharmacy.claims(&job.order).await.answer, Answer::Refused);
    assert_eq!(third.state(&service).await, "0001");
    job.acknowledged().await;
    hub.closes().await;
}

async fn the_simulated_pharmacy_supplies_in_parts_and_gives_back(world: World) {
    let performer = format!("Organization/{PHARMACY}");
    let hub = world.hub_with(&[("performers", &performer)]).await;
    let service = service(&hub);
    let prescription = Prescription::new(3).nominated(PHARMACY);
    let single = Prescription::new(1).nominated(PHARMACY);
    let declined = Prescription::new(1).nominated(PHARMACY);
    let mut order = declined.order();
    order["entry"][1]["resource"]["note"] = json!([{ "text": "simulate: reject" }]);
    for message in [prescription.order(), single.order(), order] {
        sends(&service, &message).await;
    }
    let options = workers::Options { performer: Some(performer), ..workers::Options::default() };
    hub.has_filler("pharmacy", std::time::Duration::from_millis(5), options).await;

    let ends = async |prescription: &Prescription, state: &str| {
        eventually("it has ended", async || (prescription.state(&service).await == state).then_some(())).await;
    };
    ends(&prescription, "0006").await;
    ends(&single, "0006").await;
    ends(&declined, "0001").await;
    assert_eq!(
        went(&hub, &prescription).await,
        [["0007", "0008", "0001"], ["0007", "0008", "0001"], ["0007", "0008", "0004"]]
    );
    assert_eq!(went(&hub, &single).await, [["0007", "0008", "0003"]]);
    let none = service.post("Task/$release", &nominated_release(PHARMACY)).await.is(200);
    assert_eq!(code_of(&none), "NO_MORE_PRESCRIPTIONS", "what was given back nominates nobody");
    hub.closes().await;
}

/// The first three states of each item.
async fn went(hub: &Hub, prescription: &Prescription) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let search = format!("Task?group-identifier={}&part-of:missing=false", prescription.escaped());
    let mut tasks = hub.finds(&search).await;
    tasks.sort_by_key(|task| task["id"].as_str().unwrap().to_owned());
    for task in tasks {
        let history = hub.get(&format!("Task/{}/_history", task["id"].as_str().unwrap())).await.is(200);
        let codes = history.resources().into_iter().rev();
        let mut codes: Vec<String> =
            codes.map(|task| task["businessStatus"]["coding"][0]["code"].as_str().unwrap().to_owned()).collect();
        codes.dedup();
        codes.truncate(3);
        all.push(codes);
    }
    all
}
