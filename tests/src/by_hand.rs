//! A worker that does what a story tells it to, step by step, with nothing but the messages.

use std::sync::Arc;
use std::time::Duration;

use hub_transport::{Consumer, Delivery, Message, Place, Routing, Source, Transport};
use schemas::message::{
    Act, Answer, CLAIM_REPLY, CONTENT_TYPE, ClaimReply, CloudEvent, STATUS_REPORT, StatusReport, WORK_ORDER, WorkOrder,
};
use schemas::resource::list;
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(20);
const PREFETCH: u16 = 16;

pub struct ByHand {
    transport: Arc<dyn Transport>,
    orders: Box<dyn Consumer>,
    replies: Box<dyn Consumer>,
    pub performer: String,
    traceparent: Option<String>,
}

/// A work order in the hand of a worker, not acknowledged.
pub struct Job {
    pub order: WorkOrder,
    /// The event around it, as it travelled.
    pub event: Value,
    delivery: Delivery,
}

impl Job {
    pub fn task(&self) -> String {
        format!("Task/{}", self.order.task_id)
    }

    /// It will not come again.
    pub async fn acknowledged(self) -> WorkOrder {
        self.delivery.done().await;
        self.order
    }
}

impl ByHand {
    pub(crate) async fn at(transport: Arc<dyn Transport>, work: &str, performer: &str) -> Self {
        Self::of(transport, vec![Place::open(work).unwrap()], performer).await
    }

    /// One that takes the work of these places.
    pub async fn of(transport: Arc<dyn Transport>, places: Vec<Place>, performer: &str) -> Self {
        let orders = transport.consume(Source::Work { places }, PREFETCH).await.unwrap();
        let replies = transport.consume(Source::Replies, PREFETCH).await.unwrap();
        Self { transport, orders, replies, performer: performer.to_owned(), traceparent: None }
    }

    /// Its reports belong to this trace from here on.
    pub fn carries(&mut self, traceparent: &str) {
        self.traceparent = Some(traceparent.to_owned());
    }

    /// The next work order.
    pub async fn takes(&mut self) -> Job {
        let delivery = timeout(PATIENCE, self.orders.next()).await.expect("a work order comes").unwrap();
        let event: Value = serde_json::from_slice(&delivery.message.body).unwrap();
        let order: CloudEvent<WorkOrder> = serde_json::from_value(event.clone()).unwrap();
        assert_eq!((order.kind.as_str(), delivery.message.content_type.as_str()), (WORK_ORDER, CONTENT_TYPE));
        assert_eq!(order.subject, format!("Task/{}", order.data.task_id));
        Job { order: order.data, event, delivery }
    }

    /// Takes the next work order, forgets it, and tells its Task.
    pub async fn takes_task(&mut self) -> String {
        let job = self.takes().await;
        let task = job.task();
        job.acknowledged().await;
        task
    }

    /// Takes the next work order, claims it, acknowledges it: from here on the Task is this worker's.
    pub async fn claims_next(&mut self) -> WorkOrder {
        let job = self.takes().await;
        let reply = self.claims(&job.order).await;
        assert_eq!(reply.answer, Answer::Granted, "{reply:?}");
        job.acknowledged().await
    }

    pub async fn claims(&mut self, order: &WorkOrder) -> ClaimReply {
        self.reports(Report::new(order, Act::Claim, 1)).await
    }

    /// Reports, and waits for the hub to say what it made of it.
    pub async fn reports(&mut self, report: Report) -> ClaimReply {
        let id = self.sends(report).await;
        self.hears(&id).await
    }

    /// Puts a report into the queue. Its id is returned.
    pub async fn sends(&mut self, report: Report) -> String {
        let mut data = report.data;
        if data.performer.is_empty() {
            data.performer.clone_from(&self.performer);
        }
        let id = data.report_id.clone();
        let task = data.task_id.clone();
        let mut event = CloudEvent::new(STATUS_REPORT, id.clone(), "urn:story", &task, String::new(), data);
        event.traceparent.clone_from(&self.traceparent);
        self.posts(&id, serde_json::to_vec(&event).unwrap()).await;
        id
    }

    /// Puts any bytes into the reports queue.
    pub async fn posts(&mut self, id: &str, body: Vec<u8>) {
        let mut message = Message::json(id, Routing::Reports, body);
        message.content_type = CONTENT_TYPE.to_owned();
        message.reply_to = self.replies.reply_address().map(str::to_owned);
        let results = self.transport.publish(&[message]).await;
        assert_eq!(results, [Ok(())]);
    }

    /// The answer to this report. Answers to others that come before it are passed over.
    pub async fn hears(&mut self, report_id: &str) -> ClaimReply {
        loop {
            let delivery = timeout(PATIENCE, self.replies.next()).await.expect("an answer comes").unwrap();
            let event: CloudEvent<ClaimReply> = serde_json::from_slice(&delivery.message.body).unwrap();
            assert_eq!(event.kind, CLAIM_REPLY);
            delivery.done().await;
            if event.data.report_id == report_id {
                return event.data;
            }
        }
    }

    /// From the claim to the end, without a word more than is needed.
    pub async fn fulfils_next(&mut self) -> WorkOrder {
        let order = self.claims_next().await;
        self.ends(&order).await;
        order
    }

    /// Begins what was granted, and completes it.
    pub async fn ends(&mut self, order: &WorkOrder) {
        for (sequence, act) in [(2, Act::InProgress), (3, Act::Completed)] {
            let reply = self.reports(Report::new(order, act, sequence)).await;
            assert_eq!(reply.answer, Answer::Granted, "{reply:?}");
        }
    }
}

/// What a worker says of a Task.
#[derive(Debug, Clone)]
pub struct Report {
    data: StatusReport,
}

impl Report {
    pub fn new(order: &WorkOrder, act: Act, sequence: u32) -> Self {
        let data = StatusReport {
            report_id: Uuid::new_v4().to_string(),
            task_id: order.task_id.clone(),
            sequence,
            performer: String::new(),
            act,
            task_version: Some(order.task_version),
            business_status: None,
            status_reason: None,
            output: Vec::new(),
            quiet: false,
        };
        Self { data }
    }

    pub fn of_task(mut self, id: &str) -> Self {
        id.clone_into(&mut self.data.task_id);
        self
    }

    pub fn by(mut self, performer: &str) -> Self {
        performer.clone_into(&mut self.data.performer);
        self
    }

    pub fn because(mut self, text: &str) -> Self {
        self.data.status_reason = json!({ "text": text }).as_object().cloned();
        self
    }

    /// What has become of each item of a prescription, by the service's codes.
    pub fn of_items(mut self, order: &WorkOrder, codes: &[&str]) -> Self {
        let output = |(code, request): (&&str, &Value)| {
            let system = "https://fhir.nhs.uk/CodeSystem/medicationdispense-type";
            let coding = json!([{ "system": system, "code": code }]);
            json!({ "type": { "coding": coding }, "valueReference": request }).as_object().cloned()
        };
        let items = order.task.iter().flat_map(|task| list(task, "basedOn"));
        self.data.output.extend(codes.iter().zip(items).filter_map(output));
        self
    }

    /// What came of it, as a code of our own.
    pub fn outcome(mut self, code: &str) -> Self {
        let coding = json!([{ "system": "urn:fhir-workflow-hub:business-status", "code": code }]);
        let output = json!({ "type": { "text": "Outcome" }, "valueCodeableConcept": { "coding": coding } });
        self.data.output.extend(output.as_object().cloned());
        self
    }

    pub fn output(mut self, name: &str, value: &str) -> Self {
        let output = json!({ "type": { "text": name }, "valueString": value });
        self.data.output.extend(output.as_object().cloned());
        self
    }
}
