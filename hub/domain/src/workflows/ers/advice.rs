//! Advice and guidance: a referrer asks, a specialist answers or asks back, and in the end there is a referral or none.
//! What is said is a Communication each.

use schemas::resource::{Body, Key, Kind};
use serde_json::{Value, json};
use uuid::Uuid;

use super::codes::{INAPPROPRIATE_VALUE, MISSING_VALUE};
use super::letter::{self, Document};
use super::read::Reader;
use super::record::{Reason, Record, Speaker, Urgency};
use super::table::{Action, ActionRow, Side, State};
use super::words::GuidanceOutcome;
use super::{Wish, keep, request_key, shown};
use crate::decide::Stop;
use crate::decide::draft::Draft;
use crate::refusal::Refusal;

const SENT_BY: &str = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-CommunicationSentBy-1";

/// A message of the conversation.
#[derive(Debug, Clone)]
pub struct Said {
    text: String,
    pub(super) documents: Vec<Document>,
}

/// A specialist's message.
#[derive(Debug, Clone)]
pub struct Guidance {
    outcome: GuidanceOutcome,
    urgency: Option<Urgency>,
    pub(super) said: Said,
}

impl Guidance {
    pub(super) fn action(&self) -> Action {
        match self.outcome {
            GuidanceOutcome::ReturnWithAdvice => Action::Advise,
            GuidanceOutcome::RequireInformation => Action::AskForInformation,
        }
    }
}

/// That a question becomes a referral.
#[derive(Debug, Clone)]
pub struct Conversion {
    pub(super) said: Option<Said>,
    urgency: Option<Urgency>,
    comments: Option<String>,
}

pub(super) fn read_said(reader: &mut Reader, text: &'static str, file: &'static str) -> Said {
    let text = reader.needed_text(text);
    let documents = letter::read(reader, file);
    Said { text, documents }
}

/// `$ers.sendCommunicationToRequester`
pub(super) fn read_guidance(parameters: &Body) -> Result<Wish, Refusal> {
    let mut reader = Reader::new(parameters);
    let outcome = reader.needed_code("guidanceOutcome", GuidanceOutcome::parse, GuidanceOutcome::CODES);
    let urgency = reader.code("updatedPriority", Urgency::parse, Urgency::CODES);
    let said = read_said(&mut reader, "guidance", "guidanceAttachmentFile");
    let outcome = outcome.unwrap_or(GuidanceOutcome::ReturnWithAdvice);
    reader.finish(Wish::Guide(Guidance { outcome, urgency, said }))
}

/// `$sendCommunicationToProvider`
pub(super) fn read_reply(parameters: &Body) -> Result<Wish, Refusal> {
    let mut reader = Reader::new(parameters);
    let said = read_said(&mut reader, "information", "informationAttachmentFile");
    reader.finish(Wish::Reply(said))
}

/// `$ers.createFromCommunicationRequestActionLater`
pub(super) fn read_conversion(parameters: &Body) -> Result<Wish, Refusal> {
    let mut reader = Reader::new(parameters);
    let text = reader.text("guidance");
    let documents = letter::read(&mut reader, "guidanceAttachmentFile");
    let urgency = reader.code("newReferralPriority", Urgency::parse, Urgency::CODES);
    let comments = reader.text("reviewComments");
    let said = text.map(|text| Said { text, documents });
    reader.finish(Wish::Convert(Conversion { said, urgency, comments }))
}

/// One more message, to the other side.
pub(super) fn say(draft: &mut Draft, root: Uuid, record: &mut Record, by: &Speaker, said: &Said) -> Result<(), Stop> {
    if said.text.trim().is_empty() {
        return Err(MISSING_VALUE.refused("Parameters", "a message says something").into());
    }
    let from_referrer = by.role.side() == Side::Referrer;
    let attached = letter::attach(draft, root, record, &said.documents, from_referrer)?;
    let other = if from_referrer { record.provider().unwrap_or_default() } else { record.referrer.as_str() };
    let mut payload = vec![json!({ "contentString": said.text })];
    payload.extend(attached.into_iter().map(|id| json!({ "contentReference": shown::reference(&letter::key(id)) })));
    let sender = by.person.as_ref().map_or_else(
        || shown::organization(&by.organization),
        |person| json!({ "identifier": { "system": shown::SDS_USER, "value": person } }),
    );
    let body = json!({
        "status": "completed",
        "basedOn": [shown::reference(&request_key(record, root))],
        "category": [{ "coding": [{
            "system": SENT_BY,
            "code": if from_referrer { "REQUESTER" } else { "RESPONDER" },
        }] }],
        "subject": shown::patient(record),
        "sent": draft.now().to_string(),
        "recipient": [shown::organization(other)],
        "sender": sender,
        "payload": payload,
    });
    let id = record.next_id(root);
    communicate(draft, root, id, body);
    Ok(())
}

/// Keeps a Communication about a referral.
pub(super) fn communicate(draft: &mut Draft, root: Uuid, id: Uuid, body: Value) {
    if let Value::Object(body) = body {
        draft.create(root, Key::new(Kind::COMMUNICATION, id.to_string()), body);
    }
}

pub(super) fn guide(
    draft: &mut Draft,
    root: Uuid,
    record: &mut Record,
    by: &Speaker,
    guidance: &Guidance,
) -> Result<(), Stop> {
    record.urgency = guidance.urgency.unwrap_or(record.urgency);
    say(draft, root, record, by, &guidance.said)
}

/// The referral that an advice becomes has the same number, and is an order of its own.
pub(super) fn referral_root(advice: Uuid) -> Uuid {
    Uuid::new_v5(&advice, b"referral")
}

pub(super) fn convert(
    draft: &mut Draft,
    root: Uuid,
    record: &mut Record,
    by: &Speaker,
    conversion: &Conversion,
    row: &ActionRow,
) -> Result<(), Stop> {
    let by_provider = by.role.side() == Side::Provider;
    if !record.converts(by) {
        let text = "the referrer has not allowed the provider to make a referral of this";
        return Err(INAPPROPRIATE_VALUE.refused("Parameters", text).into());
    }
    if by_provider && conversion.comments.is_none() {
        let text = "who is to find a service for the patient is told what for";
        return Err(MISSING_VALUE.refused("Parameters.parameter(\"reviewComments\")", text).into());
    }
    if let Some(said) = &conversion.said {
        say(draft, root, record, by, said)?;
    }
    let now = draft.now();
    let comment = conversion.comments.clone();
    let referral = Record {
        state: row.begins.unwrap_or(State::NotBooked),
        reason: comment.map(|comment| Reason { coded: None, comment: Some(comment) }),
        urgency: conversion.urgency.unwrap_or(record.urgency),
        created: now,
        pathway_start: now,
        letter_due: None,
        documents: Vec::new(),
        made: 0,
        holder: None,
        reminded: Vec::new(),
        wakes: None,
        sent_to: record.sent_to.clone().filter(|_| by_provider),
        ..record.clone()
    };
    keep(draft, referral_root(root), referral)
}
