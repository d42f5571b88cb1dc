//! What the drivers' errors mean to the engine.
//!
//! A database's message may quote a value, and a value may be a patient's: only codes and names of constraints leave.

use hub_domain::registry::Trouble;
use sqlx::error::ErrorKind;

/// What to do about a failed commit.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Two transactions stood in each other's way: the same again may well succeed.
    Again,
    /// Something stands otherwise than the decision takes it to: it was decided on an old scene.
    Taken,
    Trouble(Trouble),
}

/// What `commit_holds` raises on PostgreSQL.
const OVERTAKEN: &str = "HB001";
const SQLITE_BUSY: u32 = 5;

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let database = error.as_database_error();
        let code = database.and_then(|e| e.code()).unwrap_or_default();
        match database.map(|e| e.kind()) {
            _ if matches!(&*code, "40001" | "40P01") => Self::Again,
            _ if code == OVERTAKEN => Self::Taken,
            Some(ErrorKind::UniqueViolation) => Self::Taken,
            _ => Self::Trouble(trouble(error)),
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Whether another holds SQLite's lock.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|e| e.code()).and_then(|code| of_sqlite(&code)) == Some(SQLITE_BUSY)
}

/// SQLite's primary code: the low byte of the number. PostgreSQL's SQLSTATEs are five characters.
fn of_sqlite(code: &str) -> Option<u32> {
    if code.len() == 5 { None } else { code.parse::<u32>().ok().map(|n| n & 0xff) }
}

pub(crate) fn trouble(error: sqlx::Error) -> Trouble {
    match &error {
        sqlx::Error::Io(cause) => Trouble::Unavailable(cause.kind().to_string()),
        sqlx::Error::Tls(_) => Trouble::Unavailable("TLS".into()),
        sqlx::Error::PoolTimedOut => Trouble::Unavailable("no connection in time".into()),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Trouble::Unavailable("closed".into()),
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default().into_owned();
            let at = database.constraint().or(database.table()).unwrap_or_default();
            told(&code, format!("database error {code} {at}").trim_end().to_owned())
        }
        sqlx::Error::ColumnDecode { index, .. } => Trouble::Failed(format!("column {index} has another type")),
        sqlx::Error::Migrate(cause) => Trouble::Failed(format!("migration: {cause}")),
        sqlx::Error::Protocol(_) => Trouble::Unavailable("the connection broke".into()),
        _ => Trouble::Failed("the database driver failed".into()),
    }
}

fn told(code: &str, text: String) -> Trouble {
    let class = code.get(..2).unwrap_or_default();
    // Shutting down, an I/O error; no way in; no room on the disk, in memory, or for another connection.
    let gone = matches!(code, "57P01" | "57P02" | "57P03" | "58030")
        || (code.len() == 5 && matches!(class, "08" | "28" | "53"));
    // Busy, locked, I/O error, full, cannot open.
    if gone || matches!(of_sqlite(code), Some(SQLITE_BUSY | 6 | 10 | 13 | 14)) {
        Trouble::Unavailable(text)
    } else if code == "57014" {
        Trouble::TooCostly
    } else {
        Trouble::Failed(text)
    }
}

pub(crate) fn corrupt(table: &'static str, row: impl ToString, why: impl ToString) -> Trouble {
    Trouble::Corrupt { table, row: row.to_string(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_for_now(code: &str) -> bool {
        matches!(told(code, String::new()), Trouble::Unavailable(_))
    }

    #[test]
    fn a_full_or_failing_disk_is_a_trouble_for_now() {
        for code in ["53100", "53200", "58030", "13", "778", "1034", "4874"] {
            assert!(is_for_now(code), "{code}");
        }
    }

    #[test]
    fn what_will_fail_again_is_none() {
        for code in ["22021", "23514", "42P01", "XX001", "1", "11", "19", ""] {
            assert!(!is_for_now(code), "{code}");
        }
    }
}
