//! A disk that is full or does not sync, and a clock that somebody sets, under one program: see `shim/shim.c`.

use std::fs::{File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use services::Postgres;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::parts::say_once;
use crate::program::Program;
use crate::world::World;

/// Where each number stands in the C struct `control`.
const CLOCK: u64 = 0;
const SYNCS_FAIL: u64 = 8;
const FILE_LIMIT: u64 = 16;
const SIZE: u64 = 24;

/// What lies between a program and its machine. Until it is told something it changes nothing.
pub struct Shim {
    control: File,
    /// As a program must find it in its environment.
    variables: [(&'static str, PathBuf); 2],
    /// Where it lies, unless that is the folder of a world.
    _folder: Option<TempDir>,
}

impl Shim {
    /// One for a program of this world; none where programs cannot be given any, which is said.
    pub fn of(world: &World) -> Option<Self> {
        Self::is_possible().then(|| Self::lying_in(world.folder()))
    }

    /// One for a server that the story starts, likewise. The server may run as another user, who must be let in.
    pub fn of_a_server() -> Option<Self> {
        if !Self::is_possible() {
            return None;
        }
        let mut folder = tempfile::Builder::new();
        let folder = folder.prefix("hub-shim-").permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        let shim = Self::lying_in(folder.path());
        Some(Self { _folder: Some(folder), ..shim })
    }

    fn is_possible() -> bool {
        if !cfg!(target_os = "linux") {
            say_once("left out: stories with a failing disk or clock (they are told on Linux)");
        }
        cfg!(target_os = "linux")
    }

    fn lying_in(folder: &Path) -> Self {
        let (library, path) = (folder.join("shim.so"), folder.join("shim"));
        build(&library);
        let control = File::create(&path).unwrap();
        control.set_len(SIZE).unwrap();
        Self { control, variables: [("LD_PRELOAD", library), ("HUB_SHIM", path)], _folder: None }
    }

    /// A hub on this machine.
    pub async fn hub_program(&self, world: &World, arguments: &[&str]) -> Program {
        Program::hub_in(world, &self.variables, arguments).await
    }

    /// A PostgreSQL on this machine.
    pub async fn postgres(&self) -> Postgres {
        let variables = self.variables.clone();
        spawn_blocking(move || Postgres::start_in(&variables)).await.unwrap()
    }

    /// The clock is off by so much from now on.
    pub fn clock_is_off_by(&self, seconds: i64) {
        self.set(CLOCK, seconds);
    }

    /// Whether what is written can be forced to the disk.
    pub fn disk_syncs(&self, does: bool) {
        self.set(SYNCS_FAIL, i64::from(!does));
    }

    /// The disk is full: no file can grow past so many bytes. None: there is room again.
    pub fn files_end_at(&self, bytes: Option<u64>) {
        self.set(FILE_LIMIT, bytes.map_or(0, |bytes| i64::try_from(bytes).unwrap()));
    }

    fn set(&self, at: u64, number: i64) {
        self.control.write_all_at(&number.to_ne_bytes(), at).unwrap();
    }
}

/// Rust links by the same compiler, so it is there.
fn build(library: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim/shim.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-shared", "-fPIC", "-o"]).arg(library).arg(source);
    assert!(compiler.status().unwrap().success(), "the shim compiles");
}
