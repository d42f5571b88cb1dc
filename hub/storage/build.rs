//! A migration that is added without another change is compiled in all the same.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
