//! What heads prove of the time: a boot's clock that ran fast ends no logins until a restart, a clock that was set back
//! shows, and one that is behind takes nothing away.

use super::*;
use harness::suite::{HOUR, instant, now};

const ROSTER: &str = "/var/lib/oncall-cache/roster.clock";
const GROUP: &str = "/var/lib/oncall-cache/group.clock";

/// A host with a group of those on call, which has pulled.
fn site() -> (Site, Publication) {
    let site = Site::start();
    let group = "[[nss.group]]\nname = 'oncall'\ngid = 9100\nrules = ['everywhere']\n";
    let config = site.suite.host.read("/etc/authkeys/config.toml");
    site.suite.host.write("/etc/authkeys/config.toml", config + group, 0o644);
    site.suite.host.must("sh /run/suite/source/packaging/nss/enable.sh");
    let first = Publication::new();
    site.publish(&first);
    site.pull();
    (site, first)
}

/// Sets what is proven so many seconds ahead, as a boot's clock leaves it that counts too fast.
fn run_fast(site: &Site, seconds: i64) {
    for path in [ROSTER, GROUP] {
        let text = site.suite.host.read(path);
        let words: Vec<&str> = text.trim().split(' ').collect();
        let [form, version, _, uptime, copy] = words.as_slice() else { panic!("{path}: {text}") };
        let ahead = instant(now() + seconds);
        site.suite.host.must(&format!("echo '{form} {version} {ahead} {uptime} {copy}' >{path}"));
    }
}

/// Whether alice is in the group.
fn is_member(site: &Site) -> bool {
    text(&site.suite.run_as("nobody", "getent group oncall")).contains("alice")
}

#[test]
fn a_boots_clock_that_ran_fast_is_put_right_by_a_later_head() {
    for (is_heartbeat, what) in [(false, "a rota that changed"), (true, "the same, read again")] {
        let (site, first) = site();
        let later = |seconds| if is_heartbeat { first.heartbeat(seconds) } else { first.later(seconds) };
        assert_eq!((site.may("alice", 0), is_member(&site)), (Some(true), true));
        run_fast(&site, HOUR);
        assert_eq!((site.may("alice", 0), is_member(&site)), (None, false), "{what}");
        // What was taken over before says nothing new of the time.
        for command in ["oncall-cache pull --now", "oncall-cache sync"] {
            site.suite.must_as("oncall-cache", command);
            assert_eq!((site.may("alice", 0), is_member(&site)), (None, false), "{what}: {command}");
        }
        site.publish(&later(1));
        site.pull();
        assert_eq!((site.may("alice", 0), is_member(&site)), (Some(true), true), "{what}");
        // From then on it is as proven as before: a clock that is set back shows.
        assert_eq!(site.may("alice", -600), None, "{what}");
    }
}

#[test]
fn a_clock_that_is_behind_takes_nothing_from_what_is_known() {
    let site = Site::start();
    let rota = "[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'rota.toml'\n\
                [[policy.rule]]\nname = 'of this host'\nschedules = ['rota/primary']\n";
    let config = site.suite.host.read("/etc/authkeys/config.toml");
    site.suite.host.write("/etc/authkeys/config.toml", config + rota, 0o644);
    site.suite.write_rota(&[("bob", -HOUR, HOUR)]);
    site.publish(&Publication::new());
    site.pull();
    assert_eq!([site.may("alice", 0), site.may("bob", 0)], [Some(true), Some(true)]);
    // People and rota of this host are read anew; of the fleet nothing can be, by that clock.
    let people = site.suite.run_ahead("authkeys-sync", -600, "authkeys-sync");
    assert!(people.status.success(), "{}", text(&people));
    let sync = site.suite.run_ahead("oncall-cache", -600, "oncall-cache sync");
    assert_eq!(sync.status.code(), Some(1), "{}", text(&sync));
    assert!(text(&sync).contains("head-future"), "{}", text(&sync));
    assert_eq!([site.may("alice", -600), site.may("bob", -600)], [None, None], "it is proven wrong");
    // It is right again, and nothing has to be asked.
    assert_eq!([site.may("alice", 0), site.may("bob", 0)], [Some(true), Some(true)]);
}
