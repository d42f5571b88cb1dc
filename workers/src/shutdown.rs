//! How a worker ends: the first signal drains, the second stops.

use std::io;

use tokio_util::sync::CancellationToken;

/// Two switches, to be thrown in this order.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Take no new work; finish what was granted.
    pub drain: CancellationToken,
    /// Leave even that. What was granted stays ours in the hub until its lease lapses.
    pub stop: CancellationToken,
}

impl Shutdown {
    /// Thrown by SIGINT and SIGTERM.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::default();
        let mut signals = Signals::listen()?;
        let switches = shutdown.clone();
        tokio::spawn(async move {
            signals.next().await;
            tracing::info!("draining: what was granted is finished; a second signal stops");
            switches.drain.cancel();
            signals.next().await;
            tracing::warn!("stopping: work in hand is left");
            switches.stop.cancel();
        });
        Ok(shutdown)
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! { _ = self.interrupt.recv() => {}, _ = self.terminate.recv() => {} }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // Where even Ctrl-C cannot be heard, nobody can ask for the end.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
