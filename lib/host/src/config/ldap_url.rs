//! Where an LDAP server is, as `[directory] urls` writes it.

use std::fmt::{self, Write as _};
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

/// An entry of `urls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LdapUrl {
    /// A server.
    Server(LdapServer),
    /// `srv://domain`: the servers that DNS names for this domain (RFC 2782).
    Domain(String),
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LdapServer {
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

/// Why a text names no server; prints as what is wrong and how to write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LdapUrlError {
    /// This is no address, and why.
    Url(String, &'static str),
    /// This is no pattern of hosts.
    Hosts(String),
}

impl fmt::Display for LdapUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(text, why) => write!(
                f,
                "`{text}` {why}; write ldaps://host or ldap://host, with :port if need be, \
                 ldapi://%2Fpath%2Fof%2Fsocket or srv://domain"
            ),
            Self::Hosts(text) => write!(
                f,
                "`{text}` is not a host pattern; write a domain, with * or ? only before its first dot"
            ),
        }
    }
}

impl std::error::Error for LdapUrlError {}

impl LdapUrl {
    /// Reads `ldap://host`, `ldaps://host:port`, `ldaps://[::1]:636`, `ldapi://%2Frun%2Fslapd%2Fldapi`,
    /// `srv://example.com`; no path, no user, no query.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str) -> Result<Self, LdapUrlError> {
        let bad = |why| LdapUrlError::Url(text.to_string(), why);
        let server = match text.split_once("://") {
            Some(("ldaps", rest)) => LdapHost::parse(true, rest).map(LdapServer::Host),
            Some(("ldap", rest)) => LdapHost::parse(false, rest).map(LdapServer::Host),
            Some(("ldapi", rest)) => socket(rest).map(LdapServer::Socket),
            Some(("srv", rest)) => return domain(rest).map(Self::Domain).map_err(bad),
            _ => Err("is not an LDAP address"),
        };
        server.map(Self::Server).map_err(bad)
    }

    /// Is it on this host, by nature?
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Server(LdapServer::Socket(_)))
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

/// The name of a domain, in small letters.
fn domain(rest: &str) -> Result<String, &'static str> {
    let name = rest.to_ascii_lowercase();
    if name.split('.').all(is_label) && name.len() <= 200 { Ok(name) } else { Err("names no domain") }
}

fn is_label(label: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..64).contains(&label.len()) && label.bytes().all(fits)
}

/// Which servers DNS may lead to: a name, with `*` and `?` in its first label if need be.
///
/// DNS is not trusted. If it chose the name that TLS asks the certificate for, an attacker who can forge its answers
/// could pass off any machine that has a valid certificate as the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostGlob {
    first: String,
    rest: String,
}

impl fmt::Display for HostGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.first, self.rest)
    }
}

impl HostGlob {
    /// Reads `ldap*.example.com`.
    ///
    /// # Errors
    /// It is no name of a host, or has a `*` or `?` elsewhere.
    pub fn parse(text: &str) -> Result<Self, LdapUrlError> {
        let small = text.to_ascii_lowercase();
        let split = small.split_once('.').filter(|(first, rest)| {
            is_label(&first.replace(['*', '?'], "x")) && rest.split('.').all(is_label)
        });
        let (first, rest) = split.ok_or_else(|| LdapUrlError::Hosts(text.to_string()))?;
        Ok(Self { first: first.to_string(), rest: rest.to_string() })
    }

    /// Is `host`, in small letters, one of them?
    pub fn covers(&self, host: &str) -> bool {
        host.split_once('.').is_some_and(|(first, rest)| {
            rest == self.rest && policy::matches_glob(self.first.as_bytes(), first.as_bytes())
        })
    }
}

/// The path of a socket. In the place of a URL's host, a path has to have its slashes encoded; unencoded it
/// would be a DN, and the socket whichever one the library was built with.
fn socket(rest: &str) -> Result<PathBuf, &'static str> {
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.contains('/') {
        return Err("has slashes in its path; write them as %2F");
    }
    let path = decoded(host).filter(|path| !path.contains(char::is_control));
    let path = path.ok_or("has no readable path")?;
    if path.len() < 2 || !path.starts_with('/') {
        return Err("names no socket by its absolute path");
    }
    Ok(PathBuf::from(path))
}

/// The text that `text` encodes by percent signs.
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
            Self::Server(server) => server.fmt(f),
            Self::Domain(name) => write!(f, "srv://{name}"),
        }
    }
}

impl fmt::Display for LdapServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
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
            Ok(LdapUrl::Server(LdapServer::Socket(path))) => Some(path),
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

    #[test]
    fn a_domain_is_a_name_and_nothing_else() {
        let domain = |text: &str| LdapUrl::parse(text).map(|url| url.to_string()).ok();
        assert_eq!(domain("srv://Example.com").as_deref(), Some("srv://example.com"));
        for bad in ["srv://", "srv://example.com:636", "srv://a..b", "srv://.", "srv://a/b", "srv://[::1]"] {
            assert_eq!(domain(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_glob_stays_in_its_domain() {
        let covers = |glob: &str, host: &str| HostGlob::parse(glob).unwrap().covers(host);
        assert!(covers("ldap1.Example.com", "ldap1.example.com"));
        assert!(covers("ldap*.example.com", "ldap12.example.com"));
        assert!(covers("dc?.example.com", "dc1.example.com"));
        for other in [
            "ldap1.example.com.evil.org",
            "ldap1.evil.org",
            "ldap1.evil.example.com",
            "ldap.evil.org.example.com",
            "xldap1.example.com",
            "example.com",
            "ldap1",
            "",
        ] {
            assert!(!covers("ldap*.example.com", other), "{other}");
        }
        for bad in ["*", "ldap1", "", "ldap1.*.com", "*.example.*", "ldap1.", ".com", "a b.com", "*.*"] {
            assert!(HostGlob::parse(bad).is_err(), "{bad}");
        }
    }
}
