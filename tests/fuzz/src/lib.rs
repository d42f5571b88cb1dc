//! Bytes from outside, and what must hold whatever they are: nothing panics, a refusal tells every fault, and what is
//! taken is whole.
//!
//! A target is a plain function of bytes. It is driven in three ways: by the corpus, by mutations of the corpus (both
//! in `tests/replay`, with every test run), and by libFuzzer (`tests/fuzz/run`).
//!
//! To add a target: a module with its function, a line in [`TARGETS`], and a folder of the same name in `corpus`.

pub mod expression;
pub mod message;
pub mod patch;
pub mod plan;
pub mod resource;
pub mod search;

mod registry;

/// A way into the hub.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Also the name of its folder in `corpus`.
    pub name: &'static str,
    /// Panics when something does not hold.
    pub play: fn(&[u8]),
}

/// Every way in.
pub const TARGETS: [Target; 6] = [
    Target { name: "resource", play: resource::play },
    Target { name: "search", play: search::play },
    Target { name: "message", play: message::play },
    Target { name: "plan", play: plan::play },
    Target { name: "patch", play: patch::play },
    Target { name: "expression", play: expression::play },
];

impl Target {
    /// The target of this name.
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// What [`named`](Self::named) knows.
    pub fn names() -> Vec<&'static str> {
        TARGETS.iter().map(|target| target.name).collect()
    }
}
