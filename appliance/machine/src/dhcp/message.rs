//! DHCP messages (RFC 2131, section 2; options of RFC 2132), as far as a client of one address needs them.

use std::net::Ipv4Addr;

/// Bytes before the options: the fixed part and the cookie that announces them.
const HEAD_BYTES: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const ETHERNET: [u8; 2] = [1, 6];
/// The client wants the answer by broadcast: the most significant bit of the flags.
const BROADCAST: [u8; 2] = [0x80, 0];

const PAD: u8 = 0;
const SUBNET_MASK: u8 = 1;
const ROUTER: u8 = 3;
const TIME_SERVERS: u8 = 42;
const REQUESTED_ADDRESS: u8 = 50;
const LEASE_TIME: u8 = 51;
const KIND: u8 = 53;
const SERVER: u8 = 54;
const PARAMETERS: u8 = 55;
const CLIENT: u8 = 61;
const END: u8 = 255;

/// Kinds of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// From the client: who has an address?
    Discover = 1,
    /// From a server: this one.
    Offer = 2,
    /// From the client: that one, please.
    Request = 3,
    /// From the server: it is yours.
    Ack = 5,
    /// From the server: not this one.
    Nak = 6,
}

/// A client's message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) kind: Kind,
    pub(super) id: u32,
    pub(super) mac: [u8; 6],
    /// The address that the client has, while it renews it.
    pub(super) present: Option<Ipv4Addr>,
    /// The address that it asks for, and the server that offered it.
    pub(super) offered: Option<(Ipv4Addr, Ipv4Addr)>,
}

/// A server's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) kind: Kind,
    pub(super) id: u32,
    pub(super) mac: [u8; 6],
    pub(super) address: Ipv4Addr,
    pub(super) mask: Option<Ipv4Addr>,
    pub(super) router: Option<Ipv4Addr>,
    /// Who knows the time, the best first.
    pub(super) time_servers: Vec<Ipv4Addr>,
    pub(super) lease_seconds: Option<u32>,
    pub(super) server: Option<Ipv4Addr>,
}

impl Question {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEAD_BYTES];
        bytes[0] = REQUEST;
        bytes[1..3].copy_from_slice(&ETHERNET);
        bytes[4..8].copy_from_slice(&self.id.to_be_bytes());
        bytes[10..12].copy_from_slice(&BROADCAST);
        bytes[12..16].copy_from_slice(&self.present.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        bytes[28..34].copy_from_slice(&self.mac);
        bytes[236..].copy_from_slice(&COOKIE);
        let mut option = |code: u8, content: &[u8]| {
            bytes.extend([code, content.len() as u8]);
            bytes.extend(content);
        };
        option(KIND, &[self.kind as u8]);
        option(CLIENT, &[&ETHERNET[..1], &self.mac].concat());
        option(PARAMETERS, &[SUBNET_MASK, ROUTER, TIME_SERVERS, LEASE_TIME]);
        if let Some((address, server)) = self.offered {
            option(REQUESTED_ADDRESS, &address.octets());
            option(SERVER, &server.octets());
        }
        bytes.push(END);
        bytes
    }
}

impl Answer {
    /// `None` for what is no server's message.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, options) = bytes.split_at_checked(HEAD_BYTES)?;
        if head[0] != REPLY || head[1..3] != ETHERNET || head[236..] != COOKIE {
            return None;
        }
        let kind = match option(options, KIND)? {
            [2] => Kind::Offer,
            [5] => Kind::Ack,
            [6] => Kind::Nak,
            _ => return None,
        };
        let number = |code| option(options, code)?.first_chunk().map(|four| u32::from_be_bytes(*four));
        let address = |code| number(code).map(Ipv4Addr::from);
        Some(Self {
            kind,
            id: u32::from_be_bytes(*head[4..].first_chunk()?),
            mac: *head[28..].first_chunk()?,
            address: Ipv4Addr::from(*head[16..].first_chunk::<4>()?),
            mask: address(SUBNET_MASK),
            router: address(ROUTER),
            time_servers: option(options, TIME_SERVERS)
                .map(|content| content.as_chunks::<4>().0.iter().copied().map(Ipv4Addr::from).collect())
                .unwrap_or_default(),
            lease_seconds: number(LEASE_TIME),
            server: address(SERVER),
        })
    }
}

/// The content of the first option with this code.
fn option(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        match *options {
            [PAD, ref rest @ ..] => options = rest,
            [] | [END, ..] | [_] => return None,
            [code, length, ref rest @ ..] => {
                let (content, rest) = rest.split_at_checked(length.into())?;
                if code == wanted {
                    return Some(content);
                }
                options = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn reply(options: &[u8]) -> Vec<u8> {
        let question = Question { kind: Kind::Discover, id: 7, mac: MAC, present: None, offered: None };
        let mut bytes = question.bytes();
        bytes.truncate(HEAD_BYTES);
        bytes[0] = REPLY;
        bytes[16..20].copy_from_slice(&[10, 0, 2, 15]);
        bytes.extend(options);
        bytes
    }

    #[test]
    fn a_question_asks_for_an_answer_by_broadcast() {
        let offered = Some((Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::new(10, 0, 2, 2)));
        let bytes = Question { kind: Kind::Request, id: 7, mac: MAC, present: None, offered }.bytes();
        assert_eq!(bytes[..12], [1, 1, 6, 0, 0, 0, 0, 7, 0, 0, 0x80, 0]);
        assert_eq!(option(&bytes[HEAD_BYTES..], KIND), Some(&[3][..]));
        assert_eq!(option(&bytes[HEAD_BYTES..], REQUESTED_ADDRESS), Some(&[10, 0, 2, 15][..]));
        assert_eq!(option(&bytes[HEAD_BYTES..], SERVER), Some(&[10, 0, 2, 2][..]));
    }

    #[test]
    fn an_answer_is_read() {
        let options = [
            &[0, KIND, 1, 5, SUBNET_MASK, 4, 255, 255, 254, 0, ROUTER, 8, 10, 0, 2, 2, 10, 0, 2, 3][..],
            &[TIME_SERVERS, 9, 10, 0, 2, 4, 10, 0, 2, 5, 99, END, KIND],
        ];
        let options = options.concat();
        let answer = Answer::parse(&reply(&options)).unwrap();
        assert_eq!((answer.kind, answer.id, answer.mac), (Kind::Ack, 7, MAC));
        assert_eq!(answer.address, Ipv4Addr::new(10, 0, 2, 15));
        assert_eq!(answer.mask, Some(Ipv4Addr::new(255, 255, 254, 0)));
        assert_eq!(answer.router, Some(Ipv4Addr::new(10, 0, 2, 2)));
        assert_eq!(answer.time_servers, [Ipv4Addr::new(10, 0, 2, 4), Ipv4Addr::new(10, 0, 2, 5)]);
        assert_eq!((answer.lease_seconds, answer.server), (None, None));
    }

    #[test]
    fn an_answer_cut_anywhere_is_none_or_has_less() {
        let whole = reply(&[KIND, 1, 5, LEASE_TIME, 4, 0, 0, 1, 0]);
        for length in 0..whole.len() {
            let answer = Answer::parse(&whole[..length]);
            assert!(answer.is_none_or(|answer| answer.lease_seconds.is_none()), "{length}");
        }
        assert_eq!(Answer::parse(&whole).unwrap().lease_seconds, Some(256));
    }
}
