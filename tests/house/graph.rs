//! The packages there are and who uses whom, as cargo knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The whole graph of packages, ours and others'.
pub(crate) struct Graph {
    metadata: Value,
}

impl Graph {
    /// Of what is locked, for this kind of machine: nothing is fetched.
    pub(crate) fn read() -> Self {
        let arguments = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform"];
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(arguments).arg(host()).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { metadata: serde_json::from_slice(&output.stdout).unwrap() }
    }

    pub(crate) fn packages(&self) -> &[Value] {
        self.metadata["packages"].as_array().unwrap()
    }

    /// Of each package of the workspace, those it names as dependencies (not: for its tests).
    pub(crate) fn ours(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let members = self.metadata["workspace_members"].as_array().unwrap();
        let ours = self.packages().iter().filter(|package| members.contains(&package["id"]));
        ours.map(|package| (package["name"].as_str().unwrap(), named(package))).collect()
    }

    /// All that a package uses, directly or not, when it runs.
    pub(crate) fn reach(&self, name: &str) -> BTreeSet<&str> {
        let nodes = self.metadata["resolve"]["nodes"].as_array().unwrap();
        let ours = self.packages().iter().find(|package| package["name"] == name && package["source"].is_null());
        let mut open = vec![ours.unwrap()["id"].as_str().unwrap()];
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                let node = nodes.iter().find(|node| node["id"] == id).unwrap();
                let used = node["deps"].as_array().unwrap().iter().filter(|dep| is_for_running(dep));
                open.extend(used.map(|dep| dep["pkg"].as_str().unwrap()));
            }
        }
        let reached = self.packages().iter().filter(|package| seen.contains(package["id"].as_str().unwrap()));
        reached.map(|package| package["name"].as_str().unwrap()).collect()
    }
}

fn named(package: &Value) -> BTreeSet<&str> {
    let all = package["dependencies"].as_array().unwrap().iter();
    all.filter(|dep| dep["kind"].is_null()).map(|dep| dep["name"].as_str().unwrap()).collect()
}

fn is_for_running(dep: &Value) -> bool {
    dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}
