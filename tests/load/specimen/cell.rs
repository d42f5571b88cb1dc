//! One value of a recorded row, with the places where a copy has something of its own.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use hub_domain::query::{self, IndexValue};
use schemas::resource::{Document, Key, Kind, Resource};
use schemas::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use super::OWNER;
use super::copy::Copy;
use super::journal::{NUMBERS_FROM, NUMBERS_RANGE};
use crate::orders::{Order, digits};

/// Characters of a UUID in its usual form.
const ID_WIDTH: usize = 36;
/// Around the moment of the recording, a number is a time.
const DAY_US: i64 = 86_400_000_000;
/// More tables than a schema will have.
const TABLES_MAX: i64 = 100;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cell {
    Null,
    Truth(bool),
    Whole(i64),
    /// Given by the database to a row of this order.
    Numbered(i64),
    /// In microseconds.
    Moment(i64),
    /// The n-th id of the order.
    Id(usize),
    /// By which a value is found: that of a text of the order's, as a value of an element of a type.
    Digest {
        of: Origin,
        places: Vec<(usize, Fresh)>,
    },
    Bytes(Vec<u8>),
    /// A body: as it is stored, and its text.
    Body {
        stored: Vec<u8>,
        text: String,
        places: Vec<(usize, Fresh)>,
    },
    Text {
        text: String,
        places: Vec<(usize, Fresh)>,
    },
}

/// What a digest was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    kind: String,
    element: [String; 2],
    text: String,
}

/// What a copy has of its own in the middle of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fresh {
    Order,
    Patient,
    Doctor,
    Site,
    Owner,
    Id(usize),
}

/// A value as it is written.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Null,
    Truth(bool),
    Whole(i64),
    Id(Uuid),
    Bytes(Cow<'a, [u8]>),
    Text(String),
}

impl Cell {
    pub(crate) fn of(&self, copy: &Copy) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Truth(truth) => Value::Truth(*truth),
            Self::Whole(number) => Value::Whole(*number),
            Self::Numbered(number) => Value::Whole(copy.number_of(*number)),
            Self::Moment(moment) => Value::Whole(moment + copy.later_us),
            Self::Id(n) => Value::Id(copy.ids[*n]),
            Self::Digest { of, places } => Value::Id(of.digest(&filled(&of.text, places, copy))),
            Self::Bytes(bytes) => Value::Bytes(bytes.into()),
            Self::Body { stored, .. } if !copy.is_faithful => Value::Bytes(stored.into()),
            Self::Body { text, places, .. } => Value::Bytes(packed(&filled(text, places, copy)).into()),
            Self::Text { text, places } => Value::Text(filled(text, places, copy)),
        }
    }
}

impl Origin {
    fn digest(&self, text: &str) -> Uuid {
        let [path, part] = &self.element;
        Kind::parse(&self.kind).map(|kind| query::digest(kind, [path, part], text)).unwrap_or_default()
    }
}

fn filled(text: &str, places: &[(usize, Fresh)], copy: &Copy) -> String {
    let mut filled = text.to_owned();
    for (at, fresh) in places {
        let own: &str = match fresh {
            Fresh::Order => &copy.order,
            Fresh::Patient => &copy.patient,
            Fresh::Doctor => &copy.doctor,
            Fresh::Site => &copy.site,
            Fresh::Owner => &copy.owner,
            Fresh::Id(n) => &copy.texts[*n],
        };
        filled.replace_range(*at..*at + own.len(), own);
    }
    filled
}

/// As the hub packs it.
fn packed(text: &str) -> Vec<u8> {
    lz4_flex::block::compress_prepend_size(text.as_bytes())
}

fn unpacked(stored: &[u8]) -> Option<String> {
    String::from_utf8(lz4_flex::block::decompress_size_prepended(stored).ok()?).ok()
}

/// Makes cells of what the journal says of one order.
pub(super) struct Reader {
    /// What it has that a copy has otherwise.
    own: [(String, Fresh); 5],
    recorded_us: i64,
    ids: Vec<Uuid>,
    /// Every value by which one of its resources is found.
    digests: HashMap<Uuid, Origin>,
}

impl Reader {
    pub(super) fn new(order: &Order, recorded_us: i64) -> Self {
        let text = |number| String::from_utf8_lossy(&digits(number)).into_owned();
        let own = [
            (text(order.number), Fresh::Order),
            (text(order.who.patient), Fresh::Patient),
            (text(order.who.doctor), Fresh::Doctor),
            (text(order.who.site), Fresh::Site),
            (text(OWNER), Fresh::Owner),
        ];
        Self { own, recorded_us, ids: Vec::new(), digests: HashMap::new() }
    }

    /// Learns the values of a body that a row has: before the cells that have their digests.
    pub(super) fn learn(&mut self, kind: &str, stored: &Json) -> Result<()> {
        let stored = stored.as_str().map(unhex).transpose()?;
        let (Some(kind), Some(text)) = (Kind::parse(kind), stored.as_deref().and_then(unpacked)) else { return Ok(()) };
        let key = Key::new(kind, String::new());
        let resource = Resource { key, version: 1, last_updated: Timestamp(0), body: Document::read(text.as_bytes())? };
        for (param, value) in query::index(&resource) {
            let (part, text) = match value {
                IndexValue::Token { code, .. } => ("", code),
                IndexValue::Reference(to) => ("", to),
                IndexValue::ReferenceIdentifier { value, .. } => (":identifier", value),
                // Those are kept as numbers, not by digests.
                IndexValue::Date { .. } | IndexValue::Text(_) | IndexValue::Amount(_) => continue,
            };
            let element = [param.element.to_owned(), part.to_owned()];
            let digest = query::digest(kind, [param.element, part], text);
            self.digests.insert(digest, Origin { kind: kind.name().to_owned(), element, text: text.to_owned() });
        }
        Ok(())
    }

    pub(super) fn ids(&self) -> usize {
        self.ids.len()
    }

    /// `kind` is the type of the column.
    pub(super) fn cell(&mut self, kind: &str, written: &Json) -> Result<Cell> {
        if written.is_null() {
            return Ok(Cell::Null);
        }
        let text = || written.as_str().with_context(|| format!("a {kind} that is no text"));
        Ok(match kind {
            "bool" => Cell::Truth(written.as_bool().context("a bool that is none")?),
            "int2" | "int4" => Cell::Whole(written.as_i64().context("a number that is none")?),
            "int8" => self.number(written.as_i64().context("a number that is none")?),
            "uuid" => {
                let id = text()?.parse()?;
                match self.digests.get(&id).cloned() {
                    Some(of) => Cell::Digest { places: self.places(&of.text), of },
                    None => Cell::Id(self.id(id)),
                }
            }
            "bytea" => self.bytes(unhex(text()?)?),
            "text" | "varchar" => Cell::Text { text: text()?.to_owned(), places: self.places(text()?) },
            other => bail!("the benchmark knows no column of type {other}"),
        })
    }

    fn number(&self, number: i64) -> Cell {
        if (NUMBERS_FROM..NUMBERS_FROM + TABLES_MAX * NUMBERS_RANGE).contains(&number) {
            Cell::Numbered(number)
        } else if (self.recorded_us - DAY_US..self.recorded_us + DAY_US).contains(&number) {
            Cell::Moment(number)
        } else {
            Cell::Whole(number)
        }
    }

    fn bytes(&mut self, stored: Vec<u8>) -> Cell {
        match unpacked(&stored) {
            Some(text) => Cell::Body { places: self.places(&text), stored, text },
            None => Cell::Bytes(stored),
        }
    }

    fn places(&mut self, text: &str) -> Vec<(usize, Fresh)> {
        let mut places = Vec::new();
        for at in 0..text.len() {
            let Some(rest) = text.get(at..) else { continue };
            if let Some((_, own)) = self.own.iter().find(|(text, _)| rest.starts_with(text)) {
                places.push((at, *own));
            } else if let Some(id) = rest.get(..ID_WIDTH).filter(|id| id.as_bytes()[8] == b'-')
                && let Ok(id) = Uuid::try_parse(id)
            {
                places.push((at, Fresh::Id(self.id(id))));
            }
        }
        places
    }

    fn id(&mut self, id: Uuid) -> usize {
        self.ids.iter().position(|known| *known == id).unwrap_or_else(|| {
            self.ids.push(id);
            self.ids.len() - 1
        })
    }
}

/// `\x0102`
fn unhex(text: &str) -> Result<Vec<u8>> {
    let digits = text.strip_prefix("\\x").context("bytes begin with \\x")?.as_bytes();
    let byte = |pair: &[u8]| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::copy::Copies;
    use super::*;
    use crate::orders::Who;

    #[test]
    fn a_copy_has_its_own_ids_and_numbers_and_the_rest_as_it_was() {
        let who = Who { patient: 17, doctor: 18, site: 19 };
        let order = Order { kind: "ServiceRequest", number: 900, who, body: Default::default() };
        let mut reader = Reader::new(&order, 1_795_000_000_000_000);
        let root = Uuid::now_v7();
        let text = format!("ü Task/{root}.1 L-000000000900 of 000000000017 by 000000000018 in 000000000019");
        let cell = reader.cell("text", &json!(text)).unwrap();
        let number = reader.cell("int8", &json!(NUMBERS_FROM + 5)).unwrap();
        let same = reader.cell("uuid", &json!(root.to_string())).unwrap();
        let copy = Copies::new(1, false).of(reader.ids(), 1_795_000_000_000_000);
        let (Value::Text(filled), Value::Id(id), Value::Whole(number)) =
            (cell.of(&copy), same.of(&copy), number.of(&copy))
        else {
            panic!("other types")
        };
        let Copy { order, patient, doctor, site, .. } = &copy;
        assert_eq!(filled, format!("ü Task/{id}.1 L-{order} of {patient} by {doctor} in {site}"));
        assert!(id != root && number > NUMBERS_FROM + 5);
        assert_eq!(reader.cell("bytea", &json!("\\x0aff")).unwrap(), Cell::Bytes(vec![10, 255]));
    }
}
