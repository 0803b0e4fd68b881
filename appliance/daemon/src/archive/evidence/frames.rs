//! The two legs as packets, rebuilt from the messages.

use super::http2;
use crate::archive::convert::{field, is_chunked, is_http2};
use crate::nic::checksum;
use crate::record::{Interface, blocks};
use std::net::{IpAddr, SocketAddr};
use tapcopy_engine::message::LinkType;
use tapcopy_engine::{MirrorFrame, Time};
use tapcopy_records::{Contents, Exchange, Latency, Said};

/// Content of one segment.
const SEGMENT_BYTES: usize = 1_400;
/// Between packets whose times are made up, in nanoseconds.
const STEP: u64 = 1_000;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PUSH: u8 = 0x08;
const ACK: u8 = 0x10;

const COMMENT: &str = "Rebuilt by TapCopy from the messages of an exchange: the addresses, the ports and the times of first and \
                       last bytes are real, all else is made up. Secrets are masked.";

/// Production's side.
pub fn client_leg(exchange: &Exchange, contents: &Contents) -> Vec<u8> {
    let sent = (exchange.captured_at, contents.request_last_at.max(exchange.captured_at));
    leg((exchange.client, exchange.origin), sent, exchange.origin_latency, &contents.request, &contents.origin)
}

/// The replay's side; without packets where nothing was sent.
pub fn target_leg(exchange: &Exchange, contents: &Contents) -> Vec<u8> {
    match (contents.local, exchange.target, contents.sent_at) {
        (Some(local), Some(target), Some(at)) => {
            leg((local, target), (at, at), exchange.target_latency, &contents.request, &contents.target)
        }
        _ => head(),
    }
}

fn head() -> Vec<u8> {
    blocks::head_with_comment(&[Interface { name: "rebuilt".to_owned(), link: LinkType::Ethernet }], COMMENT)
}

/// One leg: the request between two times, the answer so long after the second.
fn leg(
    ends: (SocketAddr, SocketAddr),
    sent: (u64, u64),
    latency: Option<Latency>,
    request: &Said,
    answer: &Said,
) -> Vec<u8> {
    let mut talk = Talk { bytes: head(), ends, next: [1_000, 5_000] };
    let began = sent.0.saturating_sub(3 * STEP);
    talk.send(began, 0, SYN, &[]);
    talk.send(began + STEP, 1, SYN | ACK, &[]);
    talk.send(began + 2 * STEP, 0, ACK, &[]);
    talk.say(0, sent, &on_the_wire(request));
    let answer = on_the_wire(answer);
    let mut over = sent.1;
    if let Some(latency) = latency.filter(|_| !answer.is_empty()) {
        over = sent.1 + latency.last_byte;
        talk.say(1, (sent.1 + latency.first_byte, over), &answer);
        talk.send(over + STEP, 0, ACK, &[]);
    }
    talk.send(over + 2 * STEP, 0, FIN | ACK, &[]);
    talk.send(over + 3 * STEP, 1, FIN | ACK, &[]);
    talk.send(over + 4 * STEP, 0, ACK, &[]);
    talk.bytes
}

/// A message with the framing that its head speaks of.
fn on_the_wire(said: &Said) -> Vec<u8> {
    if is_http2(&said.head) {
        return http2::frames(said);
    }
    if !said.note.is_empty() {
        return [plain(&said.head, said.body.len()), said.body.clone()].concat();
    }
    if !is_chunked(&said.head) || field(&said.head, b"content-length").is_some() {
        return [said.head.as_slice(), &said.body].concat();
    }
    let chunk = format!("{:x}\r\n", said.body.len());
    let (chunk, after) = if said.body.is_empty() { ("", "") } else { (chunk.as_str(), "\r\n") };
    [said.head.as_slice(), chunk.as_bytes(), &said.body, after.as_bytes(), b"0\r\n\r\n"].concat()
}

/// The head of a message whose content was decoded.
fn plain(head: &[u8], length: usize) -> Vec<u8> {
    let framing = [&b"content-encoding"[..], b"content-length", b"transfer-encoding"];
    let is_other = |line: &&[u8]| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        !line.trim_ascii().is_empty() && !framing.iter().any(|own| name.eq_ignore_ascii_case(own))
    };
    let mut plain: Vec<u8> = head.split_inclusive(|byte| *byte == b'\n').filter(is_other).flatten().copied().collect();
    plain.extend(format!("Content-Length: {length}\r\n\r\n").bytes());
    plain
}

/// A connection on its way into a file.
struct Talk {
    bytes: Vec<u8>,
    /// Client and server.
    ends: (SocketAddr, SocketAddr),
    /// The next sequence number of each.
    next: [u32; 2],
}

impl Talk {
    /// Says bytes in segments, the first at the first time and the last at the last.
    fn say(&mut self, side: usize, (first, last): (u64, u64), bytes: &[u8]) {
        let segments: Vec<&[u8]> = bytes.chunks(SEGMENT_BYTES).collect();
        let steps = segments.len().saturating_sub(1).max(1) as u64;
        for (index, segment) in segments.iter().enumerate() {
            let share = u128::from(last.saturating_sub(first)) * index as u128 / u128::from(steps);
            self.send(first + share as u64, side, PUSH | ACK, segment);
        }
    }

    fn send(&mut self, at: u64, side: usize, flags: u8, payload: &[u8]) {
        let (from, to) = if side == 0 { self.ends } else { (self.ends.1, self.ends.0) };
        let acknowledged = if flags & ACK == 0 { 0 } else { self.next[1 - side] };
        let mut segment = Vec::new();
        segment.extend(from.port().to_be_bytes());
        segment.extend(to.port().to_be_bytes());
        segment.extend(self.next[side].to_be_bytes());
        segment.extend(acknowledged.to_be_bytes());
        segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend_from_slice(payload);
        self.next[side] = self.next[side].wrapping_add(payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0));
        let mut frame = ethernet(side, from.ip(), to.ip(), &segment);
        checksum::complete(&mut frame);
        let captured_at = Time::from_nanos(at);
        let (link, wire_len) = (LinkType::Ethernet, frame.len() as u32);
        blocks::push_packet(&mut self.bytes, 0, &MirrorFrame { captured_at, link, wire_len, bytes: &frame });
    }
}

/// An Ethernet frame with an IP packet around a TCP segment whose checksum is missing.
fn ethernet(side: usize, from: IpAddr, to: IpAddr, segment: &[u8]) -> Vec<u8> {
    const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
    let mut frame = [MACS[1 - side], MACS[side]].concat();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame.extend([0x08, 0x00, 0x45, 0]);
            frame.extend((segment.len() as u16 + 20).to_be_bytes());
            frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
            frame.extend(from.octets());
            frame.extend(to.octets());
            let sum = checksum::of(&frame[14..]);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        (from, to) => {
            let wide = |address: IpAddr| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend((segment.len() as u16).to_be_bytes());
            frame.extend([6, 64]);
            frame.extend(wide(from).octets());
            frame.extend(wide(to).octets());
        }
    }
    frame.extend_from_slice(segment);
    frame
}
