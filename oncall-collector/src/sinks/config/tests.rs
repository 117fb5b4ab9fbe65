use super::*;
use crate::config::tests::{are_told, settings};

/// One of each kind, with every setting.
pub const ALL: &str = include_str!("../../../../packaging/examples/sinks.toml");

const GROUP: &str = "group = 'cn=oncall,dc=x', bind_dn = 'cn=sinks,dc=x', bind_password_file = 'p'";

fn parse(text: &str) -> Result<SinksConfig, String> {
    SinksConfig::parse(Path::new("/etc/authkeys/sinks.toml"), text.as_bytes())
        .map_err(|error| error.to_string())
}

fn sink(kind: &str) -> String {
    format!("[[sink]]\nname = 'one'\nschedules = ['pd/a']\n{kind}\n")
}

#[test]
fn little_needs_to_be_written() {
    let config = parse(&sink(&format!("ldap_group = {{ {GROUP} }}"))).unwrap();
    assert_eq!(config.state, Path::new("/var/lib/oncall-sink"));
    let sink = &config.sinks[0];
    assert_eq!((sink.max_escalation_level, sink.hold_max), (1, Span::hours(24)));
    let Kind::Group(group) = &sink.kind else { panic!("{sink:?}") };
    assert_eq!(group.attribute, MemberAttribute::Member);
    assert_eq!(group.bind_password_file, Path::new("/etc/authkeys/p"));
}

#[test]
fn each_setting_has_a_row_in_the_page_and_is_in_the_example() {
    let sections = [
        ("sinks.toml", settings::<File>()),
        ("`[[sink]]` of sinks.toml", settings::<SinkSection>()),
        ("`ldap_group` of a sink", settings::<GroupSection>()),
        ("`slack_topic` of a sink", settings::<TopicSection>()),
        ("`slack_message` of a sink", settings::<MessageSection>()),
        ("`gitlab_group` of a sink", settings::<GitlabSection>()),
        ("`gelf` of a sink", settings::<GelfSection>()),
        ("`webhook` of a sink", settings::<WebhookSection>()),
    ];
    are_told(ALL, sections);
}

#[test]
fn the_example_is_accepted_with_every_line_of_it() {
    let uncommented: String = ALL
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    for text in [ALL, &uncommented] {
        let config = parse(text).unwrap();
        assert_eq!(config.sinks.len(), 6);
    }
}

#[test]
fn what_does_not_hold_is_an_error_with_its_line() {
    let slack = |more: &str| sink(&format!("slack_topic = {{ channel = 'C1', {more} }}"));
    for (text, wrong) in [
        (String::new(), ":1: write 1 to 32 [[sink]]"),
        (sink(""), ":1: sink `one`: write one of ldap_group,"),
        (
            sink(&format!("ldap_group = {{ {GROUP} }}"))
                + &sink(&format!("ldap_group = {{ {GROUP} }}"))
                    .replace("one", "two")
                    .replace("cn=oncall,dc", "CN=OnCall, DC"),
            ":5: two sinks write the group cn=oncall,dc=x: each would undo",
        ),
        (
            sink(&format!("ldap_group = {{ {GROUP} }}\ngelf = {{ server = 'x', transport = 'tcp' }}")),
            ":1: sink `one`: write one of",
        ),
        (
            sink(&format!("ldap_group = {{ {GROUP}, atribute = 'member' }}")),
            ":4: unknown key `atribute`; did you mean `attribute`?",
        ),
        (
            sink("ldap_group = { group = 'oncall', bind_dn = 'cn=x', bind_password_file = 'p' }"),
            "`group` is no DN (RFC 4514): `oncall`",
        ),
        (sink("ldap_group = { group = 'cn=x', bind_dn = 'cn=x' }"), "missing field `bind_password_file`"),
        (
            sink(&format!("ldap_group = {{ {GROUP}, attribute = 'memberOf' }}")),
            "`attribute` is member, uniqueMember or memberUid: `memberOf`",
        ),
        (slack("token = 'xoxb-1'"), ":4: unknown key `token`"),
        (slack("token_file = 'xoxb-geheim'"), "`token_file` names a file; write the secret into one"),
        (slack("token_file = 't', api = 'http://slack.example'"), "`api` is https:// and a host"),
        (slack("token_file = 't', mark = ' '"), "`mark` is what the topic is cut at"),
        (sink("slack_topic = { channel = '#ops', token_file = 't' }"), "`channel` is a channel's id"),
        (
            sink("gitlab_group = { url = 'https://g.example', group = 'a', token_file = 'glpat-geheim' }"),
            "`token_file` names a file",
        ),
        (
            sink(
                "gitlab_group = { url = 'https://g.example', group = 'a', token_file = 't', access_level = 'owner' }",
            ),
            "`access_level` is guest, reporter or developer: `owner`",
        ),
        (
            sink(
                "gitlab_group = { url = 'https://g.example', group = 'a', token_file = 't', added_by = ['a b'] }",
            ),
            "`added_by` has user names at GitLab",
        ),
        (
            sink("webhook = { url = 'https://me:geheim@x.example/a', secret_file = 's' }"),
            "`url` is https:// and a host",
        ),
        (sink("gelf = { server = 'x', transport = 'tls' }"), "`transport` is \"tcp\" or \"udp\""),
        (sink("gelf = { server = 'x', transport = 'tcp' }").replace("pd/a", "a"), "`a` is not a schedule"),
        (sink("gelf = { server = 'x', transport = 'tcp' }").repeat(2), "two sinks are named `one`"),
    ] {
        let problem = parse(&text).expect_err(&text);
        assert!(problem.contains(wrong), "{problem}: {wrong}");
        assert!(!problem.contains("geheim"), "{problem}");
    }
}
