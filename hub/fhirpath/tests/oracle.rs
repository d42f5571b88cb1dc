//! Published expressions on published resources, asked of us and of fhirpathpy, which nobody here wrote.
//!
//! The expressions are those of FHIR's own search parameters, and conditions as plans have them. The examples and the
//! table of parameters are in a folder that `HUB_SHARED` names, `shared` beside the project unless it does.

#![expect(clippy::print_stderr, reason = "what is left out is said")]
#![expect(clippy::unwrap_used, reason = "a panic here is a failing test")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use hub_fhirpath::{Expression, Item, Scope};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// Expressions on which the two differ, and why.
const DIFFER: [(&str, &str); 2] =
    [("children().count()", RESOURCE_TYPE), ("contained.where(resourceType = 'Specimen').id", RESOURCE_TYPE)];

const RESOURCE_TYPE: &str = "the other takes resourceType for an element: FHIR knows it as the name of the type";

fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("HUB_SHARED").map_or_else(beside, PathBuf::from);
    if !folder.join("examples/r4").is_dir() {
        eprintln!("left out: published expressions (no folder of examples; HUB_SHARED names its parent)");
        return None;
    }
    Some(folder)
}

/// The expressions of a type of resource: of its search parameters, and of our own list.
fn expressions(shared: &Path) -> Vec<(String, String)> {
    let table = std::fs::read_to_string(shared.join("reference/tables/search-params.tsv")).unwrap();
    let published = table.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let is_one = columns[0] == "R4" && !columns[4].is_empty();
        is_one.then(|| (columns[1].to_owned(), columns[4].to_owned()))
    });
    let lines = include_str!("oracle/conditions.txt").lines().filter(|line| !line.starts_with('#'));
    let own = lines.map(|line| line.split_once('\t').map(|(kind, text)| (kind.to_owned(), text.to_owned())).unwrap());
    published.chain(own).collect()
}

fn examples(shared: &Path) -> Vec<Value> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(shared.join("examples/r4")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: PathBuf| serde_json::from_slice(&std::fs::read(file).unwrap()).ok();
    files.into_iter().filter_map(read).collect()
}

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_795_400_000).unwrap()
}

#[test]
fn every_published_search_parameter_is_read() {
    let Some(shared) = shared() else { return };
    let all = expressions(&shared);
    assert!(all.len() > 400, "{}", all.len());
    let faults: Vec<String> = all
        .iter()
        .filter_map(|(kind, text)| Expression::parse(text).err().map(|fault| format!("{kind}: {text}: {fault}")))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

struct Question {
    expression: String,
    resource: Value,
}

fn ours(question: &Question) -> Value {
    let expression = Expression::parse(&question.expression).unwrap();
    match expression.of(&question.resource, &Scope::new(now())) {
        Ok(found) => found.iter().map(plain).collect(),
        Err(fault) => json!({ "fault": fault.to_string() }),
    }
}

/// As JSON has it; numbers as everybody writes them.
fn plain(item: &Item) -> Value {
    if let Item::Node(node) = item
        && let Some(value) = node.value
    {
        return normal(value);
    }
    match item {
        Item::Boolean(value) => json!(value),
        Item::Integer(value) => normal(&json!(value)),
        Item::Decimal(value) => normal(&value.to_string().parse::<f64>().unwrap().into()),
        Item::String(value) => json!(value),
        Item::Moment(value) => json!(value.to_string()),
        other => json!(format!("{other:?}")),
    }
}

fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(all) => all.iter().map(normal).collect(),
        Value::Object(object) => object.iter().map(|(name, value)| (name.clone(), normal(value))).collect(),
        other => other.clone(),
    }
}

/// The other engine's answers, in the order of the questions.
fn theirs(questions: &[Question]) -> Vec<Value> {
    let python = std::env::var("HUB_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/answers.py");
    let mut oracle =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a Python");
    let mut input = oracle.stdin.take().unwrap();
    let lines: Vec<String> = questions
        .iter()
        .map(|question| json!({ "expression": question.expression, "resource": question.resource }).to_string())
        .collect();
    let writer = thread::spawn(move || {
        for line in lines {
            writeln!(input, "{line}").unwrap();
        }
    });
    let output = oracle.wait_with_output().unwrap();
    writer.join().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
#[ignore = "needs a Python, HUB_TEST_PYTHON or python3, with what tests/oracle/requirements.txt lists"]
fn another_engine_gives_the_same() {
    let Some(shared) = shared() else { return };
    let examples = examples(&shared);
    let mut questions = Vec::new();
    for (kind, expression) in expressions(&shared) {
        // It knows no other resources.
        if expression.contains("resolve()") {
            continue;
        }
        let of_kind = examples.iter().filter(|example| example["resourceType"] == kind.as_str());
        let ask = |resource: &Value| Question { expression: expression.clone(), resource: resource.clone() };
        questions.extend(of_kind.map(ask));
    }
    let answers = theirs(&questions);
    assert_eq!(answers.len(), questions.len());
    let (mut same, mut found, mut faults) = (0, 0, 0);
    let mut differ: BTreeMap<&str, String> = BTreeMap::new();
    for (question, theirs) in questions.iter().zip(&answers) {
        // It refuses what published parameters rely on: `as` of several items.
        if theirs.get("fault").is_some() {
            faults += 1;
            continue;
        }
        let ours = ours(question);
        if ours == normal(theirs) {
            same += 1;
            found += usize::from(ours.as_array().is_some_and(|all| !all.is_empty()));
        } else {
            let id = &question.resource["id"];
            differ.insert(&question.expression, format!("{id}: {ours} is not {theirs}"));
        }
    }
    eprintln!("{same} answers the same, {found} of them not empty; {faults} questions were refused by the other");
    for (expression, _) in DIFFER {
        assert!(differ.remove(expression).is_some(), "no reason is needed for {expression}");
    }
    assert!(differ.is_empty(), "{differ:#?}");
    assert!(found > 500);
}
