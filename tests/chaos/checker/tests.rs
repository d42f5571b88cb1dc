//! A healthy database is judged clean; then it is damaged in one way after the other, each in a transaction that is
//! rolled back, and each damage must be found under its own heading.

mod bookings;
mod prescriptions;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tests::bodies::{With, laboratory, prescription, referral};
use tests::{Hub, Order, Parts, World, eventually, tell};

use super::verdict::Fault::{self, *};
use super::{is_settled, judge, judge_database, plan, queues};
use crate::diary::Entry;

const SERVICE: &str = "Organization/service";

/// Statements, in which `LAB`, `REF` and `OFF` stand for the roots of three orders: one fulfilled by workers, one whose
/// first step was claimed over REST, and one that was revoked.
const DAMAGES: [(Fault, &str); 21] = [
    (Lost, "DELETE FROM version WHERE id = 'LAB.3'"),
    (Lost, "DELETE FROM version WHERE id = 'LAB.0'"),
    (Lost, "DELETE FROM version WHERE id = 'LAB'"),
    (Lost, "DELETE FROM head WHERE root = 'LAB'"),
    (Lost, "DELETE FROM plan"),
    (
        Doubled,
        "INSERT INTO version (kind, id, version, root, method, updated, body)
        SELECT kind, 'another', version, root, method, updated, body FROM version WHERE id = 'LAB'",
    ),
    (Doubled, "INSERT INTO head SELECT gen_random_uuid(), version, last, run FROM head WHERE root = 'LAB'"),
    (
        DoneTwice,
        "INSERT INTO version (kind, id, version, root, method, updated, body)
        SELECT kind, 'LAB.4.2', version, root, method, updated, body FROM version WHERE id = 'LAB.4'",
    ),
    (Damaged, "UPDATE version SET body = 'x' WHERE id = 'LAB.2' AND version = 2"),
    (Disordered, "DELETE FROM version WHERE id = 'LAB.2' AND version = 2"),
    (Disordered, "UPDATE version SET updated = updated - 100000000 WHERE id = 'LAB.2' AND version = 3"),
    (TooEarly, "UPDATE version SET updated = updated - 1 WHERE id = 'LAB.3' AND version = 2"),
    (
        Unsent,
        "INSERT INTO outbox (task, version, work, step, priority, since, leased_until)
        VALUES ('LAB.2', 1, 'laboratory', 'collect', 3, 0, 0)",
    ),
    (NotParked, "DELETE FROM parked"),
    (Parked, "UPDATE parked SET message_id = 'good'"),
    (Timer, "INSERT INTO timer VALUES ('LAB', 'lease.2.1', 9000000000000000000, 0)"),
    (NoReceipt, "DELETE FROM receipt WHERE key LIKE '% key-lab'"),
    (NotCurrent, "DELETE FROM task WHERE id = 'LAB.2'"),
    (NotCurrent, "UPDATE task SET owner = 'Organization/other' WHERE id = 'LAB.2'"),
    (NotCurrent, "UPDATE resource SET version = version + 1 WHERE id = 'LAB'"),
    (NotCurrent, "DELETE FROM version WHERE id = 'LAB.2'"),
];

/// A Task, which of its versions (0 is the newest), and what is written into its body.
const REWRITTEN: [(Fault, &str, i32, &str, &str); 11] = [
    (Illegal, "LAB.2", 2, "status", r#""on-hold""#),
    (Illegal, "LAB.0", 2, "status", r#""completed""#),
    (Illegal, "LAB.2", 1, "status", r#""accepted""#),
    (Open, "LAB.4", 0, "status", r#""in-progress""#),
    (Unfit, "LAB.4", 0, "status", r#""failed""#),
    (Unfit, "LAB.0", 0, "status", r#""failed""#),
    (Unfit, "LAB.0", 0, "status", r#""cancelled""#),
    (Unfit, "OFF.0", 0, "status", r#""completed""#),
    (Unfit, "LAB", 0, "status", r#""active""#),
    (DoneTwice, "LAB.4", 0, "output", r#"[{"type":{"text":"a"}},{"type":{"text":"a"}}]"#),
    (Broken, "REF.2", 0, "owner", r#"{"reference":"Organization/other"}"#),
];

#[test]
fn every_damage_is_found_under_its_own_heading() {
    tell(Parts::POSTGRES_EMBEDDED, |world| async move {
        let hub = world.hub().await;
        let life = Life::of(&hub).await;
        eventually("all is settled", async || is_settled(&world.database).await.unwrap().is_still().then_some(()))
            .await;
        hub.closes().await;
        let healthy = judge(&world.database, &world.queue, &life.diary).await.unwrap();
        assert!(healthy.is_clean(), "{}", healthy.table());

        let mut database = PgConnection::connect(&world.database).await.unwrap();
        for (fault, statement) in DAMAGES {
            life.damaged(&mut database, fault, &[life.named(statement)]).await;
        }
        for (fault, task, version, element, value) in REWRITTEN {
            let written = life.rewritten(&mut database, task, version, element, value).await;
            life.damaged(&mut database, fault, &[written]).await;
        }
        let late = life.named("UPDATE version SET updated = updated + 1000000 WHERE id = 'OFF.2' AND version = 2");
        let taken = life.rewritten(&mut database, "OFF.2", 2, "status", r#""accepted""#).await;
        life.damaged(&mut database, WentOn, &[late, taken]).await;
        life.other_diaries(&mut database).await;
        database.close().await.unwrap();
    });
}

#[test]
fn what_is_left_in_a_queue_is_found() {
    tell(Parts::POSTGRES_RABBITMQ, |world: World| async move {
        let hub = world.hub().await;
        hub.submits(referral()).await;
        let mut database = PgConnection::connect(&world.database).await.unwrap();
        let works = plan::works(&mut database).await.unwrap();
        database.close().await.unwrap();
        let look = async || {
            let mut verdict = super::Verdict::default();
            queues::look(&world.queue, &works, &mut verdict).await.unwrap();
            (verdict.faults() == [Queued]).then_some(())
        };
        eventually("a message waits for a worker", look).await;
        hub.closes().await;
    });
}

/// What happened at a hub, and what its clients wrote down.
struct Life {
    diary: Vec<Entry>,
    /// Names in statements, and the ids they stand for.
    names: Vec<(&'static str, String)>,
}

impl Life {
    async fn of(hub: &Hub) -> Self {
        let mut diary = Vec::new();
        let off = submitted(hub, "off", "ServiceRequest", referral().with(identified("off")), &mut diary).await;
        withdrawn(hub, &off, &mut diary).await;
        let by_rest = submitted(hub, "ref", "ServiceRequest", referral().with(identified("ref")), &mut diary).await;
        served(hub, &by_rest.step(2), &mut diary).await;

        let half = submitted(hub, "half", "Bundle", items("half"), &mut diary).await;
        withdrawn(hub, &half, &mut diary).await;

        hub.has_fillers().await;
        let lab = submitted(hub, "lab", "ServiceRequest", laboratory().with(identified("lab")), &mut diary).await;
        submitted(hub, "items", "Bundle", items("items"), &mut diary).await;
        hub.worker("general", SERVICE).await.posts("poison", b"no JSON at all".to_vec()).await;
        hub.finds_parked().await;
        diary.push(Entry::Poisoned { message_id: "poison".to_owned(), queue: "reports".to_owned() });
        Self { diary, names: vec![("LAB", root(&lab)), ("REF", root(&by_rest)), ("OFF", root(&off))] }
    }

    fn named(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, root)| text.replace(name, root))
    }

    /// The statement that writes this into a body.
    async fn rewritten(
        &self,
        database: &mut PgConnection,
        task: &str,
        version: i32,
        element: &str,
        to: &str,
    ) -> String {
        let id = self.named(task);
        let find =
            "SELECT version, body FROM version WHERE id = $1 AND version IN ($2, (SELECT max(version) FROM version
            WHERE id = $1 AND $2 = 0))";
        let (version, stored): (i32, Vec<u8>) =
            sqlx::query_as(find).bind(&id).bind(version).fetch_one(database).await.unwrap();
        let text = lz4_flex::block::decompress_size_prepended(&stored).unwrap();
        let mut body: Value = serde_json::from_slice(&text).unwrap();
        body[element] = serde_json::from_str(to).unwrap();
        let stored = lz4_flex::block::compress_prepend_size(body.to_string().as_bytes());
        let hex: String = stored.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("UPDATE version SET body = '\\x{hex}' WHERE id = '{id}' AND version = {version}")
    }

    async fn damaged(&self, database: &mut PgConnection, fault: Fault, statements: &[String]) {
        let mut transaction = database.begin().await.unwrap();
        for statement in statements {
            let done = transaction.execute(AssertSqlSafe(statement.clone())).await.unwrap();
            assert!(done.rows_affected() > 0, "{statement}");
        }
        let verdict = judge_database(&mut transaction, &self.diary).await.unwrap();
        transaction.rollback().await.unwrap();
        assert!(verdict.faults().contains(&fault), "{statements:?} is not {fault:?}:\n{}", verdict.table());
    }

    /// The same database, with clients who were told something else.
    async fn other_diaries(&self, database: &mut PgConnection) {
        let claimed = self.diary.iter().find(|entry| matches!(entry, Entry::Claimed { .. })).unwrap().clone();
        let moved = Entry::Moved {
            task: self.named("Task/REF.2"),
            performer: SERVICE.to_owned(),
            to: "failed".to_owned(),
            raced: false,
            answers: vec![200],
            done: true,
        };
        let cancelled = Entry::Cancelled { request: self.named("ServiceRequest/LAB"), answers: vec![200], done: true };
        let mut refused = claimed.clone();
        if let Entry::Claimed { answers, won, .. } = &mut refused {
            (*answers, *won) = (vec![0, 412], false);
        }
        let mut denied = self.diary.clone();
        for entry in &mut denied {
            if let Entry::Cancelled { answers, done, .. } = entry {
                (*answers, *done) = (vec![422], false);
            }
        }
        let without = |left_out: &Entry| self.diary.iter().filter(|entry| *entry != left_out).cloned().collect();
        let with = |more: Entry| [self.diary.clone(), vec![more]].concat();
        let answered = |answer: (u16, &str)| {
            let mut diary = self.diary.clone();
            if let Some(Entry::Submitted { answers, .. }) = diary.first_mut() {
                answers.push((answer.0, answer.1.to_owned(), String::new()));
            }
            diary
        };
        let unclaimed: Vec<Entry> = without(&claimed);
        for (fault, diary) in [
            (DoneTwice, with(claimed)),
            (Broken, with(moved)),
            (Broken, with(cancelled)),
            (Broken, denied),
            (Broken, [unclaimed, vec![refused]].concat()),
            (Unasked, without(&self.diary[0])),
            (Doubled, answered((201, "ServiceRequest/another"))),
            (Refused, answered((422, ""))),
        ] {
            let verdict = judge_database(database, &diary).await.unwrap();
            assert_eq!(verdict.faults(), [fault], "{}", verdict.table());
        }
    }
}

fn identified(name: &str) -> Value {
    json!({ "identifier": [{ "system": "urn:chaos", "value": format!("chaos-{name}") }] })
}

/// A prescription that is known by its first item.
fn items(name: &str) -> Value {
    let mut bundle = prescription();
    bundle["entry"][2]["resource"]["identifier"] = identified(name)["identifier"].take();
    bundle
}

/// Revokes its first request, or its only one.
async fn withdrawn(hub: &Hub, order: &Order, diary: &mut Vec<Entry>) {
    let request = order.request().to_owned();
    // A MedicationRequest has a word of its own for it.
    let status = if request.starts_with("MedicationRequest/") { "cancelled" } else { "revoked" };
    hub.sets(&request, "status", status).await.is(200);
    diary.push(Entry::Cancelled { request, answers: vec![200], done: true });
}

fn root(order: &Order) -> String {
    order.fulfilment.trim_start_matches("Task/").trim_end_matches(".0").to_owned()
}

/// Submits it twice, with one key.
async fn submitted(hub: &Hub, name: &str, kind: &str, body: Value, diary: &mut Vec<Entry>) -> Order {
    let (key, path) = (format!("key-{name}"), if kind == "Bundle" { "" } else { kind });
    let mut answers = Vec::new();
    let mut order = None;
    for _ in 0..2 {
        let reply = hub.post(path, &body).header("idempotency-key", &key).await;
        assert!(matches!(reply.status, 200 | 201), "{reply:?}");
        let location = reply.header("location").strip_prefix(&hub.base).unwrap_or_default().to_owned();
        let digest = reply.text.clone();
        answers.push((reply.status, location, digest));
        order = Some(hub.order_of(&reply));
    }
    let order = order.unwrap();
    diary.push(Entry::Submitted {
        key,
        identifier: format!("chaos-{name}"),
        kind: kind.to_owned(),
        tries: 2,
        answers,
        request: order.request().to_owned(),
        fulfilment: order.fulfilment.clone(),
    });
    order
}

/// Claims a Task over REST, and does it.
async fn served(hub: &Hub, task: &str, diary: &mut Vec<Entry>) {
    let (task, performer) = (task.to_owned(), SERVICE.to_owned());
    hub.takes(&task, SERVICE).await.is(200);
    let (answers, won) = (vec![0, 200], true);
    let (for_task, by) = (task.clone(), performer.clone());
    diary.push(Entry::Claimed { task: for_task, performer: by, version_before: 1, tries: 2, answers, won });
    for to in ["in-progress", "completed"] {
        hub.sets(&task, "status", to).await.is(200);
        let (task, performer, to) = (task.clone(), performer.clone(), to.to_owned());
        diary.push(Entry::Moved { task, performer, to, raced: false, answers: vec![200], done: true });
    }
}
