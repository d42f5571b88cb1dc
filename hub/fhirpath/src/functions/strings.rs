//! Texts. Places in them are counted in characters.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::{some, truth};
use crate::evaluate::{Call, Evaluation, Outcome};
use crate::syntax::{Fault, FaultKind};
use crate::value::Item;

/// No text that an expression makes is longer.
const LONGEST: usize = 1024 * 1024;

type Text<'a> = Cow<'a, str>;

/// The text that a function is called on.
fn text<'a>(evaluation: &mut Evaluation<'a, '_>, call: &Call<'_, 'a>) -> Result<Option<Text<'a>>, Fault> {
    let text = evaluation.text(call.at, &call.input, "what the function is called on")?;
    evaluation.costs(call.at, text.as_ref().map_or(0, |text| text.len() / 256))?;
    Ok(text)
}

/// With one argument: nothing if either is missing.
fn with_one<'a>(
    evaluation: &mut Evaluation<'a, '_>,
    call: &Call<'_, 'a>,
    answer: impl FnOnce(&Text<'a>, &str) -> Item<'a>,
) -> Outcome<'a> {
    let of = text(evaluation, call)?;
    let argument = call.text(evaluation, 0)?;
    some(of.zip(argument).map(|(of, argument)| answer(&of, &argument)))
}

fn without<'a>(
    evaluation: &mut Evaluation<'a, '_>,
    call: &Call<'_, 'a>,
    answer: impl FnOnce(&str) -> Item<'a>,
) -> Outcome<'a> {
    some(text(evaluation, call)?.map(|of| answer(&of)))
}

fn place<'a>(of: &str, byte: Option<usize>) -> Item<'a> {
    let place = byte.map_or(-1, |byte| i64::try_from(of[..byte].chars().count()).unwrap_or(i64::MAX));
    Item::Integer(place)
}

pub(super) fn index_of<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    with_one(evaluation, &call, |of, part| place(of, of.find(part)))
}

pub(super) fn last_index_of<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    with_one(evaluation, &call, |of, part| place(of, of.rfind(part)))
}

pub(super) fn substring<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let Some(of) = text(evaluation, &call)? else { return Ok(Vec::new()) };
    let Some(start) = call.integer(evaluation, 0)? else { return Ok(Vec::new()) };
    let length = if call.arguments.len() > 1 { call.integer(evaluation, 1)? } else { None };
    let Some(start) = usize::try_from(start).ok().filter(|start| *start < of.chars().count()) else {
        return Ok(Vec::new());
    };
    let length = length.map_or(usize::MAX, |length| usize::try_from(length.max(0)).unwrap_or(usize::MAX));
    Ok(vec![Item::string(of.chars().skip(start).take(length).collect::<String>())])
}

pub(super) fn starts_with<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    with_one(evaluation, &call, |of, part| Item::Boolean(of.starts_with(part)))
}

pub(super) fn ends_with<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    with_one(evaluation, &call, |of, part| Item::Boolean(of.ends_with(part)))
}

pub(super) fn contains<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    with_one(evaluation, &call, |of, part| Item::Boolean(of.contains(part)))
}

pub(super) fn upper<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    without(evaluation, &call, |of| Item::string(of.to_uppercase()))
}

pub(super) fn lower<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    without(evaluation, &call, |of| Item::string(of.to_lowercase()))
}

pub(super) fn length<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    without(evaluation, &call, |of| Item::Integer(i64::try_from(of.chars().count()).unwrap_or(i64::MAX)))
}

pub(super) fn trim<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    without(evaluation, &call, |of| Item::string(of.trim().to_owned()))
}

pub(super) fn to_chars<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let of = text(evaluation, &call)?.unwrap_or_default();
    evaluation.costs(call.at, of.len())?;
    Ok(of.chars().map(|c| Item::string(c.to_string())).collect())
}

/// A text that was made longer, if it is not too long.
fn made<'a>(call: &Call<'_, 'a>, length: usize, text: impl FnOnce() -> String) -> Outcome<'a> {
    if length > LONGEST {
        let text = format!("it makes a text of more than {LONGEST} bytes");
        return Err(Fault { at: call.at, kind: FaultKind::TooCostly, text });
    }
    Ok(vec![Item::string(text())])
}

pub(super) fn replace<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let of = text(evaluation, &call)?;
    let (part, by) = (call.text(evaluation, 0)?, call.text(evaluation, 1)?);
    let (Some(of), Some(part), Some(by)) = (of, part, by) else { return Ok(Vec::new()) };
    let many = of.matches(&*part).count();
    made(&call, of.len() + many * by.len(), || of.replace(&*part, &by))
}

pub(super) fn matches<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let (of, by) = (text(evaluation, &call)?, call.text(evaluation, 0)?);
    let Some((of, by)) = of.zip(by) else { return Ok(Vec::new()) };
    truth(evaluation.pattern(call.arguments[0].at, &by)?.is_match(&of))
}

pub(super) fn matches_full<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let (of, by) = (text(evaluation, &call)?, call.text(evaluation, 0)?);
    let Some((of, by)) = of.zip(by) else { return Ok(Vec::new()) };
    truth(evaluation.pattern(call.arguments[0].at, &format!("^(?:{by})$"))?.is_match(&of))
}

pub(super) fn replace_matches<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let of = text(evaluation, &call)?;
    let (by, with) = (call.text(evaluation, 0)?, call.text(evaluation, 1)?);
    let (Some(of), Some(by), Some(with)) = (of, by, with) else { return Ok(Vec::new()) };
    if by.is_empty() {
        return Ok(vec![Item::String(of)]);
    }
    let pattern = evaluation.pattern(call.arguments[0].at, &by)?;
    // A group may bring the whole text again at each place.
    let many = pattern.find_iter(&of).count();
    let longest = of.len().saturating_add(many.saturating_mul(with.len() + of.len() * with.matches('$').count()));
    made(&call, longest, || pattern.replace_all(&of, &*with).into_owned())
}

pub(super) fn split<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let (of, by) = (text(evaluation, &call)?, call.text(evaluation, 0)?);
    let Some((of, by)) = of.zip(by) else { return Ok(Vec::new()) };
    if by.is_empty() {
        return Ok(vec![Item::String(of)]);
    }
    evaluation.costs(call.at, of.matches(&*by).count())?;
    Ok(of.split(&*by).map(|part| Item::string(part.to_owned())).collect())
}

pub(super) fn join<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let by = if call.arguments.is_empty() { None } else { call.text(evaluation, 0)? }.unwrap_or_default();
    let part = |item: &Item<'a>| {
        Ok(evaluation.text(call.at, std::slice::from_ref(item), "what is joined")?.unwrap_or_default())
    };
    let parts: Vec<Text> = call.input.iter().map(part).collect::<Result<_, Fault>>()?;
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let length = parts.iter().map(|part| part.len() + by.len()).sum();
    made(&call, length, || parts.join(&*by))
}

/// An encoding that is not known gives nothing.
pub(super) fn encode<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let (of, format) = (text(evaluation, &call)?, call.text(evaluation, 0)?);
    let Some((of, format)) = of.zip(format) else { return Ok(Vec::new()) };
    some(
        match &*format {
            "hex" => Some(of.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()),
            "base64" => Some(STANDARD.encode(of.as_bytes())),
            "urlbase64" => Some(URL_SAFE.encode(of.as_bytes())),
            _ => None,
        }
        .map(Item::string),
    )
}

pub(super) fn decode<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let (of, format) = (text(evaluation, &call)?, call.text(evaluation, 0)?);
    let Some((of, format)) = of.zip(format) else { return Ok(Vec::new()) };
    let bytes = match &*format {
        "hex" => unhex(&of),
        "base64" => STANDARD.decode(of.as_bytes()).ok(),
        "urlbase64" => URL_SAFE.decode(of.as_bytes()).ok(),
        _ => None,
    };
    some(bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map(Item::string))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c.to_digit(16)?).ok()).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect())
}

const HTML: [(&str, &str); 5] = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#39;")];

pub(super) fn escape<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let (of, target) = (text(evaluation, &call)?, call.text(evaluation, 0)?);
    let Some((of, target)) = of.zip(target) else { return Ok(Vec::new()) };
    some(
        match &*target {
            "html" => Some(HTML.iter().fold(of.into_owned(), |text, (plain, escaped)| text.replace(plain, escaped))),
            "json" => serde_json::to_string(&of).ok().map(|quoted| quoted[1..quoted.len() - 1].to_owned()),
            _ => None,
        }
        .map(Item::string),
    )
}

pub(super) fn unescape<'a>(evaluation: &mut Evaluation<'a, '_>, call: Call<'_, 'a>) -> Outcome<'a> {
    let (of, target) = (text(evaluation, &call)?, call.text(evaluation, 0)?);
    let Some((of, target)) = of.zip(target) else { return Ok(Vec::new()) };
    some(
        match &*target {
            "html" => {
                Some(HTML.iter().rev().fold(of.into_owned(), |text, (plain, escaped)| text.replace(escaped, plain)))
            }
            "json" => serde_json::from_str(&quoted(&of)).ok(),
            _ => None,
        }
        .map(Item::string),
    )
}

/// As a string of JSON, also where its own quotes are not escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut is_escaped = false;
    for c in text.chars() {
        if c == '"' && !is_escaped {
            quoted.push('\\');
        }
        is_escaped = c == '\\' && !is_escaped;
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}
