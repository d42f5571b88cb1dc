//! `hub`: arguments, and the one subcommand that they name.

use std::process::ExitCode;

use clap::Parser;
use hub::cli::Cli;
use tikv_jemallocator::Jemalloc;

/// A resource is a tree of small allocations that several threads make and free.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(cli.run()) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "why the program ends is for the person who started it")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("hub: {error:#}");
    ExitCode::FAILURE
}
