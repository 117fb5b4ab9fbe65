# Plays Chef for the cookbook: the part of its recipe language that the cookbook speaks, as Chef's documentation has it, and
# nothing else. An unknown word, property, action or target of a notification ends it, as it would end a run of Chef.
#
#   ruby converge.rb COOKBOOK NODE.json RECIPE [why-run]
#
# Files, templates, directories and commands are really made and run, with their guards and verifications, and so are the
# syncs when their services are started anew. Packages, other services and units are not: they are told. In why-run mode
# nothing is made, and what Chef evaluates then is evaluated. Prints what it `changed`, of what it `told` and `warned`.
require 'erb'
require 'etc'
require 'fileutils'
require 'json'
require 'open3'
require 'tmpdir'

class Chef
  # What recipes are evaluated in.
  class Recipe; end

  # Its warnings.
  module Log
    def self.warn(text) = puts("warned #{text}")
  end
end

COOKBOOK, NODE, RUN, WHY_RUN = ARGV
SYNCS = {
  'authkeys-sync' => 'authkeys-sync', 'oncall-cache-sync' => 'oncall-cache sync', 'oncall-cache-pull' => 'oncall-cache pull',
  'oncall-collector-publish' => 'oncall-collector publish'
}.freeze
BOOLEAN = [true, false].freeze
# The properties and actions of Chef's own resources; the first action is what happens unless something is said.
FILE = {
  path: [String], content: [String], owner: [String, Integer], group: [String, Integer], mode: [String, Integer],
  backup: [Integer, false], checksum: [String], force_unlink: BOOLEAN, atomic_update: BOOLEAN
}.freeze
OWN = {
  file: [FILE, %i[create delete touch create_if_missing]],
  template: [FILE.merge(source: [String, Array], cookbook: [String], variables: [Hash], local: BOOLEAN),
             %i[create delete touch create_if_missing]],
  directory: [{ path: [String], recursive: BOOLEAN, owner: [String], group: [String], mode: [String] }, %i[create delete]],
  execute: [{ command: [String, Array], creates: [String], cwd: [String], environment: [Hash], returns: [Integer, Array],
              timeout: [Integer], user: [String], umask: [String], live_stream: BOOLEAN }, %i[run]],
  package: [{ package_name: [String, Array], version: [String, Array], options: [String, Array], source: [String],
              timeout: [Integer] }, %i[install upgrade remove purge reconfig lock unlock]],
  service: [{ service_name: [String], supports: [Hash], timeout: [Integer] },
            %i[nothing enable disable start stop restart reload mask unmask]],
  systemd_unit: [{ content: [String, Hash], triggers_reload: BOOLEAN, unit_name: [String], user: [String],
                   verify: BOOLEAN },
                 %i[nothing create delete enable disable mask unmask start stop restart reload try_restart
                    reload_or_restart reload_or_try_restart]]
}.freeze
COMMON = { sensitive: BOOLEAN, ignore_failure: BOOLEAN, retries: [Integer], retry_delay: [Integer] }.freeze

Lazy = Struct.new(:block)
Property = Struct.new(:types, :options)
Kind = Struct.new(:properties, :actions, :default, :blocks, :helpers)

# What every context has: recipes, resources and the actions of custom ones.
module Universal
  def node
    $node
  end

  def platform_family?(*families)
    families.include?(node['platform_family'])
  end

  def shell_out(*words, input: '')
    stdout, stderr, status = Open3.capture3(*words, stdin_data: input)
    Struct.new(:stdout, :stderr, :error?).new(stdout, stderr, !status.success?)
  end

  def lazy(&block)
    Lazy.new(block)
  end
end

# Declares resources by their names. `declare` says what becomes of one.
module Declares
  def method_missing(word, *words, &block)
    return super unless $kinds.key?(word)

    declare(Resource.new(word, words.fetch(0), self, &block))
  end

  def respond_to_missing?(word, all = false)
    $kinds.key?(word) || super
  end
end

class Resource
  include Universal
  attr_reader :type, :name, :actions, :notifications, :values

  def initialize(type, name, context, &block)
    @type, @name, @context, @kind = type, name, context, $kinds.fetch(type)
    @values, @notifications, @guards, @verifications, @actions = {}, [], [], [], [@kind.default]
    instance_eval(&block) if block
    required = @kind.properties.select { |_, one| [*one.options[:required]].intersect?([true, *@actions]) }.keys
    missing = required - @values.keys
    raise "#{self}: #{missing.join(', ')} is required" unless missing.empty?
  end

  def to_s
    "#{type}[#{[*name].join(', ')}]"
  end

  def action(*actions)
    @actions = actions.flatten
    unknown = @actions - @kind.actions - [:nothing]
    raise "#{self}: no action #{unknown.join(', ')}" unless unknown.empty?
  end

  def notifies(action, target, timing = :delayed)
    raise "#{self}: no timing #{timing}" unless %i[before delayed immediate immediately].include?(timing)

    @notifications << [action, target, timing]
  end

  def only_if(command = nil, &block)
    @guards << [true, command || block]
  end

  def not_if(command = nil, &block)
    @guards << [false, command || block]
  end

  def verify(command)
    raise NoMethodError, "#{self}: no verify" unless %i[file template].include?(type)

    @verifications << command
  end

  def method_missing(word, *words, &block)
    property = @kind.properties[word]
    # Helpers of the action that a resource is declared in; a recipe's are out of reach.
    return @context.public_send(word, *words, &block) if !property && @context.is_a?(Action) && @context.respond_to?(word)
    raise NoMethodError, "#{self}: no property #{word}" unless property
    return value(word) if words.empty?

    @values[word] = checked(word, property, words.fetch(0))
  end

  def respond_to_missing?(word, all = false)
    @kind.properties.key?(word) || super
  end

  def value(word)
    options = @kind.properties.fetch(word).options
    return name if !@values.key?(word) && options[:name_property]

    found = @values.fetch(word, options[:default])
    found.is_a?(Lazy) ? checked(word, @kind.properties[word], instance_eval(&found.block)) : found
  end

  def run(action)
    return if action == :nothing || !@guards.all? { |wanted, guard| holds?(guard) == wanted }
    return unless @kind.blocks ? Action.new(self, @kind).converge(action) : Provider.new(self, @verifications).run(action)

    puts "changed #{self} #{action}"
    @notifications.each { |target_action, target, timing| $run.notify(target_action, target, timing) }
    true
  end

  private

  def holds?(guard)
    guard.is_a?(Proc) ? (guard.call ? true : false) : system(guard)
  end

  def checked(word, property, it)
    return it if it.is_a?(Lazy)

    fits = property.types.any? { |type| type.is_a?(Module) ? it.is_a?(type) : it == type }
    fits &&= property.options.fetch(:equal_to, [it]).include?(it)
    fits &&= it.match?(property.options[:regex]) if property.options[:regex]
    fits ? it : raise("#{self}: #{word} cannot be #{it.inspect}")
  end
end

# What a resource of Chef's own does; true if something changed.
class Provider
  def initialize(resource, verifications)
    @it, @verifications = resource, verifications
  end

  def run(action)
    case @it.type
    when :file, :template then action == :delete ? delete(&FileUtils.method(:rm)) : create(content)
    when :directory then action == :delete ? delete(&FileUtils.method(:rm_r)) : make
    when :execute then execute
    else tell(action)
    end
  end

  private

  def tell(action)
    puts("told #{@it} #{action}")
    sync = SYNCS[@it.name] if @it.type == :service && action == :restart && !WHY_RUN
    raise "#{@it} failed" if sync && !system("runuser -u #{sync.split.first} -- #{sync}", out: File::NULL)
  end

  def path
    @it.values.fetch(:path, @it.name)
  end

  def delete
    return false unless File.exist?(path)

    yield path unless WHY_RUN
    true
  end

  def content
    return @it.content if @it.type == :file

    scope = Object.new
    @it.variables.each { |name, value| scope.instance_variable_set("@#{name}", value) }
    template = File.read(File.join(COOKBOOK, 'templates', @it.source))
    scope.instance_eval { ERB.new(template, trim_mode: '-').result(binding) }
  end

  def create(text)
    changed = !File.exist?(path) || File.read(path) != text
    put(text) if changed
    owned(changed)
  end

  def make
    changed = !File.directory?(path)
    FileUtils.mkdir(path) if changed && !WHY_RUN
    owned(changed)
  end

  # Has it the owner and mode that it should have? True if it, or they, changed.
  def owned(changed)
    return changed if WHY_RUN

    owner = [Etc.getpwnam(@it.owner).uid, Etc.getgrnam(@it.group).gid, @it.mode.to_i(8)]
    stat = File.stat(path)
    return changed if [stat.uid, stat.gid, stat.mode & 0o7777] == owner

    File.chown(*owner.first(2), path)
    File.chmod(owner.last, path)
    true
  end

  def put(text)
    staged = File.join(WHY_RUN ? Dir.tmpdir : File.dirname(path), ".chef-#{File.basename(path)}")
    File.write(staged, text, perm: 0o600)
    refused = @verifications.find { |command| !system(format(command, path: staged)) }
    raise "#{@it}: refused by #{refused}" if refused

    File.rename(staged, path) unless WHY_RUN
  ensure
    FileUtils.rm_f(staged)
  end

  def execute
    WHY_RUN || system(*@it.command) || raise("#{@it} failed")
  end
end

# The body of a custom resource's action: what it declares is done at once.
class Action
  include Universal
  include Declares
  attr_reader :new_resource

  def initialize(resource, kind)
    @new_resource, @kind, @updated = resource, kind, false
    extend(kind.helpers) if kind.helpers
  end

  def converge(action)
    instance_eval(&@kind.blocks.fetch(action))
    @updated
  end

  def whyrun_mode?
    !WHY_RUN.nil?
  end

  def declare(resource)
    raise "#{resource}: a secret is kept from logs and backups" if secret? && writes?(resource) && !discreet?(resource)

    resource.actions.each { |action| @updated |= resource.run(action) || false }
  end

  private

  def secret?
    @kind.properties.values.any? { |property| property.options[:sensitive] }
  end

  def writes?(resource)
    %i[file template].include?(resource.type) && resource.actions == [:create]
  end

  def discreet?(resource)
    resource.value(:sensitive) && resource.value(:backup) == false
  end
end

# A file in resources/.
class Definition
  def self.load(cookbook, file)
    definition = new
    definition.instance_eval(File.read(file), file)
    definition.kind("#{cookbook}_#{File.basename(file, '.rb')}".to_sym)
  end

  def initialize
    @properties, @blocks = {}, {}
  end

  def unified_mode(_) = nil
  def description(_) = nil

  def provides(name)
    @provides = name
  end

  def property(name, *types, **options)
    unknown = options.keys - %i[name_property default required equal_to regex sensitive coerce description]
    raise "property #{name}: no #{unknown.join(', ')}" unless unknown.empty?

    @properties[name] = Property.new(types.flatten, options)
  end

  def default_action(action)
    @default = action
  end

  def action(name, &block)
    @blocks[name] = block
  end

  def action_class(&block)
    @helpers = Module.new(&block)
  end

  def kind(name)
    [@provides || name, Kind.new(@properties.merge(common), @blocks.keys, @default || @blocks.keys.first, @blocks, @helpers)]
  end
end

def common
  COMMON.transform_values { |types| Property.new(types, {}) }
end

# All recipes of a run: what they declare is done when all of them are read.
class Run < Chef::Recipe
  include Universal
  include Declares

  def initialize
    @collection, @recipes, @delayed = [], [], []
  end

  def include_recipe(name)
    cookbook, recipe = name.split('::')
    file = File.join(COOKBOOK, 'recipes', "#{recipe || 'default'}.rb")
    raise "no recipe #{name}" unless cookbook == 'authkeys' && File.exist?(file)
    return if @recipes.include?(file)

    @recipes << file
    instance_eval(File.read(file), file)
  end

  def declare(resource)
    @collection << resource
  end

  def converge
    @collection.each { |one| one.notifications.each { |action, target, _| target(action, target) } }
    @collection.each { |one| one.actions.each { |action| one.run(action) } }
    @delayed.uniq.each { |action, target| target(action, target).run(action) }
  end

  def notify(action, target, timing)
    timing == :delayed ? @delayed << [action, target] : target(action, target).run(action)
  end

  private

  def target(action, name)
    found = @collection.find { |one| one.to_s == name } || raise("#{name} is notified, and is nowhere")
    $kinds.fetch(found.type).actions.include?(action) ? found : raise("#{name}: no action #{action}")
  end
end

# metadata.rb, of whose words none has to be looked at.
class Metadata
  %i[name maintainer maintainer_email license description version chef_version supports depends source_url issues_url
     provides].each { |word| define_method(word) { |*| nil } }
end

# Attributes: what is not there is made as it is named.
def attributes
  Hash.new { |hash, name| hash[name] = attributes }
end

def merged(base, over)
  base.merge(over) { |_, one, other| one.is_a?(Hash) && other.is_a?(Hash) ? merged(one, other) : other }
end

# As Chef, which gives recipes attributes that nobody can change.
def frozen(it)
  case it
  when Hash then it.each_value { |one| frozen(one) }
  when Array then it.each { |one| frozen(one) }
  end
  it.freeze
end

begin
  Metadata.new.instance_eval(File.read(File.join(COOKBOOK, 'metadata.rb')))
  default = attributes
  Dir[File.join(COOKBOOK, 'attributes/*.rb')].each { |file| binding.eval(File.read(file), file) }
  default.default = nil
  default['authkeys'].default = nil
  $node = frozen(merged(default, JSON.parse(File.read(NODE))))
  $kinds = OWN.to_h do |type, (properties, actions)|
    named = properties.transform_values { |types| Property.new(types, {}) }
    [type, Kind.new(named.merge(common), actions, actions.first)]
  end
  Dir[File.join(COOKBOOK, 'libraries/*.rb')].sort.each { |file| load file }
  Dir[File.join(COOKBOOK, 'resources/*.rb')].each { |file| $kinds.store(*Definition.load('authkeys', file)) }
  $run = Run.new
  $run.include_recipe(RUN)
  $run.converge
rescue StandardError, ScriptError => e
  abort "converge: #{e.message}"
end
