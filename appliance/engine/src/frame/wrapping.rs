//! What a segment's IP packet was wrapped in.

/// A header beyond the link header and one VLAN tag that had to be taken off to find a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// A second VLAN tag.
    StackedTags,
    /// A label stack.
    Mpls,
    /// A subscriber's PPP session over Ethernet.
    Pppoe,
    /// IP in IP, of either version.
    IpInIp,
    /// GRE without a mirror's own header.
    Gre,
    /// A mirror carried over IP.
    Erspan,
    /// An overlay network.
    Vxlan,
    /// An overlay network.
    Geneve,
}

impl Wrapping {
    /// Every kind.
    pub const ALL: [Self; 8] =
        [Self::StackedTags, Self::Mpls, Self::Pppoe, Self::IpInIp, Self::Gre, Self::Erspan, Self::Vxlan, Self::Geneve];

    /// Its name as one word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::StackedTags => "stacked_vlan_tags",
            Self::Mpls => "mpls",
            Self::Pppoe => "pppoe",
            Self::IpInIp => "ip_in_ip",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
        }
    }
}

/// A set of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wrappings(u8);

impl Wrappings {
    /// Adds one.
    pub(super) fn insert(&mut self, wrapping: Wrapping) {
        self.0 |= 1 << wrapping as u8;
    }

    /// Whether it is in the set.
    pub const fn contains(self, wrapping: Wrapping) -> bool {
        self.0 & (1 << wrapping as u8) != 0
    }
}
