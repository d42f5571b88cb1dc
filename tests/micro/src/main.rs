//! `micro`: counts the instructions of each subject under callgrind, and fails when one costs more than it did.
//!
//! `tests/micro/run` compares with the baseline; `tests/micro/run --renew` writes it anew.

#![expect(clippy::print_stdout, reason = "a command line program speaks to whoever runs it")]

mod baseline;
mod callgrind;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use baseline::{Baseline, Counts, Tools};
use micro::{SUBJECTS, Subject};

/// `--repeat SUBJECT TIMES` only does the work: what runs under callgrind.
const REPEAT: &str = "--repeat";

fn main() -> Result<ExitCode> {
    // The first is the name that the program was called by.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => check(),
        ["--renew"] => renew(),
        [REPEAT, name, times] => repeat(name, times.parse()?),
        _ => bail!("tests/micro/run [--renew]"),
    }
}

fn check() -> Result<ExitCode> {
    let baseline = Baseline::read(&file())?;
    let verdict = baseline.compare(&measured()?, &Tools::here());
    print!("{verdict}");
    Ok(if verdict.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn renew() -> Result<ExitCode> {
    let baseline = Baseline { tools: Tools::here(), counts: measured()? };
    baseline.write(&file())?;
    print!("{baseline}");
    Ok(ExitCode::SUCCESS)
}

fn measured() -> Result<Counts> {
    if cfg!(debug_assertions) {
        bail!("what ships is counted, and this was built otherwise: tests/micro/run");
    }
    let count = |subject: Subject| Ok((subject.name.to_owned(), callgrind::instructions(subject.name)?));
    SUBJECTS.into_iter().map(count).collect()
}

fn repeat(name: &str, times: u32) -> Result<ExitCode> {
    let subject = Subject::named(name).with_context(|| format!("there is no subject {name}"))?;
    let work = (subject.prepare)();
    (0..times).for_each(|_| work());
    Ok(ExitCode::SUCCESS)
}

/// In the source, since it is committed with the change that moves it.
fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.tsv")
}
