//! Drawing who is there.

use crate::plan::{Kind, OriginPlan, ServicePlan, TargetPlan, Topology};
use crate::seed::Rng;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tapcopy_engine::config::{MirrorTo, Mode, Pacing, PoolRange, Protocol, Speed, Subnet};
use tapcopy_engine::protocol::http1;

/// Draws the machines and services of a run.
pub fn draw(rng: &mut Rng) -> Topology {
    let v6 = rng.percent(30);
    let mut topology = Topology {
        clients: (1..=rng.size(1, 6)).map(|number| client(v6, number)).collect(),
        sample: if rng.percent(4) { 5_000 } else { 10_000 },
        copies: 1,
        speed: Some(if rng.percent(10) { Speed::Max } else { Speed::Times(1.0) }),
        ..Topology::default()
    };
    for service in 0..rng.size(1, 3) {
        add_service(&mut topology, service, v6, rng);
    }
    add_pool(&mut topology, rng);
    // Drawn aside, so that it is a matter of addresses only.
    preserve_some(&mut topology, v6, &mut rng.clone());
    topology
}

/// Clients keep their addresses in some worlds: on the link of the targets, or behind a gateway that the box stands in for.
fn preserve_some(topology: &mut Topology, v6: bool, rng: &mut Rng) {
    if topology.addressing.gateway.is_none() && rng.percent(25) {
        keep_clients(topology, v6, rng);
    }
}

/// Clients keep their addresses, unless the targets are behind a gateway.
pub fn preserve(topology: &mut Topology, rng: &mut Rng) {
    if topology.addressing.gateway.is_none() && topology.addressing.mode == Mode::Pool {
        keep_clients(topology, topology.clients[0].is_ipv6(), rng);
    }
}

fn keep_clients(topology: &mut Topology, v6: bool, rng: &mut Rng) {
    let subnet = |v6, network| Subnet { address: address(v6, network, 1), prefix_len: if v6 { 64 } else { 24 } };
    topology.addressing.mode = Mode::Preserve;
    topology.addressing.link = vec![subnet(false, 20), subnet(true, 20)];
    match rng.percent(50) {
        true => topology.addressing.link.push(subnet(v6, 1)),
        false => topology.addressing.emulated_gateways = vec![address(v6, 20, 254)],
    }
}

/// Whether a client may have this address.
pub fn is_client(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[..3] == [10, 100, 1],
        IpAddr::V6(v6) => v6.segments()[..2] == [0xFD00, 1],
    }
}

/// Draws how often sessions are replayed.
pub fn multiply(topology: &mut Topology, rng: &mut Rng) {
    if rng.percent(10) {
        topology.copies = rng.between(2, 4) as u16;
    }
    if rng.percent(10) {
        topology.mirror_to = MirrorTo::All;
    }
}

fn client(v6: bool, number: usize) -> IpAddr {
    address(v6, 1, number)
}

/// The address of machine `number` in one of the world's networks: 1 clients, 2 origins, 20 targets and pool.
pub fn address(v6: bool, network: u8, number: usize) -> IpAddr {
    if v6 {
        Ipv6Addr::new(0xFD00, u16::from(network), 0, 0, 0, 0, 0, number as u16).into()
    } else {
        Ipv4Addr::new(10, 100, network, number as u8).into()
    }
}

fn add_service(topology: &mut Topology, service: usize, v6: bool, rng: &mut Rng) {
    let kind = if rng.percent(70) { Kind::Http } else { Kind::Raw };
    let port = 8_000 + service as u16;
    let explicit = if kind == Kind::Http { Protocol::Known(&http1::PROTOCOL) } else { Protocol::Raw };
    topology.services.push(ServicePlan {
        kind,
        greeting: if kind == Kind::Raw && rng.percent(40) { b"220 ready\r\n".to_vec() } else { Vec::new() },
        protocol: if rng.percent(60) { Protocol::Auto } else { explicit },
        pacing: if rng.percent(8) { Pacing::Immediate } else { Pacing::Turns },
        any_address: rng.percent(15),
    });
    for _ in 0..rng.size(1, 2) {
        let address = address(v6, 2, topology.origins.len() + 1);
        topology.origins.push(OriginPlan { address: SocketAddr::new(address, port), service });
    }
    // The target side may be of the other family than production.
    let target_v6 = if rng.percent(15) { !v6 } else { v6 };
    for _ in 0..rng.size(1, 2) {
        let address = address(target_v6, 20, topology.targets.len() + 1);
        topology.targets.push(TargetPlan { address: SocketAddr::new(address, 9_000 + service as u16), service });
    }
}

/// A range in the subnet of the targets for each family in use, large or of one address; or in a subnet of its own behind
/// a gateway.
fn add_pool(topology: &mut Topology, rng: &mut Rng) {
    let behind_gateway = rng.percent(10) && topology.targets.iter().all(|target| target.address.is_ipv4());
    let network = if behind_gateway { 21 } else { 20 };
    for v6 in [false, true] {
        if topology.targets.iter().any(|target| target.address.is_ipv6() == v6) {
            let last = if rng.percent(20) { 100 } else { 120 };
            let (first, last) = (address(v6, network, 100), address(v6, network, last));
            topology.addressing.pool.push(PoolRange { first, last, prefix_len: if v6 { 64 } else { 24 } });
        }
    }
    topology.addressing.gateway = behind_gateway.then(|| address(false, 21, 1));
}
