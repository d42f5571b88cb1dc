//! A process that we started, and therefore may end.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const LOOK_EVERY: Duration = Duration::from_millis(50);
const END_LIMIT: Duration = Duration::from_secs(10);
/// Of a log, this much says what went wrong.
const LOG_TAIL_LINES: usize = 20;

pub(crate) struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts it in a process group of its own, so that Ctrl-C reaches the tests first and the server only through us.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Server> {
        let output = File::options().create(true).append(true).open(log)?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Server { name, child, log: log.to_owned() })
    }

    pub(crate) fn wait_until(&mut self, limit: Duration, is_ready: impl Fn() -> bool) -> Result<()> {
        let begun = Instant::now();
        while !is_ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, self.log_tail());
            }
            if begun.elapsed() > limit {
                bail!("{} is not ready after {} s:\n{}", self.name, limit.as_secs(), self.log_tail());
            }
            sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// SIGKILL for it and its children, as a power cut would.
    pub(crate) fn kill(&mut self) {
        // Its own end may be all that its children wait for, so they are looked up before.
        let children = children_of(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        for child in &children {
            signal(*child, "KILL");
        }
        let begun = Instant::now();
        while children.iter().any(|child| is_alive(*child)) && begun.elapsed() < END_LIMIT {
            sleep(LOOK_EVERY);
        }
    }

    /// Asks it to end, and kills it when it does not.
    pub(crate) fn end(&mut self, by_signal: &str) {
        signal(self.child.id(), by_signal);
        let begun = Instant::now();
        while begun.elapsed() < END_LIMIT {
            match self.child.try_wait() {
                Ok(None) => sleep(LOOK_EVERY),
                _ => return,
            }
        }
        self.kill();
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

fn signal(process: u32, name: &str) {
    // It may have ended by itself: nothing to say about that.
    let _ = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).stderr(Stdio::null()).status();
}

/// PostgreSQL's children lead sessions of their own, so no process group has them all. Where there is no /proc they
/// are not found; they end by themselves a little later.
fn children_of(parent: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id| stat(*id).is_some_and(|(_, of)| of == parent)).collect()
}

fn is_alive(process: u32) -> bool {
    // A zombie is dead, only not collected by whoever inherited it.
    stat(process).is_some_and(|(state, _)| state != 'Z')
}

/// State and parent of a process: the two fields after its name, which stands in brackets and may hold anything.
fn stat(process: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
