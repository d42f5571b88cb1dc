//! Counting instructions, which no other load on the machine changes.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::REPEAT;

/// How often a subject works. The maps of the standard library are seeded by chance, which moves the start by some
/// thousand instructions: among so many units that is lost.
const TIMES: u32 = 300;

/// Of one unit of work. What it takes to start, to prepare, and to do a thing for the first time falls out, since it is
/// in both of two runs.
pub(crate) fn instructions(subject: &str) -> Result<u64> {
    let (once, often) = (collected(subject, 1)?, collected(subject, 1 + TIMES)?);
    ensure!(often > once, "{subject}: {often} instructions for the work of which one unit took {once}");
    Ok((often - once) / u64::from(TIMES))
}

/// Of a whole process.
fn collected(subject: &str, times: u32) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    // The profile is not wanted, only its sum, which is told at the end.
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe()?);
    valgrind.args([REPEAT, subject, &times.to_string()]);
    let output = valgrind.output().context("valgrind cannot be started: apt-get install valgrind")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{subject} under valgrind: {}\n{told}", output.status);
    sum(&told).with_context(|| format!("valgrind tells no sum:\n{told}"))
}

/// `==4711== Collected : 1234567`
fn sum(told: &str) -> Option<u64> {
    told.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn the_sum_is_found_among_what_valgrind_tells() {
        let told = "==9== Events    : Ir\n==9== Collected : 176302519\n==9== \n";
        assert_eq!(sum(told), Some(176_302_519));
        assert_eq!(sum("valgrind: no such tool"), None);
    }
}
