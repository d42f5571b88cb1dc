//! The time of each subject, by criterion: `cargo bench -p micro --features time`, and a name for only some.

use criterion::Criterion;
use micro::SUBJECTS;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for subject in SUBJECTS {
        let work = (subject.prepare)();
        criterion.bench_function(subject.name, |bencher| bencher.iter(&work));
    }
    criterion.final_summary();
}
