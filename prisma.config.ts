import { defineConfig } from 'prisma/config';

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  // The CLI reads the url for every command, generate included, which needs no database.
  datasource: { url: process.env['DATABASE_URL'] ?? 'postgresql://unset.invalid/unset' },
});
