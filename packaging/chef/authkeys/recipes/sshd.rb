# The drop-in of the package, of the release that is installed.
sshd = authkeys_sshd
shipped = '/usr/share/authkeys/10-authkeys.conf'
drop_in = '/etc/ssh/sshd_config.d/10-authkeys.conf'

# Before anything changes: what is wrong only when sshd is to be reloaded would leave it as it was, and the next run
# knows of no change.
execute 'check sshd before' do
  command ['/usr/sbin/sshd', '-t']
  not_if { ::File.exist?(drop_in) && ::FileUtils.identical?(shipped, drop_in) }
end

file drop_in do
  # In why-run mode a new host has none.
  content(lazy { ::File.exist?(shipped) ? ::File.read(shipped) : '' })
  owner 'root'
  group 'root'
  mode '0644'
  verify '/usr/sbin/sshd -t -f %{path}'
  notifies :run, 'execute[check sshd]', :immediately
  notifies :reload, "service[#{sshd}]", :immediately
end

# The drop-in is only a part of it: a reload with an error would end sshd.
execute 'check sshd' do
  command ['/usr/sbin/sshd', '-t']
  action :nothing
end

service sshd do
  action :nothing
end
