//! More comes in than can be done: it is refused early, what was accepted is kept, and what can go on goes on.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Method;
use schemas::time::Timestamp;
use serde_json::{Value, json};
use tests::bodies::{With, bundle, laboratory, medication_request, referral, task};
use tests::{Client, Parts, Program, Proxy, Reply, Wire, World, stories, tell, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

stories![
    a_body_for_which_there_is_no_room_is_refused_before_it_is_read,
    a_request_too_many_is_refused_at_once,
    a_queue_that_nobody_reads_is_seen_and_slows_no_other,
    all_on_offer_is_sent_once_more_when_an_operator_says_so,
];

/// A request whose sender takes its time.
struct Slow {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Slow {
    /// Asks whether to send, which is answered by whoever begins to read: then it is let in. Sends all but the last byte
    /// of a body, as long as it says or of unknown length.
    async fn begins(client: &Client, body: &Value, is_chunked: bool) -> Self {
        let address = client.base.split('/').nth(2).unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let (kind, body) = (body["resourceType"].as_str().unwrap(), body.to_string());
        let (length, whole) = if is_chunked {
            ("transfer-encoding: chunked".to_owned(), format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()))
        } else {
            (format!("content-length: {}", body.len()), body)
        };
        let head = format!(
            "POST /fhir/R4/{kind} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/fhir+json\r\n{length}\r\n\
             expect: 100-continue\r\nconnection: close\r\n\r\n",
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        let (begun, rest) = whole.as_bytes().split_at(whole.len() - 1);
        stream.write_all(begun).await.unwrap();
        Self { stream, rest: rest.to_vec() }
    }

    /// Sends the last byte; the answer's status.
    async fn ends(mut self) -> u16 {
        self.stream.write_all(&self.rest).await.unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

fn refused_for_now(reply: Reply, code: &str) {
    let reply = reply.refuses(503, code, "");
    assert_eq!(reply.body["resourceType"], "OperationOutcome");
    assert!(!reply.header("retry-after").is_empty());
}

async fn a_body_for_which_there_is_no_room_is_refused_before_it_is_read(world: World) {
    let limits = [("body_limit_bytes", "20000"), ("bodies_limit_bytes", "30000")];
    let hub = world.hub_with(&limits).await;
    let long = referral().with(json!({ "note": [{ "text": "x".repeat(15_000) }] }));
    let mut accepted = 0;
    let mut post = async || {
        let reply = hub.post("ServiceRequest", &long).await;
        accepted += usize::from(reply.status == 201);
        reply
    };
    // The one holds what it says it sends, the other as much as a body may have: it does not say.
    for is_chunked in [false, true] {
        let slow = Slow::begins(&hub, &long, is_chunked).await;
        refused_for_now(post().await, "throttled");
        hub.get("ServiceRequest").await.is(200);
        hub.submits(referral()).await;
        assert_eq!(slow.ends().await, 201, "what was let in is done");
        until("there is room again", &mut post, |reply| reply.status == 201).await;
    }
    let kept = hub.finds("ServiceRequest?_count=100").await;
    let long_ones = kept.iter().filter(|request| !request["note"].is_null()).count();
    assert_eq!(long_ones, accepted + 2, "what was answered 201, and nothing of what was refused");
    hub.closes().await;
}

async fn a_request_too_many_is_refused_at_once(world: World) {
    let hub = world.hub_with(&[("requests_limit", "2")]).await;
    let order = hub.submits(referral()).await;
    let slow = [Slow::begins(&hub, &laboratory(), false).await, Slow::begins(&hub, &laboratory(), false).await];
    refused_for_now(hub.get(order.request()).await, "throttled");
    hub.get("/health/ready").await.is(200);
    for one in slow {
        assert_eq!(one.ends().await, 201);
    }
    until("a place is free again", async || hub.get(order.request()).await, |reply| reply.status == 200).await;
    hub.closes().await;
}

async fn a_queue_that_nobody_reads_is_seen_and_slows_no_other(world: World) {
    const WAITING: usize = 150;
    let hub = world.hub().await;
    hub.post("", &bundle("batch", &vec![medication_request(); WAITING])).await.is(200);
    hub.has_filler("clinic", Duration::from_millis(1), workers::Options::default()).await;
    for order in [hub.submits(referral()).await, hub.submits(referral()).await] {
        order.is("completed").await;
    }
    // Other stories tell their figures in this process too: until ours are seen.
    let seen = |text: &String| {
        figure(text, "hub_queue_ready{queue=\"work.open.pharmacy.routine\"}") >= WAITING as f64
            && figure(text, "hub_oldest_offer_age_seconds{work=\"pharmacy\"}") > 0.0
            && figure(text, "hub_tasks{work=\"pharmacy\",status=\"requested\"}") >= WAITING as f64
    };
    until("what nobody takes is seen", async || hub.get("/metrics").await.is(200).text, seen).await;
    hub.closes().await;
}

fn figure(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}

async fn all_on_offer_is_sent_once_more_when_an_operator_says_so(world: World) {
    let hub = world.hub().await;
    let mut clinic = hub.worker("clinic", "Organization/clinic").await;
    hub.submits(referral()).await;
    let offered = clinic.takes_task().await;
    // The message was taken and forgotten: without help nobody hears of the Task again.
    let tell = async || hub.request(Method::POST, "/republish").await.is(200).body;
    until("the Task is told once more", tell, |told| *told == json!({ "tasks": 1 })).await;
    assert_eq!(clinic.fulfils_next().await.task_id, offered.trim_start_matches("Task/"));
    if Program::are_built() {
        let root = hub.base.trim_end_matches("/fhir/R4");
        let (code, said, errors) = Program::run("hub", &["republish", "--hub", root]).await;
        assert_eq!((code, errors.as_str()), (0, ""));
        assert!(said.contains("Tasks on offer are sent once more"), "{said}");
    }
    hub.closes().await;
}

/// The broker is away for long. The leases of what a hub left are over for a hub whose clock is an hour ahead.
#[test]
fn a_full_outbox_takes_no_new_orders_and_drains_the_most_urgent_first() {
    tell(Parts::SQLITE_RABBITMQ, a_full_outbox);
}

#[test]
fn a_full_outbox_on_postgres() {
    tell(Parts::POSTGRES_RABBITMQ, a_full_outbox);
}

fn address(url: &str) -> SocketAddr {
    url.split(['/', '@']).find_map(|part| part.parse().ok()).unwrap()
}

fn in_an_hour() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(3600);
    Timestamp(i64::try_from(now.as_micros()).unwrap()).to_string()
}

async fn a_full_outbox(mut world: World) {
    const LIMIT: (&str, &str) = ("outbox_limit_messages", "5");
    let wire = Proxy::to(address(&world.queue)).await.unwrap();
    world.queue = wire.through(&world.queue);
    wire.becomes(Wire::Cut);
    let hub = world.hub_with(&[LIMIT]).await;
    let urgency = ["urgent", "asap", "urgent", "asap", "stat"];
    let mut orders = Vec::new();
    for priority in urgency {
        let order = referral().with(json!({ "priority": priority }));
        // What is committed while the hub counts may count twice, until it has counted again.
        let reply =
            until("there is room", async || hub.post("ServiceRequest", &order).await, |reply| reply.status == 201);
        orders.push(hub.order_of(&reply.await));
    }
    refused_for_now(hub.post("ServiceRequest", &referral()).await, "transient");
    refused_for_now(hub.post("Task", &task()).await, "transient");
    hub.post("Patient", &json!({ "resourceType": "Patient" })).await.is(201);
    for order in &orders {
        hub.sets(order.request(), "note", json!([{ "text": "still wanted" }])).await.is(200);
    }
    assert_eq!(hub.finds("ServiceRequest").await.len(), urgency.len(), "what was refused is not here");
    hub.closes().await;

    let hub = world.hub_with(&[LIMIT, ("now", &in_an_hour())]).await;
    let post = async || hub.post("Task", &task()).await;
    refused_for_now(until("it counts what it found", post, |reply| reply.status == 503).await, "transient");
    wire.becomes(Wire::Whole);
    until("it has drained", post, |reply| reply.status == 201).await;
    let mut clinic = hub.worker("clinic", "Organization/clinic").await;
    // Each was offered anew when its request changed.
    let mut came = Vec::new();
    for _ in 0..2 * urgency.len() {
        came.push(clinic.takes().await.acknowledged().await.priority);
    }
    let wanted = ["stat", "asap", "asap", "urgent", "urgent"];
    assert_eq!(came, wanted.into_iter().flat_map(|priority| [priority; 2]).collect::<Vec<_>>());
    hub.closes().await;
}
