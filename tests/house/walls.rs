//! Who may know whom. An arrow that is not in this table is a decision of its own (`docs/decisions/`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::graph::Graph;

/// Of each package, those of ours that it may use.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("schemas", &[]),
    ("hub-fhirpath", &["schemas"]),
    ("hub-domain", &["schemas", "hub-fhirpath"]),
    ("hub-storage", &["schemas", "hub-domain"]),
    ("hub-transport", &["schemas"]),
    ("hub-telemetry", &[]),
    // The workers only to run simulated fillers beside the hub.
    ("hub", &["schemas", "hub-domain", "hub-fhirpath", "hub-storage", "hub-transport", "hub-telemetry", "workers"]),
    ("workers", &["schemas", "hub-transport", "hub-telemetry"]),
    ("services", &[]),
    ("fuzz", &["schemas", "hub-domain", "hub-fhirpath"]),
    ("micro", &["schemas", "hub-domain", "hub-fhirpath"]),
    (
        "tests",
        &["schemas", "hub-domain", "hub-storage", "hub-transport", "hub-telemetry", "hub", "workers", "services"],
    ),
];

/// What a package must not reach, not even through others.
const MUST_NEVER_KNOW: [(&str, &[&str]); 7] = [
    ("schemas", &["tokio", "sqlx", "lapin", "axum", "reqwest"]),
    ("hub-fhirpath", &["tokio", "sqlx", "lapin", "axum", "reqwest"]),
    ("hub-domain", &["tokio", "sqlx", "lapin", "axum", "reqwest"]),
    ("hub-storage", &["axum", "lapin"]),
    ("hub-transport", &["axum", "sqlx"]),
    ("hub-telemetry", &["axum", "sqlx", "lapin"]),
    // A worker never sees the database.
    ("workers", &["sqlx", "axum", "hub-domain", "hub-storage"]),
];

/// The modules of the domain's `workflows` that are national services.
const REALMS: [&str; 4] = ["eps", "erp", "ers", "psu"];

#[test]
fn no_arrow_leads_through_a_wall() {
    let graph = Graph::read();
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    let ours: BTreeSet<&str> = allowed.keys().copied().collect();
    for (package, uses) in graph.ours() {
        let may = allowed.get(package).unwrap_or_else(|| panic!("{package} is not in the table of walls"));
        let others: Vec<&&str> = uses.iter().filter(|used| ours.contains(**used) && !may.contains(used)).collect();
        assert!(others.is_empty(), "{package} must not use {others:?}");
    }
}

#[test]
fn no_package_reaches_what_it_must_never_know() {
    let graph = Graph::read();
    for (package, unknown) in MUST_NEVER_KNOW {
        let reach = graph.reach(package);
        let known: Vec<&&str> = unknown.iter().filter(|name| reach.contains(**name)).collect();
        assert!(known.is_empty(), "{package} reaches {known:?}");
    }
}

#[test]
fn the_graph_shows_what_is_there() {
    let graph = Graph::read();
    let reach = graph.reach("hub");
    assert!(["tokio", "axum", "sqlx", "lapin", "hub-domain"].iter().all(|name| reach.contains(name)), "{reach:?}");
}

/// It has the list of events, and of the realms whose they are it knows nothing.
#[test]
fn the_message_interface_names_no_realm() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../hub/src/interfaces/fhir/messaging");
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap().to_lowercase();
        let named = text.split(|letter: char| !letter.is_alphabetic()).find(|word| REALMS.contains(word));
        assert_eq!(named, None, "{}", file.display());
    }
}

/// Each is told by `/metadata`, since `doors.rs` takes none without a word.
#[test]
fn every_route_of_fhir_is_a_door() {
    let mut folders = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/../hub/src/interfaces/fhir").into()];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let routes = |file: &&PathBuf| std::fs::read_to_string(file).unwrap().contains(".route(");
    let with_routes: Vec<&str> =
        files.iter().filter(routes).map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(with_routes, ["doors.rs"]);
}
