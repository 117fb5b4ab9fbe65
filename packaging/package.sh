#!/bin/sh
# Makes the packages that packaging/files lists, of what is built; and archives of the Ansible role and the Chef cookbook,
# for the machine that sets up the others.
#
#   packaging/package.sh BUILD_DIRECTORY OUTPUT_DIRECTORY deb|rpm|tar...
#
# Needs dpkg-deb and dpkg-shlibdeps for .deb, rpmbuild for .rpm. VERSION in the environment replaces that of Cargo.toml.
set -eu
umask 022

[ $# -ge 3 ] || { echo "usage: packaging/package.sh BUILD_DIRECTORY OUTPUT_DIRECTORY deb|rpm|tar..." >&2; exit 64; }
build=$(cd "$1" && pwd)
share=$build/share
mkdir -p "$2"
output=$(cd "$2" && pwd)
shift 2
cd "$(dirname "$0")/.."
. packaging/stage.sh
. packaging/vendor

version=${VERSION:-$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)}
# The same build makes the same packages, to the byte.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date -r CHANGELOG.md +%s)}
export SOURCE_DATE_EPOCH

# What the programs were built for, by their own word for it.
case $(kind "$build/oncall-cache" | tr -d ' \n') in
023e00) machine=x86_64 debian=amd64 triplet=x86_64-linux-gnu ;;
02b700) machine=aarch64 debian=arm64 triplet=aarch64-linux-gnu ;;
*) echo "packaging/package.sh: $build has programs of a kind that has no package yet" >&2; exit 1 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What a package of `format` has, below its own directory. Symbols for debugging stay where it was built.
stage() { # format package root
    pages=$(links "$1")
    listed "$1" | while read -r package _ mode source destination; do
        [ "$package" = "$2" ] || continue
        put "$(source_of "$source")" "$mode" "$3$destination"
        case $source in build/*) "${STRIP:-strip}" --strip-unneeded "$3$destination" ;; esac
    done
}

# --- .deb ---

deb() { # package
    package=$1 root=$work/deb/$1
    modules=/usr/lib/$triplet/security libraries=/usr/lib/$triplet
    stage deb "$package" "$root"
    [ "$package" != authkeys ] || mkdir -p "$root/etc/authkeys"
    changelog >"$work/changelog"
    put "$work/changelog" 644 "$root/usr/share/doc/$package/changelog.Debian.gz"

    mkdir "$root/DEBIAN"
    for script in preinst postinst prerm postrm triggers; do
        [ ! -e "packaging/deb/$package.$script" ] || sed "s|@triplet@|$triplet|" "packaging/deb/$package.$script" >"$root/DEBIAN/$script"
    done
    chmod -f 755 "$root"/DEBIAN/p* || true
    listed deb | awk -v package="$package" '$1 == package && $2 == "conffile" { print $5 }' >"$root/DEBIAN/conffiles"
    [ -s "$root/DEBIAN/conffiles" ] || rm "$root/DEBIAN/conffiles"
    (cd "$root" && find usr -type f | sort | xargs md5sum) >"$root/DEBIAN/md5sums"
    sed -e "s|@version@|$version-1|g" -e "s|@architecture@|$debian|" -e "s|@libraries@|$(needed "$root")|" \
        -e "s|@size@|$(du -sk --apparent-size "$root" | cut -f 1)|" -e "s|@maintainer@|$MAINTAINER|" \
        "packaging/deb/$package.control" >"$root/DEBIAN/control"
    [ -z "$HOMEPAGE" ] || sed -i "/^Maintainer:/a Homepage: $HOMEPAGE" "$root/DEBIAN/control"
    dpkg-deb --root-owner-group --build "$root" "$output/${package}_$version-1_$debian.deb" >/dev/null
    echo "$output/${package}_$version-1_$debian.deb"
}

# The packages that have the libraries which the binaries ask for; dpkg-shlibdeps wants a source package round it.
needed() { # root
    mkdir -p "$work/source/debian"
    printf 'Source: authkeys\n\nPackage: authkeys\nArchitecture: any\n' >"$work/source/debian/control"
    binaries=$(find "$1/usr" -type f \( -path '*/bin/*' -o -name '*.so*' \))
    # shellcheck disable=SC2086 # a list of files without spaces
    (cd "$work/source" && dpkg-shlibdeps --ignore-missing-info -O -e${binaries:-/dev/null} 2>/dev/null || true) | sed 's/^shlibs:Depends=//'
}

changelog() {
    printf 'authkeys (%s-1) unstable; urgency=medium\n\n  * New release: see changelog.gz.\n\n' "$version"
    printf ' -- %s  %s\n' "$MAINTAINER" \
        "$(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S +0000')"
}

# --- .rpm ---

# One run of rpmbuild makes the five of a tree and five lists of what is in it.
rpm() {
    modules=/usr/lib64/security libraries=/usr/lib64
    for package in authkeys libpam-oncall libnss-oncall oncall-collector oncall-notify; do
        stage rpm "$package" "$work/rpm/root"
        listed rpm | awk -v package="$package" '$1 == package {
            words = "%attr(" $3 ", root, root) "
            if ($2 == "conffile") words = words "%config(noreplace) "
            if ($5 ~ /^\/usr\/share\/licenses\//) words = words "%license "
            print words $5
        }' >"$work/rpm/$package.list"
    done
    mkdir -p "$work/rpm/root/etc/authkeys" "$work/rpm/root/var/log/authkeys"
    rpmbuild -bb --quiet --target "$machine" --define "_topdir $work/rpm" --define "_rpmdir $output" --define "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
        --buildroot "$work/rpm/build" --define "staged $work/rpm" --define "suite_version $version" \
        --define "suite_packager $MAINTAINER" ${HOMEPAGE:+--define "suite_url $HOMEPAGE"} \
        --define "suite_date $(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" "+%a %b %d %Y")" --define "_buildhost localhost" \
        ${RPM_PAYLOAD:+--define "_binary_payload $RPM_PAYLOAD"} \
        --define "use_source_date_epoch_as_buildtime 1" --define "clamp_mtime_to_source_date_epoch 1" packaging/rpm/authkeys.spec
    ls "$output"/*_oncall-"$version"-1."$machine".rpm "$output/authkeys-$version-1.$machine.rpm" "$output/oncall-collector-$version-1.$machine.rpm" "$output/oncall-notify-$version-1.$machine.rpm"
}

# --- Ansible, Chef ---

archive() { # directory below packaging
    file=$output/authkeys-$1-$version.tar.gz
    tar -C packaging --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw \
        --transform "s|^$1|authkeys-$1-$version|" -c "$1" | gzip -9n >"$file"
    echo "$file"
}

for format in "$@"; do
    case $format in
    deb) for package in authkeys libpam-oncall libnss-oncall oncall-collector oncall-notify; do deb $package; done ;;
    rpm) rpm ;;
    tar) for recipes in ansible chef; do archive $recipes; done ;;
    *) echo "packaging/package.sh: $format: deb, rpm or tar" >&2; exit 64 ;;
    esac
done
