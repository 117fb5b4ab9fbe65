//! `grant request`: the text that colleagues are asked to sign.

use std::path::Path;

use grant::{Grant, GrantError, GrantId, may_be_signed};
use host::{Config, accounts};
use key::PublicKey;
use policy::{Account, OneLine, Principal, Timestamp, Window};

use super::{Failure, printed, random, read_file};
use crate::cli::grant::RequestArguments;
use crate::said::{Live, Said};
use crate::when;

/// The largest file of a public key that is read, in bytes.
const LARGEST_KEY: u64 = 16 * 1024;

/// Prints the text.
pub fn run(
    config: &Path,
    arguments: &RequestArguments,
    live: Live<'_>,
    now: Timestamp,
) -> Result<Said, Failure> {
    let from = when::asked(arguments.from.as_deref(), now).map_err(Failure::Wrong)?;
    let window = Window::new(from, from.plus(arguments.length))
        .ok_or_else(|| Failure::Wrong("it ends before it begins".into()))?;
    let account = Account::new(&arguments.account).map_err(|error| {
        Failure::Wrong(format!("--account {}: {error}", OneLine::new(&arguments.account)))
    })?;
    let grant = Grant {
        id: GrantId::new(random()?),
        site: site(config, arguments.site.as_deref())?,
        hosts: arguments.hosts.clone(),
        account,
        person: person(arguments.person.as_deref())?,
        key: key(&arguments.key)?,
        window,
        issued: now,
        reason: arguments.reason.clone(),
    };
    let text = grant.write().map_err(|error| Failure::Wrong(wrong(&error)))?;
    may_be_signed(&grant, now).map_err(|refusal| Failure::Wrong(refusal.to_string()))?;
    (live.progress)(format_args!("post it as it is; a colleague signs it by oncall-cache grant sign"));
    Ok(printed(&text))
}

/// What cannot be in a text was typed, and is not in any yet.
fn wrong(error: &GrantError) -> String {
    let option = |name| match name {
        "hosts" => "host",
        "fleet" => "site",
        "not-before" => "from",
        "not-after" => "for",
        other => other,
    };
    match error {
        GrantError::Value(name, wanted) => format!("--{} is not {wanted}", option(*name)),
        error => error.to_string(),
    }
}

/// What was named, or what a grant for this host has in its place, if it is a host.
fn site(config: &Path, named: Option<&str>) -> Result<String, Failure> {
    if let Some(site) = named {
        return Ok(site.to_string());
    }
    let found = match Config::load(config) {
        Ok(loaded) => {
            let site = loaded.grants.map(|grants| grants.site);
            let fleet = loaded.fleet.as_ref().map(|fleet| fleet.id.clone());
            site.or(fleet).ok_or_else(|| format!("{} names none", config.display()))
        }
        Err(error) => Err(error.to_string()),
    };
    found.map_err(|why| Failure::Wrong(format!("name the fleet whose hosts these are, --site NAME; {why}")))
}

fn person(named: Option<&str>) -> Result<Principal, Failure> {
    let name = named.map_or_else(accounts::operator, ToString::to_string);
    let person = Principal::new(&name).ok().filter(|person| person.as_str() != "root");
    person.ok_or_else(|| {
        let name = OneLine::new(&name);
        Failure::Wrong(format!("{name} is not the name of a person; name who is to enter: --person NAME"))
    })
}

fn key(file: &Path) -> Result<Option<PublicKey>, Failure> {
    if file == Path::new("none") {
        return Ok(None);
    }
    let text = read_file(file, LARGEST_KEY)?;
    if text.starts_with(b"-----BEGIN") {
        let file = file.display();
        return Err(Failure::Wrong(format!(
            "{file} is a private key; name the public one: --key {file}.pub"
        )));
    }
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    let key = PublicKey::parse(text);
    key.map(Some).map_err(|problem| {
        let file = file.display();
        Failure::Wrong(format!("{file} is no public key ({problem}); name one, or --key none"))
    })
}
