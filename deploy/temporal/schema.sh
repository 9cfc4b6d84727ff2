#!/bin/sh
# Brings Temporal's two databases to the schema of this image's version. Safe to repeat; runs before the server starts.
set -eu

# tables <database> <folder of the image's schema>
tables() {
  tool="temporal-sql-tool --plugin postgres12_pgx --ep $SQL_HOST --port $SQL_PORT --user $SQL_USER --db $1"
  $tool setup-schema -v 0.0
  $tool update-schema -d "$SCHEMA_DIR/$2/versioned"
}

: "${SCHEMA_DIR:=/etc/temporal/schema/postgresql/v12}"
tables temporal temporal
tables temporal_visibility visibility
