//! A directory on a private machine: Debian's slapd with TLS, a tree of people and one reader.
//!
//! Without TLS it answers nothing but StartTLS, and it shows its content to [`Slapd::BIND_DN`] alone:
//! a program that forgets to encrypt or to bind finds no one. It ends with its machine.

mod played;

use std::cell::{Cell, RefCell};

pub use self::played::Played;
use crate::Host;
use crate::suite::{Member, Suite, TEAM};
use crate::trixie;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// Where everything of it is inside the machine.
pub(crate) const HOME: &str = "/run/slapd";

/// The machine's own slapd.
const OWN: &[&str] = &["/usr/sbin/slapd"];

/// Who may change everything.
pub(crate) const ROOT_DN: &str = "cn=admin,dc=example,dc=com";
pub(crate) const ROOT_PASSWORD: &str = "root of the directory";

/// The configuration: Debian's schemas and openssh-lpk's attribute and class for keys.
const CONFIG: &str = r#"
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
attributetype ( 1.3.6.1.4.1.24552.500.1.1.1.13 NAME 'sshPublicKey'
  EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
objectclass ( 1.3.6.1.4.1.24552.500.1.1.2.0 NAME 'ldapPublicKey'
  SUP top AUXILIARY MAY ( sshPublicKey $ uid ) )
# Marks of disabled accounts that other servers have built in, and AD's names, as plain attributes.
attributetype ( 1.3.6.1.4.1.99999.1.1 NAME 'nsAccountLock' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.1.2 NAME 'userAccountControl' SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )
attributetype ( 1.3.6.1.4.1.99999.1.3 NAME 'sAMAccountName'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.1.4 NAME 'altSecurityIdentities'
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.1.5 NAME 'memberOf'
  EQUALITY distinguishedNameMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )
objectclass ( 1.3.6.1.4.1.99999.2.1 NAME 'elsewhere' SUP top AUXILIARY
  MAY ( nsAccountLock $ userAccountControl $ sAMAccountName $ altSecurityIdentities $ memberOf ) )

modulepath /usr/lib/ldap
moduleload back_mdb
moduleload syncprov
moduleload ppolicy
pidfile HOME/pid
TLSCertificateFile HOME/server.pem
TLSCertificateKeyFile HOME/server.key
security ssf=1
sizelimit unlimited
MORE

database config
rootpw "ROOT_PASSWORD"

database mdb
suffix "dc=example,dc=com"
rootdn "ROOT_DN"
rootpw "ROOT_PASSWORD"
directory HOME/db
maxsize 1073741824
dbnosync
index objectClass,uid,entryUUID,entryCSN eq
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="BIND_DN" read by * none
OVERLAY"#;

/// What makes it tell changes by RFC 4533.
const SYNCPROV: &str = "overlay syncprov\nsyncprov-checkpoint 1 1\nsyncprov-sessionlog 1000\n";

/// The same, and what writes memberOf.
const MEMBER_OF: &str = "overlay memberof\noverlay syncprov\n";

/// The tree before anybody is in it. A groupOfNames must have a member: the reader, who is no person.
const TREE: &str = "\
dn: dc=example,dc=com
changetype: add
objectClass: dcObject
objectClass: organization
o: example

dn: ou=people,dc=example,dc=com
changetype: add
objectClass: organizationalUnit

dn: ou=groups,dc=example,dc=com
changetype: add
objectClass: organizationalUnit

dn: ou=services,dc=example,dc=com
changetype: add
objectClass: organizationalUnit

dn: BIND_DN
changetype: add
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: BIND_PASSWORD

dn: GROUP_DN
changetype: add
objectClass: groupOfNames
member: BIND_DN
";

/// A running slapd.
pub struct Slapd<'a> {
    host: &'a Host,
    authority: CertifiedIssuer<'static, KeyPair>,
    ca_pem: String,
    overlay: &'static str,
    /// What starts it; before its own arguments.
    program: &'static [&'static str],
    /// Where it listens besides.
    addresses: RefCell<String>,
    /// How much of its log was looked at, in bytes.
    seen: Cell<usize>,
}

impl<'a> Slapd<'a> {
    /// TLS from the first byte.
    pub const LDAPS_URL: &'static str = "ldaps://ldap.example.com:6360";
    /// StartTLS.
    pub const LDAP_URL: &'static str = "ldap://ldap.example.com:3890";
    /// The whole tree.
    pub const SUFFIX: &'static str = "dc=example,dc=com";
    /// Where people are.
    pub const BASE: &'static str = "ou=people,dc=example,dc=com";
    /// The one who may read.
    pub const BIND_DN: &'static str = "cn=authkeys,ou=services,dc=example,dc=com";
    /// The reader's password.
    pub const BIND_PASSWORD: &'static str = "reader of the directory";
    /// The group of those who may ever become root.
    pub const GROUP_DN: &'static str = "cn=root-eligible,ou=groups,dc=example,dc=com";

    /// Starts slapd on `host` with nobody in it, under the name `ldap.example.com`.
    pub fn start(host: &'a Host) -> Self {
        Self::start_with(host, "", OWN)
    }

    /// As [`Slapd::start`], and it tells changes by RFC 4533.
    pub fn start_with_changes(host: &'a Host) -> Self {
        Self::start_with(host, SYNCPROV, OWN)
    }

    /// As [`Slapd::start_with_changes`], and it keeps memberOf by Debian's overlay for that.
    pub fn start_with_member_of(host: &'a Host) -> Self {
        Self::start_with(host, MEMBER_OF, OWN)
    }

    /// As [`Slapd::start_with_changes`], but Debian 13's, OpenLDAP 2.6.
    pub fn start_newer(host: &'a Host) -> Self {
        trixie::put(host, "slapd26", &["slapd"]);
        Self::start_with(host, SYNCPROV, &["/usr/sbin/chroot", trixie::ROOT, "/usr/sbin/slapd"])
    }

    /// What it says that it is.
    pub fn version(&self) -> String {
        crate::text(&self.host.sh(&format!("{} -VV", self.program.join(" "))))
    }

    fn start_with(host: &'a Host, overlay: &'static str, program: &'static [&'static str]) -> Self {
        let authority = authority();
        let ca_pem = authority.pem();
        // Names by which it can be asked with TLS.
        let (certificate, key) = certificate(&authority, "slapd", &["ldap.example.com", "127.0.0.1", "::1"]);
        host.write(&format!("{HOME}/ca.pem"), &ca_pem, 0o644);
        host.write(&format!("{HOME}/server.pem"), certificate, 0o644);
        host.write(&format!("{HOME}/server.key"), key, 0o600);
        host.must(&format!("mkdir {HOME}/db && echo 127.0.0.1 ldap.example.com >>/etc/hosts"));
        let slapd = Self {
            host,
            authority,
            ca_pem,
            overlay,
            program,
            addresses: RefCell::default(),
            seen: Cell::default(),
        };
        slapd.configure("");
        slapd.resume();
        slapd.modify(&fill_in(TREE));
        slapd
    }

    fn configure(&self, more: &str) {
        let mut config = fill_in(CONFIG).replace("OVERLAY", self.overlay).replace("MORE", &fill_in(more));
        if self.overlay == MEMBER_OF {
            // It brings the attribute itself.
            let (before, after) =
                config.split_once("attributetype ( 1.3.6.1.4.1.99999.1.5 ").expect("memberOf");
            let (_, after) = after.split_once(")\n").expect("its end");
            config = format!("{before}{after}").replace(" $ memberOf )", " )");
            config = config.replace("moduleload syncprov", "moduleload syncprov\nmoduleload memberof");
        }
        self.host.write(&format!("{HOME}/slapd.conf"), config, 0o600);
    }

    /// Starts it again: with `addresses` to listen on besides, and `settings` for the whole server.
    pub fn restart_with(&self, addresses: &str, settings: &str) {
        self.stop();
        self.configure(settings);
        self.addresses.replace(addresses.to_string());
        self.resume();
    }

    /// Starts it again after [`Slapd::stop`], with everybody who was in it.
    pub fn resume(&self) {
        // Its log begins anew.
        self.seen.set(0);
        let config = format!("{HOME}/slapd.conf");
        // The usual ones last: when they answer, all do.
        let addresses = format!("{} ldap://127.0.0.1:3890/ ldaps://127.0.0.1:6360/", self.addresses.borrow());
        let arguments = ["-d", "stats", "-f", &config, "-h", &addresses];
        self.host.daemon(&[self.program, &arguments].concat(), &format!("{HOME}/log"));
        self.host.wait_for_port(3890);
        self.host.wait_for_port(6360);
    }

    /// Ends it, as an outage does: connections are refused when this returns.
    pub fn stop(&self) {
        self.host
            .must(&format!("pid=$(cat {HOME}/pid) && kill $pid && while kill -0 $pid; do sleep 0.01; done"));
    }

    /// Keeps what it holds now, for [`Slapd::restore`]. It must be stopped.
    pub fn back_up(&self) {
        self.host.must(&format!("rm -rf {HOME}/backup && cp -a {HOME}/db {HOME}/backup"));
    }

    /// Puts the backup in place of what it holds. It must be stopped.
    pub fn restore(&self) {
        self.host.must(&format!("rm -rf {HOME}/db && cp -a {HOME}/backup {HOME}/db"));
    }

    /// Keeps what it holds now as text, for [`Slapd::load`].
    pub fn dump(&self) {
        self.host.must(&format!("slapcat -f {HOME}/slapd.conf -b {} -l {HOME}/backup.ldif", Self::SUFFIX));
    }

    /// Starts it again with what [`Slapd::dump`] kept in place of what it holds: as slapd-admin's guide restores a backup.
    pub fn load(&self) {
        self.stop();
        self.host.must(&format!(
            "rm {HOME}/db/* && slapadd -q -w -f {HOME}/slapd.conf -b {} -l {HOME}/backup.ldif",
            Self::SUFFIX
        ));
        self.resume();
    }

    /// What it logged since the last look.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.host.path(&format!("{HOME}/log"))).expect("slapd logs");
        let seen = self.seen.replace(log.len());
        String::from_utf8_lossy(log.get(seen..).unwrap_or_default()).into_owned()
    }

    /// The `[directory]` that names this server at `urls`; what follows may add settings to it.
    pub fn section(urls: &[&str]) -> String {
        let (dn, file) = (Self::BIND_DN, "bind-password");
        format!("{}bind_dn = {dn:?}\nbind_password_file = {file:?}\n", Self::section_unbound(urls))
    }

    /// The same without a word about who binds.
    pub fn section_unbound(urls: &[&str]) -> String {
        format!(
            "[directory]\nurls = {urls:?}\nbase = {:?}\nca_file = \"ldap-ca.pem\"\neligible_group = {:?}\n",
            Self::BASE,
            Self::GROUP_DN
        )
    }

    /// Puts the team into the directory, each with their key and `mail`; all but dave are eligible. The files
    /// that [`Slapd::section`] names are there then.
    pub fn furnish(&self, suite: &Suite, mail: impl Fn(&str) -> String) {
        self.fill(|name| suite.public_key(name), mail);
        self.hand_out_files(suite);
    }

    /// The files that [`Slapd::section`] names.
    pub fn hand_out_files(&self, suite: &Suite) {
        let host = &suite.host;
        host.write("/etc/authkeys/ldap-ca.pem", self.ca_pem(), 0o644);
        host.write("/etc/authkeys/bind-password", format!("{}\n", Self::BIND_PASSWORD), 0o640);
        host.must("chgrp authkeys-sync /etc/authkeys/bind-password");
    }

    /// Puts the team into it, each with `key` and `mail`; all but dave are eligible.
    pub fn fill(&self, key: impl Fn(&str) -> String, mail: impl Fn(&str) -> String) {
        for Member { name, .. } in TEAM {
            self.add_person(name, &mail(name), &[&key(name)]);
        }
        let eligible: Vec<&str> =
            TEAM.iter().filter(|member| member.eligible).map(|member| member.name).collect();
        self.set_eligible(&eligible);
    }

    /// The certificate of the authority that vouches for this server.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A certificate and its key in PEM, by which a client shows that it is `name`.
    pub fn client_certificate(&self, name: &str) -> (String, String) {
        certificate(&self.authority, name, &[])
    }

    /// The same from an authority that nobody knows.
    pub fn foreign_certificate(name: &str) -> (String, String) {
        certificate(&authority(), name, &[])
    }

    /// Adds a person; an empty `mail` is none.
    pub fn add_person(&self, uid: &str, mail: &str, keys: &[&str]) {
        self.modify(&person(uid, mail, keys));
    }

    /// Adds people in one go, each with one key and a mail address at example.com.
    pub fn add_people<'p>(&self, people: impl IntoIterator<Item = (&'p str, &'p str)>) {
        let record = |(uid, key): (&str, &str)| person(uid, &format!("{uid}@example.com"), &[key]);
        self.modify(&people.into_iter().map(record).collect::<Vec<_>>().join("\n"));
    }

    /// Makes exactly `uids` the members of the group of eligible people.
    pub fn set_eligible(&self, uids: &[&str]) {
        let mut ldif = format!("dn: {}\nchangetype: modify\nreplace: member\n", Self::GROUP_DN);
        if uids.is_empty() {
            ldif += &format!("member: {}\n", Self::BIND_DN);
        }
        for uid in uids {
            ldif += &format!("member: uid={uid},{}\n", Self::BASE);
        }
        self.modify(&ldif);
    }

    /// Shows nobody this attribute any more.
    pub fn hide(&self, attribute: &str) {
        self.allow(&format!("to attrs={attribute} by * none"));
    }

    /// Shows nobody `what` of the entry `dn` any more; `entry`: that it is there.
    pub fn hide_from(&self, dn: &str, what: &str) {
        self.allow(&format!("to dn.base=\"{dn}\" attrs={what} by * none"));
    }

    /// Puts an access rule before the others, until it is started again.
    pub fn allow(&self, rule: &str) {
        let ldif = format!(
            "dn: olcDatabase={{1}}mdb,cn=config\nchangetype: modify\nadd: olcAccess\nolcAccess: {{0}}{rule}\n"
        );
        self.run("ldapmodify", "cn=config", &ldif);
    }

    /// Lets one search find at most `entries`, or ends that limit.
    pub fn limit(&self, entries: Option<u32>) {
        let entries = entries.map_or("unlimited".to_string(), |entries| entries.to_string());
        let ldif = format!(
            "dn: olcDatabase={{1}}mdb,cn=config\nchangetype: modify\nreplace: olcSizeLimit\nolcSizeLimit: {entries}\n"
        );
        self.run("ldapmodify", "cn=config", &ldif);
    }

    /// Who may change everything, and their password.
    pub const WRITER: (&'static str, &'static str) = (ROOT_DN, ROOT_PASSWORD);

    /// The values that they see of an attribute.
    pub fn values(&self, dn: &str, attribute: &str) -> Vec<String> {
        let found = self.host.must(&format!(
            "LDAPTLS_CACERT={HOME}/ca.pem ldapsearch -x -LLL -o ldif-wrap=no -H {} -D '{ROOT_DN}' -w '{ROOT_PASSWORD}' -s base -b '{dn}' {attribute}",
            Self::LDAPS_URL
        ));
        let prefix = format!("{attribute}: ");
        found.lines().filter_map(|line| line.strip_prefix(&prefix).map(str::to_string)).collect()
    }

    /// Applies `ldif`, in which every record has its `changetype`, as the one who may change everything.
    pub fn modify(&self, ldif: &str) {
        self.run("ldapmodify", ROOT_DN, ldif);
    }

    /// As [`Slapd::modify`], with options for ldapmodify: `-M` for references, `-e !relax` for operational
    /// attributes.
    pub fn modify_with(&self, options: &[&str], ldif: &str) {
        self.run_with("ldapmodify", options, ROOT_DN, ldif);
    }

    /// Removes the entry `dn`.
    pub fn delete(&self, dn: &str) {
        self.run("ldapdelete", ROOT_DN, &format!("{dn}\n"));
    }

    /// Runs a client as `dn` with `input` in a file: it may write more than a pipe holds before it has read all.
    fn run(&self, program: &str, dn: &str, input: &str) {
        self.run_with(program, &[], dn, input);
    }

    fn run_with(&self, program: &str, options: &[&str], dn: &str, input: &str) {
        let file = format!("{HOME}/input");
        self.host.write(&file, input, 0o600);
        let output = self
            .host
            .command(program)
            .args(options)
            .args(["-x", "-H", Self::LDAPS_URL, "-D", dn, "-w", ROOT_PASSWORD, "-f", &file])
            .env("LDAPTLS_CACERT", format!("{HOME}/ca.pem"))
            .output()
            .expect("nsenter runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {}\n{complaint}", output.status);
    }
}

fn fill_in(text: &str) -> String {
    [
        ("HOME", HOME),
        ("ROOT_DN", ROOT_DN),
        ("ROOT_PASSWORD", ROOT_PASSWORD),
        ("BIND_DN", Slapd::BIND_DN),
        ("BIND_PASSWORD", Slapd::BIND_PASSWORD),
        ("GROUP_DN", Slapd::GROUP_DN),
    ]
    .iter()
    .fold(text.to_string(), |text, (name, value)| text.replace(name, value))
}

pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority")
}

/// A certificate for `name`, alias `names`, and its key, in PEM.
pub(crate) fn certificate(
    authority: &CertifiedIssuer<'_, KeyPair>,
    name: &str,
    names: &[&str],
) -> (String, String) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names that a certificate can hold");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

/// The LDIF that adds a person.
fn person(uid: &str, mail: &str, keys: &[&str]) -> String {
    let mut ldif = format!(
        "dn: uid={uid},{}\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: ldapPublicKey\nuid: {uid}\ncn: {uid}\nsn: {uid}\n",
        Slapd::BASE
    );
    if !mail.is_empty() {
        ldif += &format!("mail: {mail}\n");
    }
    for key in keys {
        // In base64, a value with a line break or a space at its end is one value still.
        ldif += &format!("sshPublicKey:: {}\n", base64(key.as_bytes()));
    }
    ldif
}

/// As LDIF and SSH write bytes.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let bits = group[0] << 16 | group[1] << 8 | group[2];
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= chunk.len() { digit as char } else { '=' });
        }
    }
    text
}
