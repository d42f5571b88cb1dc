//! The rows that searches ask, and their index rows.

use std::collections::HashMap;

use schemas::resource::{Key, Kind};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::changes::{Changes, Moved};
use crate::errors::Failure;
use crate::rows::{Current, Index, IndexChanges, Prepared, VersionRow};

const NEW_TASKS: &str = "-- commit_tasks
    INSERT INTO task (id, version, updated, root, open, status, owner, requester, subject, code, grouped, priority,
                      authored, authored_high, modified, modified_high, work, step, indexed)
    SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::uuid[], $5::smallint[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::text[], $11::text[], $12::smallint[], $13::bigint[],
                         $14::bigint[], $15::bigint[], $16::bigint[], $17::text[], $18::text[], $19::bigint[])
    RETURNING id, seq";
/// `indexed` stays: it is returned as it was.
const MOVED_TASKS: &str = "-- move_tasks
    UPDATE task AS t
       SET version = n.version, updated = n.updated, open = n.open, status = n.status, owner = n.owner,
           requester = n.requester, subject = n.subject, code = n.code, grouped = n.grouped, priority = n.priority,
           authored = n.authored, authored_high = n.authored_high, modified = n.modified,
           modified_high = n.modified_high, work = coalesce(n.work, t.work), step = coalesce(n.step, t.step)
      FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::uuid[], $5::smallint[], $6::text[], $7::text[],
                  $8::text[], $9::text[], $10::text[], $11::text[], $12::smallint[], $13::bigint[], $14::bigint[],
                  $15::bigint[], $16::bigint[], $17::text[], $18::text[], $19::bigint[])
           AS n (id, version, updated, root, open, status, owner, requester, subject, code, grouped, priority,
                 authored, authored_high, modified, modified_high, work, step, indexed)
     WHERE t.id = n.id
    RETURNING 'Task', t.id, t.seq, t.indexed";
const NEW_RESOURCES: &str = "-- commit_resources
    INSERT INTO resource (kind, id, version, updated, status, priority, authored, authored_high, indexed)
    SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[], $5::text[], $6::smallint[],
                         $7::bigint[], $8::bigint[], $9::bigint[])
    RETURNING kind, id, seq";
const MOVED_RESOURCES: &str = "-- move_resources
    UPDATE resource AS r
       SET version = n.version, updated = n.updated, status = n.status, priority = n.priority,
           authored = n.authored, authored_high = n.authored_high
      FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[], $5::text[], $6::smallint[], $7::bigint[],
                  $8::bigint[], $9::bigint[])
           AS n (kind, id, version, updated, status, priority, authored, authored_high, indexed)
     WHERE r.kind = n.kind AND r.id = n.id
    RETURNING r.kind, r.id, r.seq, r.indexed";
const REINDEXED: [&str; 2] = [
    "-- reindexed_tasks
    UPDATE task AS t SET indexed = n.indexed FROM unnest($1::bigint[], $2::bigint[]) AS n (seq, indexed)
     WHERE t.seq = n.seq",
    "-- reindexed_resources
    UPDATE resource AS r SET indexed = n.indexed FROM unnest($1::bigint[], $2::bigint[]) AS n (seq, indexed)
     WHERE r.seq = n.seq",
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
const TOKENS: &str = "-- commit_tokens
    INSERT INTO search_token (param, value, seq, system)
    SELECT * FROM unnest($1::integer[], $2::text[], $3::bigint[], $4::text[]) ON CONFLICT DO NOTHING";
const TOKENS_GONE: &str = "-- delete_tokens
    DELETE FROM search_token AS s
     USING unnest($1::integer[], $2::text[], $3::bigint[], $4::text[]) AS n (param, value, seq, system)
     WHERE s.param = n.param AND s.value = n.value AND s.seq = n.seq AND s.system = n.system";
const DATES: &str = "-- commit_dates
    INSERT INTO search_date (param, low, seq, high)
    SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[]) ON CONFLICT DO NOTHING";
const DATES_GONE: &str = "-- delete_dates
    DELETE FROM search_date AS s
     USING unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[]) AS n (param, low, seq, high)
     WHERE s.param = n.param AND s.low = n.low AND s.seq = n.seq AND s.high = n.high";
const MARK: &str = "-- mark_work
    UPDATE task AS t SET work = n.work, step = n.step FROM unnest($1::text[], $2::text[], $3::text[]) AS n (id, work, step)
     WHERE t.id = n.id";

type Work<'a> = HashMap<&'a str, (&'a str, &'a str)>;

pub(super) async fn write(connection: &mut PgConnection, changes: &Changes<'_, '_>) -> Result<(), Failure> {
    let work = changes.work();
    let mut index = IndexChanges::default();
    for is_task in [true, false] {
        born(connection, &changes.born(is_task), is_task, &work, &mut index).await?;
        moved(connection, &changes.moved(is_task), is_task, &work, &mut index).await?;
        gone(connection, &changes.gone(is_task), is_task, &mut index).await?;
    }
    let marks = changes.unwritten();
    if !marks.is_empty() {
        let ids: Vec<&str> = marks.iter().map(|message| message.task.id.as_str()).collect();
        let work: Vec<&str> = marks.iter().map(|message| message.work.as_str()).collect();
        let steps: Vec<&str> = marks.iter().map(|message| message.step.as_str()).collect();
        sqlx::query(MARK).bind(ids).bind(work).bind(steps).execute(&mut *connection).await?;
    }
    write_index(connection, &index).await
}

async fn born(
    connection: &mut PgConnection,
    rows: &[(&Prepared<'_>, &Current)],
    is_task: bool,
    work: &Work<'_>,
    index: &mut IndexChanges,
) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut seqs: HashMap<(String, String), i64> = HashMap::with_capacity(rows.len());
    if is_task {
        let query = bind_tasks(sqlx::query_as::<_, (String, i64)>(NEW_TASKS), rows, work);
        let returned = query.fetch_all(connection).await?;
        seqs.extend(returned.into_iter().map(|(id, seq)| ((Kind::TASK.name().to_owned(), id), seq)));
    } else {
        let query = bind_resources(sqlx::query_as::<_, (String, String, i64)>(NEW_RESOURCES), rows);
        let returned = query.fetch_all(connection).await?;
        seqs.extend(returned.into_iter().map(|(kind, id, seq)| ((kind, id), seq)));
    }
    for (row, current) in rows {
        let key = row.key();
        if let Some(seq) = seqs.get(&(key.kind.name().to_owned(), key.id.clone())) {
            index.add(*seq, &current.index);
        }
    }
    Ok(())
}

async fn moved(
    connection: &mut PgConnection,
    moved: &[Moved<'_, '_>],
    is_task: bool,
    work: &Work<'_>,
    index: &mut IndexChanges,
) -> Result<(), Failure> {
    if moved.is_empty() {
        return Ok(());
    }
    let rows: Vec<(&Prepared, &Current)> = moved.iter().map(|moved| (moved.row, moved.current)).collect();
    let returned: Vec<(String, String, i64, i64)> = if is_task {
        bind_tasks(sqlx::query_as(MOVED_TASKS), &rows, work).fetch_all(&mut *connection).await?
    } else {
        bind_resources(sqlx::query_as(MOVED_RESOURCES), &rows).fetch_all(&mut *connection).await?
    };
    if returned.len() != moved.len() {
        // A head that matches and a row that is not there: the decision was made on something else.
        return Err(Failure::Taken);
    }
    let seqs: HashMap<(String, String), (i64, i64)> =
        returned.into_iter().map(|(kind, id, seq, indexed)| ((kind, id), (seq, indexed))).collect();
    let mut changed = Vec::new();
    for moved in moved {
        let key = moved.row.key();
        let (seq, indexed) = seqs.get(&(key.kind.name().to_owned(), key.id.clone())).copied().unwrap_or_default();
        if indexed != moved.current.index.fingerprint() {
            changed.push((key, moved.before, seq, &moved.current.index));
        }
    }
    reindex(connection, &changed, is_task, index).await
}

/// Index rows that changed, with what tells it the next time.
async fn reindex(
    connection: &mut PgConnection,
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
    let query = sqlx::query(REINDEXED[usize::from(!is_task)]).bind(seqs).bind(fingerprints);
    query.execute(connection).await?;
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

type QueryAs<'q, T> = sqlx::query::QueryAs<'q, sqlx::Postgres, T, sqlx::postgres::PgArguments>;

fn bind_tasks<'q, T>(query: QueryAs<'q, T>, rows: &[(&Prepared<'_>, &Current)], work: &Work<'_>) -> QueryAs<'q, T> {
    fn column<T>(rows: &[(&Prepared<'_>, &Current)], of: impl Fn(&Prepared<'_>, &Current) -> T) -> Vec<T> {
        rows.iter().map(|(row, current)| of(row, current)).collect()
    }
    let told = |row: &Prepared<'_>| work.get(row.key().id.as_str()).copied().unzip();
    query
        .bind(column(rows, |row, _| row.key().id.clone()))
        .bind(column(rows, |row, _| row.version() as i32))
        .bind(column(rows, |row, _| row.write.resource.last_updated.0))
        .bind(column::<Option<Uuid>>(rows, |_, current| current.root))
        .bind(column(rows, |_, current| i16::from(current.open)))
        .bind(column(rows, |_, current| current.status.clone().unwrap_or_default()))
        .bind(column(rows, |_, current| current.owner.clone()))
        .bind(column(rows, |_, current| current.requester.clone()))
        .bind(column(rows, |_, current| current.subject.clone()))
        .bind(column(rows, |_, current| current.code.clone()))
        .bind(column(rows, |_, current| current.grouped.clone()))
        .bind(column(rows, |_, current| current.priority))
        .bind(column(rows, |_, current| current.authored))
        .bind(column(rows, |_, current| current.authored_high))
        .bind(column(rows, |_, current| current.modified))
        .bind(column(rows, |_, current| current.modified_high))
        .bind(column(rows, |row, _| told(row).0.map(str::to_owned)))
        .bind(column(rows, |row, _| told(row).1.map(str::to_owned)))
        .bind(column(rows, |_, current| current.index.fingerprint()))
}

fn bind_resources<'q, T>(query: QueryAs<'q, T>, rows: &[(&Prepared<'_>, &Current)]) -> QueryAs<'q, T> {
    let kinds: Vec<&'static str> = rows.iter().map(|(row, _)| row.key().kind.name()).collect();
    let ids: Vec<String> = rows.iter().map(|(row, _)| row.key().id.clone()).collect();
    let versions: Vec<i32> = rows.iter().map(|(row, _)| row.version() as i32).collect();
    let updated: Vec<i64> = rows.iter().map(|(row, _)| row.write.resource.last_updated.0).collect();
    let statuses: Vec<Option<String>> = rows.iter().map(|(_, current)| current.status.clone()).collect();
    let priorities: Vec<i16> = rows.iter().map(|(_, current)| current.priority).collect();
    let authored: Vec<i64> = rows.iter().map(|(_, current)| current.authored).collect();
    let authored_high: Vec<Option<i64>> = rows.iter().map(|(_, current)| current.authored_high).collect();
    let indexed: Vec<i64> = rows.iter().map(|(_, current)| current.index.fingerprint()).collect();
    let query = query.bind(kinds).bind(ids).bind(versions).bind(updated).bind(statuses).bind(priorities);
    query.bind(authored).bind(authored_high).bind(indexed)
}

async fn write_index(connection: &mut PgConnection, index: &IndexChanges) -> Result<(), Failure> {
    for (sql, rows) in [(TOKENS_GONE, &index.tokens_gone), (TOKENS, &index.tokens)] {
        if !rows.is_empty() {
            let params: Vec<i32> = rows.iter().map(|(_, row)| row.param).collect();
            let values: Vec<&str> = rows.iter().map(|(_, row)| row.value.as_str()).collect();
            let seqs: Vec<i64> = rows.iter().map(|(seq, _)| *seq).collect();
            let systems: Vec<&str> = rows.iter().map(|(_, row)| row.system.as_str()).collect();
            let query = sqlx::query(sql).bind(params).bind(values).bind(seqs).bind(systems);
            query.execute(&mut *connection).await?;
        }
    }
    for (sql, rows) in [(DATES_GONE, &index.dates_gone), (DATES, &index.dates)] {
        if !rows.is_empty() {
            let params: Vec<i32> = rows.iter().map(|(_, row)| row.param).collect();
            let lows: Vec<i64> = rows.iter().map(|(_, row)| row.low).collect();
            let seqs: Vec<i64> = rows.iter().map(|(seq, _)| *seq).collect();
            let highs: Vec<i64> = rows.iter().map(|(_, row)| row.high).collect();
            let query = sqlx::query(sql).bind(params).bind(lows).bind(seqs).bind(highs);
            query.execute(&mut *connection).await?;
        }
    }
    Ok(())
}
