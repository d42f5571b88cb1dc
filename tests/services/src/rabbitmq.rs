//! A RabbitMQ of its own.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::ports::free_port;
use crate::server::Server;

/// Not /usr/sbin/rabbitmq-server, which insists on one user and one data folder.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";
/// It takes about six seconds; on a busy machine longer.
const START_LIMIT: Duration = Duration::from_secs(90);
const READ_LIMIT: Duration = Duration::from_secs(2);

/// Short of memory or disk it blocks publishers, which is no business of a test.
const CONFIGURATION: &str = "\
listeners.tcp.default = 127.0.0.1:PORT
loopback_users.guest = true
disk_free_limit.absolute = 50MB
log.file.level = warning
";
/// A server that is killed again and again comes back sooner. It is no setting to be measured by: a full log is written to
/// other files, as far as it is not read yet, and under load this one is full every few seconds.
const SMALL_LOG: &str = "raft.wal_max_size_bytes = 33554432\n";

/// A RabbitMQ server without plugins; user and password are `guest`, from this machine only.
pub struct RabbitMq {
    folder: TempDir,
    port: u16,
    distribution_port: u16,
    epmd_port: u16,
    /// Erlang's register of nodes. Started by us, since one that the server starts would outlive it.
    epmd: Option<Server>,
    /// `None` between `kill` and `restart`.
    server: Option<Server>,
}

impl RabbitMq {
    /// # Panics
    /// With the reason, when it cannot be started: a test has nothing better to do.
    pub fn start() -> RabbitMq {
        RabbitMq::launch().unwrap_or_else(|why| panic!("no RabbitMQ: {why:#}"))
    }

    pub fn launch() -> Result<RabbitMq> {
        RabbitMq::launch_with(SMALL_LOG)
    }

    /// With these settings beside its own; otherwise it is as it comes.
    pub fn launch_with(settings: &str) -> Result<RabbitMq> {
        ensure!(Path::new(PROGRAM).exists(), "RabbitMQ is not installed: run tests/services/install");
        let mut rabbitmq = RabbitMq {
            folder: tempfile::Builder::new().prefix("hub-test-rabbitmq-").tempdir()?,
            port: free_port()?,
            distribution_port: free_port()?,
            epmd_port: free_port()?,
            epmd: None,
            server: None,
        };
        rabbitmq.configure(settings)?;
        rabbitmq.run_epmd()?;
        rabbitmq.run()?;
        Ok(rabbitmq)
    }

    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// As a power cut: what was confirmed is on disk, all else is gone.
    ///
    /// One exception, tried on 3.10.8: a quorum queue that is killed less than a second after it was declared comes
    /// back without its messages and without a leader, for ever. A test should give a new queue two seconds.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// Starts again on the same data and port; kills it first if it still runs.
    ///
    /// # Panics
    /// With the reason, when it does not start.
    pub fn restart(&mut self) {
        self.kill();
        self.run().unwrap_or_else(|why| panic!("RabbitMQ does not start again: {why:#}"));
    }

    /// Starts again on the same port with nothing in it: no queue, no message.
    ///
    /// # Panics
    /// With the reason, when it does not start.
    pub fn reset(&mut self) {
        self.kill();
        if let Err(why) = fs::remove_dir_all(self.data()) {
            panic!("RabbitMQ keeps its data: {why}");
        }
        self.run().unwrap_or_else(|why| panic!("RabbitMQ does not start again: {why:#}"));
    }

    /// Begins a new log, as it does when that is full, and writes what is not read yet of the old one to other files.
    pub fn roll_over(&self) -> Result<()> {
        let mut control = self.environment(CONTROL);
        control.args(["--quiet", "eval", "ra_log_wal:force_roll_over(ra_log_wal)."]);
        let done = control.output()?;
        ensure!(done.status.success(), "RabbitMQ begins no new log: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    fn configure(&self, settings: &str) -> Result<()> {
        let folder = self.folder.path();
        let own = CONFIGURATION.replace("PORT", &self.port.to_string());
        fs::write(folder.join("rabbitmq.conf"), own + settings)?;
        // An Erlang term: the empty list of plugins.
        fs::write(folder.join("enabled_plugins"), "[].\n")?;
        Ok(())
    }

    fn run_epmd(&mut self) -> Result<()> {
        let mut epmd = Command::new("epmd");
        epmd.args(["-address", "127.0.0.1", "-port"]).arg(self.epmd_port.to_string());
        let mut epmd = Server::start("epmd", &mut epmd, &self.folder.path().join("epmd.log"))?;
        epmd.wait_until(START_LIMIT, || TcpStream::connect(("127.0.0.1", self.epmd_port)).is_ok())?;
        self.epmd = Some(epmd);
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let mut server = Server::start("RabbitMQ", &mut self.command(), &self.folder.path().join("server.log"))?;
        server.wait_until(START_LIMIT, || speaks_amqp(self.port))?;
        self.server = Some(server);
        Ok(())
    }

    fn command(&self) -> Command {
        let folder = self.folder.path();
        let mut command = self.environment(PROGRAM);
        command
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", self.data())
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            // Its script then becomes the server instead of waiting for it, so the process we started is the server.
            .env("RUNNING_UNDER_SYSTEMD", "true");
        command
    }

    /// For the server, and for who talks to it.
    fn environment(&self, program: &str) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(program);
        command
            .current_dir(folder)
            .env("HOME", folder)
            // Otherwise the machine's own settings would come after ours.
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_NODENAME", format!("hub-test-{}@localhost", self.port))
            .env("ERL_EPMD_PORT", self.epmd_port.to_string());
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.kill();
        if let Some(mut epmd) = self.epmd.take() {
            epmd.kill();
        }
    }
}

/// The port opens last of all; an answer to the protocol's header is the proof.
fn speaks_amqp(port: u16) -> bool {
    let greeting = || -> std::io::Result<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(READ_LIMIT))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        Ok(first[0])
    };
    const METHOD_FRAME: u8 = 1;
    greeting().is_ok_and(|first| first == METHOD_FRAME)
}
