/** A collector of ours: takes OTLP over http/protobuf, as the real ones do, and keeps what it was told. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import protobuf from 'protobufjs';

/** The part of https://github.com/open-telemetry/opentelemetry-proto that is read here. */
const PROTO = `syntax = "proto3";
message Request { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { repeated Span spans = 2; }
message Span { bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9;
  repeated Link links = 13; Status status = 15; }
message Link { bytes trace_id = 1; bytes span_id = 2; }
message Status { string message = 2; int32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; } }`;

export type SeenSpan = {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId: string;
  startedAt: number;
  isFailed: boolean;
  attributes: Record<string, unknown>;
  links: { traceId: string; spanId: string }[];
  service: string;
  instance: string;
};

type Attribute = { key: string; value: Record<string, unknown> };
type Raw = {
  resourceSpans?: {
    resource?: { attributes?: Attribute[] };
    scopeSpans?: { spans?: Record<string, unknown>[] }[];
  }[];
};

export type Collector = {
  url: string;
  spans: SeenSpan[];
  requests: { type: string; bytes: number }[];
  stop(): Promise<void>;
};

export async function startCollector(): Promise<Collector> {
  const type = protobuf.parse(PROTO, { keepCase: false }).root.lookupType('Request');
  const spans: SeenSpan[] = [];
  const requests: Collector['requests'] = [];
  const server = createServer(async (request, response) => {
    const body = await buffer(request);
    requests.push({ type: `${request.headers['content-type']}`, bytes: body.length });
    spans.push(...read(type.toObject(type.decode(body), { longs: String, bytes: Array, oneofs: false }) as Raw));
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    requests,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const hex = (bytes: unknown): string => Buffer.from((bytes ?? []) as number[]).toString('hex');
const attributesOf = (list: Attribute[] = []): Record<string, unknown> =>
  Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value ?? {})[0]]));

function read({ resourceSpans = [] }: Raw): SeenSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans = [] }) => {
    const about = attributesOf(resource?.attributes);
    return scopeSpans.flatMap(({ spans = [] }) =>
      spans.map((span) => ({
        name: String(span['name']),
        traceId: hex(span['traceId']),
        spanId: hex(span['spanId']),
        parentSpanId: hex(span['parentSpanId']),
        startedAt: Number(span['startTimeUnixNano']) / 1e6,
        isFailed: (span['status'] as { code?: number } | undefined)?.code === 2,
        attributes: attributesOf(span['attributes'] as Attribute[]),
        links: ((span['links'] ?? []) as { traceId: unknown; spanId: unknown }[]).map((link) => ({
          traceId: hex(link.traceId),
          spanId: hex(link.spanId),
        })),
        service: String(about['service.name']),
        instance: String(about['service.instance.id']),
      })),
    );
  });
}

/** A trace as text: each span below its parent, in the order in which they began. */
export function treeOf(spans: readonly SeenSpan[], traceId: string): string {
  const own = spans.filter((span) => span.traceId === traceId).sort((a, b) => a.startedAt - b.startedAt);
  const known = new Set(own.map(({ spanId }) => spanId));
  const lines: string[] = [];
  const print = (span: SeenSpan, depth: number) => {
    const {
      'order_saga.attempt': attempt,
      'order_saga.outcome': outcome,
      'messaging.destination.name': to,
    } = span.attributes;
    const more = [
      attempt && `attempt ${attempt}`,
      outcome,
      to && `→ ${to}`,
      span.isFailed && span.attributes['error.type'],
    ];
    lines.push(`${'  '.repeat(depth)}${[span.name, ...more.filter(Boolean)].join(', ')} [${span.service}]`);
    for (const child of own) if (child.parentSpanId === span.spanId) print(child, depth + 1);
  };
  for (const span of own) if (!known.has(span.parentSpanId)) print(span, 0);
  return lines.join('\n');
}
