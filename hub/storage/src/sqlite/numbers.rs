//! The numbers of new rows: given out here, since to be told one by each insert takes longer than the insert.

use std::collections::HashMap;

use sqlx::sqlite::SqliteConnection;

/// The last number of each table, which the transaction that has the write lock alone may go on from.
pub(super) struct Numbers(HashMap<String, i64>);

impl Numbers {
    pub(super) async fn read(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let last = sqlx::query_as("-- numbers\nSELECT name, seq FROM sqlite_sequence").fetch_all(connection);
        Ok(Self(last.await?.into_iter().collect()))
    }

    /// `rows`, each with a number of `table`, which rise in their order.
    pub(super) fn give<T>(&mut self, table: &str, rows: impl IntoIterator<Item = T>) -> Vec<(i64, T)> {
        let last = self.0.entry(table.to_owned()).or_default();
        let number = |row| {
            *last += 1;
            (*last, row)
        };
        rows.into_iter().map(number).collect()
    }
}
