//! What a caller takes as an answer: `Accept`, and `_format` in its place.

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use schemas::outcome::IssueType;

use super::answer::No;
use super::content::Release;

/// By how much a media type says that it is what is spoken here; None: it is something else.
fn closeness(media: &str) -> Option<u8> {
    match media {
        "application/fhir+json" => Some(3),
        "application/json" | "text/json" | "json" => Some(2),
        "application/*" => Some(1),
        "*/*" => Some(0),
        _ => None,
    }
}

/// Refuses those who accept nothing that is spoken here. `_format` is heard before `Accept`.
pub(super) fn demand_accept(headers: &HeaderMap, format: Option<&str>, release: &Release) -> Result<(), No> {
    let sent: Vec<&str> = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok()).collect();
    let accept = format.map_or_else(|| sent.join(","), str::to_owned);
    if accept.trim().is_empty() {
        return Ok(());
    }
    // A `+` in a query string that was not escaped has become a space.
    let ranges = accept.split(',').map(|range| range.trim().replace(' ', "+").to_ascii_lowercase());
    let ranges: Vec<Range> = ranges.filter_map(|range| Range::read(&range, release)).collect();
    let (ours, other_versions): (Vec<Range>, Vec<Range>) = ranges.into_iter().partition(|range| range.is_of_version);
    // What is closest counts: `application/fhir+json;q=0, */*` does not want it.
    let closest = ours.iter().map(|range| range.closeness).max();
    if ours.iter().any(|range| Some(range.closeness) == closest && range.is_wanted) {
        return Ok(());
    }
    let text = if other_versions.is_empty() {
        "this hub speaks JSON: ask for application/fhir+json (XML and Turtle are not spoken)"
    } else {
        release.text
    };
    Err(No::new(StatusCode::NOT_ACCEPTABLE, IssueType::NotSupported, text))
}

/// What `Accept` says of a media type that is spoken here.
struct Range {
    closeness: u8,
    /// Its `q` is not 0.
    is_wanted: bool,
    is_of_version: bool,
}

impl Range {
    /// Of a text in small letters and without blanks.
    fn read(text: &str, release: &Release) -> Option<Self> {
        let mut parts = text.split(';').map(|part| part.trim_matches('+'));
        let closeness = closeness(parts.next()?)?;
        let (mut is_wanted, mut is_of_version) = (true, true);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name {
                "q" => is_wanted = value.parse::<f32>().is_ok_and(|q| q > 0.0),
                "fhirversion" => is_of_version = release.has(value.trim_matches('"')),
                _ => {}
            }
        }
        Some(Self { closeness, is_wanted, is_of_version })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::super::content::R4;
    use super::*;

    fn accepts(accept: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        demand_accept(&headers, None, &R4).is_ok()
    }

    #[test]
    fn whoever_takes_json_is_answered() {
        for accept in [
            "",
            "*/*",
            "application/*;q=0.1",
            "application/fhir+json",
            "Application/FHIR+JSON; charset=utf-8",
            "application/json",
            "application/fhir+xml, application/fhir+json;q=0.5",
            "text/html, application/xhtml+xml, */*;q=0.8",
            "application/fhir+json; fhirVersion=4.0",
            "application/fhir+json;fhirVersion=\"4.0.1\"",
            "application/fhir+json; fhirVersion=3.0, application/fhir+json; fhirVersion=4.0",
            "application/fhir+json; fhirVersion=3.0, */*",
        ] {
            assert!(accepts(accept), "{accept}");
        }
        for accept in [
            "application/fhir+xml",
            "text/turtle, text/html",
            "application/fhir+json;q=0",
            "application/fhir+json; q=0.0, */*",
            "application/fhir+json; fhirVersion=5.0",
        ] {
            assert!(!accepts(accept), "{accept}");
        }
    }

    #[test]
    fn format_is_heard_before_accept() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/fhir+xml"));
        let with = |format| demand_accept(&headers, Some(format), &R4).is_ok();
        let spoken =
            ["json", "application/json", "application/fhir+json", "application/fhir json", "text/json", "JSON"];
        assert!(spoken.into_iter().all(with));
        let other =
            ["xml", "text/xml", "application/xml", "application/fhir+xml", "ttl", "text/turtle", "html", "text/html"];
        assert!(!other.into_iter().any(with));
    }
}
