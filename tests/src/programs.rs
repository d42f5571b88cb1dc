//! The programs that are measured and harmed, wherever they were built.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use tokio::process::Command;

/// Where `hub` and `worker` are.
#[derive(Debug, Clone)]
pub struct Programs(PathBuf);

impl Programs {
    /// In this folder, or beside this program.
    pub fn at(folder: Option<PathBuf>) -> Result<Self> {
        let beside = || Ok::<_, anyhow::Error>(std::env::current_exe()?.parent().unwrap_or(Path::new(".")).to_owned());
        let folder = folder.map_or_else(beside, Ok)?;
        for name in ["hub", "worker"] {
            let program = folder.join(name);
            ensure!(program.is_file(), "there is no {}: cargo build --release --workspace --bins", program.display());
        }
        Ok(Self(folder))
    }

    /// One of them, with nothing of what whoever runs this has set for a hub of their own.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.0.join(name));
        for (variable, _) in std::env::vars_os() {
            let text = variable.to_string_lossy();
            if ["HUB_", "WORKER_", "OTEL_"].iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&variable);
            }
        }
        command
    }
}
