//! Multipart bodies: finding one part (RFC 2046 s.5.1, RFC 5621).
//!
//! What it does not do: parts within parts, transfer encodings.

use bytes::Bytes;
use memchr::memmem;

use super::params::Params;

/// The body where its type is `wanted`, or the first such part where it is a multipart body.
pub(super) fn find(content_type: &str, body: &Bytes, wanted: &str) -> Option<Bytes> {
    let (media_type, params) = split(content_type);
    if media_type.eq_ignore_ascii_case(wanted) {
        return Some(body.clone());
    }
    let is_multipart = media_type
        .get(..10)
        .is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    let boundary = params
        .value("boundary")
        .filter(|boundary| is_multipart && !boundary.is_empty())?;
    parts(body, boundary).find_map(|part| {
        let (end, found) = part_headers(&part)?;
        found
            .is_some_and(|found| split(&found).0.eq_ignore_ascii_case(wanted))
            .then(|| part.slice(end..))
    })
}

fn split(content_type: &str) -> (&str, Params<'_>) {
    let end = content_type.find(';').unwrap_or(content_type.len());
    (content_type[..end].trim(), Params::new(&content_type[end..]))
}

/// The parts between the delimiter lines, headers included.
fn parts(body: &Bytes, boundary: &str) -> impl Iterator<Item = Bytes> {
    let delimiter = format!("--{boundary}");
    let mut at = memmem::find(body, delimiter.as_bytes()).map(|at| at + delimiter.len());
    std::iter::from_fn(move || {
        let rest = body.get(at?..)?;
        if rest.starts_with(b"--") {
            return None;
        }
        let line = memchr::memchr(b'\n', rest)? + 1;
        let end = memmem::find(rest.get(line - 1..)?, format!("\n{delimiter}").as_bytes())? + line - 1;
        let start = at? + line;
        at = Some(at? + end + 1 + delimiter.len());
        // The line end before a delimiter belongs to the delimiter.
        let text_end = rest[..end].strip_suffix(b"\r").map_or(end, <[u8]>::len) + start - line;
        Some(body.slice(start..text_end.max(start)))
    })
}

/// Where the content of a part starts, and its Content-Type. A part without headers starts with an empty line.
fn part_headers(part: &[u8]) -> Option<(usize, Option<String>)> {
    let (mut at, mut found) = (0, None);
    loop {
        let rest = part.get(at..)?;
        let end = memchr::memchr(b'\n', rest)?;
        let line = rest[..end].trim_ascii();
        at += end + 1;
        if line.is_empty() {
            return Some((at, found));
        }
        let Some((name, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':')) else {
            continue;
        };
        if name.trim().eq_ignore_ascii_case("content-type") {
            found = Some(value.trim().to_owned());
        }
    }
}
