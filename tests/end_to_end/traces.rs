//! One trace from the POST to the work order, and no patient's data in what those see who run the hub.

use serde_json::json;
use tests::bodies::{With, laboratory, prescription, referral_bundle};
use tests::{Parts, Program, World, stories, tell};

stories![
    a_work_order_carries_what_its_filler_needs,
    with_ids_only_nothing_of_a_patient_goes_over_the_queue,
    no_log_and_no_metric_names_a_patient,
];

/// Who is in the examples: names, the number, the birthday.
const OF_A_PATIENT: [&str; 5] = ["Rosa", "9000000009", "1968-03-14", "Halliday", "low mood"];

fn names_nobody(text: &str) {
    for word in OF_A_PATIENT {
        let at = text.find(word).map(|at| &text[at.saturating_sub(200)..(at + 100).min(text.len())]);
        assert_eq!(at, None, "{word} appears");
    }
}

async fn a_work_order_carries_what_its_filler_needs(world: World) {
    let hub = world.hub().await;
    let order = hub.submits(referral_bundle()).await;
    let mut clinic = hub.worker("clinic", "Organization/clinic-1").await;
    let job = clinic.takes().await;
    assert_eq!(*job.order.task.as_ref().unwrap().tree(), hub.reads(&order.step(2)).await);
    let types: Vec<&str> =
        job.order.resources.iter().map(|resource| resource["resourceType"].as_str().unwrap()).collect();
    assert!(types.contains(&"ServiceRequest") && types.contains(&"Patient"), "{types:?}");
    job.acknowledged().await;
    hub.closes().await;
}

async fn with_ids_only_nothing_of_a_patient_goes_over_the_queue(world: World) {
    let hub = world.hub_with(&[("payload", "clinic=id-only")]).await;
    let order = hub.submits(referral_bundle()).await;
    let mut clinic = hub.worker("clinic", "Organization/clinic-1").await;
    let job = clinic.takes().await;
    names_nobody(&job.event.to_string());
    assert_eq!((job.order.task.is_none(), job.order.resources.len()), (true, 0));
    assert_eq!(job.order.focus.as_deref(), Some(order.request()), "the rest is read over REST");
    let other = hub.submits(laboratory()).await;
    let mut laboratory = hub.worker("laboratory", "Organization/lab-1").await;
    let full = laboratory.takes().await;
    assert!(full.order.task.is_some(), "what is set for one kind of work is set for that one");
    assert_eq!(full.task(), other.step(2));
    job.acknowledged().await;
    full.acknowledged().await;
    hub.closes().await;
}

async fn no_log_and_no_metric_names_a_patient(world: World) {
    if !Program::are_built() {
        return;
    }
    let hub = world.hub_program(&["--fillers", "--log-level", "debug,hyper=off,h2=off"]).await;
    for body in [referral_bundle(), prescription(), laboratory()] {
        hub.submits(body).await.is("completed").await;
    }
    let bad = laboratory().with(json!({ "status": "Rosa Example", "subject": { "display": 9000000009_u64 } }));
    names_nobody(&hub.post("ServiceRequest", &bad).await.is(422).text);
    hub.get("Patient?identifier=9000000009").await.is(200);
    hub.get("Task?nonsense=Rosa").await.is(400);
    names_nobody(&hub.get("/metrics").await.is(200).text);
    let log = hub.log();
    assert!(log.lines().count() > 3, "{log}");
    names_nobody(&log);
}

#[test]
fn a_trace_goes_into_the_work_order_on_sqlite() {
    tell(Parts::SQLITE_RABBITMQ, a_trace_goes_from_the_post_into_the_work_order);
}

#[test]
fn a_trace_goes_into_the_work_order_on_postgres() {
    tell(Parts::POSTGRES_RABBITMQ, a_trace_goes_from_the_post_into_the_work_order);
}

/// At a broker only: into the embedded queue of a program nobody can look from outside.
async fn a_trace_goes_from_the_post_into_the_work_order(world: World) {
    if !Program::are_built() {
        return;
    }
    let hub = world.hub_program(&[]).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    hub.post("ServiceRequest", &laboratory()).header("traceparent", traceparent).await.is(201);
    let mut worker = world.worker("laboratory", "Organization/lab-1").await;
    for _ in 0..3 {
        let job = worker.takes().await;
        let carried = job.event["traceparent"].as_str().unwrap().to_owned();
        assert_eq!(carried.split('-').nth(1), Some(trace), "one trace, through all steps");
        worker.claims(&job.order).await;
        let order = job.acknowledged().await;
        worker.carries(&carried);
        worker.ends(&order).await;
    }
    assert!(hub.ends().await);
}
