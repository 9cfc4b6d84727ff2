#!/bin/sh
# archive_command: keeps one segment of the WAL. Postgres asks again until this ends with 0, and forgets the segment only then; so it
# does once the copy is whole and on the disk. Compressed, since most segments are cut short; nobody else may read it.
#   archive-wal.sh <path of the segment, %p> <its name, %f> <folder>
set -eu
umask 077
target="$3/$2.gz"
if [ -e "$target" ]; then
  gzip -cd "$target" | cmp -s - "$1" && exit 0 # it was kept, and Postgres ended before it knew
  echo "archive-wal: $target is there, and is another one: does another server archive to this folder?" >&2
  exit 1
fi
draft="$target.$$"
gzip -1c "$1" > "$draft"
sync "$draft"
mv "$draft" "$target"
sync "$3"
