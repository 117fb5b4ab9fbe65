include_recipe 'authkeys::observe'
include_recipe 'authkeys::enforce' if node['authkeys']['mode'] == 'enforce'
