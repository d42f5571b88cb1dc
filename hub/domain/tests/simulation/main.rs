//! Random stories of orders, played against the pure domain: whatever happens in whatever order, the laws hold
//! (`laws.rs`), the hub decides as a model written from the published rules expects (`model.rs`), and when everybody
//! does what is on offer every order comes to its end (`diligent.rs`).
//!
//! A story that fails is shortened and told. The stories of a test run are always the same ones, so that a change is
//! judged by itself; with `HUB_SIMULATION_STEPS`, which says how many commands are to be decided, they are new ones.

#![expect(clippy::unwrap_used, reason = "a panic here is a failing test")]

mod deeds;
mod diligent;
mod laws;
mod model;
mod orders;
mod registry;
mod step;
mod table;
mod wish;
mod world;

use std::cell::Cell;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::laws::Held;
use crate::step::{Step, story};
use crate::world::World;

/// Enough for a change that breaks a rule to be caught, and done in a few seconds.
const COMMANDS: u64 = 20_000;
/// Stories between two looks at how many commands that were.
const STORIES: u32 = 64;

/// Chance that comes again.
fn numbered(round: u32) -> TestRng {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&round.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &seed)
}

#[test]
fn whatever_happens_the_laws_hold_and_every_order_ends() {
    let asked = std::env::var("HUB_SIMULATION_STEPS").ok().map(|steps| steps.parse().unwrap());
    let wanted = asked.unwrap_or(COMMANDS);
    let config = Config { cases: STORIES, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let done = Cell::new(0);
    for round in 0_u32.. {
        if done.get() >= wanted {
            return;
        }
        let mut runner = match asked {
            Some(_) => TestRunner::new(config.clone()),
            None => TestRunner::new_with_rng(config.clone(), numbered(round)),
        };
        let played = runner.run(&(proptest::bool::ANY, story()), |(leased, steps)| {
            let mut world = World::new(leased, false);
            let held = play(&mut world, &steps);
            done.set(done.get() + world.count);
            held.map_err(TestCaseError::fail)
        });
        if let Err(TestError::Fail(_, (leased, steps))) = played {
            panic!("{}", told(leased, &shortened(leased, steps)));
        }
    }
}

fn play(world: &mut World, steps: &[Step]) -> Held {
    steps.iter().try_for_each(|step| world.play(step))?;
    world.comes_to_rest()
}

/// Without the steps that only an earlier form of the story needed.
fn shortened(leased: bool, mut steps: Vec<Step>) -> Vec<Step> {
    for n in (0..steps.len()).rev() {
        let step = steps.remove(n);
        if play(&mut World::new(leased, false), &steps).is_ok() {
            steps.insert(n, step);
        }
    }
    steps
}

/// The story in words, what it breaks, and the steps to play it again.
fn told(leased: bool, steps: &[Step]) -> String {
    let mut world = World::new(leased, true);
    let broken = play(&mut world, steps).err();
    let lines = world.story.unwrap_or_default().join("\n  ");
    let leases = if leased { "claims hold for 60 s" } else { "claims hold for ever" };
    let steps: Vec<String> = steps.iter().map(|step| format!("{step:?}")).collect();
    let broken = broken.unwrap_or("a panic".into());
    format!("\n{broken}\n\nwhere {leases}:\n  {lines}\n\nto play it again ({leased}):\n{}", steps.join("\n"))
}
