# The drop-in of the package, of the release that is installed.
sshd = authkeys_sshd
file '/etc/ssh/sshd_config.d/10-authkeys.conf' do
  content(lazy { ::File.read('/usr/share/authkeys/10-authkeys.conf') })
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
