# Makes the copies of who there is and who is on call. What was written has to be read well once: until it was, each run
# tries again. What fails later is somebody else's outage.
unified_mode true
provides :authkeys_sync
description 'Makes both syncs where they are owed'

# Is what they copy a fleet's? Then one pull fetches it.
property :fleet, [true, false], default: false

default_action :make

# Ends the run of a host that does not know who is on call; one that still knows and hears nothing new is warned about.
action :make do
  if authkeys_ready?
    # Started anew: a sync that runs already may have read the files as they were before.
    units = new_resource.fleet ? %w[oncall-cache-pull authkeys-sync] : %w[authkeys-sync oncall-cache-sync]
    (owed? ? units : []).each do |name|
      service name do
        action :restart
      end
    end
    health, message = status.values_at('health', 'message')
    raise "this host does not know who is on call: #{message}" if health == 'not-believed' && !whyrun_mode?

    Chef::Log.warn("authkeys: #{message}") unless health == 'well'
  end
end

action_class do
  include Authkeys::Programs

  def status
    JSON.parse(shell_out('/usr/bin/oncall-cache', 'status', '--json').stdout)
  end

  def owed?
    asked = status
    last = asked['last_sync'] || {}
    unread = asked.fetch('schedules', []).reject { |one| one['state'] == 'read' }
    reads = [last['attempted']]
    # What comes from a fleet is as old as the collector's reading, which this host cannot hurry.
    reads += [last['people_synced'], *unread.map { |one| one['synced'] }] unless new_resource.fleet
    asked['health'] == 'not-believed' || reads.any? { |at| at.nil? || at < changed }
  end

  # When the files that they read were changed last. Who is shut out, and the mode of this host, is read by each login.
  def changed
    files = Dir['/etc/authkeys/*'].reject { |path| path.end_with?('/revoked', '/switch', '.lock') }
    files.map { |path| ::File.ctime(path) }.max.utc.strftime('%FT%TZ')
  end
end
