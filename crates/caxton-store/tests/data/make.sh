#!/bin/sh
# Makes the data directories beside this file with the program given, which writes the format given:
# `make.sh PROGRAM FORMAT`. README.md says what they are for. It needs wat2wasm for the guests in
# `guests/wat`.
set -eu
PROGRAM=$1
FORMAT=$2
HERE=$(cd "$(dirname "$0")" && pwd)
GUESTS=$(cd "$HERE/../../../../guests" && pwd)
WORK=$(mktemp -d)
cd "$WORK"
for name in answers quiet trap nap; do
  wat2wasm "$GUESTS/wat/$name.wat" -o "$name.wasm"
done
for name in counter timer subscriber capability broadcaster reverse-bytes upper-extension; do
  cp "$GUESTS/prebuilt/$name-c.wasm" "$name.wasm"
done
# An agent whose second version has a `migrate`.
printf '[package]\nname = "moves"\nversion = "1.0.0"\nkind = "agent"\nmodule = "quiet.wasm"\n' > v1.toml
cat > quiet-2.wat <<'WAT'
(module (memory (export "memory") 3)
  (func (export "caxton_alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "caxton_free") (param i32 i32))
  (func (export "migrate") (param i32 i32) (result i32) (i32.const 0))
  (func (export "handle_message") (param i32 i32) (result i32) (i32.const 0)))
WAT
wat2wasm quiet-2.wat -o quiet-2.wasm
printf '[package]\nname = "moves"\nversion = "2.0.0"\nkind = "agent"\nmodule = "quiet-2.wasm"\n' > v2.toml
cat > grouped.toml <<'TOML'
[package]
name = "acme/worker"
version = "1.2.0"
kind = "agent"
module = "counter.wasm"
[permissions]
"message:send" = { to = ["df", "main/*"], reason = "asks its peers" }
[limits]
memory = "64MiB"
cpu = "250ms"
[agent]
durability = "durable"
passivate_after = "1h"
supervision = { restart = "transient", max_failures = 3, group = { name = "pair", strategy = "rest-for-one" } }
TOML

NODE=
trap 'kill $NODE 2> /dev/null' EXIT

up() { # DIRECTORY
  rm -f "$WORK/out"
  "$PROGRAM" up --data "$1" --listen 127.0.0.1:0 > "$WORK/out" 2> "$WORK/log" &
  NODE=$!
  for _ in $(seq 100); do [ -s "$WORK/out" ] && return; sleep 0.1; done
  cat "$WORK/log" >&2; exit 1
}
cx() { "$PROGRAM" "$@" --output json --data "$DATA" < /dev/null; }
deploy() { cx agent deploy "$@" > /dev/null; }
send() { cx send "$@"; }
post() { cx send --message "$1"; }

fill() {
  deploy counter.wasm --name counter --capability sums --set colour=blue --limit timers=5
  deploy counter.wasm --name gone
  deploy grouped.toml
  deploy timer.wasm --name clock
  deploy subscriber.wasm --name listener
  deploy broadcaster.wasm --name speaker
  deploy capability.wasm --name translator
  deploy quiet.wasm --name quiet
  deploy quiet.wasm --name stopped --limit mailbox=2
  deploy nap.wasm --name slow --limit mailbox=1
  deploy nap.wasm --name mute
  deploy trap.wasm --name breaks
  deploy v1.toml
  deploy answers.wasm --name memo --durability memory \
    --set 'message={"performative":"inform","receiver":"counter","content":"from memory","conversation_id":"memo"}'
  deploy answers.wasm --name asks \
    --set 'message={"performative":"request","receiver":"mute","content":1,"reply_with":"q-9","reply_by":"9999-01-01T00:00:00Z","conversation_id":"long"}'
  deploy answers.wasm --name floods \
    --set 'message={"performative":"inform","receiver":["slow","slow","slow","slow"],"content":1}'
  deploy answers.wasm --name flees \
    --set 'message={"performative":"failure","receiver":"nobody","content":"lost"}'

  # State, mail of clients, conversations, ids of messages.
  for n in 1 2 3; do
    send counter "\"$n\"" --sender ann --conversation-id sums --message-id "id-$n" --wait 5s
    send acme/worker '{}' --sender ann --wait 5s
  done
  send gone 1 --sender ann --wait 5s
  send counter 4 --sender bob --wait 5s
  cx messages --receiver bob --drop
  # Timers: one that is overdue at the next start, one that never is.
  send clock '{"delay": 3600000000}' --sender ann
  send clock '{"delay": 2500000000000000}' --sender ann
  # Subscriptions, broadcasts, capabilities.
  send translator '{"register": true}' --sender ann --wait 5s
  send speaker '{"filter": {}, "say": "hear"}' --sender ann --wait 5s
  post '{"performative":"subscribe","sender":"ann","receiver":"df","conversation_id":"watch","reply_with":"w-1","content":{"service":"translate"}}'
  post '{"performative":"subscribe","sender":"bob","receiver":"df","conversation_id":"ends","content":{"service":"other"}}'
  post '{"performative":"cancel","sender":"bob","receiver":"df","conversation_id":"ends","content":null}'
  echo '{"version":"3","performatives":["inform"],"services":[{"name":"rest","type":"sleep","properties":{"b":1,"a":[2]}}]}' > offer.json
  cx agent register quiet offer.json
  send counter '"a request is not understood by quiet"' -p request --sender ann > /dev/null
  send quiet 1 --sender ann || true
  # Faults, dead letters: some stay, one is deleted, one sent again.
  send breaks 1 --sender ann || true
  send flees 1 --sender ann
  for n in 1 2 3; do
    post '{"performative":"inform","sender":"ann","receiver":["counter","nobody"],"content":'"$n"'}'
  done
  send floods 1 --sender ann
  send floods 2 --sender ann
  sleep 1
  cx dead-letters list > letters
  cx dead-letters delete "$(sed -n 's/.*"id": "\(.*\)",/\1/p' letters | sed -n 1p)"
  # Requests that wait: of an agent, of a client, one that is over.
  send asks 1 --sender ann
  post '{"performative":"inform","sender":"ann","receiver":"quiet","content":1,"reply_with":"q-1","reply_by":"9999-01-01T00:00:00Z"}'
  post '{"performative":"request","sender":"ann","receiver":"mute","content":1,"reply_with":"q-2","reply_by":"'"$(date -u -d '+1 second' +%Y-%m-%dT%H:%M:%SZ)"'"}'
  post '{"performative":"request","sender":"ann","receiver":"mute","content":1,"reply_with":"q-3","reply_by":"9999-01-01T00:00:00Z"}'
  send memo 1 --sender ann
  # Lives: removed, stopped with mail, updated, rolled back, updated while stopped.
  cx agent remove gone
  cx agent update counter answers.wasm --set 'message={"performative":"failure","receiver":"nobody","content":0}' --name counter
  cx agent rollback counter
  cx agent stop moves
  cx agent update moves v2.toml
  cx agent stop stopped
  send stopped 1 --sender ann || true
  cx agent deregister quiet
  # Grants, one of which was taken back.
  if [ "$FORMAT" -ge 2 ]; then
    cx grant counter 'http:read=api.example.com/**' --reason 'reads'
    cx grant counter 'http:write=api.example.com/**'
    cx revoke counter 'http:write=api.example.com/**'
  fi
  # Processors, one of which was removed.
  if [ "$FORMAT" -ge 3 ]; then
    cx processor deploy reverse-bytes.wasm --name acme/reverse --set k=v --limit cpu=50ms
    cx processor deploy upper-extension.wasm --name upper
    cx processor deploy reverse-bytes.wasm --name gone
    cx processor remove gone
  fi
  cx dead-letters resend "$(sed -n 's/.*"id": "\(.*\)",/\1/p' letters | sed -n '$p')"
  sleep 2
}

DATA=$WORK/all
up "$DATA"
fill
kill -TERM $NODE; wait $NODE || true

# The checkpoint is written every 2 s: some records stand behind it when the node is killed.
DATA=$WORK/killed
up "$DATA"
deploy counter.wasm --name counter
( while :; do send counter 1 --sender load --wait 5s || exit 0; done ) > "$WORK/replies" 2> /dev/null &
LOAD=$!
sleep 2
kill -KILL $NODE; wait $NODE || true
wait $LOAD || true

# Without what a node makes anew, which differs on each machine. Room that was taken and not used is zeros.
for name in all killed; do
  rm -rf "$WORK/$name/cache" "$WORK/$name/lock" "$WORK/$name/address" "$WORK/$name/admin-token"
  tar -C "$WORK" --sparse --hole-detection=raw --owner=0 --group=0 -czf "$HERE/format-$FORMAT-$name.tar.gz" "$name"
done
echo "killed after $(grep -c '"performative":"inform"' "$WORK/replies") replies to $(grep -c '"acknowledged"' "$WORK/replies") requests"
