//! slapd as one of several kinds of servers, which tests of all of them ask for.

use super::{HOME, ROOT_DN, ROOT_PASSWORD, Slapd};
use crate::Host;
use crate::directory::{self, Closing, Directory, Tree};
use crate::suite::Suite;

/// slapd as one of several kinds of servers.
pub struct Played<'a> {
    slapd: Slapd<'a>,
    tree: Tree,
}

impl<'a> Played<'a> {
    /// A slapd that tells changes by RFC 4533 and has nobody in it.
    pub fn start(host: &'a Host) -> Self {
        Self::with(Slapd::start_with_changes(host))
    }

    /// The same with Debian 13's.
    pub fn start_newer(host: &'a Host) -> Self {
        Self::with(Slapd::start_newer(host))
    }

    /// What the server says that it is.
    pub fn version(&self) -> String {
        self.slapd.version()
    }

    fn with(slapd: Slapd<'a>) -> Self {
        let tree = Tree::new(Slapd::SUFFIX, "ldapPublicKey", "sshPublicKey", Slapd::BIND_DN);
        slapd.delete(Slapd::GROUP_DN);
        slapd.modify(&tree.beginning());
        Self { slapd, tree }
    }
}

impl Directory for Played<'_> {
    fn hand_out(&self, suite: &Suite) {
        self.slapd.hand_out_files(suite);
    }

    fn section(&self) -> String {
        Slapd::section(&[Slapd::LDAPS_URL])
    }

    fn add(&self, name: &str, keys: &[&str]) {
        self.slapd.modify(&self.tree.add(name, keys));
    }

    fn set_keys(&self, name: &str, keys: &[&str]) {
        self.slapd.modify(&self.tree.set_keys(name, keys));
    }

    fn rename(&self, from: &str, to: &str) {
        self.slapd.modify(&self.tree.rename(from, to));
    }

    fn relocate(&self, name: &str) {
        self.slapd.modify(&self.tree.relocate(name));
    }

    fn groups_follow(&self) -> bool {
        false
    }

    fn close(&self, name: &str, how: Closing) -> bool {
        let locked = |since: &str| {
            let change = format!("add: pwdAccountLockedTime\npwdAccountLockedTime: {since}");
            self.slapd.modify_with(&["-e", "!relax"], &self.tree.modify(name, &change));
        };
        match how {
            Closing::Disabled => locked("000001010000Z"),
            Closing::Locked => locked("20260101000000Z"),
            Closing::Expired => self.slapd.modify(&self.tree.modify(
                name,
                "add: objectClass\nobjectClass: shadowAccount\n-\nadd: shadowExpire\nshadowExpire: 20000",
            )),
        }
        how != Closing::Locked
    }

    fn delete(&self, name: &str) {
        self.slapd.modify(&self.tree.delete(name));
    }

    fn add_group(&self, group: &str, members: &[directory::Member<'_>]) {
        self.slapd.modify(&self.tree.add_group(group, members));
    }

    fn give(&self, group: &str, member: directory::Member<'_>) {
        self.slapd.modify(&self.tree.change_group(group, "add", member));
    }

    fn take(&self, group: &str, member: directory::Member<'_>) {
        self.slapd.modify(&self.tree.change_group(group, "delete", member));
    }

    fn delete_group(&self, group: &str) {
        self.slapd.modify(&self.tree.delete_group(group));
    }

    fn leave_filter(&self, name: &str) {
        self.slapd.modify(&self.tree.leave_filter(name));
    }

    fn restart(&self) {
        self.slapd.stop();
        self.slapd.resume();
    }

    fn back_up(&self) {
        self.slapd.stop();
        self.slapd.back_up();
        self.slapd.resume();
    }

    fn restore(&self) {
        self.slapd.stop();
        self.slapd.restore();
        self.slapd.resume();
    }

    fn limit(&self, entries: u32) {
        let (dn, limits) = ("olcDatabase={1}mdb,cn=config", Slapd::BIND_DN);
        let ldif = format!(
            "dn: {dn}\nchangetype: modify\nadd: olcLimits\nolcLimits: dn.exact=\"{limits}\" size.soft={entries} size.hard={entries} size.prtotal=unlimited\n"
        );
        self.slapd.run("ldapmodify", "cn=config", &ldif);
    }

    fn exchange(&self) {
        let all = format!(
            "ldapsearch -x -LLL -o ldif-wrap=no -H {} -D {ROOT_DN} -w '{ROOT_PASSWORD}' -b {} '*' pwdAccountLockedTime",
            Slapd::LDAPS_URL,
            Slapd::SUFFIX
        );
        let host = self.slapd.host;
        host.must(&format!("LDAPTLS_CACERT={HOME}/ca.pem {all} >{HOME}/all.ldif"));
        self.slapd.stop();
        host.must(&format!("rm {HOME}/db/*"));
        self.slapd.resume();
        host.must(&format!(
            "LDAPTLS_CACERT={HOME}/ca.pem ldapadd -x -e '!relax' -H {} -D {ROOT_DN} -w '{ROOT_PASSWORD}' -f {HOME}/all.ldif",
            Slapd::LDAPS_URL
        ));
    }
}
