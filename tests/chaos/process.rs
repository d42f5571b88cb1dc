//! Programs that are started again whenever they end, as a site's supervisor does it.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Before a program that fell over is started again.
const PAUSE: Duration = Duration::from_millis(300);

/// What may be done to a program.
#[derive(Debug)]
enum Harm {
    /// SIGKILL, and started again after this.
    Kill(Duration),
    /// SIGSTOP, and SIGCONT after this: it does not know that time has passed.
    Stall(Duration),
}

/// A program that is kept running. It is killed when this is dropped.
pub(crate) struct Process {
    harm: mpsc::UnboundedSender<Harm>,
    kills: Arc<AtomicU32>,
    id: Arc<AtomicU32>,
}

impl Process {
    /// Starts it, its output into a file of this name.
    pub(crate) fn keep(name: &str, folder: &Path, make: impl Fn() -> Command + Send + 'static) -> Result<Self> {
        let log = File::options().create(true).append(true).open(folder.join(format!("{name}.log")))?;
        let (harm, harms) = mpsc::unbounded_channel();
        let (kills, id): (Arc<AtomicU32>, Arc<AtomicU32>) = Default::default();
        let known = id.clone();
        let start = move || {
            let mut command = make();
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?).kill_on_drop(true);
            let child = command.spawn().context("a program cannot be started")?;
            known.store(child.id().unwrap_or_default(), Ordering::SeqCst);
            Ok(child)
        };
        tokio::spawn(supervise(start, harms, kills.clone()));
        Ok(Self { harm, kills, id })
    }

    pub(crate) fn kill(&self, down: Duration) {
        let _ = self.harm.send(Harm::Kill(down));
    }

    pub(crate) fn stall(&self, time: Duration) {
        let _ = self.harm.send(Harm::Stall(time));
    }

    /// Of the process as it is now.
    pub(crate) fn id(&self) -> Option<u32> {
        Some(self.id.load(Ordering::SeqCst)).filter(|id| *id != 0)
    }

    /// How often it was killed.
    pub(crate) fn kills(&self) -> u32 {
        self.kills.load(Ordering::SeqCst)
    }
}

/// Ends with the [`Process`].
async fn supervise(
    start: impl Fn() -> Result<Child>,
    mut harms: mpsc::UnboundedReceiver<Harm>,
    kills: Arc<AtomicU32>,
) -> Result<()> {
    loop {
        let mut child = start()?;
        loop {
            tokio::select! {
                // A hub that starts while its database is away ends, and is started again.
                ended = child.wait() => {
                    ended?;
                    sleep(PAUSE).await;
                    break;
                }
                harm = harms.recv() => match harm {
                    Some(Harm::Kill(down)) => {
                        child.kill().await?;
                        kills.fetch_add(1, Ordering::SeqCst);
                        sleep(down).await;
                        break;
                    }
                    Some(Harm::Stall(time)) => {
                        signal(&child, "STOP").await?;
                        sleep(time).await;
                        signal(&child, "CONT").await?;
                    }
                    None => return Ok(child.kill().await?),
                },
            }
        }
    }
}

async fn signal(child: &Child, name: &str) -> Result<()> {
    if let Some(id) = child.id() {
        Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status().await?;
    }
    Ok(())
}
