//! What whoever writes an expression for the hub relies on, beyond the official suite.

#![expect(clippy::unwrap_used, reason = "a panic here is a failing test")]

use hub_fhirpath::{Expression, Fault, FaultKind, Item, Node, Resolver, Scope};
use serde_json::{Value, json};
use time::OffsetDateTime;

fn scope<'a>() -> Scope<'a> {
    // 2026-11-23T10:00:00Z
    Scope::new(OffsetDateTime::from_unix_timestamp(1_795_428_000).unwrap())
}

/// What an expression gives, as JSON.
fn asked(text: &str, resource: &Value) -> Result<Vec<Value>, Fault> {
    let expression = Expression::parse(text)?;
    let found = expression.of(resource, &scope())?;
    Ok(found.iter().map(shown).collect())
}

fn shown(item: &Item) -> Value {
    match (item, item.value()) {
        (_, Some(Item::Boolean(value))) => value.into(),
        (_, Some(Item::Integer(value))) => value.into(),
        (_, Some(Item::Decimal(value))) => value.to_string().into(),
        (_, Some(Item::String(value))) => value.into_owned().into(),
        (_, Some(Item::Moment(value))) => value.to_string().into(),
        (_, Some(Item::Quantity(value))) => value.to_string().into(),
        (Item::Node(node), None) => node.value.cloned().unwrap_or_else(|| json!({ "type": node.kind })),
        _ => Value::Null,
    }
}

fn fault(text: &str) -> (FaultKind, usize, String) {
    let fault = asked(text, &request()).unwrap_err();
    (fault.kind, fault.at, fault.text)
}

fn request() -> Value {
    json!({
        "resourceType": "MedicationRequest",
        "status": "active",
        "contained": [{ "resourceType": "Practitioner", "id": "p", "name": [{ "family": "Ström" }] }],
        "medicationCodeableConcept": { "coding": [{ "system": "http://snomed.info/sct", "code": "318857002" }] },
        "subject": { "reference": "Patient/1" },
        "requester": { "reference": "#p" },
        "authoredOn": "2026-11-20T08:30:00+01:00",
        "dispenseRequest": {
            "expectedSupplyDuration": { "value": 28.0, "unit": "day", "system": "http://unitsofmeasure.org", "code": "d" },
            "quantity": { "value": 56, "unit": "tablet" },
        },
        "dosageInstruction": [
            { "sequence": 1, "asNeededBoolean": false, "timing": { "repeat": { "boundsPeriod": { "start": "2026-11-20" } } } },
            { "sequence": 2, "doseAndRate": [{ "doseQuantity": { "value": from_text("2.50"), "code": "mg" } }] },
        ],
    })
}

/// The macro would lose a digit.
fn from_text(number: &str) -> Value {
    serde_json::from_str(number).unwrap()
}

#[test]
fn a_choice_is_called_by_its_name_and_told_apart_by_its_type() {
    let of = |text: &str| asked(text, &request()).unwrap();
    assert_eq!(of("medication.ofType(CodeableConcept).coding.code"), ["318857002"]);
    assert_eq!(of("(MedicationRequest.medication as Reference)"), [] as [Value; 0]);
    assert_eq!(of("dosageInstruction.timing.repeat.bounds.ofType(Period).start"), ["2026-11-20"]);
    assert_eq!(of("dosageInstruction.asNeeded"), [false]);
    assert_eq!(of("medicationCodeableConcept"), [] as [Value; 0], "by its key it is not called");
}

#[test]
fn amounts_are_compared_in_their_units_and_keep_their_digits() {
    let of = |text: &str| asked(text, &request()).unwrap();
    assert_eq!(of("dispenseRequest.expectedSupplyDuration > 7 'd'"), [true]);
    assert_eq!(of("dispenseRequest.expectedSupplyDuration = 4 weeks"), [true]);
    assert_eq!(
        of("dispenseRequest.expectedSupplyDuration <= 1 month"),
        [] as [Value; 0],
        "a month has no number of days"
    );
    assert_eq!(of("dispenseRequest.quantity = 56 'tablet'"), [true]);
    assert_eq!(of("dispenseRequest.quantity > 1 'mg'"), [] as [Value; 0]);
    assert_eq!(of("dosageInstruction.doseAndRate.dose.value"), ["2.50"]);
    assert_eq!(of("dosageInstruction.doseAndRate.dose.ofType(Quantity) * 2"), ["5.00 'mg'"]);
    assert_eq!(of("0.1 + 0.2 = 0.3"), [true]);
    assert_eq!(of("1 / 0"), [] as [Value; 0]);
    assert_eq!(of("9223372036854775807 + 1"), [] as [Value; 0], "too great for an Integer");
}

#[test]
fn moments_are_as_precise_as_they_were_told() {
    let of = |text: &str| asked(text, &request()).unwrap();
    assert_eq!(of("now()"), ["2026-11-23T10:00:00.000Z"]);
    assert_eq!(of("authoredOn < today()"), [true]);
    assert_eq!(of("authoredOn + 3 days"), ["2026-11-23T08:30:00+01:00"]);
    assert_eq!(of("authoredOn = @2026-11-20T07:30:00Z"), [true]);
    assert_eq!(of("authoredOn = @2026-11-20"), [] as [Value; 0]);
    assert_eq!(of("@2024-02-29 + 1 year"), ["2025-02-28"]);
    assert_eq!(of("@2026-01-31 - 2 months"), ["2025-11-30"]);
    assert_eq!(of("@2026-11 + 45 days"), ["2026-12"]);
    assert_eq!(of("@9999-12-31 + 1 day"), [] as [Value; 0]);
    assert_eq!(of("@T23:30 + 1 hour"), ["00:30"]);
}

#[test]
fn references_lead_to_contained_resources_and_to_what_the_resolver_knows() {
    let request = request();
    let of = |text: &str| asked(text, &request).unwrap();
    assert_eq!(of("requester.resolve().name.family"), ["Ström"]);
    assert_eq!(of("subject.where(resolve() is Patient).reference"), ["Patient/1"], "by the reference's own words");
    assert_eq!(of("subject.resolve().name.exists()"), [false]);

    struct One(Value);
    impl<'a> Resolver<'a> for &'a One {
        fn resolve(&self, reference: &'a str) -> Option<Node<'a>> {
            (reference == "Patient/1").then(|| Node::resource(&self.0))
        }
    }
    let known = &One(json!({ "resourceType": "Patient", "birthDate": "1974-12-25" }));
    let adult = Expression::parse("subject.resolve().birthDate <= today() - 18 years").unwrap();
    assert_eq!(adult.holds(&request, &Scope { resolver: &known, ..scope() }), Ok(Some(true)));
}

#[test]
fn variables_are_given_by_whoever_asks() {
    let (request, output) = (request(), json!({ "resourceType": "Task", "status": "completed" }));
    let asked = |text: &str| {
        let expression = Expression::parse(text).unwrap();
        let task = vec![Item::Node(Node::resource(&output))];
        let scope = scope().with("task", task).with("limit", vec![Item::Integer(3)]);
        expression.holds(&request, &scope)
    };
    assert_eq!(asked("%task.status = 'completed' and dosageInstruction.count() < %limit"), Ok(Some(true)));
    assert_eq!(asked("%context.status = %resource.status"), Ok(Some(true)));
    assert_eq!(asked("%task.owner = 'x'"), Ok(None), "nothing is neither true nor false");
    assert!(asked("%nobody").unwrap_err().text.contains("%nobody"));
    assert!(asked("%task.status").unwrap_err().text.contains("not FHIR.code"), "a condition is a Boolean");
}

#[test]
fn a_fault_names_its_place_and_no_value() {
    for (text, at, part) in [
        ("", 1, "an operand is missing before the end"),
        ("status = ", 10, "an operand is missing"),
        ("status =\u{a0}= 'x'", 10, "an operand is missing before '='"),
        ("where(status", 13, "')' is missing"),
        ("medication.coding.frist()", 19, "frist() is not known"),
        ("status.substring()", 8, "takes 1 to 2 arguments, and not 0"),
        ("a.b c", 5, "'c' is not expected here"),
        ("'abc", 1, "no end"),
        ("'a\\q'", 3, "no escape"),
        ("@2026-13", 1, "no such date"),
        ("/* x", 1, "a comment has no end"),
        ("status # 1", 8, "no meaning"),
        ("$that", 1, "$that is not known"),
        ("1 + 99999999999999999999", 5, "too many digits"),
        ("define Adult: true", 1, "CQL"),
        ("library Referrals version '1'", 1, "CQL"),
    ] {
        let (kind, place, told) = fault(text);
        assert_eq!((kind, place), (FaultKind::Syntax, at), "{text}: {told}");
        assert!(told.contains(part), "{text}: {told}");
    }
    for (text, at, part) in [
        ("status + 1", 8, "FHIR.code and System.Integer cannot be added"),
        ("dosageInstruction.single()", 19, "here are 2"),
        ("dosageInstruction.sequence > 1", 28, "here are 2"),
        ("status is Nothing", 11, "no type Nothing"),
        ("status.where('x')", 14, "a condition is a Boolean"),
        ("status.matches('(')", 16, "no regular expression"),
        ("-status", 1, "has no sign"),
    ] {
        let (kind, place, told) = fault(text);
        assert_eq!((kind, place), (FaultKind::Type, at), "{text}: {told}");
        assert!(told.contains(part), "{text}: {told}");
        assert!(!told.contains("active"), "{told}");
    }
}

#[test]
fn whatever_it_says_it_ends() {
    for endless in [
        "('x').repeat($this & 'x')",
        "(1).repeat($this + 1)",
        "(1|2|3).repeat($this + 1 | $this + 2)",
        "('a').repeat($this + $this)",
    ] {
        let (kind, _, told) = fault(endless);
        assert_eq!(kind, FaultKind::TooCostly, "{endless}: {told}");
    }
    let brackets = format!("{}1{}", "(".repeat(2000), ")".repeat(2000));
    assert!(fault(&brackets).2.contains("brackets"));
    let path = vec!["a"; 4000].join(".");
    assert!(fault(&path).2.contains("steps build on one another"));
    let sum = vec!["1"; 4000].join("+");
    assert!(fault(&sum).2.contains("steps build on one another"));
    assert!(fault(&"x".repeat(20_000)).2.contains("longer than"));
    assert_eq!(asked(&format!("{}1", "-".repeat(5000)), &Value::Null), Ok(vec![json!(1)]));
}

#[test]
fn the_documentation_names_every_function_and_no_other() {
    let page = include_str!("../../../docs/fhirpath.md");
    let called: std::collections::BTreeSet<&str> =
        page.split('`').filter_map(|word| word.strip_suffix("()")).filter(|name| !name.contains('(')).collect();
    let known = hub_fhirpath::function_names().chain(["is", "as", "ofType"]).collect();
    assert_eq!(called, known);
}
