#!/bin/sh
# restore_command: gives back what archive-wal.sh has kept. It ends with 1 if there is no such segment: the archive ends there.
#   restore-wal.sh <name, %f> <where to, %p> <folder>
set -eu
umask 077
test -e "$3/$1.gz"
gzip -cd "$3/$1.gz" > "$2"
