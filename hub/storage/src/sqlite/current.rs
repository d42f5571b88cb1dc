//! The rows that searches ask, and their index rows.

use std::collections::HashMap;

use schemas::resource::{Key, Kind};
use sqlx::sqlite::SqliteConnection;

use super::insert::Insert;
use super::numbers::Numbers;
use crate::changes::Changes;
use crate::errors::Failure;
use crate::rows::{Current, IndexChanges, Prepared};

pub(super) async fn write(
    connection: &mut SqliteConnection,
    changes: &Changes<'_, '_>,
    numbers: &mut Numbers,
) -> Result<(), Failure> {
    let work = changes.work();
    let (tasks, resources) = (numbers.give("task", changes.born(true)), numbers.give("resource", changes.born(false)));
    insert_tasks(connection, &tasks, &work).await?;
    insert_resources(connection, &resources).await?;
    let mut index = IndexChanges::default();
    for (seq, (_, current)) in tasks.iter().chain(&resources) {
        index.add(*seq, &current.index);
    }
    let mut moved = HashMap::new();
    for task in [true, false] {
        for (row, current) in changes.moved(task) {
            moved.insert(row.key(), update(connection, row, current, &work).await?);
        }
        for key in changes.gone(task) {
            moved.insert(key, delete(connection, key).await?);
        }
    }
    for (key, before, after) in changes.found_otherwise() {
        if let Some(seq) = moved.get(key) {
            index.replace(*seq, before, after);
        }
    }
    for message in changes.unwritten() {
        const MARK: &str = "-- mark_work\nUPDATE task SET work = $2, step = $3 WHERE id = $1";
        let mark = sqlx::query(MARK).bind(&message.task.id).bind(&message.work).bind(&message.step);
        mark.execute(&mut *connection).await?;
    }
    write_index(connection, &index).await
}

/// A row to insert, with its number.
type Born<'a, 'p> = (i64, (&'p Prepared<'a>, &'p Current));

async fn insert_tasks(
    connection: &mut SqliteConnection,
    rows: &[Born<'_, '_>],
    work: &HashMap<&str, (&str, &str)>,
) -> Result<(), Failure> {
    const TASKS: Insert = Insert {
        name: "commit_tasks",
        insert: "INSERT OR FAIL INTO task (seq, id, version, updated, root, open, status, owner, requester, subject,
                                           code, grouped, priority, authored, authored_high, modified, modified_high,
                                           work, step)",
        columns: 19,
        tail: "",
    };
    let insert = TASKS.rows(connection, rows, |query, (seq, (row, current))| {
        let (work, step) = work.get(row.key().id.as_str()).copied().unzip();
        let query = query.bind(*seq).bind(row.key().id.clone()).bind(row.version());
        let query = query.bind(row.write.resource.last_updated.0).bind(current.root).bind(current.open);
        let query = query.bind(current.status.clone().unwrap_or_default()).bind(current.owner.clone());
        let query = query.bind(current.requester).bind(current.subject).bind(current.code).bind(current.grouped);
        let query = query.bind(current.priority).bind(current.authored).bind(current.authored_high);
        let query = query.bind(current.modified).bind(current.modified_high);
        query.bind(work.map(str::to_owned)).bind(step.map(str::to_owned))
    });
    Ok(insert.await?)
}

async fn insert_resources(connection: &mut SqliteConnection, rows: &[Born<'_, '_>]) -> Result<(), Failure> {
    const RESOURCES: Insert = Insert {
        name: "commit_resources",
        insert: "INSERT OR FAIL INTO resource (seq, kind, id, version, updated, status, priority, authored,
                                               authored_high)",
        columns: 9,
        tail: "",
    };
    let insert = RESOURCES.rows(connection, rows, |query, (seq, (row, current))| {
        let key = row.key();
        let query = query.bind(*seq).bind(key.kind.name()).bind(key.id.clone()).bind(row.version());
        let query = query.bind(row.write.resource.last_updated.0).bind(current.status.clone()).bind(current.priority);
        query.bind(current.authored).bind(current.authored_high)
    });
    Ok(insert.await?)
}

/// Moves a current row on; its number.
async fn update(
    connection: &mut SqliteConnection,
    row: &Prepared<'_>,
    current: &Current,
    work: &HashMap<&str, (&str, &str)>,
) -> Result<i64, Failure> {
    const TASK: &str = "-- move_task
        UPDATE task SET version = $2, updated = $3, open = $4, status = $5, owner = $6, requester = $7, subject = $8,
               code = $9, grouped = $10, priority = $11, authored = $12, authored_high = $13, modified = $14,
               modified_high = $15, work = coalesce($16, work), step = coalesce($17, step)
         WHERE id = $1 RETURNING seq";
    const RESOURCE: &str = "-- move_resource
        UPDATE resource SET version = $3, updated = $4, status = $5, priority = $6, authored = $7, authored_high = $8
         WHERE kind = $1 AND id = $2 RETURNING seq";
    let (key, updated) = (row.key(), row.write.resource.last_updated.0);
    let query = if key.kind == Kind::TASK {
        let (work, step) = work.get(key.id.as_str()).copied().unzip();
        let query = sqlx::query_scalar(TASK).bind(&key.id).bind(row.version()).bind(updated).bind(current.open);
        let query = query.bind(current.status.as_deref().unwrap_or_default()).bind(&current.owner);
        let query = query.bind(current.requester).bind(current.subject).bind(current.code).bind(current.grouped);
        let query = query.bind(current.priority).bind(current.authored).bind(current.authored_high);
        query.bind(current.modified).bind(current.modified_high).bind(work).bind(step)
    } else {
        let query = sqlx::query_scalar(RESOURCE).bind(key.kind.name()).bind(&key.id).bind(row.version());
        let query = query.bind(updated).bind(&current.status).bind(current.priority);
        query.bind(current.authored).bind(current.authored_high)
    };
    // A head that matches and a row that is not there: the decision was made on something else.
    query.fetch_optional(connection).await?.ok_or(Failure::Taken)
}

async fn delete(connection: &mut SqliteConnection, key: &Key) -> Result<i64, Failure> {
    const TASK: &str = "-- delete_task\nDELETE FROM task WHERE id = $2 AND $1 = 'Task' RETURNING seq";
    const RESOURCE: &str = "-- delete_resource\nDELETE FROM resource WHERE kind = $1 AND id = $2 RETURNING seq";
    const CLAIMS: &str = "-- delete_claims\nDELETE FROM claim WHERE kind = $1 AND holder = $2";
    sqlx::query(CLAIMS).bind(key.kind.name()).bind(&key.id).execute(&mut *connection).await?;
    let query = sqlx::query_scalar(if key.kind == Kind::TASK { TASK } else { RESOURCE });
    query.bind(key.kind.name()).bind(&key.id).fetch_optional(connection).await?.ok_or(Failure::Taken)
}

pub(super) async fn write_index(connection: &mut SqliteConnection, index: &IndexChanges) -> Result<(), Failure> {
    const TOKENS: Insert = Insert {
        name: "commit_tokens",
        insert: "INSERT OR IGNORE INTO search_token (value, seq, system)",
        columns: 3,
        tail: "",
    };
    /// Rows of a table of ranges: how to insert and how to delete them.
    const RANGES: [(Insert, &str); 2] = [
        (
            Insert {
                name: "commit_dates",
                insert: "INSERT OR IGNORE INTO search_date (param, low, seq, high)",
                columns: 4,
                tail: "",
            },
            "-- delete_date\nDELETE FROM search_date WHERE param = $1 AND low = $2 AND seq = $3 AND high = $4",
        ),
        (
            Insert {
                name: "commit_values",
                insert: "INSERT OR IGNORE INTO search_value (param, low, seq, high)",
                columns: 4,
                tail: "",
            },
            "-- delete_value\nDELETE FROM search_value WHERE param = $1 AND low = $2 AND seq = $3 AND high = $4",
        ),
    ];
    const TOKEN_GONE: &str = "-- delete_token
        DELETE FROM search_token WHERE value = $1 AND seq = $2 AND system = $3";
    for (seq, row) in &index.tokens_gone {
        let query = sqlx::query(TOKEN_GONE).bind(row.value).bind(seq).bind(row.system);
        query.execute(&mut *connection).await?;
    }
    let tokens =
        TOKENS.rows(connection, &index.tokens, |query, (seq, row)| query.bind(row.value).bind(*seq).bind(row.system));
    tokens.await?;
    let ranges = [(&index.dates, &index.dates_gone), (&index.values, &index.values_gone)];
    for ((insert, delete), (rows, gone)) in RANGES.iter().zip(ranges) {
        for (seq, row) in gone {
            let query = sqlx::query(*delete).bind(row.param).bind(row.low).bind(seq).bind(row.high);
            query.execute(&mut *connection).await?;
        }
        let rows = insert
            .rows(connection, rows, |query, (seq, row)| query.bind(row.param).bind(row.low).bind(*seq).bind(row.high));
        rows.await?;
    }
    Ok(())
}
