require 'json'

module Authkeys
  # Settings as TOML. A string of JSON is one of TOML, but for the byte DEL. `until`, the only date there is, comes as a
  # string, because attributes have no dates.
  module Toml
    DATE = /\A\d{4}-\d{2}-\d{2}([T ][0-9:.]+(Z|[+-][0-9:]+))?\z/.freeze

    module_function

    def render(settings, path = '')
      values, rest = settings.partition { |_, value| !table?(value) && !tables?(value) }
      lines = values.map { |name, value| "#{key(name)} = #{scalar(value, name)}\n" }
      tables, lists = rest.partition { |_, value| table?(value) }
      lines += tables.map { |name, value| section('[%s]', path, name, value) }
      lines += lists.flat_map { |name, list| list.map { |value| section('[[%s]]', path, name, value) } }
      lines.join
    end

    def section(brackets, path, name, settings)
      path += key(name)
      "\n#{format(brackets, path)}\n#{render(settings, "#{path}.")}"
    end

    def table?(value)
      value.is_a?(Hash)
    end

    def tables?(value)
      value.is_a?(Array) && value.any? && value.all? { |one| table?(one) }
    end

    def key(name)
      name.match?(/\A[A-Za-z0-9_-]+\z/) ? name : string(name)
    end

    def string(text)
      JSON.generate(text).gsub("\u007f", '\\u007f')
    end

    def scalar(value, name = '')
      case value
      when String then name == 'until' && value.match?(DATE) ? value : string(value)
      when true, false, Integer, Float then value.to_s
      when Array then "[#{value.map { |one| scalar(one) }.join(', ')}]"
      when Hash then "{#{value.map { |field, one| "#{key(field)} = #{scalar(one, field)}" }.join(', ')}}"
      else raise ArgumentError, "node['authkeys']['config']: #{name}: TOML has nothing for #{value.inspect}"
      end
    end
  end
end
