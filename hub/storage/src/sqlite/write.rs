//! The rows of a batch that holds.

use hub_domain::decision::OutgoingId;
use hub_domain::registry::Trouble;
use sqlx::sqlite::SqliteConnection;

use super::insert::Insert;
use super::numbers::Numbers;
use crate::changes::{Changes, run_text};
use crate::errors::Failure;
use crate::load::PlanCache;
use crate::rows::method_number;
use crate::values;

pub(super) async fn heads(connection: &mut SqliteConnection, changes: &Changes<'_, '_>) -> Result<(), Failure> {
    const HEADS: Insert = Insert {
        name: "commit_heads",
        insert: "INSERT OR FAIL INTO head (root, version, last, run)",
        columns: 4,
        tail: "ON CONFLICT (root) DO UPDATE SET version = excluded.version, last = excluded.last, run = excluded.run",
    };
    let with_run = |write| Ok((write, run_text(write)?));
    let rows = changes.heads.values().map(|fate| fate.last).map(with_run).collect::<Result<Vec<_>, Trouble>>()?;
    let bind = HEADS.rows(connection, &rows, |query, (write, run)| {
        query.bind(write.root).bind(write.head.version as i64).bind(write.head.last.0).bind(run.clone())
    });
    bind.await?;
    Ok(())
}

pub(super) async fn keys(
    connection: &mut SqliteConnection,
    changes: &Changes<'_, '_>,
    now_us: i64,
) -> Result<(), Failure> {
    const RECEIPTS: Insert = Insert {
        name: "commit_receipts",
        insert: "INSERT OR FAIL INTO receipt (key, fingerprint, answer, at)",
        columns: 4,
        tail: "",
    };
    const CLAIMS: Insert = Insert {
        name: "commit_claims",
        insert: "INSERT OR IGNORE INTO claim (kind, system, value, holder)",
        columns: 4,
        tail: "",
    };
    let receipts: Vec<_> = changes.receipts.values().collect();
    let receipts = RECEIPTS.rows(connection, &receipts, |query, receipt| {
        let key = values::key(&receipt.key).map(|key| key.into_owned());
        query.bind(key).bind(receipt.fingerprint.clone()).bind(receipt.answer.clone()).bind(now_us)
    });
    receipts.await?;
    let claims: Vec<_> = changes.claims.iter().collect();
    let claims = CLAIMS.rows(connection, &claims, |query, (identifier, holder)| {
        let key = |text| values::key(text).map(|key| key.into_owned());
        let query = query.bind(identifier.kind.name()).bind(key(&identifier.system));
        query.bind(key(&identifier.value)).bind(holder.to_string())
    });
    claims.await?;
    Ok(())
}

pub(super) async fn plans(
    connection: &mut SqliteConnection,
    changes: &Changes<'_, '_>,
    known: &PlanCache,
) -> Result<(), Failure> {
    const PLANS: Insert =
        Insert { name: "commit_plans", insert: "INSERT OR IGNORE INTO plan (hash, body)", columns: 2, tail: "" };
    let plans: Vec<_> = changes.new_plans(known).collect();
    PLANS.rows(connection, &plans, |query, (hash, text)| query.bind(hash.to_string()).bind(text.to_string())).await?;
    Ok(())
}

pub(super) async fn versions(connection: &mut SqliteConnection, changes: &Changes<'_, '_>) -> Result<(), Failure> {
    const VERSIONS: Insert = Insert {
        name: "commit_versions",
        insert: "INSERT OR FAIL INTO version (kind, id, version, root, method, updated, body)",
        columns: 7,
        tail: "",
    };
    let insert = VERSIONS.rows(connection, &changes.versions, |query, row| {
        let key = row.key();
        let query = query.bind(key.kind.name()).bind(key.id.clone()).bind(row.version()).bind(row.write.root);
        query.bind(method_number(row.write.method)).bind(row.write.resource.last_updated.0).bind(row.body.clone())
    });
    insert.await?;
    Ok(())
}

pub(super) async fn timers(connection: &mut SqliteConnection, changes: &Changes<'_, '_>) -> Result<(), Failure> {
    const TIMERS: Insert = Insert {
        name: "commit_timers",
        insert: "INSERT OR FAIL INTO timer (root, name, due, leased_until)",
        columns: 4,
        tail: "ON CONFLICT (root, name) DO UPDATE SET due = excluded.due, leased_until = excluded.leased_until",
    };
    const GONE: &str = "-- delete_timer\nDELETE FROM timer WHERE root = $1 AND name = $2";
    let (set, gone) = changes.timers();
    for id in gone {
        sqlx::query(GONE).bind(id.root).bind(&id.name).execute(&mut *connection).await?;
    }
    let insert = TIMERS.rows(connection, &set, |query, (id, due)| {
        query.bind(id.root).bind(id.name.clone()).bind(due.0).bind(i64::MIN)
    });
    insert.await?;
    Ok(())
}

pub(super) async fn outbox(
    connection: &mut SqliteConnection,
    changes: &Changes<'_, '_>,
    numbers: &mut Numbers,
    now_us: i64,
    leased_until_us: i64,
) -> Result<Vec<OutgoingId>, Failure> {
    const OUTBOX: Insert = Insert {
        name: "commit_outbox",
        insert: "INSERT OR FAIL INTO outbox (id, task, version, work, step, owner, priority, traceparent, since,
                                             leased_until)",
        columns: 10,
        tail: "",
    };
    let rows = numbers.give("outbox", &changes.messages);
    let insert = OUTBOX.rows(connection, &rows, |query, (id, message)| {
        let query = query.bind(*id).bind(message.task.id.clone()).bind(message.version).bind(message.work.clone());
        let query = query.bind(message.step.clone()).bind(message.owner.clone()).bind(message.priority.rank());
        query.bind(message.traceparent.clone()).bind(now_us).bind(leased_until_us)
    });
    insert.await?;
    Ok(rows.into_iter().map(|(id, _)| OutgoingId(id)).collect())
}
