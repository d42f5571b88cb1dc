//! What a broker that dies does to us, and what only a broker (or only memory) can show.

use std::time::{Duration, Instant};

use hub_transport::{Generation, Message, Options, PublishError, Routing, Source, Trouble, open};
use services::RabbitMq;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{
    PATIENCE, a_performer, a_place, broker, broker_url, consume, in_memory, next, nothing_comes, publish, routine,
};

#[tokio::test]
async fn memory_is_empty_at_first_and_full_at_its_limit() {
    let transport = in_memory().await;
    assert_eq!(*transport.generation().borrow(), Generation { number: 1, empty: true });
    transport.filled().await.unwrap();
    assert!(!transport.generation().borrow().empty);

    let small = open("embedded", Options { memory_limit_messages: 2, ..Options::hub() }).await.unwrap();
    let place = a_place();
    small.ensure(std::slice::from_ref(&place)).await.unwrap();
    let results = small.publish(&[routine(&place, 1), routine(&place, 2), routine(&place, 3)]).await;
    assert!(matches!(results[..], [Ok(()), Ok(()), Err(PublishError::Refused(_))]), "{results:?}");
}

#[tokio::test]
async fn a_url_that_leads_nowhere_is_told() {
    assert!(matches!(open("http://x", Options::hub()).await.err(), Some(Trouble::BadUrl(_))));
    let away = open("amqp://guest:guest@127.0.0.1:1/%2f", Options::hub()).await.unwrap();
    assert!(away.health().is_err());
    let results = away.publish(&[Message::json("1", Routing::Reports, "{}")]).await;
    assert!(matches!(results[..], [Err(PublishError::Disconnected(_))]), "{results:?}");
    let mut consumer = away.consume(Source::Reports, 1).await.unwrap();
    away.close().await;
    assert!(consumer.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_says_who_published_and_refuses_whom_it_does_not_know() {
    let Some((hub, _alone)) = broker().await else { return };
    let url = broker_url().unwrap();
    let user = url.split(['/', ':']).nth(3).unwrap();
    publish(&*hub, &[Message::json("1", Routing::Reports, "{}")]).await;
    let mut reports = hub.consume(Source::Reports, 1).await.unwrap();
    let delivery = next(&mut reports).await;
    assert_eq!(delivery.user_id.as_deref(), Some(user));
    delivery.again(Duration::ZERO).await;
    let delivery = next(&mut reports).await;
    assert_eq!(delivery.user_id.as_deref(), Some(user), "still the first publisher's");
    delivery.done().await;

    let wrong = url.replacen(user, "nobody-we-know", 1);
    assert!(matches!(open(&wrong, Options::hub()).await.err(), Some(Trouble::Refused(_))));
}

/// The last net: a message that ends its consumer each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_parks_what_comes_back_for_ever() {
    let Some((hub, _alone)) = broker().await else { return };
    let place = a_place();
    hub.ensure(std::slice::from_ref(&place)).await.unwrap();
    publish(&*hub, &[routine(&place, "deadly")]).await;
    let mut work = consume(&*hub, &place, 1).await;
    let mut parked = hub.consume(Source::Parked, 1).await.unwrap();
    let delivery = loop {
        tokio::select! {
            lost = next(&mut work) => drop(lost),
            delivery = next(&mut parked) => break delivery,
        }
    };
    assert!(delivery.message == routine(&place, "deadly"));
    assert_eq!(delivery.parked_why.as_deref(), Some("the broker: delivery_limit"));
    delivery.done().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_waits_until_the_hub_made_its_queue() {
    let Some((hub, _alone)) = broker().await else { return };
    let worker = open(&broker_url().unwrap(), Options::worker()).await.unwrap();
    let place = a_place();
    assert!(matches!(worker.ensure(std::slice::from_ref(&place)).await, Err(Trouble::Refused(_))));
    let mut consumer = consume(&*worker, &place, 1).await;
    nothing_comes(&mut consumer).await;
    hub.ensure(std::slice::from_ref(&place)).await.unwrap();
    publish(&*hub, &[routine(&place, 1)]).await;
    next(&mut consumer).await.done().await;
    worker.close().await;
}

/// A worker that begins while the hub is still making queues has them all in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_for_a_performer_that_is_registered_later_is_taken_too() {
    let Some((hub, _alone)) = broker().await else { return };
    let worker = open(&broker_url().unwrap(), Options::worker()).await.unwrap();
    let (open_work, performer) = (a_place(), a_performer());
    hub.ensure(std::slice::from_ref(&open_work)).await.unwrap();
    let source = Source::Work { places: vec![open_work.clone(), performer.clone()] };
    let mut consumer = worker.consume(source, 1).await.unwrap();
    publish(&*hub, &[routine(&open_work, "open")]).await;
    let in_hand = next(&mut consumer).await;

    hub.ensure(std::slice::from_ref(&performer)).await.unwrap();
    publish(&*hub, &[routine(&performer, "directed")]).await;
    let directed = next(&mut consumer).await;
    assert!(directed.message == routine(&performer, "directed"));
    directed.done().await;
    in_hand.done().await;
    nothing_comes(&mut consumer).await;
    worker.close().await;
}

/// A broker of its own, killed, restarted and wiped under a hub and a worker that are both at work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_dies_takes_nothing_with_it() {
    if broker_url().is_none() {
        return;
    }
    let mut rabbitmq = RabbitMq::start();
    let hub = open(&rabbitmq.url(), Options::hub()).await.unwrap();
    let worker = open(&rabbitmq.url(), Options::worker()).await.unwrap();
    let mut generations = hub.generation();
    assert_eq!(*generations.borrow_and_update(), Generation { number: 1, empty: true });
    let place = a_place();
    hub.ensure(std::slice::from_ref(&place)).await.unwrap();
    hub.filled().await.unwrap();
    assert_eq!(*generations.borrow_and_update(), Generation { number: 1, empty: false });
    let mut work = consume(&*worker, &place, 1).await;
    let mut replies = worker.consume(Source::Replies, 1).await.unwrap();
    let address = replies.reply_address().unwrap().to_owned();

    // Killed with fifty confirmed messages, one of them in the hands of the worker.
    let fifty: Vec<Message> = (0..50).map(|n| routine(&place, n)).collect();
    publish(&*hub, &fifty).await;
    let in_hand = next(&mut work).await;
    rabbitmq.kill();
    wait_for(|| hub.health().is_err()).await;
    let asked = Instant::now();
    let results = hub.publish(&[routine(&place, 50)]).await;
    assert!(matches!(results[..], [Err(PublishError::Disconnected(_))]), "{results:?}");
    assert!(asked.elapsed() < Duration::from_secs(1), "it fails fast: {:?}", asked.elapsed());
    in_hand.done().await;

    let rabbitmq = restarted(rabbitmq, RabbitMq::restart).await;
    assert_eq!(new_generation(&mut generations).await, Generation { number: 2, empty: false });
    publish(&*hub, &[routine(&place, 50)]).await;
    for n in 0..=50 {
        let delivery = next(&mut work).await;
        assert_eq!(delivery.message.id, n.to_string(), "all of them, the unanswered one again");
        delivery.done().await;
    }
    nothing_comes(&mut replies).await;
    hub.reply(&address, &Message::json("late", Routing::Reply, "{}")).await.unwrap();
    assert_eq!(next(&mut replies).await.message.id, "late", "the address outlives the connection");

    // Wiped: the worker may be the first to be back, and must not hide that the broker is empty.
    publish(&*hub, &[routine(&place, "lost")]).await;
    let _rabbitmq = restarted(rabbitmq, RabbitMq::reset).await;
    assert_eq!(new_generation(&mut generations).await, Generation { number: 3, empty: true });
    publish(&*hub, &[routine(&place, "published again")]).await;
    let delivery = next(&mut work).await;
    assert_eq!(delivery.message.id, "published again");
    delivery.done().await;
    hub.close().await;
    worker.close().await;
}

/// A service's calls block.
async fn restarted(mut rabbitmq: RabbitMq, how: fn(&mut RabbitMq)) -> RabbitMq {
    tokio::task::spawn_blocking(move || {
        how(&mut rabbitmq);
        rabbitmq
    })
    .await
    .unwrap()
}

async fn new_generation(generations: &mut watch::Receiver<Generation>) -> Generation {
    timeout(PATIENCE, generations.changed()).await.expect("a new connection").unwrap();
    *generations.borrow_and_update()
}

async fn wait_for(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it in time");
}
