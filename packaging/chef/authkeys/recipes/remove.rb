# sshd and PAM first: what they name has to be there for as long as they name it.
sshd = authkeys_sshd
drop_in = '/etc/ssh/sshd_config.d/10-authkeys.conf'
execute 'check sshd before' do
  command ['/usr/sbin/sshd', '-t']
  only_if { ::File.exist?(drop_in) }
end

file drop_in do
  action :delete
  notifies :run, 'execute[check sshd]', :immediately
  notifies :reload, "service[#{sshd}]", :immediately
end

execute 'check sshd' do
  command ['/usr/sbin/sshd', '-t']
  action :nothing
end

service sshd do
  action :nothing
end

authkeys_pam 'stacks' do
  action :disable
end

purge = node['authkeys']['purge']
removal = purge && platform_family?('debian') ? :purge : :remove
package authkeys_all_packages.reverse do
  action removal
end

%w[
  /etc/authkeys /var/lib/authkeys /var/lib/oncall-cache /var/lib/oncall-grant-accept /var/lib/oncall-collector
  /var/lib/oncall-sink /var/lib/oncall-notify
  /var/cache/authkeys /var/log/authkeys /run/authkeys
].each do |path|
  directory path do
    recursive true
    action :delete
    only_if { purge }
  end
end
