#!/bin/sh
# Healthy when the broker answers a request, not only when its port is open.
exec /opt/kafka/bin/kafka-broker-api-versions.sh --bootstrap-server 127.0.0.1:9092 >/dev/null 2>&1
