#!/usr/bin/env bash
# hdfs.sh fetch [kerberos]     gets what a real HDFS 2.7.3 needs, from the Python package index with pip
# hdfs.sh serve MODE [CONF...] runs it on 127.0.0.1, freshly formatted, until stdin ends
# hdfs.sh jars                 the jars that Flink needs beside its own to reach it, parted by colons
#
# MODE   simple     one NameNode
#        ha         two NameNodes of the nameservice `chkctl`, nn1 active; no automatic failover
#        kerberos   one NameNode with an MIT KDC of the realm CHKCTL.TEST, SASL on the way to the DataNode too; the directory
#                   /flink belongs to the principal flink
# CONF   KEY=VALUE for hdfs-site.xml and core-site.xml
#
# Once it serves it says so by lines KEY=VALUE, `ready` the last of them: url, conf (the HADOOP_CONF_DIR of a client),
# classpath (of its Java client), with Kerberos krb5 (KRB5_CONFIG), cache (a ticket cache of flink) and keytab (of flink).
# Then it takes a command per line on stdin, and answers `ok`, or lines of output and then `exit STATUS`:
#
#   stop NAME, go on NAME, kill NAME   freezes a process (its sockets stay open, and it does not answer), lets it go on, ends
#                                      it; NAME is nn1, nn2, dn or kdc
#   dfs|dfsadmin|haadmin|fsck ARGUMENT...   the Java client: FsShell and the like
#   kinit PRINCIPAL KEYTAB CACHE       a ticket, with Kerberos
#
# Ports are free ones. Every process ends with its stdin, and after CHKCTL_SERVERS_LIFETIME seconds (3600) at the latest;
# only processes that it started are ended. What it needs is in CHKCTL_SERVERS_HOME (~/.cache/chkctl/servers), what it writes
# below TMPDIR, and removed. Needs a JDK, 17 or later; exits with 3 and says so where something is missing.
#
# fetch takes the jars from the source distribution of pyspark 2.4.8 (220 MB), which brings Hadoop 2.7.3, servers included.
# With `kerberos` it takes the KDC from packages of Debian, unpacked and not installed (apt-get download).
set -euo pipefail

home=${CHKCTL_SERVERS_HOME:-${HOME:?}/.cache/chkctl/servers}/hdfs
archive=pyspark-2.4.8.tar.gz
archive_sha256=3a19b71b8dc8dd91ebc943604a05e1ab01bce052456d42937035632d852d78dc

missing() {
  echo "hdfs.sh: $1" >&2
  exit 3
}

# What the servers and the Java client need of Hadoop's jars and those that they use, without their versions.
jars="hadoop-annotations hadoop-auth hadoop-common hadoop-hdfs jetty jetty-util javax.servlet-api protobuf-java guava
 commons-beanutils commons-cli commons-codec commons-collections commons-compress commons-configuration commons-digester
 commons-httpclient commons-io commons-lang commons-logging commons-math3 commons-net htrace-core httpclient httpcore
 jackson-core-asl jackson-mapper-asl jackson-jaxrs jaxb-api log4j slf4j-api slf4j-log4j12 netty-all netty xmlenc xercesImpl
 apacheds-i18n apacheds-kerberos-codec api-asn1-api api-util zookeeper curator-client curator-framework curator-recipes gson
 jsr305 avro javax.ws.rs-api"
# Of them those that a client in Flink's JVM needs: Flink has a log4j and a slf4j of its own.
client_jars="hadoop-annotations hadoop-auth hadoop-common hadoop-hdfs protobuf-java guava commons-cli commons-codec
 commons-collections commons-configuration commons-io commons-lang commons-logging htrace-core jackson-core-asl
 jackson-mapper-asl log4j"
debian="krb5-kdc krb5-admin-server krb5-user libgssrpc4 libkdb5-10 libkadm5srv-mit12 libkadm5clnt-mit12 libev4 libverto-libev1
 libverto1 libkrb5-3 libgssapi-krb5-2 libk5crypto3 libkrb5support0"

fetch() (
  mkdir -p "$home"
  work=$(mktemp -d "$home/download.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  if [ -d "$home/lib" ]; then
    echo "HDFS is in $home"
  else
    python3 -m pip --version >/dev/null 2>&1 || missing "there is no python3 with pip, which downloads HDFS"
    # Its setup script does not run with every release of the tools for packages, so it gets an environment of its own.
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check 'setuptools<81' wheel
    "$work/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary :all: --no-build-isolation \
      --dest "$work" pyspark==2.4.8
    echo "$archive_sha256  $work/$archive" | sha256sum --check --quiet
    mkdir "$work/all" "$work/lib"
    tar --extract --gzip --file "$work/$archive" --directory "$work/all" --strip-components 3 --wildcards \
      'pyspark-2.4.8/deps/jars/*.jar'
    for jar in $jars; do
      mv "$work/all/$jar"-[0-9]*.jar "$work/lib/"
    done
    # A rename, so that a run that is cut short is done again, and two at the same time do not mix.
    mv -T "$work/lib" "$home/lib" || [ -d "$home/lib" ]
    echo "HDFS is in $home"
  fi
  if [ "${1:-}" = kerberos ] && [ ! -d "$home/krb5" ]; then
    mkdir "$work/deb" "$work/krb5"
    # shellcheck disable=SC2086
    (cd "$work/deb" && { apt-get download -q $debian || { apt-get update -qq && apt-get download -q $debian; }; } >&2)
    for package in "$work"/deb/*.deb; do
      dpkg -x "$package" "$work/krb5"
    done
    mv -T "$work/krb5" "$home/krb5" || [ -d "$home/krb5" ]
    echo "Kerberos is in $home"
  fi
)

client_class_path() {
  [ -d "$home/lib" ] || missing "HDFS is not in $home; tests/servers/hdfs.sh fetch gets it"
  local jar path=
  for jar in $client_jars; do
    path+=$(echo "$home/lib/$jar"-[0-9]*.jar):
  done
  echo "${path%:}"
}

free_ports() {
  python3 - "$1" <<'PY'
import socket, sys

sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for each in sockets:
    each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in sockets))
PY
}

property() {
  echo "  <property><name>$1</name><value>$2</value></property>"
}

# Starts a process with a bounded life.
declare -A pids=()
start() {
  local name=$1
  shift
  setsid timeout --kill-after 10 "$lifetime" "$@" >"$work/$name.log" 2>&1 </dev/null &
  pids[$name]=$!
}

# The process that `timeout` watches.
process() {
  [ -n "${pids[$1]:-}" ] || return 1
  cut -d ' ' -f 1 "/proc/${pids[$1]}/task/${pids[$1]}/children"
}

wait_for() {
  local name=$1 port=$2
  for _ in $(seq 900); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
    kill -0 "${pids[$name]}" 2>/dev/null || break
    sleep 0.1
  done
  echo "hdfs.sh: $name does not listen on port $port" >&2
  tail -20 "$work/$name.log" >&2
  exit 1
}

end() {
  set +e
  local name inner
  for name in "${!pids[@]}"; do
    # One that is frozen does not hear that it is to end.
    inner=$(process "$name" 2>/dev/null) && [ -n "$inner" ] && kill -CONT "$inner" 2>/dev/null
    kill "${pids[$name]}" 2>/dev/null
  done
  for name in "${!pids[@]}"; do
    for _ in $(seq 100); do
      kill -0 "${pids[$name]}" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "${pids[$name]}" 2>/dev/null
  done
  rm -rf "$work"
} 2>/dev/null

java_client() {
  java "${java[@]}" -Xmx256m -Dhadoop.root.logger=WARN -cp "$class_path" "$@" </dev/null
}

kerberos() {
  local krb5=$home/krb5 library port
  [ -d "$krb5" ] || missing "Kerberos is not in $home; tests/servers/hdfs.sh fetch kerberos gets it"
  library=$(echo "$krb5"/usr/lib/*-linux-gnu)
  port=$1
  cat >"$work/krb5.conf" <<END
[libdefaults]
  default_realm = CHKCTL.TEST
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
[realms]
  CHKCTL.TEST = {
    kdc = 127.0.0.1:$port
  }
[domain_realm]
  localhost = CHKCTL.TEST
END
  cat >"$work/kdc.conf" <<END
[kdcdefaults]
  kdc_listen = 127.0.0.1:$port
  kdc_tcp_listen = 127.0.0.1:$port
[realms]
  CHKCTL.TEST = {
    database_name = $work/kdc/principal
    key_stash_file = $work/kdc/stash
    acl_file = $work/kdc/acl
    supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal
  }
[dbmodules]
  db_module_dir = $library/krb5/plugins/kdb
END
  export KRB5_CONFIG=$work/krb5.conf KRB5_KDC_PROFILE=$work/kdc.conf
  krb() { LD_LIBRARY_PATH=$library "$krb5/usr/$1" "${@:2}" >>"$work/krb5.log" 2>&1; }
  mkdir "$work/kdc"
  krb sbin/kdb5_util create -s -r CHKCTL.TEST -P "$RANDOM$RANDOM$RANDOM"
  local principal
  for principal in hdfs/localhost HTTP/localhost flink alice; do
    krb sbin/kadmin.local -q "addprinc -randkey $principal"
  done
  krb sbin/kadmin.local -q "ktadd -k $work/hdfs.keytab hdfs/localhost HTTP/localhost"
  krb sbin/kadmin.local -q "ktadd -k $work/flink.keytab flink"
  krb sbin/kadmin.local -q "ktadd -k $work/alice.keytab alice"
  start kdc env "LD_LIBRARY_PATH=$library" "$krb5/usr/sbin/krb5kdc" -n
  wait_for kdc "$port"
  krb bin/kinit -c "FILE:$work/flink.cache" -k -t "$work/flink.keytab" flink@CHKCTL.TEST
  krb bin/kinit -c "FILE:$work/hdfs.cache" -k -t "$work/hdfs.keytab" hdfs/localhost@CHKCTL.TEST
}

configure() {
  local pair
  {
    echo '<configuration>'
    property fs.defaultFS "$url"
    property hadoop.tmp.dir "$work/tmp"
    if [ "$mode" = kerberos ]; then
      property hadoop.security.authentication kerberos
      property hadoop.security.authorization true
    fi
    for pair in "$@"; do
      property "${pair%%=*}" "${pair#*=}"
    done
    echo '</configuration>'
  } >"$work/conf/core-site.xml"
  {
    echo '<configuration>'
    property dfs.replication 1
    # Room for a whole block is needed for each file that is open, and a lone DataNode is never less busy than the others.
    property dfs.blocksize 8m
    property dfs.namenode.replication.considerLoad false
    property dfs.namenode.acls.enabled true
    property dfs.namenode.fs-limits.min-block-size 1024
    property dfs.namenode.safemode.extension 0
    property dfs.namenode.datanode.registration.ip-hostname-check false
    property dfs.datanode.hostname "$host"
    property dfs.datanode.address "127.0.0.1:${port[0]}"
    property dfs.datanode.http.address "127.0.0.1:${port[1]}"
    property dfs.datanode.ipc.address "127.0.0.1:${port[2]}"
    property dfs.datanode.data.dir "file://$work/data"
    property dfs.webhdfs.enabled false
    property dfs.client.block.write.replace-datanode-on-failure.enable false
    if [ "$mode" = ha ]; then
      property dfs.nameservices chkctl
      property dfs.ha.namenodes.chkctl nn1,nn2
      property dfs.namenode.rpc-address.chkctl.nn1 "127.0.0.1:${port[3]}"
      property dfs.namenode.http-address.chkctl.nn1 "127.0.0.1:${port[4]}"
      property dfs.namenode.rpc-address.chkctl.nn2 "127.0.0.1:${port[5]}"
      property dfs.namenode.http-address.chkctl.nn2 "127.0.0.1:${port[6]}"
      property dfs.client.failover.proxy.provider.chkctl \
        org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider
      property dfs.namenode.shared.edits.dir "file://$work/shared"
      property dfs.ha.fencing.methods 'shell(/bin/true)'
      property dfs.ha.tail-edits.period 1
    else
      property dfs.namenode.rpc-address "$host:${port[3]}"
      property dfs.namenode.http-address "$host:${port[4]}"
      property dfs.namenode.name.dir "file://$work/name1"
    fi
    if [ "$mode" = kerberos ]; then
      property dfs.namenode.kerberos.principal hdfs/localhost@CHKCTL.TEST
      property dfs.namenode.keytab.file "$work/hdfs.keytab"
      property dfs.datanode.kerberos.principal hdfs/localhost@CHKCTL.TEST
      property dfs.datanode.keytab.file "$work/hdfs.keytab"
      property dfs.web.authentication.kerberos.principal HTTP/localhost@CHKCTL.TEST
      property dfs.web.authentication.kerberos.keytab "$work/hdfs.keytab"
      property dfs.block.access.token.enable true
      property dfs.data.transfer.protection authentication
      property ignore.secure.ports.for.testing true
    fi
    for pair in "$@"; do
      property "${pair%%=*}" "${pair#*=}"
    done
    echo '</configuration>'
  } >"$work/conf/hdfs-site.xml"
  cat >"$work/conf/log4j.properties" <<'END'
hadoop.root.logger=INFO
log4j.rootLogger=${hadoop.root.logger},c
log4j.appender.c=org.apache.log4j.ConsoleAppender
log4j.appender.c.target=System.err
log4j.appender.c.layout=org.apache.log4j.PatternLayout
log4j.appender.c.layout.ConversionPattern=%d %p %c{2}: %m%n
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
END
}

name_node() {
  local name=$1 node=()
  [ "$mode" = ha ] && node=("-Ddfs.ha.namenode.id=$name" "-Ddfs.namenode.name.dir=file://$work/name-$name")
  if [ "$name" = nn1 ]; then
    set -- -format -force -nonInteractive
  else
    set -- -bootstrapStandby -force -nonInteractive
  fi
  local class=org.apache.hadoop.hdfs.server.namenode.NameNode
  java "${java[@]}" -Xmx256m -cp "$class_path" $class "${node[@]}" "$@" >"$work/format-$name.log" 2>&1 </dev/null || {
    tail -20 "$work/format-$name.log" >&2
    exit 1
  }
  start "$name" java "${java[@]}" -Xmx512m -cp "$class_path" $class "${node[@]}"
  if [ "$name" = nn1 ]; then wait_for nn1 "${port[3]}"; else wait_for nn2 "${port[5]}"; fi
}

serve() {
  mode=${1:?usage: hdfs.sh serve simple|ha|kerberos [KEY=VALUE...]}
  shift
  lifetime=${CHKCTL_SERVERS_LIFETIME:-3600}
  case $mode in simple | ha | kerberos) ;; *) missing "there is no mode $mode" ;; esac
  for tool in java python3; do
    command -v "$tool" >/dev/null || missing "there is no $tool"
  done
  client_class_path >/dev/null
  work=$(mktemp -d "${TMPDIR:-/tmp}/chkctl-hdfs.XXXXXX")
  trap end EXIT
  # The NameNode and the DataNode look for pages of theirs on the class path; these are empty.
  local page
  for page in hdfs datanode secondary journal; do
    mkdir -p "$work/web/webapps/$page/WEB-INF"
    echo '<web-app></web-app>' >"$work/web/webapps/$page/WEB-INF/web.xml"
  done
  mkdir -p "$work/web/webapps/static" "$work/conf"
  read -ra port < <(free_ports 8)
  # A service of Kerberos is called by the name of its host.
  host=127.0.0.1
  [ "$mode" = kerberos ] && host=localhost
  url=hdfs://$host:${port[3]}
  [ "$mode" = ha ] && url=hdfs://chkctl
  configure "$@"
  java=(-Djava.net.preferIPv4Stack=true -Djava.io.tmpdir="$work" -XX:-UsePerfData -XX:+UseSerialGC -XX:TieredStopAtLevel=1)
  local package
  for package in java.base/java.lang java.base/java.nio java.base/sun.nio.ch java.base/java.net \
    java.security.jgss/sun.security.krb5 java.security.jgss/sun.security.jgss; do
    java+=(--add-opens "$package=ALL-UNNAMED")
  done
  class_path=$work/conf:$work/web:$home/lib/*
  if [ "$mode" = kerberos ]; then
    kerberos "${port[7]}"
    java+=("-Djava.security.krb5.conf=$work/krb5.conf")
  fi
  name_node nn1
  if [ "$mode" = ha ]; then
    name_node nn2
    java_client org.apache.hadoop.hdfs.tools.DFSHAAdmin -transitionToActive nn1 >"$work/active.log" 2>&1
  fi
  start dn java "${java[@]}" -Xmx384m -cp "$class_path" org.apache.hadoop.hdfs.server.datanode.DataNode
  wait_for dn "${port[2]}"
  # There is room for blocks when the DataNode has said what it holds.
  for _ in $(seq 600); do
    grep -q 'BLOCK\* processReport' "$work/nn1.log" && break
    sleep 0.1
  done
  if [ "$mode" = kerberos ]; then
    KRB5CCNAME=FILE:$work/hdfs.cache java_client org.apache.hadoop.fs.FsShell -mkdir -p /flink
    KRB5CCNAME=FILE:$work/hdfs.cache java_client org.apache.hadoop.fs.FsShell -chown flink:flink /flink
    echo "krb5=$work/krb5.conf"
    echo "cache=FILE:$work/flink.cache"
    echo "keytab=$work/flink.keytab"
    export KRB5CCNAME=FILE:$work/flink.cache
  fi
  echo "url=$url"
  echo "conf=$work/conf"
  echo "classpath=$(client_class_path)"
  echo ready
  local words status
  while read -ra words; do
    status=0
    case "${words[*]:-}" in
      stop\ *) kill -STOP "$(process "${words[1]}")" && echo ok ;;
      go\ on\ *) kill -CONT "$(process "${words[2]}")" && echo ok ;;
      kill\ *) kill -KILL "$(process "${words[1]}")" && echo ok ;;
      kinit\ *) krb bin/kinit -c "${words[3]}" -k -t "${words[2]}" "${words[1]}" && echo ok ;;
      dfs\ * | dfsadmin\ * | haadmin\ * | fsck\ *)
        case ${words[0]} in
          dfs) class=org.apache.hadoop.fs.FsShell ;;
          dfsadmin) class=org.apache.hadoop.hdfs.tools.DFSAdmin ;;
          haadmin) class=org.apache.hadoop.hdfs.tools.DFSHAAdmin ;;
          fsck) class=org.apache.hadoop.hdfs.tools.DFSck ;;
        esac
        java_client $class "${words[@]:1}" 2>&1 || status=$?
        echo "exit $status"
        ;;
      *) echo "no such command" ;;
    esac
  done
}

case ${1:-} in
  fetch | serve) "$@" ;;
  jars) client_class_path ;;
  *)
    echo "usage: hdfs.sh fetch [kerberos] | serve simple|ha|kerberos [KEY=VALUE...] | jars" >&2
    exit 2
    ;;
esac
