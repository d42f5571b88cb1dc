//! The corpus, and what mutations make of it. A few seconds with every test run, always the same mutants;
//! `HUB_FUZZ_CASES` asks for more, and for new ones.

#![expect(clippy::unwrap_used, reason = "a panic here is a failing test")]

mod mutation;

use std::fs;
use std::path::PathBuf;

use fuzz::{TARGETS, Target};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use crate::mutation::{Mutation, mutated, mutation};

/// Mutants of each target, unless `HUB_FUZZ_CASES` says how many.
const CASES: u32 = 300;
/// Mutations of one mutant.
const MUTATIONS_LIMIT: usize = 6;

fn folder(target: &Target) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// Every file of a target's corpus, in the order of their names.
fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

fn cases() -> u32 {
    std::env::var("HUB_FUZZ_CASES").map_or(CASES, |cases| cases.parse().unwrap())
}

fn replay(name: &str) {
    let target = Target::named(name).unwrap();
    let corpus = corpus(&target);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    for (file, bytes) in &corpus {
        let played = std::panic::catch_unwind(|| (target.play)(bytes));
        assert!(played.is_ok(), "above: what {} does", file.display());
    }
}

fn mutate(name: &str) {
    let target = Target::named(name).unwrap();
    let corpus: Vec<Vec<u8>> = corpus(&target).into_iter().map(|(_, bytes)| bytes).collect();
    let config = ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
    let mutations = proptest::collection::vec(mutation(), 1..=MUTATIONS_LIMIT);
    let mutants = (any::<prop::sample::Index>(), mutations);
    let bytes = |(file, mutations): &(prop::sample::Index, Vec<Mutation>)| {
        let file: &Vec<u8> = file.get(&corpus);
        mutated(file, &corpus, mutations)
    };
    let mut runner = match std::env::var_os("HUB_FUZZ_CASES") {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let played = runner.run(&mutants, |mutant| {
        (target.play)(&bytes(&mutant));
        Ok(())
    });
    if let Err(TestError::Fail(why, mutant)) = played {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        fs::write(&file, bytes(&mutant)).unwrap();
        panic!("{why}; the smallest that does it is {}: once it is mended, it belongs into the corpus", file.display());
    }
    played.unwrap();
}

/// Both for one target. The list of them is held against `TARGETS` below.
macro_rules! targets {
    ($($name:ident),*) => {
        $(mod $name {
            #[test]
            fn the_corpus_holds() {
                super::replay(stringify!($name));
            }

            #[test]
            fn mutants_hold() {
                super::mutate(stringify!($name));
            }
        })*

        #[test]
        fn every_target_is_driven() {
            assert_eq!(TARGETS.map(|target| target.name), [$(stringify!($name)),*]);
        }
    };
}

targets!(resource, search, message, plan, patch, expression);
