//! One end of a flow.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

/// An address and port; IPv4 is held as IPv4-mapped IPv6, so that it compares and hashes as 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    ip: [u8; 16],
    port: u16,
}

impl Endpoint {
    /// This port of this address.
    pub const fn new(ip: IpAddr, port: u16) -> Self {
        match ip {
            IpAddr::V4(ip) => Self { ip: mapped(ip.to_bits()), port },
            IpAddr::V6(ip) => Self { ip: ip.octets(), port },
        }
    }

    #[inline(always)]
    pub(super) const fn from_octets(ip: [u8; 16], port: u16) -> Self {
        Self { ip, port }
    }

    pub(super) const fn octets(&self) -> &[u8; 16] {
        &self.ip
    }

    /// The address; an IPv4-mapped one is given as IPv4.
    pub fn ip(&self) -> IpAddr {
        Ipv6Addr::from(self.ip).to_canonical()
    }

    /// The address as a number; an IPv4 address as the IPv4-mapped one.
    #[inline]
    pub const fn ip_bits(&self) -> u128 {
        u128::from_be_bytes(self.ip)
    }

    /// The TCP port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// An IPv4 address as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2).
#[inline(always)]
pub(super) const fn mapped(ip: u32) -> [u8; 16] {
    (0xffff_u128 << 32 | ip as u128).to_be_bytes()
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip(), address.port())
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint.ip(), endpoint.port)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&SocketAddr::from(*self), f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
