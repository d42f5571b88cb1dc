//! A disk that is full or does not sync, and a clock that somebody sets, under one program: see `shim/shim.c`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

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
}

impl Shim {
    /// One for a program of this world; none where programs cannot be given any, which is said.
    pub fn of(world: &World) -> Option<Self> {
        if !cfg!(target_os = "linux") {
            say_once("left out: stories with a failing disk or clock (they are told on Linux)");
            return None;
        }
        let (library, path) = (world.folder().join("shim.so"), world.folder().join("shim"));
        build(&library);
        let control = File::create(&path).unwrap();
        control.set_len(SIZE).unwrap();
        Some(Self { control, variables: [("LD_PRELOAD", library), ("HUB_SHIM", path)] })
    }

    /// A hub on this machine.
    pub async fn hub_program(&self, world: &World, arguments: &[&str]) -> Program {
        Program::hub_in(world, &self.variables, arguments).await
    }

    /// The clock is off by so much from now on.
    pub fn clock_is_off_by(&self, seconds: i64) {
        self.set(CLOCK, seconds);
    }

    /// Whether what is written can be forced to the disk.
    pub fn disk_syncs(&self, does: bool) {
        self.set(SYNCS_FAIL, i64::from(!does));
    }

    /// The disk is full: no file can have more bytes than this. None: there is room again.
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
