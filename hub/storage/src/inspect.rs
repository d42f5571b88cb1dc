//! A look at a database that changes nothing, for whoever asks why a hub does not start or lags behind.

use std::path::PathBuf;
use std::str::FromStr;

use hub_domain::registry::{Figures, Trouble};
use schemas::time::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;

use crate::{Options, postgres, schema, sqlite};

/// What a look showed.
#[derive(Debug)]
pub struct Inspection {
    /// The database's name and version.
    pub version: String,
    /// The database's time; none where that is this machine's.
    pub now: Option<Timestamp>,
    pub schema: Schema,
    /// None when the tables cannot be read by this program.
    pub figures: Option<Figures>,
}

/// How the tables stand to this program, by the numbers of migrations.
#[derive(Debug)]
pub struct Schema {
    /// Not there yet. They run when a hub starts.
    pub missing: Vec<i64>,
    /// A newer hub's.
    pub unknown: Vec<i64>,
    /// There, but with another text than here, or begun and not ended.
    pub broken: Vec<i64>,
    /// Why this program is too old for them.
    pub outdated: Option<Trouble>,
}

/// Looks at the database at `url`. `None`: it is a SQLite file that is not there yet, or in another process's memory.
pub async fn inspect(url: &str, options: &Options) -> Result<Option<Inspection>, Trouble> {
    if !url.starts_with("sqlite:") {
        return postgres::inspect::look(url, options).await.map(Some);
    }
    match file(url).filter(|path| path.exists()) {
        Some(_) => sqlite::inspect::look(url, options).await.map(Some),
        None => Ok(None),
    }
}

/// The file of a database that is one.
pub fn file(url: &str) -> Option<PathBuf> {
    let in_memory = url == "sqlite:" || url.contains(":memory:") || url.contains("mode=memory");
    let options = SqliteConnectOptions::from_str(url).ok().filter(|_| url.starts_with("sqlite:") && !in_memory)?;
    Some(options.get_filename().to_owned())
}

/// One migration that was run, as sqlx keeps it.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Applied {
    version: i64,
    description: String,
    success: bool,
    checksum: Vec<u8>,
}

pub(crate) const APPLIED: &str =
    "-- inspect_migrations\nSELECT version, description, success, checksum FROM _sqlx_migrations ORDER BY version";

impl Schema {
    pub(crate) fn of(migrations: &Migrator, applied: &[Applied]) -> Self {
        let known = |version: i64| migrations.iter().find(|migration| migration.version == version);
        let is_missing = |version: &i64| !applied.iter().any(|one| one.version == *version);
        let is_broken =
            |one: &&Applied| !one.success || known(one.version).is_some_and(|ours| *ours.checksum != *one.checksum);
        let versions = |all: Vec<&Applied>| all.into_iter().map(|one| one.version).collect();
        let descriptions: Vec<String> = applied.iter().map(|one| one.description.clone()).collect();
        Self {
            missing: migrations.iter().map(|migration| migration.version).filter(is_missing).collect(),
            unknown: versions(applied.iter().filter(|one| known(one.version).is_none()).collect()),
            broken: versions(applied.iter().filter(is_broken).collect()),
            outdated: schema::suits(migrations, &descriptions).err(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(version: i64, success: bool, checksum: &[u8]) -> Applied {
        Applied { version, description: "a step".to_owned(), success, checksum: checksum.to_vec() }
    }

    #[test]
    fn each_migration_is_missing_unknown_broken_or_well() {
        let ours = sqlx::migrate!("migrations/sqlite");
        let all: Vec<Applied> = ours.iter().map(|one| applied(one.version, true, &one.checksum)).collect();
        let well = Schema::of(&ours, &all);
        assert!(well.missing.is_empty() && well.unknown.is_empty() && well.broken.is_empty());
        assert!(well.outdated.is_none());
        assert_eq!(Schema::of(&ours, &[]).missing.first(), Some(&1), "an empty database lacks all");
        let odd = Schema::of(&ours, &[applied(1, true, b"another text"), applied(9_999, false, b"")]);
        assert_eq!((odd.unknown, odd.broken), (vec![9_999], vec![1, 9_999]));
    }

    #[test]
    fn only_a_file_is_a_file() {
        assert_eq!(file("sqlite:hub.db"), Some("hub.db".into()));
        assert_eq!(file("sqlite:///var/hub.db?cache=private"), Some("/var/hub.db".into()));
        for url in ["sqlite:", "sqlite::memory:", "sqlite://x?mode=memory", "postgres://h/d"] {
            assert_eq!(file(url), None, "{url}");
        }
    }
}
