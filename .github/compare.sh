#!/usr/bin/env bash
# What a change does to the figures, as one Markdown file, from committed files alone:
#   .github/compare.sh BASE_REV OUT.md [PICTURE_URL_PREFIX]
# Ends with 3 when dvc.lock is stale, else as the gate: 0 no variant got worse, 1 one did, 2 the two cannot be compared.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: .github/compare.sh BASE_REV OUT.md [PICTURE_URL_PREFIX]" >&2
  exit 2
fi
base=$1 out=$2 pictures=${3:-}
case $out in /*) ;; *) out=$PWD/$out ;; esac
cd "$(dirname "$0")/.."
drafts=$(mktemp -d)
trap 'rm -rf "$drafts"' EXIT

# The stage `code` is run first, in a second: other words in the code make it stale and no other stage.
stale=""
dvc repro --quiet --single-item code > /dev/null 2>&1 || true
if ! dvc repro --allow-missing --dry > "$drafts/dvc" 2>&1 || ! grep -q "pipelines are up to date" "$drafts/dvc"; then
  first=$(sed -n -e "s/^Running stage '\(.*\)':\$/\1/p" -e "s/^ERROR: failed to reproduce '\([^']*\)'.*/\1/p" \
    "$drafts/dvc" | head -n 1)
  stale="dvc.lock does not belong to this code and these numbers (${first:+stage $first would run again}"
  [ -n "$first" ] || stale+=$(tail -n 1 "$drafts/dvc")
  stale+="): run dvc repro and commit dvc.lock with reports."
fi

code=0
python -m stages.gate "$base" --out "$drafts/gate.md" > /dev/null 2> "$drafts/why" || code=$?
if [ ! -s "$drafts/gate.md" ]; then
  code=2
  { echo "**The gate did not compare anything.**"; echo; sed 's/^/    /' "$drafts/why"; } > "$drafts/gate.md"
fi

if ! dvc metrics diff --md "$base" > "$drafts/metrics.md" 2> /dev/null; then
  echo "The metrics of $base cannot be read." > "$drafts/metrics.md"
elif [ "$(grep -c '^|' "$drafts/metrics.md")" -lt 3 ]; then
  echo "No metric differs." > "$drafts/metrics.md"
fi

{
  echo "## What this change does to the figures"
  echo
  if [ -n "$stale" ]; then
    echo "**Stale:** $stale"
    echo
  fi
  cat "$drafts/gate.md"
  echo
  echo "### Metrics"
  echo
  cat "$drafts/metrics.md"
  if [ -n "$pictures" ] && [ -f reports/figures/degradation.png ]; then
    echo
    echo "![Change against the base]($pictures/reports/figures/degradation.png)"
  fi
} > "$out"

cat "$drafts/why" >&2
if [ -n "$stale" ]; then
  echo "$stale" >&2
  exit 3
fi
exit "$code"
