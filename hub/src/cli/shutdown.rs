//! The first signal drains, the second stops.

use std::process::ExitCode;

use crate::app::App;

/// Waits for the first signal, then closes the hub; a second one ends the process at once.
pub(super) async fn close_on_signal(app: App) -> ExitCode {
    signal().await;
    tracing::info!("draining: a second signal stops at once");
    close(app).await
}

pub(super) async fn close(app: App) -> ExitCode {
    tokio::select! {
        () = app.close() => ExitCode::SUCCESS,
        () = signal() => ExitCode::FAILURE,
    }
}

/// SIGINT or SIGTERM.
pub(super) async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
}
