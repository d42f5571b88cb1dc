//! The rows of a batch that holds: one part a table, its rows as arrays.
//!
//! `unnest` stands among what is selected: behind FROM, PostgreSQL would store each column away before it reads it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hub_domain::scene::Identifier;
use uuid::Uuid;

use super::parts::{Part, Parts};
use crate::changes::{Changes, HeadFate, run_text};
use crate::errors::Failure;
use crate::load::PlanCache;
use crate::rows::method_number;
use crate::values;

const NEW_HEADS: &str = "
    INSERT INTO head (root, version, last, run)
    SELECT unnest($1::uuid[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::text[]) ORDER BY 1";
/// Who moves a head on has its lock, so that nobody else writes what belongs to it.
const MOVED_HEADS: &str = "
    UPDATE head SET version = n.version, last = n.last, run = n.run
      FROM (SELECT unnest($1::uuid[]) AS root, unnest($2::bigint[]) AS version, unnest($3::bigint[]) AS last,
                   unnest($4::text[]) AS run, unnest($5::bigint[]) AS expected) AS n
     WHERE head.root = n.root AND head.version = n.expected
    RETURNING 1";
/// Refused by the number of rows, not by the index: its error would tell the key to the server's log.
const RECEIPTS: &str = "
    INSERT INTO receipt (key, fingerprint, answer, at)
    SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]),
           (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $4 ORDER BY 1
    ON CONFLICT DO NOTHING RETURNING 1";
/// Who holds one already goes on to hold it.
const CLAIMS: &str = "
    INSERT INTO claim (kind, system, value, holder)
    SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]) ORDER BY 1, 2, 3
    ON CONFLICT (kind, system, value) DO UPDATE SET holder = excluded.holder WHERE claim.holder = excluded.holder
    RETURNING 1";
const PLANS: &str = "
    INSERT INTO plan (hash, body) SELECT unnest($1::text[]), unnest($2::text[]) ORDER BY 1
    ON CONFLICT DO NOTHING";
const VERSIONS: &str = "
    INSERT INTO version (kind, id, version, root, method, updated, body)
    SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::integer[]), unnest($4::uuid[]), unnest($5::smallint[]),
           unnest($6::bigint[]), unnest($7::bytea[])";
const TIMERS: &str = "
    INSERT INTO timer (root, name, due, leased_until)
    SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::bigint[]), $4
    ON CONFLICT (root, name) DO UPDATE SET due = excluded.due, leased_until = excluded.leased_until";
/// Looked up by roots whatever the table was like when the plan was made: most of the time it is nearly empty.
const TIMERS_GONE: &str = "
    DELETE FROM timer
     WHERE root = ANY ($1) AND (root, name) IN (SELECT unnest($1::uuid[]), unnest($2::text[]))";
/// Its numbers rise in the order of the rows.
const OUTBOX: &str = "
    INSERT INTO outbox (task, version, work, step, owner, priority, traceparent, since, leased_until)
    SELECT unnest($1::text[]), unnest($2::integer[]), unnest($3::text[]), unnest($4::text[]), unnest($5::text[]),
           unnest($6::smallint[]), unnest($7::text[]), c.now + $8, c.now + $8 + $9
      FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS c
    RETURNING id";

pub(super) fn heads(parts: &mut Parts, changes: &Changes<'_, '_>) -> Result<(), Failure> {
    let (new, moved): (Vec<&HeadFate<'_>>, Vec<_>) = changes.heads.values().partition(|fate| fate.expected.is_none());
    if !new.is_empty() {
        bind_heads(parts.add("new_heads", NEW_HEADS), &new)?.done();
    }
    if !moved.is_empty() {
        let expected: Vec<i64> = moved.iter().map(|fate| fate.expected.unwrap_or_default() as i64).collect();
        bind_heads(parts.add("moved_heads", MOVED_HEADS), &moved)?.bind(expected)?.comes_to(moved.len())?;
    }
    Ok(())
}

fn bind_heads<'p>(part: Part<'p>, heads: &[&HeadFate<'_>]) -> Result<Part<'p>, Failure> {
    let roots: Vec<Uuid> = heads.iter().map(|fate| fate.last.root).collect();
    let versions: Vec<i64> = heads.iter().map(|fate| fate.last.head.version as i64).collect();
    let lasts: Vec<i64> = heads.iter().map(|fate| fate.last.head.last.0).collect();
    let runs = heads.iter().map(|fate| run_text(fate.last)).collect::<Result<Vec<_>, _>>()?;
    part.bind(roots)?.bind(versions)?.bind(lasts)?.bind(runs)
}

/// The rows that are unique to who was first.
pub(super) fn keys(parts: &mut Parts, changes: &Changes<'_, '_>, offset_us: i64) -> Result<(), Failure> {
    let receipts: BTreeMap<_, _> =
        changes.receipts.values().filter_map(|receipt| Some((values::key(&receipt.key)?, *receipt))).collect();
    if !receipts.is_empty() {
        let fingerprints: Vec<&str> = receipts.values().map(|receipt| receipt.fingerprint.as_str()).collect();
        let answers: Vec<&str> = receipts.values().map(|receipt| receipt.answer.as_str()).collect();
        let part = parts.add("receipts", RECEIPTS).bind(receipts.keys().map(Cow::as_ref).collect::<Vec<_>>())?;
        part.bind(fingerprints)?.bind(answers)?.bind(offset_us)?.comes_to(receipts.len())?;
    }
    let claims: BTreeMap<_, _> = changes.claims.iter().filter_map(|(it, holder)| Some((claim(it)?, *holder))).collect();
    if !claims.is_empty() {
        let kinds: Vec<&str> = claims.keys().map(|(kind, ..)| *kind).collect();
        let systems: Vec<&str> = claims.keys().map(|(_, system, _)| system.as_ref()).collect();
        let values: Vec<&str> = claims.keys().map(|(.., value)| value.as_ref()).collect();
        let holders: Vec<&str> = claims.values().copied().collect();
        let part = parts.add("claims", CLAIMS).bind(kinds)?.bind(systems)?.bind(values)?.bind(holders)?;
        part.comes_to(claims.len())?;
    }
    Ok(())
}

fn claim(identifier: &Identifier) -> Option<(&'static str, Cow<'_, str>, Cow<'_, str>)> {
    Some((identifier.kind.name(), values::key(&identifier.system)?, values::key(&identifier.value)?))
}

pub(super) fn plans(parts: &mut Parts, changes: &Changes<'_, '_>, known: &PlanCache) -> Result<(), Failure> {
    let (hashes, texts): (Vec<&str>, Vec<&str>) = changes.new_plans(known).unzip();
    if !hashes.is_empty() {
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
    part.tells();
    Ok(())
}
