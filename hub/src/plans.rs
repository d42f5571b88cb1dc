//! The plans there are: those shipped with the hub, and the site's own, which may replace them.

use std::path::Path;

use anyhow::{Context, bail};
use hub_domain::workflow::{BUILT_IN, Catalogue, Offered, canonical};
use schemas::outcome::Issue;

/// Reads all plans. A faulty one stops the start, with every fault and its path.
pub(crate) fn catalogue(site: Option<&Path>) -> anyhow::Result<Catalogue> {
    let mut plans = Vec::new();
    for (name, text) in site.map(files).transpose()?.unwrap_or_default() {
        plans.push(read(&name, &text)?);
    }
    let own: Vec<String> = plans.iter().map(|offered| canonical(&offered.plan.name).to_owned()).collect();
    for (name, text) in BUILT_IN {
        let built_in = read(name, text)?;
        if !own.iter().any(|url| url == canonical(&built_in.plan.name)) {
            plans.push(built_in);
        }
    }
    Catalogue::new(plans).map_err(|faults| anyhow::anyhow!("plans: {}", tell(&faults)))
}

fn read(name: &str, text: &str) -> anyhow::Result<Offered> {
    Offered::read(text).map_err(|faults| anyhow::anyhow!("plans: {name}: {}", tell(&faults)))
}

pub(crate) fn tell(faults: &[Issue]) -> String {
    let tell = |fault: &Issue| match fault.path.as_str() {
        "" => fault.text.clone(),
        path => format!("{path}: {}", fault.text),
    };
    faults.iter().map(tell).collect::<Vec<_>>().join("; ")
}

fn files(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let cannot = || format!("plans: {} cannot be read", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(cannot)? {
        paths.push(entry.with_context(cannot)?.path());
    }
    paths.sort();
    let mut files = Vec::new();
    for path in paths.into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "json")) {
        let text = std::fs::read_to_string(&path).with_context(|| format!("plans: {}", path.display()))?;
        files.push((path.display().to_string(), text));
    }
    if files.is_empty() {
        bail!("plans: {} holds no .json file", folder.display());
    }
    Ok(files)
}
