//! The configuration as it holds, every default filled in, for `oncall-cache config show`.
//!
//! It is a configuration again, and the same one. Each part of the model is taken apart by its fields' names, so
//! that a new setting which is not written here does not compile. Secrets are the names of their files.

use std::path::Path;

use key::{PublicKey, fingerprint};
use policy::{
    AgeLimit, Ages, Automation, Digest, End, GrantRule, GroupPeople, GroupRule, Host, IncidentRule, Mode,
    Names, Rule, Rules, Shared, Span, Who,
};
use toml::{Table, Value};

use super::{
    Access, Attributes, Calendar, CalendarPlace, Chained, Config, Directory, Exec, Fleet, Grants, Guards,
    KeyAccounts, KeyRule, Keys, KeysSource, Ldap, LdapGroup, Mark, OAuth, OnCall, PagerDuty, Paths, Piece,
    Provider, Rego, Service, Source, kinds::Form,
};

/// A table of what has a value.
fn table<'k>(entries: impl IntoIterator<Item = (&'k str, Option<Value>)>) -> Option<Value> {
    let set = entries.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?)));
    Some(Value::Table(set.collect::<Table>()))
}

fn list<T>(items: impl IntoIterator<Item = T>, show: impl Fn(T) -> Option<Value>) -> Option<Value> {
    Some(Value::Array(items.into_iter().filter_map(show).collect()))
}

fn text(text: impl ToString) -> Option<Value> {
    Some(Value::String(text.to_string()))
}

fn file(path: &Path) -> Option<Value> {
    text(path.display())
}

fn number<N: TryInto<i64>>(number: N) -> Option<Value> {
    number.try_into().ok().map(Value::Integer)
}

fn flag(flag: bool) -> Option<Value> {
    Some(Value::Boolean(flag))
}

fn share(percent: u8) -> Option<Value> {
    text(format_args!("{percent}%"))
}

/// A whole number of the largest unit that leaves no rest.
fn span(span: Span) -> Option<Value> {
    let seconds = span.as_seconds();
    let (length, unit) = [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
        .into_iter()
        .find(|(length, _)| seconds % length == 0)
        .unwrap_or((1, 's'));
    text(format_args!("{}{unit}", seconds / length))
}

fn show_names(names: &Names) -> Option<Value> {
    let Names { strip, fold_case } = names;
    table([("strip", list(strip, |affix| text(affix.as_str()))), ("fold_case", flag(*fold_case))])
}

impl Config {
    /// Every setting with its value, as config.toml writes them.
    pub fn effective(&self) -> Value {
        let Self { path: _, text: _, fleet, directory, max_removed, keys, oncall, .. } = self;
        let Self { rules, grants, end, rego, groups, paths, .. } = self;
        let Paths { keys: copy, roster, lookups, revoked: _, audit, grants: _, broken: _ } = paths;
        let Host { name, labels } = &rules.host;
        let show_paths = table([
            ("keys", file(copy)),
            ("roster", file(roster)),
            ("lookups", file(lookups)),
            ("audit", file(audit)),
        ]);
        let sections = table([
            ("host", table([("name", text(name)), ("labels", list(labels, text))])),
            ("fleet", fleet.as_deref().and_then(show_fleet)),
            ("grant", grants.as_ref().and_then(show_grants)),
            ("directory", directory.as_ref().and_then(|directory| show_directory(directory, *max_removed))),
            ("keys", show_keys(keys, matches!(directory, Some(Directory::Fleet(_))))),
            ("oncall", show_oncall(oncall)),
            ("policy", show_policy(rules, end, rego)),
            ("names", show_names(&rules.names)),
            ("nss", table([("group", list(groups, show_group))])),
            ("paths", show_paths),
        ]);
        sections.unwrap_or(Value::Table(Table::new()))
    }
}

fn show_fleet(fleet: &Fleet) -> Option<Value> {
    let Fleet {
        id,
        urls,
        signers,
        signatures,
        freshness,
        epoch,
        ca_file,
        header_file,
        revoked_age,
        // The proxy is [oncall]'s; the rest is beside the roster.
        proxy: _,
        mirror: _,
        mark: _,
        revoked: _,
    } = fleet;
    table([
        ("id", text(id)),
        ("urls", list(urls, text)),
        ("signers", file(signers)),
        ("signatures", number(*signatures)),
        ("freshness", span(*freshness)),
        ("epoch", number(*epoch)),
        ("ca_file", file(ca_file)),
        ("header_file", header_file.as_deref().and_then(file)),
        ("revoked_age", revoked_age.and_then(span)),
    ])
}

fn show_grants(grants: &Grants) -> Option<Value> {
    // The files are beside the configuration, and the fleet's name is in its own section.
    let Grants { site, is_of_fleet, copy_age, signers: _, revoked: _ } = grants;
    table([("id", if *is_of_fleet { None } else { text(site) }), ("copy_age", span(*copy_age))])
}

fn show_grant(rule: &GrantRule) -> Option<Value> {
    let GrantRule { name, hosts, accounts, approvers, quorum, people, always, max } = rule;
    let is_broken = rule.is_break_glass();
    table([
        ("name", text(name)),
        ("hosts", list(hosts, text)),
        ("accounts", list(accounts, |account| text(account.as_str()))),
        ("approvers", list(approvers, |person| text(person.as_str()))),
        ("quorum", number(quorum.approvers())),
        ("people", list(people, |person| text(person.as_str())).filter(|_| is_broken)),
        ("always", flag(*always).filter(|_| is_broken)),
        ("max", span(*max)),
    ])
}

fn show_directory(directory: &Directory, max_removed: u8) -> Option<Value> {
    let ldap = match directory {
        Directory::File(path) => return table([("file", file(path)), ("max_removed", share(max_removed))]),
        Directory::Fleet(_) => return table([("fleet", flag(true))]),
        Directory::Ldap(ldap) => ldap.as_ref(),
    };
    let Ldap {
        urls,
        srv_hosts,
        base,
        bind,
        bind_dn,
        bind_password_file,
        client,
        ca_file,
        filter,
        eligible_group,
        membership,
        nested_groups,
        referrals,
        attributes,
        disabled,
        disabling_locks,
        timeout,
        full_refresh,
        fold_case: _,
    } = ldap;
    let Attributes { user, keys, mail } = attributes;
    let mark = |Mark { attribute, values }: &Mark| (attribute.clone(), list(values, text));
    let marks: Vec<(String, Option<Value>)> = disabled.iter().map(mark).collect();
    table([
        ("urls", list(urls, text)),
        // May only be written where a URL asks DNS.
        ("srv_hosts", (!srv_hosts.is_empty()).then(|| list(srv_hosts, text)).flatten()),
        ("base", text(base)),
        ("bind", text(bind)),
        ("bind_dn", bind_dn.as_ref().and_then(text)),
        ("bind_password_file", bind_password_file.as_deref().and_then(file)),
        ("client_cert_file", client.as_ref().and_then(|client| file(&client.certificate))),
        ("client_key_file", client.as_ref().and_then(|client| file(&client.key))),
        ("ca_file", file(ca_file)),
        ("filter", text(filter)),
        ("eligible_group", eligible_group.as_ref().and_then(text)),
        ("eligible_group_by", text(membership)),
        ("nested_groups", Some(Value::Boolean(*nested_groups))),
        ("referrals", text(referrals)),
        ("attributes", table([("user", text(user)), ("keys", text(keys)), ("mail", text(mail))])),
        ("disabling_locks", text(disabling_locks)),
        ("disabled", table(marks.iter().map(|(name, values)| (name.as_str(), values.clone())))),
        ("timeout", span(*timeout)),
        ("full_refresh", span(*full_refresh)),
        ("max_removed", share(max_removed)),
    ])
}

fn show_keys(keys: &Keys, of_fleet: bool) -> Option<Value> {
    let Keys { source, cache_ttl, max_age, timeout, rules, chain } = keys;
    let source = match source {
        KeysSource::Copy => "copy",
        KeysSource::Live => "live",
    };
    table([
        ("source", text(source)),
        // A directory of the fleet is never asked at a login.
        ("cache_ttl", if of_fleet { None } else { span(*cache_ttl) }),
        ("max_age", span(*max_age)),
        ("timeout", span(*timeout)),
        ("rule", list(rules, show_key_rule)),
        ("chain", list(chain, show_chained)),
    ])
}

fn show_key_rule(rule: &KeyRule) -> Option<Value> {
    let KeyRule {
        number: _,
        accounts,
        restrict,
        allow,
        from,
        expiry,
        verify_required,
        sk_only,
        types,
        min_rsa_bits,
    } = rule;
    let KeyAccounts { all, shared, names } = accounts;
    let names = names.iter().map(|name| name.as_str()).chain(all.then_some("*"));
    table([
        ("accounts", list(names, text)),
        ("shared", flag(*shared)),
        ("restrict", flag(*restrict)),
        // These two may only be written where they say something.
        ("allow", restrict.then(|| list(allow, |word| text(word.word()))).flatten()),
        ("from", (!from.is_empty()).then(|| list(from, |pattern| text(pattern.as_str()))).flatten()),
        ("expiry", expiry.and_then(span)),
        ("verify_required", flag(*verify_required)),
        ("sk_only", flag(*sk_only)),
        ("types", types.as_ref().and_then(|types| list(types, text))),
        ("min_rsa_bits", min_rsa_bits.and_then(number)),
    ])
}

fn show_chained(chained: &Chained) -> Option<Value> {
    let Chained { name, program, arguments, accounts, timeout } = chained;
    let written = |pieces: &Vec<Piece>| pieces.iter().map(show_piece).collect::<String>();
    let command = std::iter::once(program.display().to_string()).chain(arguments.iter().map(written));
    table([
        ("name", text(name)),
        ("command", list(command, text)),
        ("accounts", list(accounts, text)),
        ("timeout", span(*timeout)),
    ])
}

fn show_piece(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) => text.replace('%', "%%"),
        Piece::Account => "%u".to_string(),
        Piece::KeyType => "%t".to_string(),
        Piece::KeyBase64 => "%k".to_string(),
        Piece::Fingerprint => "%f".to_string(),
    }
}

fn show_oncall(oncall: &OnCall) -> Option<Value> {
    let OnCall { lookahead, ages: Ages { all, sources: _ }, late_claims: _, proxy, sources } = oncall;
    let AgeLimit { warn_age, max_age } = *all;
    table([
        ("warn_age", span(warn_age)),
        ("max_age", span(max_age)),
        ("lookahead", span(*lookahead)),
        ("proxy", proxy.as_ref().and_then(text)),
        ("source", list(sources, |source| show_source(source, oncall))),
    ])
}

fn show_source(source: &Source, oncall: &OnCall) -> Option<Value> {
    let Source {
        name,
        provider,
        schedules,
        max_escalation_level,
        people,
        guards,
        guards_of,
        incident_services,
        unverified,
    } = source;
    let ages = oncall.ages.sources.get(name);
    let all = ages.map_or(oncall.ages.all, |ages| ages.all);
    let of = |id: &str| ages.and_then(|ages| ages.schedules.get(id)).copied().unwrap_or(all);
    let of_fleet = matches!(provider, Provider::Fleet(_));
    let own = guards_of.iter();
    let own = own.map(|(id, guards)| (id.as_str(), table(show_limits(guards, of(id), of_fleet))));
    let mut entries = vec![
        ("name", text(name)),
        ("schedules", list(schedules, text)),
        ("max_escalation_level", number(*max_escalation_level)),
        ("late", text(if oncall.late_claims.contains(name) { "claim" } else { "flag" })),
        ("people", table(people.iter().map(|(user, person)| (user.as_str(), text(person.as_str()))))),
        ("schedule", table(own)),
    ];
    let asked = list(incident_services, text).filter(|_| !incident_services.is_empty());
    entries.push(("incident_services", asked));
    entries.extend(unverified.then(|| ("unverified", flag(true))));
    entries.extend(show_limits(guards, all, of_fleet));
    entries.extend(show_provider(provider));
    table(entries)
}

fn show_limits(guards: &Guards, ages: AgeLimit, of_fleet: bool) -> [(&'static str, Option<Value>); 5] {
    let Guards { allow_empty, max_oncall, max_change } = guards;
    let AgeLimit { warn_age, max_age } = ages;
    [
        // A fleet's collector judges these two.
        ("allow_empty", if of_fleet { None } else { flag(*allow_empty) }),
        ("max_oncall", number(*max_oncall)),
        ("max_change", if of_fleet { None } else { share(*max_change) }),
        ("warn_age", span(warn_age)),
        ("max_age", span(max_age)),
    ]
}

fn show_provider(provider: &Provider) -> Vec<(&'static str, Option<Value>)> {
    let mut entries = match provider {
        Provider::Rota(path) | Provider::File(path) => vec![("file", file(path))],
        Provider::Exec(Exec { command, timeout }) => {
            vec![("command", list(command, text)), ("timeout", span(*timeout))]
        }
        Provider::Fleet(_) => Vec::new(),
        Provider::Calendar(settings) => show_calendar(settings),
        Provider::Group(settings) => show_ldap_group(settings),
        Provider::PagerDuty(settings) => show_pagerduty(settings),
        Provider::Service(settings) => show_service(settings),
    };
    entries.push(("provider", text(provider.kind().word)));
    entries
}

fn show_calendar(settings: &Calendar) -> Vec<(&'static str, Option<Value>)> {
    // The proxy is [oncall]'s.
    let Calendar { place, zone, person, ca_file, timeout, proxy: _, kept_in: _ } = settings;
    vec![
        match place {
            CalendarPlace::Address(path) => ("url_file", file(path)),
            CalendarPlace::File(path) => ("file", file(path)),
        },
        ("time_zone", zone.as_ref().and_then(text)),
        ("person", text(person.written())),
        ("ca_file", file(ca_file)),
        ("timeout", span(*timeout)),
    ]
}

fn show_ldap_group(settings: &LdapGroup) -> Vec<(&'static str, Option<Value>)> {
    // All else is [directory]'s.
    let Ldap { urls, bind_dn, bind_password_file, ca_file, timeout, .. } = &settings.ldap;
    vec![
        ("group", text(settings.dn())),
        ("urls", list(urls, |url| text(url.to_string()))),
        ("bind_dn", bind_dn.as_ref().and_then(text)),
        ("bind_password_file", bind_password_file.as_ref().and_then(|path| file(path))),
        ("ca_file", file(ca_file)),
        ("timeout", span(*timeout)),
    ]
}

fn show_service(settings: &Service) -> Vec<(&'static str, Option<Value>)> {
    let Service { kind, api, texts, secrets, ca_file, timeout, proxy: _ } = settings;
    let is_text = |name| kind.setting(name).is_some_and(|setting| setting.form != Form::Texts);
    let written = |(name, texts): (&&'static str, &Vec<String>)| {
        (*name, if is_text(name) { texts.first().and_then(text) } else { list(texts, text) })
    };
    let mut entries = vec![("api", text(api)), ("ca_file", file(ca_file)), ("timeout", span(*timeout))];
    entries.extend(texts.iter().map(written));
    entries.extend(secrets.iter().map(|(name, path)| (*name, file(path))));
    entries
}

fn show_pagerduty(settings: &PagerDuty) -> Vec<(&'static str, Option<Value>)> {
    // The proxy is [oncall]'s, and the services are those of rules and of the source.
    let PagerDuty {
        api,
        access,
        escalation_policies,
        every,
        teams,
        ca_file,
        incident_services: _,
        timeout,
        proxy: _,
    } = settings;
    let mut entries = vec![
        ("schedules", if *every { list(["*"], text) } else { None }),
        ("api", text(api)),
        ("escalation_policies", list(escalation_policies, text)),
        ("teams", list(teams, text)),
        ("ca_file", file(ca_file)),
        ("timeout", span(*timeout)),
    ];
    match access {
        Access::Key(path) => entries.push(("token_file", file(path))),
        Access::OAuth(app) => {
            let OAuth { identity, client_id, client_secret_file, account, kept_in: _ } = app.as_ref();
            let account = account.strip_prefix("as_account-").unwrap_or(account);
            let (region, subdomain) = account.split_once('.').unwrap_or(("us", account));
            entries.push(("region", text(region)));
            entries.push((
                "oauth",
                table([
                    ("identity", text(identity)),
                    ("client_id", text(client_id)),
                    ("client_secret_file", file(client_secret_file)),
                    ("subdomain", text(subdomain)),
                ]),
            ));
        }
    }
    entries
}

fn show_end(end: &End) -> Option<Value> {
    let End { action, warn, grace } = end;
    table([("action", text(action.word())), ("warn", span(*warn)), ("grace", span(*grace))])
}

fn show_policy(rules: &Rules, end: &End, rego: &[Rego]) -> Option<Value> {
    let Rules {
        host: _,
        guarded_accounts,
        privileged_groups,
        pam_services,
        exempt_accounts,
        exempt_ttys,
        rules,
        shared,
        automation,
        certificate_authorities,
        grants,
        mode,
        help,
        ages: _,
        late_claims: _,
        names: _,
    } = rules;
    let mode = match mode {
        Mode::Enforce => "enforce",
        Mode::Observe => "observe",
    };
    table([
        ("mode", text(mode)),
        ("help", help.as_ref().and_then(text)),
        ("exempt_ttys", list(exempt_ttys, text)),
        ("guarded_accounts", list(guarded_accounts, |account| text(account.as_str()))),
        ("privileged_groups", list(privileged_groups, text)),
        ("pam_services", list(pam_services, text)),
        ("exempt_accounts", list(exempt_accounts, |account| text(account.as_str()))),
        ("certificate_authorities", list(certificate_authorities, |authority| text(&authority.key))),
        ("end", show_end(end)),
        ("rule", list(rules, show_rule)),
        ("shared_account", list(shared, show_shared)),
        ("automation", list(automation, show_automation)),
        ("grant", list(grants, show_grant)),
        ("rego", list(rego, show_rego)),
    ])
}

fn show_rego(rego: &Rego) -> Option<Value> {
    let Rego { file: path, query, hosts, on_error, sha256 } = rego;
    table([
        ("file", file(path)),
        ("query", text(query)),
        ("hosts", list(hosts, text)),
        ("on_error", text(on_error.word())),
        ("sha256", sha256.as_ref().and_then(text)),
    ])
}

fn show_rule(rule: &Rule) -> Option<Value> {
    let Rule { name, hosts, schedules, max_escalation_level, claim, incident } = rule;
    table([
        ("name", text(name)),
        ("hosts", list(hosts, text)),
        ("schedules", list(schedules, text)),
        ("max_escalation_level", number(*max_escalation_level)),
        ("claim", flag(*claim)),
        ("incident", incident.as_ref().and_then(show_incident)),
    ])
}

fn show_incident(incident: &IncidentRule) -> Option<Value> {
    let IncidentRule { source, services, linger, max_open, known_for, on_unknown } = incident;
    table([
        ("source", text(source)),
        ("services", list(services, text)),
        ("linger", span(*linger)),
        ("max_open", span(*max_open)),
        ("known_for", span(*known_for)),
        ("on_unknown", text(on_unknown.word())),
    ])
}

fn show_shared(shared: &Shared) -> Option<Value> {
    let Shared { account, people, explain_refusals } = shared;
    let people = match people {
        Who::Everyone => text("on-call"),
        Who::Only(people) => list(people, |person| text(person.as_str())),
    };
    table([
        ("account", text(account.as_str())),
        ("people", people),
        ("explain_refusals", flag(*explain_refusals)),
    ])
}

fn show_group(group: &GroupRule) -> Option<Value> {
    let GroupRule { name, gid, people } = group;
    let (rules, grants) = match people {
        GroupPeople::OnCall(rules) => (list(rules, text), None),
        GroupPeople::Granted => (None, flag(true)),
    };
    table([("name", text(name)), ("gid", number(gid.get())), ("rules", rules), ("grants", grants)])
}

fn show_automation(automation: &Automation) -> Option<Value> {
    let Automation { number: _, account, digests, keys, from, services, owner, reason, until } = automation;
    let given: Vec<Digest> = keys
        .iter()
        .filter_map(|line| PublicKey::parse(line.as_bytes()).ok())
        .map(|key| key.sha256())
        .collect();
    let named = digests.iter().filter(|digest| !given.contains(digest));
    table([
        ("account", text(account.as_str())),
        ("fingerprints", list(named, |digest| text(fingerprint(*digest)))),
        ("keys", list(keys, text)),
        // An entry without a key has none, and an empty list is one that lets nobody in.
        ("from", if from.is_empty() { None } else { list(from, |pattern| text(pattern.as_str())) }),
        ("services", list(services, text)),
        ("owner", text(owner)),
        ("reason", text(reason)),
        ("until", until.to_string().parse().ok().map(Value::Datetime)),
    ])
}

#[cfg(test)]
mod tests;
