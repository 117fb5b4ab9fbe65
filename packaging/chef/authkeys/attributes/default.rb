# What config.toml says in policy.mode: 'observe' or 'enforce'.
default['authkeys']['mode'] = 'observe'

# config.toml, with the names that it has there, but policy.mode. A secret is a file that it names: authkeys_secret.
default['authkeys']['config'] = {}

# Files beside config.toml that everybody may read: { 'rota.toml' => "..." }.
default['authkeys']['files'] = {}

# collector.toml, with the names that it has there. Not empty: this host publishes for a fleet.
default['authkeys']['collector'] = {}

# notify.toml, with the names that it has there. Not empty: this host tells people and channels what records say.
default['authkeys']['notify'] = {}

# sinks.toml, with the names that it has there. Not empty: this host tells others who is on call.
default['authkeys']['sinks'] = {}

# The version of the packages to have; nil: the newest at first, and then what is there.
default['authkeys']['version'] = nil

# Install the NSS module too; nil: where the configuration has 'nss'.
default['authkeys']['nss'] = nil

# Put /etc/ssh/sshd_config.d/10-authkeys.conf there.
default['authkeys']['sshd'] = true

# The services whose stacks get lines of pam_oncall.so: all that the host uses, or exactly those that are named.
default['authkeys']['pam_services'] = %w[all]

# Run authkeys-metrics.timer and authkeys-doctor.timer, for node_exporter.
default['authkeys']['metrics'] = false

# Findings of `oncall-cache doctor` that do not keep a host from enforcing, by their ids.
default['authkeys']['doctor_ignores'] = []

# authkeys::remove also takes configuration, secrets, copies and the audit log.
default['authkeys']['purge'] = false
