#!/bin/sh
# SPDX-License-Identifier: MIT
# Imports run one way: libc <- sdk/mortise <- sdk <- plugins, and sdk <- kernel. A plugin includes its own folder, the sdk
# and system headers; the sdk never the kernel or a plugin; the kernel never a plugin, and it names none.
. "$(dirname "$0")/common.sh"

# FILE <header> or FILE "header" or FILE macro:NAME, for all C sources of the folders named
includes_of() {
  c_files "$@" | xargs -r sed -nE '
    s/^[[:space:]]*#[[:space:]]*include[[:space:]]*([<"][^>"]*[>"]).*/\1/; t tell
    s/^[[:space:]]*#[[:space:]]*include[[:space:]]*([A-Z_a-z].*)/macro:\1/; t tell
    b
    : tell
    F
    p' | sed 'N; s/\n/ /'
}

# What is included, against the files that there are: the rules of one folder are one function
check_includes() {
  told=$({ find kernel plugins sdk -type f -name '*.[ch]' 2>/dev/null; echo; includes_of kernel plugins sdk; } | awk '
    function normal(path,   n, i, top, part, out) {
      n = split(path, part, "/")
      for (i = 1; i <= n; i++) {
        if (part[i] == "..") top -= top > 0
        else if (part[i] != "." && part[i] != "") out[++top] = part[i]
      }
      path = out[1]
      for (i = 2; i <= top; i++) path = path "/" out[i]
      return path
    }
    function folder(file) { sub(/\/[^\/]*$/, "", file); return file }
    # the file that a header is found in, as the compiler looks for it; empty: none of this tree
    function resolve(file, name, own,   d, i, found) {
      split(folder(file) "\n" own "\nsdk", d, "\n")
      for (i = 1; i <= 3; i++) {
        found = normal(d[i] "/" name)
        if (found in there) return found
      }
      return ""
    }
    function starts(text, with) { return substr(text, 1, length(with)) == with }
    function tell(file, header, why) { print file ": includes " header why }
    function plugin(file, header, name,   own, found) {
      split(file, p, "/")
      own = p[1] "/" p[2]
      if (header ~ /^macro:/) return # a generated name: the include path of the compiler holds nothing else anyway
      if (header ~ /(kernel|plugins)\//) { tell(file, header, ""); return }
      found = resolve(file, name, own)
      if (found == "" ? name in there : !starts(found, own "/") && !starts(found, "sdk/"))
        tell(file, header, ", which is outside of " own " and the sdk")
    }
    # the installed headers depend on libc only
    function public(file, header, name) {
      if (name in libc) return
      if (name ~ /^mortise\//) {
        if (!("sdk/" name in there)) tell(file, header, ", which does not exist")
      } else if (!("sdk/mortise/" name in there) && !(normal(folder(file) "/" name) in there))
        tell(file, header, ", which is not libc")
    }
    BEGIN {
      n = split("assert errno float inttypes limits stdalign stdarg stdatomic stdbool stddef stdint string", names, " ")
      for (i = 1; i <= n; i++) libc[names[i] ".h"]
    }
    !listed { if ($0 == "") listed = 1; else there[$0]; next }
    {
      file = $1
      header = substr($0, length(file) + 2)
      name = header
      gsub(/[<>"]/, "", name)
      if (file ~ /^plugins\//) plugin(file, header, name)
      if (file ~ /^sdk\/mortise\//) public(file, header, name)
      if (file ~ /^sdk\// && header ~ /(kernel|plugins)\//) tell(file, header, "")
      if (file ~ /^kernel\// && header ~ /plugins\//) tell(file, header, "")
    }')
  all_findings "$told"
}

# A plugin's name in a string of the kernel would be a branch on it; tests of the kernel may name what they load, and
# requests of the monitor have the names that QMP gave them
check_kernel_names() {
  c_files kernel | grep -Ev '/(test|fake|bench)[^/]*$|/tests?/' | xargs -r grep -nHE '"[^"]*\b(cpu|dev|block)-[a-z0-9]' |
    grep -Ev '^[^:]*:[0-9]*:[[:space:]]*(//|\*|/\*)' |
    sed -E 's/"(query-)?block-(stream|commit|jobs|job-cancel|job-complete|job-set-speed)\b/"/g' | grep -E '"[^"]*\b(cpu|dev|block)-[a-z0-9]' | findings_from
}

check_includes
check_kernel_names
finish includes
