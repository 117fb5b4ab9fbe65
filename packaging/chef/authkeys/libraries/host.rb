require 'json'

module Authkeys
  # What resources ask of the programs of this host.
  module Programs
    # In why-run mode a new host has nothing yet that could be asked.
    def authkeys_ready?
      !whyrun_mode? || ::File.exist?('/usr/bin/oncall-cache')
    end
  end

  # What the recipes ask of the node and of the host.
  module Host
    def authkeys_packages
      nss = node['authkeys']['nss']
      nss = node['authkeys']['config'].key?('nss') if nss.nil?
      names = authkeys_all_packages
      names -= [names[2]] unless nss
      names -= ['oncall-collector'] if node['authkeys']['collector'].empty? && node['authkeys']['sinks'].empty?
      names -= ['oncall-notify'] if node['authkeys']['notify'].empty?
      names
    end

    def authkeys_all_packages
      modules = platform_family?('debian') ? %w[libpam-oncall libnss-oncall] : %w[pam_oncall nss_oncall]
      ['authkeys', *modules, 'oncall-collector', 'oncall-notify']
    end

    # Does this host read what a fleet's collector publishes?
    def authkeys_follows?
      node['authkeys']['config'].key?('fleet')
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

# The class itself: before Ruby 3.0 what is included in a module later does not reach those that have it already.
Chef::Recipe.include(Authkeys::Host)
