//! Where an LDAP server is, as `[directory] urls` writes it.

use std::fmt::{self, Write as _};
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LdapUrl {
    /// `ldaps://host[:port]`, or `ldap://host[:port]`, which always means StartTLS.
    Host(LdapHost),
    /// `ldapi://%2Fpath%2Fof%2Fsocket`: a Unix socket of this host; an absolute path.
    Socket(PathBuf),
}

/// A server that is reached by TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdapHost {
    /// Is TLS there from the first byte?
    pub tls_first: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port; 636 or 389 unless given.
    pub port: u16,
}

impl LdapUrl {
    /// Reads `ldap://host`, `ldaps://host:port`, `ldaps://[::1]:636`, `ldapi://%2Frun%2Fslapd%2Fldapi`; no path, no
    /// user, no query.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| {
            format!(
                "`{text}` {why}; write ldaps://host or ldap://host, with :port if need be, or \
                 ldapi://%2Fpath%2Fof%2Fsocket"
            )
        };
        match text.split_once("://") {
            Some(("ldaps", rest)) => LdapHost::parse(true, rest).map(Self::Host).map_err(bad),
            Some(("ldap", rest)) => LdapHost::parse(false, rest).map(Self::Host).map_err(bad),
            Some(("ldapi", rest)) => socket(rest).map(Self::Socket).map_err(bad),
            _ => Err(bad("is no LDAP address")),
        }
    }

    /// Is it on this host, by nature?
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Socket(_))
    }
}

impl LdapHost {
    fn parse(tls_first: bool, rest: &str) -> Result<Self, &'static str> {
        let (host, port) = match rest.strip_prefix('[') {
            Some(literal) => {
                let (host, after) = literal.split_once(']').ok_or("has an open bracket")?;
                (host, after.strip_prefix(':').or_else(|| after.is_empty().then_some("")))
            }
            None => rest.split_once(':').map_or((rest, Some("")), |(host, port)| (host, Some(port))),
        };
        let port = match port.ok_or("has something after its bracket")? {
            "" if rest.ends_with(':') => return Err("has an empty port"),
            "" if tls_first => 636,
            "" => 389,
            digits => digits.parse().ok().filter(|&port| port > 0).ok_or("has no valid port")?,
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
        if host.is_empty() || !host.bytes().all(fits) {
            return Err("has no usable host");
        }
        if rest.starts_with('[') && host.parse::<Ipv6Addr>().is_err() {
            return Err("has no IPv6 address in its brackets");
        }
        Ok(Self { tls_first, host: host.to_string(), port })
    }
}

/// The path of a socket. Where a URL has its host, a path has to stand with its slashes encoded; unencoded it
/// would be a DN, and the socket whichever one the library was built with.
fn socket(rest: &str) -> Result<PathBuf, &'static str> {
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.contains('/') {
        return Err("has slashes in its path, which are %2F there");
    }
    let path = decoded(host).filter(|path| !path.contains(char::is_control));
    let path = path.ok_or("has no readable path")?;
    if path.len() < 2 || !path.starts_with('/') {
        return Err("names no socket by its absolute path");
    }
    Ok(PathBuf::from(path))
}

/// What percent-encoded `text` stands for.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for LdapUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(server) => server.fmt(f),
            Self::Socket(path) => {
                f.write_str("ldapi://")?;
                encoded(path, f)
            }
        }
    }
}

fn encoded(path: &Path, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'.' | b'-' | b'_' | b'~' => f.write_char(char::from(*byte))?,
            byte if byte.is_ascii_alphanumeric() => f.write_char(char::from(*byte))?,
            byte => write!(f, "%{byte:02X}")?,
        }
    }
    Ok(())
}

impl fmt::Display for LdapHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls_first { "ldaps" } else { "ldap" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldap_addresses_are_read_whole_or_refused() {
        let url = |text: &str| LdapUrl::parse(text).map(|url| url.to_string()).ok();
        assert_eq!(url("ldaps://ldap1.example.com").as_deref(), Some("ldaps://ldap1.example.com:636"));
        assert_eq!(url("ldap://[::1]:3890").as_deref(), Some("ldap://[::1]:3890"));
        for bad in [
            "ldap:",
            "ldap://",
            "ldap://h:",
            "ldap://h:0",
            "ldap://h:99999",
            "ldap://a b",
            "ldap://h/dc=x",
            "ldap://[::1",
            "ldap://[::1]x",
            "ldaps://[::1::2]",
            "ldapi:///",
        ] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_socket_is_named_by_its_encoded_path() {
        let path = |text: &str| match LdapUrl::parse(text) {
            Ok(LdapUrl::Socket(path)) => Some(path),
            _ => None,
        };
        for text in ["ldapi://%2Frun%2Fslapd%2Fldapi", "ldapi://%2frun%2fslapd%2fldapi/"] {
            assert_eq!(path(text).as_deref(), Some(Path::new("/run/slapd/ldapi")));
            let again = LdapUrl::parse(text).unwrap().to_string();
            assert_eq!(again, "ldapi://%2Frun%2Fslapd%2Fldapi");
        }
        for bad in [
            "ldapi://",
            "ldapi:///",
            "ldapi:///run/slapd/ldapi",
            "ldapi://run%2Fslapd",
            "ldapi://%2",
            "ldapi://%2F",
            "ldapi://%2F%",
            "ldapi://%2Fa%0",
            "ldapi://%2Fa%0A",
            "ldapi://%2Fa%FF",
            "ldapi://%2Fa%+1",
        ] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }
}
