//! Many rows in one statement.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Sqlite};

pub(crate) type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// Rows a statement: a few sizes, so that each is prepared once.
const SIZES: [usize; 3] = [32, 8, 1];

/// `INSERT INTO table (columns) VALUES … tail`.
pub(crate) struct Insert {
    pub(crate) name: &'static str,
    pub(crate) into: &'static str,
    pub(crate) columns: usize,
    pub(crate) tail: &'static str,
}

impl Insert {
    fn sql(&self, rows: usize) -> String {
        // Without numbers: to bind by a name is to look through all names, and a statement has hundreds.
        let row = format!("({})", vec!["?"; self.columns].join(", "));
        let values = vec![row; rows].join(", ");
        format!("-- {}\nINSERT INTO {} VALUES {values} {}", self.name, self.into, self.tail)
    }

    /// Inserts all rows, each bound by `bind`, and returns what the tail returns.
    pub(crate) async fn rows<T>(
        &self,
        connection: &mut SqliteConnection,
        mut rows: &[T],
        bind: impl for<'q> Fn(Bound<'q>, &T) -> Bound<'q>,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut returned = Vec::new();
        while !rows.is_empty() {
            let size = SIZES.into_iter().find(|size| *size <= rows.len()).unwrap_or(1);
            let (now, later) = rows.split_at(size);
            let query = sqlx::query(AssertSqlSafe(self.sql(size)));
            let query = now.iter().fold(query, &bind);
            returned.extend(query.fetch_all(&mut *connection).await?);
            rows = later;
        }
        Ok(returned)
    }
}
