//! The servers that DNS names for a domain, in the order of RFC 2782.
//!
//! DNS leads to servers and vouches for none: a name that it gives counts only if the configuration allows it
//! (`srv_hosts`), and TLS asks the certificate for that name.

use host::config::{HostGlob, Ldap, LdapHost, LdapServer, LdapUrl};

use super::connect::Deadline;
use super::dns::{self, Record};
use super::fault::one_line;
use super::{Fault, Step};

/// The most servers that are asked for one domain.
const MOST_SERVERS: usize = 8;

/// The servers at `url`, in the order in which they are asked; at least one.
pub fn servers(ldap: &Ldap, url: &LdapUrl, deadline: Deadline) -> Result<Vec<LdapServer>, Fault> {
    let domain = match url {
        LdapUrl::Server(server) => return Ok(vec![server.clone()]),
        LdapUrl::Domain(domain) => domain,
    };
    // The other half is for the servers.
    let deadline = deadline.share(2);
    for (service, tls_first) in [("_ldaps._tcp", true), ("_ldap._tcp", false)] {
        let records = dns::servers_of(&format!("{service}.{domain}"), deadline)?;
        if !records.is_empty() {
            let allowed = allowed(records, &ldap.srv_hosts)?;
            let host = |Record { target, port, .. }| LdapHost { tls_first, host: target, port };
            let in_order = in_order(allowed, random).into_iter().take(MOST_SERVERS);
            return Ok(in_order.map(host).map(LdapServer::Host).collect());
        }
        deadline.left(Step::Discover)?;
    }
    Err(Fault::NoRecords)
}

/// Those of `records` that lead to where they may; at least one.
fn allowed(records: Vec<Record>, hosts: &[HostGlob]) -> Result<Vec<Record>, Fault> {
    // A dot alone says that the domain has no such service.
    let offered = records.into_iter().filter(|record| !record.target.is_empty() && record.port != 0);
    let (allowed, strangers): (Vec<_>, Vec<_>) =
        offered.partition(|record| hosts.iter().any(|glob| glob.covers(&record.target)));
    match (allowed.is_empty(), strangers.first()) {
        (false, _) => Ok(allowed),
        (true, Some(stranger)) => Err(Fault::Stranger(one_line(&stranger.target))),
        (true, None) => Err(Fault::NoRecords),
    }
}

/// By priority; of one priority by chance, those of more weight sooner. `random` tells a number below its argument.
fn in_order(mut records: Vec<Record>, mut random: impl FnMut(u32) -> u32) -> Vec<Record> {
    // Those without weight first, as RFC 2782 wants it: so they have their small chance too.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let peers = records.iter().take_while(|record| record.priority == priority);
        let weights: Vec<u32> = peers.map(|record| u32::from(record.weight)).collect();
        let drawn = random(weights.iter().sum::<u32>() + 1);
        let mut sum = 0;
        let reaches = |weight: &u32| {
            sum += weight;
            sum >= drawn
        };
        ordered.push(records.remove(weights.iter().position(reaches).unwrap_or(0)));
    }
    ordered
}

/// A random number below `limit`; not evenly distributed to the last digit, which is no secret.
fn random(limit: u32) -> u32 {
    // Without random numbers the order is the one that DNS gave.
    u32::from_le_bytes(tls::random().unwrap_or_default()) % limit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> Record {
        Record { priority, weight, port: 636, target: target.to_string() }
    }

    fn names(records: &[Record]) -> Vec<&str> {
        records.iter().map(|record| record.target.as_str()).collect()
    }

    #[test]
    fn priority_comes_first_and_weight_decides_among_equals() {
        let records = || {
            vec![record(2, 100, "last"), record(1, 1, "light"), record(1, 3, "heavy"), record(1, 0, "none")]
        };
        assert_eq!(names(&in_order(records(), |_| 0)), ["none", "light", "heavy", "last"]);
        assert_eq!(names(&in_order(records(), |limit| limit - 1)), ["heavy", "light", "none", "last"]);
        let mut heavy = 0;
        for drawn in 0..5 {
            let ordered = in_order(records(), |limit| if limit == 5 { drawn } else { 0 });
            heavy += u32::from(names(&ordered).first() == Some(&"heavy"));
        }
        assert_eq!(heavy, 3, "in three of the five draws, as its weight says");
        assert!(in_order(Vec::new(), |_| 0).is_empty());
    }

    #[test]
    fn weights_add_up_without_overflow() {
        let records: Vec<_> = (0..1_000).map(|_| record(1, u16::MAX, "x")).collect();
        assert_eq!(in_order(records, random).len(), 1_000);
    }

    #[test]
    fn names_that_nobody_allowed_are_passed_over() {
        let hosts = [HostGlob::parse("ldap*.example.com").unwrap()];
        let both = vec![record(1, 0, "ldap.evil.org"), record(2, 0, "ldap2.example.com")];
        assert_eq!(names(&allowed(both, &hosts).unwrap()), ["ldap2.example.com"]);
        let evil = vec![record(1, 0, "web1.example.com")];
        assert!(matches!(allowed(evil, &hosts), Err(Fault::Stranger(name)) if name == "web1.example.com"));
        assert!(matches!(allowed(vec![record(0, 0, "")], &hosts), Err(Fault::NoRecords)));
    }
}
