//! Hub and workers in processes of their own, and the command line.

use serde_json::{Value, json};
use tests::bodies::{laboratory, prescription, referral_bundle};
use tests::prescription::{PATIENT, Prescription};
use tests::{
    Client, Database, Parts, Program, Queue, World, leave_out_for_want_of, python_with_pika, stories, tell, until,
};

stories![every_kind_of_order_is_fulfilled_by_the_programs, an_order_is_tracked_at_the_command_line];

/// `hub serve` and a `worker` of each kind; on the embedded queue the hub runs the fillers itself.
async fn every_kind_of_order_is_fulfilled_by_the_programs(world: World) {
    if !Program::are_built() {
        return;
    }
    let (hub, workers) = at_work(&world).await;
    let mut orders = Vec::new();
    for body in [referral_bundle(), laboratory(), prescription()] {
        orders.push(hub.submits(body).await);
    }
    for order in &orders {
        order.is("completed").await;
        order.walked_legally().await;
    }
    for worker in workers {
        assert!(worker.ends().await, "a worker drains and ends well");
    }
    assert!(hub.ends().await, "the hub drains and ends well");
}

pub(crate) async fn at_work(world: &World) -> (Program, Vec<Program>) {
    match world.parts.queue {
        Queue::Embedded => (world.hub_program(&["--fillers"]).await, Vec::new()),
        Queue::RabbitMq => {
            let hub = world.hub_program(&[]).await;
            let start = |kind| Program::worker(world, &["--filler", kind]);
            (hub, ["clinic", "laboratory", "pharmacy"].map(start).into())
        }
    }
}

async fn an_order_is_tracked_at_the_command_line(world: World) {
    if !Program::are_built() {
        return;
    }
    let hub = world.hub().await;
    let order = hub.submits(laboratory()).await;
    let track = async |name: &str, flag: &str| {
        let arguments = ["track", name, "--hub", &hub.base, flag];
        Program::run("hub", &arguments[..if flag.is_empty() { 4 } else { 5 }]).await
    };
    let (code, table, _) = track(order.request(), "").await;
    assert_eq!(code, 0);
    assert!(table.starts_with("requested (0 of 3 done)"), "{table}");
    assert!(table.contains("Collect the specimen") && table.contains("waiting for"), "{table}");
    let (_, told, _) = track("LAB-2026-0001", "--json").await;
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap(), order.order_status().await);
    hub.has_fillers().await;
    let (code, watched, _) = track("LAB-2026-0001", "--watch").await;
    assert_eq!(code, 0);
    assert!(watched.contains("completed (3 of 3 done)"), "it watches to the end: {watched}");
    let (code, _, errors) = track("nobody", "").await;
    assert_eq!((code, errors.trim()), (1, "hub: no order carries this identifier"));
    hub.closes().await;
}

#[test]
fn a_demo_ends_well_and_tells_its_story() {
    tell(Parts::SQLITE_EMBEDDED, |_| async {
        if !Program::are_built() {
            return;
        }
        let (code, said, errors) = Program::run("hub", &["demo", "--exit", "--listen", "127.0.0.1:0"]).await;
        assert_eq!(code, 0, "{said}{errors}");
        for line in ["The hub listens at", "prescription: completed (3 of 3 done)", "All three orders are fulfilled"] {
            assert!(said.contains(line), "{line}: {said}");
        }
    });
}

#[test]
fn a_demo_shows_repeat_dispensing_through_all_issues() {
    tell(Parts::SQLITE_EMBEDDED, |_| async {
        if !Program::are_built() {
            return;
        }
        let arguments = ["demo", "--repeat-dispensing", "--listen", "127.0.0.1:0"];
        let (code, said, errors) = Program::run("hub", &arguments).await;
        assert_eq!(code, 0, "{said}{errors}");
        for line in [
            "issue 3  Repeat Dispense future instance",
            "issue 2  Awaiting Release Ready",
            "issue 3  With Dispenser - Active           Aspirin 75mg tablets: Item fully dispensed; Simvastatin 10mg \
             tablets: Item not dispensed - owing",
            "All issues were dispensed",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
    });
}

#[test]
fn a_prescription_is_tracked_as_a_pharmacist_thinks_of_it() {
    tell(Parts::SQLITE_EMBEDDED, |world| async move {
        if !Program::are_built() {
            return;
        }
        let hub = world.hub().await;
        let service = Client::new(hub.base.replace("/fhir/R4", "/eps/FHIR/R4"));
        let prescription = Prescription::new(2).repeat_dispensing(2, "2026-11-01").nominated("FA565");
        service.post("$process-message", &prescription.order()).await.is(200);
        let (code, said, errors) = Program::run("hub", &["track", &prescription.number, "--hub", &hub.base]).await;
        assert_eq!(code, 0, "{said}{errors}");
        let heading = format!("prescription {} for {PATIENT}, received 20", prescription.number);
        for part in
            [heading.as_str(), "1 of 2", "0001 To be Dispensed", "FA565", "9000 Repeat Dispense future instance"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(said.matches("Paracetamol 500mg capsules").count(), 2, "the items of the issue at hand: {said}");
        hub.closes().await;
    });
}

/// The worker in Python knows the documents only. A queue of the embedded kind cannot be reached by it.
async fn a_laboratory_in_python_fulfils_an_order(world: World) {
    let Some(python) = python_with_pika().await else {
        return leave_out_for_want_of("python", "the worker in Python (pika cannot be installed here)");
    };
    let hub = world.hub().await;
    let worker = Program::python_worker(&world, &python, &["--work", "laboratory", "--count", "3"]);
    let order = hub.submits(laboratory()).await;
    let whole = order.is("completed").await;
    let collected = order.task("collect").await;
    assert_eq!(collected["owner"]["reference"], "Organization/python-laboratory");
    assert_eq!(collected["businessStatus"]["text"], "In progress in Python");
    assert_eq!(collected["output"], json!([{ "type": { "text": "Result" }, "valueString": "collect done in Python" }]));
    assert_eq!(whole["status"], "completed");
    assert!(worker.finishes().await, "it did the three Tasks that it was started for");
    order.walked_legally().await;
    hub.closes().await;
}

#[test]
fn a_laboratory_in_python_on_sqlite() {
    tell(Parts { database: Database::Sqlite, queue: Queue::RabbitMq }, a_laboratory_in_python_fulfils_an_order);
}

#[test]
fn a_laboratory_in_python_on_postgres() {
    tell(Parts { database: Database::Postgres, queue: Queue::RabbitMq }, a_laboratory_in_python_fulfils_an_order);
}

/// The same worker, at the queue of a pharmacy that a prescription nominates: to claim is to release.
async fn a_pharmacy_in_python_dispenses(world: World) {
    let Some(python) = python_with_pika().await else {
        return leave_out_for_want_of("python", "the worker in Python (pika cannot be installed here)");
    };
    let hub = world.hub_with(&[("performers", "Organization/FA565")]).await;
    let service = Client::new(format!("{}/eps/FHIR/R4", hub.base.strip_suffix("/fhir/R4").unwrap()));
    let prescription = Prescription::new(2).nominated("FA565");
    service.post("$process-message", &prescription.order()).await.is(200);
    let arguments = ["--work", "pharmacy", "--performer", "Organization/FA565", "--count", "1"];
    let worker = Program::python_worker(&world, &python, &arguments);
    until("all is dispensed", async || prescription.state(&service).await, |state| state == "0006").await;
    assert!(worker.finishes().await, "it did the one prescription that it was started for");
    hub.closes().await;
}

#[test]
fn a_pharmacy_in_python_on_sqlite() {
    tell(Parts::SQLITE_RABBITMQ, a_pharmacy_in_python_dispenses);
}

#[test]
fn a_pharmacy_in_python_on_postgres() {
    tell(Parts::POSTGRES_RABBITMQ, a_pharmacy_in_python_dispenses);
}

/// Several hubs on one database and one queue: each order is decided by whoever hears of it.
async fn two_hubs_share_the_work(world: World) {
    let (one, other) = (world.hub().await, world.hub().await);
    let mut orders = Vec::new();
    for n in 0..12 {
        let hub = if n % 2 == 0 { &one } else { &other };
        orders.push(hub.submits(laboratory()).await);
    }
    one.has_fillers().await;
    other.has_fillers().await;
    for (n, order) in orders.iter().enumerate() {
        let asked = if n % 2 == 0 { &other } else { &one };
        let order = order.at(asked);
        order.is("completed").await;
        assert_eq!(order.statuses().await, ["completed"; 4], "each step was done once");
        order.walked_legally().await;
    }
    one.closes().await;
    other.closes().await;
}

#[test]
fn two_hubs_on_one_postgres_and_one_rabbitmq() {
    tell(Parts::POSTGRES_RABBITMQ, two_hubs_share_the_work);
}
