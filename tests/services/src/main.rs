//! `services run -- COMMAND...`: runs a command beside a throw-away PostgreSQL and RabbitMQ.
//!
//! The command finds their URLs in `HUB_TEST_POSTGRES` and `HUB_TEST_AMQP`. Where one of these is set already, that
//! server is used and none is started. The command's exit code is ours; a signal is passed on to it, and whatever
//! happens, the servers end after it.

#![expect(clippy::print_stderr, reason = "a command line program speaks to whoever runs it")]

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use anyhow::{Context, Result, bail};
use services::{AMQP_VARIABLE, POSTGRES_VARIABLE, Postgres, RabbitMq};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match command() {
        Ok(command) => run(command).await,
        Err(why) => Err(why),
    };
    result.unwrap_or_else(|why| {
        eprintln!("services: {why:#}");
        ExitCode::from(2)
    })
}

fn command() -> Result<Command> {
    let mut arguments = std::env::args_os().skip(1);
    let begins_well = arguments.next().is_some_and(|it| it == "run") && arguments.next().is_some_and(|it| it == "--");
    match (begins_well, arguments.next()) {
        (true, Some(program)) => {
            let mut command = Command::new(program);
            command.args(arguments);
            Ok(command)
        }
        _ => bail!("usage: services run -- COMMAND..."),
    }
}

async fn run(mut command: Command) -> Result<ExitCode> {
    // From here on a signal does not end us, so it cannot leave a server behind.
    let mut signals = Signals::listen()?;
    let rabbitmq = spawn_blocking(|| unless_given(AMQP_VARIABLE, RabbitMq::launch));
    let postgres = spawn_blocking(|| unless_given(POSTGRES_VARIABLE, Postgres::launch));
    // Both are awaited before either may fail: one that is still starting must be ended too.
    let (rabbitmq, postgres) = (rabbitmq.await?, postgres.await?);
    let (rabbitmq, postgres) = (rabbitmq?, postgres?);
    if let Some(server) = &rabbitmq {
        command.env(AMQP_VARIABLE, server.url());
    }
    if let Some(server) = &postgres {
        command.env(POSTGRES_VARIABLE, server.url());
    }
    let child = command.spawn().with_context(|| format!("cannot start {:?}", command.as_std().get_program()))?;
    let status = signals.pass_on_until_end(child).await?;
    Ok(exit_code(status))
}

fn unless_given<T>(variable: &str, launch: fn() -> Result<T>) -> Result<Option<T>> {
    let given = std::env::var_os(variable).filter(|url| *url != OsString::new());
    if given.is_some() { Ok(None) } else { launch().map(Some) }
}

/// As a shell says it: 128 and the number of the signal that ended it.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|number| 128 + number)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Signals> {
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn pass_on_until_end(&mut self, mut child: Child) -> Result<ExitStatus> {
        loop {
            let name = tokio::select! {
                status = child.wait() => return Ok(status?),
                _ = self.interrupt.recv() => "INT",
                _ = self.terminate.recv() => "TERM",
            };
            if let Some(process) = child.id() {
                Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status().await?;
            }
        }
    }
}
