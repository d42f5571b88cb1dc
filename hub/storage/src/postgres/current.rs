//! The rows that searches ask, and their index rows.

use std::collections::HashMap;

use schemas::resource::{Key, Kind};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::parts::{Part, Parts, Told, What};
use crate::changes::Changes;
use crate::errors::Failure;
use crate::rows::{Current, Index, IndexChanges, Prepared, VersionRow};

const NEW_TASKS: &str = "
    INSERT INTO task (id, version, updated, root, open, status, owner, requester, subject, code, grouped, priority,
                      authored, authored_high, modified, modified_high, work, step, indexed, seq)
    OVERRIDING SYSTEM VALUE
    SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::uuid[], $5::smallint[], $6::text[], $7::text[],
                         $8::uuid[], $9::uuid[], $10::uuid[], $11::uuid[], $12::smallint[], $13::bigint[],
                         $14::bigint[], $15::bigint[], $16::bigint[], $17::text[], $18::text[], $19::bigint[],
                         $20::bigint[])";
/// `indexed` stays: it is returned as it was.
const MOVED_TASKS: &str = "
    UPDATE task AS t
       SET version = n.version, updated = n.updated, open = n.open, status = n.status, owner = n.owner,
           requester = n.requester, subject = n.subject, code = n.code, grouped = n.grouped, priority = n.priority,
           authored = n.authored, authored_high = n.authored_high, modified = n.modified,
           modified_high = n.modified_high, work = coalesce(n.work, t.work), step = coalesce(n.step, t.step)
      FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::uuid[], $5::smallint[], $6::text[], $7::text[],
                  $8::uuid[], $9::uuid[], $10::uuid[], $11::uuid[], $12::smallint[], $13::bigint[], $14::bigint[],
                  $15::bigint[], $16::bigint[], $17::text[], $18::text[], $19::bigint[])
           AS n (id, version, updated, root, open, status, owner, requester, subject, code, grouped, priority,
                 authored, authored_high, modified, modified_high, work, step, indexed)
     WHERE t.id = n.id
    RETURNING t.id, t.seq, t.indexed";
const NEW_RESOURCES: &str = "
    INSERT INTO resource (kind, id, version, updated, status, priority, authored, authored_high, indexed, seq)
    OVERRIDING SYSTEM VALUE
    SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[], $5::text[], $6::smallint[],
                         $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])";
const MOVED_RESOURCES: &str = "
    UPDATE resource AS r
       SET version = n.version, updated = n.updated, status = n.status, priority = n.priority,
           authored = n.authored, authored_high = n.authored_high
      FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[], $5::text[], $6::smallint[], $7::bigint[],
                  $8::bigint[], $9::bigint[])
           AS n (kind, id, version, updated, status, priority, authored, authored_high, indexed)
     WHERE r.kind = n.kind AND r.id = n.id
    RETURNING r.kind, r.id, r.seq, r.indexed";
const REINDEXED: [(&str, &str); 2] = [
    (
        "reindexed_tasks",
        "UPDATE task AS t SET indexed = n.indexed FROM unnest($1::bigint[], $2::bigint[]) AS n (seq, indexed)
          WHERE t.seq = n.seq",
    ),
    (
        "reindexed_resources",
        "UPDATE resource AS r SET indexed = n.indexed FROM unnest($1::bigint[], $2::bigint[]) AS n (seq, indexed)
          WHERE r.seq = n.seq",
    ),
];
const GONE: [&str; 2] = [
    "-- delete_tasks
    DELETE FROM task AS t USING unnest($1::text[], $2::text[]) AS n (kind, id)
     WHERE t.id = n.id RETURNING 'Task', t.id, t.seq",
    "-- delete_resources
    DELETE FROM resource AS r USING unnest($1::text[], $2::text[]) AS n (kind, id)
     WHERE r.kind = n.kind AND r.id = n.id RETURNING r.kind, r.id, r.seq",
];
const CLAIMS_GONE: &str = "-- delete_claims
    DELETE FROM claim AS c USING unnest($1::text[], $2::text[]) AS n (kind, id)
     WHERE c.kind = n.kind AND c.holder = n.id";
const BEFORE: &str = "-- versions_before
    SELECT v.kind, v.id, v.version, v.root, v.method, v.updated, v.body
      FROM unnest($1::text[], $2::text[], $3::integer[]) AS n (kind, id, version)
      JOIN version AS v ON v.kind = n.kind AND v.id = n.id AND v.version = n.version";
/// Tokens and dates of a new row: nobody can have written them.
const NEW_ROWS: [&str; 2] = [
    "INSERT INTO search_token (value, seq, system)
     SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[])",
    "INSERT INTO search_date (param, low, seq, high)
     SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[])",
];
/// Of a row that was there before, when another hub may have made more of it than this one knows.
const ROWS: [&str; 2] = [
    "INSERT INTO search_token (value, seq, system)
     SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) ON CONFLICT DO NOTHING",
    "INSERT INTO search_date (param, low, seq, high)
     SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[]) ON CONFLICT DO NOTHING",
];
const TOKENS_GONE: &str = "
    DELETE FROM search_token AS s
     USING unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS n (value, seq, system)
     WHERE s.value = n.value AND s.seq = n.seq AND s.system = n.system";
const DATES_GONE: &str = "
    DELETE FROM search_date AS s
     USING unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[]) AS n (param, low, seq, high)
     WHERE s.param = n.param AND s.low = n.low AND s.seq = n.seq AND s.high = n.high";
const MARK: &str = "
    UPDATE task AS t SET work = n.work, step = n.step FROM unnest($1::text[], $2::text[], $3::text[]) AS n (id, work, step)
     WHERE t.id = n.id";

type Work<'a> = HashMap<&'a str, (&'a str, &'a str)>;

/// Numbers for new rows of `task` and `resource`, taken before they are written: so their index rows can be written
/// along with them.
#[derive(Default)]
pub(super) struct Numbers {
    pub(super) tasks: Vec<i64>,
    pub(super) resources: Vec<i64>,
}

/// New rows with their index rows, and those that move on.
pub(super) fn write(parts: &mut Parts, changes: &Changes<'_, '_>, numbers: Numbers) -> Result<(), Failure> {
    let work = changes.work();
    let mut index = IndexChanges::default();
    for (is_task, mut numbers) in [(true, numbers.tasks), (false, numbers.resources)] {
        let born = changes.born(is_task);
        // As many as there are creations, of which those need none whose decision did not hold.
        numbers.sort_unstable();
        numbers.truncate(born.len());
        for ((_, current), seq) in born.iter().zip(&numbers) {
            index.add(*seq, &current.index);
        }
        let moved: Vec<(&Prepared, &Current)> =
            changes.moved(is_task).iter().map(|moved| (moved.row, moved.current)).collect();
        if !born.is_empty() {
            let part = if is_task { parts.add("tasks", NEW_TASKS) } else { parts.add("resources", NEW_RESOURCES) };
            bind(part, &born, is_task, &work)?.bind(numbers)?.done();
        }
        if !moved.is_empty() && is_task {
            bind(parts.add("moved_tasks", MOVED_TASKS), &moved, is_task, &work)?
                .tells(What::Moved, "'Task', id, seq, indexed");
        } else if !moved.is_empty() {
            bind(parts.add("moved_resources", MOVED_RESOURCES), &moved, is_task, &work)?
                .tells(What::Moved, "kind, id, seq, indexed");
        }
    }
    let marks = changes.unwritten();
    if !marks.is_empty() {
        let ids: Vec<&str> = marks.iter().map(|message| message.task.id.as_str()).collect();
        let work: Vec<&str> = marks.iter().map(|message| message.work.as_str()).collect();
        let steps: Vec<&str> = marks.iter().map(|message| message.step.as_str()).collect();
        parts.add("marks", MARK).bind(ids)?.bind(work)?.bind(steps)?.done();
    }
    write_index(parts, &index, NEW_ROWS)
}

/// What depends on what rows were before: index rows of those that moved on, and all of those that are gone.
pub(super) async fn settle(
    connection: &mut PgConnection,
    changes: &Changes<'_, '_>,
    told: &Told,
) -> Result<(), Failure> {
    let mut before = HashMap::new();
    for row in told.of(What::Moved) {
        if let (Some(kind), Some(id)) = (row.kind.as_deref(), row.id.as_deref()) {
            before.insert((kind, id), (row.seq.unwrap_or_default(), row.indexed.unwrap_or_default()));
        }
    }
    let (mut parts, mut index) = (Parts::default(), IndexChanges::default());
    for is_task in [true, false] {
        let mut changed = Vec::new();
        let moved = changes.moved(is_task);
        for moved in &moved {
            let key = moved.row.key();
            // A head that matches and a row that is not there: the decision was made on something else.
            let (seq, indexed) = before.get(&(key.kind.name(), key.id.as_str())).copied().ok_or(Failure::Taken)?;
            if indexed != moved.current.index.fingerprint() {
                changed.push((key, moved.before, seq, &moved.current.index));
            }
        }
        reindex(connection, &mut parts, &changed, is_task, &mut index).await?;
        gone(connection, &changes.gone(is_task), is_task, &mut index).await?;
    }
    write_index(&mut parts, &index, ROWS)?;
    parts.execute(connection).await.map(drop)
}

/// Index rows that changed, with what tells it the next time.
async fn reindex(
    connection: &mut PgConnection,
    parts: &mut Parts,
    changed: &[(&Key, u32, i64, &Index)],
    is_task: bool,
    index: &mut IndexChanges,
) -> Result<(), Failure> {
    if changed.is_empty() {
        return Ok(());
    }
    let keys: Vec<(&Key, u32)> = changed.iter().map(|(key, before, ..)| (*key, *before)).collect();
    let before = index_before(connection, &keys).await?;
    for (key, _, seq, after) in changed {
        index.replace(*seq, before.get(key).unwrap_or(&Index::default()), after);
    }
    let seqs: Vec<i64> = changed.iter().map(|(_, _, seq, _)| *seq).collect();
    let fingerprints: Vec<i64> = changed.iter().map(|(.., index)| index.fingerprint()).collect();
    let (name, sql) = REINDEXED[usize::from(!is_task)];
    parts.add(name, sql).bind(seqs)?.bind(fingerprints)?.done();
    Ok(())
}

async fn gone(
    connection: &mut PgConnection,
    gone: &[(&Key, u32)],
    is_task: bool,
    index: &mut IndexChanges,
) -> Result<(), Failure> {
    if gone.is_empty() {
        return Ok(());
    }
    let before = index_before(connection, gone).await?;
    let kinds: Vec<&str> = gone.iter().map(|(key, _)| key.kind.name()).collect();
    let ids: Vec<&str> = gone.iter().map(|(key, _)| key.id.as_str()).collect();
    sqlx::query(CLAIMS_GONE).bind(&kinds).bind(&ids).execute(&mut *connection).await?;
    let query = sqlx::query_as::<_, (String, String, i64)>(GONE[usize::from(!is_task)]).bind(kinds).bind(ids);
    for (kind, id, seq) in query.fetch_all(connection).await? {
        let key = Kind::parse(&kind).map(|kind| Key::new(kind, id));
        if let Some(rows) = key.and_then(|key| before.get(&key)) {
            index.replace(seq, rows, &Index::default());
        }
    }
    Ok(())
}

/// The index rows of earlier versions, made from their bodies.
async fn index_before(connection: &mut PgConnection, keys: &[(&Key, u32)]) -> Result<HashMap<Key, Index>, Failure> {
    let kinds: Vec<&str> = keys.iter().map(|(key, _)| key.kind.name()).collect();
    let ids: Vec<&str> = keys.iter().map(|(key, _)| key.id.as_str()).collect();
    let versions: Vec<i32> = keys.iter().map(|(_, version)| *version as i32).collect();
    let rows = sqlx::query_as::<_, VersionRow>(BEFORE).bind(kinds).bind(ids).bind(versions);
    let mut before = HashMap::new();
    for row in rows.fetch_all(connection).await? {
        let resource = row.resource()?;
        before.insert(resource.key.clone(), Current::of(&resource, row.root).index);
    }
    Ok(before)
}

fn bind<'p>(
    part: Part<'p>,
    rows: &[(&Prepared<'_>, &Current)],
    is_task: bool,
    work: &Work<'_>,
) -> Result<Part<'p>, Failure> {
    if is_task { bind_tasks(part, rows, work) } else { bind_resources(part, rows) }
}

fn bind_tasks<'p>(part: Part<'p>, rows: &[(&Prepared<'_>, &Current)], work: &Work<'_>) -> Result<Part<'p>, Failure> {
    fn column<'a, T>(
        rows: &'a [(&'a Prepared<'_>, &'a Current)],
        of: impl Fn(&'a Prepared<'_>, &'a Current) -> T,
    ) -> Vec<T> {
        rows.iter().map(|(row, current)| of(row, current)).collect()
    }
    let told = |row: &Prepared<'_>| work.get(row.key().id.as_str()).copied().unzip();
    part.bind(column(rows, |row, _| row.key().id.as_str()))?
        .bind(column(rows, |row, _| row.version() as i32))?
        .bind(column(rows, |row, _| row.write.resource.last_updated.0))?
        .bind(column::<Option<Uuid>>(rows, |_, current| current.root))?
        .bind(column(rows, |_, current| i16::from(current.open)))?
        .bind(column(rows, |_, current| current.status.as_deref().unwrap_or_default()))?
        .bind(column(rows, |_, current| current.owner.as_deref()))?
        .bind(column(rows, |_, current| current.requester))?
        .bind(column(rows, |_, current| current.subject))?
        .bind(column(rows, |_, current| current.code))?
        .bind(column(rows, |_, current| current.grouped))?
        .bind(column(rows, |_, current| current.priority))?
        .bind(column(rows, |_, current| current.authored))?
        .bind(column(rows, |_, current| current.authored_high))?
        .bind(column(rows, |_, current| current.modified))?
        .bind(column(rows, |_, current| current.modified_high))?
        .bind(column(rows, |row, _| told(row).0))?
        .bind(column(rows, |row, _| told(row).1))?
        .bind(column(rows, |_, current| current.index.fingerprint()))
}

fn bind_resources<'p>(part: Part<'p>, rows: &[(&Prepared<'_>, &Current)]) -> Result<Part<'p>, Failure> {
    let kinds: Vec<&'static str> = rows.iter().map(|(row, _)| row.key().kind.name()).collect();
    let ids: Vec<&str> = rows.iter().map(|(row, _)| row.key().id.as_str()).collect();
    let versions: Vec<i32> = rows.iter().map(|(row, _)| row.version() as i32).collect();
    let updated: Vec<i64> = rows.iter().map(|(row, _)| row.write.resource.last_updated.0).collect();
    let statuses: Vec<Option<&str>> = rows.iter().map(|(_, current)| current.status.as_deref()).collect();
    let priorities: Vec<i16> = rows.iter().map(|(_, current)| current.priority).collect();
    let authored: Vec<i64> = rows.iter().map(|(_, current)| current.authored).collect();
    let authored_high: Vec<Option<i64>> = rows.iter().map(|(_, current)| current.authored_high).collect();
    let indexed: Vec<i64> = rows.iter().map(|(_, current)| current.index.fingerprint()).collect();
    let part = part.bind(kinds)?.bind(ids)?.bind(versions)?.bind(updated)?.bind(statuses)?.bind(priorities)?;
    part.bind(authored)?.bind(authored_high)?.bind(indexed)
}

/// Index rows, added by one of these pairs of statements, for tokens and for dates.
fn write_index(parts: &mut Parts, index: &IndexChanges, [tokens, dates]: [&'static str; 2]) -> Result<(), Failure> {
    for (name, sql, rows) in [("tokens_gone", TOKENS_GONE, &index.tokens_gone), ("tokens", tokens, &index.tokens)] {
        if !rows.is_empty() {
            let values: Vec<Uuid> = rows.iter().map(|(_, row)| row.value).collect();
            let seqs: Vec<i64> = rows.iter().map(|(seq, _)| *seq).collect();
            let systems: Vec<i64> = rows.iter().map(|(_, row)| row.system).collect();
            parts.add(name, sql).bind(values)?.bind(seqs)?.bind(systems)?.done();
        }
    }
    for (name, sql, rows) in [("dates_gone", DATES_GONE, &index.dates_gone), ("dates", dates, &index.dates)] {
        if !rows.is_empty() {
            let params: Vec<i32> = rows.iter().map(|(_, row)| row.param).collect();
            let lows: Vec<i64> = rows.iter().map(|(_, row)| row.low).collect();
            let seqs: Vec<i64> = rows.iter().map(|(seq, _)| *seq).collect();
            let highs: Vec<i64> = rows.iter().map(|(_, row)| row.high).collect();
            parts.add(name, sql).bind(params)?.bind(lows)?.bind(seqs)?.bind(highs)?.done();
        }
    }
    Ok(())
}
