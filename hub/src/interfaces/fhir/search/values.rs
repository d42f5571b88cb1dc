//! Values as a query has them: prefixes, units, escapes.

use hub_domain::query::{AmountMatch, DateMatch, ParamType, Prefix, SystemMatch, TokenMatch, UnitMatch};
use schemas::time::Timestamp;

use crate::clock;

/// A URI, and all above which it lies.
pub(super) fn above(uri: &str) -> Vec<String> {
    let path = uri.find("://").map_or(0, |scheme| scheme + 3);
    let cuts = uri.match_indices('/').map(|(at, _)| at).filter(|at| *at >= path);
    let above = cuts.flat_map(|at| [uri[..at].to_owned(), uri[..=at].to_owned()]);
    above.chain([uri.to_owned()]).collect()
}

pub(super) fn amount(text: &str, kind: ParamType) -> Option<AmountMatch> {
    let (prefix, rest) = Prefix::split(text);
    let (number, unit) = rest.split_once('|').map_or((rest, None), |(number, unit)| (number, Some(unit)));
    let unit = match unit.map(|unit| unit.split_once('|')) {
        None => UnitMatch::Any,
        Some(_) if kind == ParamType::Number => return None,
        Some(Some((_, "")) | None) => return None,
        Some(Some(("", code))) => UnitMatch::Named(plain(code)),
        Some(Some((system, code))) => UnitMatch::Is { system: plain(system), code: plain(code) },
    };
    AmountMatch::read(prefix, number, unit)
}

pub(super) const PREFIXES: &str = "[eq|ne|gt|lt|ge|le|sa|eb|ap]";
pub(super) const DATE: &str = "a date is [eq|ne|gt|lt|ge|le|sa|eb|ap]YYYY[-MM[-DD[Thh:mm[:ss][zone]]]]";

pub(super) fn date(text: &str) -> Option<DateMatch> {
    let (prefix, rest) = Prefix::split(text);
    // A `+` of a zone that was not escaped has become a space.
    let (low, high) = Timestamp::range(&rest.replace(' ', "+"))?;
    let when = DateMatch { prefix, low, high };
    Some(if prefix == Prefix::Ap { about(when, clock::now()) } else { when })
}

/// What a date means, wider on both sides by a tenth of the time that lies between it and now.
fn about(when: DateMatch, now: Timestamp) -> DateMatch {
    let apart = when.low.0.saturating_sub(now.0).max(now.0.saturating_sub(when.high.0)).max(0) / 10;
    let (low, high) = (when.low.0.saturating_sub(apart), when.high.0.saturating_add(apart));
    DateMatch { low: Timestamp(low), high: Timestamp(high), ..when }
}

/// At a sign that is not escaped; the escapes stay.
pub(super) fn parted(text: &str, at: char) -> Vec<&str> {
    let mut escaped = false;
    text.split(move |c| {
        let is_escape = c == '\\' && !escaped;
        let cuts = c == at && !escaped;
        escaped = is_escape;
        cuts
    })
    .collect()
}

/// At commas that are not escaped; the escapes are taken away.
pub(super) fn split(text: &str) -> Vec<String> {
    let (mut values, mut value, mut escaped) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            _ if escaped => {
                // An escaped bar belongs to the code: kept apart from a real one until the token is read.
                value.push(if c == '|' { ESCAPED_BAR } else { c });
                escaped = false;
            }
            '\\' => escaped = true,
            ',' => values.push(std::mem::take(&mut value)),
            _ => value.push(c),
        }
    }
    values.push(value);
    values.retain(|value| !value.is_empty());
    values
}

const ESCAPED_BAR: char = '\u{1}';

/// What has no parts: a bar is a bar.
pub(super) fn plain(text: &str) -> String {
    text.replace(ESCAPED_BAR, "|")
}

pub(in crate::interfaces::fhir) fn read_token(text: &str) -> TokenMatch {
    let code = |part: &str| if part.is_empty() { None } else { Some(plain(part)) };
    match text.split_once('|') {
        None => TokenMatch { system: SystemMatch::Any, code: code(text) },
        Some(("", rest)) => TokenMatch { system: SystemMatch::None, code: code(rest) },
        Some((system, rest)) => TokenMatch { system: SystemMatch::Is(plain(system)), code: code(rest) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_and_bars_may_be_escaped() {
        assert_eq!(split(r"a,b\,c"), ["a", "b,c"]);
        let token = read_token(&split(r"sys|a\|b")[0]);
        assert_eq!(token, TokenMatch { system: SystemMatch::Is("sys".into()), code: Some("a|b".into()) });
    }

    #[test]
    fn dates_have_prefixes() {
        assert_eq!(date("ge2026-01-01").unwrap().prefix, Prefix::Ge);
        assert_eq!(date("2026").unwrap().prefix, Prefix::Eq);
        assert!(date("xx2026").is_none());
        assert!(date("é").is_none());
    }

    #[test]
    fn about_a_date_is_a_tenth_of_the_time_between() {
        let (low, high) = Timestamp::range("2026-01-01").unwrap();
        let when = DateMatch { prefix: Prefix::Ap, low, high };
        let day = 86_400_000_000;
        let later = about(when, Timestamp(high.0 + 100 * day));
        assert_eq!((later.low.0, later.high.0), (low.0 - 10 * day, high.0 + 10 * day));
        let earlier = about(when, Timestamp(low.0 - 100 * day));
        assert_eq!((earlier.low.0, earlier.high.0), (low.0 - 10 * day, high.0 + 10 * day));
        assert_eq!(about(when, low), when, "today is today");
    }

    #[test]
    fn amounts_have_units() {
        let read = |text: &str| amount(&split(text)[0], ParamType::Quantity);
        assert_eq!(read("5.4").unwrap().unit, UnitMatch::Any);
        assert_eq!(read("ge5.4||mg").unwrap().unit, UnitMatch::Named("mg".into()));
        let of = |system: &str, code: &str| UnitMatch::Is { system: system.into(), code: code.into() };
        assert_eq!(read(r"5|urn:a\|b|mg").unwrap().unit, of("urn:a|b", "mg"));
        for none in ["5|mg", "5|urn:a|", "mg", "5||", "xx5"] {
            assert_eq!(read(none), None, "{none}");
        }
        assert_eq!(amount("5||mg", ParamType::Number), None);
    }

    #[test]
    fn parts_keep_their_escapes() {
        assert_eq!(parted(r"a$b,c\,d\$e$f", ','), ["a$b", r"c\,d\$e$f"]);
        assert_eq!(parted(r"c\,d\$e$f", '$'), [r"c\,d\$e", "f"]);
        assert_eq!(parted(r"c\\$f", '$'), [r"c\\", "f"]);
        assert_eq!(above("http://a/b/c"), ["http://a", "http://a/", "http://a/b", "http://a/b/", "http://a/b/c"]);
    }
}
