//! What was understood of a foreign configuration, and how it is written down as ours.
//!
//! Nothing that was understood disappears: it becomes a setting, or a comment with the line it
//! stood in. A password is never held here, only that there is one and where.

use std::collections::HashMap;
use std::fmt::Write as _;

use host::config::{DEFAULT_PATH, LdapUrl};

use super::setting::{Problem, Setting};

/// Leaves the computers of a domain out.
const NO_COMPUTERS: &str = "(!(objectClass=computer))";

/// The most characters of a foreign value in a comment.
const LONGEST: usize = 200;

/// What is said of the policy: without a rule nobody is admitted, and where nothing is said that is enforced.
const POLICY: &str = "[policy]\nmode = \"observe\"                     # decided and logged, nobody is refused; \"enforce\" once there are rules\n";

/// One of the three attributes of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// The login name.
    User,
    /// The SSH public keys.
    Keys,
    /// The mail addresses.
    Mail,
}

impl Attribute {
    fn setting(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Keys => "keys",
            Self::Mail => "mail",
        }
    }

    /// The name used where nothing else is said.
    pub fn usual(self) -> &'static str {
        match self {
            Self::User => "uid",
            Self::Keys => "sshPublicKey",
            Self::Mail => "mail",
        }
    }
}

/// A `[directory]` in the making, and remarks on what does not fit into one.
#[derive(Debug, Default)]
pub struct ImportedDirectory {
    urls: Vec<String>,
    base: Option<String>,
    bind_dn: Option<Setting>,
    password: Option<Password>,
    ca_file: Option<String>,
    filters: Vec<String>,
    attributes: Vec<(Attribute, String)>,
    notes: Vec<(usize, String)>,
}

#[derive(Debug, Clone, Copy)]
struct Password {
    line: usize,
    usable: bool,
}

impl ImportedDirectory {
    /// Remarks on `line`; 0 is the whole file.
    pub fn note(&mut self, line: usize, text: impl Into<String>) {
        self.notes.push((line, text.into()));
    }

    /// Remarks that a known setting has no counterpart, and what to do instead.
    pub fn has_none(&mut self, setting: &Setting, advice: &str) {
        self.note(setting.line, format!("`{} = {}`: {advice}", shown(&setting.name), shown(&setting.value)));
    }

    /// Remarks on an unknown setting. Its value may be a misspelt password: not repeated.
    pub fn unknown(&mut self, setting: &Setting) {
        let text = format!(
            "`{}` is an unknown setting and was left out; check whether it selects people or keys",
            { shown(&setting.name) }
        );
        self.note(setting.line, text);
    }

    /// Takes one server. An address that does not fit is not repeated: it may hold a password.
    pub fn server(&mut self, line: usize, text: &str) {
        match address(text) {
            Some(url) if self.urls.contains(&url) => self.note(line, format!("{url} is listed twice")),
            Some(url) => self.urls.push(url),
            None => self.note(
                line,
                "this address has no counterpart: servers are ldaps://host or ldap://host (with StartTLS), \
                 with :port if need be, or ldapi://%2Fpath%2Fof%2Fsocket; add it to `urls` in that form",
            ),
        }
    }

    /// Does any server so far have TLS only if it is asked for?
    pub fn begins_without_tls(&self) -> bool {
        self.urls.iter().any(|url| url.starts_with("ldap://"))
    }

    /// Takes the DN below which people are.
    pub fn base(&mut self, setting: &Setting) {
        self.base = setting.text().map(str::to_string);
    }

    /// Takes the name that binds.
    pub fn bind_dn(&mut self, setting: &Setting) {
        self.bind_dn = setting.text().map(|_| setting.clone());
    }

    /// Notices that there is a password, and nothing else about it.
    pub fn password(&mut self, setting: &Setting) {
        let usable = setting.value.len() <= 4096 && setting.value.bytes().all(|b| (0x20..0x7f).contains(&b));
        self.password = setting.text().map(|_| Password { line: setting.line, usable });
    }

    /// Takes the file of certificate authorities.
    pub fn ca_file(&mut self, setting: &Setting) {
        match setting.text() {
            Some(path) if path.starts_with('/') => self.ca_file = Some(path.to_string()),
            Some(_) => self.has_none(setting, "a relative name; write the whole path into `ca_file`"),
            None => {}
        }
    }

    /// Takes a filter that people must match; several are joined by "and".
    pub fn filter(&mut self, line: usize, text: &str) -> Result<(), Problem> {
        let text = text.trim();
        let whole = if text.starts_with('(') { text.to_string() } else { format!("({text})") };
        if !is_filter(&whole) || !(text.starts_with('(') || is_one_filter(&whole)) {
            return Err(Problem::new(
                line,
                "not an LDAP filter: its parentheses do not match; fix or remove it, and import again",
            ));
        }
        if !self.filters.contains(&whole) {
            self.filters.push(whole);
        }
        Ok(())
    }

    /// Takes the name of an attribute.
    pub fn attribute(&mut self, which: Attribute, setting: &Setting) -> Result<(), Problem> {
        let Some(name) = setting.text() else { return Ok(()) };
        let name = attribute_name(setting.line, name)?;
        // What a filter may name by its number or with an option, `[directory.attributes]` does not.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !name.starts_with(|first: char| first.is_ascii_alphabetic()) || !name.bytes().all(fits) {
            let text = "`[directory.attributes]` takes a plain name such as `uid`, without options; write one and \
                        import again";
            return Err(Problem::new(setting.line, text));
        }
        self.attributes.retain(|(known, _)| *known != which);
        self.attributes.push((which, name.to_string()));
        Ok(())
    }

    /// Takes the name an attribute has where the file says nothing.
    pub fn default_attribute(&mut self, which: Attribute, name: &str) {
        if !self.attributes.iter().any(|(known, _)| *known == which) {
            self.attributes.push((which, name.to_string()));
        }
    }

    /// The name of an attribute, as said or as usual.
    pub fn attribute_of(&self, which: Attribute) -> &str {
        let said = self.attributes.iter().find(|(known, _)| *known == which);
        said.map_or(which.usual(), |(_, name)| name.as_str())
    }

    /// What keeps `[directory]` from being one.
    pub fn missing(&self) -> Option<&'static str> {
        match (self.urls.is_empty(), self.base.is_none()) {
            (false, false) => None,
            (true, false) => Some("urls"),
            (false, true) => Some("base"),
            (true, true) => Some("urls and base"),
        }
    }

    /// Our configuration, as TOML, of what was read from `file`.
    pub fn render(mut self, file: &str, format: &str) -> String {
        let file = shown(file);
        let directory = self.directory();
        self.notes.sort_by_key(|(line, _)| *line);
        let mut out = format!(
            "# Made from {file} ({format}) by `oncall-cache config import`. Read it line by line, complete it, then\n\
             # ask `oncall-cache config check` and install it as {DEFAULT_PATH}.\n\
             # Who may become root is not imported. Until you have added [[oncall.source]] and [[policy.rule]], no rule\n\
             # admits anybody to a guarded account: hence `mode = \"observe\"` below, which refuses nobody.\n"
        );
        if !self.notes.is_empty() {
            out.push_str("#\n# What was left out or changed:\n");
        }
        for (line, text) in &self.notes {
            let _ = match line {
                0 => writeln!(out, "# {file}: {text}"),
                line => writeln!(out, "# {file}:{line}: {text}"),
            };
        }
        out.push('\n');
        out.push_str(POLICY);
        out.push('\n');
        out.push_str(&directory);
        out
    }

    fn directory(&mut self) -> String {
        let mut lines = vec!["[directory]".to_string()];
        if let Some(missing) = self.missing() {
            lines.insert(0, format!("Commented out until {missing} is filled in:"));
        }
        lines.push(self.render_servers());
        lines.push(format!("base = {}", quoted(self.base.as_deref().unwrap_or("FILL IN"))));
        lines.extend(self.render_bind());
        lines.extend(self.ca_file.as_deref().map(|path| format!("ca_file = {}", quoted(path))));
        lines.extend(self.render_filter());
        lines.extend(self.render_attributes());
        let hide = if self.missing().is_some() { "# " } else { "" };
        lines.iter().map(|line| format!("{hide}{line}\n")).collect()
    }

    fn render_servers(&self) -> String {
        if self.urls.is_empty() {
            return "urls = [\"FILL IN\"]".to_string();
        }
        format!("urls = [{}]", self.urls.iter().map(|url| quoted(url)).collect::<Vec<_>>().join(", "))
    }

    fn render_bind(&mut self) -> Vec<String> {
        match (self.bind_dn.clone(), self.password) {
            (Some(dn), Some(password)) => {
                self.note_password(password);
                vec![
                    format!("bind_dn = {}", quoted(dn.value.trim())),
                    "bind_password_file = \"bind-password\"".to_string(),
                ]
            }
            (Some(dn), None) => {
                self.has_none(
                    &dn,
                    "a name without a password binds nobody; fill in `bind_dn` and `bind_password_file` if the \
                     directory wants one",
                );
                Vec::new()
            }
            (None, Some(password)) => {
                self.note(
                    password.line,
                    "a password without a bind name has no effect and was left out; delete it there",
                );
                Vec::new()
            }
            (None, None) => Vec::new(),
        }
    }

    fn note_password(&mut self, password: Password) {
        self.note(
            password.line,
            "the password is in this line and is not copied: put it, alone, into the file `bind-password` beside \
             config.toml (root:authkeys-sync, mode 0640), then delete it here",
        );
        if !password.usable {
            self.note(
                password.line,
                "the password has characters other than printable ASCII, or is too long, which \
                 `bind_password_file` does not take: give the account another one",
            );
        }
    }

    fn render_filter(&self) -> Option<String> {
        let computers = self.takes_computers().then(|| NO_COMPUTERS.to_string());
        let filters: Vec<String> = self.filters.iter().cloned().chain(computers).collect();
        match filters.as_slice() {
            [] => None,
            [one] if is_one_filter(one) => Some(format!("filter = {}", quoted(one))),
            several => Some(format!("filter = {}", quoted(&format!("(&{})", several.concat())))),
        }
    }

    /// To Active Directory a computer is a user, too. Elsewhere the filter must not name the class: servers that do
    /// not have it find nobody then.
    fn takes_computers(&self) -> bool {
        let filters = self.filters.concat().to_ascii_lowercase();
        filters.contains("(objectclass=user)") && !filters.contains("computer")
    }

    fn render_attributes(&self) -> Vec<String> {
        let other: Vec<_> = self.attributes.iter().filter(|(which, name)| name != which.usual()).collect();
        if other.is_empty() {
            return Vec::new();
        }
        let settings = other.iter().map(|(which, name)| format!("{} = {}", which.setting(), quoted(name)));
        ["".to_string(), "[directory.attributes]".to_string()].into_iter().chain(settings).collect()
    }
}

/// `text` in the form that the configuration takes.
fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let (scheme, host) = text.split_once("://")?;
    let url = format!("{}://{}", scheme.to_ascii_lowercase(), host.strip_suffix('/').unwrap_or(host));
    LdapUrl::parse(&url).ok().map(|_| url)
}

/// One filter, or several in a row.
fn is_filter(text: &str) -> bool {
    let mut depth = 0_usize;
    for character in text.chars() {
        match character {
            '(' => depth += 1,
            ')' if depth == 0 => return false,
            ')' => depth -= 1,
            _ if depth == 0 && !character.is_whitespace() => return false,
            _ if character.is_control() => return false,
            _ => {}
        }
    }
    depth == 0 && !text.is_empty() && !text.contains("()")
}

/// One filter, and not several in a row: the inside of a row closes what it has not opened.
fn is_one_filter(text: &str) -> bool {
    text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).is_some_and(closes_nothing)
}

fn closes_nothing(text: &str) -> bool {
    let mut depth = 0_i64;
    text.chars().all(|character| {
        depth += i64::from(character == '(') - i64::from(character == ')');
        depth >= 0
    })
}

/// An attribute's name, or a complaint: it will be used in filters.
pub fn attribute_name(line: usize, name: &str) -> Result<&str, Problem> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b';' | b'_');
    if name.is_empty() || name.len() > 128 || !name.bytes().all(fits) {
        return Err(Problem::new(
            line,
            "not the name of an LDAP attribute; write one such as `uid` or `sshPublicKey`, and import again",
        ));
    }
    Ok(name)
}

/// RFC 4515's form of a value in a filter.
pub fn filter_value(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'(' | b')' | b'\\');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).into() } else { format!("\\{byte:02x}") })
        .collect()
}

/// `text` as a TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            character if is_invisible(character) => {
                let _ = write!(out, "\\U{:08X}", u32::from(character));
            }
            character => out.push(character),
        }
    }
    out.push('"');
    out
}

/// `text` as a comment may show it: one line, no trickery, not too long.
pub fn shown(text: &str) -> String {
    let mut out = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        if is_invisible(character) {
            let _ = write!(out, "{{U+{:04X}}}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// Ends lines, moves the cursor, or turns the direction of writing.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Keeps the last of settings with one name, as the tools do, and remarks on the others.
pub fn last_wins(settings: Vec<Setting>, repeats: &[&str], draft: &mut ImportedDirectory) -> Vec<Setting> {
    let mut last = HashMap::new();
    for setting in &settings {
        last.insert(setting.name.clone(), setting.line);
    }
    let counts = |setting: &Setting| {
        repeats.contains(&setting.name.as_str())
            || last.get(&setting.name).is_none_or(|line| *line == setting.line)
    };
    let (kept, dropped): (Vec<_>, Vec<_>) = settings.into_iter().partition(counts);
    for setting in dropped {
        let line = last.get(&setting.name).copied().unwrap_or_default();
        let text = format!("`{}` is set again in line {line}, and that value counts", shown(&setting.name));
        draft.note(setting.line, text);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_back_from_toml_as_they_were() {
        for text in [
            "",
            "a\"b",
            "a\\b",
            "a\nb\t\u{0}\u{1f}\u{7f}",
            "\u{85}\u{202e}é😀",
            "'''\"\"\"",
            "#",
            "\\u0041",
            "\r\n",
        ] {
            let line = format!("v = {}", quoted(text));
            assert_eq!(line.lines().count(), 1, "{line}");
            let table: toml::Table = toml::from_str(&line).unwrap();
            assert_eq!(table["v"].as_str(), Some(text), "{line}");
        }
    }

    #[test]
    fn comments_stay_on_their_line() {
        assert_eq!(shown("a\nb\u{2028}c\u{1b}é"), "a{U+000A}b{U+2028}c{U+001B}é");
        assert_eq!(shown(&"x".repeat(70_000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn filters_are_whole_and_joined() {
        let mut draft = ImportedDirectory::default();
        draft.filter(1, "objectClass=x").unwrap();
        assert_eq!(draft.render_filter().unwrap(), "filter = \"(objectClass=x)\"");
        draft.filter(1, "(a=b)(c=d)").unwrap();
        draft.filter(1, "(objectClass=x)").unwrap();
        assert_eq!(draft.render_filter().unwrap(), "filter = \"(&(objectClass=x)(a=b)(c=d))\"");
        let mut row = ImportedDirectory::default();
        row.filter(1, "(a=b)(c=d)").unwrap();
        assert_eq!(row.render_filter().unwrap(), "filter = \"(&(a=b)(c=d))\"");
        let mut domain = ImportedDirectory::default();
        domain.filter(1, "(objectCategory=person)(objectClass=User)").unwrap();
        let with = "filter = \"(&(objectCategory=person)(objectClass=User)(!(objectClass=computer)))\"";
        assert_eq!(domain.render_filter().unwrap(), with);
        for bad in ["", "(a=b", "(a=b))", "(a=b)x", ")(", "a=b)(c=d", "(a\n=b)", "()"] {
            assert!(draft.filter(3, bad).is_err(), "{bad}");
        }
        assert_eq!(filter_value("a*(b)\\é/x"), "a\\2a\\28b\\29\\5c\\c3\\a9/x");
    }

    #[test]
    fn addresses_are_brought_into_form_or_not_repeated() {
        assert_eq!(address("LDAPS://ldap.example.com/").as_deref(), Some("ldaps://ldap.example.com"));
        let mut draft = ImportedDirectory::default();
        for text in ["ldap://admin:hunter2@h", "ldapi:///", "_srv_", "ldap://h/dc=x??sub"] {
            draft.server(4, text);
        }
        assert!(draft.urls.is_empty());
        let text = draft.render("x", "sssd");
        assert!(!text.contains("hunter2") && text.contains("x:4: this address"), "{text}");
    }
}
