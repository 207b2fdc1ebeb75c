#!/usr/bin/env bash
# azure.sh fetch: gets Azurite, Microsoft's emulator of Azure's blob storage, from the package index of npm. azure.sh run:
# runs it on 127.0.0.1, empty, with a container.
#
# It goes to azurite below CHKCTL_SERVERS_HOME (~/.cache/chkctl/servers where that is not set); nothing is installed. `run`
# prints one line of JSON with what a client needs, ends when its stdin does, after an hour at the latest, and takes along
# exactly what it started. It exits with 3 where something is missing.
set -euo pipefail

home=${CHKCTL_SERVERS_HOME:-${HOME:?}/.cache/chkctl/servers}/azurite
release=3.35.0
container=chkctl
# A key for this run alone.
account=chkctl key=$(head -c 48 /dev/urandom | base64 --wrap 0)

missing() {
  echo "azure.sh: $1" >&2
  exit 3
}

fetch() {
  [ -f "$home/complete" ] && return
  command -v npm >/dev/null || missing "Azurite comes from npm's package index, and npm is not here"
  mkdir -p "$home"
  npm install --prefix "$home" --silent --no-fund --no-audit --ignore-scripts "azurite@$release"
  touch "$home/complete"
}

# Makes the container, by a request that is signed with the key of the account (Shared Key).
make_container() {
  python3 - "$1" "$account" "$key" "$container" <<'PY'
import base64, email.utils, hashlib, hmac, sys, urllib.request

endpoint, account, key, container = sys.argv[1:]
headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
named = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
signed = "PUT" + "\n" * 12 + named + f"/{account}/{account}/{container}\nrestype:container"
signature = hmac.new(base64.b64decode(key), signed.encode(), hashlib.sha256).digest()
headers["Authorization"] = f"SharedKey {account}:{base64.b64encode(signature).decode()}"
request = urllib.request.Request(f"{endpoint}/{container}?restype=container", b"", headers, method="PUT")
request.add_header("Content-Type", "")
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10)
PY
}

run() {
  [ -f "$home/complete" ] || missing "Azurite is not in $home: tests/servers/azure.sh fetch"
  local port endpoint server _
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  work=$(mktemp -d)
  AZURITE_ACCOUNTS="$account:$key" timeout --kill-after=5 3600 node "$home/node_modules/azurite/dist/src/blob/main.js" \
    --blobHost 127.0.0.1 --blobPort "$port" --location "$work/data" --skipApiVersionCheck --disableTelemetry >"$work/log" 2>&1 </dev/null &
  server=$!
  # shellcheck disable=SC2064
  trap "kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf '$work'" EXIT
  trap 'exit 1' INT TERM
  for _ in $(seq 300); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
  done
  endpoint=http://127.0.0.1:$port/$account
  make_container "$endpoint"
  echo "{\"endpoint\": \"$endpoint\", \"account\": \"$account\", \"key\": \"$key\", \"container\": \"$container\"}"
  # Until whoever started it is gone, or an hour is over.
  read -r -t 3600 _ || true
}

case ${1:-} in
fetch)
  fetch
  echo "Azurite $release is in $home"
  ;;
run) run ;;
*)
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
  exit 2
  ;;
esac
