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
  oncall-cache-refresh.socket
].each do |name|
  systemd_unit name do
    action %i[enable start]
  end
end

follows = authkeys_follows?
systemd_unit 'oncall-cache-pull.timer' do
  action follows ? %i[enable start] : %i[stop disable]
end

metrics = node['authkeys']['metrics']
%w[authkeys-metrics.timer authkeys-doctor.timer].each do |name|
  systemd_unit name do
    action metrics ? %i[enable start] : %i[stop disable]
  end
end

# Where root of a host has no inotify instances left they do not start. Timers do the same some minutes later: that is
# no reason to leave a host with half of everything, and the next run starts them.
{
  'authkeys-changed.path' => true, 'authkeys-fleet.path' => follows, 'oncall-cache-people.path' => follows,
  'authkeys-doctor.path' => metrics
}.each do |name, wanted|
  systemd_unit name do
    action wanted ? %i[enable start] : %i[stop disable]
    ignore_failure wanted
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
