//! What it was measured on.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

const SYNCS: u32 = 200;
/// As much as PostgreSQL writes at least.
const PAGE: [u8; 8192] = [7; 8192];

/// A machine, as far as it decides about figures.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    kernel: String,
    memory_mb: u64,
    /// To have a page safe on the disk on which the databases lie.
    fsync_ms: f64,
    postgres: String,
    rabbitmq: String,
}

impl Machine {
    pub(crate) fn here(folder: &Path) -> Result<Self> {
        let mut postgres = services::postgres_program("postgres");
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            memory_mb: memory_mb().unwrap_or(0),
            fsync_ms: fsync_ms(folder)?,
            postgres: said(postgres.arg("--version")),
            rabbitmq: rabbitmq_version().unwrap_or_else(|| "unknown".to_owned()),
        })
    }

    pub(crate) fn line(&self) -> String {
        format!(
            "{} cores, {} MB, Linux {}, {:.2} ms for an fsync of 8 kB, {}, RabbitMQ {}",
            self.cores, self.memory_mb, self.kernel, self.fsync_ms, self.postgres, self.rabbitmq
        )
    }
}

pub(crate) fn memory_mb() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1000)
}

/// The mean over a file that grows, as a log does.
fn fsync_ms(folder: &Path) -> Result<f64> {
    let mut file = File::create(folder.join("fsync"))?;
    let begun = Instant::now();
    for _ in 0..SYNCS {
        file.write_all(&PAGE)?;
        file.sync_data()?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1000.0 / f64::from(SYNCS))
}

fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    output.unwrap_or_else(|_| "unknown".to_owned())
}

/// By the name of its folder, since its programs want a node to ask.
fn rabbitmq_version() -> Option<String> {
    let installed =
        fs::read_dir("/usr/lib/rabbitmq/lib").ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    installed.filter_map(|name| name.strip_prefix("rabbitmq_server-").map(str::to_owned)).max()
}
