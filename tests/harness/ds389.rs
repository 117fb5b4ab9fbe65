//! 389 Directory Server on a private machine: Debian's ns-slapd with TLS by an authority of its own, Content
//! Synchronization and the Retro Changelog that it needs.
//!
//! What dscreate does in a second besides starting it is a template filled in and two databases of NSS; done here, so
//! that it needs no systemd and starts once.

use crate::directory::{Closing, Directory, Member, Tree};
use crate::slapd::{Slapd, authority, certificate};
use crate::{Host, Suite};

/// Where everything of it is inside the machine. ns-slapd takes its name from the directory of its settings.
const HOME: &str = "/run/ds389";
const SETTINGS: &str = "/run/ds389/slapd-test";

const ROOT_DN: &str = "cn=Directory Manager";
const ROOT_PASSWORD: &str = "root of the directory";
const PORT: u16 = 6361;

/// Values of the template's names.
const FILLED: [(&str, &str); 22] = [
    ("schema_dir", "/run/ds389/slapd-test/schema"),
    ("lock_dir", "/run/ds389/lock"),
    ("tmp_dir", "/tmp"),
    ("cert_dir", SETTINGS),
    ("config_dir", SETTINGS),
    ("ldif_dir", "/run/ds389/ldif"),
    ("bak_dir", "/run/ds389/bak"),
    ("run_dir", "/run/ds389/run"),
    ("inst_dir", HOME),
    ("log_dir", "/run/ds389/log"),
    ("fqdn", "ldap.example.com"),
    // None without TLS.
    ("ds_port", "0"),
    ("ds_user", "dirsrv"),
    ("rootdn", ROOT_DN),
    ("ds_passwd", "{CLEAR}root of the directory"),
    ("ldapi_enabled", "off"),
    ("ldapi", "/run/ds389/socket"),
    ("ldapi_autobind", "off"),
    ("db_dir", "/run/ds389/db"),
    ("db_home_dir", "/run/ds389/db"),
    ("db_lib", "bdb"),
    ("ds_suffix", "dc=example,dc=com"),
];

/// Settings in the template that are others here: what is replaced, first found first, and by what.
const CHANGED: [(&str, &str); 4] = [
    (
        "\nnsslapd-port: 0\n",
        "\nnsslapd-port: 0\nnsslapd-security: on\nnsslapd-secureport: 6361\nnsslapd-securelistenhost: 127.0.0.1\n",
    ),
    // It would take a tenth of the machine's memory.
    (
        "\nnsslapd-backend-implement: bdb\n",
        "\nnsslapd-backend-implement: bdb\nnsslapd-cache-autosize: 0\nnsslapd-dbcachesize: 4000000\n",
    ),
    (
        "nsslapd-plugininitfunc: sync_init\nnsslapd-plugintype: object\nnsslapd-pluginenabled: off\n",
        "nsslapd-plugininitfunc: sync_init\nnsslapd-plugintype: object\nnsslapd-pluginenabled: on\n",
    ),
    // Without the attribute no change is ever told.
    (
        "nsslapd-plugininitfunc: retrocl_plugin_init\nnsslapd-plugintype: object\nnsslapd-pluginbetxn: on\nnsslapd-pluginenabled: off\n",
        "nsslapd-plugininitfunc: retrocl_plugin_init\nnsslapd-plugintype: object\nnsslapd-pluginbetxn: on\nnsslapd-pluginenabled: on\nnsslapd-attribute: nsuniqueid:targetUniqueId\n",
    ),
];

/// The database of the tree.
const BACKEND: &str = r"dn: cn=dc\3Dexample\2Cdc\3Dcom,cn=mapping tree,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsMappingTree
cn: dc=example,dc=com
nsslapd-state: backend
nsslapd-backend: userroot

dn: cn=userroot,cn=ldbm database,cn=plugins,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsBackendInstance
cn: userroot
nsslapd-suffix: dc=example,dc=com

";

/// The tree before anybody is in it, and the roles by which `dsidm role lock` and ns-inactivate.pl lock people.
const TREE: &str = "\
dn: SUFFIX
changetype: add
objectClass: domain
dc: example
aci: (targetattr!=\"userPassword\")(version 3.0; acl \"reader\"; allow (read,search,compare) userdn=\"ldap:///BIND_DN\";)

dn: ou=people,SUFFIX
changetype: add
objectClass: organizationalUnit

dn: ou=groups,SUFFIX
changetype: add
objectClass: organizationalUnit

dn: ou=services,SUFFIX
changetype: add
objectClass: organizationalUnit

dn: BIND_DN
changetype: add
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: BIND_PASSWORD

dn: cn=nsManagedDisabledRole,SUFFIX
changetype: add
objectClass: ldapSubEntry
objectClass: nsRoleDefinition
objectClass: nsSimpleRoleDefinition
objectClass: nsManagedRoleDefinition

dn: cn=nsDisabledRole,SUFFIX
changetype: add
objectClass: ldapSubEntry
objectClass: nsRoleDefinition
objectClass: nsComplexRoleDefinition
objectClass: nsNestedRoleDefinition
nsRoleDN: cn=nsManagedDisabledRole,SUFFIX

dn: cn=nsAccountInactivationTmp,SUFFIX
changetype: add
objectClass: nsContainer

dn: cn=cn\\3DnsDisabledRole\\2Cdc\\3Dexample\\2Cdc\\3Dcom,cn=nsAccountInactivationTmp,SUFFIX
changetype: add
objectClass: extensibleObject
objectClass: costemplate
objectClass: ldapSubEntry
nsAccountLock: true
cosPriority: 0

dn: cn=nsAccountInactivation_cos,SUFFIX
changetype: add
objectClass: ldapSubEntry
objectClass: cosSuperDefinition
objectClass: cosClassicDefinition
cosTemplateDn: cn=nsAccountInactivationTmp,SUFFIX
cosSpecifier: nsRole
cosAttribute: nsAccountLock operational

";

/// A running ns-slapd, under the name `ldap.example.com`. It ends with its machine.
pub struct Ds389<'a> {
    host: &'a Host,
    ca_pem: String,
    tree: Tree,
}

impl<'a> Ds389<'a> {
    /// Where it listens.
    pub const LDAPS_URL: &'static str = "ldaps://ldap.example.com:6361";

    /// Starts it with nobody in it.
    pub fn start(host: &'a Host) -> Self {
        let authority = authority();
        let (certificate, key) = certificate(&authority, "Server-Cert", &["ldap.example.com"]);
        let ca_pem = authority.pem();
        host.write(&format!("{HOME}/ca.pem"), &ca_pem, 0o644);
        host.write(&format!("{HOME}/server.pem"), certificate, 0o644);
        host.write(&format!("{HOME}/server.key"), key, 0o600);
        host.must(&format!(
            "echo 127.0.0.1 ldap.example.com >>/etc/hosts
            chmod 1777 /dev/shm
            cd {HOME}
            mkdir slapd-test db log lock ldif bak run
            cp -a /etc/dirsrv/schema /etc/dirsrv/config/. slapd-test
            certutil -N -d slapd-test --empty-password
            openssl pkcs12 -export -inkey server.key -in server.pem -name Server-Cert -out server.p12 -passout pass:
            pk12util -i server.p12 -d slapd-test -W '' -K ''
            certutil -A -d slapd-test -n CA -t CT,, -i ca.pem"
        ));
        host.write(&format!("{SETTINGS}/dse.ldif"), settings(host), 0o600);
        host.must(&format!("chown -R dirsrv: {HOME}"));
        let tree = Tree::new(Slapd::SUFFIX, "nsAccount", "nsSshPublicKey", Slapd::BIND_DN);
        let server = Self { host, ca_pem, tree };
        server.resume();
        server.modify(&(fill_in(TREE) + &server.tree.beginning()));
        server
    }

    /// Starts it again after [`Ds389::stop`].
    pub fn resume(&self) {
        let pid = format!("{HOME}/run/pid");
        let argv = ["/usr/sbin/ns-slapd", "-D", SETTINGS, "-i", &pid, "-d", "0"];
        self.host.daemon(&argv, &format!("{HOME}/output"));
        self.host.wait_for_port(PORT);
    }

    /// Ends it, as an outage does.
    pub fn stop(&self) {
        self.host.must(&format!(
            "pid=$(cat {HOME}/run/pid) && kill $pid && while kill -0 $pid 2>/dev/null; do sleep 0.01; done"
        ));
    }

    /// Applies `ldif`, in which every record has its `changetype`, as the one who may change everything.
    pub fn modify(&self, ldif: &str) {
        self.host.write(&format!("{HOME}/input"), ldif, 0o600);
        self.client("ldapmodify", &format!("-f {HOME}/input"));
    }

    /// Who may change everything, and their password.
    pub const WRITER: (&'static str, &'static str) = (ROOT_DN, ROOT_PASSWORD);

    /// The values that they see of an attribute.
    pub fn values(&self, dn: &str, attribute: &str) -> Vec<String> {
        let found = self.client("ldapsearch", &format!("-LLL -o ldif-wrap=no -s base -b '{dn}' {attribute}"));
        let prefix = format!("{attribute}: ");
        found.lines().filter_map(|line| line.strip_prefix(&prefix).map(str::to_string)).collect()
    }

    /// How many changes of this entry its log of requests has.
    pub fn changes(&self, dn: &str) -> usize {
        self.host.read("/run/ds389/log/access").matches(&format!("MOD dn=\"{dn}\"")).count()
    }

    /// What `program` prints, run as the one who may change everything.
    fn client(&self, program: &str, arguments: &str) -> String {
        self.host.must(&format!(
            "LDAPTLS_CACERT={HOME}/ca.pem {program} -x -H {} -D '{ROOT_DN}' -w '{ROOT_PASSWORD}' {arguments}",
            Self::LDAPS_URL
        ))
    }

    /// Starts it again with its MemberOf plug-in, as `dsconf plugin memberof enable` and a class that the attribute
    /// may stand in make it.
    pub fn keep_member_of(&self) {
        let change = "replace: nsslapd-pluginEnabled\nnsslapd-pluginEnabled: on\n-\nadd: memberOfAutoAddOC\nmemberOfAutoAddOC: nsMemberOf";
        self.modify(&format!("dn: cn=MemberOf Plugin,cn=plugins,cn=config\nchangetype: modify\n{change}\n"));
        self.stop();
        self.resume();
    }

    /// Binds as a person with passwords that are wrong, as often as its password policy takes before it locks them out
    /// for `seconds`, or, with 0, until an administrator ends that.
    pub fn lock_out(&self, name: &str, seconds: u32) {
        self.set("passwordLockout", "on");
        self.set("passwordUnlock", if seconds == 0 { "off" } else { "on" });
        self.set("passwordLockoutDuration", &seconds.max(1).to_string());
        self.modify(&self.tree.modify(name, "replace: userPassword\nuserPassword: right"));
        let bind = format!("ldapwhoami -x -H {} -D {} -w wrong", Self::LDAPS_URL, self.tree.dn(name));
        self.host.must(&format!(
            "export LDAPTLS_CACERT={HOME}/ca.pem; for i in 1 2 3 4; do ! {bind} || exit 1; done; {bind} 2>&1 | grep -q 'retry limit'"
        ));
    }

    /// Changes a setting of the whole server.
    pub fn set(&self, setting: &str, value: &str) {
        let change = format!("replace: {setting}\n{setting}: {value}");
        self.modify(&format!("dn: cn=config\nchangetype: modify\n{change}\n"));
    }
}

/// dse.ldif, out of the package's template.
fn settings(host: &Host) -> String {
    let template = host.read("/usr/share/dirsrv/data/template-dse.ldif");
    let filled =
        (FILLED.iter()).fold(template, |text, (name, value)| text.replace(&format!("%{name}%"), value));
    CHANGED.iter().fold(filled, |text, (usual, ours)| {
        assert!(text.contains(usual), "the template of this release has no {usual:?}");
        text.replacen(usual, ours, 1)
    }) + BACKEND
}

fn fill_in(text: &str) -> String {
    [("SUFFIX", Slapd::SUFFIX), ("BIND_DN", Slapd::BIND_DN), ("BIND_PASSWORD", Slapd::BIND_PASSWORD)]
        .iter()
        .fold(text.to_string(), |text, (name, value)| text.replace(name, value))
}

impl Directory for Ds389<'_> {
    fn hand_out(&self, suite: &Suite) {
        let host = &suite.host;
        host.write("/etc/authkeys/389-ca.pem", &self.ca_pem, 0o644);
        host.write("/etc/authkeys/bind-password", format!("{}\n", Slapd::BIND_PASSWORD), 0o640);
        host.must("chgrp authkeys-sync /etc/authkeys/bind-password");
    }

    fn section(&self) -> String {
        format!(
            "[directory]\nurls = [{:?}]\nbase = {:?}\nca_file = \"389-ca.pem\"\neligible_group = {:?}\nfilter = \"(objectClass=nsAccount)\"\n\
             bind_dn = {:?}\nbind_password_file = \"bind-password\"\n[directory.attributes]\nkeys = \"nsSshPublicKey\"\n",
            Self::LDAPS_URL,
            Slapd::BASE,
            Slapd::GROUP_DN,
            Slapd::BIND_DN
        )
    }

    fn add(&self, name: &str, keys: &[&str]) {
        self.modify(&self.tree.add(name, keys));
    }

    fn set_keys(&self, name: &str, keys: &[&str]) {
        self.modify(&self.tree.set_keys(name, keys));
    }

    fn rename(&self, from: &str, to: &str) {
        self.modify(&self.tree.rename(from, to));
    }

    fn relocate(&self, name: &str) {
        self.modify(&self.tree.relocate(name));
    }

    fn groups_follow(&self) -> bool {
        false
    }

    fn close(&self, name: &str, how: Closing) -> bool {
        self.modify(&self.tree.modify(
            name,
            &match how {
                // As `dsidm account lock` does it.
                Closing::Disabled => "replace: nsAccountLock\nnsAccountLock: true".to_string(),
                // As `dsidm role lock` does it; nsAccountLock is computed then.
                Closing::Locked => {
                    format!("add: nsRoleDN\nnsRoleDN: cn=nsManagedDisabledRole,{}", Slapd::SUFFIX)
                }
                Closing::Expired => {
                    "add: objectClass\nobjectClass: shadowAccount\n-\nadd: shadowExpire\nshadowExpire: 20000"
                        .to_string()
                }
            },
        ));
        true
    }

    fn delete(&self, name: &str) {
        self.modify(&self.tree.delete(name));
    }

    fn add_group(&self, group: &str, members: &[Member<'_>]) {
        self.modify(&self.tree.add_group(group, members));
    }

    fn give(&self, group: &str, member: Member<'_>) {
        self.modify(&self.tree.change_group(group, "add", member));
    }

    fn take(&self, group: &str, member: Member<'_>) {
        self.modify(&self.tree.change_group(group, "delete", member));
    }

    fn delete_group(&self, group: &str) {
        self.modify(&self.tree.delete_group(group));
    }

    fn leave_filter(&self, name: &str) {
        self.modify(&self.tree.leave_filter(name));
    }

    fn restart(&self) {
        self.stop();
        self.resume();
    }

    fn back_up(&self) {
        self.stop();
        self.host.must(&format!("rm -rf {HOME}/backup && cp -a {HOME}/db {HOME}/backup"));
        self.resume();
    }

    fn restore(&self) {
        self.stop();
        self.host.must(&format!("rm -rf {HOME}/db && cp -a {HOME}/backup {HOME}/db"));
        self.resume();
    }

    fn limit(&self, entries: u32) {
        self.set("nsslapd-sizelimit", &entries.to_string());
    }

    fn exchange(&self) {
        let all = self.client(
            "ldapsearch",
            &format!("-LLL -o ldif-wrap=no -b {} '*' aci nsRoleDN nsAccountLock", Slapd::SUFFIX),
        );
        self.stop();
        self.host.must(&format!("rm -rf {HOME}/db/*"));
        self.resume();
        self.host.write(&format!("{HOME}/input"), all, 0o600);
        self.client("ldapadd", &format!("-f {HOME}/input"));
    }
}
