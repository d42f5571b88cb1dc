//! `_pretty=true`: the same answer with line breaks, for people.

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;

use super::content::form;

/// Whether a query string asks for it.
pub(super) fn is_wanted(query: &str) -> bool {
    form(query).iter().any(|(name, value)| name == "_pretty" && value == "true")
}

/// An answer in JSON with line breaks; another as it is.
pub(super) async fn pretty(response: Response) -> Response {
    let media = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media.starts_with("application/fhir+json") {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // It is in memory already: no answer is written while it is sent.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(indented(&body)))
}

/// JSON text with line breaks between its parts. Numbers and texts stay as they are, to the sign.
fn indented(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut opened, mut in_text, mut escaped) = (0_usize, false, false, false);
    for &sign in json {
        if in_text {
            in_text = escaped || sign != b'"';
            escaped = !escaped && sign == b'\\';
            out.push(sign);
            continue;
        }
        if sign.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(sign, b'}' | b']');
        depth = depth.saturating_sub(usize::from(closes));
        // What is empty stays on its line.
        if opened != closes {
            new_line(&mut out, depth);
        }
        out.push(sign);
        opened = matches!(sign, b'{' | b'[');
        depth += usize::from(opened);
        in_text = sign == b'"';
        match sign {
            b',' => new_line(&mut out, depth),
            b':' => out.push(b' '),
            _ => {}
        }
    }
    out
}

fn new_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_the_parts_changes() {
        let json = br#"{"a":[1.50,{"b": "x, {\"y\\"}],"c":{},"d" : []}"#;
        let lines = [
            "{",
            "  \"a\": [",
            "    1.50,",
            "    {",
            r#"      "b": "x, {\"y\\""#,
            "    }",
            "  ],",
            "  \"c\": {},",
            "  \"d\": []",
            "}",
        ];
        assert_eq!(String::from_utf8(indented(json)).unwrap(), lines.join("\n"));
        let pretty = indented(json);
        assert_eq!(indented(&pretty), pretty);
    }
}
