# What publishes for a fleet, once the copies are there. Its key is a secret: authkeys_secret, group oncall-collector.
store = node['authkeys']['collector'].dig('store', 'directory')
directory 'the store' do
  path(store || '/srv/authkeys-fleet')
  owner 'oncall-collector'
  group 'oncall-collector'
  mode '0755'
  only_if { store }
end

hears = node['authkeys']['collector'].key?('hear')
toml = Authkeys::Toml.render(node['authkeys']['collector'].to_h)
template '/etc/authkeys/collector.toml' do
  source 'config.toml.erb'
  owner 'root'
  group 'root'
  mode '0644'
  variables(toml: toml)
  notifies :restart, 'service[oncall-collector-publish]', :immediately
  notifies :restart, 'service[oncall-collector-hear]' if hears
end

# It must succeed once: what the syncs wrote may be the first that there is to publish.
service 'oncall-collector-publish' do
  action :nothing
end

%w[oncall-collector-publish.timer oncall-collector-publish.path].each do |name|
  systemd_unit name do
    action %i[enable start]
    # As in observe.rb: the timer publishes as well.
    ignore_failure name.end_with?('.path')
  end
end

# It reads collector.toml and its secrets when it starts.
service 'oncall-collector-hear' do
  action hears ? %i[enable start] : %i[stop disable]
end
