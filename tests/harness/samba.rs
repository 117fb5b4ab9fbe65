//! An Active Directory on a private machine: Debian's Samba as a domain controller, this release's or Debian 13's, with a
//! tree of people and one reader.
//!
//! Its packages are unpacked and not installed, and the domain is provisioned once; both are kept below the target
//! directory, and made again when what they are made by changed. A machine gets a copy of each. Without TLS Samba takes
//! no password; its certificate is of an authority of the test's own. It ends with its machine.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::directory::{self, Closing, Directory, ELIGIBLE};
use crate::kept::kept;
use crate::slapd::{authority, base64, certificate};
use crate::suite::{Member, Suite, TEAM};
use crate::{Host, trixie, wait_until};

const UNPACK: &str = include_str!("samba.sh");

/// Makes a domain: the administrator's password does for people too, and wrong ones lock nobody out yet.
const PROVISION: &str = "hostname dc1 && rm -f /etc/samba/smb.conf && \
    START /usr/bin/samba-tool domain provision --use-rfc2307 --realm=EXAMPLE.COM --domain=EXAMPLE --server-role=dc \
    --dns-backend=NONE --adminpass='PASSWORD' --targetdir=/srv/ad --host-ip=127.0.0.1 --host-name=dc1 2>&1 && \
    rm -rf /srv/ad/private/tls";

/// What is put into the domain when it is provisioned.
const TREE: &str = "\
dn: OU=people,DC=example,DC=com
changetype: add
objectClass: organizationalUnit

dn: OU=left,OU=people,DC=example,DC=com
changetype: add
objectClass: organizationalUnit

dn: OU=groups,DC=example,DC=com
changetype: add
objectClass: organizationalUnit

dn: GROUP_DN
changetype: add
objectClass: group
sAMAccountName: root-eligible

dn: BIND_DN
changetype: add
objectClass: user
sAMAccountName: authkeys
userAccountControl: 66048
unicodePwd:: SECRET
";

/// Where everything of it is inside the machine.
const HOME: &str = "/srv/ad";
const ROOT_DN: &str = "CN=Administrator,CN=Users,DC=example,DC=com";
const PASSWORD: &str = "reader of the Directory, 1";

/// What Debian 13's is made of. The module for ACLs is recommended alone, and provisioning needs it.
const PACKAGES: [&str; 6] = [
    "samba",
    "samba-ad-dc",
    "samba-ad-provision",
    "samba-dsdb-modules",
    "samba-vfs-modules",
    "python3-samba",
];

/// A running domain controller.
pub struct Samba<'a> {
    host: &'a Host,
    ca_pem: String,
    /// What starts a program of its release.
    start: &'static [&'static str],
}

/// How a program of this machine is started, and one of Debian 13.
const OWN: &[&str] = &[];
const NEWER: &[&str] = &["/usr/sbin/chroot", trixie::ROOT];

impl<'a> Samba<'a> {
    /// TLS from the first byte.
    pub const URL: &'static str = "ldaps://dc1.example.com";
    /// The whole domain.
    pub const SUFFIX: &'static str = "DC=example,DC=com";
    /// Where people are.
    pub const BASE: &'static str = "OU=people,DC=example,DC=com";
    /// The one who may read: an ordinary user.
    pub const BIND_DN: &'static str = "CN=authkeys,CN=Users,DC=example,DC=com";
    /// The reader's password, and everybody's who has one.
    pub const BIND_PASSWORD: &'static str = PASSWORD;
    /// The group of those who may ever become root.
    pub const GROUP_DN: &'static str = "CN=root-eligible,OU=groups,DC=example,DC=com";

    /// Starts the domain controller on `host` with nobody in it but who is in every domain.
    pub fn start(host: &'a Host) -> Self {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let domain = kept("samba", (UNPACK, PROVISION, TREE, PASSWORD, release), |new| make(new, OWN));
        Self::start_kept(host, &domain, OWN)
    }

    /// The same with Debian 13's, Samba 4.22.
    pub fn start_newer(host: &'a Host) -> Self {
        let from = (trixie::UNPACK, PACKAGES, PROVISION, TREE, PASSWORD);
        let domain = kept("samba422", from, |new| make(new, NEWER));
        Self::start_kept(host, &domain, NEWER)
    }

    fn start_kept(host: &'a Host, domain: &Path, start: &'static [&'static str]) -> Self {
        unpack(domain, host, start);
        copy(&domain.join("ad"), host, HOME);
        let samba = Self::equip(host, start);
        samba.resume();
        samba
    }

    /// What it says that it is.
    pub fn version(&self) -> String {
        crate::text(&self.host.sh(&format!("{} /usr/sbin/samba -V", self.start.join(" "))))
    }

    /// A domain controller whose files are there, with a certificate.
    fn equip(host: &'a Host, start: &'static [&'static str]) -> Self {
        let authority = authority();
        let (certificate, key) = certificate(&authority, "dc1", &["dc1.example.com", "127.0.0.1"]);
        host.write(&format!("{HOME}/ca.pem"), authority.pem(), 0o644);
        host.write(&format!("{HOME}/server.pem"), certificate, 0o644);
        host.write(&format!("{HOME}/server.key"), key, 0o600);
        host.must("hostname dc1 && echo 127.0.0.1 dc1.example.com dc1 >>/etc/hosts");
        Self { host, ca_pem: authority.pem(), start }
    }

    /// Starts it again after [`Samba::stop`].
    pub fn resume(&self) {
        self.host.must(&directories(""));
        let config = format!("{HOME}/etc/smb.conf");
        let files = ["keyfile=server.key", "certfile=server.pem", "cafile=ca.pem"].map(|file| {
            let (name, file) = file.split_once('=').expect("a setting");
            format!("--option=tls {name}={HOME}/{file}")
        });
        let [key, certificate, authority] = &files;
        // It leads a process group.
        let setsid: &[&str] = &["/usr/bin/setsid"];
        let samba: &[&str] = &[
            "/usr/sbin/samba",
            "-F",
            "--no-process-group",
            "-s",
            &config,
            "--option=server services=ldap",
            // It would count the machine's processors, and start as many workers.
            "--option=prefork children=2",
            key,
            certificate,
            authority,
        ];
        self.host.daemon(&[setsid, self.start, samba].concat(), &format!("{HOME}/log"));
        wait_until("Samba answers", || {
            let mut asked = self.client("ldapsearch", ROOT_DN, &["-s", "base", "-b", "", "supportedControl"]);
            asked.output().is_ok_and(|output| output.status.success())
        });
    }

    /// Ends it, as an outage does: connections are refused when this returns.
    pub fn stop(&self) {
        // Its workers lead process groups of their own, in its session.
        self.host.must(
            "session=$(cat /run/samba/samba.pid) && kill $session && \
             while sed 's/.*) //' /proc/[0-9]*/stat 2>/dev/null | grep -q \"^[^Z] [0-9]* [0-9]* $session \"; \
             do sleep 0.02; done",
        );
    }

    /// Keeps what it holds now, for [`Samba::restore`]. It must be stopped.
    pub fn back_up(&self) {
        self.host.must(&format!("rm -rf {HOME}.backup && cp -a {HOME} {HOME}.backup"));
    }

    /// Puts the backup in place of what it holds. It must be stopped.
    pub fn restore(&self) {
        self.host.must(&format!("rm -rf {HOME} && cp -a {HOME}.backup {HOME}"));
    }

    /// The `[directory]` that names this server, for an ordinary domain; what follows may add settings to it.
    pub fn section() -> String {
        format!(
            "[directory]\nurls = [{:?}]\nbase = {:?}\nca_file = \"ldap-ca.pem\"\neligible_group = {:?}\nbind_dn = {:?}\n\
             bind_password_file = \"bind-password\"\nfilter = \"(&(objectClass=user)(!(objectClass=computer)))\"\n\
             attributes = {{ user = \"sAMAccountName\", keys = \"altSecurityIdentities\" }}\n",
            Self::URL,
            Self::BASE,
            Self::GROUP_DN,
            Self::BIND_DN,
        )
    }

    /// Puts the team into the directory, each with their key and `mail`; all but dave are eligible. The files
    /// that [`Samba::section`] names are there then.
    pub fn furnish(&self, suite: &Suite, mail: impl Fn(&str) -> String) {
        for Member { name, .. } in TEAM {
            self.add_person(name, &mail(name), &[&suite.public_key(name)]);
        }
        let eligible: Vec<&str> =
            TEAM.iter().filter(|member| member.eligible).map(|member| member.name).collect();
        self.set_eligible(&eligible);
        self.install_files();
    }

    /// Who may change everything, and their password.
    pub const WRITER: (&'static str, &'static str) = (ROOT_DN, PASSWORD);

    /// Writes the files that [`Samba::section`] names.
    pub fn install_files(&self) {
        self.host.write("/etc/authkeys/ldap-ca.pem", &self.ca_pem, 0o644);
        self.host.write("/etc/authkeys/bind-password", format!("{PASSWORD}\n"), 0o640);
        self.host.must("chgrp authkeys-sync /etc/authkeys/bind-password");
    }

    /// Where a person is.
    pub fn dn(name: &str) -> String {
        format!("CN={name},{}", Self::BASE)
    }

    /// Adds a person, who may bind with everybody's password; an empty `mail` is none.
    pub fn add_person(&self, name: &str, mail: &str, keys: &[&str]) {
        self.modify(&person(name, mail, keys));
    }

    /// Adds people in one go, without keys or passwords.
    pub fn add_people<'p>(&self, names: impl IntoIterator<Item = &'p str>) {
        let record = |name: &str| {
            format!(
                "dn: {}\nchangetype: add\nobjectClass: user\nsAMAccountName: {name}\nuserAccountControl: 544\n",
                Self::dn(name)
            )
        };
        self.modify(&names.into_iter().map(record).collect::<Vec<_>>().join("\n"));
    }

    /// Makes exactly `names` the members of the group of eligible people.
    pub fn set_eligible(&self, names: &[&str]) {
        let members: String = names.iter().map(|name| format!("member: {}\n", Self::dn(name))).collect();
        self.modify(&format!("dn: {}\nchangetype: modify\nreplace: member\n{members}", Self::GROUP_DN));
    }

    /// Replaces an attribute of a person's entry by `values`.
    pub fn set(&self, name: &str, attribute: &str, values: &[&str]) {
        let values: String =
            values.iter().map(|value| format!("{attribute}:: {}\n", base64(value.as_bytes()))).collect();
        self.modify(&format!("dn: {}\nchangetype: modify\nreplace: {attribute}\n{values}", Self::dn(name)));
    }

    /// Applies `ldif`, in which every record has its `changetype`, as the administrator.
    pub fn modify(&self, ldif: &str) {
        let file = "/srv/input";
        self.host.write(file, ldif, 0o600);
        let output = self.client("ldapmodify", ROOT_DN, &["-f", file]).output().expect("nsenter runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ldapmodify: {}\n{complaint}\n{ldif}", output.status);
    }

    /// Removes the entry `dn`.
    pub fn delete(&self, dn: &str) {
        self.modify(&format!("dn: {dn}\nchangetype: delete\n"));
    }

    /// The values that the administrator sees of an attribute.
    pub fn values(&self, dn: &str, attribute: &str) -> Vec<String> {
        let arguments = ["-LLL", "-o", "ldif-wrap=no", "-s", "base", "-b", dn, attribute];
        let output = self.client("ldapsearch", ROOT_DN, &arguments).output().expect("nsenter runs");
        let prefix = format!("{attribute}: ");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix).map(str::to_string))
            .collect()
    }

    /// Tries to bind as `name` with a wrong password.
    pub fn fail_to_bind(&self, name: &str) {
        let arguments = ["-x", "-H", Self::URL, "-D", &Self::dn(name), "-w", "wrong", "-s", "base", "-b", ""];
        let output = self.command("ldapsearch").args(arguments).output().expect("nsenter runs");
        assert_eq!(output.status.code(), Some(49), "{}", crate::text(&output));
    }

    fn client(&self, program: &str, dn: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(program);
        command.args(["-x", "-H", Self::URL, "-D", dn, "-w", PASSWORD]).args(arguments);
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.host.command(program);
        command.env("LDAPTLS_CACERT", format!("{HOME}/ca.pem"));
        command
    }
}

/// A domain controller as tests/directories.rs plays with it.
pub struct Played<'a> {
    samba: Samba<'a>,
    /// People by name.
    places: RefCell<BTreeMap<String, String>>,
    /// Who was where when it was backed up.
    kept: RefCell<BTreeMap<String, String>>,
}

/// What an entry has that makes a person, and is not made by the server.
const OF_PEOPLE: [&str; 5] =
    ["sAMAccountName", "altSecurityIdentities", "userAccountControl", "accountExpires", "employeeType"];

impl<'a> Played<'a> {
    /// Starts the domain controller on `host`.
    pub fn start(host: &'a Host) -> Self {
        Self::with(Samba::start(host))
    }

    /// The same with Debian 13's.
    pub fn start_newer(host: &'a Host) -> Self {
        Self::with(Samba::start_newer(host))
    }

    /// What the server says that it is.
    pub fn version(&self) -> String {
        self.samba.version()
    }

    fn with(samba: Samba<'a>) -> Self {
        samba.modify(&format!(
            "dn: {}\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: 2\n",
            Samba::SUFFIX
        ));
        Self { samba, places: RefCell::default(), kept: RefCell::default() }
    }

    fn dn(&self, name: &str) -> String {
        self.places.borrow().get(name).cloned().unwrap_or_else(|| panic!("{name} is not there"))
    }

    fn change(&self, name: &str, change: &str) {
        self.samba.modify(&format!("dn: {}\nchangetype: modify\n{change}\n", self.dn(name)));
    }

    fn go(&self, from: &str, to: &str, unit: &str) {
        let new = format!("CN={to},{unit}");
        self.samba.modify(&format!(
            "dn: {}\nchangetype: modrdn\nnewrdn: CN={to}\ndeleteoldrdn: 1\nnewsuperior: {unit}\n",
            self.dn(from)
        ));
        self.places.borrow_mut().remove(from);
        self.places.borrow_mut().insert(to.to_string(), new);
    }

    fn group_dn(group: &str) -> String {
        format!("CN={group},OU=groups,{}", Samba::SUFFIX)
    }

    fn member_dn(&self, member: directory::Member<'_>) -> String {
        match member {
            directory::Member::Person(name) => self.dn(name),
            directory::Member::Group(group) => Self::group_dn(group),
        }
    }

    fn change_group(&self, group: &str, change: &str, member: directory::Member<'_>) {
        let (group, member) = (Self::group_dn(group), self.member_dn(member));
        self.samba.modify(&format!("dn: {group}\nchangetype: modify\n{change}: member\nmember: {member}\n"));
    }
}

impl Directory for Played<'_> {
    fn hand_out(&self, _suite: &Suite) {
        self.samba.install_files();
    }

    fn section(&self) -> String {
        let left = "(!(objectClass=computer))(!(employeeType=gone))";
        Samba::section().replace("(!(objectClass=computer))", left)
    }

    fn add(&self, name: &str, keys: &[&str]) {
        self.samba.add_person(name, "", keys);
        self.places.borrow_mut().insert(name.to_string(), Samba::dn(name));
    }

    fn set_keys(&self, name: &str, keys: &[&str]) {
        let values: Vec<String> =
            keys.iter().map(|key| format!("altSecurityIdentities:: {}", base64(key.as_bytes()))).collect();
        self.change(name, &format!("replace: altSecurityIdentities\n{}", values.join("\n")));
    }

    fn rename(&self, from: &str, to: &str) {
        let dn = self.dn(from);
        let (_, unit) = dn.split_once(',').expect("it is below something");
        self.go(from, to, unit);
        self.change(to, &format!("replace: sAMAccountName\nsAMAccountName: {to}"));
    }

    fn relocate(&self, name: &str) {
        self.go(name, name, &format!("OU=left,{}", Samba::BASE));
    }

    fn groups_follow(&self) -> bool {
        true
    }

    fn close(&self, name: &str, how: Closing) -> bool {
        match how {
            Closing::Disabled => self.change(name, "replace: userAccountControl\nuserAccountControl: 514"),
            // What wrong passwords do; an administrator cannot.
            Closing::Locked => (0..3).for_each(|_| self.samba.fail_to_bind(name)),
            Closing::Expired => {
                self.change(name, "replace: accountExpires\naccountExpires: 133800000000000000")
            }
        }
        how != Closing::Locked
    }

    fn delete(&self, name: &str) {
        self.samba.delete(&self.dn(name));
        self.places.borrow_mut().remove(name);
    }

    fn add_group(&self, group: &str, members: &[directory::Member<'_>]) {
        let members: String =
            members.iter().map(|member| format!("member: {}\n", self.member_dn(*member))).collect();
        self.samba.modify(&format!(
            "dn: {}\nchangetype: add\nobjectClass: group\nsAMAccountName: {group}\n{members}",
            Self::group_dn(group)
        ));
    }

    fn give(&self, group: &str, member: directory::Member<'_>) {
        self.change_group(group, "add", member);
    }

    fn take(&self, group: &str, member: directory::Member<'_>) {
        self.change_group(group, "delete", member);
    }

    fn delete_group(&self, group: &str) {
        self.samba.delete(&Self::group_dn(group));
    }

    fn leave_filter(&self, name: &str) {
        self.change(name, "replace: employeeType\nemployeeType: gone");
    }

    fn restart(&self) {
        self.samba.stop();
        self.samba.resume();
    }

    fn back_up(&self) {
        self.samba.stop();
        self.samba.back_up();
        self.kept.replace(self.places.borrow().clone());
        self.samba.resume();
    }

    fn restore(&self) {
        self.samba.stop();
        self.samba.restore();
        self.places.replace(self.kept.borrow().clone());
        self.samba.resume();
    }

    /// Samba has no such limit.
    fn limit(&self, _entries: u32) {}

    /// A domain cannot be told which ids to have: everybody is taken out and put in again.
    fn exchange(&self) {
        let eligible = Self::group_dn(ELIGIBLE);
        let members = self.samba.values(&eligible, "member");
        for dn in self.places.borrow().values() {
            let mut ldif = format!("dn: {dn}\nchangetype: add\nobjectClass: user\n");
            for name in OF_PEOPLE {
                for value in self.samba.values(dn, name) {
                    // Without a password none is enabled that has to have one.
                    let value = if value == "512" { "544".to_string() } else { value };
                    ldif += &format!("{name}: {value}\n");
                }
            }
            self.samba.delete(dn);
            self.samba.modify(&ldif);
        }
        let members: String = members.iter().map(|member| format!("member: {member}\n")).collect();
        self.samba.modify(&format!("dn: {eligible}\nchangetype: modify\nreplace: member\n{members}"));
    }
}

/// The LDIF that adds a person.
fn person(name: &str, mail: &str, keys: &[&str]) -> String {
    let mut ldif = format!(
        "dn: {}\nchangetype: add\nobjectClass: user\nsAMAccountName: {name}\nuserAccountControl: 512\nunicodePwd:: {}\n",
        Samba::dn(name),
        secret()
    );
    if !mail.is_empty() {
        ldif += &format!("mail: {mail}\n");
    }
    for key in keys {
        ldif += &format!("altSecurityIdentities:: {}\n", base64(key.as_bytes()));
    }
    ldif
}

/// The password as unicodePwd takes it ([MS-ADTS] 3.1.1.3.1.5): in quotes, in UTF-16.
fn secret() -> String {
    let quoted = format!("\"{PASSWORD}\"");
    base64(&quoted.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
}

/// Puts the packages into `root`, and a domain into `ad`.
fn make(new: &Path, start: &'static [&'static str]) {
    if start == NEWER {
        trixie::unpack(&new.join("root"), &PACKAGES);
    } else {
        let output = Command::new("/bin/sh").args(["-c", UNPACK, "samba.sh"]).arg(new).output();
        let output = output.expect("sh starts");
        assert!(output.status.success(), "Samba's packages: {}", crate::text(&output));
    }
    let host = Host::start();
    unpack(new, &host, start);
    host.must_within(600, &PROVISION.replace("PASSWORD", PASSWORD).replace("START", &start.join(" ")));
    let samba = Samba::equip(&host, start);
    samba.resume();
    let tree = [("GROUP_DN", Samba::GROUP_DN), ("BIND_DN", Samba::BIND_DN), ("SECRET", &secret())];
    samba.modify(&tree.iter().fold(TREE.to_string(), |text, (name, value)| text.replace(name, value)));
    samba.stop();
    run(Command::new("cp").arg("-a").arg(host.path(HOME)).arg(new.join("ad")));
}

/// Puts the packages into a machine.
fn unpack(kept: &Path, host: &Host, start: &[&str]) {
    host.must(&directories(""));
    if start == NEWER {
        host.must("mkdir -p /srv && echo 127.0.0.1 dc1.example.com dc1 >>/etc/hosts");
        trixie::install(&kept.join("root"), host);
        host.must(&directories(trixie::ROOT));
    } else {
        copy(&kept.join("root/usr"), host, "/usr");
        host.must("ldconfig");
    }
}

/// Makes the directories that it keeps its state in, below `root`.
fn directories(root: &str) -> String {
    let places = ["/etc", "/run", "/var/cache", "/var/lib", "/var/log"];
    places.iter().fold("mkdir -p".to_string(), |command, place| format!("{command} {root}{place}/samba"))
}

/// Copies what is in a directory into one of the machine.
fn copy(from: &Path, host: &Host, inside: &str) {
    let to = host.path(inside);
    fs::create_dir_all(&to).expect("the directory can be made");
    run(Command::new("cp").arg("-a").arg(from.join(".")).arg(&to));
}

fn run(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", crate::text(&output));
}
