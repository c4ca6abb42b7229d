#!/usr/bin/env bash
# Starts and stops the processes of this example. Every verb may be repeated; secrets are files (0600) and environment only.
set -euo pipefail
umask 077
run="$work_dir/run"

fail() { echo "local-minio: $*" >&2; exit 1; }
open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
secret() { [ -s "$run/$1" ] || { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$run/$1.new"; mv "$run/$1.new" "$run/$1"; }; cat "$run/$1"; }
# A supervisor is ours only if its command line names this file and its pid file.
alive() { [ -s "$run/$1.pid" ] && tr '\0' ' ' <"/proc/$(cat "$run/$1.pid")/cmdline" 2>/dev/null | grep -qF "$program supervise $run/$1 "; }

start() { # name port command...
  local name=$1 port=$2; shift 2
  alive "$name" && return
  ! open "$port" || fail "port $port is in use; stop what listens there, or say another base_port."
  setsid "$program" supervise "$run/$name" "$@" </dev/null >>"$run/$name.log" 2>&1 &
  echo $! >"$run/$name.pid"
}

supervise() { # base command...
  local child=
  shift
  trap 'trap "" TERM; [ -z "$child" ] || { kill "$child" 2>/dev/null; wait "$child"; }; exit 0' TERM
  while true; do
    "$@" & child=$!
    wait "$child" || true
    sleep 1 & child=$!
    wait "$child" || true
  done
}

stop() { # name
  alive "$1" || { rm -f "$run/$1.pid"; return 0; }
  local pid; pid=$(cat "$run/$1.pid")
  kill "$pid"
  # Ten seconds to stop, then a kill, which loses nothing: what was acknowledged is on disk.
  for _ in $(seq 100); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
  [ ! -d "/proc/$pid" ] || kill -9 -- "-$pid"
  for _ in $(seq 100); do [ -d "/proc/$pid" ] || { rm -f "$run/$1.pid"; return 0; }; sleep 0.1; done
  fail "$1 (process $pid) does not end; look at $run/$1.log, then repeat."
}

store() {
  export AWS_ACCESS_KEY_ID=esker AWS_REGION=us-east-1 AWS_ENDPOINT_URL="http://127.0.0.1:$((base + 800))"
  AWS_SECRET_ACCESS_KEY=$(secret store-secret)
  export AWS_SECRET_ACCESS_KEY
}

until_200() { # url what log
  for _ in $(seq 300); do curl -fsS -m 2 -o /dev/null "$1" 2>/dev/null && return; sleep 0.2; done
  fail "$2 is not ready after 60 seconds; look at $3."
}

minio_start() {
  command -v "$minio" >/dev/null || fail "there is no MinIO at '$minio'; say -var minio_binary=PATH."
  [ -x "$esker" ] || fail "there is no esker program at '$esker'; run cargo build, or say -var esker_binary=PATH."
  [ ! -e "$work_dir" ] || [ -e "$work_dir/.esker-local-minio" ] || fail "$work_dir exists and is not ours; say another work_dir."
  for node in $(seq "$brokers"); do
    for port in $((base + node - 1)) $((base + node + 99)) $((base + node + 499)); do
      alive "broker-$node" || ! open "$port" || fail "port $port is in use; stop what listens there, or say another base_port."
    done
  done
  alive minio || ! open $((base + 800)) || fail "port $((base + 800)) is in use; stop what listens there, or say another base_port."
  mkdir -p "$work_dir"; touch "$work_dir/.esker-local-minio"; mkdir -p "$run"
  store
  secret cluster-secret >/dev/null
  echo "$brokers $base" >"$run/founded"
  MINIO_ROOT_USER=esker MINIO_ROOT_PASSWORD=$AWS_SECRET_ACCESS_KEY MINIO_BROWSER=off \
    start minio $((base + 800)) "$minio" server --quiet --address "127.0.0.1:$((base + 800))" "$work_dir/minio"
  until_200 "$AWS_ENDPOINT_URL/minio/health/live" MinIO "$run/minio.log"
  "$esker" doctor --bucket s3://esker/cluster --create
}

broker_start() {
  local voters= other
  for other in $(seq "$brokers"); do voters+="${voters:+,}$other@127.0.0.1:$((base + other + 99))"; done
  cat >"$run/broker-$node.toml" <<T
data-dir = "$work_dir/broker-$node"
kafka-addr = "127.0.0.1:$((base + node - 1))"
admin-addr = "127.0.0.1:$((base + node + 499))"
bucket = "s3://esker/cluster"

[settings]
"node.id" = $node
"controller.quorum.voters" = "$voters"
"esker.peer.listener" = "127.0.0.1:$((base + node + 99))"
"esker.cluster.secret.file" = "$run/cluster-secret"
T
  [ "$brokers" != 1 ] || sed -i '/quorum.voters/d; /peer.listener/d; /cluster.secret/d' "$run/broker-$node.toml"
  store
  start "broker-$node" $((base + node - 1)) "$esker" server --config "$run/broker-$node.toml"
}

clean() {
  [ -e "$work_dir/.esker-local-minio" ] || return 0
  local file
  for file in "$run"/broker-*.pid "$run"/minio.pid; do [ ! -e "$file" ] || stop "$(basename "$file" .pid)"; done
  rm -rf "$work_dir"
}

case "$1" in
  supervise) shift; run=$(dirname "$1"); supervise "$@" ;;
  minio-start) minio_start ;;
  broker-start) broker_start ;;
  broker-stop) stop "broker-$node" ;;
  wait) for node in $(seq "$brokers"); do until_200 "http://127.0.0.1:$((base + node + 499))/readyz" "broker $node" "$run/broker-$node.log"; done ;;
  clean) clean ;;
  *) fail "no such verb: $1" ;;
esac
