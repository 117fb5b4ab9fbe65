# Copies what packaging/files lists. Read by a shell that is in the project's root and has set
#   build, share     where cargo built, and where packaging/man wrote
#   modules          where PAM modules are installed
#   libraries        where libraries are
#   version          what is being packaged
#   pages            what `links` makes for the format

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

# A program for sed. Links in a page lead to files of the tree: it makes them lead to where `format` installs these, and of
# a link to what is not installed it leaves the words.
links() { # format
    listed "$1" | awk '
        $4 !~ /\.(md|png)$|^packaging\/examples\// { next }
        $4 ~ /^docs\// { print "s|](" substr($4, 6) "|](:" $5 "|g" }
        { print "s|](\\(\\.\\./\\)*" $4 "|](:" $5 "|g" }'
    # What is marked with a colon is whole.
    printf '%s\n' 's|](\([a-z]*://\)|](:\1|g' 's|](#|](:#|g' 's|\[\([^]]*\)\]([^:)][^)]*)|\1|g' 's|](:|](|g'
}

page() { # source
    case $1 in
    *.md) sed "$pages" "$1" ;;
    *) cat "$1" ;;
    esac
}

# Written beside its place and renamed: a running sshd or sudo keeps the file it has open.
put() { # source mode destination
    case $3 in
    *.md) mkdir -p "${3%/*}" && page "$1" >"$3.new" && chmod "$2" "$3.new" ;;
    *.gz) mkdir -p "${3%/*}" && page "$1" | gzip -9n >"$3.new" && chmod "$2" "$3.new" ;;
    *) install -D -m "$2" "$1" "$3.new" ;;
    esac
    mv -f "$3.new" "$3"
}

# Words of od that tell the kind of a binary: its word size, and its machine.
kind() { od -An -tx1 -j4 -N1 "$1"; od -An -tx1 -j18 -N2 "$1"; }
