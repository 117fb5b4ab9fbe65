//! One line of authorized_keys that another command printed: read into types, and written anew.
//!
//! Only options that take something away are known here, each by its name: `no-touch-required` begins like
//! them and gives. A line with any other option is refused whole, because a key without a restriction that its
//! owner wrote is another key. Names as in sshd(8), AUTHORIZED_KEYS FILE FORMAT.

use std::fmt;

use store::PublicKey;

/// The longest line that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;

/// The options without a value.
const FLAGS: [&str; 7] = [
    "restrict",
    "no-agent-forwarding",
    "no-port-forwarding",
    "no-pty",
    "no-user-rc",
    "no-X11-forwarding",
    "verify-required",
];

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Blank, or a comment.
    Nothing,
    /// A key that can be printed again.
    Key(ForeignKey),
    /// Anything else.
    Refused,
}

/// A key with what restricts it; `Display` writes both, without a comment.
#[derive(Debug, PartialEq, Eq)]
pub struct ForeignKey {
    restrictions: Vec<Restriction>,
    /// The key.
    pub key: PublicKey,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Restriction {
    Flag(&'static str),
    /// `from=`: patterns of hosts.
    From(Vec<String>),
    /// `expiry-time=`: digits, and `Z` for UTC.
    Until(String),
}

impl ForeignKey {
    /// Is it good from certain hosts alone?
    pub fn has_from(&self) -> bool {
        self.restrictions.iter().any(|restriction| matches!(restriction, Restriction::From(_)))
    }

    /// Does anything restrict it?
    pub fn is_restricted(&self) -> bool {
        !self.restrictions.is_empty()
    }
}

impl Line {
    /// Reads one line, without its line break.
    pub fn read(line: &[u8]) -> Self {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return Self::Nothing;
        }
        key(line).map_or(Self::Refused, Self::Key)
    }
}

fn key(line: &[u8]) -> Option<ForeignKey> {
    if line.len() > LONGEST || line.contains(&0) {
        return None;
    }
    if let Ok(key) = PublicKey::parse(line) {
        return Some(ForeignKey { restrictions: Vec::new(), key });
    }
    let (restrictions, rest) = restrictions(line)?;
    Some(ForeignKey { restrictions, key: PublicKey::parse(rest).ok()? })
}

/// The options at the start of `line`, and what follows their blank.
fn restrictions(mut line: &[u8]) -> Option<(Vec<Restriction>, &[u8])> {
    let mut all = Vec::new();
    loop {
        let (name, value, rest) = option(line)?;
        add(&mut all, restriction(name, value)?)?;
        match rest.split_first()? {
            (b',', rest) => line = rest,
            (b' ' | b'\t', rest) => return Some((all, rest)),
            _ => return None,
        }
    }
}

/// `NAME` or `NAME="VALUE"` at the start of `line`, and what follows.
fn option(line: &[u8]) -> Option<(&str, Option<String>, &[u8])> {
    let length = line.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
    let (name, rest) = line.split_at_checked(length).filter(|(name, _)| !name.is_empty())?;
    let name = std::str::from_utf8(name).ok()?;
    match rest.strip_prefix(b"=") {
        None => Some((name, None, rest)),
        Some(value) => quoted(value.strip_prefix(b"\"")?).map(|(value, rest)| (name, Some(value), rest)),
    }
}

/// A value up to the quote that ends it, and what follows. `\"` is a quote; every other backslash is one
/// (misc.c, opt_dequote).
fn quoted(mut rest: &[u8]) -> Option<(String, &[u8])> {
    let mut value = String::new();
    loop {
        let (byte, after) = match rest.split_first()? {
            (b'"', after) => return Some((value, after)),
            (b'\\', after) => match after.strip_prefix(b"\"") {
                Some(after) => (b'"', after),
                None => (b'\\', after),
            },
            (&byte, after) => (byte, after),
        };
        if byte != b' ' && !byte.is_ascii_graphic() {
            return None;
        }
        value.push(char::from(byte));
        rest = after;
    }
}

/// The option as a restriction, if it is one that is known here.
fn restriction(name: &str, value: Option<String>) -> Option<Restriction> {
    match value {
        None => FLAGS.into_iter().find(|flag| flag.eq_ignore_ascii_case(name)).map(Restriction::Flag),
        Some(value) if name.eq_ignore_ascii_case("from") => from(&value),
        Some(value) if name.eq_ignore_ascii_case("expiry-time") => until(value),
        Some(_) => None,
    }
}

/// Patterns of host names, addresses and networks, any of them negated.
fn from(value: &str) -> Option<Restriction> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".:*?/_-".contains(&byte);
    let pattern = |text: &str| {
        let plain = text.strip_prefix('!').unwrap_or(text);
        (!plain.is_empty() && plain.bytes().all(fits)).then(|| text.to_string())
    };
    value.split(',').map(pattern).collect::<Option<_>>().map(Restriction::From)
}

/// `YYYYMMDD[HHMM[SS]][Z]`.
fn until(value: String) -> Option<Restriction> {
    let digits = value.strip_suffix('Z').unwrap_or(&value);
    let fits = matches!(digits.len(), 8 | 12 | 14) && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then_some(Restriction::Until(value))
}

/// Adds one; a second value for the same option makes the line unclear.
fn add(all: &mut Vec<Restriction>, new: Restriction) -> Option<()> {
    let same = |old: &Restriction| std::mem::discriminant(old) == std::mem::discriminant(&new);
    match new {
        Restriction::Flag(_) if all.contains(&new) => Some(()),
        Restriction::From(_) | Restriction::Until(_) if all.iter().any(same) => None,
        _ => {
            all.push(new);
            Some(())
        }
    }
}

impl fmt::Display for Restriction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => f.write_str(name),
            Self::From(patterns) => write!(f, "from=\"{}\"", patterns.join(",")),
            Self::Until(time) => write!(f, "expiry-time=\"{time}\""),
        }
    }
}

impl fmt::Display for ForeignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, restriction) in self.restrictions.iter().enumerate() {
            write!(f, "{}{restriction}", if number == 0 { "" } else { "," })?;
        }
        write!(f, "{}{}", if self.restrictions.is_empty() { "" } else { " " }, self.key.line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";

    /// What is written for `OPTIONS KEY`; `None` if it is refused.
    fn again(options: &str) -> Option<String> {
        match Line::read(format!("{options} {KEY} a comment").as_bytes()) {
            Line::Key(key) => Some(key.to_string().strip_suffix(KEY).unwrap().trim_end().to_string()),
            Line::Refused => None,
            Line::Nothing => panic!("{options} is something"),
        }
    }

    #[test]
    fn plain_keys_blanks_and_comments_are_told_apart() {
        for line in ["", "  \t", "# a comment", " #x", "\r"] {
            assert_eq!(Line::read(line.as_bytes()), Line::Nothing, "{line}");
        }
        for line in [KEY.to_string(), format!(" \t{KEY} me@\x1b[2J\"home\r"), format!("{KEY} command=\"id\"")]
        {
            let Line::Key(key) = Line::read(line.as_bytes()) else { panic!("{line}") };
            assert_eq!(key.to_string(), KEY);
        }
        assert!(matches!(Line::read(&[KEY.as_bytes(), b" caf\xe9"].concat()), Line::Key(_)));
    }

    #[test]
    fn options_that_take_away_are_written_again() {
        for (options, written) in [
            ("restrict", "restrict"),
            ("RESTRICT,No-Pty", "restrict,no-pty"),
            ("no-x11-forwarding\t", "no-X11-forwarding"),
            ("no-pty,no-pty", "no-pty"),
            (
                "no-agent-forwarding,no-port-forwarding,no-user-rc",
                "no-agent-forwarding,no-port-forwarding,no-user-rc",
            ),
            ("verify-required", "verify-required"),
            (
                "from=\"10.0.0.0/8,!10.1.*,fe80::1,*.example.com\"",
                "from=\"10.0.0.0/8,!10.1.*,fe80::1,*.example.com\"",
            ),
            ("FROM=\"a\",restrict,expiry-time=\"20301231\"", "from=\"a\",restrict,expiry-time=\"20301231\""),
            ("expiry-time=\"203012312359Z\"", "expiry-time=\"203012312359Z\""),
        ] {
            assert_eq!(again(options).as_deref(), Some(written), "{options}");
        }
    }

    #[test]
    fn every_other_option_takes_the_key_with_it() {
        for options in [
            "command=\"id\"",
            "environment=\"LD_PRELOAD=x\"",
            "permitopen=\"*:*\"",
            "permitlisten=\"1\"",
            "principals=\"a\"",
            "tunnel=\"0\"",
            "pty",
            "port-forwarding",
            "agent-forwarding",
            "user-rc",
            "X11-forwarding",
            "cert-authority",
            "no-touch-required",
            "touch-required",
            "restrict,pty",
            "restrict,command=\"id\"",
            "no-such-option",
            "restrict=\"x\"",
            "no-pty=\"\"",
            "from",
            "expiry-time",
            "no-pty-x",
            "xrestrict",
            "restrictx",
        ] {
            assert_eq!(again(options), None, "{options}");
        }
    }

    #[test]
    fn quotes_are_read_as_sshd_reads_them_or_not_at_all() {
        for options in [
            // Blanks and quotes inside a value, which none of ours has.
            "from=\"a b\"",
            "from=\"a\\\"b\"",
            "from=\"a\\\\\"",
            "from=\"a\",command=\"x \\\" y\"",
            // A value that swallows the key, or never ends.
            "from=\"a",
            "from=\"a\\\"",
            "from=\"a\\\" ",
            "from=\"",
            "from=\"a\"\"b\"",
            "from=\"a\"b\"\"",
            // Not quoted, or not where a value is.
            "from=a",
            "from=",
            "from =\"a\"",
            "\"restrict\"",
            "from=\"a\"x",
            "from='a'",
            // Lists that are none.
            ",restrict",
            "restrict,",
            "restrict,,no-pty",
            "restrict;no-pty",
            ",",
            "=",
            "\"",
            "\\",
            "restrict, no-pty",
            "restrict no-pty",
            // Values that are none.
            "from=\"\"",
            "from=\"a,\"",
            "from=\"!\"",
            "from=\"!!a\"",
            "from=\"a,b;c\"",
            "from=\"caf\u{e9}\"",
            "from=\"a\tb\"",
            "expiry-time=\"\"",
            "expiry-time=\"2030\"",
            "expiry-time=\"20301231 \"",
            "expiry-time=\"2030123x\"",
            "expiry-time=\"20301231ZZ\"",
            "expiry-time=\"+20301231\"",
            // Twice.
            "from=\"a\",from=\"b\"",
            "expiry-time=\"20301231\",expiry-time=\"20301230\"",
        ] {
            assert_eq!(again(options), None, "{options}");
        }
        let raw = |text: &str| quoted(text.as_bytes()).map(|(value, rest)| (value, rest.to_vec()));
        assert_eq!(raw("a \\\" \\n b\",x"), Some(("a \" \\n b".to_string(), b",x".to_vec())));
        assert_eq!(raw("a\\"), None);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = format!("from=\"{}\" {KEY}", "a,".repeat(LONGEST));
        for line in [
            "garbage".to_string(),
            "restrict".to_string(),
            "restrict ".to_string(),
            format!("restrict {}", KEY.replace("ssh-ed25519 ", "ssh-ed25519-cert-v01@openssh.com ")),
            KEY.replace("ssh-ed25519 ", "ssh-ed25519-cert-v01@openssh.com "),
            KEY.replace("ssh-ed25519 ", "ssh-rsa "),
            KEY.replace("AAAAC3", "AAAAC4"),
            format!("{KEY}\0"),
            format!("{KEY} a\0b"),
            format!("from=\"a\0b\" {KEY}"),
            format!("from=\"a\u{7}\" {KEY}"),
            format!("restrict {KEY}\rcommand=\"id\" {KEY}"),
            format!("{KEY} {}", "x".repeat(LONGEST)),
            long,
        ] {
            assert_eq!(Line::read(line.as_bytes()), Line::Refused, "{line:.80}");
        }
    }

    /// What is let through is written as one line, which is read the same again and has no option but those known.
    fn is_sound(line: &[u8]) {
        let Line::Key(foreign) = Line::read(line) else { return };
        let written = foreign.to_string();
        assert!(written.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{written}");
        assert!(written.len() <= line.len() + 32, "{written}");
        let options = written.strip_suffix(&foreign.key.line()).expect("the key comes last");
        assert_eq!(options.is_empty(), !foreign.is_restricted());
        // Between options no other comma or blank can be than in a value, and values have no quotes.
        let outside: String = options.trim_end().split('"').step_by(2).collect();
        for option in outside.split(',').filter(|_| !options.is_empty()) {
            assert!(FLAGS.contains(&option) || ["from=", "expiry-time="].contains(&option), "{written}");
        }
        assert_eq!(Line::read(written.as_bytes()), Line::Key(foreign));
    }

    #[test]
    fn whatever_comes_is_refused_or_restricts() {
        let keys = mutate::keys();
        let before = "restrict,from=\"10.0.0.0/8,!db?.example.com\",expiry-time=\"20301231235959Z\",no-pty";
        let all: Vec<String> =
            keys.iter().flat_map(|key| [format!("{key} a comment"), format!("{before} {key}")]).collect();
        let samples: Vec<&[u8]> = all.iter().map(|line| line.as_bytes()).collect();
        let mut words = FLAGS.to_vec();
        words.extend([
            "command=\"id\"",
            "from=\"",
            "\"",
            "\\\"",
            ",",
            "pty",
            "cert-authority",
            "Expiry-Time=\"",
            "\n",
            "# ",
        ]);
        mutate::each(&samples, &words, 10_000, is_sound);
    }

    #[test]
    fn what_is_written_reads_the_same_again() {
        for options in ["", "restrict,from=\"!a,b\",expiry-time=\"20301231235959Z\""] {
            let Line::Key(key) = Line::read(format!("{options} {KEY}").as_bytes()) else {
                panic!("{options}")
            };
            assert_eq!(Line::read(key.to_string().as_bytes()), Line::Key(key));
        }
    }
}
