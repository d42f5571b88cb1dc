//! The programs `hub` and `worker` in processes of their own, which a story may kill.

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::parts::leave_out;
use crate::rest::Client;
use crate::wait::eventually;
use crate::world::World;

/// A running program. It is killed when it is dropped. A hub speaks as its [`Client`].
pub struct Program {
    child: Child,
    log: PathBuf,
    client: Client,
}

impl Deref for Program {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Program {
    /// Whether the programs are built; when not, what is left out is said.
    pub fn are_built() -> bool {
        let missing = ["hub", "worker"].into_iter().find(|name| !path(name).is_file());
        if let Some(name) = missing {
            let text =
                "stories with programs: there is no program {name} (cargo build --profile tests --bins makes it)";
            leave_out(&text.replace("{name}", name));
        }
        missing.is_none()
    }

    /// Whether there are programs that die where they are told to; when not, what is left out is said.
    pub fn are_built_faulty() -> bool {
        let is_built = faulty("hub").is_file();
        if !is_built {
            leave_out(&format!("stories with programs that die where they are told to ({FAULTY_VARIABLE} is not set)"));
        }
        is_built
    }

    /// Runs a program to its end: its exit code, its output and its errors.
    pub async fn run(name: &str, arguments: &[&str]) -> (i32, String, String) {
        let output = command(name).args(arguments).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    pub(crate) async fn hub(world: &World, arguments: &[&str]) -> Self {
        Self::hub_in(world, &[], arguments).await
    }

    /// A hub with this in its environment.
    pub async fn hub_in(world: &World, variables: &[(&str, PathBuf)], arguments: &[&str]) -> Self {
        let mut hub = command("hub");
        hub.envs(variables.iter().map(|(name, value)| (name, value)));
        Self::serve(hub, world, arguments).await
    }

    async fn serve(mut hub: Command, world: &World, arguments: &[&str]) -> Self {
        hub.args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]);
        hub.args(["--database", &world.database, "--queue", &world.queue]).args(arguments);
        let mut hub = Self::start(hub, world.folder());
        let ready = async || hub.says("the hub is ready").and_then(|line| line["listen"].as_str().map(str::to_owned));
        let address = eventually("the hub is ready", ready).await;
        hub.client = Client::new(format!("http://{address}/fhir/R4"));
        hub
    }

    /// A hub that does what `HUB_FAULT` says; see `hub/storage/src/faults.rs` and its sister in the transport.
    pub async fn faulty_hub(world: &World, fault: &str, arguments: &[&str]) -> Self {
        let mut hub = Command::new(faulty("hub"));
        hub.env("HUB_FAULT", fault);
        Self::serve(hub, world, arguments).await
    }

    pub fn worker(world: &World, arguments: &[&str]) -> Self {
        Self::work(command("worker"), world, arguments)
    }

    /// A worker that does what `HUB_FAULT` says.
    pub fn faulty_worker(world: &World, fault: &str, arguments: &[&str]) -> Self {
        let mut worker = Command::new(faulty("worker"));
        worker.env("HUB_FAULT", fault);
        Self::work(worker, world, arguments)
    }

    fn work(mut worker: Command, world: &World, arguments: &[&str]) -> Self {
        worker.args(["--queue", &world.queue, "--pace", "5ms"]).args(arguments);
        Self::start(worker, world.folder())
    }

    /// `python worker.py`, as its documentation says.
    pub fn python_worker(world: &World, python: &Path, arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workers/examples/worker.py");
        let mut worker = Command::new(python);
        worker.arg(script).args(["--url", &world.queue]).args(arguments);
        Self::start(worker, world.folder())
    }

    fn start(mut command: Command, folder: &Path) -> Self {
        let log = folder.join(format!("{}.log", Uuid::new_v4()));
        let output = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).kill_on_drop(true);
        Self { child: command.spawn().unwrap(), log, client: Client::new("") }
    }

    /// The first line of its log with this message.
    fn says(&self, message: &str) -> Option<Value> {
        let log = self.log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == message)
    }

    /// All that it wrote so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGKILL: no last word, no last write.
    pub async fn killed(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM, and whether it ended well.
    pub async fn ends(mut self) -> bool {
        let process = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &process]).status().await.unwrap().success());
        self.child.wait().await.unwrap().success()
    }

    /// Waits for its own end, and tells whether it was a good one.
    pub async fn finishes(mut self) -> bool {
        self.child.wait().await.unwrap().success()
    }
}

/// Names the folder of programs that were built with the feature `faults`.
const FAULTY_VARIABLE: &str = "HUB_TEST_FAULTY";

fn faulty(name: &str) -> PathBuf {
    Path::new(&std::env::var_os(FAULTY_VARIABLE).unwrap_or_default()).join(name)
}

/// Beside the folder of this test: cargo puts both into the folder of the profile.
fn path(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join(name)
}

fn command(name: &str) -> Command {
    let mut command = Command::new(path(name));
    // What the person who runs the tests has set for a hub of theirs is not meant for ours.
    for (variable, _) in std::env::vars_os() {
        let text = variable.to_string_lossy();
        if ["HUB_", "WORKER_", "OTEL_"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&variable);
        }
    }
    command
}

/// A Python that can talk to RabbitMQ, made once; none when that cannot be had here, which is said.
pub async fn python_with_pika() -> Option<PathBuf> {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::Builder::new().prefix("hub-pika-").tempdir().unwrap()).path();
    let python = folder.join("bin/python");
    if python.is_file() {
        return Some(python);
    }
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workers/examples/requirements.txt");
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements);
    if succeeds(venv).await && succeeds(install).await {
        return Some(python);
    }
    let _ = std::fs::remove_file(&python);
    None
}

async fn succeeds(mut command: Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().await.is_ok_and(|status| status.success())
}
