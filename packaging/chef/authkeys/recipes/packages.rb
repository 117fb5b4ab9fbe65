# In one transaction: the packages are of one version.
packages = authkeys_packages
wanted = node['authkeys']['version']
package packages do
  version([wanted] * packages.size) if wanted
end
