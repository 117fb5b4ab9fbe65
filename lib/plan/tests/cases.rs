//! Changes of a policy, one after the other.

/// A change of the policy in one place.
#[derive(Debug)]
pub struct Case {
    /// What it is.
    pub name: &'static str,
    /// What is there in [`POLICY`](crate::site::POLICY).
    pub place: &'static str,
    /// What is there before the change, and after it.
    pub texts: [&'static str; 2],
}

impl Case {
    /// Another text in that place.
    pub const fn of(name: &'static str, place: &'static str, to: &'static str) -> Self {
        Self::turn(name, place, place, to)
    }

    /// From another text to a third one.
    pub const fn turn(name: &'static str, place: &'static str, from: &'static str, to: &'static str) -> Self {
        Self { name, place, texts: [from, to] }
    }
}

/// The directory of the policy.
const DIRECTORY: &str = "urls = [\"ldaps://ldap1.example.com\"]\nbase = \"ou=people,dc=example,dc=com\"\nfilter = \"(objectClass=ldapPublicKey)\"\neligible_group = \"cn=root-eligible,ou=groups,dc=example,dc=com\"\ndisabled = { employeeType = [\"former\", \"gone\"] }\n";

/// Its group.
pub const ELIGIBLE: &str = "eligible_group = \"cn=root-eligible,ou=groups,dc=example,dc=com\"\n";

/// Where settings of the rota are, and the first of a source.
const ONCALL: &str = "max_age = \"20h\"\n[[oncall.source]]";

/// Each way to loosen a policy.
pub const LOOSENINGS: &[Case] = &[
    Case::of("the policy only observes", "mode = \"enforce\"", "mode = \"observe\""),
    Case::of(
        "sudo is not asked any more",
        "[policy.end]",
        "pam_services = [\"sshd\", \"login\", \"su\", \"su-l\"]\n[policy.end]",
    ),
    Case::of("an account is guarded no longer", "[\"root\", \"oracle\"]", "[\"root\"]"),
    Case::of("a group is guarded no longer", "[policy.end]", "privileged_groups = [\"sudo\"]\n[policy.end]"),
    Case::of(
        "one more authority of certificates",
        "exempt_accounts = [\"breakglass\"]",
        "exempt_accounts = [\"breakglass\"]\ncertificate_authorities = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6 ca\"]",
    ),
    Case::of("one more account is exempt", "[\"breakglass\"]", "[\"breakglass\", \"dora\"]"),
    Case::of(
        "one more console is exempt",
        "[policy.end]",
        "exempt_ttys = [\"tty1\", \"ttyS0\", \"tty2\"]\n[policy.end]",
    ),
    Case::of(
        "a program gets root by sudo",
        "[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo']\nowner = 'platform'\nreason = 'x'\nuntil = 2026-11-10\n[[policy.grant]]",
    ),
    Case::of("a program comes from more places", "from = [\"10.0.0.1\"]", "from = [\"10.0.0.0/8\"]"),
    Case::of("a program stays for longer", "until = 2027-06-30", "until = 2028-06-30"),
    Case::of(
        "one more account is shared",
        "[[policy.automation]]",
        "[[policy.shared_account]]\naccount = \"postgres\"\n[[policy.automation]]",
    ),
    Case::of(
        "a shared account is none any more",
        "[[policy.shared_account]]\naccount = \"deploy\"\npeople = [\"anna\", \"bob\"]\n",
        "",
    ),
    Case::of(
        "a shared account is for more people",
        "people = [\"anna\", \"bob\"]",
        "people = [\"anna\", \"bob\", \"carla\"]",
    ),
    Case::of(
        "a shared account is for everybody on call",
        "people = [\"anna\", \"bob\"]",
        "people = \"on-call\"",
    ),
    Case::of(
        "another program prints keys",
        "[oncall]",
        "[[keys.chain]]\nname = 'x'\ncommand = ['/opt/x']\naccounts = ['*']\n[oncall]",
    ),
    Case::of("another program prints more keys", "[\"ec2-user\"]", "[\"*\"]"),
    Case::of(
        "one more group of those on call",
        "rules = [\"db\"]\n",
        "rules = [\"db\"]\n[[nss.group]]\nname = 'web'\ngid = 9101\nrules = ['web']\n",
    ),
    Case::of("a group has more members", "rules = [\"db\"]\n", "rules = [\"*\"]\n"),
    Case::of("one more approver", "[\"anna\", \"carla\"]", "[\"anna\", \"carla\", \"dora\"]"),
    Case::of("one approver is enough", "quorum = 2", "quorum = 1"),
    Case::of("grants last longer", "max = \"2h\"", "max = \"3h\""),
    Case::of(
        "somebody may let themselves in",
        "[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna']\nquorum = 0\npeople = ['dora']\nmax = '30m'\n[grant]",
    ),
    Case::of("a grant by an older copy", "id = \"example\"", "id = \"example\"\ncopy_age = \"60d\""),
    Case::of(
        "a file takes no shifts away any more",
        "[[policy.rego]]\nfile = 'narrow.rego'\nquery = 'data.authkeys.keep'\nhosts = ['db*']\non_error = 'drop'\n",
        "",
    ),
    Case::of("a file is asked on fewer hosts", "['db*']\non_error", "['db1']\non_error"),
    Case::of("a file that fails takes nothing away", "on_error = 'drop'", "on_error = 'keep'"),
    Case::of("another rule of a file is asked", "data.authkeys.keep", "data.authkeys.all"),
    Case::of("another base", "ou=people,", "ou=all,"),
    Case::of("another filter", "(objectClass=ldapPublicKey)", "(objectClass=*)"),
    Case::of("another eligible group", "cn=root-eligible", "cn=everybody"),
    Case::of("groups in the eligible group", "[keys]", "nested_groups = true\n[keys]"),
    Case::of("people who left come back", "\"former\", \"gone\"", "\"former\""),
    Case::of("a user of the provider is somebody else", "PUANNA = \"anna\"", "PUANNA = \"dora\""),
    Case::of("deeper levels", "claim = true", "claim = true\nmax_escalation_level = 2"),
    Case::of("nobody says why", "claim = true", "claim = false"),
    Case::of("an old rota counts for longer", "max_age = \"20h\"", "max_age = \"48h\""),
    Case::of("what is open stays open", "action = \"kill\"", "action = \"list\""),
    Case::of(
        "one more rule",
        "[[policy.shared_account]]\naccount = \"root\"",
        "[[policy.rule]]\nname = \"all\"\nschedules = [\"pd/WEB\"]\n[[policy.shared_account]]\naccount = \"root\"",
    ),
    Case::of("a rule for more hosts", "hosts = [\"web*\"]", "hosts = [\"web*\", \"label:service=db\"]"),
    Case::of("a rule counts more schedules", "schedules = [\"pd/WEB\"]", "schedules = [\"pd/*\"]"),
    Case::of("a rule takes another schedule", "schedules = [\"pd/DB\"]", "schedules = [\"pd/WEB\"]"),
    Case::of(
        "a rule is gone",
        "[[policy.rule]]\nname = \"web\"\nhosts = [\"web*\"]\nschedules = [\"pd/WEB\"]\n",
        "",
    ),
    Case::of(
        "a rule is moved to other hosts",
        "hosts = [\"label:service=db\"]\nschedules",
        "hosts = [\"web*\"]\nschedules",
    ),
    Case::of(
        "keys are not restricted",
        "[[keys.rule]]\nshared = true\ntypes = [\"ssh-ed25519\"]\nfrom = [\"10.0.0.0/8\"]\n",
        "",
    ),
    Case::of("keys of any type", "types = [\"ssh-ed25519\"]\n", ""),
    Case::of("keys from anywhere", "from = [\"10.0.0.0/8\"]\n", ""),
    Case::of(
        "accounts of another domain",
        "[[nss.group]]",
        "[names]\nstrip = [\"@example.com\"]\n[[nss.group]]",
    ),
    Case::of("one more schedule is read", "[\"DB\", \"WEB\"]", "[\"DB\", \"WEB\", \"EXTRA\"]"),
    Case::of(
        "everybody may be on call at once",
        "[oncall.source.people]",
        "max_oncall = 200\n[oncall.source.people]",
    ),
];

/// What goes another way, or hangs on what else is there.
pub const TURNS: &[Case] = &[
    Case::turn(
        "nobody signs, then one approver",
        "[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna', 'carla']\nquorum = 0\npeople = ['dora']\nmax = '30m'\n[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna', 'carla']\nquorum = 1\nmax = '30m'\n[grant]",
    ),
    Case::turn(
        "two approvers, then nobody signs",
        "[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna', 'carla']\nquorum = 2\nmax = '30m'\n[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna', 'carla']\nquorum = 0\npeople = ['dora']\nalways = true\nmax = '30m'\n[grant]",
    ),
    Case::turn(
        "a schedule's own limits are gone",
        "[policy]\nmode",
        "[oncall.source.schedule.DB]\nmax_oncall = 2\nmax_change = '50%'\nmax_age = '4h'\n[policy]\nmode",
        "[policy]\nmode",
    ),
    Case::of(
        "a schedule has a limit of its own",
        "[policy]\nmode",
        "[oncall.source.schedule.DB]\nmax_oncall = 2\n[policy]\nmode",
    ),
    Case::turn(
        "a schedule with a limit of its own is read no more",
        "schedules = [\"DB\", \"WEB\"]\nmax_escalation_level = 2\n[oncall.source.people]",
        "schedules = [\"DB\", \"WEB\", \"OLD\"]\nmax_escalation_level = 2\n[oncall.source.schedule.OLD]\nmax_oncall = 2\n[oncall.source.people]",
        "schedules = [\"DB\", \"WEB\"]\nmax_escalation_level = 2\n[oncall.source.people]",
    ),
    Case::of("every schedule is read", "schedules = [\"DB\", \"WEB\"]", "schedules = [\"*\"]"),
    Case::turn(
        "no longer every schedule is read",
        "schedules = [\"DB\", \"WEB\"]",
        "schedules = [\"*\"]",
        "schedules = [\"DB\", \"WEB\"]",
    ),
    Case::of("the key of the source is another one", "pagerduty-token", "another-token"),
    Case::turn("the policy enforces", "mode = \"enforce\"", "mode = \"observe\"", "mode = \"enforce\""),
    Case::of(
        "a program is listed no longer, and nothing guards its account",
        "[[policy.automation]]\naccount = \"backup\"\nfingerprints = [\"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]\nfrom = [\"10.0.0.1\"]\nowner = \"platform\"\nreason = \"backups\"\nuntil = 2027-06-30\n",
        "",
    ),
    Case::turn(
        "a program of a guarded account is listed no longer",
        "[[policy.grant]]",
        "[[policy.automation]]\naccount = 'oracle'\nfingerprints = ['SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA']\nfrom = ['10.0.0.1']\nowner = 'platform'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]",
        "[[policy.grant]]",
    ),
    Case::turn(
        "one of two programs of an account is listed no longer",
        "[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo']\nowner = 'one'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.automation]]\naccount = 'agent'\nservices = ['su']\nowner = 'two'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['su']\nowner = 'two'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]",
    ),
    Case::of(
        "a program whose day is over",
        "[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo']\nowner = 'platform'\nreason = 'x'\nuntil = 2026-10-10\n[[policy.grant]]",
    ),
    Case::of("grants on every host", "hosts = [\"label:service=db\"]\naccounts", "hosts = [\"*\"]\naccounts"),
    Case::turn(
        "the first rule for grants",
        "[[policy.grant]]\nname = \"night\"\nhosts = [\"label:service=db\"]\naccounts = [\"root\"]\napprovers = [\"anna\", \"carla\"]\nquorum = 2\nmax = \"2h\"\n",
        "",
        "[[policy.grant]]\nname = \"night\"\nhosts = [\"label:service=db\"]\naccounts = [\"root\"]\napprovers = [\"anna\", \"carla\"]\nquorum = 2\nmax = \"2h\"\n",
    ),
    Case::turn(
        "two approvers, then nobody signs, in an outage",
        "[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna', 'carla']\nquorum = 2\nmax = '30m'\n[grant]",
        "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['anna', 'carla']\nquorum = 0\npeople = ['dora']\nmax = '30m'\n[grant]",
    ),
    Case::turn(
        "a program of sudo, and the places that nobody asks about",
        "[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo']\nfrom = ['10.0.0.5']\nowner = 'platform'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo']\nowner = 'platform'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]",
    ),
    Case::turn(
        "a program of sudo comes by ssh too",
        "[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['sudo']\nowner = 'platform'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]",
        "[[policy.automation]]\naccount = 'agent'\nservices = ['sshd', 'sudo']\nfingerprints = ['SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA']\nfrom = ['10.0.0.5']\nowner = 'platform'\nreason = 'x'\nuntil = 2027-06-30\n[[policy.grant]]",
    ),
    Case::of("the eligible group is gone", ELIGIBLE, ""),
    Case::turn("there is an eligible group", ELIGIBLE, "", ELIGIBLE),
    Case::of(
        "shifts are known further ahead",
        ONCALL,
        "max_age = \"20h\"\nlookahead = \"7d\"\n[[oncall.source]]",
    ),
    Case::turn(
        "shifts are known further ahead, and an edit has a limit",
        ONCALL,
        "max_age = \"20h\"\n[[oncall.source]]\nmax_change = '50%'",
        "max_age = \"20h\"\nlookahead = \"7d\"\n[[oncall.source]]\nmax_change = '50%'",
    ),
    Case::turn(
        "shifts are known less far ahead, and an edit has a limit",
        ONCALL,
        "max_age = \"20h\"\n[[oncall.source]]\nmax_change = '50%'",
        "max_age = \"20h\"\nlookahead = \"1d\"\n[[oncall.source]]\nmax_change = '50%'",
    ),
    Case::turn(
        "a rule waits for no incident any more",
        "schedules = [\"pd/WEB\"]",
        "schedules = [\"pd/WEB\"]\nincident = { source = \"pd\", services = [\"PSVC1\"] }",
        "schedules = [\"pd/WEB\"]",
    ),
    Case::turn(
        "a rule waits for no incident while none is known",
        "schedules = [\"pd/DB\"]",
        "schedules = [\"pd/DB\"]\nincident = { source = \"pd\", services = [\"PSVC1\"], on_unknown = \"refuse\" }",
        "schedules = [\"pd/DB\"]\nincident = { source = \"pd\", services = [\"PSVC1\"] }",
    ),
    Case::of("people come from a file", DIRECTORY, "file = \"people.toml\"\n"),
    Case::of("root is never refused", "[\"breakglass\"]", "[\"breakglass\", \"root\"]"),
    Case::of(
        "names that would move a terminal's cursor",
        "name = \"web\"\nhosts",
        "name = \"we\\u001b[2Jb\\nloses root:\"\nhosts",
    ),
];
