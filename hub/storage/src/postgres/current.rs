//! The rows that searches ask, and their index rows.

use std::collections::HashMap;

use schemas::resource::Key;
use uuid::Uuid;

use super::parts::{Part, Parts};
use crate::changes::Changes;
use crate::errors::Failure;
use crate::rows::{Current, IndexChanges, Prepared, RangeRow, TokenRow};

const NEW_TASKS: &str = "
    INSERT INTO task (id, version, updated, root, open, status, owner, requester, subject, code, grouped, priority,
                      authored, authored_high, modified, modified_high, work, step, seq)
    OVERRIDING SYSTEM VALUE
    SELECT unnest($1::text[]), unnest($2::integer[]), unnest($3::bigint[]), unnest($4::uuid[]),
           unnest($5::smallint[]), unnest($6::text[]), unnest($7::text[]), unnest($8::uuid[]), unnest($9::uuid[]),
           unnest($10::uuid[]), unnest($11::uuid[]), unnest($12::smallint[]), unnest($13::bigint[]),
           unnest($14::bigint[]), unnest($15::bigint[]), unnest($16::bigint[]), unnest($17::text[]),
           unnest($18::text[]), unnest((SELECT tasks FROM numbers))";
const MOVED_TASKS: &str = "
    UPDATE task AS t
       SET version = n.version, updated = n.updated, open = n.open, status = n.status, owner = n.owner,
           requester = n.requester, subject = n.subject, code = n.code, grouped = n.grouped, priority = n.priority,
           authored = n.authored, authored_high = n.authored_high, modified = n.modified,
           modified_high = n.modified_high, work = coalesce(n.work, t.work), step = coalesce(n.step, t.step)
      FROM (SELECT unnest($1::text[]) AS id, unnest($2::integer[]) AS version, unnest($3::bigint[]) AS updated,
                   unnest($4::uuid[]) AS root, unnest($5::smallint[]) AS open, unnest($6::text[]) AS status,
                   unnest($7::text[]) AS owner, unnest($8::uuid[]) AS requester, unnest($9::uuid[]) AS subject,
                   unnest($10::uuid[]) AS code, unnest($11::uuid[]) AS grouped, unnest($12::smallint[]) AS priority,
                   unnest($13::bigint[]) AS authored, unnest($14::bigint[]) AS authored_high,
                   unnest($15::bigint[]) AS modified, unnest($16::bigint[]) AS modified_high,
                   unnest($17::text[]) AS work, unnest($18::text[]) AS step) AS n
     WHERE t.id = n.id
    RETURNING 1";
const NEW_RESOURCES: &str = "
    INSERT INTO resource (kind, id, version, updated, status, priority, authored, authored_high, seq)
    OVERRIDING SYSTEM VALUE
    SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::integer[]), unnest($4::bigint[]), unnest($5::text[]),
           unnest($6::smallint[]), unnest($7::bigint[]), unnest($8::bigint[]),
           unnest((SELECT resources FROM numbers))";
const MOVED_RESOURCES: &str = "
    UPDATE resource AS r
       SET version = n.version, updated = n.updated, status = n.status, priority = n.priority,
           authored = n.authored, authored_high = n.authored_high
      FROM (SELECT unnest($1::text[]) AS kind, unnest($2::text[]) AS id, unnest($3::integer[]) AS version,
                   unnest($4::bigint[]) AS updated, unnest($5::text[]) AS status, unnest($6::smallint[]) AS priority,
                   unnest($7::bigint[]) AS authored, unnest($8::bigint[]) AS authored_high) AS n
     WHERE r.kind = n.kind AND r.id = n.id
    RETURNING 1";
const TASKS_GONE: &str = "DELETE FROM task WHERE id = ANY ($1) RETURNING 1";
const RESOURCES_GONE: &str = "
    DELETE FROM resource AS r USING (SELECT unnest($1::text[]) AS kind, unnest($2::text[]) AS id) AS n
     WHERE r.kind = n.kind AND r.id = n.id RETURNING 1";
const CLAIMS_GONE: &str = "
    DELETE FROM claim AS c USING (SELECT unnest($1::text[]) AS kind, unnest($2::text[]) AS id) AS n
     WHERE c.kind = n.kind AND c.holder = n.id";
/// Of the rows that index rows belong to: first the new ones', $1 Tasks and $2 others, then those of the rows that are
/// there, $3 and $4, in this order.
const NUMBERS: &str = "
    SELECT ARRAY(SELECT nextval('task_seq_seq') FROM generate_series(1, $1)) AS tasks,
           ARRAY(SELECT nextval('resource_seq_seq') FROM generate_series(1, $2)) AS resources,
           ARRAY(SELECT coalesce(t.seq, r.seq)
                   FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS n (kind, id, place)
                   LEFT JOIN task AS t ON n.kind = 'Task' AND t.id = n.id
                   LEFT JOIN resource AS r ON n.kind <> 'Task' AND r.kind = n.kind AND r.id = n.id
                  ORDER BY n.place) AS moved";
/// Index rows of new rows, whose place is that of a number: nobody can have written them.
const TOKENS: &str = "
    INSERT INTO search_token (value, seq, system)
    SELECT n.value, (SELECT tasks || resources FROM numbers)[n.place], n.system
      FROM (SELECT unnest($1::uuid[]) AS value, unnest($2::integer[]) AS place, unnest($3::bigint[]) AS system) AS n";
/// Of a row that was there before, when another hub may have made more of it than this one knows.
const MORE_TOKENS: &str = "
    INSERT INTO search_token (value, seq, system)
    SELECT n.value, (SELECT moved FROM numbers)[n.place], n.system
      FROM (SELECT unnest($1::uuid[]) AS value, unnest($2::integer[]) AS place, unnest($3::bigint[]) AS system) AS n ON CONFLICT DO NOTHING";
const TOKENS_GONE: &str = "
    DELETE FROM search_token AS s
     USING (SELECT unnest($1::uuid[]) AS value, unnest($2::integer[]) AS place, unnest($3::bigint[]) AS system) AS n
     WHERE s.value = n.value AND s.seq = (SELECT moved FROM numbers)[n.place] AND s.system = n.system";
/// The same three of a table of ranges: those of new rows, more of a row that was there before, and those that go.
macro_rules! ranges {
    ($table:literal) => {
        [
            concat!("
    INSERT INTO ", $table, " (param, low, seq, high)
    SELECT n.param, n.low, (SELECT tasks || resources FROM numbers)[n.place], n.high
      FROM (SELECT unnest($1::integer[]) AS param, unnest($2::bigint[]) AS low, unnest($3::integer[]) AS place,
                   unnest($4::bigint[]) AS high) AS n"),
            concat!("
    INSERT INTO ", $table, " (param, low, seq, high)
    SELECT n.param, n.low, (SELECT moved FROM numbers)[n.place], n.high
      FROM (SELECT unnest($1::integer[]) AS param, unnest($2::bigint[]) AS low, unnest($3::integer[]) AS place,
                   unnest($4::bigint[]) AS high) AS n
    ON CONFLICT DO NOTHING"),
            concat!("
    DELETE FROM ", $table, " AS s
     USING (SELECT unnest($1::integer[]) AS param, unnest($2::bigint[]) AS low, unnest($3::integer[]) AS place,
                   unnest($4::bigint[]) AS high) AS n
     WHERE s.param = n.param AND s.low = n.low AND s.seq = (SELECT moved FROM numbers)[n.place] AND s.high = n.high"),
        ]
    };
}

const DATES: [&str; 3] = ranges!("search_date");
const VALUES: [&str; 3] = ranges!("search_value");
const MARK: &str = "
    UPDATE task AS t SET work = n.work, step = n.step
      FROM (SELECT unnest($1::text[]) AS id, unnest($2::text[]) AS work, unnest($3::text[]) AS step) AS n
     WHERE t.id = n.id";

type Work<'a> = HashMap<&'a str, (&'a str, &'a str)>;

/// New rows with their index rows, those that move on, and those that go.
pub(super) fn write(parts: &mut Parts, changes: &Changes<'_, '_>) -> Result<(), Failure> {
    let work = changes.work();
    let (tasks, resources) = (changes.born(true), changes.born(false));
    let otherwise = changes.found_otherwise();
    let numbered = parts.add("numbers", NUMBERS).bind(count(&tasks))?.bind(count(&resources))?;
    let (kinds, ids) = columns(otherwise.iter().map(|(key, ..)| *key));
    numbered.bind(kinds)?.bind(ids)?.done();
    if !tasks.is_empty() {
        bind_tasks(parts.add("tasks", NEW_TASKS), &tasks, &work)?.done();
    }
    if !resources.is_empty() {
        bind_resources(parts.add("resources", NEW_RESOURCES), &resources)?.done();
    }
    // A head that matches and a row that is not there: the decision was made on something else.
    let (moved_tasks, moved_resources) = (changes.moved(true), changes.moved(false));
    if !moved_tasks.is_empty() {
        bind_tasks(parts.add("moved_tasks", MOVED_TASKS), &moved_tasks, &work)?.comes_to(moved_tasks.len())?;
    }
    if !moved_resources.is_empty() {
        bind_resources(parts.add("moved_resources", MOVED_RESOURCES), &moved_resources)?
            .comes_to(moved_resources.len())?;
    }
    gone(parts, &changes.gone(true), &changes.gone(false))?;
    let marks = changes.unwritten();
    if !marks.is_empty() {
        let ids: Vec<&str> = marks.iter().map(|message| message.task.id.as_str()).collect();
        let work: Vec<&str> = marks.iter().map(|message| message.work.as_str()).collect();
        let steps: Vec<&str> = marks.iter().map(|message| message.step.as_str()).collect();
        parts.add("marks", MARK).bind(ids)?.bind(work)?.bind(steps)?.done();
    }
    let (mut new, mut more) = (IndexChanges::default(), IndexChanges::default());
    for (place, (_, current)) in (1..).zip(tasks.iter().chain(&resources)) {
        new.add(place, &current.index);
    }
    for (place, (_, before, after)) in (1..).zip(&otherwise) {
        more.replace(place, before, after);
    }
    tokens(parts, "tokens", TOKENS, &new.tokens)?;
    ranges(parts, "dates", DATES[0], &new.dates)?;
    ranges(parts, "found_values", VALUES[0], &new.values)?;
    tokens(parts, "more_tokens", MORE_TOKENS, &more.tokens)?;
    ranges(parts, "more_dates", DATES[1], &more.dates)?;
    ranges(parts, "more_values", VALUES[1], &more.values)?;
    tokens(parts, "tokens_gone", TOKENS_GONE, &more.tokens_gone)?;
    ranges(parts, "dates_gone", DATES[2], &more.dates_gone)?;
    ranges(parts, "values_gone", VALUES[2], &more.values_gone)
}

fn count<T>(rows: &[T]) -> i32 {
    i32::try_from(rows.len()).unwrap_or(i32::MAX)
}

fn columns<'a>(keys: impl IntoIterator<Item = &'a Key>) -> (Vec<&'static str>, Vec<&'a str>) {
    keys.into_iter().map(|key| (key.kind.name(), key.id.as_str())).unzip()
}

fn gone(parts: &mut Parts, tasks: &[&Key], resources: &[&Key]) -> Result<(), Failure> {
    let (kinds, ids) = columns(tasks.iter().chain(resources).copied());
    if kinds.is_empty() {
        return Ok(());
    }
    parts.add("claims_gone", CLAIMS_GONE).bind(kinds)?.bind(ids)?.done();
    let (_, ids) = columns(tasks.iter().copied());
    if !ids.is_empty() {
        parts.add("tasks_gone", TASKS_GONE).bind(ids)?.comes_to(tasks.len())?;
    }
    let (kinds, ids) = columns(resources.iter().copied());
    if !ids.is_empty() {
        parts.add("resources_gone", RESOURCES_GONE).bind(kinds)?.bind(ids)?.comes_to(resources.len())?;
    }
    Ok(())
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
        .bind(column(rows, |row, _| told(row).1))
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
    let part = part.bind(kinds)?.bind(ids)?.bind(versions)?.bind(updated)?.bind(statuses)?.bind(priorities)?;
    part.bind(authored)?.bind(authored_high)
}

fn tokens(parts: &mut Parts, name: &'static str, sql: &'static str, rows: &[(i64, TokenRow)]) -> Result<(), Failure> {
    if !rows.is_empty() {
        let values: Vec<Uuid> = rows.iter().map(|(_, row)| row.value).collect();
        let places: Vec<i32> = rows.iter().map(|(place, _)| *place as i32).collect();
        let systems: Vec<i64> = rows.iter().map(|(_, row)| row.system).collect();
        parts.add(name, sql).bind(values)?.bind(places)?.bind(systems)?.done();
    }
    Ok(())
}

fn ranges(parts: &mut Parts, name: &'static str, sql: &'static str, rows: &[(i64, RangeRow)]) -> Result<(), Failure> {
    if !rows.is_empty() {
        let params: Vec<i32> = rows.iter().map(|(_, row)| row.param).collect();
        let lows: Vec<i64> = rows.iter().map(|(_, row)| row.low).collect();
        let places: Vec<i32> = rows.iter().map(|(place, _)| *place as i32).collect();
        let highs: Vec<i64> = rows.iter().map(|(_, row)| row.high).collect();
        parts.add(name, sql).bind(params)?.bind(lows)?.bind(places)?.bind(highs)?.done();
    }
    Ok(())
}
