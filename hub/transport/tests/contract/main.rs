//! What every transport promises, told as stories and run on each of them.
//!
//! RabbitMQ's part needs `HUB_TEST_AMQP` (the URL of a broker that nobody else uses meanwhile); without it, it is
//! left out, and says so.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod dying;
mod stories;

use std::io::Write;
use std::sync::{Arc, Once};
use std::time::Duration;

use hub_transport::{Consumer, Delivery, Message, Options, Place, Publisher, Routing, Source, Tier, Transport, open};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;
use uuid::Uuid;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// What has not come by now does not come.
const SILENCE: Duration = Duration::from_millis(300);

/// Runs each story on each transport.
macro_rules! on_both {
    ($($story:ident),+ $(,)?) => {
        mod in_process {
            $(#[tokio::test]
            async fn $story() {
                super::stories::$story(super::in_memory().await).await;
            })+
        }
        mod rabbitmq {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                if let Some((transport, _alone)) = super::broker().await {
                    super::stories::$story(transport.clone()).await;
                    transport.close().await;
                }
            })+
        }
    };
}

on_both!(
    published_is_consumed_as_it_was,
    a_place_that_nobody_ensured_is_unroutable,
    urgent_goes_first_with_a_share_for_routine,
    put_off_it_comes_back_and_again_is_counted,
    parked_can_be_read_with_its_reason,
    dropped_comes_back,
    answered_after_its_consumer_is_gone,
    a_reply_finds_whoever_asked,
    prefetch_bounds_what_is_held,
    a_batch_is_what_is_there,
    two_consumers_share,
    giving_up_on_next_loses_nothing,
    two_thousand_are_pipelined,
    too_large_is_refused,
    depths_are_counted,
    close_ends_everything,
);

async fn in_memory() -> Arc<dyn Transport> {
    open("embedded", Options::hub()).await.unwrap()
}

/// The broker, for one story at a time, with nothing left in the queues that all stories share.
async fn broker() -> Option<(Arc<dyn Transport>, MutexGuard<'static, ()>)> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    let url = broker_url()?;
    let alone = ALONE.lock().await;
    let transport = open(&url, Options::hub()).await.unwrap();
    transport.health().unwrap();
    for source in [Source::Reports, Source::Parked] {
        let mut consumer = transport.consume(source, 100).await.unwrap();
        while let Ok(Some(delivery)) = timeout(SILENCE, consumer.next()).await {
            delivery.done().await;
        }
    }
    Some((transport, alone))
}

fn broker_url() -> Option<String> {
    static SAID: Once = Once::new();
    let url = std::env::var("HUB_TEST_AMQP").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        SAID.call_once(say_left_out);
    }
    url
}

fn say_left_out() {
    // Not `eprintln!`: the test runner would swallow that.
    let said = std::io::stderr().write_all(b"left out: the contract on RabbitMQ (HUB_TEST_AMQP is not set)\n");
    said.unwrap();
}

/// A kind of work of this story's own.
fn a_place() -> Place {
    Place::open(&format!("story-{}", Uuid::new_v4())).unwrap()
}

fn a_performer() -> Place {
    Place::performer(&format!("Organization/{}", Uuid::new_v4())).unwrap()
}

async fn an_ensured_place(transport: &dyn Transport) -> Place {
    let place = a_place();
    transport.ensure(std::slice::from_ref(&place)).await.unwrap();
    place
}

fn routine(place: &Place, id: impl ToString) -> Message {
    Message::json(id.to_string(), Routing::work(place.clone(), Tier::Routine), r#"{"n":1}"#)
}

fn urgent(place: &Place, id: impl ToString) -> Message {
    Message { routing: Routing::work(place.clone(), Tier::Urgent), ..routine(place, id) }
}

async fn publish(transport: &dyn Publisher, messages: &[Message]) {
    for result in transport.publish(messages).await {
        result.unwrap();
    }
}

async fn consume(transport: &dyn Transport, place: &Place, prefetch: u16) -> Box<dyn Consumer> {
    transport.consume(Source::Work { places: vec![place.clone()] }, prefetch).await.unwrap()
}

async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    timeout(PATIENCE, consumer.next()).await.expect("a delivery").expect("an open transport")
}

async fn nothing_comes(consumer: &mut Box<dyn Consumer>) {
    let came = timeout(SILENCE, consumer.next()).await;
    assert!(came.is_err(), "{came:?}");
}
