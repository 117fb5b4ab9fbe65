//! Templates and filters: minijinja, over the values of a notice, with what a channel's markup is made inert.
//!
//! Every `{{ value }}` goes through the channel's own escaping, whatever the template does with it before; what root wrote
//! in the template does not. A name that is not known is refused when the configuration is read.

use std::collections::BTreeMap;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use policy::Principal;

use crate::notice::{FIELDS, Many, Notice, instant};

/// What a template may cost: the longest default costs some hundred.
const FUEL: u64 = 20_000;

/// The longest text, in bytes: Slack cuts at 4,000 letters.
const LONGEST: usize = 3_500;

/// What the text of a channel is to whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Slack's: `&`, `<` and `>` begin mentions and links.
    Slack,
    /// Text of several lines, without markup.
    Plain,
    /// Text on one line.
    Line,
}

/// The templates of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// Of one record.
    pub template: String,
    /// Of many.
    pub digest: String,
    /// Of a mail's subject.
    pub subject: String,
    /// What the text is to its reader.
    pub medium: Medium,
}

/// The names that templates may use of many records.
const DIGEST_FIELDS: &[&str] =
    &["count", "people", "accounts", "hosts", "events", "first", "last", "crowded", "notice", "person", "id"];

/// What is known in both.
const ALWAYS: &[&str] = &["digest", "revoke"];

/// What is told of one record unless root writes something else.
pub const TEMPLATE: &str = "\
{% if event == 'refused' %}{{ person or 'somebody' }}: refused {{ account }} on {{ host }} by {{ service }} ({{ reason }})\
{% elif event == 'closed' %}{{ person or 'somebody' }}: left {{ account }} on {{ host }}\
{% elif event == 'vpn' %}{{ person or 'somebody' }}: connected to the VPN of {{ host }} as {{ common_name or username }}\
{% elif event == 'heartbeat' %}{{ host }} keeps records\
{% elif event == 'would-end' %}{{ person or 'somebody' }}: still in {{ account }} on {{ host }} by {{ service }}, and not any more on call or let in ({{ reason }})\
{% else %}{{ person or 'somebody' }}: {{ account }} on {{ host }} by {{ service }}\
{% if reason %} ({{ reason }}){% endif %}{% endif %}, {{ time }}\
{% if rhost %}, from {{ rhost }}{% endif %}{% if address %}, as {{ address }}{% endif %}{% if tty %}, {{ tty }}{% endif %}\
{% if why %}, why: {{ why }}{% endif %}\
{% if late %}, late: this host knew of the shift since {{ late }}{% endif %}\
{% if sender and sender != host %}, sent by {{ sender }}{% endif %}\
{% if origin %}, told by {{ origin }}{% endif %}, id {{ id or notice }}";

/// What a person is told of what their own name opened.
pub const PERSONAL: &str = "\
{% if event == 'vpn' %}Your name ({{ person }}) connected to the VPN of {{ host }}.
{% else %}Your name ({{ person }}) opened {{ account }} on {{ host }} by {{ service }}.
{% endif %}Time: {{ time }}
From: {{ rhost or 'no network' }}{% if tty %}, terminal {{ tty }}{% endif %}
{% if event == 'vpn' %}As: {{ common_name or 'no certificate' }}{% if username %}, user {{ username }}{% endif %}{% if address %}, address in the VPN {{ address }}{% endif %}
Told by: {{ origin }}
{% endif %}{% if fingerprint %}Key: {{ fingerprint }}
{% endif %}{% if reason %}Why it was let in: {{ reason }}{% if why %}, {{ why }}{% endif %}
{% endif %}{% if late %}Late: the host knew of the shift since {{ late }}
{% endif %}{% if sender and sender != host %}Sent by: {{ sender }}
{% endif %}Record: {{ id or notice }}
{% if revoke %}If this was not you: {{ revoke }}{% if event == 'vpn' %}, and have the VPN's key or password withdrawn{% endif %}{% endif %}";

/// What is told of many.
pub const DIGEST: &str = "\
{{ people or 'records' }}: {{ accounts or events }} on {{ hosts or 'no host' }} since {{ first }}, until {{ last }}\
{% if events %} ({{ events }}){% endif %}: {{ count }} records told as one\
{% if crowded %}, because there were too many{% endif %}, id {{ notice }}\
{% if revoke %}
If this was not you: {{ revoke }}{% endif %}";

/// A mail's subject.
pub const SUBJECT: &str = "\
{% if digest %}{{ people or 'records' }}: {{ accounts or events }} on {{ hosts or 'no host' }}\
{% else %}{{ person or 'somebody' }}: {{ event }} {{ account }} on {{ host }}{% endif %}";

/// What stands in place of a name in the command that revokes.
pub const REVOKE: &str = "sudo oncall-cache revoke {{ person }} --reason 'not me'";

/// An environment that makes each value inert for `medium`.
fn environment(medium: Medium) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(move |out, _state, value| {
        let text = value.to_string();
        out.write_str(&escaped(medium, &text)).map_err(minijinja::Error::from)
    });
    environment
}

/// What a value is in this medium.
fn escaped(medium: Medium, text: &str) -> String {
    match medium {
        Medium::Slack => text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
        Medium::Plain | Medium::Line => text.to_string(),
    }
}

/// Refuses a template that is none, or has names that nothing has.
///
/// # Errors
/// What is wrong with it.
pub fn check_template(text: &str) -> Result<(), String> {
    let environment = environment(Medium::Plain);
    let template = environment.template_from_str(text).map_err(told)?;
    check_names(template.undeclared_variables(false).iter())
}

/// The same of a filter.
///
/// # Errors
/// What is wrong with it.
pub fn check_expression(text: &str) -> Result<(), String> {
    let environment = environment(Medium::Plain);
    let expression = environment.compile_expression(text).map_err(told)?;
    check_names(expression.undeclared_variables(false).iter())
}

fn check_names<'n>(mut names: impl Iterator<Item = &'n String>) -> Result<(), String> {
    let known = || FIELDS.iter().chain(DIGEST_FIELDS).chain(ALWAYS).copied();
    match names.find(|name| !known().any(|known| known == **name)) {
        None => Ok(()),
        Some(name) => Err(match host::toml_file::nearest(name, known()) {
            Some(meant) => format!("no value is called `{name}`; did you mean `{meant}`?"),
            None => format!("no value is called `{name}`; docs/notify.md lists them"),
        }),
    }
}

fn told(error: minijinja::Error) -> String {
    match error.line() {
        Some(line) => format!("line {line} of it: {error:#}"),
        None => format!("{error:#}"),
    }
}

/// The values of a notice. What revokes is there for a name that a shell takes for a name.
fn values(notice: &Notice, revoke: &str) -> Value {
    let mut values: BTreeMap<String, Value> =
        FIELDS.iter().chain(DIGEST_FIELDS).map(|name| (name.to_string(), Value::from(""))).collect();
    let person = notice.person();
    values.insert("revoke".into(), Value::from(revoke_of(person, revoke)));
    values.insert("digest".into(), Value::from(matches!(notice, Notice::Many(_))));
    match notice {
        Notice::One(one) => {
            values.extend(one.fields.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))));
        }
        Notice::Many(many) => values.extend(values_of_many(many)),
    }
    values.insert("person".into(), Value::from(person));
    Value::from_pairs(values)
}

fn values_of_many(many: &Many) -> impl Iterator<Item = (String, Value)> {
    let texts = [
        ("people", many.people.shown("person")),
        ("accounts", many.accounts.shown("account")),
        ("hosts", many.hosts.shown("host")),
        ("events", many.events.shown("event")),
        ("first", instant(many.first)),
        ("last", instant(many.last)),
        ("notice", many.id.clone()),
    ];
    let texts = texts.into_iter().map(|(name, text)| (name.to_string(), Value::from(text)));
    let counts = [("count", Value::from(many.count)), ("crowded", Value::from(many.crowded))];
    texts.chain(counts.map(|(name, value)| (name.to_string(), value)))
}

/// The command that revokes this person: nothing where the name is none that an account could have, since people copy it
/// into a shell.
fn revoke_of(person: &str, revoke: &str) -> String {
    if Principal::new(person).is_err() {
        return String::new();
    }
    let values = Value::from_pairs([("person", Value::from(person))]);
    environment(Medium::Plain).render_str(revoke, values).unwrap_or_default()
}

/// Does the filter take this notice?
///
/// # Errors
/// It cannot tell: it compares what cannot be compared.
pub fn takes(filter: &str, notice: &Notice) -> Result<bool, String> {
    let environment = environment(Medium::Plain);
    let expression = environment.compile_expression(filter).map_err(told)?;
    expression.eval(values(notice, "")).map(|value| value.is_true()).map_err(told)
}

/// What an expression says of this notice, as text.
///
/// # Errors
/// As [`takes`].
pub fn word(expression: &str, notice: &Notice) -> Result<String, String> {
    let environment = environment(Medium::Plain);
    let expression = environment.compile_expression(expression).map_err(told)?;
    expression.eval(values(notice, "")).map(|value| value.to_string()).map_err(told)
}

impl Words {
    /// What this channel says of `notice`, and under which subject. What a template cannot say is said plainly.
    pub fn say(&self, notice: &Notice, revoke: &str) -> (String, String) {
        let values = values(notice, revoke);
        let environment = environment(self.medium);
        let template = if matches!(notice, Notice::One(_)) { &self.template } else { &self.digest };
        let say = |template: &str, otherwise: &str| {
            let said = environment.render_str(template, values.clone());
            said.or_else(|_| environment.render_str(otherwise, values.clone())).unwrap_or_default()
        };
        let text = say(template, "notice {{ notice }} (the template cannot say it)");
        (one_line(&say(&self.subject, "notice {{ notice }}"), 200), self.fitted(&text))
    }

    fn fitted(&self, text: &str) -> String {
        match self.medium {
            Medium::Line => one_line(text, LONGEST),
            Medium::Slack | Medium::Plain => cut(text.trim_end(), LONGEST),
        }
    }
}

fn one_line(text: &str, longest: usize) -> String {
    let words: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    cut(&words.join(" "), longest)
}

/// So many bytes at most, and whole letters.
pub fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_string();
    }
    let end = (0..=longest.saturating_sub(3)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", text.get(..end).unwrap_or_default())
}

/// The names of values, for pages and tests.
#[cfg(test)]
pub fn names() -> std::collections::BTreeSet<&'static str> {
    FIELDS.iter().chain(DIGEST_FIELDS).chain(ALWAYS).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::One;

    fn one(pairs: &[(&str, &str)]) -> Notice {
        let fields = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Notice::One(One { id: "0123456789abcdef".into(), at: 0, fields: fields.collect() })
    }

    fn words(template: &str, medium: Medium) -> Words {
        Words { template: template.into(), digest: DIGEST.into(), subject: SUBJECT.into(), medium }
    }

    #[test]
    fn templates_and_filters_know_what_a_notice_has_and_nothing_else() {
        for good in [TEMPLATE, PERSONAL, DIGEST, SUBJECT, REVOKE] {
            assert_eq!(check_template(good), Ok(()), "{good}");
        }
        let refused = check_template("{{ persn }}").unwrap_err();
        assert_eq!(refused, "no value is called `persn`; did you mean `person`?");
        assert!(check_template("{% if %}").is_err());
        assert!(check_expression("event == 'opened' and account == 'root'").is_ok());
        assert!(check_expression("evnt == 'opened'").unwrap_err().contains("did you mean `event`"));
        assert!(check_expression("event ==").is_err());
        assert_eq!(names().len(), FIELDS.len() + DIGEST_FIELDS.len() + ALWAYS.len() - 3, "three are in both");
    }

    #[test]
    fn a_filter_takes_what_it_says() {
        let root = one(&[("event", "opened"), ("account", "root")]);
        for (filter, takes_it) in [
            ("true", true),
            ("event == 'opened'", true),
            ("event in ['refused', 'closed']", false),
            ("account == 'root' and not digest", true),
            ("host", false),
        ] {
            assert_eq!(takes(filter, &root), Ok(takes_it), "{filter}");
        }
    }

    #[test]
    fn a93_mentions_and_markup_of_slack_are_inert_whatever_a_template_does() {
        let evil = one(&[("why", "<!channel> & <https://evil.example|click> <@U1>")]);
        for template in ["{{ why }}", "{{ why|safe }}", "{{ why|upper|lower }}", "{{ [why]|join(' ') }}"] {
            let (_, text) = words(template, Medium::Slack).say(&evil, REVOKE);
            assert!(
                !text.contains('<') && !text.contains('>') && text.contains("&lt;!channel&gt; &amp; "),
                "{text}"
            );
        }
        let (_, text) = words("a\n\n{{ why }}\nb", Medium::Line).say(&evil, REVOKE);
        assert!(text.starts_with("a <!channel>") && text.ends_with(" b"), "{text}");
    }

    #[test]
    fn a98b_a_shift_that_somebody_gave_themselves_just_now_stands_in_what_people_are_told() {
        let seen = "2026-11-30T03:00:10Z";
        let notice = one(&[
            ("person", "alice"),
            ("event", "opened"),
            ("account", "root"),
            ("host", "db1"),
            ("late", seen),
        ]);
        for (template, told) in [
            (TEMPLATE, "late: this host knew of the shift since"),
            (PERSONAL, "Late: the host knew of the shift since"),
        ] {
            let (_, text) = words(template, Medium::Plain).say(&notice, REVOKE);
            assert!(text.contains(&format!("{told} {seen}")), "{text}");
        }
    }

    #[test]
    fn what_revokes_is_shown_for_names_that_a_shell_takes_for_names() {
        let said = |person: &str| {
            let notice =
                one(&[("person", person), ("event", "opened"), ("account", "root"), ("host", "db1")]);
            words(PERSONAL, Medium::Plain).say(&notice, REVOKE).1
        };
        assert!(
            said("alice").ends_with("If this was not you: sudo oncall-cache revoke alice --reason 'not me'")
        );
        assert!(!said("$(reboot)").contains("revoke") && said("$(reboot)").contains("$(reboot)"));
    }

    #[test]
    fn a_template_that_never_ends_costs_its_message_and_no_more() {
        let endless = words(
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
            Medium::Plain,
        );
        let (_, text) = endless.say(&one(&[("notice", "0123456789abcdef")]), REVOKE);
        assert_eq!(text, "notice 0123456789abcdef (the template cannot say it)");
    }

    #[test]
    fn a_text_is_cut_between_letters() {
        assert_eq!(cut("\u{e9}\u{e9}\u{e9}\u{e9}", 7), "\u{e9}\u{e9}...");
        assert_eq!(cut("abc", 3), "abc");
    }
}
