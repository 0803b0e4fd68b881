//! How much may be on its way to a peer.
//!
//! smoltcp's congestion control begins with two segments, and counts acknowledgements where it should count bytes: a peer whose NIC
//! joins segments acknowledges many at once. A request of some dozen KiB would take a round trip for every few of its segments.
//! So up to the first loss a connection has a window of its own: ten segments at first (RFC 6928), and what is acknowledged on top
//! (slow start: RFC 5681, section 3.1, with bytes counted as in RFC 3465), as long as the window is used at all (RFC 7661). With
//! the first loss smoltcp's control takes over, which begins anew as after any.

use smoltcp::socket::tcp::{self, CongestionControl};

/// The initial window of RFC 6928, section 2: ten segments of Ethernet's size.
const INITIAL_BYTES: u32 = 14_600;

/// Bytes that a connection may have under way.
pub(super) struct Window {
    /// None once something was lost.
    bytes: Option<u32>,
}

impl Window {
    /// That of a connection which has not sent anything lately; its socket leaves it to the window.
    pub(super) fn open(socket: &mut tcp::Socket<'_>) -> Self {
        // A used socket keeps its congestion control's state, which is another connection's.
        socket.set_congestion_control(CongestionControl::None);
        Self { bytes: Some(INITIAL_BYTES) }
    }

    /// How many more bytes than those `under_way` may be sent.
    pub(super) fn room(&self, under_way: usize) -> usize {
        self.bytes.map_or(usize::MAX, |bytes| (bytes as usize).saturating_sub(under_way))
    }

    /// Of the bytes `under_way`, `left` are not acknowledged yet.
    pub(super) fn acknowledged(&mut self, under_way: usize, left: usize) {
        if let Some(bytes) = self.bytes.as_mut().filter(|bytes| (**bytes as usize) < 2 * under_way) {
            *bytes = bytes.saturating_add(under_way.saturating_sub(left) as u32);
        }
    }

    /// A segment was lost.
    pub(super) fn lose(&mut self, socket: &mut tcp::Socket<'_>) {
        if self.bytes.take().is_some() {
            socket.set_congestion_control(CongestionControl::Cubic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> tcp::Socket<'static> {
        let [receive, send] = [(); 2].map(|()| tcp::SocketBuffer::new(vec![0; 64]));
        tcp::Socket::new(receive, send)
    }

    #[test]
    fn it_doubles_with_each_round_trip_in_which_it_is_used() {
        let mut window = Window::open(&mut socket());
        assert_eq!((window.room(0), window.room(14_600), window.room(20_000)), (14_600, 0, 0));
        window.acknowledged(14_600, 10_000);
        window.acknowledged(10_000, 0);
        assert_eq!(window.room(0), 29_200);
        window.acknowledged(500, 0);
        assert_eq!(window.room(0), 29_200, "a short request tells nothing of a long one");
    }

    #[test]
    fn the_first_loss_leaves_it_to_the_socket() {
        let mut socket = socket();
        let mut window = Window::open(&mut socket);
        assert_eq!(socket.congestion_control(), CongestionControl::None);
        window.lose(&mut socket);
        assert_eq!((window.room(1 << 20), socket.congestion_control()), (usize::MAX, CongestionControl::Cubic));
        socket.set_congestion_control(CongestionControl::None);
        window.lose(&mut socket);
        assert_eq!(socket.congestion_control(), CongestionControl::None, "once");
    }
}
