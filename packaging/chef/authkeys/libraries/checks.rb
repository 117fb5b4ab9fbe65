module Authkeys
  # How a file in /etc/authkeys is checked before it is there.
  module Checks
    CONFIG = %w[/usr/bin/oncall-cache config check --as].freeze

    module_function

    # By its name, which the configuration may say with its directory.
    def of(config)
      rotas = config.dig('oncall', 'source').to_a.select { |one| one['provider'] == 'rota' }.map { |one| one['file'] }
      people = [config.dig('directory', 'file')]
      checks = { 'config.toml' => CONFIG + ['config'], 'revoked' => CONFIG + ['revoked'] }
      rotas.compact.each { |file| checks[name(file)] = CONFIG + ['rota'] }
      people.compact.each { |file| checks[name(file)] = %w[/usr/bin/authkeys-sync --check-people] }
      checks
    end

    def name(file)
      file.delete_prefix('/etc/authkeys/')
    end
  end
end
