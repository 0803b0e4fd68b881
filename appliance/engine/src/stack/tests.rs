use super::{ConnectionId, Outline, Phase, Stack};
use crate::frame::Endpoint;
use crate::limits::Limits;
use crate::time::Time;
use core::time::Duration;

const SILENCE: Duration = Duration::from_secs(30);

/// Two stacks, and what of the first one's packets reaches the second.
struct Wire {
    ends: [Stack<()>; 2],
    now: Time,
}

impl Wire {
    fn sent_by(&mut self, side: usize) -> Vec<Vec<u8>> {
        self.ends[side].handle_timeout(self.now);
        core::iter::from_fn(|| self.ends[side].poll_packet(self.now).map(|(_, packet)| packet.to_vec())).collect()
    }

    /// Hands on what `side` sends; what it was.
    fn pass(&mut self, side: usize) -> Vec<Vec<u8>> {
        let packets = self.sent_by(side);
        for packet in &packets {
            assert!(self.ends[1 - side].handle_packet(self.now, packet));
        }
        packets
    }

    fn open(local: Endpoint, remote: Endpoint) -> (Self, [ConnectionId; 2]) {
        let now = Time::from_millis(1);
        let mut ends = [1, 2].map(|seed| Stack::new(now, 1_500, &Limits::default(), seed));
        let ids = [ends[0].connect(local, remote, SILENCE, ()), ends[1].accept(remote, local, SILENCE, ())];
        let mut wire = Self { ends, now };
        while wire.pass(0).len() + wire.pass(1).len() > 0 {}
        (wire, ids)
    }
}

fn endpoint(text: &str) -> Endpoint {
    text.parse::<core::net::SocketAddr>().expect("an address").into()
}

/// What the first side sent is there, but the news of it is lost, and it begins again: that must not be seen of what it
/// acknowledges meanwhile.
fn check(local: &str, remote: &str) {
    let (mut wire, ids) = Wire::open(endpoint(local), endpoint(remote));
    assert_eq!(wire.ends[1].send(ids[1], b"answer"), 6);
    let late = wire.sent_by(1);
    let content = [b'x'; 4_000];
    assert_eq!(wire.ends[0].send(ids[0], &content), content.len());
    let sent = wire.pass(0);
    let end = outline(&sent[sent.len() - 1]).end;
    wire.now = wire.now + Duration::from_millis(50);
    assert!(!wire.sent_by(1).is_empty());
    wire.now = wire.now + Duration::from_millis(2_000);
    let again: Vec<u32> = wire.sent_by(0).iter().map(|packet| outline(packet).end).collect();
    assert!(!again.is_empty() && again.iter().all(|again| *again != end), "it begins again: {again:?}, not {end}");

    assert!(late.iter().all(|packet| wire.ends[0].handle_packet(wire.now, packet)));
    wire.now = wire.now + Duration::from_millis(50);
    let acknowledgements: Vec<Outline> = wire.pass(0).iter().map(|packet| outline(packet)).collect();
    assert!(acknowledgements.iter().any(|segment| segment.span == 0), "{acknowledgements:?}");
    assert!(
        acknowledgements.iter().all(|segment| segment.span > 0 || segment.end == end),
        "{acknowledgements:?}, {end}"
    );
    assert_eq!(wire.ends[1].unacknowledged(ids[1]), 0, "the acknowledgement is heard");
}

fn outline(packet: &[u8]) -> Outline {
    Outline::of(packet).expect("a segment")
}

#[test]
fn an_acknowledgement_carries_the_next_number_that_was_never_sent() {
    check("10.0.0.1:1000", "10.0.0.2:80");
    check("[fd00::1]:1000", "[fd00::2]:80");
}

/// Copies of the last acknowledgement find no connection any more.
#[test]
fn resets_behind_both_ends_are_none() {
    let (mut wire, [ours, theirs]) = Wire::open(endpoint("10.0.0.1:80"), endpoint("10.0.0.2:80"));
    wire.ends[0].close(ours);
    wire.pass(0);
    wire.ends[1].close(theirs);
    wire.pass(1);
    let last = wire.pass(0).pop().expect("the end is acknowledged");
    assert_eq!(wire.ends[0].phase(ours), Phase::PeerClosed);
    for _ in 0..2 {
        let mut nobody: Stack<()> = Stack::new(wire.now, 1_500, &Limits::default(), 3);
        assert!(!nobody.handle_packet(wire.now, &last));
        let reset = nobody.poll_packet(wire.now).expect("it is refused").1.to_vec();
        wire.ends[0].handle_packet(wire.now, &reset);
        assert_eq!(wire.ends[0].phase(ours), Phase::Gone);
    }
}

#[test]
fn what_a_released_connection_sent_arrives_though_nobody_reads_its_answers() {
    let (mut wire, [asking, answering]) = Wire::open(endpoint("10.0.0.1:1000"), endpoint("10.0.0.2:80"));
    let much = vec![b'x'; 64 << 10];
    let mut heard = 0;
    for tenth in 0..80 {
        wire.ends[1].send(answering, &much);
        if tenth == 30 {
            assert_eq!(wire.ends[0].send(asking, b"the last request"), 16);
            wire.ends[0].close(asking);
            wire.ends[0].release(wire.now, asking);
        }
        while wire.pass(0).len() + wire.pass(1).len() > 0 {}
        wire.ends[1].receive(answering, |bytes| heard += bytes.len());
        wire.now = wire.now + Duration::from_millis(100);
    }
    assert_eq!(heard, 16);
    assert_eq!(wire.ends[0].unacknowledged(asking), 0, "it is known to have arrived");
}

/// Round trips in which a long request arrives; `loses` says of which round the first segment is lost.
fn round_trips(loses: Option<usize>) -> usize {
    let (mut wire, [asking, answering]) = Wire::open(endpoint("10.0.0.1:1000"), endpoint("10.0.0.2:80"));
    let content = vec![b'x'; 60_000];
    let (mut given, mut heard) = (0, 0);
    for round in 0..200 {
        if heard == content.len() {
            return round;
        }
        given += wire.ends[0].send(asking, &content[given..]);
        let packets = wire.sent_by(0);
        let lost = usize::from(loses == Some(round));
        assert!(packets[lost..].iter().all(|packet| wire.ends[1].handle_packet(wire.now, packet)));
        wire.ends[1].receive(answering, |bytes| heard += bytes.len());
        wire.pass(1);
        wire.now = wire.now + Duration::from_millis(50);
    }
    panic!("{heard} of {} bytes arrive", content.len());
}

#[test]
fn a_long_request_takes_few_round_trips_and_arrives_after_a_loss() {
    assert_eq!(round_trips(None), 4, "14,600 bytes, twice as many as a socket holds, and the rest");
    for round in 0..4 {
        assert!(round_trips(Some(round)) > 4);
    }
}
