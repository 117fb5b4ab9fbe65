# Ends the run where `oncall-cache doctor` finds something that enforcing would turn against somebody.
unified_mode true
provides :authkeys_doctor
description 'Asks the doctor of this host'

property :ignores, Array, default: []

default_action :ask

action :ask do
  if authkeys_ready?
    asked = shell_out('/usr/bin/oncall-cache', 'doctor', '--json')
    findings = JSON.parse(asked.stdout).fetch('findings').reject do |one|
      # That the host observes is a finding too.
      one['severity'] == 'note' || one['id'] == 'observe' || new_resource.ignores.include?(one['id'])
    end
    told = findings.map { |one| "#{one['severity']} #{one['id']} #{one['file']}: #{one['what']}" }
    raise "this host observes as before; its doctor says: #{told.join('; ')}" unless told.empty?
  end
end

action_class do
  include Authkeys::Programs
end
