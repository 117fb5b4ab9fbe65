# config.toml, and files beside it that everybody may read. What the host's own oncall-cache refuses is not put in its
# place, and then nothing is written.
unified_mode true
provides :authkeys_config
description 'Writes the configuration of authkeys'

property :path, String, name_property: true
property :config, Hash, required: [:create]
property :mode, String, equal_to: %w[observe enforce], default: 'observe'
property :files, Hash, default: {}

default_action :create

action :create do
  policy = new_resource.config.fetch('policy', {})
  raise ArgumentError, "policy.mode is node['authkeys']['mode']" if policy.key?('mode')

  config = new_resource.config.merge('policy' => policy.merge('mode' => new_resource.mode))
  template new_resource.path do
    source 'config.toml.erb'
    cookbook 'authkeys'
    owner 'root'
    group 'root'
    mode '0644'
    variables(toml: Authkeys::Toml.render(config))
    verify '/usr/bin/oncall-cache config check %{path}'
  end

  directory = ::File.dirname(new_resource.path)
  new_resource.files.each do |name, text|
    file "#{directory}/#{name}" do
      content text
      owner 'root'
      group 'root'
      mode '0644'
    end
  end
end

action :delete do
  file new_resource.path do
    action :delete
  end
end
