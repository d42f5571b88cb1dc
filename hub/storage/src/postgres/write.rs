//! The rows of a batch that holds: one part a table, its rows as arrays.

use hub_domain::decision::HeadWrite;
use uuid::Uuid;

use super::commit::run_texts;
use super::parts::{Parts, What};
use crate::changes::Changes;
use crate::errors::Failure;
use crate::rows::method_number;

const HEADS: &str = "
    UPDATE head SET version = n.version, last = n.last, run = n.run
      FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[]) AS n (root, version, last, run)
     WHERE head.root = n.root";
const NO_HEADS: &str = "DELETE FROM head WHERE root = ANY ($1)";
const PLANS: &str = "
    INSERT INTO plan (hash, body) SELECT * FROM unnest($1::text[], $2::text[]) AS n (hash, body) ORDER BY hash
    ON CONFLICT DO NOTHING";
const VERSIONS: &str = "
    INSERT INTO version (kind, id, version, root, method, updated, body)
    SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::uuid[], $5::smallint[], $6::bigint[], $7::bytea[])";
const TIMERS: &str = "
    INSERT INTO timer (root, name, due, leased_until)
    SELECT root, name, due, $4 FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS n (root, name, due)
    ON CONFLICT (root, name) DO UPDATE SET due = excluded.due, leased_until = excluded.leased_until";
const TIMERS_GONE: &str = "
    DELETE FROM timer AS t USING unnest($1::uuid[], $2::text[]) AS n (root, name)
     WHERE t.root = n.root AND t.name = n.name";
/// Its numbers rise in the order of the rows.
const OUTBOX: &str = "
    INSERT INTO outbox (task, version, work, step, owner, priority, traceparent, since, leased_until)
    SELECT n.task, n.version, n.work, n.step, n.owner, n.priority, n.traceparent, c.now + $8, c.now + $8 + $9
      FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::text[])
           WITH ORDINALITY AS n (task, version, work, step, owner, priority, traceparent, place)
     CROSS JOIN (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS c
     ORDER BY place
    RETURNING id";

pub(super) fn heads(parts: &mut Parts, heads: &[&HeadWrite]) -> Result<(), Failure> {
    if heads.is_empty() {
        return Ok(());
    }
    let (roots, versions, lasts) = columns(heads);
    parts.add("heads", HEADS).bind(roots)?.bind(versions)?.bind(lasts)?.bind(run_texts(heads)?)?.done();
    Ok(())
}

pub(super) fn columns(heads: &[&HeadWrite]) -> (Vec<Uuid>, Vec<i64>, Vec<i64>) {
    let roots = heads.iter().map(|write| write.root).collect();
    let versions = heads.iter().map(|write| write.head.version as i64).collect();
    (roots, versions, heads.iter().map(|write| write.head.last.0).collect())
}

pub(super) fn no_heads(parts: &mut Parts, roots: Vec<Uuid>) -> Result<(), Failure> {
    if !roots.is_empty() {
        parts.add("no_heads", NO_HEADS).bind(roots)?.done();
    }
    Ok(())
}

pub(super) fn plans(parts: &mut Parts, changes: &Changes<'_, '_>) -> Result<(), Failure> {
    if !changes.plans.is_empty() {
        let (hashes, texts): (Vec<&str>, Vec<&str>) = changes.plans.iter().map(|(hash, text)| (*hash, *text)).unzip();
        parts.add("plans", PLANS).bind(hashes)?.bind(texts)?.done();
    }
    Ok(())
}

pub(super) fn versions(parts: &mut Parts, changes: &Changes<'_, '_>) -> Result<(), Failure> {
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
    let part = parts.add("versions", VERSIONS).bind(kinds)?.bind(ids)?.bind(versions)?.bind(roots)?;
    part.bind(methods)?.bind(updated)?.bind(bodies)?.done();
    Ok(())
}

pub(super) fn timers(parts: &mut Parts, changes: &Changes<'_, '_>) -> Result<(), Failure> {
    let (set, gone) = changes.timers();
    if !gone.is_empty() {
        let roots: Vec<Uuid> = gone.iter().map(|id| id.root).collect();
        let names: Vec<&str> = gone.iter().map(|id| id.name.as_str()).collect();
        parts.add("timers_gone", TIMERS_GONE).bind(roots)?.bind(names)?.done();
    }
    if !set.is_empty() {
        let roots: Vec<Uuid> = set.iter().map(|(id, _)| id.root).collect();
        let names: Vec<&str> = set.iter().map(|(id, _)| id.name.as_str()).collect();
        let dues: Vec<i64> = set.iter().map(|(_, due)| due.0).collect();
        parts.add("timers", TIMERS).bind(roots)?.bind(names)?.bind(dues)?.bind(i64::MIN)?.done();
    }
    Ok(())
}

pub(super) fn outbox(
    parts: &mut Parts,
    changes: &Changes<'_, '_>,
    offset_us: i64,
    lease_us: i64,
) -> Result<(), Failure> {
    let messages = &changes.messages;
    if messages.is_empty() {
        return Ok(());
    }
    let tasks: Vec<&str> = messages.iter().map(|message| message.task.id.as_str()).collect();
    let versions: Vec<i32> = messages.iter().map(|message| message.version as i32).collect();
    let work: Vec<&str> = messages.iter().map(|message| message.work.as_str()).collect();
    let steps: Vec<&str> = messages.iter().map(|message| message.step.as_str()).collect();
    let owners: Vec<Option<&str>> = messages.iter().map(|message| message.owner.as_deref()).collect();
    let priorities: Vec<i16> = messages.iter().map(|message| message.priority.rank()).collect();
    let traces: Vec<Option<&str>> = messages.iter().map(|message| message.traceparent.as_deref()).collect();
    let part = parts.add("outgoing", OUTBOX).bind(tasks)?.bind(versions)?.bind(work)?.bind(steps)?.bind(owners)?;
    let part = part.bind(priorities)?.bind(traces)?.bind(offset_us)?.bind(lease_us)?;
    part.tells(What::Outbox, "NULL, NULL, id, NULL");
    Ok(())
}
