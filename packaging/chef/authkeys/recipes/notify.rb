# Who is told what records say. Its secrets are there: authkeys_secret, group oncall-notify.
template '/etc/authkeys/notify.toml' do
  source 'config.toml.erb'
  owner 'root'
  group 'root'
  mode '0644'
  variables(toml: Authkeys::Toml.render(node['authkeys']['notify'].to_h))
  verify '/usr/bin/oncall-notify config check %{path}'
  notifies :restart, 'service[oncall-notify]'
end

# Where it follows this host's own record: the module gives a new one its directory's group.
own = node['authkeys']['notify'].fetch('files', []).any? { |file| file.start_with?('/var/log/authkeys/') }
directory '/var/log/authkeys' do
  owner 'root'
  group 'oncall-notify'
  mode '0750'
  only_if { own }
end

record = '/var/log/authkeys/decisions.jsonl'
execute 'let oncall-notify read the record' do
  command ['chgrp', 'oncall-notify', record]
  only_if { own && ::File.exist?(record) && ::File.stat(record).gid != ::File.stat(::File.dirname(record)).gid }
end

# It reads a secret for each message, and notify.toml when it starts.
service 'oncall-notify' do
  action %i[enable start]
end
