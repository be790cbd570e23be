#!/bin/sh
# The demo agent of `drawbridge dev`: reads its event from standard input and answers on standard output.
# Yours can be any program: exit code 0 makes its output the result, 75 asks for another attempt.
# SPDX-License-Identifier: Apache-2.0
set -eu

input=$(cat) # one JSON object: workflow_id, agent_id, attempt, event, prompt, ...
type=$(printf '%s' "$input" | grep -o '"type":"[^"]*"' | head -n 1 | cut -d '"' -f 4)

echo "Hello from agent $DRAWBRIDGE_AGENT_ID: I was given ${type:-an event} (${#input} characters of JSON)" \
  "as $DRAWBRIDGE_WORKFLOW_ID, attempt $DRAWBRIDGE_ATTEMPT."
