//! Several changes as one statement. Each part costs the database its rows; a statement of its own would cost another
//! way to it and back, and that is what most of a small commit's time would go to.
//!
//! All parts see the database as it was before the statement, so no two may touch the same row.

use hub_domain::decision::OutgoingId;
use hub_domain::registry::Trouble;
use sqlx::encode::Encode;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::{Arguments, AssertSqlSafe, Postgres, Type};

use crate::errors::Failure;

/// What parts tell, when they do: so that one list has the answers of all.
const NOTHING: &str =
    "SELECT 0 AS what, NULL AS kind, NULL AS id, NULL::bigint AS seq, NULL::bigint AS indexed WHERE false";

#[derive(Default)]
pub(super) struct Parts {
    text: String,
    arguments: PgArguments,
    tells: String,
}

/// One change: its SQL with its own `$1`, `$2` and so on.
pub(super) struct Part<'p> {
    parts: &'p mut Parts,
    name: &'static str,
    sql: &'static str,
    before: usize,
}

impl Parts {
    /// Adds a change under a name that no other part has; its values are bound in their order.
    pub(super) fn add(&mut self, name: &'static str, sql: &'static str) -> Part<'_> {
        Part { before: self.arguments.len(), parts: self, name, sql }
    }

    pub(super) async fn execute(self, connection: &mut PgConnection) -> Result<Told, Failure> {
        if self.text.is_empty() {
            return Ok(Told::default());
        }
        let text = format!("-- commit\nWITH {}\n{NOTHING}{}", self.text, self.tells);
        let query = sqlx::query_as_with(AssertSqlSafe(text), self.arguments);
        Ok(Told(query.fetch_all(connection).await?))
    }
}

impl Part<'_> {
    pub(super) fn bind<'t, T: Encode<'t, Postgres> + Type<Postgres>>(self, value: T) -> Result<Self, Failure> {
        let written = self.parts.arguments.add(value);
        written.map_err(|_| Trouble::Failed("a value cannot be sent to the database".into()))?;
        Ok(self)
    }

    pub(super) fn done(self) {
        let separator = if self.parts.text.is_empty() { "" } else { ",\n" };
        let sql = renumbered(self.sql, self.before);
        self.parts.text.push_str(&format!("{separator}{} AS ({sql})", self.name));
    }

    /// The same for one that tells something: `what` and four columns, of which some may be NULL.
    pub(super) fn tells(self, what: What, columns: &str) {
        self.parts.tells.push_str(&format!("\nUNION ALL SELECT {}, {columns} FROM {}", what as i32, self.name));
        self.done();
    }
}

/// `$1` becomes `$8` behind seven others.
fn renumbered(sql: &str, before: usize) -> String {
    let mut pieces = sql.split('$');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: usize = piece[..digits].parse().unwrap_or_default();
        text.push_str(&format!("${}{}", number + before, &piece[digits..]));
    }
    text
}

/// Of what a row tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A current row that was brought to another version, with the index rows it had.
    Moved = 1,
    /// A message, by its number.
    Outbox = 2,
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct ToldRow {
    what: i32,
    pub(super) kind: Option<String>,
    pub(super) id: Option<String>,
    pub(super) seq: Option<i64>,
    pub(super) indexed: Option<i64>,
}

/// What the parts told.
#[derive(Default)]
pub(super) struct Told(Vec<ToldRow>);

impl Told {
    pub(super) fn of(&self, what: What) -> impl Iterator<Item = &ToldRow> {
        self.0.iter().filter(move |row| row.what == what as i32)
    }

    /// In the order in which the messages were given.
    pub(super) fn outbox(&self) -> Vec<OutgoingId> {
        let mut ids: Vec<i64> = self.of(What::Outbox).filter_map(|row| row.seq).collect();
        ids.sort_unstable();
        ids.into_iter().map(OutgoingId).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_values_are_counted_on() {
        assert_eq!(renumbered("SELECT $1::text[], $12 + $2", 7), "SELECT $8::text[], $19 + $9");
        assert_eq!(renumbered("SELECT 1", 7), "SELECT 1");
    }
}
