//! Many rows in one statement.
//!
//! Each statement is sent to the connection's own thread and awaited, which costs more than the rows of it: so all rows
//! of a table go in one. It has room for a power of two of them, so that there are few of its kind and each is prepared
//! once; what is left of its room is not bound, hence NULL, and inserts nothing.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, Sqlite};

pub(crate) type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// Most values of a statement. A prepared one takes some 150 bytes for each.
const VALUES_LIMIT: usize = 4096;

/// `INSERT OR … INTO table (columns)`, rows, `tail`. The first column of each row is never NULL.
///
/// What has to undo itself alone, as an insert does that says neither, SQLite notes down page by page before it begins.
/// `FAIL` stops where it fails, for the transaction is undone as a whole; `IGNORE` is for rows that may be there already.
pub(crate) struct Insert {
    pub(crate) name: &'static str,
    pub(crate) insert: &'static str,
    pub(crate) columns: usize,
    pub(crate) tail: &'static str,
}

impl Insert {
    fn sql(&self, room: usize) -> String {
        // Without numbers: to bind by a name is to look through all names, and a statement has thousands.
        let row = format!("({})", vec!["?"; self.columns].join(","));
        let rows = vec![row; room].join(",");
        let Self { name, insert, tail, .. } = self;
        format!("-- {name}\n{insert} SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL {tail}")
    }

    /// Inserts all rows in their order, each bound by `bind`.
    pub(crate) async fn rows<T>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[T],
        bind: impl for<'q> Fn(Bound<'q>, &T) -> Bound<'q>,
    ) -> Result<(), sqlx::Error> {
        // The greatest power of two of them that is within the limit.
        let most = (VALUES_LIMIT / self.columns + 1).next_power_of_two() / 2;
        for now in rows.chunks(most) {
            let query = sqlx::query(AssertSqlSafe(self.sql(now.len().next_power_of_two())));
            now.iter().fold(query, &bind).execute(&mut *connection).await?;
        }
        Ok(())
    }
}
