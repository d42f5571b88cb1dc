//! The stories. Each gets a transport of its own and a place of work of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_transport::{BODY_LIMIT_BYTES, Message, PublishError, Routing, Source, Tier, Transport};
use tokio::time::{sleep, timeout};

use super::{
    PATIENCE, SILENCE, a_performer, a_place, an_ensured_place, consume, next, nothing_comes, publish, routine, urgent,
};

type Open = Arc<dyn Transport>;

pub(super) async fn published_is_consumed_as_it_was(transport: Open) {
    let lab = a_performer();
    transport.ensure(std::slice::from_ref(&lab)).await.unwrap();
    let mut sent = urgent(&lab, "order-1");
    sent.headers = vec![("traceparent".to_owned(), "00-abc".to_owned())];
    sent.reply_to = Some("somewhere".to_owned());
    sent.correlation_id = Some("order-0".to_owned());
    publish(&*transport, std::slice::from_ref(&sent)).await;

    let mut consumer = consume(&*transport, &lab, 10).await;
    let delivery = next(&mut consumer).await;
    assert!(delivery.message == sent, "{:?}", delivery.message);
    assert_eq!(delivery.message.header("traceparent"), Some("00-abc"));
    assert_eq!((delivery.attempts, delivery.redelivered), (0, false));
    delivery.done().await;
    nothing_comes(&mut consumer).await;

    let report = Message::json("report-1", Routing::Reports, "{}");
    publish(&*transport, std::slice::from_ref(&report)).await;
    let mut reports = transport.consume(Source::Reports, 10).await.unwrap();
    let delivery = next(&mut reports).await;
    assert!(delivery.message == report);
    delivery.done().await;
}

pub(super) async fn a_place_that_nobody_ensured_is_unroutable(transport: Open) {
    let (known, unknown) = (an_ensured_place(&*transport).await, a_place());
    // Many neighbours, so that confirms come in bulk and the returned ones have to be told apart.
    let batch: Vec<Message> =
        (0..60).map(|n| if n % 7 == 3 { routine(&unknown, n) } else { routine(&known, n) }).collect();
    for (n, result) in transport.publish(&batch).await.into_iter().enumerate() {
        match result {
            Err(PublishError::Unroutable(_)) => assert_eq!(n % 7, 3),
            other => assert_eq!((other, n % 7 == 3), (Ok(()), false)),
        }
    }
}

pub(super) async fn urgent_goes_first_with_a_share_for_routine(transport: Open) {
    let place = an_ensured_place(&*transport).await;
    let routines: Vec<Message> = (0..20).map(|n| routine(&place, n)).collect();
    let urgents: Vec<Message> = (0..20).map(|n| urgent(&place, n)).collect();
    publish(&*transport, &routines).await;
    publish(&*transport, &urgents).await;

    let mut consumer = consume(&*transport, &place, 20).await;
    sleep(SILENCE).await;
    let mut tiers = Vec::new();
    for _ in 0..10 {
        let delivery = next(&mut consumer).await;
        tiers.push(delivery.message.routing.clone());
        delivery.done().await;
    }
    assert_eq!(tiers[0], Routing::work(place.clone(), Tier::Urgent));
    assert_eq!(tiers.iter().filter(|routing| **routing == Routing::work(place.clone(), Tier::Routine)).count(), 2);
}

pub(super) async fn put_off_it_comes_back_and_again_is_counted(transport: Open) {
    let place = an_ensured_place(&*transport).await;
    let mut sent = urgent(&place, "later");
    sent.headers = vec![("traceparent".to_owned(), "00-abc".to_owned())];
    publish(&*transport, std::slice::from_ref(&sent)).await;
    let mut consumer = consume(&*transport, &place, 10).await;
    for (counts, attempts) in [(true, 1), (true, 2), (false, 2)] {
        let put_off = Instant::now();
        let delivery = next(&mut consumer).await;
        let second = Duration::from_secs(1);
        if counts {
            delivery.again(second).await
        } else {
            delivery.later(second).await
        }
        let delivery = next(&mut consumer).await;
        assert!(put_off.elapsed() >= Duration::from_millis(450), "half a step at least: {:?}", put_off.elapsed());
        assert!(delivery.message == sent, "the same message, to the same tier of the same place");
        assert_eq!(delivery.attempts, attempts);
        // Not answered: it is put off once more from where it comes back to.
        drop(delivery);
    }
    next(&mut consumer).await.done().await;
    nothing_comes(&mut consumer).await;
}

pub(super) async fn parked_can_be_read_with_its_reason(transport: Open) {
    let place = an_ensured_place(&*transport).await;
    publish(&*transport, &[urgent(&place, "hopeless")]).await;
    let mut consumer = consume(&*transport, &place, 10).await;
    next(&mut consumer).await.park("no such code").await;
    nothing_comes(&mut consumer).await;

    let mut parked = transport.consume(Source::Parked, 10).await.unwrap();
    let delivery = next(&mut parked).await;
    assert!(delivery.message == urgent(&place, "hopeless"), "it says where it was");
    assert_eq!(delivery.parked_why.as_deref(), Some("no such code"));
    let retried = delivery.message.clone();
    delivery.done().await;
    publish(&*transport, &[retried]).await;
    let delivery = next(&mut consumer).await;
    assert_eq!((delivery.attempts, &delivery.parked_why), (0, &None));
    delivery.done().await;
}

pub(super) async fn dropped_comes_back(transport: Open) {
    let place = an_ensured_place(&*transport).await;
    publish(&*transport, &[routine(&place, 1)]).await;
    let mut consumer = consume(&*transport, &place, 1).await;
    drop(next(&mut consumer).await);
    let delivery = next(&mut consumer).await;
    assert_eq!((delivery.redelivered, delivery.attempts), (true, 0));
    drop(delivery);
    // Also to another one, when the first is gone.
    drop(consumer);
    let mut another = consume(&*transport, &place, 1).await;
    next(&mut another).await.done().await;
    nothing_comes(&mut another).await;
}

pub(super) async fn answered_after_its_consumer_is_gone(transport: Open) {
    let place = an_ensured_place(&*transport).await;
    publish(&*transport, &[routine(&place, 1)]).await;
    let mut consumer = consume(&*transport, &place, 1).await;
    let delivery = next(&mut consumer).await;
    drop(consumer);
    sleep(SILENCE).await;
    delivery.done().await;
    sleep(SILENCE).await;
    nothing_comes(&mut consume(&*transport, &place, 1).await).await;
}

pub(super) async fn a_reply_finds_whoever_asked(transport: Open) {
    let mut replies = transport.consume(Source::Replies, 10).await.unwrap();
    let address = replies.reply_address().unwrap().to_owned();
    let mut answer = Message::json("answer-1", Routing::Reply, r#"{"granted":true}"#);
    answer.correlation_id = Some("claim-1".to_owned());
    transport.reply(&address, &answer).await.unwrap();
    let delivery = next(&mut replies).await;
    assert!(delivery.message == answer, "{:?}", delivery.message);
    delivery.done().await;

    let gone = format!("{}x", &address[..address.len() - 1]);
    assert_eq!(transport.reply(&gone, &answer).await, Ok(()), "whoever asked may be gone");
    let stranger = transport.reply(&Routing::Reports.key(), &answer).await;
    assert!(matches!(stranger, Err(PublishError::Unroutable(_))), "a reply goes to no other queue: {stranger:?}");
}

pub(super) async fn prefetch_bounds_what_is_held(transport: Open) {
    let place = an_ensured_place(&*transport).await;
    publish(&*transport, &[routine(&place, 1), routine(&place, 2)]).await;
    let mut consumer = consume(&*transport, &place, 1).await;
    let first = next(&mut consumer).await;
    nothing_comes(&mut consumer).await;
    first.done().await;
    next(&mut consumer).await.done().await;
}

pub(super) async fn a_batch_is_what_is_there(transport: Open) {
    let place = an_ensured_place(&*transport).await;
    let ten: Vec<Message> = (0..10).map(|n| routine(&place, n)).collect();
    publish(&*transport, &ten).await;
    let mut consumer = consume(&*transport, &place, 10).await;
    sleep(SILENCE).await;
    let batch = consumer.next_batch(7).await;
    assert_eq!(batch.iter().map(|d| d.message.id.as_str()).collect::<Vec<_>>(), ["0", "1", "2", "3", "4", "5", "6"]);
    for delivery in batch {
        delivery.done().await;
    }
    assert_eq!(consumer.next_batch(128).await.len(), 3);
}

pub(super) async fn two_consumers_share(transport: Open) {
    let place = an_ensured_place(&*transport).await;
    let (mut one, mut other) = (consume(&*transport, &place, 1).await, consume(&*transport, &place, 1).await);
    let ten: Vec<Message> = (0..10).map(|n| routine(&place, n)).collect();
    publish(&*transport, &ten).await;
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        for consumer in [&mut one, &mut other] {
            let delivery = next(consumer).await;
            assert!(seen.insert(delivery.message.id.clone()), "once each");
            delivery.done().await;
        }
    }
    assert_eq!(seen.len(), 10);
}

pub(super) async fn giving_up_on_next_loses_nothing(transport: Open) {
    let place = an_ensured_place(&*transport).await;
    let mut consumer = consume(&*transport, &place, 5).await;
    let publisher = tokio::spawn({
        let (transport, place) = (transport.clone(), place.clone());
        async move {
            for n in 0..20 {
                publish(&*transport, &[routine(&place, n)]).await;
            }
        }
    });
    let mut ids = Vec::new();
    let begun = Instant::now();
    while ids.len() < 20 && begun.elapsed() < PATIENCE {
        if let Ok(Some(delivery)) = timeout(Duration::from_millis(1), consumer.next()).await {
            ids.push(delivery.message.id.clone());
            delivery.done().await;
        }
    }
    publisher.await.unwrap();
    assert_eq!(ids, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

pub(super) async fn two_thousand_are_pipelined(transport: Open) {
    let place = an_ensured_place(&*transport).await;
    let all: Vec<Message> = (0..2000).map(|n| routine(&place, n)).collect();
    let begun = Instant::now();
    publish(&*transport, &all).await;
    let published = begun.elapsed();
    let mut consumer = consume(&*transport, &place, 256).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 2000 {
        let batch = timeout(PATIENCE, consumer.next_batch(128)).await.expect("the rest of them");
        assert!(!batch.is_empty() && batch.len() <= 128);
        for delivery in batch {
            seen.insert(delivery.message.id.clone());
            delivery.done().await;
        }
    }
    // One after the other, each with its fsync, they would take many times as long.
    assert!(published < PATIENCE / 2, "{published:?}");
    nothing_comes(&mut consumer).await;
}

pub(super) async fn too_large_is_refused(transport: Open) {
    let place = an_ensured_place(&*transport).await;
    let mut large = routine(&place, 1);
    large.body = vec![b' '; BODY_LIMIT_BYTES + 1].into();
    let results = transport.publish(&[routine(&place, 0), large]).await;
    assert!(matches!(results[..], [Ok(()), Err(PublishError::Refused(_))]), "{results:?}");
}

pub(super) async fn depths_are_counted(transport: Open) {
    let place = an_ensured_place(&*transport).await;
    publish(&*transport, &[routine(&place, 1), routine(&place, 2), urgent(&place, 3)]).await;
    let depths = transport.depths().await.unwrap();
    let depth = |queue: &str| depths.iter().find(|depth| depth.queue == queue).map(|depth| depth.ready);
    assert_eq!(depth(&Routing::work(place.clone(), Tier::Routine).key()), Some(2));
    assert_eq!(depth(&Routing::work(place, Tier::Urgent).key()), Some(1));
    assert_eq!((depth("reports"), depth("parked")), (Some(0), Some(0)));
}

pub(super) async fn close_ends_everything(transport: Open) {
    let place = an_ensured_place(&*transport).await;
    let mut consumer = consume(&*transport, &place, 1).await;
    let waiting = tokio::spawn(async move { (consumer.next().await.is_none(), consumer.next_batch(9).await.len()) });
    sleep(SILENCE).await;
    transport.close().await;
    assert_eq!(timeout(PATIENCE, waiting).await.unwrap().unwrap(), (true, 0));
    let refused = transport.publish(&[routine(&place, 1)]).await;
    assert!(matches!(refused[..], [Err(PublishError::Disconnected(_))]), "{refused:?}");
    assert!(transport.health().is_err());
}
