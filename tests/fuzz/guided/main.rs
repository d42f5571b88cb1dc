//! Coverage leads libFuzzer to inputs that nobody thought of. `tests/fuzz/run` builds and starts this.

#![no_main]

use std::sync::LazyLock;

use fuzz::Target;

/// The target that the environment names: libFuzzer keeps the arguments for itself.
static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("HUB_FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| panic!("HUB_FUZZ_TARGET is one of {}", Target::names().join(", ")))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.play)(bytes));
