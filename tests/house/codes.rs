//! Codes that a service's answers may have: each is in the docs, and told in some story.

use std::path::{Path, PathBuf};

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files of a folder, as one text.
fn all(folder: PathBuf) -> String {
    std::fs::read_dir(folder).unwrap().map(|file| read(&file.unwrap().path())).collect()
}

#[test]
fn every_code_of_prescriptions_is_explained_and_told_in_a_story() {
    let house = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let source = read(&house.join("hub/domain/src/workflows/eps/codes.rs"));
    let pages = ["codes.md", "cancel.md"].map(|page| read(&house.join("docs/api/prescriptions").join(page))).concat();
    let stories = all(house.join("tests/end_to_end/prescriptions"));
    let is_code = |text: &&str| {
        let is_name = text.contains('_') && text.bytes().all(|letter| letter.is_ascii_uppercase() || letter == b'_');
        is_name || text.strip_prefix("R-").is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
    };
    // What stands between quotes is every second part.
    let codes: Vec<&str> = source.split('"').skip(1).step_by(2).filter(is_code).collect();
    assert!(codes.len() > 30, "they are read: {codes:?}");
    for code in codes {
        assert!(pages.contains(code), "{code} is on no page");
        assert!(stories.contains(&format!("\"{code}\"")), "{code} is told in no story");
    }
}
