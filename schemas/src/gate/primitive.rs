//! The formats of FHIR's primitive types.

use super::calendar;
use crate::outcome::IssueType::{self, Structure};
use serde_json::Value;

/// FHIR's bound for a string.
const LONGEST_STRING_BYTES: usize = 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Primitive {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Integer64,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
    Xhtml,
}

/// What is wrong with a value, in words that go after "the value".
pub(super) type Flaw = (IssueType, &'static str);

impl Primitive {
    const ALL: [(&'static str, Self); 21] = [
        ("base64Binary", Self::Base64Binary),
        ("boolean", Self::Boolean),
        ("canonical", Self::Canonical),
        ("code", Self::Code),
        ("date", Self::Date),
        ("dateTime", Self::DateTime),
        ("decimal", Self::Decimal),
        ("id", Self::Id),
        ("instant", Self::Instant),
        ("integer", Self::Integer),
        ("integer64", Self::Integer64),
        ("markdown", Self::Markdown),
        ("oid", Self::Oid),
        ("positiveInt", Self::PositiveInt),
        ("string", Self::String),
        ("time", Self::Time),
        ("unsignedInt", Self::UnsignedInt),
        ("uri", Self::Uri),
        ("url", Self::Url),
        ("uuid", Self::Uuid),
        ("xhtml", Self::Xhtml),
    ];

    /// The type that FHIR calls by this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, primitive)| *primitive)
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    /// What keeps a value from being one of this type.
    pub(super) fn flaw(self, value: &Value) -> Option<Flaw> {
        match (self, value) {
            (Self::Boolean, Value::Bool(_)) | (Self::Decimal, Value::Number(_)) => None,
            (Self::Integer | Self::PositiveInt | Self::UnsignedInt, Value::Number(number)) => {
                self.number_flaw(number.as_str())
            }
            (Self::Boolean, _) => Some((Structure, "must be true or false, without quotes")),
            (Self::Decimal | Self::Integer | Self::PositiveInt | Self::UnsignedInt, _) => {
                Some((Structure, "must be a number, without quotes"))
            }
            (_, Value::String(text)) => self.text_flaw(text),
            _ => Some((Structure, "must be a string in quotes")),
        }
    }

    fn number_flaw(self, digits: &str) -> Option<Flaw> {
        let lowest = match self {
            Self::PositiveInt => 1,
            Self::UnsignedInt => 0,
            _ => i32::MIN,
        };
        // Not `1.0`, `1e3` or `-0`: those are decimals.
        let fits = digits != "-0" && digits.parse().is_ok_and(|number: i32| number >= lowest);
        (!fits).then_some(match self {
            Self::PositiveInt => (IssueType::Value, "must be a whole number from 1 to 2147483647"),
            Self::UnsignedInt => (IssueType::Value, "must be a whole number from 0 to 2147483647"),
            _ => (IssueType::Value, "must be a whole number from -2147483648 to 2147483647"),
        })
    }

    fn text_flaw(self, text: &str) -> Option<Flaw> {
        if text.is_empty() {
            return Some((IssueType::Value, "must not be empty: leave the element out"));
        }
        if has_control_character(text) {
            return Some((IssueType::Value, "must hold no control characters but tab and line ends"));
        }
        let (right, rule) = match self {
            Self::Base64Binary => (is_base64(text), "must be base64"),
            Self::Code => (is_code(text), "must be a code: no spaces around it, and only single ones within"),
            Self::Date => (calendar::is_date(text), "must be a date that exists: YYYY, YYYY-MM or YYYY-MM-DD"),
            Self::DateTime => (
                calendar::is_date_time(text),
                "must be a date that exists, or a date with time and zone: YYYY-MM-DDThh:mm:ss+zz:zz",
            ),
            Self::Id => (is_id(text), "must be an id: 1 to 64 of A-Z, a-z, 0-9, '-' and '.'"),
            Self::Instant => (
                calendar::is_instant(text),
                "must be a date that exists, with time and zone: YYYY-MM-DDThh:mm:ss+zz:zz",
            ),
            Self::Integer64 => (text.parse::<i64>().is_ok(), "must be a whole number of 64 bits, in quotes"),
            Self::Oid => (is_oid(text), "must be an OID: urn:oid:1.2.3"),
            Self::Time => (calendar::is_time(text), "must be a time of day: hh:mm:ss"),
            Self::Uri | Self::Url | Self::Canonical => (!has_space(text), "must hold no spaces"),
            Self::Uuid => (is_uuid(text), "must be a UUID: urn:uuid: and 36 lower-case characters"),
            Self::Xhtml => (text.trim_start().starts_with("<div"), "must be a <div> of XHTML"),
            _ if text.len() > LONGEST_STRING_BYTES => {
                return Some((IssueType::TooLong, "must not be longer than 1 MB"));
            }
            _ => return None,
        };
        (!right).then_some((IssueType::Value, rule))
    }
}

/// FHIR advises against them; we refuse them, because databases and the formats we hand a text on to cannot hold them.
pub(super) fn has_control_character(text: &str) -> bool {
    // Without a way out before the end, so that the processor looks at many at once.
    text.bytes().fold(false, |found, byte| found | (byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')))
}

fn has_space(text: &str) -> bool {
    // Of ASCII, as nearly all are, the bytes tell.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & matches!(byte, b'!'..=b'~'));
    !is_plain && text.contains(char::is_whitespace)
}

pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

fn is_code(text: &str) -> bool {
    let mut after_space = true;
    for letter in text.chars() {
        let space = letter.is_whitespace() || letter.is_control();
        if space && after_space {
            return false;
        }
        after_space = space;
    }
    !after_space
}

fn is_oid(text: &str) -> bool {
    let Some(numbers) = text.strip_prefix("urn:oid:") else { return false };
    let plain = |number: &str| {
        !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && (number == "0" || !number.starts_with('0'))
    };
    matches!(numbers.split_once('.'), Some(("0" | "1" | "2", rest)) if rest.split('.').all(plain))
}

fn is_uuid(text: &str) -> bool {
    let Some(uuid) = text.strip_prefix("urn:uuid:") else { return false };
    uuid.len() == 36
        && uuid.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Groups of four, padded at the end only. White space may stand between, for those who break lines.
fn is_base64(text: &str) -> bool {
    let (mut letters, mut padding) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'=' => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => letters += 1,
            _ => return false,
        }
    }
    letters > 0 && padding <= 2 && (letters + padding).is_multiple_of(4)
}
