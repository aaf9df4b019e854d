#!/bin/sh
# Healthy while the worker's event loop turns: it touches its file every second.
age=$(( $(date +%s) - $(stat -c %Y /tmp/alive) ))
test "$age" -lt 15
