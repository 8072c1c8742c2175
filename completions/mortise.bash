# SPDX-License-Identifier: MIT
# bash completion of mortise(1). Names of plugins and machines come from the program itself; it runs no plugin code for that.
# tests/cli/words.sh holds the words below against the program's --help.

_mortise_names() { # verb that lists, further arguments: first words of its lines
  "${COMP_WORDS[0]}" "$@" 2>/dev/null | awk '$1 != "NAME" && !/^ / { print $1 }'
}

_mortise_machines() {
  COMPREPLY=($(compgen -W "$(_mortise_names new --list)" -- "$1") $(compgen -f -- "$1"))
}

# ID.KEY= of what the machine has; the machine is the first word that is a file or a shipped one
_mortise_settings() {
  local word keys
  for word in "${COMP_WORDS[@]:2}"; do
    case $word in -* | *=* | "$1") continue ;; esac
    keys=$("${COMP_WORDS[0]}" check --effective "$word" 2>/dev/null | awk '
      /^\[/ { sub(/\]$/, ""); id = $NF; sub(/^\[/, "", id); next }
      NF { print id "." $1 "=" }')
    [ -z "$keys" ] || break
  done
  compopt -o nospace 2>/dev/null
  COMPREPLY=($(compgen -W "$keys" -- "$1"))
}

_mortise() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]} options
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W "run check plugins describe new ctl img io nbd help --help --version" -- "$cur"))
    return
  fi
  case $prev in
    --plugin-path | --machine-path) COMPREPLY=($(compgen -d -- "$cur")); return ;;
    --format) COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
    --why) COMPREPLY=($(compgen -W "$(_mortise_names plugins)" -- "$cur")); return ;;
    -s | --set) _mortise_settings "$cur"; return ;;
    -D | --define) return ;;
  esac
  case $verb in
    run) options="--set --define --machine-path --quiet --verbose --restore --gdb --wait --plugin-path --help" ;;
    check) options="--effective --restore --map --dts --set --define --machine-path --json --format --plugin-path --help" ;;
    plugins) options="--long --why --json --format --plugin-path --help" ;;
    describe) options="--man --json --format --plugin-path --help" ;;
    new) options="--list --machine-path --json --format --help" ;;
    ctl) options="--interval --count --json --format --help" ;;
    img) options="--help" ;;
    io) options="--format --cmd --read-only --nocache --cache --engine --quiet --force-share --allow-backing --through --plugin-path --help" ;;
    nbd) options="--format --port --bind --socket --shared --persistent --export-name --description --read-only --load-snapshot --offset --allocation-depth --nocache --cache --aio --discard --object --tls-creds --handshake-limit --fork --pid-file --quiet --force-share --allow-backing --through --plugin-path --help" ;;
    *) options= ;;
  esac
  if [ "$verb" = img ] && [ "$COMP_CWORD" -gt 2 ]; then
    options=$("${COMP_WORDS[0]}" img "${COMP_WORDS[2]}" --help 2>/dev/null | sed -n 's/^  \(-.,\|   \) \(--[a-z-]*\).*/\2/p')
  fi
  case $cur in
    -*) COMPREPLY=($(compgen -W "$options" -- "$cur")); return ;;
  esac
  case $verb in
    run | check) _mortise_machines "$cur" ;;
    describe) COMPREPLY=($(compgen -W "$(_mortise_names plugins)" -- "$cur") $(compgen -f -X '!*.so' -- "$cur")) ;;
    new) COMPREPLY=($(compgen -W "$(_mortise_names new --list)" -- "$cur")) ;;
    ctl)
      if [ "$COMP_CWORD" = 2 ]; then
        COMPREPLY=($(compgen -W "$(_mortise_names ctl)" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "status pause resume reset powerdown snapshot resize overlay disk-snapshot disk-snapshot-delete stream commit jobs speed cancel quit cpus devices block stats commands events" -- "$cur"))
      fi ;;
    img)
      if [ "$COMP_CWORD" = 2 ]; then
        COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" img --help 2>/dev/null | sed -n 's/^  \([a-z]*\)  .*/\1/p')" -- "$cur"))
      else
        COMPREPLY=($(compgen -f -- "$cur"))
      fi ;;
    io | nbd) COMPREPLY=($(compgen -f -- "$cur")) ;;
    help) COMPREPLY=($(compgen -W "run check plugins describe new ctl img io nbd" -- "$cur")) ;;
  esac
}

complete -o filenames -F _mortise mortise
