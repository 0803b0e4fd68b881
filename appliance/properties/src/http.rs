//! The whole requests at the beginning of a client's stream, read by httparse, each as one slice.
//!
//! It ends where it is not certain: at a request that is not whole, and at any that two readers of RFC 9112 may read otherwise.

use httparse::{EMPTY_HEADER, Header, Request, Status};

/// A head, and the content without its framing.
pub type Message<'a> = (&'a [u8], Vec<u8>);

/// The requests of `bytes`.
pub fn requests(mut bytes: &[u8]) -> Vec<Message<'_>> {
    let mut messages = Vec::new();
    while let Some((message, rest)) = request(bytes) {
        messages.push(message);
        bytes = rest;
    }
    messages
}

fn request(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let mut fields = [EMPTY_HEADER; 64];
    let mut request = Request::new(&mut fields);
    let Ok(Status::Complete(len)) = request.parse(&bytes[blank..]) else { return None };
    let (head, behind) = bytes[blank..].split_at(len);
    let (body, rest) = match (values(request.headers, "transfer-encoding"), values(request.headers, "content-length")) {
        (codings, lengths) if codings.is_empty() && lengths.is_empty() => (Vec::new(), behind),
        (codings, lengths) if codings.is_empty() => of_length(&lengths, behind)?,
        (codings, _) if codings == [b"chunked"] => of_chunks(behind)?,
        _ => return None,
    };
    Some(((head, body), rest))
}

fn values<'a>(fields: &[Header<'a>], name: &str) -> Vec<&'a [u8]> {
    fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value).collect()
}

fn of_length<'a>(lengths: &[&[u8]], bytes: &'a [u8]) -> Option<(Vec<u8>, &'a [u8])> {
    let [digits] = lengths else { return None };
    // The standard library's reader takes a sign, which is none of RFC 9110's.
    let digits = core::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    let (body, rest) = bytes.split_at_checked(digits.parse().ok()?)?;
    Some((body.to_vec(), rest))
}

fn of_chunks(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let Ok(Status::Complete((at, len))) = httparse::parse_chunk_size(bytes) else { return None };
        let (line, behind) = bytes.split_at(at);
        // Some readers, not this one, end the line at a line feed alone, or take no digit for a zero.
        if line.trim_ascii_end().contains(&b'\n') || !line[0].is_ascii_hexdigit() {
            return None;
        }
        bytes = behind;
        if len == 0 {
            let mut fields = [EMPTY_HEADER; 16];
            let Ok(Status::Complete((at, _))) = httparse::parse_headers(bytes, &mut fields) else { return None };
            return Some((body, &bytes[at..]));
        }
        let (data, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
        body.extend(data);
        bytes = rest.strip_prefix(b"\r\n")?;
    }
}
