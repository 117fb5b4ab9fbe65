# The lines of pam_oncall.so in the stacks of this host. Lines that somebody changed stay as they are.
unified_mode true
provides :authkeys_pam
description 'Puts pam_oncall.so into PAM stacks, or takes it out of all'

property :services, Array, default: %w[all]

default_action :enable

action :enable do
  # Without names it takes those that the host uses.
  services = new_resource.services
  words = services.include?('all') ? [] : services
  execute 'put pam_oncall.so into the PAM stacks' do
    command ['/usr/sbin/pam-oncall-enable', *words]
    not_if { services.empty? || nothing_to_do?(*words) }
  end
end

action :disable do
  execute 'take pam_oncall.so out of the PAM stacks' do
    command ['/usr/sbin/pam-oncall-enable', '--undo']
    only_if { ::File.exist?('/usr/sbin/pam-oncall-enable') }
    not_if { nothing_to_do?('--undo') }
  end
end

action_class do
  # Where it cannot be asked, in why-run mode on a new host, there is something to do.
  def nothing_to_do?(*words)
    return false unless ::File.exist?('/usr/sbin/pam-oncall-enable')

    asked = shell_out('/usr/sbin/pam-oncall-enable', '--dry-run', *words)
    !asked.error? && asked.stdout.empty?
  end
end
