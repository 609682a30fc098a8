#!/bin/sh
# Removes what a test run leaves on the machine: its directory, and the cgroups of its containers, which bear the directory's name.
# It begins when its standard input ends. The run holds the other end, so it begins also when the run was killed.
# usage: sweep.sh DIRECTORY
set -u
directory=$1
name=$(basename "$directory")

trap '' HUP INT TERM
cat >/dev/null

cgroups() {
  for cgroup in "/sys/fs/cgroup/$name" /sys/fs/cgroup/*/"$name"; do
    [ ! -d "$cgroup" ] || printf '%s\n' "$cgroup"
  done
}

# The run's processes die with it, but not in the same instant: until then cgroups are busy and files appear anew.
for _ in $(seq 300); do
  cgroups | while read -r cgroup; do
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
  done
  rm -rf --one-file-system "$directory" 2>/dev/null
  [ -e "$directory" ] || [ -n "$(cgroups)" ] || exit 0
  sleep 0.1
done
echo "cannot remove $directory or its cgroups: $(cgroups)" >&2
exit 1
