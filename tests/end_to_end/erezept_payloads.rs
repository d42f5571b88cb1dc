//! Published messages of gematik's E-Rezept: what is sent there is sent here, and what is answered there has the shape of
//! what is answered here. They are published in XML; the hub speaks JSON.

use std::collections::BTreeSet;
use std::path::PathBuf;

use roxmltree::{Document, Node};
use serde_json::{Map, Value, json};
use tests::{Client, Reply, World, leave_out_for_want_of, say_once, stories};

use crate::erezept::{FLOW, calls, code, parameters, service, signed_text};
use crate::prescription_payloads::{shape, shared};

stories![published_e_rezepte_are_driven];

/// The number in all of them.
const NUMBER: &str = "160.000.000.000.000.01";

/// What an answer has there and not here: a signature, whom to write to about it, and the time of an example.
const NOT_HERE: [&str; 3] = ["signature", ".contact.", ".meta.lastUpdated"];

/// A prescription on its way through the service, by published messages.
struct Walk {
    folder: PathBuf,
    service: Client,
    number: String,
    rows: Vec<String>,
    wrong: usize,
}

impl Walk {
    fn text(&self, file: &str) -> String {
        let text = std::fs::read_to_string(self.folder.join(file)).unwrap();
        text.trim_start_matches('\u{feff}').replace(NUMBER, &self.number)
    }

    /// Compares an answer with a published one: its status, and that it has all elements of that.
    fn is_like(&mut self, file: &str, reply: &Reply, status: u16) {
        self.has(file, &elements(&published(&self.text(file), file)), reply, status);
    }

    /// The same, of the Task in the answer alone.
    fn has_task_like(&mut self, file: &str, reply: &Reply, status: u16) {
        let task = published(&self.text(file), file)["entry"][0]["resource"].take();
        let task = json!({ "entry": [{ "resource": task }] });
        self.has(file, &elements(&task), reply, status);
    }

    fn has(&mut self, file: &str, published: &BTreeSet<String>, reply: &Reply, status: u16) {
        let told = elements(&reply.body);
        let lacking: Vec<&String> = published
            .iter()
            .filter(|path| !told.contains(*path) && !NOT_HERE.iter().any(|not| path.contains(not)))
            .collect();
        let right = reply.status == status && lacking.is_empty() && published.len() > 2;
        self.row(
            file,
            &format!("{status}, {} elements", published.len()),
            &format!("{}, lacking {lacking:?}", reply.status),
            right,
        );
    }

    fn row(&mut self, file: &str, expected: &str, got: &str, right: bool) {
        self.wrong += usize::from(!right);
        let mark = if right { "" } else { "  <- WRONG" };
        self.rows.push(format!("{file:62} | {expected:18} | {got}{mark}"));
    }
}

async fn published_e_rezepte_are_driven(world: World) {
    let folder = shared().join("payloads/gematik/2025-01-15");
    if !folder.is_dir() {
        let why = "published E-Rezepte (no folder of payloads; HUB_SHARED names its parent)";
        return leave_out_for_want_of("payloads", why);
    }
    let hub = world.hub_with(&[("now", "2025-01-15T15:29:00Z")]).await;
    let (mut rows, mut wrong) = (Vec::new(), 0);
    for closing in ["erp_abrufen/06_request_taskClose.xml", "erp_abrufen/06_request_taskClose_rezeptur.xml"] {
        let mut walk =
            Walk { folder: folder.clone(), service: service(&hub), number: NUMBER.into(), rows: Vec::new(), wrong: 0 };
        lives(&mut walk, closing).await;
        rows.extend(walk.rows);
        wrong += walk.wrong;
    }
    for (file, why) in LEFT_OUT {
        rows.push(format!("{file:62} | not sent           | {why}"));
    }
    hub.closes().await;
    say_once(&format!("\npublished E-Rezepte (file, expected, got):\n{}", rows.join("\n")));
    let wrong_rows: Vec<&String> = rows.iter().filter(|row| row.ends_with("WRONG")).collect();
    assert_eq!(wrong, 0, "{wrong_rows:#?}");
}

/// Messages that no part of the hub is asked.
const LEFT_OUT: [(&str, &str); 10] = [
    ("erp_abrufen/02_response_taskAcceptWithConsent.xml", "consents are not offered"),
    ("erp_abrufen/04_request_VerifySignatureTask.xml", "to the connector of the pharmacy, which verifies"),
    ("erp_abrufen/05_response_VerifySignatureTask.xml", "of the same"),
    ("erp_bereitstellen/03_request_SignDocument.xml", "to the connector of the practice, which signs"),
    ("erp_bereitstellen/04_response_SignDocument.xml", "of the same"),
    ("erp_communication/03_request_PostPharmacyToPatient.xml", "communications are not offered"),
    ("erp_communication/04_response_PostPharmacyToPatient.xml", "of the same"),
    ("erp_statuscodes/01_example_operationOutcome_validation.xml", "profiles of the KBV are not validated"),
    ("erp_versicherte/01_response_taskGetAll.json", "an insured person does not search here"),
    ("misc_api_endpoints/CapabilityStatement_RU.xml", "that of another server"),
];

async fn lives(walk: &mut Walk, closing: &str) {
    let service = walk.service.clone();
    let wanted = json!({ "system": FLOW, "code": "160" });
    let created = service.post("Task/$create", &parameters("workflowType", "valueCoding", wanted)).await;
    walk.number = created.body["id"].as_str().unwrap_or_default().to_owned();
    let access = code(&created.body, "AccessCode").unwrap_or_default();
    walk.is_like("erp_bereitstellen/01_response_taskCreate.xml", &created, 201);

    let prescription = signed_text(&walk.text("erp_bereitstellen/02_Prescription_Bundle.xml"));
    let path = format!("Task/{}", walk.number);
    let activated = service.post(&format!("{path}/$activate"), &prescription).header("x-accesscode", &access).await;
    walk.is_like("erp_bereitstellen/05_response_taskActivate.xml", &activated, 200);
    let single = service.get(&format!("{path}?ac={access}")).await;
    walk.has_task_like("erp_versicherte/02_response_taskGetSingle.json", &single, 200);

    let accepted = calls(&service, &format!("{path}/$accept?ac={access}")).await;
    walk.is_like("erp_abrufen/01_response_taskAccept.xml", &accepted, 200);
    let again = calls(&service, &format!("{path}/$accept?ac={access}")).await;
    walk.is_like("erp_statuscodes/02_example_operationOutcome_status.xml", &again, 409);
    let same = again.body["issue"][0]["details"]["text"] == "Task has invalid status in-progress";
    walk.row("erp_statuscodes/02_example_operationOutcome_status.xml", "its words", &again.text, same);

    let secret = accepted.resources().first().and_then(|task| code(task, "Secret")).unwrap_or_default();
    let told = Document::parse(&walk.text(closing)).map(|document| resource(document.root_element())).unwrap();
    let closed = service.post(&format!("{path}/$close?secret={secret}"), &told).await;
    walk.row(closing, "200", &format!("{} {}", closed.status, closed.says()), closed.status == 200);
    walk.is_like("erp_abrufen/09_response_taskClose.xml", &closed, 200);
    let looked = service.get(&format!("{path}?secret={secret}")).await;
    walk.is_like("erp_abrufen/10_response_taskGet.xml", &looked, 200);
}

fn published(text: &str, file: &str) -> Value {
    if file.ends_with(".json") {
        return serde_json::from_str(text).unwrap();
    }
    let mut answer = resource(Document::parse(text).unwrap().root_element());
    // An example's own.
    answer.as_object_mut().unwrap().remove("id");
    answer
}

/// The paths of all values.
fn elements(answer: &Value) -> BTreeSet<String> {
    let mut elements = BTreeSet::new();
    shape(answer, "", &mut elements);
    elements
}

// ---- FHIR in XML

/// Elements that may come several times.
const LISTS: [&str; 24] = [
    "author",
    "authorizingPrescription",
    "coding",
    "contact",
    "contained",
    "deviceName",
    "dosageInstruction",
    "entry",
    "event",
    "extension",
    "identifier",
    "ingredient",
    "input",
    "issue",
    "link",
    "output",
    "parameter",
    "part",
    "performer",
    "performerType",
    "profile",
    "section",
    "telecom",
    "version",
];
/// References, and what carries one identifier itself.
const HAVE_ONE_IDENTIFIER: [&str; 5] = ["actor", "for", "owner", "subject", "Bundle"];
/// Elements whose value is a number.
const NUMBERS: [&str; 4] = ["quantity", "numerator", "denominator", "amount"];

fn resource(element: Node) -> Value {
    let mut body = Map::new();
    body.insert("resourceType".into(), element.tag_name().name().into());
    members(element, &mut body);
    Value::Object(body)
}

fn members(element: Node, body: &mut Map<String, Value>) {
    if let Some(url) = element.attribute("url") {
        body.insert("url".into(), url.into());
    }
    for child in element.children().filter(Node::is_element) {
        let name = child.tag_name().name();
        let inner: Vec<Node> = child.children().filter(Node::is_element).collect();
        let is_absent = child.attribute("value").is_none()
            && name != "extension"
            && !inner.is_empty()
            && inner.iter().all(|inner| inner.has_tag_name((FHIR, "extension")));
        let value = match (child.attribute("value"), name) {
            _ if child.tag_name().namespace() != Some(FHIR) => continue,
            (Some(text), _) => primitive(element, name, text),
            (None, "resource" | "contained") => inner.first().map_or(Value::Null, |inner| resource(*inner)),
            (None, _) => {
                let mut members_of = Map::new();
                members(child, &mut members_of);
                Value::Object(members_of)
            }
        };
        let name = if is_absent { format!("_{name}") } else { name.to_owned() };
        let is_of_one = name == "identifier" && HAVE_ONE_IDENTIFIER.contains(&element.tag_name().name());
        if LISTS.contains(&name.as_str()) && !is_of_one {
            let list = body.entry(name).or_insert_with(|| json!([]));
            list.as_array_mut().unwrap().push(value);
        } else {
            body.insert(name, value);
        }
    }
}

const FHIR: &str = "http://hl7.org/fhir";

fn primitive(parent: Node, name: &str, text: &str) -> Value {
    let is_number = name == "valueDecimal" || name == "value" && NUMBERS.contains(&parent.tag_name().name());
    match text {
        "true" | "false" if name != "value" => (text == "true").into(),
        text if is_number => serde_json::from_str(text).unwrap_or_default(),
        text => text.into(),
    }
}
