//! Arguments and help text, nothing else.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

/// Print the SSH public keys that open an account, for sshd's AuthorizedKeysCommand.
///
/// It prints only public keys. To read the copies, run it as root or as the user
/// `authkeys`; the same applies to --explain.
#[derive(Debug, PartialEq, Eq, Parser)]
#[command(
    name = "authkeys",
    version,
    disable_help_subcommand = true,
    verbatim_doc_comment,
    after_help = "\
In sshd_config:
  AuthorizedKeysCommand /usr/bin/authkeys %u %t %k
  AuthorizedKeysCommandUser authkeys
  AuthorizedPrincipalsCommand /usr/bin/authkeys --principals %u %t %k
  AuthorizedPrincipalsCommandUser authkeys
With a key, it then runs the commands of [[keys.chain]] in config.toml, never for a guarded
account; --explain names them and runs none.

Examples:
  sudo authkeys alice              what sshd would get
  sudo authkeys --explain root     whose keys open root now, and why not others

Exit status: 0, the output is complete (no output: no keys); 2, cannot tell,
nothing is printed; 64, wrong usage"
)]
pub struct Arguments {
    /// Read this configuration
    #[arg(long, value_name = "FILE", default_value = host::config::DEFAULT_PATH)]
    pub config: PathBuf,

    /// Say which keys are printed, which are not, and why; for people, not for sshd
    #[arg(long, conflicts_with = "kind")]
    pub explain: bool,

    /// Print the principal of a certificate that opens the account, for sshd's AuthorizedPrincipalsCommand
    #[arg(long, requires = "key", conflicts_with = "explain")]
    pub principals: bool,

    /// The account to enter (sshd's %u)
    #[arg(allow_hyphen_values = true)]
    pub user: String,

    /// Type of the offered key or certificate (sshd's %t): print only that key, if it is accepted
    #[arg(value_name = "TYPE", requires = "key")]
    pub kind: Option<String>,

    /// The offered key or certificate, in base64 (sshd's %k)
    pub key: Option<String>,
}

impl Arguments {
    /// Reads the command line.
    pub fn read() -> Result<Self, clap::Error> {
        let words: Vec<OsString> = std::env::args_os().skip(1).collect();
        Self::plain(&words).map_or_else(Self::try_parse, Ok)
    }

    /// sshd's own calls, `USER`, `USER TYPE KEY` and `--principals USER TYPE KEY`, as clap would read them: to make clap's
    /// tables first costs each login more than to read the configuration.
    fn plain(words: &[OsString]) -> Option<Self> {
        let text = |word: &OsString| word.to_str().filter(|text| !text.starts_with('-')).map(String::from);
        let (principals, words) = match words.split_first() {
            Some((first, rest)) if first == "--principals" && rest.len() == 3 => (true, rest),
            _ => (false, words),
        };
        let (user, key) = match words {
            [user] => (text(user)?, None),
            [user, kind, key] => (text(user)?, Some((text(kind)?, text(key)?))),
            _ => return None,
        };
        let (kind, key) = key.unzip();
        Some(Self {
            config: PathBuf::from(host::config::DEFAULT_PATH),
            explain: false,
            principals,
            user,
            kind,
            key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sshds_call_is_read_as_clap_reads_it() {
        for (line, is_plain) in [
            ("alice", true),
            ("alice ssh-ed25519 AAAA", true),
            ("help", true),
            ("--principals alice ssh-ed25519-cert-v01@openssh.com AAAA", true),
            ("--principals alice", false),
            ("alice --principals ssh-ed25519-cert-v01@openssh.com AAAA", false),
            ("--principals --explain alice", false),
            ("--principals alice ssh-ed25519", false),
            ("alice ssh-ed25519", false),
            ("alice ssh-ed25519 AAAA more", false),
            ("--config /etc/other alice", false),
            ("--explain alice", false),
            ("alice --explain", false),
            ("-- alice", false),
            ("-alice", false),
            ("--version", false),
            ("", false),
        ] {
            let words: Vec<OsString> = line.split_ascii_whitespace().map(OsString::from).collect();
            let read = Arguments::plain(&words);
            assert_eq!(read.is_some(), is_plain, "{line}");
            let by_clap = Arguments::try_parse_from([OsString::from("authkeys")].iter().chain(&words));
            assert!(read.is_none_or(|read| by_clap.is_ok_and(|clap| clap == read)), "{line}");
        }
        // An empty word, which sshd can pass.
        let words = ["alice", "", ""].map(OsString::from);
        let by_clap = Arguments::try_parse_from([OsString::from("authkeys")].iter().chain(&words)).unwrap();
        assert_eq!(Arguments::plain(&words), Some(by_clap));
    }
}
