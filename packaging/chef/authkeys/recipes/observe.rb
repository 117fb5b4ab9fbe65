# Everything but the word: a host that enforces goes on enforcing if it is meant to, any other observes.
include_recipe 'authkeys::packages'

enforces = node['authkeys']['mode'] == 'enforce' && authkeys_enforces?
authkeys_config '/etc/authkeys/config.toml' do
  config node['authkeys']['config'].to_h
  files node['authkeys']['files'].to_h
  mode enforces ? 'enforce' : 'observe'
end

%w[
  authkeys-sync.timer oncall-cache-sync.timer oncall-cache-heartbeat.timer oncall-cache-end.timer
  authkeys-changed.path oncall-cache-refresh.socket
].each do |name|
  systemd_unit name do
    action %i[enable start]
  end
end

follows = authkeys_follows?
%w[authkeys-fleet.path oncall-cache-people.path oncall-cache-pull.timer].each do |name|
  systemd_unit name do
    action follows ? %i[enable start] : %i[stop disable]
  end
end

%w[authkeys-metrics.timer authkeys-doctor.timer authkeys-doctor.path].each do |name|
  systemd_unit name do
    action node['authkeys']['metrics'] ? %i[enable start] : %i[stop disable]
  end
end

authkeys_sync 'copies' do
  fleet follows
end

include_recipe 'authkeys::collector' unless node['authkeys']['collector'].empty?

include_recipe 'authkeys::sinks' unless node['authkeys']['sinks'].empty?

include_recipe 'authkeys::notify' unless node['authkeys']['notify'].empty?

# What nobody writes any more would be read for ever.
%w[/var/lib/prometheus/node-exporter /var/lib/node_exporter/textfile_collector].each do |directory|
  file "#{directory}/oncall-cache.prom" do
    action :delete
    not_if { node['authkeys']['metrics'] }
  end
end

include_recipe 'authkeys::sshd' if node['authkeys']['sshd']

authkeys_pam 'stacks' do
  services node['authkeys']['pam_services'].to_a
end
