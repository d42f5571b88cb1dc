//! Copies of recorded orders as plain SQL: one statement of many rows for each table, for as many orders as one likes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Result, bail};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection, Postgres};
use uuid::Uuid;

use crate::specimen::{Act, Copies, Copy, Specimen, Table, Trace, Value, Write};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Copies that are written together, each with the place of its order in the specimen.
pub(crate) type Group = Vec<(usize, Copy)>;

/// The statements by which copies are written.
pub(crate) struct Rows {
    specimen: Specimen,
    statements: Vec<Statement>,
}

/// All rows of one table that are written for the n-th time.
struct Statement {
    sql: String,
    /// The same for rows that come as lines.
    copy: String,
    /// Columns that it names, and their types.
    columns: Vec<(usize, String)>,
    /// For each order of the specimen, the places of its writes.
    writes: Vec<Vec<usize>>,
}

impl Rows {
    pub(crate) fn new(specimen: Specimen) -> Self {
        let writes = specimen.orders.iter().flat_map(|trace| &trace.writes);
        let kinds: BTreeSet<_> = writes.map(|write| (write.wave, write.act, write.table)).collect();
        let statements = kinds.into_iter().map(|(wave, act, table)| Statement::new(&specimen, wave, act, table));
        Self { statements: statements.collect(), specimen }
    }

    pub(crate) fn orders(&self) -> &[Trace] {
        &self.specimen.orders
    }

    /// So many copies, of each order as many.
    pub(crate) fn group(&self, copies: &Copies, size: usize) -> Group {
        let orders = self.orders().iter().enumerate().cycle().take(size);
        orders.map(|(n, trace)| (n, copies.of(trace.ids, trace.recorded_us))).collect()
    }

    /// In one transaction.
    pub(crate) async fn write(&self, connection: &mut PgConnection, group: &Group) -> Result<()> {
        let mut transaction = connection.begin().await?;
        for statement in &self.statements {
            if let Some(query) = statement.query(&self.specimen.orders, group)? {
                query.execute(&mut *transaction).await?;
            }
        }
        Ok(transaction.commit().await?)
    }

    /// The same by COPY, for rows that are only inserted.
    pub(crate) async fn copy(&self, connection: &mut PgConnection, group: &Group) -> Result<()> {
        let mut transaction = connection.begin().await?;
        for statement in &self.statements {
            let text = statement.lines(&self.specimen.orders, group)?;
            let mut copy = transaction.copy_in_raw(&statement.copy).await?;
            copy.send(text.into_bytes()).await?;
            copy.finish().await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// A row is found by its key, whatever the planner thinks of tables that it has not looked at yet.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions> {
    let off = ["seqscan", "hashjoin", "mergejoin"].map(|what| (format!("enable_{what}"), "off"));
    Ok(url.parse::<PgConnectOptions>()?.options(off))
}

impl Statement {
    fn new(specimen: &Specimen, wave: u32, act: Act, table: usize) -> Self {
        let is_its = |write: &Write| (write.wave, write.act, write.table) == (wave, act, table);
        let places = |trace: &Trace| (0..trace.writes.len()).filter(|n| is_its(&trace.writes[*n])).collect();
        let writes = specimen.orders.iter().map(places).collect();
        let table = &specimen.tables[table];
        let is_named = |column: &usize| match act {
            Act::Insert => true,
            Act::Update => table.key.contains(column) || !table.columns[*column].is_identity,
            Act::Delete => table.key.contains(column),
        };
        let columns: Vec<usize> = (0..table.columns.len()).filter(is_named).collect();
        let sql = sql(table, act, &columns);
        let names: Vec<&str> = columns.iter().map(|column| table.columns[*column].name.as_str()).collect();
        let copy = format!("COPY {} ({}) FROM STDIN", table.name, names.join(", "));
        let columns = columns.into_iter().map(|column| (column, table.columns[column].kind.clone())).collect();
        Self { sql, copy, columns, writes }
    }

    fn rows<'r>(&'r self, traces: &'r [Trace], group: &'r Group) -> impl Iterator<Item = (&'r Write, &'r Copy)> {
        let rows = |(n, copy): &'r (usize, Copy)| {
            let writes = &traces[*n].writes;
            self.writes[*n].iter().map(move |place| (&writes[*place], copy))
        };
        group.iter().flat_map(rows)
    }

    /// As COPY reads them.
    fn lines(&self, traces: &[Trace], group: &Group) -> Result<String> {
        let mut text = String::new();
        for (write, copy) in self.rows(traces, group) {
            for (n, (column, _)) in self.columns.iter().enumerate() {
                if n > 0 {
                    text.push('\t');
                }
                match write.cells[*column].of(copy) {
                    Value::Null => text.push_str("\\N"),
                    Value::Truth(truth) => write!(text, "{truth}")?,
                    Value::Whole(number) => write!(text, "{number}")?,
                    Value::Id(id) => write!(text, "{id}")?,
                    Value::Bytes(bytes) => {
                        text.push_str("\\\\x");
                        let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
                        bytes.iter().for_each(|byte| text.extend([digit(byte >> 4), digit(byte & 15)]));
                    }
                    Value::Text(value) => value.chars().for_each(|c| match c {
                        '\\' => text.push_str("\\\\"),
                        '\n' => text.push_str("\\n"),
                        '\r' => text.push_str("\\r"),
                        '\t' => text.push_str("\\t"),
                        c => text.push(c),
                    }),
                }
            }
            text.push('\n');
        }
        Ok(text)
    }

    /// None when no order of the group has such rows.
    fn query<'q>(&'q self, traces: &'q [Trace], group: &Group) -> Result<Option<Query<'q, Postgres, PgArguments>>> {
        let rows = || self.rows(traces, group);
        if rows().next().is_none() {
            return Ok(None);
        }
        let mut query = sqlx::query(AssertSqlSafe(self.sql.as_str()));
        for (column, kind) in &self.columns {
            query = bind(query, kind, rows().map(|(write, copy)| write.cells[*column].of(copy)))?;
        }
        Ok(Some(query))
    }
}

fn sql(table: &Table, act: Act, columns: &[usize]) -> String {
    let name = |column: &usize| table.columns[*column].name.as_str();
    let joined = |parts: Vec<String>, by: &str| parts.join(by);
    let names = joined(columns.iter().map(|column| name(column).to_owned()).collect(), ", ");
    let column = |(n, column): (usize, &usize)| {
        format!("unnest(${}::{}[]) AS {}", n + 1, table.columns[*column].kind, name(column))
    };
    let rows = joined(columns.iter().enumerate().map(column).collect(), ", ");
    let is_it = table.key.iter().map(|column| format!("t.{0} = n.{0}", name(column)));
    let is_it = joined(is_it.collect(), " AND ");
    let table_name = &table.name;
    match act {
        Act::Insert => {
            format!("INSERT INTO {table_name} ({names}) OVERRIDING SYSTEM VALUE SELECT {rows} ON CONFLICT DO NOTHING")
        }
        Act::Update => {
            let set = columns.iter().filter(|column| !table.key.contains(column));
            let set = joined(set.map(|column| format!("{0} = n.{0}", name(column))).collect(), ", ");
            format!("UPDATE {table_name} AS t SET {set} FROM (SELECT {rows}) AS n WHERE {is_it}")
        }
        Act::Delete => format!("DELETE FROM {table_name} AS t USING (SELECT {rows}) AS n WHERE {is_it}"),
    }
}

/// One column of all rows, as an array.
fn bind<'q, 'v>(
    query: Query<'q, Postgres, PgArguments>,
    kind: &str,
    values: impl Iterator<Item = Value<'v>>,
) -> Result<Query<'q, Postgres, PgArguments>> {
    let whole = |value: Value<'_>| if let Value::Whole(number) = value { Some(number) } else { None };
    Ok(match kind {
        "int8" => query.bind(values.map(whole).collect::<Vec<Option<i64>>>()),
        "int4" => query.bind(values.map(|value| whole(value).map(|n| n as i32)).collect::<Vec<Option<i32>>>()),
        "int2" => query.bind(values.map(|value| whole(value).map(|n| n as i16)).collect::<Vec<Option<i16>>>()),
        "bool" => query.bind(values.map(truth).collect::<Vec<Option<bool>>>()),
        "uuid" => query.bind(values.map(id).collect::<Vec<Option<Uuid>>>()),
        "bytea" => query.bind(values.map(bytes).collect::<Vec<Option<Vec<u8>>>>()),
        "text" | "varchar" => query.bind(values.map(text).collect::<Vec<Option<String>>>()),
        other => bail!("no array of {other} is known here"),
    })
}

fn truth(value: Value<'_>) -> Option<bool> {
    if let Value::Truth(truth) = value { Some(truth) } else { None }
}

fn id(value: Value<'_>) -> Option<Uuid> {
    if let Value::Id(id) = value { Some(id) } else { None }
}

fn bytes(value: Value<'_>) -> Option<Vec<u8>> {
    if let Value::Bytes(bytes) = value { Some(bytes.into_owned()) } else { None }
}

fn text(value: Value<'_>) -> Option<String> {
    if let Value::Text(text) = value { Some(text) } else { None }
}
