#!/usr/bin/env bash
# s3.sh fetch KIND: gets a real S3 server. s3.sh run KIND: runs it on 127.0.0.1, empty, with a bucket.
#
#   rgw     Ceph RadosGW, from the package index of Debian (60 MB): keeps its word in everything that is asked of it here
#   garage  Garage, built by cargo (ten minutes): takes conditions on new objects and does not look at them
#
# They go to KIND below CHKCTL_SERVERS_HOME (~/.cache/chkctl/servers where that is not set); nothing is installed. `run`
# prints one line of JSON with what a client needs, ends when its stdin does, after an hour at the latest, and takes along
# exactly what it started. It exits with 3 where something is missing.
set -euo pipefail

home=${CHKCTL_SERVERS_HOME:-${HOME:?}/.cache/chkctl/servers}
verb=${1:-} kind=${2:-rgw}
access=chkctl-test-access secret=chkctl-test-secret bucket=chkctl
garage_access=GKc4ec74c7e57c4ec74c7e57c4 garage_secret=$(printf '5ec2e7%.0s' {1..10})5ec2

missing() {
  echo "s3.sh: $1" >&2
  exit 3
}

fetch_rgw() {
  [ -f "$home/rgw/complete" ] && return
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || missing "RadosGW comes from Debian's package index, and apt-get is not here"
  mkdir -p "$home"
  work=$(mktemp -d "$home/download.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  wanted() {
    # All that they depend on and this machine lacks, but for what only their service scripts need.
    apt-get install --simulate --no-install-recommends radosgw ceph-mon ceph-osd ceph-common 2>/dev/null |
      sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep -vxE 'sudo|lvm2|dmeventd|parted|gdisk|hdparm|logrotate|smartmontools|nvme-cli|dmidecode|xfsprogs|cryptsetup-bin' || true
  }
  packages=$(wanted)
  [ -n "$packages" ] || { apt-get update -qq && packages=$(wanted); }
  [ -n "$packages" ] || missing "apt-get knows no packages of Ceph"
  mkdir "$work/packages" "$work/root"
  # shellcheck disable=SC2086
  (cd "$work/packages" && { apt-get download -qq $packages || { apt-get update -qq && apt-get download -qq $packages; }; })
  for package in "$work"/packages/*.deb; do
    dpkg --extract "$package" "$work/root"
  done
  touch "$work/root/complete"
  # A rename, so that a run that is cut short is done again.
  rm -rf "$home/rgw"
  mv -T "$work/root" "$home/rgw"
}

fetch_garage() {
  [ -x "$home/garage/bin/garage" ] && return
  command -v cargo >/dev/null || missing "Garage is built by cargo, which is not here"
  cargo install --quiet garage --version 2.5.0 --no-default-features --features bundled-libs,sqlite --root "$home/garage"
}

# A port that nobody has.
port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Starts a server whose life is bounded, and remembers it.
start() {
  local log=$1
  shift
  timeout --kill-after=5 3600 "$@" >"$work/$log.log" 2>&1 </dev/null &
  started+=($!)
}

# Ends what was started, last first, and waits for it.
stop() {
  local status=$? i
  # What failed has said why in its log.
  [ "$status" = 0 ] || tail -n 20 "$work"/*.log >&2 || true
  for ((i = ${#started[@]} - 1; i >= 0; i--)); do
    kill "${started[i]}" 2>/dev/null || true
    wait "${started[i]}" 2>/dev/null || true
  done
  rm -rf "$work"
}

# Waits until a port is open, as long as what was started last lives.
await() {
  local _
  for _ in $(seq 600); do
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
    kill -0 "${started[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  echo "s3.sh: $kind does not start" >&2
  exit 1
}

run_rgw() {
  [ -f "$home/rgw/complete" ] || missing "RadosGW is not in $home/rgw: tests/servers/s3.sh fetch rgw"
  local root=$home/rgw lib mon gateway id
  lib=$(echo "$root"/usr/lib/*-linux-gnu)
  mon=$(port) gateway=$(port)
  mkdir "$work"/{mon,osd,run}
  cat >"$work/ceph.conf" <<CONF
[global]
fsid = 5ca1ab1e-0000-4000-8000-00000000c4ec
mon host = v1:127.0.0.1:$mon
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
run dir = $work/run
admin socket = $work/run/\$name.asok
pid file = $work/run/\$name.pid
log file = /dev/null
crash dir = $work
keyring = $work/keyring
plugin dir = $lib/ceph
erasure code dir = $lib/ceph/erasure-code
osd class dir = $lib/rados-classes
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail warn = 1
mon data avail crit = 1
[mon]
mon data = $work/mon
[osd]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd data = $work/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd memory target = 939524096
ms bind port min = $((20000 + RANDOM % 10000))
ms bind port max = 32000
[client]
rgw frontends = beast endpoint=127.0.0.1:$gateway
rgw thread pool size = 64
CONF
  export LD_LIBRARY_PATH=$lib:$lib/ceph:$root/lib/${lib##*/} PYTHONPATH=$root/usr/lib/python3/dist-packages CEPH_CONF=$work/ceph.conf
  # The interpreter that Debian's packages are for.
  ceph() { timeout 60 /usr/bin/python3 "$root/usr/bin/ceph" "$@" >>"$work/ceph.log" 2>&1; }
  {
    "$root/usr/bin/monmaptool" --create --fsid 5ca1ab1e-0000-4000-8000-00000000c4ec --addv a "[v1:127.0.0.1:$mon]" "$work/monmap"
    "$root/usr/bin/ceph-authtool" --create-keyring "$work/keyring" --gen-key --name mon. --cap mon 'allow *'
    "$root/usr/bin/ceph-mon" --mkfs --id a --monmap "$work/monmap"
  } >"$work/setup.log" 2>&1
  start mon "$root/usr/bin/ceph-mon" --id a --foreground
  await "$mon"
  id=$(cat /proc/sys/kernel/random/uuid)
  ceph osd new "$id"
  "$root/usr/bin/ceph-osd" --id 0 --mkfs --osd-uuid "$id" >>"$work/setup.log" 2>&1
  # One that meets a monitor which has just begun may end at once.
  for _ in 1 2 3 4 5; do
    start osd "$root/usr/bin/ceph-osd" --id 0 --foreground
    for _ in $(seq 60); do
      kill -0 "${started[-1]}" 2>/dev/null || break
      timeout 20 /usr/bin/python3 "$root/usr/bin/ceph" osd stat 2>/dev/null | grep -q ' 1 up' && break 2
      sleep 0.25
    done
  done
  timeout 120 "$root/usr/bin/radosgw-admin" user create --uid chkctl --display-name chkctl --access-key "$access" --secret-key "$secret" >>"$work/setup.log" 2>&1
  start gateway "$root/usr/bin/radosgw" --name client.rgw --foreground
  await "$gateway"
  unset LD_LIBRARY_PATH PYTHONPATH
  endpoint=http://127.0.0.1:$gateway
  local _ empty
  # The signature covers this header, which old curl leaves out.
  empty=x-amz-content-sha256:$(sha256sum </dev/null | cut -d ' ' -f 1)
  for _ in $(seq 40); do
    curl --silent --fail --output /dev/null --noproxy '*' --aws-sigv4 aws:amz:us-east-1:s3 --user "$access:$secret" \
      --header "$empty" --request PUT "$endpoint/$bucket" && return
    sleep 0.5
  done
  echo "s3.sh: the bucket cannot be made" >&2
  exit 1
}

run_garage() {
  local garage=$home/garage/bin/garage rpc api
  [ -x "$garage" ] || missing "Garage is not in $home/garage: tests/servers/s3.sh fetch garage"
  rpc=$(port) api=$(port)
  cat >"$work/garage.toml" <<CONF
metadata_dir = "$work/meta"
data_dir = "$work/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:$rpc"
rpc_public_addr = "127.0.0.1:$rpc"
rpc_secret = "$garage_secret"
[s3_api]
s3_region = "us-east-1"
api_bind_addr = "127.0.0.1:$api"
CONF
  access=$garage_access secret=$garage_secret
  ask() { "$garage" --config "$work/garage.toml" "$@"; }
  start garage "$garage" --config "$work/garage.toml" server
  await "$rpc"
  await "$api"
  {
    ask layout assign --zone here --capacity 1G "$(ask node id --quiet 2>/dev/null | cut -d @ -f 1)"
    ask layout apply --version 1
    ask key import --yes -n chkctl "$access" "$secret"
    ask bucket create "$bucket"
    ask bucket allow --read --write --owner "$bucket" --key chkctl
  } >"$work/setup.log" 2>&1
  endpoint=http://127.0.0.1:$api
}

case $verb-$kind in
fetch-rgw | fetch-garage)
  "fetch_$kind"
  echo "$kind is in $home/$kind"
  ;;
run-rgw | run-garage)
  started=()
  work=$(mktemp -d)
  trap stop EXIT
  trap 'exit 1' INT TERM
  "run_$kind"
  echo "{\"endpoint\": \"$endpoint\", \"access\": \"$access\", \"secret\": \"$secret\", \"bucket\": \"$bucket\"}"
  # Until whoever started it is gone, or an hour is over.
  read -r -t 3600 _ || true
  ;;
*)
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
  exit 2
  ;;
esac
