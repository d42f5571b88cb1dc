//! Subscribes and hands out.
//!
//! There is no job behind a consumer: whoever awaits `next` also reconnects, so a consumer that nobody awaits does
//! nothing, and the prefetch bounds what the broker sends to it meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{BoxStream, SelectAll, select_all};
use futures_util::{FutureExt, StreamExt, future, stream};
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::acknowledging::Ledger;
use super::receipt::BrokerReceipt;
use super::topology::{self, short};
use super::{Broker, link, wire};
use crate::queue::{Consumer, Delivery, Routing, Source, Tier, Trouble};
use crate::turns::Turns;

/// A queue that was not there may be made at any time: by a hub that was starting, or by one that was told of it since.
const LOOK_FOR_MISSING_EVERY: Duration = Duration::from_secs(5);

pub(super) struct BrokerConsumer {
    broker: Arc<Broker>,
    subscriptions: Vec<Subscription>,
    prefetch: u16,
    live: Option<Live>,
    urgent: VecDeque<Delivery>,
    routine: VecDeque<Delivery>,
    turns: Turns,
    failures: u32,
    reply_address: Option<String>,
}

struct Subscription {
    queue: String,
    tier: Tier,
    /// What every message of the queue is; `None` where that stands in the message.
    routing: Option<Routing>,
}

impl Subscription {
    /// Only registered performers have queues of their own; whoever works for another one still does open work.
    fn is_optional(&self) -> bool {
        matches!(&self.routing, Some(Routing::Work { place, .. }) if place.is_performer())
    }
}

/// One channel with its subscriptions.
struct Live {
    ledger: Arc<Ledger>,
    arriving: SelectAll<BoxStream<'static, Arrival>>,
    missing: Option<Missing>,
}

/// Queues that it would also take work from, if they were there.
struct Missing {
    queues: Vec<String>,
    look_at: Instant,
}

/// From which subscription. `None` is the end of it, and ends the channel: a half-subscribed consumer would starve.
type Arrival = (usize, Option<lapin::message::Delivery>);

impl BrokerConsumer {
    pub(super) async fn open(broker: Arc<Broker>, source: Source, prefetch: u16) -> BrokerConsumer {
        let reply_address =
            matches!(source, Source::Replies).then(|| format!("{}{}", topology::REPLIES_PREFIX, Uuid::new_v4()));
        let mut consumer = BrokerConsumer {
            subscriptions: subscriptions(&source, reply_address.as_deref()),
            broker,
            // To the broker 0 is "no limit".
            prefetch: prefetch.max(1),
            live: None,
            urgent: VecDeque::new(),
            routine: VecDeque::new(),
            turns: Turns::default(),
            failures: 0,
            reply_address,
        };
        // At once when possible: whoever gives away a reply address wants the queue to be there.
        if consumer.broker.link.connection().is_ok() {
            consumer.try_to_subscribe().await;
        }
        consumer
    }

    async fn try_to_subscribe(&mut self) {
        match self.subscribe().await {
            Ok(live) => {
                if let Some(missing) = &live.missing {
                    tracing::warn!(queues = ?missing.queues, "the hub has no such queues: this performer is not registered");
                }
                self.live = Some(live);
                self.failures = 0;
            }
            Err(error) => {
                // The first is worth a line; the rest of them say the same.
                if self.failures == 0 {
                    tracing::warn!(%error, "cannot subscribe yet");
                }
                self.failures = self.failures.saturating_add(1);
            }
        }
    }

    async fn subscribe(&mut self) -> Result<Live, Trouble> {
        let channel = self.broker.link.channel().await?;
        let subscribing = async {
            channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
            if let Some(address) = &self.reply_address {
                topology::declare_replies(&channel, address).await?;
            }
            let (mut streams, mut missing) = (Vec::with_capacity(self.subscriptions.len()), Vec::new());
            for (index, subscription) in self.subscriptions.iter().enumerate() {
                if subscription.is_optional() && !is_there(&self.broker, &subscription.queue).await {
                    missing.push(subscription.queue.clone());
                    continue;
                }
                let (queue, none) = (short(&subscription.queue), FieldTable::default());
                let consumer = channel.basic_consume(queue, short(""), BasicConsumeOptions::default(), none).await?;
                streams.push(arrivals(index, consumer));
            }
            Ok((select_all(streams), missing))
        };
        // A broker that dies in the middle may leave a question without an answer.
        let (arriving, missing) = link::in_time(subscribing).await?;
        Ok(Live { ledger: Ledger::new(channel, self.broker.runtime.clone()), arriving, missing: Missing::of(missing) })
    }

    /// When one of the missing queues is there by now, everything is subscribed to anew. Nothing is lost when this is
    /// given up on half-way: it is done the next time.
    async fn look_for_missing(&mut self) {
        let Some(missing) = self.live.as_mut().and_then(|live| live.missing.as_mut()) else { return };
        if Instant::now() < missing.look_at {
            return;
        }
        for queue in &missing.queues {
            if is_there(&self.broker, queue).await {
                return self.end_channel();
            }
        }
        missing.look_at = Instant::now() + LOOK_FOR_MISSING_EVERY;
    }

    /// What was not handed out is sent again by the broker.
    fn end_channel(&mut self) {
        self.live = None;
        self.urgent.clear();
        self.routine.clear();
    }

    async fn wait_to_subscribe(&mut self) {
        if self.failures > 0 {
            let pause = link::backoff(self.failures);
            tokio::select! { () = sleep(pause) => {}, () = self.broker.link.closed() => return }
        }
        self.broker.link.up_or_closed().await;
        if !self.broker.link.is_closed() {
            self.try_to_subscribe().await;
        }
    }

    /// Moves what has arrived to where it is handed out from.
    fn take_in(&mut self) {
        while let Some(live) = &mut self.live {
            match live.arriving.next().now_or_never() {
                Some(arrival) => self.arrived(arrival),
                None => return,
            }
        }
    }

    fn arrived(&mut self, arrival: Option<Arrival>) {
        let (Some((index, Some(delivery))), Some(live)) = (arrival, &self.live) else {
            return self.end_channel();
        };
        let subscription = &self.subscriptions[index];
        let delivery = opened(&self.broker, &live.ledger, subscription, delivery);
        match subscription.tier {
            Tier::Urgent => self.urgent.push_back(delivery),
            Tier::Routine => self.routine.push_back(delivery),
        }
    }

    fn hand_out(&mut self) -> Option<Delivery> {
        for tier in self.turns.order() {
            let held = match tier {
                Tier::Urgent => &mut self.urgent,
                Tier::Routine => &mut self.routine,
            };
            if let Some(delivery) = held.pop_front() {
                self.turns.handed_out(tier);
                return Some(delivery);
            }
        }
        None
    }
}

impl Missing {
    fn of(queues: Vec<String>) -> Option<Missing> {
        (!queues.is_empty()).then(|| Missing { queues, look_at: Instant::now() + LOOK_FOR_MISSING_EVERY })
    }

    /// Never, when nothing is missing.
    async fn is_due(missing: Option<&Missing>) {
        match missing {
            Some(missing) => sleep_until(missing.look_at).await,
            None => future::pending().await,
        }
    }
}

/// On a channel of its own: to ask for what is not there ends the channel.
async fn is_there(broker: &Broker, queue: &str) -> bool {
    let Ok(channel) = broker.link.channel().await else { return false };
    let options = QueueDeclareOptions::durable().passive();
    let found = channel.queue_declare(short(queue), options, FieldTable::default()).await.is_ok();
    if found {
        // One that failed is closed already.
        let _ = channel.close(200, short("asked")).await;
    }
    found
}

fn subscriptions(source: &Source, reply_address: Option<&str>) -> Vec<Subscription> {
    let routine = |queue: &str, routing| Subscription { queue: queue.to_owned(), tier: Tier::Routine, routing };
    match source {
        Source::Reports => vec![routine(topology::REPORTS, Some(Routing::Reports))],
        Source::Parked => vec![routine(topology::PARKED, None)],
        Source::Replies => reply_address.map(|address| routine(address, Some(Routing::Reply))).into_iter().collect(),
        Source::Work { places } => {
            let both =
                places.iter().flat_map(|place| Tier::BOTH.map(|tier| (Routing::work(place.clone(), tier), tier)));
            both.map(|(routing, tier)| Subscription {
                queue: topology::queue_of(&routing),
                tier,
                routing: Some(routing),
            })
            .collect()
        }
    }
}

fn arrivals(index: usize, consumer: lapin::Consumer) -> BoxStream<'static, Arrival> {
    let end = stream::once(future::ready((index, None)));
    consumer.map(move |delivery| (index, delivery.ok())).chain(end).boxed()
}

fn opened(
    broker: &Arc<Broker>,
    ledger: &Arc<Ledger>,
    from: &Subscription,
    mut delivery: lapin::message::Delivery,
) -> Delivery {
    let opened = wire::open(&mut delivery, from.routing.as_ref(), &broker.user);
    let receipt = BrokerReceipt::new(broker.clone(), ledger.clone(), delivery.delivery_tag, from.queue.clone());
    let mut given = Delivery::new(opened.message, Box::new(receipt));
    given.attempts = opened.attempts;
    given.user_id = opened.user_id;
    given.parked_why = opened.parked_why;
    given.redelivered = delivery.redelivered;
    given
}

#[async_trait]
impl Consumer for BrokerConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            if self.broker.link.is_closed() {
                return None;
            }
            self.look_for_missing().await;
            self.take_in();
            if let Some(delivery) = self.hand_out() {
                return Some(delivery);
            }
            let Some(live) = &mut self.live else {
                self.wait_to_subscribe().await;
                continue;
            };
            tokio::select! {
                arrival = live.arriving.next() => self.arrived(arrival),
                () = Missing::is_due(live.missing.as_ref()) => {}
                () = self.broker.link.closed() => return None,
            }
        }
    }

    async fn next_batch(&mut self, max: usize) -> Vec<Delivery> {
        let mut batch: Vec<Delivery> = self.next().await.into_iter().collect();
        while !batch.is_empty() && batch.len() < max {
            self.take_in();
            let Some(delivery) = self.hand_out() else { break };
            batch.push(delivery);
        }
        batch
    }

    fn reply_address(&self) -> Option<&str> {
        self.reply_address.as_deref()
    }
}
