# Completion of fisherdiag for bash. Verbs and options are asked of the tool, so they are always its own.

# Words of --help at the beginning of a line's indent, remembered for the shell's life: _fisherdiag_words TOOL [VERB]
_fisherdiag_words() {
  local key="$*" text
  declare -gA _fisherdiag_known
  if [[ -z "${_fisherdiag_known[$key]:-}" ]]; then
    text="$("$@" --help 2> /dev/null)" || return
    if [[ $# -gt 1 ]]; then
      _fisherdiag_known[$key]="$(sed -nE 's/^  (-[^ {]+).*/\1/p' <<< "$text" | tr ',' '\n')"
    else
      _fisherdiag_known[$key]="$(sed -nE '/^Subcommands:/,$s/^  ([a-z][a-z-]*) .*/\1/p' <<< "$text")"
    fi
  fi
  printf '%s\n' "${_fisherdiag_known[$key]}"
}

# What may follow an option: nothing known means a file.
_fisherdiag_values() {
  case "$1" in
    --estimator) echo empirical exact mc sketch predicted batched ;;
    --likelihood) echo categorical gaussian bernoulli poisson ;;
    --likelihood-unit) echo sequence token ;;
    --normalize) echo mean sum ;;
    --precision) echo float32 bf16 ;;
    --zeros) echo skip multiply ;;
    --isa) echo baseline avx2 avx512 ;;
    --subset) echo uniform: importance: ;;
    --data | --test-data) echo fashion-mnist:train fashion-mnist:test mnist:train mnist:test synthetic: ;;
  esac
}

_fisherdiag() {
  local tool="${COMP_WORDS[0]}" current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD - 1]}"
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "$(_fisherdiag_words "$tool") --help --version" -- "$current")
  elif [[ "$current" == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_fisherdiag_words "$tool" "${COMP_WORDS[1]}")" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$(_fisherdiag_values "$previous")" -- "$current"; compgen -f -- "$current")
  fi
}

complete -o filenames -F _fisherdiag fisherdiag
