//! A PostgreSQL of its own.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::ports::free_port;
use crate::server::Server;

const START_LIMIT: Duration = Duration::from_secs(30);

/// A PostgreSQL server with an empty cluster. Data is safe on disk (fsync is on), as in earnest.
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    owner: Option<Owner>,
    port: u16,
    /// What the server finds in its environment, beside ours.
    variables: Vec<(String, PathBuf)>,
    /// `name=value`
    settings: Vec<String>,
    /// `None` between `kill` and `restart`.
    server: Option<Server>,
}

/// PostgreSQL refuses to run as root; then it runs as the user that its package made.
#[derive(Clone, Copy)]
struct Owner {
    user: u32,
    group: u32,
}

impl Postgres {
    /// # Panics
    /// With the reason, when it cannot be started: a test has nothing better to do.
    pub fn start() -> Postgres {
        Postgres::start_in(&[])
    }

    /// With this in the server's environment, whenever it starts. It may run as another user, who must be able to read
    /// the files that are named.
    ///
    /// # Panics
    /// As `start`.
    pub fn start_in(variables: &[(&str, PathBuf)]) -> Postgres {
        Postgres::launch_in(variables).unwrap_or_else(|why| panic!("no PostgreSQL: {why:#}"))
    }

    pub fn launch() -> Result<Postgres> {
        Postgres::launch_in(&[])
    }

    /// With the settings of a configuration file, as far as they do not say where the server is, and more, as
    /// `name=value`.
    pub fn launch_with(file: &Path, more: Vec<String>) -> Result<Postgres> {
        let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let settings = text.lines().filter_map(|line| line.split('#').next()?.split_once('='));
        let settings = settings.map(|(name, value)| format!("{}={}", name.trim(), value.trim().trim_matches('\'')));
        let settings = settings.filter(|setting| !setting.starts_with("listen_addresses"));
        Postgres::launch_as(&[], settings.chain(more).collect())
    }

    fn launch_in(variables: &[(&str, PathBuf)]) -> Result<Postgres> {
        Postgres::launch_as(variables, Vec::new())
    }

    fn launch_as(variables: &[(&str, PathBuf)], settings: Vec<String>) -> Result<Postgres> {
        let folder = tempfile::Builder::new().prefix("hub-test-postgres-").tempdir()?;
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let (owner, port) = (owner(folder.path())?, free_port()?);
        let programs = programs()?;
        let mut postgres = Postgres { programs, owner, port, variables, settings, server: None, folder };
        postgres.make_cluster()?;
        postgres.run()?;
        Ok(postgres)
    }

    /// The database `postgres`, as its superuser.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Makes a database and tells its URL.
    ///
    /// # Panics
    /// When the server is down, or has a database of this name.
    pub fn create_database(&self, name: &str) -> String {
        let mut createdb = self.command("createdb");
        createdb.args(["-h", "127.0.0.1", "-U", "postgres", "-w", "-p"]).arg(self.port.to_string()).arg(name);
        succeed(&mut createdb).unwrap_or_else(|why| panic!("no database {name}: {why:#}"));
        self.url_of(name)
    }

    /// As a power cut: the server and its children end at once.
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
        self.run().unwrap_or_else(|why| panic!("PostgreSQL does not start again: {why:#}"));
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn make_cluster(&self) -> Result<()> {
        if let Some(owner) = self.owner {
            chown(self.folder.path(), Some(owner.user), Some(owner.group))?;
        }
        let mut initdb = self.command("initdb");
        // Not synced: a cluster that is lost before its first use is no loss.
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]).arg(self.data());
        succeed(&mut initdb)
    }

    fn run(&mut self) -> Result<()> {
        let mut postgres = self.command("postgres");
        postgres.envs(self.variables.iter().map(|(name, value)| (name, value)));
        postgres.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string());
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=on", "max_connections=200"] {
            postgres.args(["-c", setting]);
        }
        for setting in &self.settings {
            postgres.args(["-c", setting]);
        }
        let mut server = Server::start("PostgreSQL", &mut postgres, &self.folder.path().join("log"))?;
        let is_ready = || {
            let mut asked = self.command("pg_isready");
            asked.args(["-q", "-h", "127.0.0.1", "-p"]).arg(self.port.to_string());
            asked.status().is_ok_and(|status| status.success())
        };
        server.wait_until(START_LIMIT, is_ready)?;
        self.server = Some(server);
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(self.programs.join(Path::new(program.as_ref())));
        // The folder where the tests run may be closed to another user.
        command.current_dir(self.folder.path());
        if let Some(owner) = self.owner {
            command.gid(owner.group).uid(owner.user);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // Immediate shutdown: what is thrown away needs no checkpoint.
            server.end("QUIT");
        }
    }
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{}: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// A program that comes with the server, such as `pg_dump`.
///
/// # Panics
/// When PostgreSQL is not installed.
pub fn postgres_program(name: &str) -> Command {
    let programs = programs().unwrap_or_else(|why| panic!("no {name}: {why:#}"));
    Command::new(programs.join(name))
}

/// Debian keeps them outside of PATH, one folder for each version: the newest is taken.
fn programs() -> Result<PathBuf> {
    let version = |folder: &PathBuf| folder.file_name().and_then(OsStr::to_str).and_then(|name| name.parse().ok());
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = installed.max_by_key(|folder| version(folder).unwrap_or(0_u32)).map(|folder| folder.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = newest.into_iter().chain(std::env::split_paths(&path));
    folders
        .find(|folder| folder.join("initdb").is_file())
        .context("PostgreSQL is not installed: run tests/services/install")
}

/// `None` when we are no root, and it may run as us. Whoever owns a folder that we just made is us.
fn owner(our_folder: &Path) -> Result<Option<Owner>> {
    if our_folder.metadata()?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let postgres = users.lines().find(|line| line.starts_with("postgres:")).context("there is no user postgres")?;
    let mut ids = postgres.split(':').skip(2).map(str::parse);
    match (ids.next(), ids.next()) {
        (Some(Ok(user)), Some(Ok(group))) => Ok(Some(Owner { user, group })),
        _ => bail!("/etc/passwd does not say who postgres is"),
    }
}
