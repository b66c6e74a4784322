#!/usr/bin/env bash
# Makes packages of Onrush, by tools that need no daemon:
#   deb   a Debian package: program, unit, default settings, completions, manual pages
#   tar   the same as a tarball for /usr/local, with the Helm chart and the Compose file
#   oci   an OCI image layout in a tar archive: the program and the libraries that it needs
#   package.sh [--out DIR] [--binary FILE] [--level N] [deb|tar|oci]…   (all three where none is named)
# Options: --out DIR (where they go: .onrush/packages), --binary FILE (a program that is built already;
# else the `dist` profile is built), --level N (of gzip, 1 to 9: 9; the image's tool has its own).
# Beside them it writes SHA256SUMS.
# The same commit and program give the same bytes: times are the commit's (or SOURCE_DATE_EPOCH).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
umask 022
export LC_ALL=C
files=$root/scripts/package
# The user of the image, as a number: Kubernetes judges by it who is root. The port of the API, as
# good as any.
user=7440

out=$root/.onrush/packages
binary=
level=9
kinds=()
while [ $# -gt 0 ]; do
  case "$1" in
    --out | --binary | --level)
      [ -n "${2:-}" ] || die "$1 needs a value"
      case "$1" in --out) out=$(realpath -m "$2") ;; --binary) binary=$(realpath -m "$2") ;; *) level=$2 ;; esac
      shift
      ;;
    deb | tar | oci) kinds+=("$1") ;;
    *) die "unknown argument '$1'; it takes --out DIR, --binary FILE, --level N, deb, tar and oci" ;;
  esac
  shift
done
[ ${#kinds[@]} -gt 0 ] || kinds=(deb tar oci)
case "$level" in [1-9]) ;; *) die "--level takes 1 to 9, not $level" ;; esac
[ -z "$binary" ] || [ -x "$binary" ] || die "--binary $binary is not a program"

need strip=binutils
for kind in "${kinds[@]}"; do
  case $kind in
    deb) need dpkg-deb=dpkg dpkg-shlibdeps=dpkg-dev ;;
    oci) need umoci=umoci ;;
  esac
done

version=$(sed -n '/^\[workspace\.package\]/,/^\[workspace\.dep/s/^version = "\(.*\)"/\1/p' Cargo.toml)
[ -n "$version" ] || die "Cargo.toml has no version"
machine=$(uname -m)
case $machine in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) die "no packages for $machine: x86_64 and aarch64 only" ;;
esac
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null) ||
    die "not a clone with its commits: say the time of the sources in SOURCE_DATE_EPOCH"
fi
export SOURCE_DATE_EPOCH

if [ -z "$binary" ]; then
  need cc=gcc
  need_rust
  : "${CARGO_TARGET_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/onrush/dist}"
  export CARGO_TARGET_DIR
  say "== build"
  cargo build --profile dist -p onrush-node --bin onrush --locked
  binary=$CARGO_TARGET_DIR/dist/onrush
fi
found=$("$binary" --version | sed 1q) || die "--binary $binary does not run"
[ "$found" = "onrush $version" ] || die "--binary $binary is '$found', not onrush $version"

work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

put() { # MODE SOURCE DESTINATION
  install -D -m "$1" "$2" "$3"
}

# A tar archive of a folder that depends on what is in it and on nothing else. Arguments: DIR, and
# more for tar.
archive() {
  local dir=$1; shift
  tar --create --directory "$dir" --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" \
    --numeric-owner --owner=0 --group=0 "$@"
}

say "== program, completions, manual pages"
common=$work/common
mkdir -p "$common"
# The names of functions are of no use where nobody debugs, and a third of the size.
strip --strip-unneeded --remove-section=.comment -o "$common/onrush" "$binary"
for shell in bash zsh fish; do "$common/onrush" completions "$shell" >"$common/$shell"; done
"$common/onrush" man "$common/man"
gzip -n -9 "$common"/man/*

# What `usr` has of it, or `usr/local`. Argument: that folder.
put_program() {
  put 755 "$common/onrush" "$1/bin/onrush"
  put 644 "$common/bash" "$1/share/bash-completion/completions/onrush"
  put 644 "$common/fish" "$1/share/fish/vendor_completions.d/onrush.fish"
  local page
  for page in "$common"/man/*; do put 644 "$page" "$1/share/man/man1/${page##*/}"; done
}

control() { # TREE DEPENDS
  cat <<X
Package: onrush
Version: $version-1
Architecture: $arch
Maintainer: $DEBFULLNAME <$DEBEMAIL>
Installed-Size: $(find "$1" -type f -printf '%s\n' | awk '{ sum += int(($1 + 1023) / 1024) } END { print sum }')
Depends: $2, init-system-helpers (>= 1.54), systemd | systemd-standalone-sysusers | systemd-sysusers
Section: net
Priority: optional
Description: distributed load tests from identical nodes
 Onrush runs Gatling simulations written in JavaScript or TypeScript on a
 native engine, on one machine or on a cluster. Nodes find each other, elect a
 master by Raft, and divide a test among them arrival by arrival; any of them
 answers the REST API.
 .
 The package has the program, a service for a node of a cluster, completions
 for shells and manual pages. The service is not started before you have told
 it of the other nodes, in /etc/default/onrush.
X
}

make_deb() {
  local tree=$work/debian/onrush name=onrush_$version-1_$arch.deb script depends
  local doc=$tree/usr/share/doc/onrush
  : "${DEBFULLNAME:=Onrush contributors}" "${DEBEMAIL:=onrush@onrush.invalid}"
  put_program "$tree/usr"
  put 644 "$common/zsh" "$tree/usr/share/zsh/vendor-completions/_onrush"
  put 644 "$files/onrush.service" "$tree/lib/systemd/system/onrush.service"
  put 644 "$files/onrush.sysusers" "$tree/usr/lib/sysusers.d/onrush.conf"
  put 644 "$files/onrush.default" "$tree/etc/default/onrush"
  put 644 "$files/onrush.sysctl" "$doc/examples/50-onrush.conf"
  put 644 "$files/copyright" "$doc/copyright"
  put 644 "$files/onrush.lintian-overrides" "$tree/usr/share/lintian/overrides/onrush"
  put 644 docs/operations.md "$doc/operations.md"
  gzip -n -9 "$doc/operations.md"
  # For the secret and the token, which are the operator's.
  mkdir -p "$tree/etc/onrush"
  gzip -n -9 <CHANGELOG.md >"$doc/changelog.gz"
  gzip -n -9 >"$doc/changelog.Debian.gz" <<X
onrush ($version-1) unstable; urgency=medium

  * Release $version; what is new: changelog.gz.

 -- $DEBFULLNAME <$DEBEMAIL>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
X

  # The tool wants a source package around the program.
  mkdir -p "$tree/DEBIAN"
  printf 'Source: onrush\n\nPackage: onrush\nArchitecture: any\n' >"$work/debian/control"
  depends=$(cd "$work" && dpkg-shlibdeps -O debian/onrush/usr/bin/onrush | sed -n 's/^shlibs:Depends=//p')
  [ -n "$depends" ] || die "dpkg-shlibdeps does not know what the program needs"
  control "$tree" "$depends" >"$work/control"
  (cd "$tree" && find usr lib -type f | sort | xargs md5sum) >"$work/md5sums"
  put 644 "$work/control" "$tree/DEBIAN/control"
  put 644 "$work/md5sums" "$tree/DEBIAN/md5sums"
  echo /etc/default/onrush >"$tree/DEBIAN/conffiles"
  for script in postinst prerm postrm; do put 755 "$files/$script" "$tree/DEBIAN/$script"; done
  # Files that are older than the sources would keep their own time.
  find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb --root-owner-group -Zgzip -z"$level" --build "$tree" "$out/$name" >/dev/null
  made+=("$name")
}

make_tar() {
  local folder=onrush-$version-linux-$machine file
  local tree=$work/tar/$folder
  put_program "$tree"
  put 644 "$common/zsh" "$tree/share/zsh/site-functions/_onrush"
  for file in service default sysusers sysctl; do
    put 644 "$files/onrush.$file" "$tree/share/onrush/onrush.$file"
  done
  for file in README.md CHANGELOG.md LICENSE docs/operations.md docs/gatling.md; do
    put 644 "$file" "$tree/share/doc/onrush/${file##*/}"
  done
  cp -R --no-preserve=all scripts/compose scripts/helm "$tree/share/onrush"
  archive "$work/tar" "$folder" | gzip -n "-$level" >"$out/$folder.tar.gz"
  made+=("$folder.tar.gz")
}

# The libraries that a program loads, and its loader, at the paths at which it looks for them.
libraries() {
  ldd "$1" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p'
}

# The folders of the image. It has no certificates: the program brings its own.
image_root() { # TREE
  local path real package
  put 755 "$common/onrush" "$1/usr/bin/onrush"
  for path in $(libraries "$common/onrush"); do
    real=$(realpath "$path")
    put 755 "$real" "$1$path"
    # A library's licence goes with it.
    package=$(dpkg-query --search "$path" "$real" 2>/dev/null | sed -n '1s/:.*//p' || true)
    if [ -n "$package" ]; then
      put 644 "/usr/share/doc/$package/copyright" "$1/usr/share/doc/$package/copyright"
    fi
  done
  put 644 LICENSE "$1/usr/share/doc/onrush/LICENSE"
  mkdir -p "$1/etc"
  printf 'root:x:0:0::/:/nonexistent\nonrush:x:%s:%s::/var/lib/onrush:/nonexistent\n' $user $user >"$1/etc/passwd"
  printf 'root:x:0:\nonrush:x:%s:\n' $user >"$1/etc/group"
  printf 'hosts: files dns\n' >"$1/etc/nsswitch.conf"
}

make_oci() {
  local layout=$work/layout name=onrush-$version-linux-$arch.oci.tar time
  local image=$layout:$version
  image_root "$work/image"
  # A new volume takes its owner from this folder.
  mkdir -p "$work/state/var/lib/onrush"
  chmod 700 "$work/state/var/lib/onrush"
  archive "$work/image" --file "$work/layer.tar" .
  archive "$work/state" --file "$work/state.tar" --owner=$user --group=$user ./var/lib/onrush
  tar --concatenate --file "$work/layer.tar" "$work/state.tar"

  time=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
  umoci init --layout "$layout"
  umoci new --image "$image"
  umoci raw add-layer --image "$image" --history.created "$time" --history.created_by package.sh "$work/layer.tar"
  umoci config --image "$image" --no-history --created "$time" --os linux --architecture $arch \
    --config.user $user:$user --config.workingdir /var/lib/onrush --config.volume /var/lib/onrush \
    --config.exposedports 7440/tcp --config.exposedports 7441/tcp --config.stopsignal SIGTERM \
    --config.env PATH=/usr/bin --config.env ONRUSH_DATA_DIR=/var/lib/onrush \
    --config.env ONRUSH_LISTEN=0.0.0.0:7441 --config.env ONRUSH_API=0.0.0.0:7440 \
    --config.entrypoint /usr/bin/onrush --config.cmd node \
    --config.label org.opencontainers.image.title=onrush \
    --config.label "org.opencontainers.image.version=$version" \
    --config.label org.opencontainers.image.licenses=Apache-2.0
  # What the image was before it was configured.
  umoci gc --layout "$layout" 2>/dev/null
  archive "$layout" --file "$out/$name" --mode=u=rwX,go=rX blobs index.json oci-layout
  made+=("$name")
}

made=()
for kind in "${kinds[@]}"; do
  say "== $kind"
  "make_$kind"
done
(cd "$out" && sha256sum "${made[@]}" >SHA256SUMS)
for name in "${made[@]}" SHA256SUMS; do printf '%s\n' "$out/$name"; done
