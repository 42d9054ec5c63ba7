#!/bin/sh
# A whole life of an agent, by curl: deploy, ask, read the reply, look, remove.
# Run it in the repository's root beside a running node. docs/curl.md explains it.
set -eu

URL="${CAXTON_URL:-http://127.0.0.1:8080}"
DATA="${CAXTON_DATA:-${XDG_DATA_HOME:-$HOME/.local/share}/caxton}"
TOKEN="${CAXTON_TOKEN:-$(cat "$DATA/admin-token")}"

# Deploy the sample agent. The agent takes messages when this returns.
curl --silent --show-error --fail-with-body "$URL/api/v1/agents" \
  --header "Authorization: Bearer $TOKEN" \
  --form module=@guests/prebuilt/sample-agent-rust.wasm \
  --form 'config={"name": "sample", "capabilities": ["data_processing"]}'
echo

# Ask it, and wait for the reply: 200 with `reply`. Sending it again with this `message_id` is harmless.
curl --silent --show-error --fail-with-body "$URL/api/v1/messages" \
  --header "Authorization: Bearer $TOKEN" \
  --header "Content-Type: application/json" \
  --data '{
    "performative": "request",
    "sender": "curl",
    "receiver": "sample",
    "content": {"action": "process_data", "data": {"operation": "uppercase", "text": "hello world"}},
    "reply_with": "q-1",
    "message_id": "curl-1",
    "wait_ms": 10000
  }'
echo

# Or read the reply later, from the mailbox of the sender.
curl --silent --show-error --fail-with-body "$URL/api/v1/messages?receiver=curl&in_reply_to=q-1" \
  --header "Authorization: Bearer $TOKEN"
echo

# Look at the agent: its limits, how much of them it used, its counters.
curl --silent --show-error --fail-with-body "$URL/api/v1/agents/sample" \
  --header "Authorization: Bearer $TOKEN"
echo

# Remove it.
curl --silent --show-error --fail-with-body --request DELETE "$URL/api/v1/agents/sample" \
  --header "Authorization: Bearer $TOKEN"
