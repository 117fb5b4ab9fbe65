//! From where a key is taken: what sshd's `from=` may contain.
//!
//! It is printed between quotes and commas into lines that sshd obeys, so nothing is one that could end them.

use alloc::string::{String, ToString};
use core::net::IpAddr;

/// The longest host pattern: as long as a DNS name.
const LONGEST: usize = 253;

/// An address, a network or a pattern of host names, which can be put between quotes and commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromPattern(String);

impl FromPattern {
    /// Reads one as the configuration writes it.
    ///
    /// # Errors
    /// What is wrong with it, to be read behind it.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_*?/".contains(&byte);
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(fits) {
            return Err("is not an address, network or host pattern");
        }
        if let Some((address, length)) = text.split_once('/') {
            return network(address, length).map(|()| Self(text.to_string()));
        }
        let numeric = text.contains(':') || text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if numeric && !text.contains(['*', '?']) && text.parse::<IpAddr>().is_err() {
            return Err("is not an address");
        }
        Ok(Self(text.to_string()))
    }

    /// As [`FromPattern::new`], but one address, one network or one host: no wildcards.
    ///
    /// # Errors
    /// What is wrong with it, to be read behind it.
    pub fn exact(text: &str) -> Result<Self, &'static str> {
        if text.contains(['*', '?']) {
            return Err("has a wildcard; write a network as 10.1.0.0/16, and hosts one by one");
        }
        let pattern = Self::new(text)?;
        let is_number = text.contains('/') || text.parse::<IpAddr>().is_ok();
        if is_number || is_host_name(text) {
            Ok(pattern)
        } else {
            Err("is neither an address nor a host name")
        }
    }

    /// Is `place` this one? An address is compared with addresses and networks, a name with names: which of them
    /// PAM is told is sshd's `UseDNS`, and nothing is looked up. A wildcard covers nothing.
    pub fn covers(&self, place: &str) -> bool {
        let address = |text: &str| text.parse().ok().map(|address: IpAddr| address.to_canonical());
        match (address(place), self.0.split_once('/')) {
            (Some(place), Some((first, length))) => match (first.parse(), length.parse()) {
                (Ok(first), Ok(length)) => is_inside(place, first, length),
                _ => false,
            },
            (Some(place), None) => address(&self.0) == Some(place),
            (None, Some(_)) => false,
            (None, None) => !place.is_empty() && self.0.eq_ignore_ascii_case(place),
        }
    }

    /// The pattern, as sshd reads it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// sshd looks for an address first, and like getaddrinfo(3) takes `0x7f.1` for one: a name ends in a word.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| label.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    let ends_in_a_word = text.rsplit('.').next().is_some_and(|last| last.starts_with(char::is_alphabetic));
    ends_in_a_word && text.split('.').all(is_label) && !text.contains(':')
}

/// An address as 128 bits from the left, and how many of them count.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(four) => (u128::from(u32::from(four)) << 96, 32),
        IpAddr::V6(six) => (u128::from(six), 128),
    }
}

fn is_inside(place: IpAddr, network: IpAddr, length: u32) -> bool {
    let differ = bits(place).0 ^ bits(network).0;
    place.is_ipv4() == network.is_ipv4()
        && differ.checked_shr(128_u32.saturating_sub(length)).unwrap_or(0) == 0
}

/// sshd refuses everybody over a network with bits set behind its length.
fn network(address: &str, length: &str) -> Result<(), &'static str> {
    let address: IpAddr = address.parse().map_err(|_| "is not a network")?;
    let (bits, width) = bits(address);
    let plain = !length.is_empty() && length.len() <= 3 && length.bytes().all(|byte| byte.is_ascii_digit());
    let length: u32 = plain.then(|| length.parse().ok()).flatten().ok_or("is not a network")?;
    if length > width {
        return Err("is not a network");
    }
    let behind = bits.checked_shl(length).unwrap_or(0);
    if behind == 0 {
        Ok(())
    } else {
        Err("is an address inside the network; write the network's first address")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_addresses_and_host_patterns_can_be_printed() {
        for good in [
            "10.0.0.0/8",
            "192.0.2.1",
            "::1",
            "2001:db8::/32",
            "0.0.0.0/0",
            "::/0",
            "*.example.com",
            "10.1.*",
            "db?",
        ] {
            assert!(FromPattern::new(good).is_ok(), "{good}");
        }
        let long = "x".repeat(254);
        for bad in [
            "",
            " ",
            "a b",
            "a,b",
            "a\"",
            "a\\",
            "a\n",
            "a\0",
            "\u{e9}",
            "!a",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "example.com/8",
            "2001:db8::1/32",
            "10.0.0.300",
            "1::2::3",
            &long,
        ] {
            assert!(FromPattern::new(bad).is_err(), "{bad}");
            assert!(FromPattern::exact(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_is_inside_its_networks_and_a_name_is_no_address() {
        let covers = |pattern: &str, place: &str| FromPattern::new(pattern).unwrap().covers(place);
        for (pattern, place) in [
            ("10.0.0.0/8", "10.255.0.1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1"),
            ("0.0.0.0/0", "192.0.2.1"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("2001:db8::/32", "2001:DB8:1::1"),
            ("::/0", "2001:db8::1"),
            ("::1", "0:0::1"),
            ("ci.example.com", "CI.example.com"),
        ] {
            assert!(covers(pattern, place), "{pattern} {place}");
        }
        for (pattern, place) in [
            ("10.0.0.0/8", "11.0.0.1"),
            ("192.0.2.1/32", "192.0.2.0"),
            ("0.0.0.0/0", "::1"),
            ("::/0", "10.0.0.1"),
            ("2001:db8::/32", "2001:db9::1"),
            ("10.0.0.0/8", "ci.example.com"),
            ("10.0.0.0/8", "10.0.0.1.example.com"),
            ("10.0.0.0/8", ""),
            ("::1", "fe80::1%eth0"),
            ("ci.example.com", "192.0.2.1"),
            ("ci.example.com", ""),
            ("ci.example.com", "a.ci.example.com"),
            ("*.example.com", "ci.example.com"),
        ] {
            assert!(!covers(pattern, place), "{pattern} {place}");
        }
    }

    #[test]
    fn an_exact_place_has_no_wildcard_and_is_no_disguised_number() {
        for good in
            ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1", "db1", "DB-1.example.com", "3com.example"]
        {
            assert!(FromPattern::exact(good).is_ok(), "{good}");
        }
        for bad in
            ["10.1.*", "*", "db?", "0x7f.1", "7f", "db1.", ".db1", "a..b", "-a", "1.2.3", "example.0x1"]
        {
            assert!(FromPattern::exact(bad).is_err(), "{bad}");
        }
    }
}
