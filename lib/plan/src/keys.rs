//! Every key of the configuration, and what it means for who gets in if its value changes.
//!
//! A test compares the table with docs/configuration.md, which the configuration itself is compared with: a new key
//! that is not here fails it. A key that is unknown at run time all the same is taken for one that may let others in.

use Way::{Less, Limit, More, Neutral, Other, Words};

/// Which change of a value lets more people in, lets them in for longer, or lets them in on weaker evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// More: a larger number, a longer time, `true`, one entry more. Nothing written is the least.
    More,
    /// Less: a smaller number, `false`, one entry less. Nothing written is the least.
    Less,
    /// More; and nothing written is the most.
    Limit,
    /// A later one of these words.
    Words(&'static [&'static str]),
    /// Whom it lets in may be others: the configuration alone does not tell.
    Other,
    /// Who gets in stays the same.
    Neutral,
}

/// A key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// `SECTION KEY`, as docs/configuration.md has it.
    pub name: &'static str,
    /// Which way is looser.
    pub way: Way,
    /// What a change that may let somebody in means; nothing where none does.
    pub means: &'static str,
}

/// A list of tables: what one more and one less of them mean. An empty text: that tightens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element {
    /// The section.
    pub name: &'static str,
    /// The key that tells its entries apart; none: their place in the file.
    pub id: &'static str,
    /// What one more means.
    pub added: &'static str,
    /// What one less means.
    pub removed: &'static str,
}

/// What is said of a key that is in no class.
pub(crate) const UNKNOWN: Key =
    Key { name: "", way: Way::Other, means: "this release does not know what that means for who gets in" };

const fn key(name: &'static str, way: Way, means: &'static str) -> Key {
    Key { name, way, means }
}

const fn neutral(name: &'static str) -> Key {
    key(name, Neutral, "")
}

const fn element(
    name: &'static str,
    id: &'static str,
    added: &'static str,
    removed: &'static str,
) -> Element {
    Element { name, id, added, removed }
}

const OTHERS_COPY: &str = "decisions may be made by another copy";
const OTHER_DIRECTORY: &str = "other people may be known, with other keys, or be eligible";
const OTHER_ROTA: &str = "others may be on call by this source";
const OTHER_STORE: &str = "others may say who is on call, who is eligible and who is revoked";

const HELD: &str =
    "an edit of the rota beyond it counts once somebody has accepted it; until then those count who did";

/// Lists of tables.
pub(crate) const ELEMENTS: &[Element] = &[
    element(
        "keys.rule",
        "",
        "",
        "keys that it refused open accounts again, without the options that it demanded",
    ),
    element("keys.chain", "name", "another program says whose keys open accounts that are not guarded", ""),
    element("oncall.source", "name", "somebody else says who is on call", ""),
    element("policy.rule", "name", "people on call by it are admitted", ""),
    element(
        "policy.rule.incident",
        "",
        "",
        "people on call by the rule are admitted without an incident too",
    ),
    element(
        "policy.shared_account",
        "account",
        "the keys of the people on call open it",
        "logins to it are no longer checked",
    ),
    element("policy.automation", "account", "a program enters without a shift", ""),
    element(
        "policy.grant",
        "name",
        "colleagues may let somebody in who is not on call, or people themselves",
        "",
    ),
    element(
        "policy.rego",
        "file",
        "",
        "shifts that the file leaves out count, and those that it ends earlier last as long as in the rota",
    ),
    element(
        "nss.group",
        "name",
        "people on call or with a grant are in a group, to which sudoers may give rights",
        "",
    ),
];

/// What tightens and is felt: keys, and tables that are `new` or `gone`.
#[rustfmt::skip]
const TIGHTENED: &[(&str, &str)] = &[
    ("directory max_removed", "people whom the directory has removed are gone at once"),
    ("directory nested_groups", "members of inner groups are not eligible any more"),
    ("directory.disabled ATTRIBUTE", "people with this mark are disabled"),
    ("fleet signatures", "more people together have to say who is on call and who is eligible"),
    ("fleet revoked_age", "after a shorter outage people are refused, because it is not known who is revoked"),
    ("grant copy_age", "after a shorter outage no grant is accepted"),
    ("keys max_age", "after a shorter outage of the directory no key opens an account"),
    ("keys.rule new", "some keys may open nothing any more, or may do less"),
    ("keys.chain gone", "accounts that are not guarded open no more by its keys"),
    ("nss.group gone", "rights that sudoers give the group end"),
    ("nss.group rules", "fewer people are in the group"),
    ("oncall max_age", "after a shorter outage people on call are refused"),
    ("oncall lookahead", "an edit of the rota is a larger share of what is known, so that `max_change` may hold it until somebody accepts it"),
    ("oncall.source gone", "its shifts are read no more"),
    ("oncall.source max_age", "after a shorter outage people on call are refused"),
    ("oncall.source.schedule max_age", "after a shorter outage people on call are refused"),
    ("oncall.source schedules", "its shifts are read no more"),
    ("oncall.source max_oncall", HELD),
    ("oncall.source max_change", HELD),
    ("oncall.source allow_empty", "an emptied schedule is taken over at once, and nobody is on call by it"),
    ("oncall.source.schedule max_oncall", HELD),
    ("oncall.source.schedule max_change", HELD),
    ("oncall.source.schedule allow_empty", "an emptied schedule is taken over at once, and nobody is on call by it"),
    ("oncall.source late", "people on call must say why before they enter, if their shift was not known in time"),
    ("oncall.source max_escalation_level", "people on deeper levels are not known any more, and not admitted"),
    ("policy mode", "PAM refuses from now on whoever is not admitted"),
    ("policy guarded_accounts", "logins to it are checked from now on"),
    ("policy privileged_groups", "its members are refused in their own accounts while they are off call"),
    ("policy pam_services", "logins by it are checked from now on"),
    ("policy exempt_ttys", "people off call are refused at that terminal"),
    ("policy certificate_authorities", "nobody enters with a certificate of this authority any more; other keys and certificates of the same people count as before"),
    ("policy exempt_accounts", "it is refused off call"),
    ("policy.rule gone", "nobody is admitted by it any more"),
    ("policy.rule hosts", "people on call by it are no longer admitted there, unless another entry covers the host"),
    ("policy.rule schedules", "people on call by them are no longer admitted by this rule"),
    ("policy.rule max_escalation_level", "people on deeper levels are no longer admitted by this rule"),
    ("policy.rule claim", "people on call must say why before they enter"),
    ("policy.rule.incident new", "people on call by the rule are admitted only during an incident"),
    ("policy.rule.incident services", "incidents of these services let nobody in any more"),
    ("policy.rule.incident linger", "people on call are refused sooner after an incident"),
    ("policy.rule.incident max_open", "an incident that nobody closes lets people in for less long"),
    ("policy.rule.incident on_unknown", "people on call are refused while it is not known which incidents are open"),
    ("policy.shared_account people", "fewer people may enter it"),
    ("policy.automation gone", "the program is refused"),
    ("policy.automation keys", "the program is refused with that key"),
    ("policy.automation fingerprints", "the program is refused with that key"),
    ("policy.automation from", "the program is refused from there"),
    ("policy.automation services", "the program is refused by that service"),
    ("policy.automation until", "the program is refused sooner"),
    ("policy.end action", "what is left of a session is ended when the right ends"),
    ("policy.end grace", "what is left of a session is ended sooner"),
    ("policy.rego new", "shifts that the file leaves out count no more, and those that it ends earlier end then"),
    ("policy.rego hosts", "shifts that the file leaves out count no more there"),
    ("policy.rego on_error", "a shift for which the file fails counts no more"),
    ("policy.grant gone", "nobody is let in by such a grant any more"),
    ("policy.grant quorum", "more people together have to let somebody in; whoever is let in is none of them"),
    ("policy.grant approvers", "they may let nobody in any more"),
    ("policy.grant people", "they may not let themselves in any more"),
    ("policy.grant max", "a grant may not last as long"),
];

/// What it means that this key tightens, or this table, where that is felt.
pub(crate) fn tightened(name: &str) -> &'static str {
    TIGHTENED.iter().find(|(own, _)| *own == name).map_or("", |(_, means)| means)
}

/// Every key.
#[rustfmt::skip]
pub(crate) const KEYS: &[Key] = &[
    key("host name", Other, "rules for other hosts may cover this one"),
    key("host labels", Other, "rules for other labels may cover this host"),
    key("fleet id", Other, OTHER_STORE),
    key("fleet urls", Other, OTHER_STORE),
    key("fleet signers", Other, OTHER_STORE),
    key("fleet signatures", Less, "fewer people together can say who is on call and who is eligible"),
    key("fleet freshness", More, "a revocation may arrive later"),
    key("fleet revoked_age", Limit, "people may be let in though it is not known for longer who is revoked"),
    key("fleet epoch", Other, "an earlier publication may count again"),
    key("fleet ca_file", Other, OTHER_STORE),
    neutral("fleet header_file"),
    key("directory file", Other, OTHER_DIRECTORY),
    key("directory fleet", Other, OTHER_DIRECTORY),
    key("directory urls", Other, OTHER_DIRECTORY),
    key("directory srv_hosts", More, "DNS may name more servers, which say who is eligible"),
    key("directory base", Other, OTHER_DIRECTORY),
    key("directory bind", Other, OTHER_DIRECTORY),
    key("directory bind_dn", Other, OTHER_DIRECTORY),
    neutral("directory bind_password_file"),
    key("directory client_cert_file", Other, OTHER_DIRECTORY),
    neutral("directory client_key_file"),
    key("directory ca_file", Other, OTHER_DIRECTORY),
    key("directory filter", Other, "other entries of the directory are people"),
    key("directory eligible_group", Other, "others may become root when they are on call"),
    key("directory eligible_group_by", Other, "others may become root when they are on call"),
    key("directory nested_groups", More, "whoever may change an inner group says who is eligible"),
    key("directory referrals", Words(&["refuse", "ignore"]), "a directory that is not whole counts as whole"),
    neutral("directory timeout"),
    key("directory disabling_locks", Words(&["any", "permanent"]), "people whom a lock disabled come back"),
    key("directory full_refresh", More, "who left may stay known for longer, where the server does not report it"),
    key("directory max_removed", Less, "people whom the directory has removed may stay, until somebody accepts it"),
    key("directory.attributes user", Other, "people have other names"),
    key("directory.attributes keys", Other, "people have other keys"),
    key("directory.attributes mail", Other, "shifts may be other people's"),
    key("directory.disabled ATTRIBUTE", Less, "people whom this mark disabled come back"),
    key("keys source", Other, "keys come from another place"),
    key("keys cache_ttl", More, "a key that was removed may open accounts for longer"),
    key("keys max_age", More, "a key that was removed may open accounts for longer, while the directory is down"),
    neutral("keys timeout"),
    key("keys.rule accounts", Less, "the rule no longer restricts the keys of these accounts"),
    key("keys.rule shared", Less, "the rule no longer restricts the keys of shared accounts"),
    key("keys.rule types", Limit, "keys of more types open accounts"),
    key("keys.rule min_rsa_bits", Less, "weaker keys open accounts"),
    key("keys.rule sk_only", Less, "keys that are in files open accounts"),
    key("keys.rule verify_required", Less, "keys open accounts without PIN or fingerprint"),
    key("keys.rule restrict", Less, "keys may do more: terminals, forwarding, rc files"),
    key("keys.rule allow", More, "keys may do more"),
    key("keys.rule from", Limit, "keys open accounts from more places"),
    key("keys.rule expiry", Limit, "a session that is opened with a key is bounded later"),
    neutral("keys.chain name"),
    key("keys.chain command", Other, "another program says whose keys open accounts that are not guarded"),
    key("keys.chain accounts", More, "another program says whose keys open these accounts"),
    neutral("keys.chain timeout"),
    key("oncall warn_age", More, "people are admitted by an older rota without a warning, and asked for a reason"),
    key("oncall max_age", More, "people who were on call by an old rota stay admitted for longer, while the provider is down"),
    // `max_age` ends sooner, or at the same time: it does not let the rota count for longer.
    key("oncall lookahead", More, "an edit of the rota is a smaller share of what is known, so that `max_change` may let it count"),
    neutral("oncall proxy"),
    neutral("oncall.source name"),
    key("oncall.source provider", Other, OTHER_ROTA),
    key("oncall.source unverified", More, "people are admitted by a provider with which this release is not verified"),
    key("oncall.source schedules", More, "more schedules are read; a rule with `source/*` counts them too"),
    key("oncall.source max_escalation_level", More, "deeper levels are known, if a rule counts them"),
    key("oncall.source people", Other, "shifts are other people's"),
    key("oncall.source late", Words(&["claim", "flag"]), "nobody is asked why whose shift was not known in time"),
    key("oncall.source incident_services", Other, "rules that wait for incidents know of these"),
    key("oncall.source allow_empty", Less, "who was on call stays so when the schedule is emptied, until somebody accepts it"),
    key("oncall.source max_oncall", More, "one edit of the rota may make more people root at once"),
    key("oncall.source max_change", More, "one edit of the rota may give more time to others"),
    key("oncall.source warn_age", More, "people are admitted by an older rota without a warning, and asked for a reason"),
    key("oncall.source max_age", More, "people who were on call by an old rota stay admitted for longer, while the provider is down"),
    key("oncall.source.schedule allow_empty", Less, "who was on call stays so when the schedule is emptied, until somebody accepts it"),
    key("oncall.source.schedule max_oncall", More, "one edit of the rota may make more people root at once"),
    key("oncall.source.schedule max_change", More, "one edit of the rota may give more time to others"),
    key("oncall.source.schedule warn_age", More, "people are admitted by an older rota without a warning, and asked for a reason"),
    key("oncall.source.schedule max_age", More, "people who were on call by an old rota stay admitted for longer, while the provider is down"),
    key("oncall.source file", Other, OTHER_ROTA),
    key("oncall.source url_file", Other, OTHER_ROTA),
    key("oncall.source time_zone", Other, "shifts are at other times"),
    key("oncall.source person", Other, "shifts are other people's"),
    key("oncall.source command", Other, OTHER_ROTA),
    key("oncall.source group", Other, OTHER_ROTA),
    key("oncall.source urls", Other, OTHER_ROTA),
    key("oncall.source bind_dn", Other, "another account may be shown other members"),
    neutral("oncall.source bind_password_file"),
    neutral("oncall.source timeout"),
    key("oncall.source ca_file", Other, OTHER_ROTA),
    key("oncall.source app", Other, OTHER_ROTA),
    key("oncall.source roles", Other, OTHER_ROTA),
    key("oncall.source rotations", Other, OTHER_ROTA),
    key("oncall.source stack", Other, OTHER_ROTA),
    neutral("oncall.source scheme"),
    key("oncall.source cloud_id", Other, OTHER_ROTA),
    key("oncall.source account", Other, OTHER_ROTA),
    key("oncall.source token_file", Other, OTHER_ROTA),
    key("oncall.source oauth", Other, OTHER_ROTA),
    key("oncall.source region", Other, OTHER_ROTA),
    key("oncall.source api", Other, OTHER_ROTA),
    key("oncall.source escalation_policies", More, "more people are known to be on call, if a rule counts them"),
    key("oncall.source teams", More, "more people are known to be on call, if a rule counts them"),
    key("oncall.source.oauth client_id", Other, OTHER_ROTA),
    neutral("oncall.source.oauth client_secret_file"),
    key("oncall.source.oauth subdomain", Other, OTHER_ROTA),
    key("oncall.source.oauth identity", Other, OTHER_ROTA),
    key("policy mode", Words(&["enforce", "observe"]), "PAM refuses nobody: whoever has a key, a password or a line in sudoers gets in"),
    key("policy guarded_accounts", Less, "logins to it are no longer checked"),
    key("policy privileged_groups", Less, "its members enter their own accounts off call too"),
    key("policy pam_services", Less, "nobody is refused there any more, on call or not, revoked or not: whoever passes what the service itself asks gets in"),
    key("policy exempt_ttys", More, "nobody but the revoked is refused at that terminal"),
    neutral("policy help"),
    key("policy certificate_authorities", More, "whoever has this authority's key can make certificates for anybody on call, and enter as them"),
    key("policy exempt_accounts", More, "it is never refused, on call or not, unless it is revoked"),
    neutral("policy.rule name"),
    key("policy.rule hosts", More, "people on call by it are admitted on more hosts"),
    key("policy.rule schedules", More, "people on call by one of these are admitted too"),
    key("policy.rule max_escalation_level", More, "people on deeper levels are admitted"),
    key("policy.rule claim", Less, "people on call enter by it without saying why"),
    key("policy.rule incident", Less, "people on call by it are admitted without an incident too"),
    key("policy.rule.incident source", Other, "somebody else says which incidents are open"),
    key("policy.rule.incident services", More, "incidents of more services let people in who are on call"),
    key("policy.rule.incident linger", More, "people on call are admitted for longer after an incident"),
    key("policy.rule.incident max_open", More, "an incident that nobody closes lets people in for longer"),
    key("policy.rule.incident known_for", Other, "this is how long it counts which incidents were open when they were last read; after that `on_unknown` says who is admitted"),
    key("policy.rule.incident on_unknown", Words(&["refuse", "on-call"]), "to be on call is enough while it is not known which incidents are open"),
    neutral("policy.shared_account account"),
    key("policy.shared_account people", Limit, "more people may enter it when they are on call"),
    key("policy.shared_account explain_refusals", More, "keys of people off call are printed too, for a command that explains; while the host observes, a ForceCommand would run instead"),
    neutral("policy.automation account"),
    key("policy.automation keys", More, "another key lets a program in"),
    key("policy.automation fingerprints", More, "another key lets a program in"),
    key("policy.automation from", More, "the program gets in from more places"),
    key("policy.automation services", More, "the program gets in by more services"),
    neutral("policy.automation owner"),
    neutral("policy.automation reason"),
    key("policy.automation until", More, "the program gets in for longer"),
    key("policy.end action", Words(&["kill", "hangup", "list"]), "more of a session stays open when the shift has ended"),
    neutral("policy.end warn"),
    key("policy.end grace", More, "a session stays open for longer when the shift has ended"),
    neutral("policy.rego file"),
    key("policy.rego query", Other, "another rule of the file says which shifts count"),
    key("policy.rego hosts", Less, "the file is not asked there: shifts that it leaves out elsewhere count"),
    key("policy.rego on_error", Words(&["drop", "keep"]), "a shift for which the file fails counts"),
    key("policy.rego sha256", Other, "other shifts may count: the file has, or may have, another text"),
    neutral("policy.grant name"),
    key("policy.grant hosts", More, "grants let people in on more hosts"),
    key("policy.grant accounts", More, "grants open more accounts"),
    key("policy.grant approvers", More, "more people may let somebody in, or review it"),
    key("policy.grant quorum", Less, "fewer people together let somebody in, who is none of them"),
    key("policy.grant people", More, "more people may let themselves in"),
    key("policy.grant always", More, "people may let themselves in while it is known who is on call"),
    key("policy.grant max", More, "a grant may last longer"),
    key("grant id", Other, "grants that were signed for another site may count"),
    key("grant copy_age", More, "a grant is accepted by an older copy of the directory"),
    key("names strip", Other, "accounts are other people's"),
    key("names fold_case", Other, "accounts are other people's"),
    neutral("nss.group name"),
    key("nss.group gid", Other, "files of another group may become readable for the people on call"),
    key("nss.group rules", More, "more people are in the group, to which sudoers may give rights"),
    key("nss.group grants", More, "people with a grant are in the group, to which sudoers may give rights"),
    key("paths keys", Other, OTHERS_COPY),
    key("paths roster", Other, OTHERS_COPY),
    key("paths lookups", Other, OTHERS_COPY),
    neutral("paths audit"),
];

/// What is known of the key of that name.
pub(crate) fn find(name: &str) -> Key {
    KEYS.iter().find(|key| key.name == name).copied().unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The rows of the tables in docs/configuration.md, which `host` compares with what the configuration knows.
    fn documented() -> BTreeSet<String> {
        let page = include_str!("../../../docs/configuration.md");
        let (page, _) = page.split_once("\n## collector.toml\n").expect("the collector's settings come last");
        let (mut sections, mut found): (Vec<String>, _) = (Vec::new(), BTreeSet::new());
        for line in page.lines().filter(|line| !line.starts_with("|---")) {
            let Some(cell) = line.strip_prefix("| `").and_then(|rest| rest.split("` | ").next()) else {
                sections.clear();
                continue;
            };
            if line.ends_with(" | default | meaning |") {
                let names = cell.split("`, `");
                sections = names.map(|it| it.trim_matches(['[', ']']).replace(".ID", "")).collect();
            } else {
                found.extend(sections.iter().map(|section| format!("{section} {cell}")));
            }
        }
        found
    }

    #[test]
    fn each_setting_is_in_one_class() {
        let classed: Vec<String> = KEYS.iter().map(|key| key.name.to_string()).collect();
        let once: BTreeSet<String> = classed.iter().cloned().collect();
        assert_eq!(classed.len(), once.len(), "a key is there twice");
        let rows = documented();
        assert!(rows.len() > 100, "{rows:?}");
        let forgotten: Vec<_> = rows.difference(&once).collect();
        assert!(forgotten.is_empty(), "does a change of these let anybody in? {forgotten:#?}");
        let gone: Vec<_> = once.difference(&rows).collect();
        assert!(gone.is_empty(), "no setting of docs/configuration.md: {gone:#?}");
    }

    #[test]
    fn what_tightens_is_a_key_or_a_table() {
        for (name, means) in TIGHTENED {
            let table = name.strip_suffix(" new").or_else(|| name.strip_suffix(" gone"));
            let is_table = ELEMENTS.iter().any(|element| table == Some(element.name));
            assert!(is_table || KEYS.iter().any(|key| key.name == *name), "{name}");
            assert!(!means.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_may_let_somebody_in_is_said_in_words() {
        for key in KEYS {
            assert_eq!(key.means.is_empty(), key.way == Way::Neutral, "{}", key.name);
        }
    }
}
