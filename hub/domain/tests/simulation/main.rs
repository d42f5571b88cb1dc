//! Random stories of orders, played against the pure domain: whatever happens in whatever order, the laws hold
//! (`laws.rs`), the hub decides as a model written from the published rules expects (`model.rs`), and when everybody
//! does what is on offer every order comes to its end (`diligent.rs`).
//!
//! A story that fails is shortened and told. `HUB_SIMULATION_STEPS` says how many commands are to be decided.

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

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use crate::laws::Held;
use crate::step::{Step, story};
use crate::world::World;

/// Enough for a change that breaks a rule to be caught, and done in a few seconds.
const COMMANDS: u64 = 20_000;
/// Stories between two looks at how many commands that were.
const STORIES: u32 = 64;

#[test]
fn whatever_happens_the_laws_hold_and_every_order_ends() {
    let wanted = std::env::var("HUB_SIMULATION_STEPS").map_or(COMMANDS, |steps| steps.parse().unwrap());
    let config = Config { cases: STORIES, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let done = Cell::new(0);
    while done.get() < wanted {
        let played = TestRunner::new(config.clone()).run(&(proptest::bool::ANY, story()), |(leased, steps)| {
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
