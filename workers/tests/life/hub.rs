//! A hub as small as a worker can see it: it puts work orders on a queue, answers claims and hears reports.

use std::sync::Arc;
use std::time::Duration;

use hub_transport::{Consumer, Delivery, Message, Place, Routing, Source, Tier, Transport};
use schemas::message::{
    Act, Answer, CLAIM_REPLY, CONTENT_TYPE, ClaimReply, CloudEvent, Payload, StatusReport, WORK_ORDER, WorkOrder,
};
use tokio::time::timeout;

/// Whoever waits longer in one of these tests waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);
const NOW: &str = "2026-03-01T10:00:00.000Z";
pub(crate) const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub(crate) struct Hub {
    pub(crate) transport: Arc<dyn Transport>,
    reports: Box<dyn Consumer>,
}

/// A report that the hub has heard.
pub(crate) struct Heard {
    pub(crate) report: StatusReport,
    pub(crate) message: Message,
}

impl Hub {
    pub(crate) async fn open() -> Hub {
        Hub::at("embedded").await
    }

    pub(crate) async fn at(url: &str) -> Hub {
        let transport = hub_transport::open(url, hub_transport::Options::hub()).await.unwrap();
        transport
            .ensure(&[Place::open("laboratory").unwrap(), Place::performer("Organization/lab-1").unwrap()])
            .await
            .unwrap();
        let reports = transport.consume(Source::Reports, 100).await.unwrap();
        Hub { transport, reports }
    }

    pub(crate) async fn order(&self, order: WorkOrder) {
        self.order_at(Place::open("laboratory").unwrap(), order).await;
    }

    pub(crate) async fn order_at(&self, place: Place, order: WorkOrder) {
        let tier = Tier::of_priority(Some(&order.priority));
        let id = format!("{}/{}", order.task_id, order.task_version);
        let task = order.task_id.clone();
        let mut event = CloudEvent::new(WORK_ORDER, id.clone(), "urn:fhir-workflow-hub", &task, NOW.into(), order);
        event.traceparent = Some(TRACEPARENT.into());
        self.put(Routing::work(place, tier), &id, serde_json::to_vec(&event).unwrap()).await;
    }

    pub(crate) async fn put(&self, routing: Routing, id: &str, body: Vec<u8>) {
        let mut message = Message::json(id, routing, body);
        message.content_type = CONTENT_TYPE.into();
        self.transport.publish(&[message]).await.remove(0).unwrap();
    }

    pub(crate) async fn hear(&mut self) -> Heard {
        let delivery = timeout(PATIENCE, self.reports.next()).await.expect("a report").unwrap();
        let event: CloudEvent<StatusReport> = serde_json::from_slice(&delivery.message.body).unwrap();
        assert_eq!(event.traceparent.as_deref(), Some(TRACEPARENT));
        assert_eq!(delivery.message.header("traceparent"), Some(TRACEPARENT));
        let message = delivery.message.clone();
        delivery.done().await;
        Heard { report: event.data, message }
    }

    pub(crate) async fn hear_act(&mut self, act: Act) -> Heard {
        let heard = self.hear().await;
        assert_eq!(heard.report.act, act);
        heard
    }

    /// The next report of this act. A broker that was killed may tell once more what was said before.
    pub(crate) async fn hear_act_after_repeats(&mut self, act: Act) -> Heard {
        loop {
            let heard = self.hear().await;
            if heard.report.act == act {
                return heard;
            }
            assert_eq!(heard.report.act, Act::InProgress);
        }
    }

    pub(crate) async fn hears_nothing_for(&mut self, time: Duration) {
        if let Ok(Some(delivery)) = timeout(time, self.reports.next()).await {
            panic!("heard {}", String::from_utf8_lossy(&delivery.message.body));
        }
    }

    /// The next claim, and yes to it.
    pub(crate) async fn grant_next(&mut self) -> Heard {
        let claim = self.hear_act(Act::Claim).await;
        self.grant(&claim, None).await;
        claim
    }

    pub(crate) async fn grant(&self, claim: &Heard, lease_until: Option<&str>) {
        let task_version = claim.report.task_version.map(|version| version + 1);
        self.answer(claim, Answer::Granted, task_version, lease_until).await;
    }

    pub(crate) async fn refuse(&self, heard: &Heard) {
        self.answer(heard, Answer::Refused, None, None).await;
    }

    async fn answer(&self, heard: &Heard, answer: Answer, task_version: Option<u32>, lease_until: Option<&str>) {
        let report = &heard.report;
        let reply = ClaimReply {
            report_id: report.report_id.clone(),
            task_id: report.task_id.clone(),
            answer,
            task_version,
            lease_until: lease_until.map(str::to_owned),
            reason: (answer == Answer::Refused).then(|| "as the test asked".into()),
        };
        let id = format!("reply to {}", report.report_id);
        let event =
            CloudEvent::new(CLAIM_REPLY, id.clone(), "urn:fhir-workflow-hub", &report.task_id, NOW.into(), reply);
        let message = Message::json(id, Routing::Reply, serde_json::to_vec(&event).unwrap());
        self.transport.reply(heard.message.reply_to.as_deref().unwrap(), &message).await.unwrap();
    }

    /// Whoever works here takes the next of these places, and does nothing with it.
    pub(crate) async fn takes_back(&self, place: Place) -> Delivery {
        let mut orders = self.transport.consume(Source::Work { places: vec![place] }, 1).await.unwrap();
        timeout(PATIENCE, orders.next()).await.expect("a work order").unwrap()
    }

    pub(crate) async fn parked(&self) -> Delivery {
        let mut parked = self.transport.consume(Source::Parked, 1).await.unwrap();
        timeout(PATIENCE, parked.next()).await.expect("something parked").unwrap()
    }

    /// How many work orders wait on the queues.
    pub(crate) async fn waiting(&self) -> u64 {
        let depths = self.transport.depths().await.unwrap();
        depths.iter().filter(|depth| depth.queue.starts_with("work.")).map(|depth| depth.ready).sum()
    }
}

pub(crate) fn order(task_id: &str, task_version: u32, priority: &str) -> WorkOrder {
    WorkOrder {
        task_id: task_id.into(),
        task_version,
        task_status: "requested".into(),
        work: "laboratory".into(),
        step: "collect".into(),
        priority: priority.into(),
        owner: None,
        focus: None,
        payload: Payload::IdOnly,
        task: None,
        resources: Vec::new(),
    }
}
