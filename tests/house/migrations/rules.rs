//! What a migration may do beside hubs that do not know it. Whatever is not known to be harmless is refused.

use std::collections::BTreeSet;

/// What is wrong with a migration that expands: each statement that an older hub may not survive, and why.
pub(super) fn faults(sql: &str) -> Vec<String> {
    let statements = statements(sql);
    // Tables, and columns as `TABLE.COLUMN`: no older hub knows them.
    let new: BTreeSet<String> = statements.iter().filter_map(|statement| created(statement)).collect();
    let fault = |statement: &String| Some(format!("{}: {statement}", fault_of(statement, &new)?));
    statements.iter().filter_map(fault).collect()
}

/// In capitals, without comments, with one blank between two words and nothing in the quotes.
fn statements(sql: &str) -> Vec<String> {
    let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    let plain: String = lines.collect::<Vec<_>>().join("\n");
    let bare: String = plain.split('\'').step_by(2).collect::<Vec<_>>().join("''");
    let spaced = bare.replace('(', " ( ").replace(')', " ) ").replace(',', " , ").to_uppercase();
    let mut all: Vec<String> = Vec::new();
    for part in spaced.split(';') {
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        match all.last_mut() {
            // The body of a trigger has semicolons of its own.
            Some(open) if open.starts_with("CREATE TRIGGER") && !open.ends_with(" END") => {
                open.push_str("; ");
                open.push_str(&part);
            }
            _ => all.push(part),
        }
    }
    all.retain(|statement| !statement.is_empty());
    all
}

fn created(statement: &str) -> Option<String> {
    match statement.split(' ').collect::<Vec<_>>()[..] {
        ["CREATE", "TABLE", "IF", "NOT", "EXISTS", table, ..] | ["CREATE", "TABLE", table, ..] => {
            Some(table.to_owned())
        }
        ["ALTER", "TABLE", table, "ADD", "COLUMN", column, ..] => Some(format!("{table}.{column}")),
        _ => None,
    }
}

fn fault_of(statement: &str, new: &BTreeSet<String>) -> Option<&'static str> {
    let words: Vec<&str> = statement.split(' ').collect();
    let word = |n: usize| words.get(n).copied().unwrap_or_default();
    let after = |name: &str| words.iter().position(|word| *word == name).map_or("", |at| word(at + 1));
    match (word(0), word(1)) {
        ("CREATE", "TABLE") => None,
        ("CREATE", "INDEX" | "UNIQUE") if new.contains(after("ON")) => None,
        ("CREATE", "UNIQUE") => Some("an older hub writes what a new uniqueness forbids"),
        // It waits for every open transaction, and so for the hub that waits for this migration.
        ("CREATE", "INDEX") if words.contains(&"CONCURRENTLY") => Some("two hubs that start wait for each other"),
        ("CREATE", "INDEX") => None,
        ("CREATE", "TRIGGER") if words.contains(&"RAISE") => Some("a trigger refuses what an older hub writes"),
        ("CREATE", "TRIGGER") => None,
        ("SET", "LOCAL") => None,
        ("INSERT", "INTO") | ("ALTER", "TABLE") if new.contains(word(2)) => None,
        ("ALTER", "TABLE") => altered(words.get(3..).unwrap_or_default()),
        ("UPDATE", table) if new.contains(table) => None,
        ("UPDATE", table) if assigned(&words).all(|column| new.contains(&format!("{table}.{column}"))) => None,
        ("UPDATE", _) => Some("an older hub reads what is changed"),
        ("DROP", _) => Some("an older hub still uses what is dropped"),
        ("DELETE", _) | ("TRUNCATE", _) => Some("an older hub still needs the rows"),
        _ => Some("not known to be harmless: if it is, say so in these rules"),
    }
}

/// The columns that an UPDATE gives a value.
fn assigned<'s>(words: &'s [&'s str]) -> impl Iterator<Item = &'s str> {
    let end = words.iter().position(|word| *word == "WHERE").unwrap_or(words.len());
    let is_named = |three: &&[&str]| matches!(three, ["SET" | ",", _, "="]);
    words[..end].windows(3).filter(is_named).map(|three| three[1])
}

/// What is done to a table that is there already.
fn altered(action: &[&str]) -> Option<&'static str> {
    let has = |name: &str| action.contains(&name);
    match action {
        ["ADD", "CONSTRAINT" | "UNIQUE" | "CHECK" | "FOREIGN" | "PRIMARY" | "EXCLUDE", ..] => {
            Some("an older hub writes what a new constraint forbids")
        }
        ["ADD", ..] if ["UNIQUE", "CHECK", "REFERENCES", "PRIMARY"].into_iter().any(has) => {
            Some("an older hub writes what a new constraint forbids")
        }
        ["ADD", ..] if has("NOT") && !has("DEFAULT") => Some("an older hub does not fill the new column"),
        ["ADD", rest @ ..] if rest.contains(&"ADD") || rest.contains(&"DROP") || rest.contains(&"ALTER") => {
            Some("one change to a statement, so that each can be looked at")
        }
        ["ADD", "COLUMN", ..] => None,
        ["SET" | "RESET", "(", ..] => None,
        ["ALTER", "COLUMN", _, "SET", "DEFAULT" | "STORAGE" | "STATISTICS", ..] => None,
        ["ALTER", "COLUMN", _, "SET", "NOT", ..] => Some("an older hub leaves the column empty"),
        ["ALTER", "COLUMN", _, "TYPE", ..] | ["ALTER", "COLUMN", _, "SET", "DATA", ..] => {
            Some("an older hub reads and writes another type")
        }
        ["DROP", ..] | ["RENAME", ..] => Some("an older hub still uses the old name"),
        _ => Some("not known to be harmless: if it is, say so in these rules"),
    }
}

#[test]
fn what_only_adds_is_harmless() {
    for good in [
        "-- DROP TABLE head;\nSET LOCAL lock_timeout = '5s';",
        "ALTER TABLE receipt ADD COLUMN at BIGINT; CREATE INDEX receipt_at ON receipt (at);",
        "ALTER TABLE receipt ADD COLUMN at BIGINT NOT NULL DEFAULT 0;",
        "ALTER TABLE outbox SET (autovacuum_vacuum_threshold = 1000);",
        "ALTER TABLE version ALTER COLUMN body SET STORAGE EXTERNAL;",
        "ALTER TABLE receipt ADD COLUMN why TEXT DEFAULT 'UNIQUE; DROP TABLE head';",
        "CREATE TABLE t (id INTEGER NOT NULL UNIQUE); CREATE UNIQUE INDEX i ON t(id); INSERT INTO t VALUES (1);",
        "ALTER TABLE receipt ADD COLUMN at BIGINT; UPDATE receipt SET at = max(1, 2) WHERE key = '';",
        "CREATE TABLE IF NOT EXISTS t (a TEXT); ALTER TABLE t ADD CHECK (a <> ''); UPDATE t SET a = 'b';",
        "CREATE TRIGGER d AFTER INSERT ON receipt BEGIN UPDATE receipt SET at = 1; SELECT 1; END;",
    ] {
        assert_eq!(faults(good), Vec::<String>::new());
    }
}

#[test]
fn what_a_running_older_hub_does_not_survive_is_refused() {
    for bad in [
        "DROP TABLE receipt;",
        "DROP INDEX task_status;",
        "ALTER TABLE task DROP COLUMN grouped;",
        "ALTER TABLE task RENAME COLUMN grouped TO \"group\";",
        "ALTER TABLE task RENAME TO work;",
        "alter table task alter column open type boolean using open = 1;",
        "ALTER TABLE task ALTER COLUMN open SET DATA TYPE BOOLEAN;",
        "ALTER TABLE task ALTER COLUMN owner SET NOT NULL;",
        "ALTER TABLE task ALTER COLUMN priority DROP DEFAULT;",
        "ALTER TABLE task ADD COLUMN place TEXT NOT NULL;",
        "ALTER TABLE task ADD COLUMN a TEXT, DROP COLUMN grouped;",
        "ALTER TABLE task ADD COLUMN place TEXT UNIQUE;",
        "ALTER TABLE task ADD COLUMN place TEXT REFERENCES place (id);",
        "ALTER TABLE task ADD COLUMN place TEXT CHECK(place <> '');",
        "ALTER TABLE task ADD CONSTRAINT c CHECK (version > 0);",
        "ALTER TABLE task ADD UNIQUE (owner);",
        "ALTER TABLE task ADD FOREIGN KEY (root) REFERENCES head;",
        "CREATE UNIQUE INDEX i ON task (owner);",
        "CREATE INDEX CONCURRENTLY i ON task (owner);",
        "UPDATE task SET open = 2;",
        "ALTER TABLE task ADD COLUMN place TEXT; UPDATE task SET place = owner, open = 2;",
        "DELETE FROM receipt;",
        "TRUNCATE receipt;",
        "CREATE TRIGGER t BEFORE INSERT ON task BEGIN SELECT RAISE(ABORT, 'no'); END;",
        "REVOKE INSERT ON task FROM hub;",
        "CREATE TABLE t (a TEXT); DROP TABLE task;",
    ] {
        assert_eq!(faults(bad).len(), 1, "{bad}");
    }
}
