#!/bin/sh
# A base backup of the whole cluster into the archive, and the archive kept to what the newest backups need.
#   base-backup.sh <folder> [how many backups to keep, 2]
set -eu
umask 077
folder=$1
keep=${2:-2}
mkdir -p "$folder/base"
name="$folder/base/$(date -u +%Y%m%dT%H%M%SZ).tar.gz"
# With a checkpoint at once: the next one may be minutes away.
pg_basebackup --username="${PGUSER:-postgres}" --checkpoint=fast --format=tar --wal-method=fetch --gzip --pgdata=- > "$name.draft"
sync "$name.draft"
mv "$name.draft" "$name"
ls "$folder/base"/*.tar.gz | sort -r | tail -n "+$((keep + 1))" | xargs -r rm --
oldest=$(ls "$folder/base"/*.tar.gz | sort | head -n 1)
first=$(tar xzOf "$oldest" backup_label | sed -n 's/^START WAL LOCATION: .*(file \([0-9A-F]*\))$/\1/p')
for segment in "$folder"/[0-9A-F]*.gz; do
  file=$(basename "$segment" .gz)
  case $file in *.history) continue ;; esac
  # Names sort as the WAL was written, whatever the timeline in their first eight digits.
  if [ "$(printf '%s\n' "${file#????????}" "${first#????????}" | sort | head -n 1)" != "${first#????????}" ]; then rm -- "$segment"; fi
done
echo "$name, $(du -h "$name" | cut -f 1); WAL from $first on"
