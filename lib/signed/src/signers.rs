//! Who may sign what: lines of allowed_signers(5), in ssh-keygen(1), in the narrow form that this suite understands.
//!
//! ```text
//! NAME namespaces="head@authkeys"[,valid-after="20260101Z"][,valid-before="…"][,verify-required] TYPE BASE64 [comment]
//! ```
//!
//! A line that is not fully understood is dead: it lets nobody sign, and is reported. ssh-keygen reads the same file, and
//! gives no line more than is here; it refuses `verify-required`, which is our word, as sshd's for authorized_keys.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use base64ct::{Base64, Encoding};
use key::{KeyProblem, PublicKey};
use policy::Timestamp;
use ssh_key::public::KeyData;

use crate::{Purpose, SignatureError, shown};

/// The most lines, with comments and empty ones.
const MOST_LINES: usize = 2048;

/// The longest name, in bytes.
const LONGEST_NAME: usize = 64;

/// What OpenSSH's security keys are made for; others belong to web sites.
const APPLICATION: &str = "ssh:";

/// A key that may sign, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Who it is. Several lines with one name are one signer.
    pub name: String,
    /// The key.
    pub key: PublicKey,
    purposes: Vec<Purpose>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    verify_required: bool,
    /// The key once more, as it verifies.
    pub(crate) public: ssh_key::PublicKey,
    /// And as it is in a signature.
    blob: Vec<u8>,
}

/// Who may sign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signers(Vec<Signer>);

/// A line that lets nobody sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLine {
    /// Its number, from 1.
    pub line: usize,
    /// Why.
    pub problem: LineProblem,
}

/// Why a line lets nobody sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineProblem {
    /// The file is too long: no line of it counts.
    FileTooLong,
    /// A byte that is no printable ASCII, blank or tab, such as a carriage return.
    Bytes,
    /// The name has other letters than `A-Z a-z 0-9 . _ + @ -`, or is too long: lists and patterns are for ssh-keygen.
    Name,
    /// No `namespaces="…"`: ssh-keygen would take it for everything.
    NoNamespaces,
    /// An option that is not known, not quoted as it should be, or there twice.
    Option(String),
    /// A namespace that is none of ours, or there twice.
    Namespace(String),
    /// An instant without a `Z`, which OpenSSH up to 10.0 takes an hour late in summer, or none at all.
    Time(String),
    /// It ends before it begins.
    Period,
    /// The key is none, or weak.
    Key(KeyProblem),
    /// An RSA key.
    Rsa,
    /// A security key made for something else than SSH.
    Application(String),
    /// `verify-required` for a key that is in no security key.
    NotSecurityKey,
    /// The same key belongs to another name, in another line.
    TwoNames,
}

impl fmt::Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileTooLong => {
                write!(
                    f,
                    "more than {} bytes or {MOST_LINES} lines; no line of the file counts",
                    Signers::LARGEST
                )
            }
            Self::Bytes => f.write_str("bytes that are not printable ASCII (carriage returns?)"),
            Self::Name => f.write_str("the name is not one name of letters, digits and . _ + @ -"),
            Self::NoNamespaces => {
                f.write_str("no namespaces=\"…\"; write for example namespaces=\"head@authkeys\"")
            }
            Self::Option(option) => write!(f, "option not understood: {option}"),
            Self::Namespace(namespace) => write!(f, "namespace not known, or twice: {namespace}"),
            Self::Time(time) => write!(f, "not an instant as 20260131Z or 202601312359Z, with the Z: {time}"),
            Self::Period => f.write_str("valid-before is not after valid-after"),
            Self::Key(problem) => write!(f, "{problem}"),
            Self::Rsa => f.write_str("RSA keys do not sign here; make one with ssh-keygen -t ed25519"),
            Self::Application(other) => write!(f, "a security key for {other}, not for {APPLICATION}"),
            Self::NotSecurityKey => f.write_str("verify-required is for security keys (sk-…) alone"),
            Self::TwoNames => f.write_str("the same key belongs to another name as well"),
        }
    }
}

impl Signer {
    /// A signer without an end; `None` if this is no name, or the key is none that signs here.
    pub fn new(name: &str, purposes: &[Purpose], key: PublicKey) -> Option<Self> {
        let options = Options { purposes: purposes.to_vec(), ..Options::default() };
        Self::of(name, options, key).ok().filter(|signer| !signer.purposes.is_empty())
    }

    /// May it sign this at all?
    pub fn signs(&self, purpose: Purpose) -> bool {
        self.purposes.contains(&purpose)
    }

    /// The first instant at which it may not sign any more, if the line names one.
    pub fn ends(&self) -> Option<Timestamp> {
        self.before
    }

    /// Must the security key have verified who touches it (by PIN or finger)?
    pub(crate) fn verify_required(&self) -> bool {
        self.verify_required
    }

    /// Whoever has the key that is in a signature, if it is a plain one that signs here; `name` is only what messages
    /// call him.
    pub(crate) fn unlisted(
        name: &str,
        purpose: Purpose,
        kind: &[u8],
        blob: &[u8],
    ) -> Result<Self, LineProblem> {
        let kind = core::str::from_utf8(kind).unwrap_or_default();
        let key = PublicKey::parse_words(kind, &Base64::encode_string(blob)).map_err(LineProblem::Key)?;
        let options = Options { purposes: Vec::from([purpose]), ..Options::default() };
        Self::with_key(name, options, key)
    }

    fn of(name: &str, options: Options, key: PublicKey) -> Result<Self, LineProblem> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._+@-".contains(&byte);
        if !(1..=LONGEST_NAME).contains(&name.len()) || !name.bytes().all(is_letter) {
            return Err(LineProblem::Name);
        }
        Self::with_key(name, options, key)
    }

    fn with_key(name: &str, options: Options, key: PublicKey) -> Result<Self, LineProblem> {
        if key.is_rsa() {
            return Err(LineProblem::Rsa);
        }
        let malformed = |_| LineProblem::Key(KeyProblem::Malformed);
        let public = ssh_key::PublicKey::from_openssh(&key.line()).map_err(malformed)?;
        let blob = public.to_bytes().map_err(malformed)?;
        let application = match public.key_data() {
            KeyData::SkEd25519(key) => key.application(),
            KeyData::SkEcdsaSha2NistP256(key) => key.application(),
            _ => APPLICATION,
        };
        if application != APPLICATION {
            return Err(LineProblem::Application(shown(application)));
        }
        if options.verify_required && !key.is_security_key() {
            return Err(LineProblem::NotSecurityKey);
        }
        let Options { purposes, after, before, verify_required } = options;
        if let (Some(after), Some(before)) = (after, before)
            && before <= after
        {
            return Err(LineProblem::Period);
        }
        Ok(Self { name: name.to_owned(), key, purposes, after, before, verify_required, public, blob })
    }
}

impl fmt::Display for Signer {
    /// The line, without a comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} namespaces=\"", self.name)?;
        for (at, purpose) in self.purposes.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { "," }, purpose.namespace())?;
        }
        f.write_str("\"")?;
        for (name, instant) in [("valid-after", self.after), ("valid-before", self.before)] {
            if let Some(instant) = instant {
                let digits: String = instant.to_string().chars().filter(char::is_ascii_digit).collect();
                write!(f, ",{name}=\"{digits}Z\"")?;
            }
        }
        let verify = if self.verify_required { ",verify-required" } else { "" };
        write!(f, "{verify} {}", self.key.line())
    }
}

impl Signers {
    /// The largest file of signers that is read, in bytes: 256 KiB.
    pub const LARGEST: usize = 256 * 1024;

    /// Reads a signers file: who may sign, and the lines that count for nothing.
    pub fn parse(text: &[u8]) -> (Self, Vec<DeadLine>) {
        if text.len() > Self::LARGEST || text.split(|byte| *byte == b'\n').count() > MOST_LINES {
            return (Self::default(), Vec::from([DeadLine { line: 1, problem: LineProblem::FileTooLong }]));
        }
        let (mut alive, mut dead) = (Vec::new(), Vec::new());
        for (at, bytes) in text.split(|byte| *byte == b'\n').enumerate() {
            match parse_line(bytes) {
                Ok(Some(signer)) => alive.push((at + 1, signer)),
                Ok(None) => {}
                Err(problem) => dead.push(DeadLine { line: at + 1, problem }),
            }
        }
        // A signature by such a key could be either's.
        let mut names: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
        for (_, signer) in &alive {
            let names = names.entry(signer.blob.clone()).or_default();
            if !names.contains(&signer.name) {
                names.push(signer.name.clone());
            }
        }
        let is_one = |signer: &Signer| names.get(&signer.blob).is_some_and(|names| names.len() == 1);
        let (alive, shared): (Vec<_>, Vec<_>) = alive.into_iter().partition(|(_, signer)| is_one(signer));
        dead.extend(shared.into_iter().map(|(line, _)| DeadLine { line, problem: LineProblem::TwoNames }));
        dead.sort_by_key(|dead| dead.line);
        (Self(alive.into_iter().map(|(_, signer)| signer).collect()), dead)
    }

    /// Each key that may sign.
    pub fn iter(&self) -> impl Iterator<Item = &Signer> {
        self.0.iter()
    }

    /// Each key that may sign this at `at`.
    pub fn current(&self, purpose: Purpose, at: Timestamp) -> impl Iterator<Item = &Signer> {
        let holds = move |signer: &&Signer| {
            signer.after.is_none_or(|after| after <= at) && signer.before.is_none_or(|before| at < before)
        };
        self.iter().filter(move |signer| signer.signs(purpose)).filter(holds)
    }

    /// The line by which this key, as it is in a signature, signs this at this instant.
    pub(crate) fn find(
        &self,
        blob: &[u8],
        purpose: Purpose,
        at: Timestamp,
    ) -> Result<&Signer, Option<SignatureError>> {
        let mut problem = None;
        for signer in self.0.iter().filter(|signer| signer.blob == blob) {
            let name = || signer.name.clone();
            problem = Some(if !signer.signs(purpose) {
                problem.unwrap_or(SignatureError::Purpose(name()))
            } else if let Some(begins) = signer.after.filter(|begins| at < *begins) {
                SignatureError::NotYet(name(), begins)
            } else if let Some(ends) = signer.before.filter(|ends| *ends <= at) {
                SignatureError::Ended(name(), ends)
            } else {
                return Ok(signer);
            });
        }
        Err(problem)
    }
}

/// What is written before a key.
#[derive(Default)]
struct Options {
    purposes: Vec<Purpose>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    verify_required: bool,
}

/// The signer of one line; `None` for an empty one and a comment.
fn parse_line(line: &[u8]) -> Result<Option<Signer>, LineProblem> {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t');
    let line = core::str::from_utf8(line).ok().filter(|line| line.bytes().all(|byte| is_plain(&byte)));
    let line = line.ok_or(LineProblem::Bytes)?;
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let Some(name) = words.next().filter(|name| !name.starts_with('#')) else { return Ok(None) };
    let options = words.next().ok_or(LineProblem::NoNamespaces)?;
    if key::KEY_TYPES.contains(&options) {
        return Err(LineProblem::NoNamespaces);
    }
    let options = parse_options(options)?;
    let (kind, blob) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let key = PublicKey::parse_words(kind, blob).map_err(LineProblem::Key)?;
    Signer::of(name, options, key).map(Some)
}

fn parse_options(text: &str) -> Result<Options, LineProblem> {
    let mut options = Options::default();
    let mut seen = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let not_understood = || LineProblem::Option(shown(text));
        let (name, value, after) = option(text).ok_or_else(not_understood)?;
        if seen.contains(&name) {
            return Err(not_understood());
        }
        match (name, value) {
            ("namespaces", Some(list)) => options.purposes = purposes(list)?,
            ("valid-after", Some(time)) => options.after = Some(instant(time)?),
            ("valid-before", Some(time)) => options.before = Some(instant(time)?),
            ("verify-required", None) => options.verify_required = true,
            _ => return Err(not_understood()),
        }
        seen.push(name);
        rest = after;
    }
    if options.purposes.is_empty() { Err(LineProblem::NoNamespaces) } else { Ok(options) }
}

/// The first option, its value without the quotes, and what follows the comma.
fn option(text: &str) -> Option<(&str, Option<&str>, Option<&str>)> {
    let end = text.find(['=', ',']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let (value, rest) = match rest.strip_prefix("=\"") {
        Some(quoted) => quoted.split_once('"').map(|(value, rest)| (Some(value), rest))?,
        None => (None, rest),
    };
    match rest.strip_prefix(',') {
        Some(after) => Some((name, value, Some(after))),
        None => rest.is_empty().then_some((name, value, None)),
    }
}

fn purposes(list: &str) -> Result<Vec<Purpose>, LineProblem> {
    let mut purposes = Vec::new();
    for word in list.split(',') {
        let purpose = Purpose::ALL.into_iter().find(|purpose| purpose.namespace() == word);
        match purpose.filter(|purpose| !purposes.contains(purpose)) {
            Some(purpose) => purposes.push(purpose),
            None => return Err(LineProblem::Namespace(shown(word))),
        }
    }
    Ok(purposes)
}

/// `YYYYMMDDZ`, `YYYYMMDDHHMMZ` or `YYYYMMDDHHMMSSZ`, as ssh-keygen(1) has them since 9.1.
fn instant(text: &str) -> Result<Timestamp, LineProblem> {
    let read = || {
        let digits = text.strip_suffix('Z').filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        let digits = match digits.len() {
            8 => alloc::format!("{digits}000000"),
            12 => alloc::format!("{digits}00"),
            14 => digits.to_owned(),
            _ => return None,
        };
        let number = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
        let date = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
        Timestamp::from_civil(date, (number(8, 10)?, number(10, 12)?, number(12, 14)?))
    };
    read().ok_or_else(|| LineProblem::Time(shown(text)))
}

#[cfg(test)]
mod tests {
    use std::{format, vec};

    use super::*;

    fn one(line: &str) -> Signer {
        let (signers, dead) = Signers::parse(line.as_bytes());
        assert_eq!(dead, [], "{line}");
        signers.0.into_iter().next().unwrap()
    }

    fn problem(line: &str) -> LineProblem {
        let (signers, dead) = Signers::parse(line.as_bytes());
        assert_eq!(signers.0, [], "{line}");
        assert_eq!(dead.len(), 1, "{line}: {dead:?}");
        dead[0].problem.clone()
    }

    #[test]
    fn a_line_names_who_signs_what_and_when() {
        let key = made_keys::numbered(1);
        let signer =
            one(&format!("alice@example.org \tnamespaces=\"head@authkeys,grant@authkeys\" {key} her laptop"));
        assert_eq!((signer.name.as_str(), signer.key.line()), ("alice@example.org", key.clone()));
        assert!(
            signer.signs(Purpose::Head) && signer.signs(Purpose::Grant) && !signer.signs(Purpose::Policy)
        );
        assert_eq!(one(&signer.to_string()), signer);

        let sk = made_keys::numbered_sk(1);
        let line = format!(
            "bob verify-required,valid-before=\"20270101Z\",namespaces=\"policy@authkeys\",valid-after=\"202606011200Z\" {sk}"
        );
        let signer = one(&line);
        assert_eq!(signer.after, Timestamp::parse("2026-06-01T12:00:00Z"));
        assert_eq!(signer.ends(), Timestamp::parse("2027-01-01T00:00:00Z"));
        assert!(signer.verify_required());
        assert_eq!(one(&signer.to_string()), signer);
        assert_eq!(Signer::new("c-1", &[Purpose::Head], signer.key.clone()).unwrap().name, "c-1");
        assert_eq!(Signer::new("c 1", &[Purpose::Head], signer.key.clone()), None);
        assert_eq!(Signer::new("c-1", &[], signer.key), None);
    }

    #[test]
    fn a_line_that_is_not_fully_understood_is_dead() {
        let key = made_keys::numbered(1);
        let with = |options: &str| problem(&format!("alice {options} {key}"));
        let option = |text: &str| LineProblem::Option(text.into());
        let head = "namespaces=\"head@authkeys\"";
        assert_eq!(problem(&format!("alice {key}")), LineProblem::NoNamespaces);
        assert_eq!(problem("alice"), LineProblem::NoNamespaces);
        assert_eq!(with("valid-after=\"20260101Z\""), LineProblem::NoNamespaces);
        for text in [
            "cert-authority",
            "no-touch-required",
            "NAMESPACES=\"head@authkeys\"",
            "namespaces=head@authkeys",
            "namespaces=\"head@authkeys",
            "namespaces",
            "namespaces=\"head@authkeys\"x",
            "",
            "verify-required=\"yes\"",
        ] {
            if !text.is_empty() {
                assert_eq!(with(text), option(text));
            }
            assert_eq!(with(&format!("{head},{text}")), option(text));
        }
        assert_eq!(with(&format!("{head},{head}")), option(head));
        for (list, word) in [
            ("file", "file"),
            ("", ""),
            ("*", "*"),
            ("head@authkeys,", ""),
            ("head@authkeys,head@authkeys", "head@authkeys"),
            ("!grant@authkeys", "!grant@authkeys"),
            ("head@authkey?", "head@authkey?"),
        ] {
            assert_eq!(with(&format!("namespaces=\"{list}\"")), LineProblem::Namespace(word.into()));
        }
        for time in [
            "20260101",
            "202601010000",
            "2026010100Z",
            "20260230Z",
            "20260101z",
            "2026-01-01Z",
            "Z",
            "+2026011Z",
        ] {
            for name in ["valid-after", "valid-before"] {
                assert_eq!(with(&format!("{head},{name}=\"{time}\"")), LineProblem::Time(time.into()));
            }
        }
        let empty = "valid-after=\"20260101Z\",valid-before=\"20260101Z\"";
        assert_eq!(with(&format!("{head},{empty}")), LineProblem::Period);
        assert_eq!(with(&format!("{head},verify-required")), LineProblem::NotSecurityKey);
        for name in ["*", "alice,bob", "!alice", "\"alice", "al?ce", &"x".repeat(65)] {
            assert_eq!(problem(&format!("{name} {head} {key}")), LineProblem::Name);
        }
        assert_eq!(problem(&format!("alice {head} {key}\r")), LineProblem::Bytes);
        assert_eq!(problem(&format!("\u{430}lice {head} {key}")), LineProblem::Bytes);
    }

    #[test]
    fn a_key_that_is_weak_or_no_plain_key_signs_nothing() {
        let head = "namespaces=\"head@authkeys\"";
        for weak in made_keys::weak() {
            assert!(
                matches!(problem(&format!("a {head} {}", weak.line)), LineProblem::Key(_)),
                "{}",
                weak.line
            );
        }
        for line in made_keys::good() {
            if line.starts_with("ssh-rsa") {
                assert_eq!(problem(&format!("a {head} {line}")), LineProblem::Rsa);
            } else {
                assert_eq!(one(&format!("a {head} {line}")).key.line(), line);
            }
        }
        let certificate = mutate::keys().into_iter().find(|key| key.contains("-cert-")).unwrap();
        let not_accepted = LineProblem::Key(KeyProblem::TypeNotAccepted);
        assert_eq!(problem(&format!("a {head} {certificate}")), not_accepted);
        let sk = ssh_key::PublicKey::from_openssh(&made_keys::numbered_sk(1)).unwrap();
        let KeyData::SkEd25519(sk) = sk.key_data() else { panic!("{sk:?}") };
        let other = ssh_key::public::SkEd25519::new(*sk.public_key(), "https://example.org");
        let other = ssh_key::PublicKey::from(KeyData::SkEd25519(other)).to_openssh().unwrap();
        let application = LineProblem::Application("https://example.org".into());
        assert_eq!(problem(&format!("a {head} {other}")), application);
    }

    #[test]
    fn a_dead_line_leaves_the_others_and_a_shared_key_is_nobodys() {
        let (one, two) = (made_keys::numbered(1), made_keys::numbered(2));
        let head = "namespaces=\"head@authkeys\"";
        let text = format!(
            "# signers\n\nalice {head} {one}\nmallory {one}\n  \t\nbob {head} {two}\n\
             alice {head},valid-before=\"20260101Z\" {one}\ncarol namespaces=\"grant@authkeys\" {two}"
        );
        let (signers, dead) = Signers::parse(text.as_bytes());
        let names: Vec<&str> = signers.iter().map(|signer| signer.name.as_str()).collect();
        assert_eq!(names, ["alice", "alice"]);
        let dead: Vec<_> = dead.into_iter().map(|dead| (dead.line, dead.problem)).collect();
        let wanted = [(4, LineProblem::NoNamespaces), (6, LineProblem::TwoNames), (8, LineProblem::TwoNames)];
        assert_eq!(dead, wanted);
    }

    #[test]
    fn a_file_too_long_lets_nobody_sign() {
        let line = format!("alice namespaces=\"head@authkeys\" {}\n", made_keys::numbered(1));
        let dead = vec![DeadLine { line: 1, problem: LineProblem::FileTooLong }];
        let long = format!("{line}{}", "#".repeat(Signers::LARGEST));
        assert_eq!(Signers::parse(long.as_bytes()), (Signers::default(), dead.clone()));
        let lines = format!("{line}{}", "\n".repeat(MOST_LINES));
        assert_eq!(Signers::parse(lines.as_bytes()), (Signers::default(), dead));
    }

    #[test]
    fn whatever_comes_is_a_signer_that_reads_again_or_is_dead() {
        let line = format!(
            "alice namespaces=\"head@authkeys,grant@authkeys\",valid-after=\"20260101Z\",verify-required {} laptop",
            made_keys::numbered_sk(1)
        );
        let words = [
            "namespaces=",
            "\"",
            ",",
            "valid-before=\"20270101Z\"",
            "cert-authority",
            " ",
            "\n",
            "*",
            "!",
            "#",
        ];
        mutate::each(&[line.as_bytes()], &words, 5_000, |text| {
            for signer in Signers::parse(text).0.iter() {
                assert_eq!(&one(&signer.to_string()), signer);
            }
        });
    }
}
