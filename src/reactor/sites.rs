//! Connections by the address that they come from, so that one peer cannot have them all (RFC 6455 section 10.4).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use super::counters::Refused;
use crate::limits::Limits;

/// Where accepted connections come from, and how many from each site are there, and in their opening handshake.
#[derive(Default)]
pub(super) struct Sites {
    numbers: HashMap<IpAddr, SiteId>,
    /// By number. Those that are free are in `free`.
    sites: Vec<Site>,
    free: Vec<SiteId>,
    handshakes: usize,
}

/// One site: an IPv4 address, or an IPv6 network of 64 bits, which is what one customer gets.
struct Site {
    prefix: IpAddr,
    connections: usize,
    handshakes: usize,
}

/// A site's number, and 1.
#[derive(Clone, Copy)]
pub(super) struct SiteId(NonZeroU32);

impl SiteId {
    fn new(index: usize) -> Option<Self> {
        u32::try_from(index).ok()?.checked_add(1).and_then(NonZeroU32::new).map(Self)
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl Sites {
    /// How many connections are in their opening handshake.
    pub(super) fn handshakes(&self) -> usize {
        self.handshakes
    }

    /// Counts one more connection, which begins its opening handshake, unless that is too many.
    ///
    /// # Errors
    ///
    /// What there is too much of.
    pub(super) fn enter(
        &mut self,
        from: IpAddr,
        limits: &Limits,
    ) -> Result<Option<SiteId>, Refused> {
        if self.handshakes >= limits.handshakes_max {
            return Err(Refused::Handshakes);
        }
        let prefix = prefix(from);
        let known = self.numbers.get(&prefix).copied();
        if let Some(Site { connections, handshakes, .. }) = known.and_then(|id| self.site(id)) {
            if *connections >= limits.connections_per_address_max {
                return Err(Refused::ConnectionsOfAddress);
            }
            if *handshakes >= limits.handshakes_per_address_max {
                return Err(Refused::HandshakesOfAddress);
            }
        } else if limits.connections_per_address_max == 0 {
            return Err(Refused::ConnectionsOfAddress);
        } else if limits.handshakes_per_address_max == 0 {
            return Err(Refused::HandshakesOfAddress);
        }
        let id = known.or_else(|| self.add(prefix));
        if let Some(site) = id.and_then(|id| self.site(id)) {
            site.connections += 1;
            site.handshakes += 1;
            self.handshakes += 1;
        }
        Ok(id)
    }

    /// A connection of a site has left its opening handshake.
    pub(super) fn end_handshake(&mut self, id: SiteId) {
        if let Some(site) = self.site(id) {
            site.handshakes = site.handshakes.saturating_sub(1);
            self.handshakes = self.handshakes.saturating_sub(1);
        }
    }

    /// A connection of a site is gone.
    pub(super) fn leave(&mut self, id: SiteId) {
        let Some(site) = self.site(id) else { return };
        site.connections = site.connections.saturating_sub(1);
        if site.connections == 0 {
            let prefix = site.prefix;
            self.numbers.remove(&prefix);
            self.free.push(id);
        }
    }

    fn site(&mut self, id: SiteId) -> Option<&mut Site> {
        self.sites.get_mut(id.index())
    }

    fn add(&mut self, prefix: IpAddr) -> Option<SiteId> {
        let new = Site { prefix, connections: 0, handshakes: 0 };
        let id = match self.free.pop() {
            Some(id) => {
                *self.site(id)? = new;
                id
            }
            None => {
                let id = SiteId::new(self.sites.len())?;
                self.sites.push(new);
                id
            }
        };
        self.numbers.insert(prefix, id);
        Some(id)
    }
}

/// What of an address tells one site from another.
fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_an_ipv4_address_or_an_ipv6_network_of_64_bits() {
        for (a, b, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ] {
            let prefix = |it: &str| prefix(it.parse().unwrap());
            assert_eq!(prefix(a) == prefix(b), same, "{a} {b}");
        }
    }

    #[test]
    fn a_site_whose_connections_are_gone_leaves_nothing_behind() {
        let mut sites = Sites::default();
        let limits = Limits::default();
        for round in 0..1000u32 {
            let address = IpAddr::from(round.to_be_bytes());
            let id = sites.enter(address, &limits).ok().flatten().unwrap();
            sites.end_handshake(id);
            sites.leave(id);
        }
        assert!(sites.numbers.is_empty());
        assert_eq!((sites.sites.len(), sites.handshakes), (1, 0));
    }

    #[test]
    fn each_limit_is_told_by_its_name() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let refused = |change: fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            let mut sites = Sites::default();
            assert!(sites.enter(address, &limits).is_ok());
            (sites.enter(address, &limits).err(), sites.enter([192, 0, 2, 2].into(), &limits).err())
        };
        use Refused::*;
        assert_eq!(
            refused(|it| it.connections_per_address_max = 1),
            (Some(ConnectionsOfAddress), None)
        );
        assert_eq!(
            refused(|it| it.handshakes_per_address_max = 1),
            (Some(HandshakesOfAddress), None)
        );
        assert_eq!(refused(|it| it.handshakes_max = 1), (Some(Handshakes), Some(Handshakes)));
    }
}
