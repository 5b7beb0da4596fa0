# shellcheck shell=bash
# Drop-in for scripts that source the old lib/cache-manager.sh: the same functions, arguments and 0/1 results, each a
# line or two around sandbox-cache. Source it in bash; it sets no shell option, and works under set -euo pipefail.

# Absolute, because the script may change its directory before it calls.
_SANDBOX_CACHE_LIBRARY="$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/$(basename -- "${BASH_SOURCE[0]}")"

# The one on PATH, else the one beside this file, which may have been reached through a symlink.
_sandbox_cache() {
  if command -v sandbox-cache >/dev/null 2>&1; then
    sandbox-cache "$@"
  else
    node "$(dirname "$(node -p 'require("fs").realpathSync(process.argv[1])' "$_SANDBOX_CACHE_LIBRARY")")/sandbox-cache.js" "$@"
  fi
}

# cache_is_enabled: 0 when a store is set.
cache_is_enabled() { [ -n "${CACHE_S3_BUCKET:-}" ] || [ -n "${CACHE_LOCAL_DIR:-}" ]; }

# cache_hash FILE: the first 16 hex digits of its SHA-256.
cache_hash() { [ -f "${1:-}" ] && node -e 'const { createHash } = require("crypto");
  process.stdout.write(createHash("sha256").update(require("fs").readFileSync(process.argv[1])).digest("hex").slice(0, 16) + "\n")' "$1"; }

# cache_key TYPE HASH: the URL of the entry. Any hash will do, as it did in the old library.
cache_key() {
  local url any=0000000000000000
  url="$(_sandbox_cache key "$1" --hash "$any" --url)" || return 1
  printf '%s\n' "${url%-"$any"*}-$2${url##*-"$any"}"
}

# cache_exists URL: silent about an entry that is not there, and about nothing else.
cache_exists() {
  local said status=0
  said="$(_sandbox_cache list "$1" 2>&1 >/dev/null)" || status=1
  case "$said" in '' | *'[STORE_NO_ENTRY]') ;; *) printf '%s\n' "$said" >&2 ;; esac
  return "$status"
}

# cache_restore TYPE LOCKFILE DIR
cache_restore() { _sandbox_cache restore "$1" --lockfile "$2" --path "$3" --quiet || return 1; }

# cache_save TYPE LOCKFILE DIR
cache_save() { _sandbox_cache save "$1" --lockfile "$2" --path "$3" --quiet || return 1; }

# cache_prune TYPE [DAYS=30]: deletes entries of the type that are older.
cache_prune() { _sandbox_cache prune "$1" --older-than "${2:-30}d" --yes --quiet || return 1; }
