//! Secrets that systemd passes to a sync (`LoadCredential=`), in place of files beside the configuration.
//!
//! Only the two syncs ask, so that no environment reaches a login. A credential replaces the secret of the same
//! name beside the configuration; a secret that the configuration keeps elsewhere is read there and nowhere else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Config, Directory};
use crate::secret::CREDENTIALS;

impl Config {
    /// The same, with secrets from `$CREDENTIALS_DIRECTORY` where they are there.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "it says where systemd put what root told it to, and only that is taken"
    )]
    pub fn with_credentials(mut self) -> Self {
        if let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY") {
            self.take_credentials(Path::new(&directory));
        }
        self
    }

    fn take_credentials(&mut self, directory: &Path) {
        // systemd makes a separate directory for each unit; any other name there is not from it.
        if directory.parent() != Some(Path::new(CREDENTIALS)) || directory.file_name().is_none() {
            return;
        }
        let beside = self.path.parent().unwrap_or(Path::new("/")).to_path_buf();
        for secret in self.secrets() {
            let Some(name) = secret.file_name().filter(|_| secret.parent() == Some(&beside)) else {
                continue;
            };
            let credential = directory.join(name);
            // Whether it is to be trusted is judged when it is read.
            if credential.symlink_metadata().is_ok() {
                *secret = credential;
            }
        }
    }

    /// The files with secrets that this configuration names.
    fn secrets(&mut self) -> Vec<&mut PathBuf> {
        let mut secrets = Vec::new();
        if let Some(fleet) = &mut self.fleet {
            secrets.extend(&mut Arc::make_mut(fleet).header_file);
        }
        if let Some(Directory::Ldap(ldap)) = &mut self.directory {
            let ldap = ldap.as_mut();
            secrets.extend(&mut ldap.bind_password_file);
            secrets.extend(ldap.client.as_mut().map(|client| &mut client.key));
        }
        for source in &mut self.oncall.sources {
            secrets.extend(source.provider.secrets_mut());
        }
        secrets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown};

    use crate::secret::Secret;

    const CONFIG: &str = "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nbind_dn = 'cn=x'\n\
        bind_password_file = 'bind-password'\nclient_cert_file = 'host.pem'\nclient_key_file = '/etc/keys/host.key'\n\
        [[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\ntoken_file = 'token'\nschedules = ['P1']\n\
        [[oncall.source]]\nname = 'app'\nprovider = 'pagerduty'\nschedules = ['P1']\n\
        [oncall.source.oauth]\nclient_id = 'c'\nclient_secret_file = '/etc/authkeys/app'\nsubdomain = 'acme'\n";

    /// The secrets as they are looked for when systemd passes those in `directory`.
    fn found(directory: &Path) -> Vec<String> {
        let mut config = Config::parse(Path::new("/etc/authkeys/config.toml"), CONFIG.as_bytes()).unwrap();
        config.take_credentials(directory);
        config.secrets().iter().map(|secret| secret.display().to_string()).collect()
    }

    /// As systemd makes it: the unit's user owns the directory and what is in it.
    fn passed(names: &[&str]) -> tempfile::TempDir {
        fs::create_dir_all(CREDENTIALS).expect("these tests write to /run and need root");
        let directory = tempfile::tempdir_in(CREDENTIALS).unwrap();
        for name in names {
            let file = directory.path().join(name);
            fs::write(&file, "secret\n").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
            chown(&file, Some(65_534), None).unwrap();
        }
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o500)).unwrap();
        chown(directory.path(), Some(65_534), None).unwrap();
        directory
    }

    #[test]
    fn a_credential_stands_for_the_secret_of_its_name_beside_the_configuration() {
        let directory = passed(&["bind-password", "host.key", "app"]);
        let at = |name: &str| directory.path().join(name).display().to_string();
        let elsewhere = "/etc/keys/host.key".to_string();
        let missing = "/etc/authkeys/token".to_string();
        assert_eq!(found(directory.path()), [at("bind-password"), elsewhere, missing, at("app")]);
        assert_eq!(Secret::read(&directory.path().join("app")).unwrap().expose(), "secret");
    }

    #[test]
    fn what_systemd_did_not_make_passes_nothing() {
        let directory = passed(&["bind-password"]);
        let plain = found(Path::new("/nonexistent"));
        assert!(plain.iter().all(|secret| secret.starts_with("/etc/")), "{plain:?}");
        let inside = directory.path().join("more");
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("bind-password"), "x").unwrap();
        for other in
            [inside.as_path(), &directory.path().join(".."), Path::new(CREDENTIALS), Path::new("/run")]
        {
            assert_eq!(found(other), plain, "{}", other.display());
        }
    }

    #[test]
    fn a_credential_that_another_could_have_written_is_refused_and_not_passed_over() {
        let directory = passed(&["bind-password"]);
        let file = directory.path().join("bind-password");
        chown(&file, Some(65_533), None).unwrap();
        let secrets = found(directory.path());
        assert_eq!(secrets[0], file.display().to_string());
        assert!(Secret::read(&file).unwrap_err().to_string().contains("it belongs to the wrong user"));
    }
}
