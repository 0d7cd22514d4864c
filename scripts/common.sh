# shellcheck shell=bash
# Shared by the scripts beside it: sourced, never run. Expects `set -euo pipefail`.
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
program="$(basename "$0")"

say() { printf '%s %s\n' "[$(date +%H:%M:%S)]" "$*"; }

fail() {
  printf '%s: %s\n' "$program" "$*" >&2
  exit 1
}

# The first interpreter that can draw the report: `python3` in PATH is often not the one Debian's packages serve.
find_python() {
  local candidate
  for candidate in "$(command -v python3 || true)" /usr/bin/python3; do
    if [ -n "$candidate" ] && "$candidate" -c 'import matplotlib, jinja2' > /dev/null 2>&1; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}

# Prints the leading comment of the calling script: its help.
print_help() { sed -n '2,/^[^#]/{/^#/{s/^# \{0,1\}//;p}}' "$0"; }

# Configures a preset and builds the targets named, or everything: build_preset NAME LOG [TARGET...]
build_preset() {
  local preset="$1" log="$2"
  shift 2
  mkdir -p "$(dirname "$log")"
  say "configuring and building preset $preset (log: ${log#"$root"/})"
  if ! { cmake --preset "$preset" && cmake --build --preset "$preset" --parallel "$(nproc)" ${@:+--target "$@"}; } > "$log" 2>&1; then
    tail -n 30 "$log" >&2
    fail "the $preset build failed; its last lines are above, all of it is in ${log#"$root"/}"
  fi
}
