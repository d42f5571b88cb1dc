//! FHIRPath Patch: what each operation does, along the cases of the official test suite, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a panic here is a failing test")]

use hub_fhirpath::Patch;
use serde_json::{Value, json};
use time::OffsetDateTime;

fn text(name: &str, value: &str) -> Value {
    json!({ "name": name, "valueString": value })
}

fn number(name: &str, value: u32) -> Value {
    json!({ "name": name, "valueInteger": value })
}

/// An operation by its type, its path and what else it has.
fn operation(kind: &str, path: &str, more: Vec<Value>) -> Value {
    let mut parts = vec![json!({ "name": "type", "valueCode": kind }), text("path", path)];
    parts.extend(more);
    json!({ "name": "operation", "part": parts })
}

fn patched(resource: &Value, operations: Vec<Value>) -> Result<Value, String> {
    let parameters = json!({ "resourceType": "Parameters", "parameter": operations });
    let told = |issues: Vec<schemas::outcome::Issue>| {
        issues.iter().map(|issue| format!("{}: {}", issue.path, issue.text)).collect::<Vec<_>>().join("; ")
    };
    let patch = Patch::read(parameters.as_object().unwrap()).map_err(told)?;
    let patched = patch.apply(resource.as_object().unwrap(), OffsetDateTime::UNIX_EPOCH);
    patched.map(Value::Object).map_err(|issue| told(vec![issue]))
}

fn becomes(before: Value, operations: Vec<Value>, after: Value) {
    assert_eq!(patched(&before, operations), Ok(after));
}

fn patient(more: Value) -> Value {
    let mut patient = json!({ "resourceType": "Patient" });
    for (name, value) in more.as_object().unwrap() {
        patient[name] = value.clone();
    }
    patient
}

/// With an identifier of each value.
fn numbered(values: &[&str]) -> Value {
    let identifiers: Vec<Value> = values.iter().map(|value| json!({ "value": value })).collect();
    patient(json!({ "identifier": identifiers }))
}

#[test]
fn single_elements_come_go_and_change() {
    let born = json!({ "name": "value", "valueDate": "1930-01-01" });
    let (none, some) = (patient(json!({})), patient(json!({ "birthDate": "1920-01-01" })));
    let after = patient(json!({ "birthDate": "1930-01-01" }));
    becomes(some.clone(), vec![], some.clone());
    becomes(
        none.clone(),
        vec![operation("add", "Patient", vec![text("name", "birthDate"), born.clone()])],
        after.clone(),
    );
    becomes(some.clone(), vec![operation("replace", "Patient.birthDate", vec![born])], after);
    becomes(some, vec![operation("delete", "Patient.birthDate", vec![])], none.clone());
    becomes(none.clone(), vec![operation("delete", "Patient.birthDate", vec![])], none);
}

#[test]
fn what_is_nested_is_reached_and_what_is_empty_is_dropped() {
    let contact = |contact: Value| patient(json!({ "contact": [contact] }));
    let before = contact(json!({ "name": { "text": "a name" }, "gender": "male" }));
    let female = json!({ "name": "value", "valueCode": "female" });
    let after = contact(json!({ "name": { "text": "a name" }, "gender": "female" }));
    becomes(before.clone(), vec![operation("replace", "Patient.contact[0].gender", vec![female])], after);
    let after = contact(json!({ "gender": "male" }));
    becomes(before.clone(), vec![operation("delete", "Patient.contact[0].name.text", vec![])], after);
    becomes(before.clone(), vec![operation("delete", "Patient.contact", vec![])], patient(json!({})));
    let both = [
        operation("delete", "Patient.contact.gender", vec![]),
        operation("delete", "Patient.contact.where(gender.empty()).name", vec![]),
    ];
    becomes(before, both.to_vec(), patient(json!({})));
}

#[test]
fn an_element_without_a_type_is_told_by_its_parts() {
    let value = json!({ "name": "value", "part": [
        { "name": "name", "valueHumanName": { "text": "a name" } },
        { "name": "telecom", "valueContactPoint": { "value": "1" } },
        { "name": "telecom", "valueContactPoint": { "value": "2" } },
    ] });
    let after = patient(
        json!({ "contact": [{ "name": { "text": "a name" }, "telecom": [{ "value": "1" }, { "value": "2" }] }] }),
    );
    becomes(patient(json!({})), vec![operation("add", "Patient", vec![text("name", "contact"), value])], after);

    let output = json!({ "name": "value", "part": [
        { "name": "type", "valueCodeableConcept": { "text": "result" } },
        { "name": "value", "valueReference": { "reference": "DiagnosticReport/1" } },
    ] });
    let before = json!({ "resourceType": "Task", "status": "in-progress" });
    let done = json!({ "name": "value", "valueCode": "completed" });
    let operations = [
        operation("add", "Task", vec![text("name", "output"), output]),
        operation("replace", "Task.where(output.exists()).status", vec![done]),
    ];
    let after = json!({
        "resourceType": "Task",
        "status": "completed",
        "output": [{ "type": { "text": "result" }, "valueReference": { "reference": "DiagnosticReport/1" } }],
    });
    becomes(before, operations.to_vec(), after);
}

#[test]
fn lists_grow_shrink_and_are_put_in_order() {
    let third = json!({ "name": "value", "valueIdentifier": { "value": "3" } });
    let insert = |at: u32| operation("insert", "Patient.identifier", vec![number("index", at), third.clone()]);
    let add = operation("add", "Patient", vec![text("name", "identifier"), third.clone()]);
    let move_ = |from: u32, to: u32| {
        operation("move", "Patient.identifier", vec![number("source", from), number("destination", to)])
    };
    becomes(numbered(&["1", "2"]), vec![add.clone()], numbered(&["1", "2", "3"]));
    becomes(patient(json!({})), vec![add], numbered(&["3"]));
    becomes(patient(json!({})), vec![insert(0)], numbered(&["3"]));
    becomes(numbered(&["1", "2"]), vec![insert(1)], numbered(&["1", "3", "2"]));
    becomes(numbered(&["1", "2"]), vec![insert(2)], numbered(&["1", "2", "3"]));
    becomes(
        numbered(&["1", "2", "3"]),
        vec![operation("delete", "Patient.identifier[1]", vec![])],
        numbered(&["1", "3"]),
    );
    becomes(numbered(&["1", "2", "3", "4"]), vec![move_(3, 1)], numbered(&["1", "4", "2", "3"]));
    becomes(numbered(&["1", "2", "3", "4"]), vec![move_(0, 3)], numbered(&["2", "3", "4", "1"]));
    becomes(numbered(&["1", "2", "3", "4"]), vec![move_(1, 0), move_(2, 1)], numbered(&["2", "3", "1", "4"]));
    let by_value = operation("delete", "Patient.identifier.where(value = '2')", vec![]);
    becomes(numbered(&["1", "2"]), vec![by_value], numbered(&["1"]));
}

#[test]
fn what_stands_beside_a_primitive_goes_with_it() {
    let names = |given: Value, beside: Value| {
        let mut name = json!({ "given": given });
        if !beside.is_null() {
            name["_given"] = beside;
        }
        patient(json!({ "name": [name] }))
    };
    let told = json!({ "id": "told" });
    let before = names(json!(["A", null, "C"]), json!([null, told, null]));
    let move_ = operation("move", "Patient.name.given", vec![number("source", 1), number("destination", 0)]);
    becomes(before.clone(), vec![move_], names(json!([null, "A", "C"]), json!([told, null, null])));
    let by_extension = operation("delete", "Patient.name.given.where(hasValue().not())", vec![]);
    becomes(before.clone(), vec![by_extension], names(json!(["A", "C"]), Value::Null));
    let value = json!({ "name": "value", "valueString": "B" });
    let replace = operation("replace", "Patient.name.given[1]", vec![value]);
    becomes(before.clone(), vec![replace], names(json!(["A", "B", "C"]), Value::Null));
    let value = json!({ "name": "value", "_valueString": { "id": "new" }, "valueString": "Z" });
    let insert = operation("insert", "Patient.name.given", vec![number("index", 0), value]);
    let after = names(json!(["Z", "A", null, "C"]), json!([{ "id": "new" }, null, told, null]));
    becomes(before, vec![insert], after);
}

#[test]
fn a_choice_may_change_its_type_and_is_there_once() {
    let dead = patient(json!({ "deceasedBoolean": true }));
    let when = json!({ "name": "value", "valueDateTime": "2026-11-23" });
    let after = patient(json!({ "deceasedDateTime": "2026-11-23" }));
    becomes(dead.clone(), vec![operation("replace", "Patient.deceased", vec![when.clone()])], after.clone());
    becomes(patient(json!({})), vec![operation("add", "Patient", vec![text("name", "deceased"), when.clone()])], after);
    let twice = patched(&dead, vec![operation("add", "Patient", vec![text("name", "deceased"), when])]);
    assert!(twice.unwrap_err().contains("there already"));
}

#[test]
fn what_cannot_be_applied_is_told_with_its_place() {
    let before = numbered(&["1", "2"]);
    let value = json!({ "name": "value", "valueString": "x" });
    for (operation, part) in [
        (operation("replace", "Patient.birthDate", vec![value.clone()]), "leads to nothing"),
        (operation("replace", "Patient.identifier.value", vec![value.clone()]), "leads to 2 elements"),
        (operation("delete", "Patient.identifier", vec![]), "only one is deleted"),
        (operation("delete", "Patient", vec![]), "DELETE does"),
        (operation("replace", "Patient", vec![value.clone()]), "PUT does"),
        (operation("replace", "'x'", vec![value.clone()]), "no element of the resource"),
        (operation("add", "Patient", vec![text("name", "nothing"), value.clone()]), "no element nothing"),
        (operation("add", "Patient.identifier[0].value", vec![text("name", "id"), value.clone()]), "a primitive"),
        (operation("add", "Patient.identifier[0]", vec![text("name", "value"), value.clone()]), "there already"),
        (operation("insert", "Patient.identifier", vec![number("index", 3), value.clone()]), "no place 3"),
        (operation("insert", "Patient.birthDate", vec![number("index", 0), value.clone()]), "is no list"),
        (operation("insert", "Patient.identifier[0]", vec![number("index", 0), value.clone()]), "ends with its name"),
        (operation("move", "Patient.identifier", vec![number("source", 0), number("destination", 2)]), "no place 2"),
        (operation("delete", "Patient.identifier.single()", vec![]), "(character"),
    ] {
        let first = operation_that_holds();
        let told = patched(&before, vec![first, operation.clone()]).unwrap_err();
        assert!(told.starts_with("Parameters.parameter[1]: "), "{told}");
        assert!(told.contains(part), "{operation}: {told}");
    }
}

fn operation_that_holds() -> Value {
    operation("add", "Patient", vec![text("name", "gender"), json!({ "name": "value", "valueCode": "other" })])
}

#[test]
fn every_operation_that_cannot_be_read_is_told() {
    let wrong = [
        operation("change", "Patient", vec![]),
        operation("delete", "Patient.name.frist()", vec![]),
        operation("add", "Patient", vec![text("name", "gender")]),
        json!({ "name": "operation", "part": [text("path", "Patient")] }),
        operation("delete", "Patient.name", vec![text("nmae", "x")]),
        operation("delete", "Patient.name", vec![text("path", "x")]),
        operation("insert", "Patient.name", vec![json!({ "name": "index", "valueInteger": -1 })]),
        json!({ "name": "deed" }),
        operation("add", "Patient", vec![text("name", "gender"), json!({ "name": "value" })]),
    ];
    let told = patched(&patient(json!({})), wrong.to_vec()).unwrap_err();
    for part in [
        "parameter[0].part[0]: type is one of",
        "parameter[1].part[1]: the path cannot be read: the function frist() is not known",
        "parameter[2]: the part value is missing",
        "parameter[3]: the part type is missing",
        "parameter[4].part[2]: a part is one of",
        "parameter[5].part[2]: path is there twice",
        "parameter[6].part[2]: index is a valueInteger",
        "parameter[7]: a parameter of a patch is called operation",
        "parameter[8].part[3]: a value has a value[x]",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let many = vec![operation_that_holds(); 201];
    assert!(patched(&patient(json!({})), many).unwrap_err().contains("at most 200 operations"));
}
