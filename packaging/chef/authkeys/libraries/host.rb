require 'json'

module Authkeys
  # What the recipes ask of the node and of the host.
  module Host
    def authkeys_packages
      nss = node['authkeys']['nss']
      nss = node['authkeys']['config'].key?('nss') if nss.nil?
      names = authkeys_all_packages
      nss ? names : names.first(2)
    end

    def authkeys_all_packages
      platform_family?('debian') ? %w[authkeys libpam-oncall libnss-oncall] : %w[authkeys pam_oncall nss_oncall]
    end

    def authkeys_sshd
      platform_family?('debian') ? 'ssh' : 'sshd'
    end

    # Does config.toml say so by now? A host without one, or with one that is not understood, observes at first.
    def authkeys_enforces?
      return false unless ::File.exist?('/usr/bin/oncall-cache')

      shown = shell_out('/usr/bin/oncall-cache', 'config', 'show', '--json')
      !shown.error? && JSON.parse(shown.stdout)['config']['policy']['mode'] == 'enforce'
    end
  end
end

Chef::DSL::Recipe.include(Authkeys::Host)
