//! The counts that are kept, and the comparison with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// Instructions of one unit of work, by subject.
pub(crate) type Counts = BTreeMap<String, u64>;

/// What may be above the baseline, in percent. One count differs from the next by less than 1 %; the rest is room for
/// how the compiler lays out code that was not changed.
const TOLERANCE: f64 = 5.0;
/// Another compiler or another C library moves counts by itself.
const TOLERANCE_OF_OTHER_TOOLS: f64 = 10.0;

/// What must not cost more than so many times as much as something smaller, whatever both did before.
const GROWTHS: [Growth; 1] = [Growth { large: "plan-event-1000", small: "plan-event-10", most: 4.0 }];

const RENEW: &str = "tests/micro/run --renew";

/// What is kept in the file: how it was counted, and a line for each subject.
pub(crate) struct Baseline {
    pub(crate) tools: Tools,
    pub(crate) counts: Counts,
}

/// What decides about counts beside the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tools(String);

struct Growth {
    large: &'static str,
    small: &'static str,
    most: f64,
}

/// A comparison.
pub(crate) struct Verdict {
    lines: Vec<Line>,
    /// With how many times as much it is now.
    growths: Vec<(&'static Growth, f64)>,
    tolerance: f64,
    /// What they were counted with, before and now, when that is not the same.
    moved: Option<[Tools; 2]>,
}

struct Line {
    subject: String,
    before: Option<u64>,
    now: Option<u64>,
    word: Word,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Same,
    More,
    Less,
    /// Only one of the two knows it.
    Alone,
}

impl Tools {
    pub(crate) fn here() -> Self {
        let parts = [said("rustc", "--version"), said("getconf", "GNU_LIBC_VERSION"), said("valgrind", "--version")];
        Self(format!("{}, {}", std::env::consts::ARCH, parts.join(", ")))
    }

    fn arch(&self) -> Option<&str> {
        self.0.split(',').next()
    }
}

fn said(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    output.map_or_else(|_| format!("no {program}"), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Baseline {
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no baseline", file.display()))
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        std::fs::write(file, self.to_string()).with_context(|| format!("{} cannot be written", file.display()))
    }

    fn parse(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once('\n')?;
        let tools = Tools(first.strip_prefix("# ")?.to_owned());
        let count = |line: &str| line.split_once('\t').and_then(|(name, n)| Some((name.to_owned(), n.parse().ok()?)));
        Some(Self { tools, counts: rest.lines().map(count).collect::<Option<_>>()? })
    }

    pub(crate) fn compare(&self, now: &Counts, tools: &Tools) -> Verdict {
        let moved = (*tools != self.tools).then(|| [self.tools.clone(), tools.clone()]);
        let tolerance = match moved {
            None => TOLERANCE,
            Some(_) if tools.arch() == self.tools.arch() => TOLERANCE_OF_OTHER_TOOLS,
            // Another processor has other instructions: only shown.
            Some(_) => f64::INFINITY,
        };
        let subjects: BTreeSet<&String> = self.counts.keys().chain(now.keys()).collect();
        let line = |subject: &String| {
            let (before, now) = (self.counts.get(subject).copied(), now.get(subject).copied());
            Line { subject: subject.clone(), before, now, word: word(before, now, tolerance) }
        };
        let grown = |growth: &'static Growth| {
            let (large, small) = (now.get(growth.large)?, now.get(growth.small)?);
            Some((growth, *large as f64 / *small as f64))
        };
        let growths = GROWTHS.iter().filter_map(grown).collect();
        Verdict { lines: subjects.into_iter().map(line).collect(), growths, tolerance, moved }
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}", self.tools.0)?;
        self.counts.iter().try_for_each(|(subject, count)| writeln!(f, "{subject}\t{count}"))
    }
}

fn word(before: Option<u64>, now: Option<u64>, tolerance: f64) -> Word {
    let (Some(before), Some(now)) = (before, now) else { return Word::Alone };
    match change(before, now) {
        up if up > tolerance => Word::More,
        down if down < -tolerance => Word::Less,
        _ => Word::Same,
    }
}

/// In percent.
fn change(before: u64, now: u64) -> f64 {
    (now as f64 / before as f64 - 1.0) * 100.0
}

impl Verdict {
    /// What costs less holds as well.
    pub(crate) fn holds(&self) -> bool {
        !self.has(Word::More) && !self.has(Word::Alone) && self.growths.iter().all(|(growth, is)| *is <= growth.most)
    }

    fn has(&self, word: Word) -> bool {
        self.lines.iter().any(|line| line.word == word)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:20}{:>12}{:>12}{:>10}", "instructions", "baseline", "now", "change")?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        for (Growth { large, small, most }, is) in &self.growths {
            let word = if is <= most { "" } else { "  FAIL" };
            writeln!(f, "{large} costs {is:.2} times as much as {small}; at most {most}{word}")?;
        }
        if let Some([before, now]) = &self.moved {
            writeln!(f, "The baseline was counted with other tools, so more is tolerated: {:.0} %.", self.tolerance)?;
            writeln!(f, "  before: {}\n  now:    {}", before.0, now.0)?;
        }
        if self.has(Word::Less) {
            writeln!(f, "Something costs less: renew the baseline, so that it stays so ({RENEW}).")?;
        }
        if !self.holds() {
            writeln!(f, "FAIL. If it has to be so, renew the baseline and say why with the change ({RENEW}).")?;
        }
        Ok(())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        write!(f, "{:20}{:>12}{:>12}", self.subject, count(self.before), count(self.now))?;
        if let (Some(before), Some(now)) = (self.before, self.now) {
            write!(f, "{:>+8.1} %", change(before, now))?;
        }
        f.write_str(match self.word {
            Word::Same => "",
            Word::More => "  FAIL: more than is tolerated",
            Word::Less => "  less",
            Word::Alone => "  FAIL: only one of the two has it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(text: &str) -> Tools {
        Tools(text.to_owned())
    }

    fn counts(all: &[(&str, u64)]) -> Counts {
        all.iter().map(|(subject, count)| ((*subject).to_owned(), *count)).collect()
    }

    fn baseline() -> Baseline {
        Baseline { tools: tools("x86_64, rustc 1"), counts: counts(&[("a", 1000), ("b", 1000)]) }
    }

    fn words(now: &[(&str, u64)], with: &str) -> Vec<Word> {
        let verdict = baseline().compare(&counts(now), &tools(with));
        verdict.lines.iter().map(|line| line.word).collect()
    }

    #[test]
    fn more_than_is_tolerated_fails_and_less_is_told() {
        assert_eq!(words(&[("a", 1049), ("b", 951)], "x86_64, rustc 1"), [Word::Same, Word::Same]);
        assert_eq!(words(&[("a", 1051), ("b", 949)], "x86_64, rustc 1"), [Word::More, Word::Less]);
        assert!(!baseline().compare(&counts(&[("a", 1051), ("b", 1000)]), &tools("x86_64, rustc 1")).holds());
        assert!(baseline().compare(&counts(&[("a", 500), ("b", 1000)]), &tools("x86_64, rustc 1")).holds());
    }

    #[test]
    fn other_tools_may_move_counts_and_another_processor_has_others() {
        assert_eq!(words(&[("a", 1099), ("b", 1101)], "x86_64, rustc 2"), [Word::Same, Word::More]);
        assert_eq!(words(&[("a", 10), ("b", 9000)], "aarch64, rustc 1"), [Word::Same, Word::Same]);
    }

    #[test]
    fn a_subject_is_never_left_out() {
        assert_eq!(words(&[("a", 1000), ("c", 1000)], "x86_64, rustc 1"), [Word::Same, Word::Alone, Word::Alone]);
    }

    #[test]
    fn what_grows_too_fast_fails_though_it_always_did() {
        let [Growth { large, small, most }] = GROWTHS;
        let holds = |times_1000: u64| {
            let counts = || counts(&[(small, 1000), (large, times_1000)]);
            let baseline = Baseline { tools: tools("x86_64, rustc 1"), counts: counts() };
            baseline.compare(&counts(), &tools("x86_64, rustc 1")).holds()
        };
        let most = (most * 1000.0) as u64;
        assert_eq!([most - 1, most, most + 1].map(holds), [true, true, false]);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let again = Baseline::parse(&baseline().to_string()).unwrap();
        assert_eq!((again.tools, again.counts), (baseline().tools, baseline().counts));
        assert!(Baseline::parse("# tools\na\tmany\n").is_none());
    }
}
