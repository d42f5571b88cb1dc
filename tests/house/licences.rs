//! Every package that is compiled in may be used as this one is: under MIT or Apache-2.0, without asking anybody.

use crate::graph::Graph;

/// Licences that ask for no more than to be named.
const ALLOWED: [&str; 8] = ["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unicode-3.0", "MIT-0"];

/// An exception widens a licence; it never narrows it.
const EXCEPTION: &str = " WITH LLVM-exception";

#[test]
fn every_licence_is_one_that_we_may_use() {
    let graph = Graph::read();
    for package in graph.packages() {
        let licence = package["license"].as_str().unwrap_or("none is named");
        assert!(is_allowed(licence), "{} {} is under: {licence}", package["name"], package["version"]);
    }
    assert!(graph.packages().len() > 100, "the graph is not empty");
}

/// An SPDX expression: one of its alternatives must be wholly allowed. `/` is how `OR` was written before SPDX.
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace(EXCEPTION, "").replace('/', " OR ");
    match split(&plain, " AND ") {
        parts if parts.len() > 1 => parts.iter().all(|part| is_allowed(part)),
        _ => {
            let bare = plain.trim();
            let inside = bare.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(bare);
            inside.split(" OR ").any(|one| ALLOWED.contains(&one.trim()))
        }
    }
}

/// At a word that stands outside of brackets.
fn split<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    let outside = |at: usize| text[..at].matches('(').count() == text[..at].matches(')').count();
    let (mut parts, mut from) = (Vec::new(), 0);
    for (at, found) in text.match_indices(word).filter(|(at, _)| outside(*at)) {
        parts.push(&text[from..at]);
        from = at + found.len();
    }
    parts.push(&text[from..]);
    parts
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    for good in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
        assert!(is_allowed(good), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND OpenSSL", "none is named"] {
        assert!(!is_allowed(bad), "{bad}");
    }
}
