//! Networks in CIDR notation, read strictly.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address at which pods of a hosted cluster reach their API server; no network of the cluster may contain it.
pub const API_SERVER_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 20, 0, 1));
/// [`API_SERVER_V4`] for IPv6.
pub const API_SERVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));

/// A network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Reads `address/prefix`. Octets above 255, leading zeros and prefixes longer than the address are errors.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let plain = prefix.bytes().all(|b| b.is_ascii_digit())
            && (prefix == "0" || !prefix.starts_with('0'));
        let prefix: u8 = if plain {
            prefix.parse().ok()?
        } else {
            return None;
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then_some(Self { address, prefix })
    }

    /// The same network written with its first address.
    pub fn canonical(self) -> Self {
        let address = match self.address {
            IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) & mask32(self.prefix)).into()),
            IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & mask128(self.prefix)).into()),
        };
        Self { address, ..self }
    }

    /// Whether the family is IPv4.
    pub fn is_ipv4(self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether an address lies in the network.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (u32::from(own) ^ u32::from(other)) & mask32(self.prefix) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (u128::from(own) ^ u128::from(other)) & mask128(self.prefix) == 0
            }
            _ => false,
        }
    }

    /// Whether the two have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        let (wide, narrow) = if self.prefix <= other.prefix {
            (self, other)
        } else {
            (other, self)
        };
        wide.contains(narrow.address)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn mask32(prefix: u8) -> u32 {
    u32::MAX
        .checked_shl(32_u32.saturating_sub(prefix.into()))
        .unwrap_or(0)
}

fn mask128(prefix: u8) -> u128 {
    u128::MAX
        .checked_shl(128_u32.saturating_sub(prefix.into()))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cidr(text: &str) -> Cidr {
        Cidr::parse(text).unwrap()
    }

    #[test]
    fn strict_reading() {
        for bad in [
            "300.1.1.0/24",
            "10.0.0.0/33",
            "10.0.0/8",
            "10.0.0.0",
            "010.0.0.0/8",
            "10.0.0.0/08",
            "::/129",
            "/8",
            "10.0.0.0/+8",
        ] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
        assert_eq!(cidr("10.1.2.3/8").canonical().to_string(), "10.0.0.0/8");
        assert_eq!(cidr("fd00::5/64").canonical().to_string(), "fd00::/64");
        assert_eq!(cidr("1.2.3.4/0").canonical().to_string(), "0.0.0.0/0");
    }

    #[test]
    fn overlap_and_membership() {
        assert!(cidr("10.0.0.0/8").overlaps(cidr("10.5.0.0/16")));
        assert!(cidr("10.5.0.0/16").overlaps(cidr("10.0.0.0/8")));
        assert!(!cidr("10.0.0.0/16").overlaps(cidr("10.1.0.0/16")));
        assert!(!cidr("10.0.0.0/8").overlaps(cidr("fd00::/8")));
        assert!(cidr("172.16.0.0/12").contains(API_SERVER_V4));
        assert!(!cidr("172.31.0.0/16").contains(API_SERVER_V4));
        assert!(cidr("fd00::/64").contains(API_SERVER_V6));
    }

    proptest! {
        #[test]
        fn overlap_is_having_an_address_in_common(a: u32, b: u32, p in 0_u8..=32, q in 0_u8..=32) {
            let left = Cidr { address: IpAddr::V4(a.into()), prefix: p };
            let right = Cidr { address: IpAddr::V4(b.into()), prefix: q };
            // Two networks meet exactly if one holds the first address of the other.
            let meet = left.contains(right.canonical().address) || right.contains(left.canonical().address);
            prop_assert_eq!(left.overlaps(right), meet);
            prop_assert_eq!(left.overlaps(right), right.overlaps(left));
            prop_assert_eq!(Cidr::parse(&left.to_string()), Some(left));
        }

        #[test]
        fn reading_never_panics(text in ".{0,60}") {
            let _ = Cidr::parse(&text).map(Cidr::canonical);
        }
    }
}
