//! Documents that are attached: the referral letter and what goes with it, a provider's attachments, the files of a
//! conversation. Their content was stored before, as a Binary.

use schemas::resource::{Body, Key, Kind, list, text_at};
use serde_json::json;
use uuid::Uuid;

use super::codes::{DUPLICATE_FILENAME, INVALID_VALUE, NO_CHANGES_DETECTED, REFERENCE_NOT_FOUND};
use super::read::Reader;
use super::record::{Attached, Record};
use super::{is_here, request_key};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::{Refusal, RefusalKind};
use crate::scene::Needs;

/// A document as somebody sent it.
#[derive(Debug, Clone)]
pub struct Document {
    path: String,
    body: Body,
    binary: Key,
    title: String,
}

/// DocumentReferences, each of one Binary.
pub(super) fn read(reader: &mut Reader, name: &'static str) -> Vec<Document> {
    let mut documents = Vec::new();
    for (path, body) in reader.resources(name, "DocumentReference") {
        let attachment = list(body, "content").next().and_then(|content| content["attachment"].as_object());
        let url = attachment.and_then(|attachment| text_at(attachment, &["url"]));
        let Some(binary) = url.and_then(Key::of_reference).filter(|key| key.kind == Kind::BINARY) else {
            let text = "a document is the Binary/<id> that its attachment's url names";
            reader.faults.push(INVALID_VALUE.because(&format!("{path}.content[0].attachment.url"), text));
            continue;
        };
        let title = attachment.and_then(|attachment| text_at(attachment, &["title"]));
        let title = title.or(text_at(body, &["description"])).unwrap_or(&binary.id).to_owned();
        documents.push(Document { path, body: body.clone(), binary, title });
    }
    documents
}

pub(super) fn needs(documents: &[Document]) -> Needs {
    Needs { existence: documents.iter().map(|document| document.binary.clone()).collect(), ..Needs::default() }
}

/// Attaches documents to what they are about, in its order.
pub(super) fn attach(
    draft: &mut Draft,
    root: Uuid,
    record: &mut Record,
    documents: &[Document],
    by_referrer: bool,
) -> Result<Vec<Uuid>, Stop> {
    let (mut faults, mut ids) = (Vec::new(), Vec::new());
    for document in documents {
        if !is_here(draft, &document.binary)? {
            let path = format!("{}.content[0].attachment.url", document.path);
            faults.push(REFERENCE_NOT_FOUND.because(&path, "there is no such Binary"));
        }
        if record.documents.iter().any(|other| other.title == document.title && other.binary != document.binary.id) {
            faults.push(DUPLICATE_FILENAME.at(&document.path));
        }
        if record.documents.iter().any(|other| other.binary == document.binary.id) {
            continue;
        }
        let id = record.next_id(root);
        let binary = document.binary.id.clone();
        record.documents.push(Attached { id, binary, title: document.title.clone(), by_referrer });
        ids.push(id);
        let mut body = document.body.clone();
        body.insert("subject".into(), super::shown::patient(record));
        body.insert("context".into(), json!({ "related": [super::shown::reference(&request_key(record, root))] }));
        draft.create(root, key(id), body);
    }
    if faults.is_empty() { Ok(ids) } else { Err(Refusal::new(RefusalKind::Unprocessable, faults).into()) }
}

pub(super) fn key(id: Uuid) -> Key {
    Key::new(Kind::DOCUMENT_REFERENCE, id.to_string())
}

/// `$ers.maintainReferralLetter`: these are the referrer's documents now. Those that are not among them are withdrawn.
pub(super) fn maintain(draft: &mut Draft, root: Uuid, record: &mut Record, documents: &[Document]) -> Result<(), Stop> {
    let is_kept = |attached: &Attached| {
        !attached.by_referrer || documents.iter().any(|document| document.binary.id == attached.binary)
    };
    let withdrawn: Vec<Uuid> = record.documents.iter().filter(|a| !is_kept(a)).map(|attached| attached.id).collect();
    record.documents.retain(is_kept);
    let added = attach(draft, root, record, documents, true)?;
    if withdrawn.is_empty() && added.is_empty() {
        return Err(NO_CHANGES_DETECTED.refused("Parameters", "the documents are the same as before").into());
    }
    let keys: Vec<Key> = withdrawn.into_iter().map(key).collect();
    for resource in draft.get_all(&keys)? {
        let mut body = resource.body.clone().into_body();
        body.insert("status".into(), "superseded".into());
        draft.replace(root, &resource.key, body)?;
    }
    if !added.is_empty() {
        let now = draft.now();
        record.letter_first = record.letter_first.or(Some(now));
        record.letter_last = Some(now);
    }
    Ok(())
}
