//! The rows of a batch that holds: one statement a table, its rows as arrays.

use hub_domain::decision::{HeadWrite, OutgoingId};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::commit::run_texts;
use crate::changes::Changes;
use crate::errors::Failure;
use crate::rows::method_number;

const NEW_HEADS: &str = "-- insert_heads
    INSERT INTO head (root, version, last, run)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[]) AS n (root, version, last, run)
     ORDER BY root
    ON CONFLICT DO NOTHING RETURNING root";
const HEADS: &str = "-- commit_heads
    UPDATE head SET version = n.version, last = n.last, run = n.run
      FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[]) AS n (root, version, last, run)
     WHERE head.root = n.root";
const NO_HEADS: &str = "-- withdraw_heads\nDELETE FROM head WHERE root = ANY ($1)";
const PLANS: &str = "-- commit_plans
    INSERT INTO plan (hash, body) SELECT * FROM unnest($1::text[], $2::text[]) AS n (hash, body) ORDER BY hash
    ON CONFLICT DO NOTHING";
const VERSIONS: &str = "-- commit_versions
    INSERT INTO version (kind, id, version, root, method, updated, body)
    SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::uuid[], $5::smallint[], $6::bigint[], $7::bytea[])";
const TIMERS: &str = "-- commit_timers
    INSERT INTO timer (root, name, due, leased_until)
    SELECT root, name, due, $4 FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS n (root, name, due)
    ON CONFLICT (root, name) DO UPDATE SET due = excluded.due, leased_until = excluded.leased_until";
const TIMERS_GONE: &str = "-- delete_timers
    DELETE FROM timer AS t USING unnest($1::uuid[], $2::text[]) AS n (root, name)
     WHERE t.root = n.root AND t.name = n.name";
/// Its numbers rise in the order of the rows.
const OUTBOX: &str = "-- commit_outbox
    INSERT INTO outbox (task, version, work, step, owner, priority, traceparent, since, leased_until)
    SELECT n.task, n.version, n.work, n.step, n.owner, n.priority, n.traceparent, c.now + $8, c.now + $8 + $9
      FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::text[])
           WITH ORDINALITY AS n (task, version, work, step, owner, priority, traceparent, place)
     CROSS JOIN (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS c
     ORDER BY place
    RETURNING id";

/// Inserts heads that nobody has yet; which ones they were.
pub(super) async fn new_heads<'a>(
    connection: &mut PgConnection,
    heads: impl Iterator<Item = &'a &'a HeadWrite>,
) -> Result<Vec<Uuid>, Failure> {
    let heads: Vec<&HeadWrite> = heads.copied().collect();
    let (roots, versions, lasts) = columns(&heads);
    let query = sqlx::query_scalar(NEW_HEADS).bind(roots).bind(versions).bind(lasts).bind(run_texts(&heads)?);
    Ok(query.fetch_all(connection).await?)
}

pub(super) async fn heads(connection: &mut PgConnection, heads: &[&HeadWrite]) -> Result<(), Failure> {
    if heads.is_empty() {
        return Ok(());
    }
    let (roots, versions, lasts) = columns(heads);
    let query = sqlx::query(HEADS).bind(roots).bind(versions).bind(lasts).bind(run_texts(heads)?);
    query.execute(connection).await?;
    Ok(())
}

fn columns(heads: &[&HeadWrite]) -> (Vec<Uuid>, Vec<i64>, Vec<i64>) {
    let roots = heads.iter().map(|write| write.root).collect();
    let versions = heads.iter().map(|write| write.head.version as i64).collect();
    (roots, versions, heads.iter().map(|write| write.head.last.0).collect())
}

pub(super) async fn no_heads(connection: &mut PgConnection, roots: Vec<Uuid>) -> Result<(), Failure> {
    if !roots.is_empty() {
        sqlx::query(NO_HEADS).bind(roots).execute(connection).await?;
    }
    Ok(())
}

pub(super) async fn plans(connection: &mut PgConnection, changes: &Changes<'_, '_>) -> Result<(), Failure> {
    if !changes.plans.is_empty() {
        let (hashes, texts): (Vec<&str>, Vec<&str>) = changes.plans.iter().map(|(hash, text)| (*hash, *text)).unzip();
        sqlx::query(PLANS).bind(hashes).bind(texts).execute(connection).await?;
    }
    Ok(())
}

pub(super) async fn versions(connection: &mut PgConnection, changes: &Changes<'_, '_>) -> Result<(), Failure> {
    let rows = &changes.versions;
    if rows.is_empty() {
        return Ok(());
    }
    let kinds: Vec<&str> = rows.iter().map(|row| row.key().kind.name()).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row.key().id.as_str()).collect();
    let versions: Vec<i32> = rows.iter().map(|row| row.version() as i32).collect();
    let roots: Vec<Uuid> = rows.iter().map(|row| row.write.root).collect();
    let methods: Vec<i16> = rows.iter().map(|row| method_number(row.write.method)).collect();
    let updated: Vec<i64> = rows.iter().map(|row| row.write.resource.last_updated.0).collect();
    let bodies: Vec<&[u8]> = rows.iter().map(|row| row.body.as_slice()).collect();
    let query = sqlx::query(VERSIONS).bind(kinds).bind(ids).bind(versions).bind(roots);
    query.bind(methods).bind(updated).bind(bodies).execute(connection).await?;
    Ok(())
}

pub(super) async fn timers(connection: &mut PgConnection, changes: &Changes<'_, '_>) -> Result<(), Failure> {
    let (set, gone) = changes.timers();
    if !gone.is_empty() {
        let roots: Vec<Uuid> = gone.iter().map(|id| id.root).collect();
        let names: Vec<&str> = gone.iter().map(|id| id.name.as_str()).collect();
        sqlx::query(TIMERS_GONE).bind(roots).bind(names).execute(&mut *connection).await?;
    }
    if !set.is_empty() {
        let roots: Vec<Uuid> = set.iter().map(|(id, _)| id.root).collect();
        let names: Vec<&str> = set.iter().map(|(id, _)| id.name.as_str()).collect();
        let dues: Vec<i64> = set.iter().map(|(_, due)| due.0).collect();
        sqlx::query(TIMERS).bind(roots).bind(names).bind(dues).bind(i64::MIN).execute(connection).await?;
    }
    Ok(())
}

pub(super) async fn outbox(
    connection: &mut PgConnection,
    changes: &Changes<'_, '_>,
    offset_us: i64,
    lease_us: i64,
) -> Result<Vec<OutgoingId>, Failure> {
    let messages = &changes.messages;
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let tasks: Vec<&str> = messages.iter().map(|message| message.task.id.as_str()).collect();
    let versions: Vec<i32> = messages.iter().map(|message| message.version as i32).collect();
    let work: Vec<&str> = messages.iter().map(|message| message.work.as_str()).collect();
    let steps: Vec<&str> = messages.iter().map(|message| message.step.as_str()).collect();
    let owners: Vec<Option<&str>> = messages.iter().map(|message| message.owner.as_deref()).collect();
    let priorities: Vec<i16> = messages.iter().map(|message| message.priority.rank()).collect();
    let traces: Vec<Option<&str>> = messages.iter().map(|message| message.traceparent.as_deref()).collect();
    let query = sqlx::query_scalar(OUTBOX).bind(tasks).bind(versions).bind(work).bind(steps).bind(owners);
    let query = query.bind(priorities).bind(traces).bind(offset_us).bind(lease_us);
    let mut ids: Vec<i64> = query.fetch_all(connection).await?;
    ids.sort_unstable();
    Ok(ids.into_iter().map(OutgoingId).collect())
}
