//! Distinguished names, compared as what they mean (RFC 4514) and not as they are written.

use std::fmt::Write as _;

/// A DN in one spelling: two of the same entry are the same text, and what is below another ends with it.
///
/// Types of attributes and ASCII letters are compared without case, and spaces round `,`, `+` and `=` do not count, as
/// servers do it; the types that RFC 4514 has short names for are the same by their long names and numbers. More
/// equalities than these (letters beyond ASCII, spaces inside, other types) depend on the server's schema; such DNs are
/// different here, which takes rights away and gives none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dn(String);

impl Dn {
    /// Reads a DN; `None` if it is none.
    pub fn read(text: &str) -> Option<Self> {
        let mut rest = text.trim_start_matches(' ').as_bytes();
        let (mut dn, mut pairs) = (String::with_capacity(text.len()), Vec::new());
        while !rest.is_empty() {
            let (pair, end, after) = read_pair(rest)?;
            pairs.push(pair);
            if end != Some(b'+') {
                // The parts of one RDN have no order.
                pairs.sort();
                if !dn.is_empty() {
                    dn.push(',');
                }
                dn += &pairs.join("+");
                pairs.clear();
            }
            if end.is_some() && after.is_empty() {
                return None;
            }
            rest = after;
        }
        Some(Self(dn))
    }

    /// The one spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The entry above it; of a DN with one part that is the root.
    pub fn above(&self) -> &str {
        self.0.split_once(',').map_or("", |(_, above)| above)
    }

    /// A filter (RFC 4515) that finds this entry, and others of the same name elsewhere.
    pub fn first_as_filter(&self) -> String {
        // Commas and pluses in values are numbers here, and so is every backslash: the rest means itself.
        let first = self.0.split([',', '+']).next().unwrap_or_default();
        format!("({})", first.replace('(', "\\28").replace(')', "\\29").replace('*', "\\2a"))
    }

    /// Is this the entry `base`, or one below it?
    pub fn is_within(&self, base: &Self) -> bool {
        base.0.is_empty()
            || self.0.strip_suffix(&base.0).is_some_and(|above| above.is_empty() || above.ends_with(','))
    }
}

/// The types that DNs are made of: short name, long name and number (RFC 4514, section 3; RFC 4519).
const TYPES: [[&str; 3]; 9] = [
    ["cn", "commonname", "2.5.4.3"],
    ["l", "localityname", "2.5.4.7"],
    ["st", "stateorprovincename", "2.5.4.8"],
    ["o", "organizationname", "2.5.4.10"],
    ["ou", "organizationalunitname", "2.5.4.11"],
    ["c", "countryname", "2.5.4.6"],
    ["street", "streetaddress", "2.5.4.9"],
    ["dc", "domaincomponent", "0.9.2342.19200300.100.1.25"],
    ["uid", "userid", "0.9.2342.19200300.100.1.1"],
];

/// One `type=value` as it is written in the one spelling, what ended it, and what follows.
fn read_pair(bytes: &[u8]) -> Option<(String, Option<u8>, &[u8])> {
    let equals = bytes.iter().position(|byte| *byte == b'=')?;
    let (kind, rest) = bytes.split_at_checked(equals)?;
    let kind = std::str::from_utf8(kind).ok()?.trim_matches(' ').to_ascii_lowercase();
    let is_type = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    if kind.is_empty() || !kind.bytes().all(is_type) {
        return None;
    }
    let short = TYPES.iter().find(|names| names.contains(&kind.as_str())).map(|[short, ..]| short);
    let (value, end, rest) = read_value(rest.get(1..)?)?;
    let mut pair = format!("{}=", short.copied().unwrap_or(&kind));
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.into_iter().enumerate() {
        // Whatever could be taken for the grammar is written as its number, so that it never is; so is a blank at an end.
        match byte.to_ascii_lowercase() {
            b' ' if at == 0 || at == last => pair.push_str("\\20"),
            plain @ (b' '..=b'~') if !b",+\\\"<>;=#".contains(&plain) => pair.push(char::from(plain)),
            other => {
                let _ = write!(pair, "\\{other:02x}");
            }
        }
    }
    Some((pair, end, rest))
}

/// The bytes of a value, without the spaces round it; what ended it, and what follows.
fn read_value(bytes: &[u8]) -> Option<(Vec<u8>, Option<u8>, &[u8])> {
    let (mut value, mut kept, mut at) = (Vec::new(), 0, 0);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b',' | b'+' => {
                value.truncate(kept);
                return Some((value, Some(byte), bytes.get(at..)?));
            }
            b'\\' => {
                let (meant, length) = escaped(bytes.get(at..)?)?;
                value.push(meant);
                at += length;
                kept = value.len();
            }
            // Quotes and semicolons are the grammar of LDAP's second version, which servers do not write.
            b'"' | b';' | 0 => return None,
            b' ' if value.is_empty() => {}
            b' ' => value.push(byte),
            _ => {
                value.push(byte);
                kept = value.len();
            }
        }
    }
    value.truncate(kept);
    Some((value, None, &[]))
}

/// The byte that an escape means, and how many letters after the backslash it takes.
fn escaped(bytes: &[u8]) -> Option<(u8, usize)> {
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    match (digit(0), digit(1)) {
        (Some(high), Some(low)) => Some((u8::try_from(high * 16 + low).ok()?, 2)),
        _ => bytes.first().filter(|byte| b" \"#+,;<=>\\".contains(byte)).map(|byte| (*byte, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::read(text).unwrap_or_else(|| panic!("{text:?}"))
    }

    #[test]
    fn spellings_of_one_dn_are_equal() {
        let normal = "uid=alice,ou=people,dc=example,dc=com";
        for spelling in [
            normal,
            "UID=Alice, OU=People, DC=example ,DC=com",
            " uid = alice,ou=people,  dc=example,dc= com ",
            "uid=\\61lice,ou=people,dc=example,dc=com",
            "userid=alice,2.5.4.11=people,domainComponent=example,0.9.2342.19200300.100.1.25=com",
        ] {
            assert_eq!(dn(spelling).as_str(), normal);
        }
        for (left, right) in [
            ("cn=a\\, b,dc=x", "CN=A\\2c b,dc=x"),
            ("cn=a+uid=b,dc=x", "uid=B + cn=A,dc=x"),
            ("cn=\u{e9},dc=x", "cn=\\C3\\A9,dc=x"),
            ("cn=a = b,dc=x", "cn=a \\3d b,dc=x"),
        ] {
            assert_eq!(dn(left), dn(right));
        }
    }

    #[test]
    fn the_one_spelling_is_read_as_itself() {
        for text in ["cn=\\20a b\\20,dc=x", "cn=\\20", "cn=\\#a\\,\\+\\00+uid=b", "cn=a,dc=", ""] {
            assert_eq!(dn(dn(text).as_str()), dn(text), "{text}");
        }
    }

    #[test]
    fn different_dns_stay_different() {
        for (left, right) in [
            ("cn=a\\, b,dc=x", "cn=a\\,b,dc=x"),
            ("cn=a\\ ,dc=x", "cn=a,dc=x"),
            ("cn=a = b,dc=x", "cn=a=b,dc=x"),
            ("cn=a  b,dc=x", "cn=a b,dc=x"),
            ("cn=a\\,dc\\=x", "cn=a,dc=x"),
            ("cn=\u{e9},dc=x", "cn=\u{c9},dc=x"),
            ("cn=a+uid=b,dc=x", "cn=a\\+uid\\=b,dc=x"),
            ("cn=a,dc=x", "cn=a,dc=x,dc=y"),
        ] {
            assert_ne!(dn(left), dn(right), "{left} {right}");
        }
    }

    #[test]
    fn what_is_no_dn_is_none() {
        for text in
            ["alice", "cn=a,", "cn=a,,dc=x", "=a", "cn=a\\", "cn=a\\zz", "cn=\"a,b\"", "c n=a", "cn=a;dc=x"]
        {
            assert_eq!(Dn::read(text), None, "{text:?}");
        }
        assert_eq!(dn("").as_str(), "");
    }

    #[test]
    fn below_is_by_parts_and_not_by_letters() {
        let base = dn("ou=people,dc=example,dc=com");
        for below in [
            "ou=People, dc=example, dc=com",
            "uid=a,ou=people,dc=example,dc=com",
            "uid=a,ou=x,ou=people,dc=example,dc=com",
        ] {
            assert!(dn(below).is_within(&base), "{below}");
        }
        for elsewhere in [
            "uid=a,ou=otherpeople,dc=example,dc=com",
            "uid=a\\,ou=people,dc=example,dc=com",
            "uid=a\\,ou\\=people\\,dc\\=example\\,dc\\=com",
            "uid=a,ou=people,dc=example,dc=com,dc=org",
            "dc=example,dc=com",
            "",
        ] {
            assert!(!dn(elsewhere).is_within(&base), "{elsewhere}");
        }
        assert!(dn("uid=a").is_within(&dn("")));
    }

    #[test]
    fn the_first_part_of_a_dn_is_a_filter_whatever_stands_in_it() {
        let filter = |text: &str| Dn::read(text).unwrap().first_as_filter();
        assert_eq!(filter("UID=alice,dc=x"), "(uid=alice)");
        assert_eq!(filter("cn=A+uid=b,dc=x"), "(cn=a)");
        assert_eq!(filter(r"cn=*)(uid\=\2a\,\5c,dc=x"), r"(cn=\2a\29\28uid\3d\2a\2c\5c)");
    }
}
