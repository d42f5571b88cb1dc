//! What it costs: processor time by process, with all its children, and memory. Read from /proc, hence Linux.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};

/// Whose time is told apart: a name for the table, and what the system calls the process that we started.
pub(crate) const PARTS: [(&str, &str); 5] = [
    ("hub", "hub"),
    ("PostgreSQL", "postgres"),
    ("RabbitMQ", "beam.smp"),
    ("worker", "worker"),
    // Of the hand-written program, which is this one by another name.
    ("baseline", "load"),
];

/// Of the kernel's clock for processor time; it has been 100 a second on Linux for ever.
const MILLISECONDS_PER_TICK: f64 = 10.0;

/// Processor time so far.
#[derive(Debug, Clone)]
pub(crate) struct Reading(Cost);

/// Processor time in milliseconds, of each of [`PARTS`] and of ourselves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) parts: [f64; PARTS.len()],
    pub(crate) driver: f64,
}

impl Reading {
    pub(crate) fn take() -> Result<Self> {
        let processes = processes()?;
        let ours = std::process::id();
        let own = processes.get(&ours).context("this process is not in /proc")?;
        let mut cost = Cost { driver: own.own_ticks as f64 * MILLISECONDS_PER_TICK, ..Cost::default() };
        for (id, process) in &processes {
            if let Some(part) = part_of(*id, &processes, ours) {
                cost.parts[part] += (process.own_ticks + process.ended_children_ticks) as f64 * MILLISECONDS_PER_TICK;
            }
        }
        Ok(Self(cost))
    }

    pub(crate) fn since(&self, before: &Self) -> Cost {
        let mut cost = Cost { driver: self.0.driver - before.0.driver, ..Cost::default() };
        for (part, spent) in cost.parts.iter_mut().enumerate() {
            *spent = self.0.parts[part] - before.0.parts[part];
        }
        cost
    }
}

impl Cost {
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.parts.iter_mut().zip(other.parts).for_each(|(spent, more)| *spent += more);
        Self { driver: self.driver + other.driver, ..self }
    }

    /// For each of so many.
    pub(crate) fn each(self, number: u64) -> Self {
        let share = 1.0 / number.max(1) as f64;
        Self { parts: self.parts.map(|spent| spent * share), driver: self.driver * share }
    }
}

struct Process {
    name: String,
    parent: u32,
    own_ticks: u64,
    ended_children_ticks: u64,
}

fn processes() -> Result<HashMap<u32, Process>> {
    let ids = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(ids.filter_map(|id| Some((id, process(id)?))).collect())
}

/// The name stands in brackets and may hold anything; of the fields behind it, the parent is the second, and times
/// begin with the twelfth.
fn process(id: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |n: usize| fields.get(n)?.parse::<u64>().ok();
    Some(Process {
        name: head.split_once('(')?.1.to_owned(),
        parent: fields.get(1)?.parse().ok()?,
        own_ticks: number(11)? + number(12)?,
        ended_children_ticks: number(13)? + number(14)?,
    })
}

/// The part that a process belongs to: that of the child of ours from which it descends.
fn part_of(id: u32, processes: &HashMap<u32, Process>, ours: u32) -> Option<usize> {
    let process = processes.get(&id)?;
    if process.parent == ours {
        return PARTS.iter().position(|(_, name)| *name == process.name);
    }
    part_of(process.parent, processes, ours)
}

/// Memory of a process that is in use now, in MB.
pub(crate) fn memory_mb(process: u32) -> Result<f64> {
    memory(process, "VmRSS:")
}

/// The most that it ever was.
pub(crate) fn memory_peak_mb(process: u32) -> Result<f64> {
    memory(process, "VmHWM:")
}

fn memory(process: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field)).context("no such field of a process")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).unwrap_or_default().parse()?;
    Ok(kilobytes / 1000.0)
}
