//! An LDAP domain of `sssd.conf`: sections, and `name = value` on each line.
//!
//! As sssd reads it: comments begin with # or ;, a value is the rest of the line, sections of one
//! name are one, the last of two settings counts, and an empty value is none.

use super::directory::{Attribute, ImportedDirectory, last_wins, shown};
use super::setting::{Problem, Setting, advice, few_enough};

const OWN: &str = "is about accounts (NSS, PAM), which sssd still serves";

/// What is known and has no counterpart.
const ADVICE: &[(&str, &str)] = &[
    ("auth_provider", OWN),
    ("chpass_provider", OWN),
    ("sudo_provider", OWN),
    ("autofs_provider", OWN),
    ("entry_cache_timeout", "the timer that runs authkeys-sync determines how often the directory is asked"),
    ("entry_cache_*", "the timer that runs authkeys-sync determines how often the directory is asked"),
    (
        "cache_credentials",
        "passwords are not handled; keys are served from the copy until it is older than `[keys] max_age`",
    ),
    ("account_cache_expiration", "the copy is used until it is older than `[keys] max_age` (24h)"),
    ("offline_*", "the timer asks the directory; the copy is used until it is older than `[keys] max_age`"),
    ("enumerate", "authkeys-sync always copies everybody whom `filter` selects"),
    (
        "refresh_expired_interval",
        "the timer that runs authkeys-sync determines how often the directory is asked",
    ),
    ("ldap_tls_cacertdir", "join its files into one (cat) and name that in `ca_file`"),
    (
        "ldap_tls_cert",
        "set `client_cert_file` and `client_key_file`; with `bind = \"external\"` it is also the identity",
    ),
    (
        "ldap_tls_key",
        "set `client_cert_file` and `client_key_file`; with `bind = \"external\"` it is also the identity",
    ),
    ("ldap_tls_cipher_suite", "not needed: TLS 1.2 and 1.3 with strong ciphers only"),
    (
        "ldap_sasl_*",
        "only a bind by name and password or by client certificate (`bind = \"external\"`); no Kerberos",
    ),
    (
        "ldap_krb5_*",
        "only a bind by name and password or by client certificate (`bind = \"external\"`); no Kerberos",
    ),
    ("ldap_network_timeout", "it limited the connection; here `timeout` limits a whole sync (60s)"),
    ("ldap_opt_timeout", "it limited one request; here `timeout` limits a whole sync (60s)"),
    ("ldap_search_timeout", "it limited one search; here `timeout` limits a whole sync (60s)"),
    ("ldap_page_size", "500, always"),
    ("ldap_referrals", "referrals are not followed; name the server that has the people in `urls`"),
    (
        "ldap_dns_service_name",
        "write `srv://DOMAIN` into `urls`, and into `srv_hosts` the servers that DNS may name",
    ),
    (
        "dns_discovery_domain",
        "write `srv://DOMAIN` into `urls`, and into `srv_hosts` the servers that DNS may name",
    ),
    ("ldap_group_search_base", "groups are not searched; write the DN of the group into `eligible_group`"),
    (
        "ldap_account_expire_policy",
        "not checked by authkeys; keep pam_sss's account line, or put it into `filter`",
    ),
    (
        "ldap_user_authorized_*",
        "not checked by authkeys; keep pam_sss's account line, or put it into `filter`",
    ),
    ("ldap_pwd_policy", "passwords are not handled; keep pam_sss"),
    ("simple_*", "not checked by authkeys; keep pam_sss's account line, or select these people in `filter`"),
    ("ad_access_filter", "not checked by authkeys; keep pam_sss's account line, or put it into `filter`"),
    ("case_sensitive", "names are compared exactly, unless `[names] fold_case = true`"),
    ("ad_*", "name the domain's LDAP servers in `urls`"),
    ("ipa_*", "name the domain's LDAP servers in `urls`"),
    ("debug_level", "always the system's log; there is no setting"),
    ("description", "a remark"),
    ("override_*", OWN),
    ("full_name_format", OWN),
    ("re_expression", OWN),
    (
        "use_fully_qualified_names",
        "people have plain names; write the prefix or suffix of account names into `[names] strip`",
    ),
    ("min_id", OWN),
    ("max_id", OWN),
    ("krb5_*", OWN),
    ("dyndns_*", OWN),
    ("lookup_family_order", "addresses are tried in the resolver's order"),
    ("ldap_user_*", OWN),
    ("ldap_group_*", OWN),
    ("ldap_netgroup_*", OWN),
    ("ldap_service_*", OWN),
    ("ldap_sudo_*", OWN),
    ("ldap_sudorule_*", OWN),
    ("ldap_autofs_*", OWN),
    ("ldap_chpass_*", OWN),
    ("ldap_idmap_*", OWN),
    ("ldap_id_mapping", OWN),
    ("ldap_min_id", OWN),
    ("ldap_max_id", OWN),
];

/// Does `text` have a domain?
pub fn resembles(text: &str) -> bool {
    text.lines().any(|line| line.trim().to_ascii_lowercase().starts_with("[domain/"))
}

/// Understands `text`.
pub fn read(text: &str) -> Result<ImportedDirectory, Problem> {
    let mut draft = ImportedDirectory::default();
    let domain = choose(sections(text)?, &mut draft)?;
    let settings: Vec<_> = domain.settings.into_iter().filter(|setting| setting.text().is_some()).collect();
    let settings = last_wins(settings, &[], &mut draft);
    let domain = Domain(settings);
    domain.take_defaults(&mut draft)?;
    // The order of preference is not the order of the file.
    for name in ["ldap_uri", "ldap_backup_uri"] {
        domain.take_servers(&mut draft, name);
    }
    for setting in &domain.0 {
        take(&mut draft, setting)?;
    }
    domain.take_base(&mut draft)?;
    domain.take_password(&mut draft);
    domain.take_access(&mut draft)?;
    if draft.begins_without_tls() && !domain.get("ldap_id_use_start_tls").is_some_and(Setting::is_on) {
        draft.note(0, "sssd used TLS with ldap:// only for passwords; here ldap:// always means StartTLS, so the server needs a certificate");
    }
    draft.note(
        0,
        "sssd stays for accounts and PAM; in sshd_config, authkeys takes the place of sss_ssh_authorizedkeys, and \
         `ssh` may leave `services`",
    );
    Ok(draft)
}

fn take(draft: &mut ImportedDirectory, setting: &Setting) -> Result<(), Problem> {
    match setting.name.as_str() {
        "ldap_uri"
        | "ldap_backup_uri"
        | "ldap_search_base"
        | "ldap_user_search_base"
        | "ldap_schema"
        | "ldap_default_authtok"
        | "ldap_default_authtok_type"
        | "ldap_user_object_class"
        | "access_provider"
        | "ldap_access_filter"
        | "ldap_access_order"
        | "ldap_id_use_start_tls" => {}
        "ldap_default_bind_dn" => draft.bind_dn(setting),
        "ldap_tls_cacert" => draft.ca_file(setting),
        "ldap_user_name" => draft.attribute(Attribute::User, setting)?,
        "ldap_user_ssh_public_key" => draft.attribute(Attribute::Keys, setting)?,
        "ldap_user_email" => draft.attribute(Attribute::Mail, setting)?,
        "id_provider" if setting.value.eq_ignore_ascii_case("ldap") => {}
        "id_provider" => {
            draft.has_none(setting, "only LDAP is read; are `urls`, `base` and the attributes right?")
        }
        "ldap_tls_reqcert" if matches!(setting.value.as_str(), "demand" | "hard") => {}
        "ldap_tls_reqcert" => {
            draft.has_none(setting, "the server's certificate is always checked, by `ca_file`")
        }
        name => match advice(ADVICE, name) {
            Some(advice) => draft.has_none(setting, advice),
            None => draft.unknown(setting),
        },
    }
    Ok(())
}

/// The settings of the domain that was chosen.
struct Domain(Vec<Setting>);

impl Domain {
    fn get(&self, name: &str) -> Option<&Setting> {
        self.0.iter().find(|setting| setting.name == name)
    }

    fn says(&self, name: &str, word: &str) -> bool {
        self.get(name).is_some_and(|setting| setting.value.eq_ignore_ascii_case(word))
    }

    /// What sssd takes where the file is silent; it depends on the schema.
    fn take_defaults(&self, draft: &mut ImportedDirectory) -> Result<(), Problem> {
        let is_ad = self.says("ldap_schema", "ad") || self.says("id_provider", "ad");
        let is_ipa = self.says("ldap_schema", "ipa") || self.says("id_provider", "ipa");
        if is_ad {
            draft.default_attribute(Attribute::User, "sAMAccountName");
            draft.default_attribute(Attribute::Keys, "altSecurityIdentities");
        }
        if is_ipa {
            draft.default_attribute(Attribute::Keys, "ipaSshPubKey");
        }
        let usual = if is_ad { "user" } else { "posixAccount" };
        let class = self.get("ldap_user_object_class");
        let name = class.map_or(usual, |class| class.value.trim());
        draft.filter(
            class.map_or(0, |class| class.line),
            &format!("(objectClass={})", super::directory::filter_value(name)),
        )
    }

    fn take_servers(&self, draft: &mut ImportedDirectory, name: &str) {
        let Some(setting) = self.get(name) else { return };
        for url in setting.value.split(',').map(str::trim).filter(|url| !url.is_empty()) {
            if url == "_srv_" {
                draft.note(
                    setting.line,
                    "`_srv_`: write `srv://DOMAIN` into `urls`, and into `srv_hosts` the servers that DNS may name",
                );
            } else {
                draft.server(setting.line, url);
            }
        }
    }

    /// `base[?scope?[filter]]`, possibly several times.
    fn take_base(&self, draft: &mut ImportedDirectory) -> Result<(), Problem> {
        let (own, general) = (self.get("ldap_user_search_base"), self.get("ldap_search_base"));
        if let (Some(_), Some(general)) = (own, general) {
            draft.has_none(general, "not used: there is another base for people");
        }
        let Some(setting) = own.or(general) else { return Ok(()) };
        let mut parts = setting.value.split('?').map(str::trim);
        let (base, scope, filter) = (parts.next().unwrap_or(""), parts.next(), parts.next());
        if parts.next().is_some() {
            draft.has_none(setting, "several bases; write a DN above all of them into `base`");
            return Ok(());
        }
        if scope.is_some_and(|scope| !scope.is_empty() && !scope.to_ascii_lowercase().starts_with("sub")) {
            draft.has_none(setting, "searches always cover the whole subtree; narrow `base` or `filter`");
        }
        if let Some(filter) = filter.filter(|filter| !filter.is_empty()) {
            draft.filter(setting.line, filter)?;
        }
        draft.base(&Setting { value: base.to_string(), ..setting.clone() });
        Ok(())
    }

    fn take_password(&self, draft: &mut ImportedDirectory) {
        let Some(token) = self.get("ldap_default_authtok") else { return };
        draft.password(token);
        if let Some(kind) = self.get("ldap_default_authtok_type").filter(|kind| kind.value != "password") {
            draft.has_none(kind, "stored in another form; write the plain password into `bind-password`");
        }
    }

    /// A filter on who may log in becomes one on whose keys are copied.
    fn take_access(&self, draft: &mut ImportedDirectory) -> Result<(), Problem> {
        let by_ldap = self.says("access_provider", "ldap");
        if let Some(provider) = self.get("access_provider").filter(|_| !by_ldap) {
            draft.has_none(
                provider,
                "not checked by authkeys; keep pam_sss's account line, or put it into `filter`",
            );
        }
        let order = self.get("ldap_access_order");
        let by_filter = order.is_none_or(|order| order.value.split(',').any(|word| word.trim() == "filter"));
        if let Some(order) = order {
            draft
                .has_none(order, "not checked by authkeys, except for a filter; keep pam_sss's account line");
        }
        match self.get("ldap_access_filter") {
            Some(filter) if by_ldap && by_filter => {
                draft.filter(filter.line, &filter.value)?;
                draft.note(
                    filter.line,
                    "`ldap_access_filter` became part of `filter`: people who do not match get no keys from authkeys; \
                     keep pam_sss's account line for other ways in",
                );
            }
            Some(filter) => draft.has_none(filter, "had no effect and was left out; see access_provider"),
            None if by_ldap && by_filter => draft.note(
                0,
                "access_provider is ldap without ldap_access_filter: sssd lets nobody in; keep pam_sss's account line",
            ),
            None => {}
        }
        Ok(())
    }
}

struct Section {
    name: String,
    line: usize,
    settings: Vec<Setting>,
}

/// The one LDAP domain, with a remark on every other section.
fn choose(sections: Vec<Section>, draft: &mut ImportedDirectory) -> Result<Section, Problem> {
    let enabled = |section: &Section| !section.settings.iter().any(|s| s.name == "enabled" && !s.is_on());
    let (mut domains, others): (Vec<_>, Vec<_>) =
        sections.into_iter().partition(|section| section.name.starts_with("domain/") && enabled(section));
    if domains.len() > 1 {
        let lines: Vec<_> = domains.iter().map(|domain| domain.line.to_string()).collect();
        let text =
            format!("several domains, in lines {}; import a copy that has one of them", lines.join(", "));
        return Err(Problem::new(domains.first().map_or(0, |domain| domain.line), text));
    }
    let Some(domain) = domains.pop() else {
        return Err(Problem::new(0, "no [domain/NAME] that is enabled; is it an sssd.conf?"));
    };
    draft.note(domain.line, format!("[{}] is what was read", shown(&domain.name)));
    for section in others {
        draft.note(section.line, format!("[{}] is only for sssd", shown(&section.name)));
    }
    Ok(domain)
}

fn sections(text: &str) -> Result<Vec<Section>, Problem> {
    let mut sections: Vec<Section> = Vec::new();
    let mut current = 0;
    let mut count = 0;
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        count += 1;
        few_enough(count, line)?;
        if let Some(rest) = content.strip_prefix('[') {
            let name = rest
                .strip_suffix(']')
                .ok_or_else(|| Problem::new(line, "a section without `]`; close it"))?;
            current = open(&mut sections, name.trim(), line);
            continue;
        }
        let (name, value) = content.split_once('=').ok_or_else(|| {
            Problem::new(line, "neither a section nor `name = value`; fix it or make it a comment")
        })?;
        let section = sections
            .get_mut(current)
            .ok_or_else(|| Problem::new(line, "a setting before the first section; is it an sssd.conf?"))?;
        let name = name.trim().to_ascii_lowercase();
        section.settings.push(Setting { name, value: value.trim().to_string(), line });
    }
    Ok(sections)
}

/// The index of the section with that name; a new one if there is none yet.
fn open(sections: &mut Vec<Section>, name: &str, line: usize) -> usize {
    let lower = name.to_ascii_lowercase();
    let known = sections.iter().position(|section| section.name == lower);
    known.unwrap_or_else(|| {
        sections.push(Section { name: lower, line, settings: Vec::new() });
        sections.len() - 1
    })
}
