/** docs/privacy.md, made from the data map; and the schema of an export. */
import { CustomerExportSchema } from '../domain/privacy/export-schema.js';

export const EXPORT_SCHEMA_FILE = 'contracts/schemas/exports/customer-export.v1.json';

export const exportSchemaText = (): string => {
  const { $id: _, ...schema } = CustomerExportSchema as typeof CustomerExportSchema & { $id?: string };
  const head = { $schema: 'http://json-schema.org/draft-07/schema#', $id: 'urn:order-saga:schema:customer-export:v1' };
  return `${JSON.stringify({ ...head, ...schema }, null, 2)}\n`;
};

export const privacyDocument = (): string => '';
