//! Which hubs a schema is for.
//!
//! A schema changes in two steps, so that an older and a newer hub may run side by side. A migration *expands*: it adds
//! what the older hub does not miss. When no hub is left that does not know it, a migration of a later release
//! *contracts*: it takes away what only those needed. That one is called `<number>_contract_<number of the step that it
//! closes>_<what>.sql`; its name is in the database with it, and tells every hub what it must know.

use hub_domain::registry::Trouble;
use sqlx::migrate::Migrator;

/// The migrations that a database has, as sqlx keeps them: the name of a file, with blanks.
pub(crate) const APPLIED: &str = "-- applied_migrations\nSELECT description FROM _sqlx_migrations";

/// The migrations of this program. Those that it does not know are a newer hub's.
pub(crate) fn known(mut migrations: Migrator) -> Migrator {
    migrations.set_ignore_missing(true);
    migrations
}

/// Whether a program with these migrations may run on a database that has `applied` ones.
pub(crate) fn suits(migrations: &Migrator, applied: &[String]) -> Result<(), Trouble> {
    let known = migrations.iter().map(|migration| migration.version).max().unwrap_or(0);
    let needed = applied.iter().filter_map(|description| closes(description)).max().unwrap_or(0);
    if needed > known { Err(Trouble::Outdated { known, needed }) } else { Ok(()) }
}

/// The step that a migration closes, when it contracts.
fn closes(description: &str) -> Option<i64> {
    description.strip_prefix("contract ")?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contraction_is_for_those_who_know_what_it_closes() {
        let ours = sqlx::migrate!("migrations/sqlite");
        let known = ours.iter().map(|migration| migration.version).max().unwrap_or(0);
        let with = |last: String| suits(&ours, &["registry".to_owned(), last]);
        assert!(with("a column more".to_owned()).is_ok(), "one step ahead");
        assert!(with(format!("contract {known:04} the old column")).is_ok(), "closed by a newer hub, and known here");
        let refused = with(format!("contract {:04} the old column", known + 1));
        assert!(matches!(refused, Err(Trouble::Outdated { needed, .. }) if needed == known + 1), "{refused:?}");
        assert!(with("contract of employment".to_owned()).is_ok(), "it names no step");
    }
}
