//! Two slapd in mirror mode, of which the sync asks the first that answers. One that lags behind the other and has nothing
//! of its own to tell takes nothing away; where it has, the copy is what it holds. Once they agree, so does the copy.

use harness::mirror::{Mirror, Side};
use harness::slapd::{Slapd, base64};
use harness::suite::Suite;

/// A copy that is kept up to date, and one that is read whole each time.
const COPIES: [&str; 2] = ["kept", "full"];

struct Site<'a> {
    suite: &'a Suite,
    mirror: Mirror<'a>,
}

impl Site<'_> {
    fn prepare(&self) {
        for copy in COPIES {
            self.suite.host.must(&format!("install -d -o authkeys-sync -g authkeys -m 755 /run/{copy}"));
            let directory = Slapd::section(&[Slapd::LDAPS_URL, Mirror::LDAPS_URL]);
            let config = format!(
                "[host]\nname = 'testhost'\n[paths]\nkeys = '/run/{copy}/keys.db'\n{directory}timeout = '20s'\n"
            );
            self.suite.host.write(&format!("/etc/authkeys/{copy}.toml"), config, 0o644);
        }
    }

    fn sync(&self, copy: &str) -> String {
        let command = format!("authkeys-sync --config /etc/authkeys/{copy}.toml");
        self.suite.must_as("authkeys-sync", &command);
        let dump = format!("sqlite3 /run/{copy}/keys.db .dump | grep -v 'INTO meta' | sort");
        self.suite.host.must(&dump)
    }

    /// Sees that the copy has these people and no others, and is what a full read of the same server is.
    fn check(&self, what: &str, people: &[&str]) {
        let kept = self.keeps(what, people);
        self.suite.host.must("rm -f /run/full/keys.*");
        assert_eq!(kept, self.sync("full"), "{what}: a full read comes to another copy");
    }

    /// Sees that the copy has these people and no others after a sync.
    fn keeps(&self, what: &str, people: &[&str]) -> String {
        let kept = self.sync("kept");
        let query = "SELECT principal FROM person ORDER BY principal";
        let copied = self.suite.host.must(&format!("sqlite3 /run/kept/keys.db '{query}'"));
        assert_eq!(copied.lines().collect::<Vec<_>>(), people, "{what}");
        kept
    }

    fn add(&self, side: Side, name: &str) {
        let key = base64(self.suite.public_key("alice").as_bytes());
        let classes = "objectClass: inetOrgPerson\nobjectClass: ldapPublicKey";
        self.mirror.modify(
            side,
            &format!("dn: uid={name},{}\nchangetype: add\n{classes}\nuid: {name}\ncn: {name}\nsn: {name}\nsshPublicKey:: {key}\n", Slapd::BASE),
        );
    }

    fn remove(&self, side: Side, name: &str) {
        self.mirror.modify(side, &format!("dn: uid={name},{}\nchangetype: delete\n", Slapd::BASE));
    }

    fn change(&self, side: Side, name: &str) {
        let change = format!("changetype: modify\nreplace: mail\nmail: {name}@{side:?}.example.com");
        self.mirror.modify(side, &format!("dn: uid={name},{}\n{change}\n", Slapd::BASE));
    }
}

use Side::{First, Second};

#[test]
fn a_server_that_lags_behind_the_other_takes_nobody_away_and_brings_nobody_back_for_longer_than_that() {
    let suite = Suite::start();
    let slapd = Slapd::start_with_changes(&suite.host);
    let mirror = Mirror::start(&suite.host, &slapd);
    slapd.furnish(&suite, |name| format!("{name}@example.com"));
    mirror.join();
    let site = Site { suite: &suite, mirror };
    site.prepare();
    site.check("at first", &["alice", "bob", "carol", "dave"]);

    // The second lags. slapd refuses a cookie that is ahead in changes of its own alone (measured: 2.5.13); it tells
    // nothing, and the copy stays as the first made it.
    site.mirror.part();
    site.remove(First, "dave");
    site.add(First, "erin");
    site.change(First, "bob");
    site.check("the first goes ahead", &["alice", "bob", "carol", "erin"]);
    site.mirror.stop(First);
    let kept = site.keeps("the second lags", &["alice", "bob", "carol", "erin"]);
    assert_eq!(site.keeps("the second lags still", &["alice", "bob", "carol", "erin"]), kept);
    site.mirror.resume(First);
    site.check("back at the first", &["alice", "bob", "carol", "erin"]);

    // It has come up: another server, and nothing happens to anybody.
    site.mirror.join();
    site.mirror.stop(First);
    site.check("the second is up to date", &["alice", "bob", "carol", "erin"]);

    // Changes are made at the second meanwhile, and reach the first after it was asked again.
    site.add(Second, "frank");
    site.remove(Second, "carol");
    site.check("the second alone", &["alice", "bob", "erin", "frank"]);
    site.mirror.resume(First);
    site.keeps("the first lags", &["alice", "bob", "erin", "frank"]);
    site.mirror.join();
    site.check("the first is up to date", &["alice", "bob", "erin", "frank"]);

    // Each has changes that the other has not: no cookie says which is further.
    site.mirror.part();
    site.add(First, "gina");
    site.add(Second, "hugo");
    site.remove(Second, "frank");
    site.change(First, "erin");
    site.check("parted, the first", &["alice", "bob", "erin", "frank", "gina"]);
    site.mirror.stop(First);
    site.check("parted, the second", &["alice", "bob", "erin", "hugo"]);
    site.change(Second, "alice");
    site.check("the second goes on", &["alice", "bob", "erin", "hugo"]);
    site.mirror.resume(First);
    site.change(First, "bob");
    site.check("parted, the first again", &["alice", "bob", "erin", "frank", "gina"]);
    site.mirror.join();
    site.check("together", &["alice", "bob", "erin", "gina", "hugo"]);
    site.mirror.stop(First);
    site.check("together, the second", &["alice", "bob", "erin", "gina", "hugo"]);
}
