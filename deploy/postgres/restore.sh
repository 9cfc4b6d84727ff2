#!/bin/sh
# Makes an empty data folder one that recovers from a base backup and the archive when Postgres starts on it: to the archive's end, or to a
# moment. One cluster has one WAL, so all its databases, Temporal's too, are of the same moment.
#   restore.sh <folder of the archive> <base backup> <empty data folder> [moment, e.g. '2026-11-29 09:14:00+00']
set -eu
umask 077
archive=$1 base=$2 data=$3 moment=${4:-}
scripts=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$data"
chmod 700 "$data"
if [ -n "$(ls -A "$data")" ]; then
  echo "restore: $data is not empty: move away what is there first" >&2
  exit 1
fi
tar xzf "$base" -C "$data"
# Once the moment is reached the server takes changes, on a timeline of its own.
cat >> "$data/postgresql.auto.conf" <<CONF
restore_command = '/bin/sh "$scripts/restore-wal.sh" "%f" "%p" "$archive"'
recovery_target_action = 'promote'
recovery_target_time = '$moment'
CONF
touch "$data/recovery.signal"
