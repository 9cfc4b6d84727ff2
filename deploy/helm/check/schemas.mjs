/** JSON schemas of Kubernetes' kinds, made from the OpenAPI documents in its Go module, for kubeconform: strict, so that a misspelt field is an error. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { read } from './programs.mjs';

/** @returns {version, location (kubeconform's template), kinds} */
export function makeSchemas(go, version, folder) {
  const { Dir, Error: why } = JSON.parse(read(go, ['mod', 'download', '-json', `k8s.io/kubernetes@${version}`]));
  if (Dir === undefined) throw new Error(`k8s.io/kubernetes@${version}: ${why}`);
  const documents = join(Dir, 'api/openapi-spec/v3');
  const target = join(folder, version);
  mkdirSync(target, { recursive: true });
  const kinds = new Set();
  for (const file of readdirSync(documents).filter((name) => /^apis?__.*_openapi\.json$/.test(name))) {
    const { components } = JSON.parse(readFileSync(join(documents, file), 'utf8'));
    const definitions = Object.fromEntries(
      Object.entries(components?.schemas ?? {}).map(([name, schema]) => [name, strict(schema)]),
    );
    for (const [name, schema] of Object.entries(definitions)) {
      for (const { group, version: api, kind } of schema['x-kubernetes-group-version-kind'] ?? []) {
        const short = group === '' ? '' : `${group.split('.')[0]}-`;
        const path = join(target, `${kind.toLowerCase()}-${short}${api}.json`);
        writeFileSync(path, JSON.stringify({ definitions, $ref: `#/definitions/${name}` }));
        kinds.add(path);
      }
    }
  }
  return { version, kinds: kinds.size, location: join(target, '{{.ResourceKind}}{{.KindSuffix}}.json') };
}

/** References lead within one file, and an object has no field but those that are named. */
function strict(schema) {
  if (Array.isArray(schema)) return schema.map(strict);
  if (schema === null || typeof schema !== 'object') return schema;
  const made = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, strict(value)]));
  if (made.type === 'object' && made.properties && made.additionalProperties === undefined)
    made.additionalProperties = false;
  if (made.format === 'int-or-string') {
    delete made.type;
    made.oneOf = [{ type: 'string' }, { type: 'integer' }];
  }
  // One kind has a property of that name.
  if (typeof made.$ref === 'string') made.$ref = made.$ref.replace('#/components/schemas/', '#/definitions/');
  return made;
}
