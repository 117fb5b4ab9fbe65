# A file beside config.toml that one program may read. It is in no log, no report and no backup.
unified_mode true
provides :authkeys_secret
description 'Writes a secret that the configuration of authkeys names'

property :file_name, String, name_property: true, regex: /\A[A-Za-z0-9_][A-Za-z0-9._-]*\z/
property :content, String, required: [:create], sensitive: true
property :group, String, required: [:create],
                         equal_to: %w[authkeys-sync oncall-cache oncall-collector oncall-hear oncall-notify oncall-sink]

default_action :create

action :create do
  file "/etc/authkeys/#{new_resource.file_name}" do
    content new_resource.content
    owner 'root'
    group new_resource.group
    mode '0640'
    sensitive true
    backup false
  end
end

action :delete do
  file "/etc/authkeys/#{new_resource.file_name}" do
    backup false
    action :delete
  end
end
