//! The plan engine beside a reference that shares no code with it: plans by chance, lived through by chance, and after
//! every event both say the same of every step.
//!
//! The cases of a test run are always the same ones; `HUB_PLAN_CASES`, which says how many, makes them new ones.

mod agreement;
mod begin;
mod json;
mod outcome;
mod parts;
mod play;
mod reference;
mod written;

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::proof::play::play;
use crate::proof::written::{Chance, Written};

/// Half a minute.
const CASES: u32 = 3_000;
/// As much chance as one case takes at most: half for the plan, half for what happens.
const BYTES: usize = 240;

#[test]
#[expect(clippy::print_stdout, reason = "the figure of a long run")]
fn the_engine_does_what_the_reference_does() {
    let asked: Option<u32> = std::env::var("HUB_PLAN_CASES").ok().map(|cases| cases.parse().unwrap());
    let cases = asked.unwrap_or(CASES);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 1_000, ..Config::default() };
    let mut runner = match asked {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32])),
    };
    let commands = Cell::new(0);
    let played = runner.run(&(vec(any::<u8>(), BYTES), vec(any::<u8>(), 0..BYTES)), |(plan, events)| {
        let played = play(&plan, &events, &mut Vec::new()).map_err(TestCaseError::fail)?;
        commands.set(commands.get() + played);
        Ok(())
    });
    println!("{cases} cases, {} commands", commands.get());
    if let Err(TestError::Fail(_, (plan, events))) = played {
        let mut story = Vec::new();
        let broken = play(&plan, &events, &mut story).err().unwrap_or("a panic".into());
        let plan = Written::by(&mut Chance(plan.iter()));
        panic!("\n{broken}\n\nof\n{}\n\n  {}", plan.json(), story.join("\n  "));
    }
}
