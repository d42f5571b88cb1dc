//! Several questions, or several changes, as one statement. Each part costs the database its rows; a statement of its own
//! would cost another way to it and back, and that is what most of a small batch's time would go to.
//!
//! All parts see the database as it was before the statement, so no two may touch the same row. A part may tell how many
//! rows it has to come to: when one comes to another number, the statement undoes itself.

use hub_domain::decision::OutgoingId;
use hub_domain::registry::Trouble;
use schemas::resource::Kind;
use schemas::time::Timestamp;
use sqlx::encode::Encode;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::QueryAs;
use sqlx::{Arguments, AssertSqlSafe, FromRow, Postgres, Type};

use crate::errors::{Failure, corrupt};

/// Questions whose answers have the same columns.
#[derive(Default)]
pub(super) struct Questions {
    text: String,
    arguments: PgArguments,
}

impl Questions {
    /// Adds a question with its own `$1`, `$2` and so on; its values are bound next, in their order.
    pub(super) fn ask(&mut self, sql: &str) -> &mut Self {
        if !self.text.is_empty() {
            self.text.push_str("\nUNION ALL");
        }
        self.text.push_str(&renumbered(sql, self.arguments.len()));
        self
    }

    pub(super) fn bind<'t, T: Encode<'t, Postgres> + Type<Postgres>>(
        &mut self,
        value: T,
    ) -> Result<&mut Self, Trouble> {
        bind(&mut self.arguments, value)?;
        Ok(self)
    }

    /// The answers to the first question come first.
    pub(super) fn query<'q, T: for<'r> FromRow<'r, PgRow>>(self, name: &str) -> QueryAs<'q, Postgres, T, PgArguments> {
        sqlx::query_as_with(AssertSqlSafe(format!("-- {name}{}", self.text)), self.arguments)
    }
}

fn bind<'t, T: Encode<'t, Postgres> + Type<Postgres>>(arguments: &mut PgArguments, value: T) -> Result<(), Trouble> {
    arguments.add(value).map_err(|_| Trouble::Failed("a value cannot be sent to the database".into()))
}

/// Changes, all of which are made or none.
#[derive(Default)]
pub(super) struct Parts {
    text: String,
    arguments: PgArguments,
    /// What has to be true at the end.
    conditions: String,
    /// The part with the rows that are told, by their id.
    telling: Option<&'static str>,
}

/// One change: its SQL with its own `$1`, `$2` and so on.
pub(super) struct Part<'p> {
    parts: &'p mut Parts,
    name: &'static str,
    sql: &'static str,
    before: usize,
}

impl Parts {
    /// With room for so many bytes of values.
    pub(super) fn with_room(bytes: usize) -> Self {
        let mut parts = Self::default();
        parts.arguments.reserve(0, bytes);
        parts
    }

    /// Adds a change under a name that no other part has; its values are bound in their order.
    pub(super) fn add(&mut self, name: &'static str, sql: &'static str) -> Part<'_> {
        Part { before: self.arguments.len(), parts: self, name, sql }
    }

    /// The database's time, and the ids that were told, in their order. `moments`: the earliest of each type that is
    /// written.
    pub(super) async fn execute(
        mut self,
        connection: &mut PgConnection,
        moments: &[(Kind, Timestamp)],
    ) -> Result<(i64, Vec<OutgoingId>), Failure> {
        let (kinds, moments): (Vec<&str>, Vec<i64>) = moments.iter().map(|(kind, at)| (kind.name(), at.0)).unzip();
        let before = self.arguments.len();
        let holds = format!("commit_holds(true{}, ${}, ${})", self.conditions, before + 1, before + 2);
        bind(&mut self.arguments, kinds)?;
        bind(&mut self.arguments, moments)?;
        let tells = self.telling.map(|part| format!(" UNION ALL SELECT id FROM {part}")).unwrap_or_default();
        // The parts of a UNION ALL are read one after another: the time comes first.
        let now = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let text = format!("-- commit\nWITH {}\nSELECT {now} AS told WHERE {holds}{tells}", self.text);
        let query = sqlx::query_scalar_with::<_, i64, _>(AssertSqlSafe(text), self.arguments);
        let mut told = query.fetch_all(connection).await?.into_iter();
        let now_us = told.next().ok_or_else(|| corrupt("commit", "time", "it told none"))?;
        let mut ids: Vec<OutgoingId> = told.map(OutgoingId).collect();
        ids.sort_unstable();
        Ok((now_us, ids))
    }
}

impl Part<'_> {
    pub(super) fn bind<'t, T: Encode<'t, Postgres> + Type<Postgres>>(self, value: T) -> Result<Self, Failure> {
        bind(&mut self.parts.arguments, value)?;
        Ok(self)
    }

    pub(super) fn done(self) {
        let separator = if self.parts.text.is_empty() { "" } else { ",\n" };
        let sql = renumbered(self.sql, self.before);
        self.parts.text.push_str(&format!("{separator}{} AS ({sql})", self.name));
    }

    /// The same for one that has to return so many rows.
    pub(super) fn comes_to(self, rows: usize) -> Result<(), Failure> {
        let number = self.parts.arguments.len() + 1;
        bind(&mut self.parts.arguments, i64::try_from(rows).unwrap_or(i64::MAX))?;
        self.parts.conditions.push_str(&format!(" AND (SELECT count(*) FROM {}) = ${number}", self.name));
        self.done();
        Ok(())
    }

    /// The same for the one that returns ids to be told.
    pub(super) fn tells(self) {
        self.parts.telling = Some(self.name);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_values_are_counted_on() {
        assert_eq!(renumbered("SELECT $1::text[], $12 + $2", 7), "SELECT $8::text[], $19 + $9");
        assert_eq!(renumbered("SELECT 1", 7), "SELECT 1");
    }
}
