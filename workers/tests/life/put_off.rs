//! What cannot be done now is put off, and not for ever.

use hub_transport::{Place, Source};
use schemas::message::{Act, WorkOrder};
use workers::{Limits, Options};

use crate::hub::{Hub, order};
use crate::{Worker, impatient, options};

fn clinics_place() -> Place {
    Place::performer("Organization/lab-1").unwrap()
}

#[tokio::test]
async fn what_no_worker_takes_is_parked_after_so_many_attempts() {
    let mut hub = Hub::open().await;
    let limits = Limits { attempts: 1, ..Limits::default() };
    let _worker = Worker::start(&hub.transport, Options { limits, ..options() });
    hub.order_at(clinics_place(), WorkOrder { work: "clinic".into(), ..order("a", 1, "routine") }).await;
    let parked = hub.parked().await;
    assert_eq!(parked.parked_why.as_deref(), Some("no worker took it: its kind of work is clinic"));
    assert_eq!(parked.attempts, 1, "put off once, as the limit says");
    parked.done().await;
    // Whatever was parked, the others go on.
    hub.order(order("b", 1, "routine")).await;
    assert_eq!(hub.grant_next().await.report.task_id, "b");
}

#[tokio::test]
async fn a_silent_hub_is_not_counted_against_a_work_order() {
    let mut hub = Hub::open().await;
    let limits = Limits { attempts: 1, ..impatient().limits };
    let worker = Worker::start(&hub.transport, Options { limits, ..options() });
    hub.order(order("a", 2, "routine")).await;
    for _ in 0..3 {
        hub.hear_act(Act::Claim).await;
    }
    worker.stop().await;
    let back = hub.takes_back(Place::open("laboratory").unwrap()).await;
    assert_eq!(back.attempts, 0);
}

#[tokio::test]
async fn an_order_that_alone_has_no_answer_is_parked_in_the_end() {
    let mut hub = Hub::open().await;
    let limits = Limits { attempts: 1, ..impatient().limits };
    let _worker = Worker::start(&hub.transport, Options { limits, concurrency: 2, ..options() });
    hub.order(order("a", 2, "routine")).await;
    let mut parked = hub.transport.consume(Source::Parked, 1).await.unwrap();
    // It speaks, though not of this one.
    let speaking = async {
        loop {
            let mut heard = hub.hear_act(Act::Claim).await;
            heard.report.report_id = "another".to_owned();
            hub.refuse(&heard).await;
        }
    };
    let parked = tokio::select! { parked = parked.next() => parked.unwrap(), () = speaking => unreachable!() };
    assert_eq!(parked.parked_why.as_deref(), Some("the hub did not answer its claim, but others"));
    assert_eq!(parked.attempts, 1);
    parked.done().await;
}
