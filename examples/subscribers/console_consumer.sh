#!/usr/bin/env bash
# Receive one type of event of one partition in bash 4.4, with the console consumer that comes with Kafka 4.2 or later.
set -euo pipefail
TYPE=org.councilbackbone.servicerequests.status-changed.v1
TOPIC=${BACKBONE_TOPIC:-E09000099.servicerequests.v1}
PARTITION=${BACKBONE_PARTITION:-0}
STATE=${BACKBONE_STATE:-.}/$TOPIC-$PARTITION # the position and the ids that were handled: Kafka's own would be too early
touch "$STATE.offset" "$STATE.ids"

handle() { # your work: $1 is the id, $2 the data; when it fails, the program ends, and comes back to this event
  local case_ref
  case_ref=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["case_ref"])' "$2")
  echo "$1 $case_ref"
}

offset=$(<"$STATE.offset")
exec 3< <(exec kafka-console-consumer.sh --bootstrap-server "${BACKBONE_BOOTSTRAP_SERVERS:-127.0.0.1:9092}" \
  --topic "$TOPIC" --partition "$PARTITION" --offset "${offset:-earliest}" --isolation-level read_committed \
  --command-property auto.offset.reset=earliest ${BACKBONE_CONFIG:+--command-config "$BACKBONE_CONFIG"} \
  --formatter-property print.offset=true --formatter-property print.headers=true)
consumer=$! stopping=
trap 'stopping=yes; kill "$consumer"' TERM
trap 'kill "$consumer" 2>/dev/null || true' EXIT
while IFS=$'\t' read -r -u 3 at headers data; do
  [[ ,$headers =~ ,ce_id:([^,]*) ]] && id=${BASH_REMATCH[1]} || id=
  if [[ ,$headers, == *",ce_type:$TYPE,"* ]] && ! grep -qxF "$id" "$STATE.ids"; then
    handle "$id" "$data"
    echo "$id" >>"$STATE.ids"
  fi
  echo $((${at#Offset:} + 1)) >"$STATE.offset.new"
  mv "$STATE.offset.new" "$STATE.offset"
done
wait "$consumer" || [[ $stopping ]]
