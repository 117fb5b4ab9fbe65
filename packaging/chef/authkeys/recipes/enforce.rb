# After authkeys::observe, and only if the doctor finds nothing. A host that enforces already is not asked again.
enforces = authkeys_enforces?
follows = authkeys_follows?
authkeys_doctor 'before enforcing' do
  ignores node['authkeys']['doctor_ignores'].to_a
  not_if { enforces }
end

authkeys_config 'enforce' do
  path '/etc/authkeys/config.toml'
  config node['authkeys']['config'].to_h
  mode 'enforce'
end

authkeys_sync 'copies of it' do
  fleet follows
end
