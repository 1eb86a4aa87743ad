# shellcheck shell=bash disable=SC2034
# Which Debian packages this project needs, and a function that installs the missing ones.
# Sourced by ./quickstart, ./test and ./dev.

# What the build of the programs needs.
packages_build=(
  g++ cmake ninja-build pkg-config python3
  nlohmann-json3-dev libfmt-dev libisal-dev libzstd-dev libssl-dev zlib1g-dev
  libcurl4-openssl-dev libtomlplusplus-dev
  busybox-static
)
# What the tests need beside it: the test libraries, the checkers, and the programs that stand
# as real clients and peers.
packages_test=(
  libgtest-dev libseccomp-dev libarchive-dev git strace time procps util-linux iproute2 nftables uidmap
  clang-19 libclang-rt-19-dev clang-tidy-19 clang-format-19 binutils
  shellcheck python3-jsonschema man-db systemd dbus podman conmon catatonit docker.io containerd crun runc
  skopeo buildah umoci docker-registry golang-github-containers-common openssl ca-certificates zstd
  libcap2-bin attr erofs-utils e2fsprogs mmdebstrap tini
)
# What the lab needs: an emulator, and what makes its guests' kernels, disks and policies.
packages_lab=(
  python3 qemu-system-x86 criu iproute2 iptables busybox-static kmod e2fsprogs xfsprogs quota xz-utils zstd
  apparmor secilc
)

have_package() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# need_packages NAME...: installs what is missing; quiet, and without any network when nothing is.
need_packages() {
  local missing=() name log
  for name in "$@"; do
    have_package "$name" || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if ! command -v apt-get >/dev/null; then
    echo "This is not Debian: install the counterparts of ${missing[*]} and start again." >&2
    return 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    echo "Missing packages, and only root may install them: apt-get install ${missing[*]}" >&2
    return 1
  fi
  echo "Installing ${#missing[@]} packages: ${missing[*]}"
  log=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  # An engine that is installed for its tests must not start as this machine's service.
  local policy=/usr/sbin/policy-rc.d
  if [ -e $policy ]; then
    policy=
  else
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
  fi
  # A fresh machine has no package lists, or old ones: fetch them when the first attempt fails.
  if ! apt-get install -qq -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
    if ! { apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}"; } \
        >"$log" 2>&1; then
      tail -n 20 "$log" >&2
      rm -f "$log" $policy
      echo "apt-get could not install: ${missing[*]}" >&2
      return 1
    fi
  fi
  rm -f "$log" $policy
}
