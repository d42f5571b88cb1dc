//! What searches mean: values, systems, modifiers and prefixes; what changes, and what would read too much.

use std::collections::HashSet;

use hub_domain::query::{Filter, Prefix, Query, TextMatch, TypedIdentifier, find};
use hub_domain::registry::{Committed, Trouble};
use hub_storage::Options;
use schemas::resource::{Key, Kind};
use serde_json::{Value, json};

use crate::build::*;
use crate::place::{Place, options};

const TASK: Kind = Kind::TASK;

/// The ids that a search finds, in the order of their names.
async fn names(place: &Place, kind: Kind, filter: Filter) -> Vec<String> {
    let mut ids = found(&*place.registry, Query { count: 2, ..query_of(kind, vec![filter]) }).await;
    ids.sort();
    ids
}

pub(crate) async fn texts_are_found_by_how_they_begin(place: Place) {
    let kind = Kind::parse("Patient").unwrap();
    let people = [
        ("anna", json!([{ "family": "Müller", "given": ["Anna", "Annabel"] }])),
        ("bert", json!([{ "family": "Mueller", "given": ["Bert"] }, { "text": "Anonymous" }])),
        ("long", json!([{ "family": "Wolfeschlegelsteinhausenbergerdorff" }])),
        ("longer", json!([{ "family": "WOLFESCHLEGELSTEINHAUSENBERGERDORFF-Smith" }])),
        ("none", json!([{ "use": "official" }])),
    ];
    for (n, (id, name)) in people.into_iter().enumerate() {
        create(&*place.registry, n as u128 + 1, Key::new(kind, id), json!({ "name": name })).await;
    }
    use TextMatch::{Begins, Contains, Exact};
    for (name, how, value, expected) in [
        // One is found once, however many of its names it is found by.
        ("name", Begins, "an", vec!["anna", "bert"]),
        ("name", Begins, "ANNA", vec!["anna"]),
        ("name", Begins, "muller", vec!["anna"]),
        ("family", Begins, "mü,mue", vec!["anna", "bert"]),
        ("family", Begins, "anna", vec![]),
        ("family", Begins, "wolfesch", vec!["long", "longer"]),
        ("family", Begins, "Wolfeschlegels", vec!["long", "longer"]),
        ("family", Begins, "wolfeschlegelsteinhausenbergerdorff-s", vec!["longer"]),
        ("family", Begins, "wolfeschlegelsteinhausenx", vec![]),
        ("family", Exact, "Müller", vec!["anna"]),
        ("family", Exact, "müller", vec![]),
        ("given", Exact, "Anna", vec!["anna"]),
        ("family", Exact, "Wolfeschlegelsteinhausenbergerdorff", vec!["long"]),
        ("family", Contains, "LLER", vec!["anna", "bert"]),
        ("family", Contains, "dorff", vec!["long", "longer"]),
        ("name", Contains, "nn", vec!["anna"]),
        ("name", Begins, "\u{301}", vec![]),
    ] {
        assert_eq!(names(&place, kind, text(kind, name, how, value)).await, expected, "{name} {how:?} {value}");
        // As one of two filters too, where another one drives.
        let ids = ["anna", "bert", "long", "longer", "none"].map(str::to_owned).to_vec();
        let both = vec![text(kind, name, how, value), Filter::Id(ids)];
        assert_eq!(found(&*place.registry, query_of(kind, both)).await.len(), expected.len(), "{name} {value}");
    }
    let moved = json!({ "name": [{ "family": "Anders" }] });
    let decision = |body| async {
        deciding(now(&*place.registry).await)
            .on(root(1), Some(1))
            .updates(root(1), Key::new(kind, "anna"), 2, body)
            .done()
    };
    assert_eq!(commit_one(&*place.registry, decision(moved).await).await.0, Committed::Done);
    assert_eq!(names(&place, kind, text(kind, "name", Begins, "an")).await, ["anna", "bert"]);
    assert_eq!(names(&place, kind, text(kind, "name", Begins, "anna")).await, Vec::<String>::new());
}

pub(crate) async fn amounts_are_found_by_what_they_come_to(place: Place) {
    let kind = Kind::parse("Observation").unwrap();
    let of = |value: Value, code: &str| json!({ "value": value, "system": UCUM, "code": code, "unit": code });
    let values = [
        ("g", of(json!(1.0), "g")),
        ("kg", of(json!(0.0015), "kg")),
        ("less", json!({ "value": 500, "comparator": "<", "system": UCUM, "code": "mg" })),
        ("mg", of(json!(1000), "mg")),
        ("minus", of(json!(-3.5), "[degF]")),
        ("tablets", json!({ "value": 2, "unit": "tablet" })),
    ];
    for (n, (id, value)) in values.into_iter().enumerate() {
        let body = json!({ "status": "final", "code": coded("urn:c", id), "valueQuantity": value });
        create(&*place.registry, n as u128 + 1, Key::new(kind, id), body).await;
    }
    for (value, expected) in [
        ("1", vec!["g"]),
        ("1000", vec!["mg"]),
        ("1.0||g", vec!["g"]),
        ("1000|http://unitsofmeasure.org|mg", vec!["g", "mg"]),
        ("1|http://unitsofmeasure.org|g", vec!["g", "mg"]),
        ("1.49|http://unitsofmeasure.org|g", vec![]),
        ("1.5|http://unitsofmeasure.org|g", vec!["kg"]),
        ("gt1|http://unitsofmeasure.org|g", vec!["kg"]),
        ("ge1|http://unitsofmeasure.org|g", vec!["g", "kg", "mg"]),
        ("lt1|http://unitsofmeasure.org|g", vec!["less"]),
        ("gt0.1|http://unitsofmeasure.org|g", vec!["g", "kg", "less", "mg"]),
        ("sa0.1|http://unitsofmeasure.org|g", vec!["g", "kg", "mg"]),
        ("eb0.6|http://unitsofmeasure.org|g", vec!["less"]),
        ("ap1.4|http://unitsofmeasure.org|g", vec!["kg"]),
        ("ne1|http://unitsofmeasure.org|g", vec!["kg", "less"]),
        ("2||tablet", vec!["tablets"]),
        ("lt0", vec!["less", "minus"]),
        ("-3.5", vec!["minus"]),
        ("le-3.5|http://unitsofmeasure.org|[degF]", vec!["minus"]),
        ("1|urn:other|g", vec![]),
    ] {
        assert_eq!(names(&place, kind, amount(kind, "value-quantity", value)).await, expected, "{value}");
    }
    let both = |code: &str, value: &str| {
        let parts = vec![token(kind, "code", code), amount(kind, "value-quantity", value)];
        composite(kind, "code-value-quantity", parts)
    };
    assert_eq!(names(&place, kind, both("g", "1")).await, ["g"]);
    assert_eq!(names(&place, kind, both("g", "2")).await, Vec::<String>::new());
    assert_eq!(names(&place, kind, both("urn:c|mg", "1|http://unitsofmeasure.org|g")).await, ["mg"]);
}

pub(crate) async fn parts_of_a_composite_belong_together(place: Place) {
    let kind = Kind::parse("Observation").unwrap();
    let component =
        |code: &str, value: u32| json!({ "code": coded("urn:c", code), "valueQuantity": { "value": value } });
    for (n, (id, systolic, diastolic)) in [("high", 150, 100), ("low", 100, 60)].into_iter().enumerate() {
        let components = json!([component("systolic", systolic), component("diastolic", diastolic)]);
        create(
            &*place.registry,
            n as u128 + 1,
            Key::new(kind, id),
            json!({ "status": "final", "component": components }),
        )
        .await;
    }
    for (code, value, expected) in [
        ("systolic", "100", vec!["low"]),
        ("diastolic", "100", vec!["high"]),
        ("systolic", "gt90", vec!["high", "low"]),
        ("systolic", "60", vec![]),
        ("systolic,diastolic", "100", vec!["high", "low"]),
    ] {
        for (name, of) in [
            ("component-code-value-quantity", ["component-code", "component-value-quantity"]),
            ("combo-code-value-quantity", ["combo-code", "combo-value-quantity"]),
        ] {
            let parts = vec![token(kind, of[0], code), amount(kind, of[1], value)];
            assert_eq!(names(&place, kind, composite(kind, name, parts)).await, expected, "{name} {code} {value}");
        }
    }
    let document = Kind::parse("DocumentReference").unwrap();
    let relates = json!([
        { "code": "replaces", "target": { "reference": "DocumentReference/1" } },
        { "code": "appends", "target": { "reference": "DocumentReference/2" } },
    ]);
    create(&*place.registry, 9, Key::new(document, "d"), json!({ "status": "current", "relatesTo": relates })).await;
    for (code, to, finds) in [("replaces", 1, true), ("appends", 1, false)] {
        let to = reference(document, "relatesto", &format!("DocumentReference/{to}"));
        let parts = vec![token(document, "relation", code), to];
        assert_eq!(names(&place, document, composite(document, "relationship", parts)).await.len(), usize::from(finds));
    }
}

/// What has to look at many is refused beyond the limit, however few it would find.
pub(crate) async fn a_search_that_would_read_everything_is_too_costly(place: Place) {
    let kind = Kind::parse("Patient").unwrap();
    for n in 0..60 {
        let body = json!({ "name": [{ "family": format!("Family {n}") }], "identifier": [{ "value": n.to_string() }] });
        create(&*place.registry, n, Key::new(kind, n.to_string()), body).await;
    }
    let narrow = place.again(Options { search_rows_limit: 40, ..options() }).await;
    let search = async |filters: Vec<Filter>| narrow.registry.search(&query_of(kind, filters)).await;
    let identifier = find(kind, "identifier").unwrap();
    let contains = || text(kind, "family", TextMatch::Contains, "ily 59");
    let called = Filter::CodeText { param: identifier, any: vec!["nothing".into()] };
    let below = Filter::Below { param: find(kind, "_profile").unwrap(), any: vec!["http://none.example".into()] };
    for costly in [vec![contains()], vec![called.clone()], vec![below], vec![called.clone(), contains()]] {
        let refused = search(costly.clone()).await;
        assert!(matches!(refused, Err(Trouble::TooCostly)), "{costly:?}");
    }
    // Beside what leaves little, or where a page fills at once, it is answered.
    let number = || token(kind, "identifier", "7");
    assert_eq!(ids(&search(vec![number(), called]).await.unwrap()), Vec::<&str>::new());
    assert_eq!(ids(&search(vec![number(), text(kind, "family", TextMatch::Contains, "LY 7")]).await.unwrap()), ["7"]);
    assert_eq!(search(vec![text(kind, "family", TextMatch::Contains, "ily")]).await.unwrap().entries.len(), 20);
    assert_eq!(ids(&search(vec![text(kind, "family", TextMatch::Begins, "family 59")]).await.unwrap()), ["59"]);
    narrow.registry.close().await;
}

/// Several dates joined: any of them.
pub(crate) async fn any_of_several_dates_is_found(place: Place) {
    let kind = Kind::parse("Encounter").unwrap();
    for (n, day) in (1..=9).enumerate() {
        let period =
            json!({ "start": format!("2026-03-0{day}T10:00:00Z"), "end": format!("2026-03-0{day}T11:00:00Z") });
        let location = json!([{ "location": { "reference": "Location/l" }, "period": period }, {
            "location": { "reference": "Location/m" }, "period": { "start": "2026-04", "end": "2026-05" } }]);
        let body = json!({ "status": "finished", "period": period, "location": location });
        create(&*place.registry, n as u128, Key::new(kind, day.to_string()), body).await;
    }
    let any = |name: &str, values: &[(Prefix, &str)]| {
        let any = values.iter().map(|(prefix, text)| date_match(*prefix, text)).collect();
        Filter::Date { param: find(kind, name).unwrap(), any }
    };
    let several = [(Prefix::Eq, "2026-03-02"), (Prefix::Lt, "2026-03-02"), (Prefix::Ge, "2026-03-09")];
    assert_eq!(names(&place, kind, any("date", &several)).await, ["1", "2", "9"]);
    // Each has two dates here, and is found once.
    let all: Vec<String> = (1..=9).map(|day| day.to_string()).collect();
    assert_eq!(names(&place, kind, any("location-period", &[(Prefix::Ge, "2026-03")])).await, all);
    let several = [(Prefix::Eq, "2026-03-02"), (Prefix::Ge, "2026-03-08")];
    assert_eq!(names(&place, kind, any("location-period", &several)).await, all);
    for n in 0..3 {
        let body = json!({ "status": "ready", "lastModified": format!("2026-03-0{}", n + 1), "authoredOn": "2026-03" });
        create(&*place.registry, n + 50, Key::task(n), body).await;
    }
    let modified = |values: &[&str]| {
        let any = values.iter().map(|text| date_match(Prefix::Eq, text)).collect();
        Filter::Date { param: find(TASK, "modified").unwrap(), any }
    };
    assert_eq!(names(&place, TASK, modified(&["2026-03-01", "2026-03-03"])).await, ["0", "2"]);
    let both = vec![modified(&["2026-03-01", "2026-03-03"]), token(TASK, "status", "ready")];
    assert_eq!(found(&*place.registry, task_query(both)).await.len(), 2);
}

pub(crate) async fn what_no_index_has_is_asked_of_the_resources(place: Place) {
    let concept =
        json!({ "coding": [{ "system": "urn:c", "code": "fbc", "display": "Full blood count" }], "text": "Blut" });
    let kind = json!({ "coding": [{ "system": "urn:types", "code": "MR" }], "text": "Medical record" });
    let request = json!({
        "status": "active", "intent": "order", "code": concept, "instantiatesUri": ["http://plans.example/a/b"],
        "identifier": [{ "type": kind, "system": "urn:n", "value": "7" }, { "system": "urn:n", "value": "8" }],
    });
    create(&*place.registry, 1, Key::new(Kind::SERVICE_REQUEST, "r"), request).await;
    create(
        &*place.registry,
        2,
        Key::new(Kind::SERVICE_REQUEST, "other"),
        json!({ "status": "active", "intent": "order" }),
    )
    .await;
    let param = |name| find(Kind::SERVICE_REQUEST, name).unwrap();
    let called = |name, text: &str| Filter::CodeText { param: param(name), any: vec![text.into()] };
    let of_type = |system: &str, code: &str, value: &str| {
        let identifier = TypedIdentifier { system: system.into(), code: code.into(), value: value.into() };
        Filter::OfType { param: param("identifier"), any: vec![identifier] }
    };
    let below = |uri: &str| Filter::Below { param: param("instantiates-uri"), any: vec![uri.into()] };
    for (filter, finds) in [
        (called("code", "FULL"), true),
        (called("code", "blü"), true),
        (called("code", "blood"), false),
        (called("identifier", "medical"), true),
        (of_type("urn:types", "MR", "7"), true),
        (of_type("urn:types", "MR", "8"), false),
        (of_type("urn:types", "DL", "7"), false),
        (below("http://plans.example/a"), true),
        (below("http://plans.example/a/b"), true),
        (below("http://plans.example/"), true),
        (below("http://plans.example/a/"), true),
        (below("http://plans.ex"), false),
    ] {
        assert_eq!(names(&place, Kind::SERVICE_REQUEST, filter.clone()).await.len(), usize::from(finds), "{filter:?}");
    }
}

/// However long it is, and whether it begins or ends at all.
pub(crate) async fn a_period_is_found_by_any_moment_of_it(place: Place) {
    let registry = &*place.registry;
    let kind = Kind::parse("Encounter").unwrap();
    let periods = [
        ("long", json!({ "start": "1990", "end": "2040-06" })),
        ("begun", json!({ "start": "2026-03-04T10:00:00Z" })),
        ("ended", json!({ "end": "2020" })),
        ("day", json!({ "start": "2026-03-04T09:00:00Z", "end": "2026-03-04T12:00:00Z" })),
    ];
    for (n, (id, period)) in periods.into_iter().enumerate() {
        create(registry, n as u128 + 1, Key::new(kind, id), json!({ "status": "finished", "period": period })).await;
    }
    for (prefix, value, expected) in [
        (Prefix::Ge, "2026-03-05", vec!["begun", "long"]),
        (Prefix::Gt, "2050", vec!["begun"]),
        (Prefix::Le, "2021", vec!["ended", "long"]),
        (Prefix::Eq, "2026-03-04", vec!["day"]),
        (Prefix::Sa, "2026-03-03", vec!["begun", "day"]),
        (Prefix::Eb, "2030", vec!["day", "ended"]),
        (Prefix::Ap, "2026-03-04", vec!["begun", "day", "long"]),
        (Prefix::Ap, "2019", vec!["ended", "long"]),
    ] {
        let mut ids = found(registry, query_of(kind, vec![date(kind, "date", prefix, value)])).await;
        ids.sort();
        assert_eq!(ids, expected, "{prefix:?} {value}");
    }
}

async fn finds(place: &Place, filters: Vec<Filter>) -> Vec<String> {
    found(&*place.registry, task_query(filters)).await
}

pub(crate) async fn values_systems_and_modifiers_mean_what_fhir_says(place: Place) {
    create(&*place.registry, 1, Key::task("t"), full_task()).await;
    create(&*place.registry, 2, Key::task("u"), json!({ "status": "ready", "owner": { "display": "who" } })).await;
    for text in ["fulfill", "collect", "urn:d|collect", "urn:c|", "nonsense,collect", "urn:c|fulfill,collect"] {
        assert_eq!(finds(&place, vec![token(TASK, "code", text)]).await, ["t"], "{text}");
    }
    for text in ["urn:c|collect", "|collect", "urn:x|"] {
        assert!(finds(&place, vec![token(TASK, "code", text)]).await.is_empty(), "{text}");
    }
    assert_eq!(finds(&place, vec![token(TASK, "identifier", "|T-2")]).await, ["t"]);
    assert!(finds(&place, vec![token(TASK, "identifier", "|T-1")]).await.is_empty());
    assert_eq!(finds(&place, vec![token(TASK, "status", "requested,ready")]).await, ["u", "t"]);
    assert!(finds(&place, vec![token(TASK, "status", "urn:x|ready")]).await.is_empty());
    assert!(finds(&place, vec![token(TASK, "priority", "routine")]).await.is_empty());
    assert_eq!(finds(&place, vec![reference(TASK, "owner", "Organization/x,Organization/lab")]).await, ["t"]);
    // An owner that is only named is an owner.
    assert!(finds(&place, vec![missing(TASK, "owner", true)]).await.is_empty());
    assert_eq!(finds(&place, vec![missing(TASK, "requester", true)]).await, ["u"]);
    let mut worklist = vec![token(TASK, "status", "requested"), reference(TASK, "owner", "Organization/lab")];
    assert_eq!(finds(&place, worklist.clone()).await, ["t"]);
    worklist.push(token(TASK, "business-status", "other"));
    assert!(finds(&place, worklist).await.is_empty());
}

pub(crate) async fn dates_compare_as_ranges(place: Place) {
    let texts = ["2026", "2026-03", "2026-03-04", "2026-03-04T10:00:00Z", "2026-03-04T10:00:00.500Z"];
    for (n, text) in (0..).zip(texts) {
        let body = json!({ "status": "ready", "authoredOn": text, "lastModified": text });
        create(&*place.registry, n, Key::task(text.replace([':'], "")), body).await;
    }
    // Of each prefix: which of the texts are found by 2026-03-04.
    let expected: [(Prefix, &[usize]); 8] = [
        (Prefix::Eq, &[2, 3, 4]),
        (Prefix::Ne, &[0, 1]),
        (Prefix::Gt, &[0, 1]),
        (Prefix::Lt, &[0, 1]),
        (Prefix::Ge, &[0, 1, 2, 3, 4]),
        (Prefix::Le, &[0, 1, 2, 3, 4]),
        (Prefix::Sa, &[]),
        (Prefix::Eb, &[]),
    ];
    for (prefix, numbers) in expected {
        let expected: HashSet<String> = numbers.iter().map(|n| texts[*n].replace([':'], "")).collect();
        for name in ["authored-on", "modified"] {
            let found = finds(&place, vec![date(TASK, name, prefix, "2026-03-04")]).await;
            assert_eq!(found.iter().cloned().collect::<HashSet<_>>(), expected, "{name} {prefix:?}");
            let both = vec![date(TASK, name, prefix, "2026-03-04"), token(TASK, "status", "ready")];
            assert_eq!(finds(&place, both).await.len(), expected.len(), "{name} {prefix:?}");
        }
    }
    let after = finds(&place, vec![date(TASK, "authored-on", Prefix::Sa, "2026-03-03")]).await;
    assert_eq!(after, ["2026-03-04", "2026-03-04T100000Z", "2026-03-04T100000.500Z"], "in the order of the date");
}

pub(crate) async fn an_update_moves_a_task_between_searches(place: Place) {
    let registry = &*place.registry;
    create(registry, 1, Key::task("t"), full_task()).await;
    let mut body = full_task();
    body["status"] = json!("in-progress");
    body["businessStatus"] = coded("urn:b", "running");
    body["owner"] = json!({ "reference": "Organization/other" });
    body["authoredOn"] = json!("2027-03-04T10:00:00Z");
    let decision = deciding(now(registry).await).on(root(1), Some(1)).updates(root(1), Key::task("t"), 2, body).done();
    assert_eq!(commit(registry, &[decision]).await, [Committed::Done]);
    for gone in [
        token(TASK, "status", "requested"),
        token(TASK, "business-status", "waiting"),
        reference(TASK, "owner", "Organization/lab"),
        reference_identifier(TASK, "owner", "urn:ods|A81"),
        date(TASK, "authored-on", Prefix::Lt, "2027"),
    ] {
        assert!(finds(&place, vec![gone.clone()]).await.is_empty(), "{gone:?}");
    }
    for there in [
        token(TASK, "status", "in-progress"),
        token(TASK, "business-status", "running"),
        reference(TASK, "owner", "Organization/other"),
        token(TASK, "identifier", "T-1"),
        date(TASK, "authored-on", Prefix::Eq, "2027"),
    ] {
        let page = registry.search(&task_query(vec![there.clone()])).await.unwrap();
        assert_eq!((ids(&page), page.entries[0].version), (vec!["t"], 2), "{there:?}");
    }
}

pub(crate) async fn what_a_batch_changes_twice_is_found_as_it_is_in_the_end(place: Place) {
    let registry = &*place.registry;
    let at = now(registry).await;
    let in_state = |code: &str| json!({ "status": "draft", "businessStatus": { "coding": [{ "code": code }] } });
    let (new, old) = (Key::task("new"), Key::task("old"));
    let first = deciding(at).on(root(1), None).creates(root(1), old.clone(), in_state("a")).done();
    assert_eq!(commit_one(registry, first).await.0, Committed::Done);
    let batch = [
        deciding(at).on(root(1), Some(1)).updates(root(1), old.clone(), 2, in_state("b")).done(),
        deciding(at).on(root(2), None).creates(root(2), new.clone(), in_state("a")).done(),
        deciding(at).on(root(1), Some(2)).updates(root(1), old.clone(), 3, in_state("c")).done(),
        deciding(at).on(root(2), Some(1)).updates(root(2), new, 2, in_state("b")).done(),
    ];
    assert_eq!(commit(registry, &batch).await, [const { Committed::Done }; 4]);
    let by = async |code: &str| found(registry, task_query(vec![token(TASK, "business-status", code)])).await;
    assert!(by("a").await.is_empty());
    assert_eq!((by("b").await, by("c").await), (vec!["new".to_owned()], vec!["old".to_owned()]));
    let gone = deciding(at).on(root(1), Some(3)).deletes(root(1), old, 4).done();
    assert_eq!(commit_one(registry, gone).await.0, Committed::Done);
    assert!(by("c").await.is_empty());
}

pub(crate) async fn long_values_are_found(place: Place) {
    let registry = &*place.registry;
    let long = "ß".repeat(4000);
    let body = json!({ "status": "ready", "identifier": [{ "system": long, "value": long }],
        "owner": { "reference": format!("https://a.example/{long}") }, "groupIdentifier": { "value": "a\u{0}b" } });
    create(registry, 1, Key::task("t"), body).await;
    assert_eq!(finds(&place, vec![token(TASK, "identifier", &format!("{long}|{long}"))]).await, ["t"]);
    assert!(finds(&place, vec![token(TASK, "identifier", &format!("{long}|{long}x"))]).await.is_empty());
    assert_eq!(finds(&place, vec![reference(TASK, "owner", &format!("https://a.example/{long}"))]).await, ["t"]);
    let none = registry.search(&task_query(vec![token(TASK, "group-identifier", "a\u{0}b")])).await;
    assert!(!matches!(none, Err(Trouble::Failed(_))));
}
