# config.toml, and files beside it that everybody may read. What the host's own programs refuse is not put in its place,
# and then nothing is written.
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
  toml = Authkeys::Toml.render(config)
  refuse_what_is_wrong('config.toml' => toml, **new_resource.files) if authkeys_ready?

  # config.toml last: it names the others.
  directory = ::File.dirname(new_resource.path)
  new_resource.files.each do |name, text|
    file "#{directory}/#{name}" do
      content text
      owner 'root'
      group 'root'
      mode '0644'
    end
  end

  template new_resource.path do
    source 'config.toml.erb'
    cookbook 'authkeys'
    owner 'root'
    group 'root'
    mode '0644'
    variables(toml: toml)
  end
end

action :delete do
  file new_resource.path do
    action :delete
  end
end

action_class do
  include Authkeys::Programs

  def refuse_what_is_wrong(files)
    checks = Authkeys::Checks.of(new_resource.config)
    files.each do |name, text|
      asked = shell_out(*checks.fetch(name), '/dev/stdin', input: text) if checks.key?(name)
      raise "#{name}: #{asked.stderr.strip}" if asked&.error?
    end
  end
end
