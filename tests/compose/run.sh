#!/usr/bin/env bash
# Prove the compose stack with podman where no registry can be reached: base and Kafka images are built here.
# Needs root, podman, buildah, mmdebstrap and the compose command (docker-compose, version 2).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
for tool in podman buildah mmdebstrap docker-compose; do
    command -v "$tool" >/dev/null || { echo "make test-compose needs $tool" >&2; exit 2; }
done

cat >"$work/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=4096:4096","nproc=8192:8192"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
export CONTAINERS_CONF="$work/containers.conf"
export DOCKER_HOST="unix://$work/podman.sock" DOCKER_BUILDKIT=0 COMPOSE_PROJECT_NAME=backbone-proof
export BACKBONE_HTTP=127.0.0.1:0  # all containers are in this machine's network here: each takes a free port
export BACKBONE_IMAGE=localhost/council-backbone:proof BACKBONE_KAFKA_IMAGE=localhost/kafka:proof BACKBONE_DROP="$work/drop"
compose() { docker-compose --project-directory "$root" -f "$root/docker-compose.yml" "$@"; }

podman system service --time=0 "$DOCKER_HOST" >"$work/service.log" 2>&1 &
service=$!
beats=""
finish() {
    code=$?
    [ "$code" = 0 ] || { compose ps -a; compose logs --tail 30; } 2>&1 | tail -60
    compose down --volumes --timeout 20 >/dev/null 2>&1 || true
    [ -z "$beats" ] || kill "$beats" 2>/dev/null || true
    kill "$service" 2>/dev/null || true
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT

if ! podman image exists localhost/base:proof; then
    echo "== base image"
    mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/base.tar"
    podman import --quiet "$work/base.tar" localhost/base:proof >/dev/null
fi
echo "== product image"
bundle=$(python3 -c 'import ssl; print(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")')
buildah bud --quiet --network host --build-arg BASE=localhost/base:proof --build-arg "PIP_CERT=$bundle" \
    -v /etc/ssl/certs:/etc/ssl/certs:ro -t "$BACKBONE_IMAGE" "$root" >/dev/null
echo "== Kafka image"
"$root/.venv/bin/python" - "$work/kafka" <<'PYTHON'
import pathlib, shutil, sys
from backbone.embedded.jars import find_jars, find_java
target = pathlib.Path(sys.argv[1])
java = find_java()
shutil.copytree(java.resolve().parent.parent, target / "java")
(target / "jars").mkdir()
for jar in find_jars(java):
    shutil.copy(jar, target / "jars")
PYTHON
cat >"$work/kafka/run.sh" <<'RUN'
#!/bin/sh
set -ef  # no globbing: Java itself expands the star of its class path
java="/opt/java/bin/java -Xmx256m -cp /opt/kafka/libs/*"
config=/mnt/shared/config/server.properties
[ -e /var/lib/kafka/data/meta.properties ] || $java kafka.tools.StorageTool format -t "$CLUSTER_ID" -c "$config"
exec $java kafka.Kafka "$config"
RUN
cat >"$work/kafka/kafka-broker-api-versions.sh" <<'RUN'
#!/usr/bin/python3
# The official image's tool is not among the broker's jars: ask the same question, ApiVersions, by hand.
import socket, struct, sys
host, port = sys.argv[2].split(":")
request = struct.pack(">hhih", 18, 0, 1, -1)
with socket.create_connection((host, int(port)), 5) as broker:
    broker.sendall(struct.pack(">i", len(request)) + request)
    sys.exit(0 if len(broker.recv(4)) == 4 else 1)
RUN
chmod +x "$work"/kafka/*.sh
buildah bud --quiet --build-arg BASE=localhost/base:proof -f "$root/tests/compose/Dockerfile.kafka" \
    -t "$BACKBONE_KAFKA_IMAGE" "$work/kafka" >/dev/null

mkdir -p "$work"/drop/{highways,deaths,planning}
chmod -R a+rwX "$work/drop"
chmod a+x "$work"
# podman's health checks need timers that this machine may not have: a loop runs them
( while sleep 2; do for name in $(podman ps --format '{{.Names}}'); do podman healthcheck run "$name" >/dev/null 2>&1 || true; done; done ) &
beats=$!
echo "== up"
compose up --detach --no-build --wait --wait-timeout 180
compose ps
echo "== a file becomes events and a receipt"
cp "$root/backbone/templates/example-updates.csv" "$work/drop/highways/20310614_10000000_updates.csv"
receipts() { compose exec -T worker backbone receipts list --json; }
for _ in $(seq 60); do
    found=$(receipts || true)
    [ -z "$found" ] || break
    sleep 1
done
echo "$found"
echo "$found" | grep -q '"outcome":"complete"' && echo "$found" | grep -q '"published":5'
compose exec -T worker backbone subscribe E09000099.servicerequests.v1 --from earliest --no-follow --json | grep -c '"specversion":"1.0"' | grep -qx 5
echo "== three workers share the work"
compose up --detach --no-build --scale worker=3 --wait --wait-timeout 120
for _ in $(seq 60); do
    owners=$(compose exec -T worker backbone status --json | python3 -c 'import json,sys; print(len({json.loads(l)["worker"] for l in sys.stdin if json.loads(l)["state"] == "OK"}))' || echo 0)
    [ "$owners" = 3 ] && break
    sleep 1
done
[ "$owners" = 3 ]
echo "   three feeds are run by $owners workers"
echo "== down leaves nothing"
compose down --volumes --timeout 20
left=$(podman ps -a --format '{{.Names}}' | grep -c backbone-proof || true)
volumes=$(podman volume ls --format '{{.Name}}' | grep -c backbone-proof || true)
[ "$left" = 0 ] && [ "$volumes" = 0 ]
echo "the compose stack is proved"
