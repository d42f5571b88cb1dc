//! The database's own record of what is written: a trigger on every table.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use super::cell::Reader;
use super::letters::Letter;
use super::{Act, Column, Table, Trace, Write};
use crate::orders::Order;

/// Numbers that the database gives begin far from all others, a range for each table, so that they are known again
/// wherever they stand.
pub(super) const NUMBERS_FROM: i64 = 4_000_000_000_000_000_000;
pub(super) const NUMBERS_RANGE: i64 = 10_000_000_000_000_000;

const JOURNAL: &str = "
    CREATE TABLE journal (place bigint GENERATED ALWAYS AS IDENTITY, relation text, act text, written jsonb);
    CREATE FUNCTION journal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO journal (relation, act, written)
        VALUES (coalesce(pg_partition_root(TG_RELID), TG_RELID)::regclass::text, TG_OP,
                CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END);
        RETURN NULL;
    END $$";

const TABLES: &str = "
    SELECT c.oid::regclass::text AS name
      FROM pg_class AS c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND c.relname NOT IN ('journal', '_sqlx_migrations')
     ORDER BY 1";

const COLUMNS: &str = "
    SELECT a.attnum AS number, a.attname::text AS name, t.typname::text AS kind, a.attidentity <> '' AS is_identity,
           pg_get_serial_sequence($1, a.attname) AS sequence
      FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
     WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
     ORDER BY a.attnum";

/// Of its unique indexes, the primary key or else the oldest.
const KEY: &str = "
    SELECT ARRAY(SELECT unnest(i.indkey)) FROM pg_index AS i
     WHERE i.indrelid = $1::regclass AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
     ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1";

const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

pub(super) struct Journal {
    pub(super) tables: Vec<Table>,
}

impl Journal {
    /// From here on everything that is written into this database is known.
    pub(super) async fn open(connection: &mut PgConnection) -> Result<Self> {
        connection.execute(sqlx::raw_sql(JOURNAL)).await?;
        let mut tables = Vec::new();
        let names: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(&mut *connection).await?;
        for name in names {
            let trigger = format!(
                "CREATE TRIGGER journal AFTER INSERT OR UPDATE OR DELETE ON {name}
                 FOR EACH ROW EXECUTE FUNCTION journal()"
            );
            connection.execute(AssertSqlSafe(trigger)).await?;
            tables.push(table(connection, name, tables.len()).await?);
        }
        Ok(Self { tables })
    }

    pub(super) async fn clear(&self, connection: &mut PgConnection) -> Result<()> {
        connection.execute("TRUNCATE journal").await?;
        Ok(())
    }

    pub(super) async fn length(&self, connection: &mut PgConnection) -> Result<i64> {
        Ok(sqlx::query_scalar("SELECT count(*) FROM journal").fetch_one(connection).await?)
    }

    /// All since it was cleared, as the trace of this order.
    pub(super) async fn read(
        &self,
        connection: &mut PgConnection,
        order: &Order,
        letters: Vec<Letter>,
    ) -> Result<Trace> {
        let recorded_us: i64 = sqlx::query_scalar(NOW).fetch_one(&mut *connection).await?;
        let rows = sqlx::query("SELECT relation, act, written::text FROM journal ORDER BY place");
        let mut reader = Reader::new(order, recorded_us);
        let (mut writes, mut waves) = (Vec::new(), HashMap::<String, u32>::new());
        let mut entries: Vec<(String, String, Json)> = Vec::new();
        for row in rows.fetch_all(connection).await? {
            let written: Json = serde_json::from_str(&row.get::<String, _>(2))?;
            if let Some(kind) = written["kind"].as_str() {
                reader.learn(kind, &written["body"])?;
            }
            entries.push((row.get(0), row.get(1), written));
        }
        for (relation, act, written) in entries {
            let place = self.tables.iter().position(|table| table.name == relation);
            let (place, act) = (place.context("a table that was not there")?, parse(&act)?);
            let table = &self.tables[place];
            let wave = waves.entry(key_text(table, &written)).and_modify(|wave| *wave += 1).or_insert(0);
            let cells = table.columns.iter().map(|column| reader.cell(&column.kind, &written[&column.name]));
            writes.push(Write { table: place, act, wave: *wave, cells: cells.collect::<Result<_>>()? });
        }
        Ok(Trace { kind: order.kind.to_owned(), writes, letters, ids: reader.ids(), recorded_us })
    }
}

fn parse(act: &str) -> Result<Act> {
    Ok(match act {
        "INSERT" => Act::Insert,
        "UPDATE" => Act::Update,
        "DELETE" => Act::Delete,
        other => bail!("a trigger for {other}"),
    })
}

fn key_text(table: &Table, written: &Json) -> String {
    let parts = table.key.iter().map(|column| written[&table.columns[*column].name].to_string());
    format!("{} {}", table.name, parts.collect::<Vec<_>>().join(" "))
}

async fn table(connection: &mut PgConnection, name: String, place: usize) -> Result<Table> {
    let key: Vec<i16> = sqlx::query_scalar(KEY).bind(&name).fetch_optional(&mut *connection).await?.unwrap_or_default();
    let rows = sqlx::query(COLUMNS).bind(&name).fetch_all(&mut *connection).await?;
    let mut table = Table { name, columns: Vec::new(), key: Vec::new() };
    for row in rows {
        let (number, is_identity): (i16, bool) = (row.get("number"), row.get("is_identity"));
        if key.contains(&number) {
            table.key.push(table.columns.len());
        }
        if let Some(sequence) = row.get::<Option<String>, _>("sequence") {
            let from = NUMBERS_FROM + NUMBERS_RANGE * place as i64;
            sqlx::query("SELECT setval($1::regclass, $2)").bind(sequence).bind(from).execute(&mut *connection).await?;
        }
        table.columns.push(Column { name: row.get("name"), kind: row.get("kind"), is_identity });
    }
    Ok(table)
}
