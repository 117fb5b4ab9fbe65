# Who is told who is on call. Its secrets are there: authkeys_secret, group oncall-sink. Both are read by each run.
template '/etc/authkeys/sinks.toml' do
  source 'config.toml.erb'
  owner 'root'
  group 'root'
  mode '0644'
  variables(toml: Authkeys::Toml.render(node['authkeys']['sinks'].to_h))
  verify '/usr/bin/oncall-collector config check --sinks %{path}'
end

systemd_unit 'oncall-collector-sink.timer' do
  action %i[enable start]
end
