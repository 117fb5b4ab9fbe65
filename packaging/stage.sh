# Copies what packaging/files lists. Read by a shell that is in the project's root and has set
#   build, share     where cargo built, and where packaging/man wrote
#   modules          where PAM modules are installed
#   libraries        where libraries are
#   version          what is being packaged

# The lines of `format` (deb, rpm, or all for those of every format): package kind mode source destination
listed() { # format
    sed -e '/^#/d' -e '/^$/d' -e "s|@modules@|$modules|" -e "s|@libraries@|$libraries|" packaging/files |
        awk -v format="$1" '$2 == "all" || $2 == "conffile" || $2 == format'
}

source_of() {
    case $1 in
    build/*) echo "$build/${1#build/}" ;;
    share/*) echo "$share/${1#share/}" ;;
    *) echo "$1" ;;
    esac
}

# Written beside its place and renamed: a running sshd or sudo keeps the file it has open.
put() { # source mode destination
    case $3 in
    *.gz) mkdir -p "${3%/*}" && gzip -9n <"$1" >"$3.new" && chmod "$2" "$3.new" ;;
    *) install -D -m "$2" "$1" "$3.new" ;;
    esac
    mv -f "$3.new" "$3"
}

# Words of od that tell the kind of a binary: its word size, and its machine.
kind() { od -An -tx1 -j4 -N1 "$1"; od -An -tx1 -j18 -N2 "$1"; }
