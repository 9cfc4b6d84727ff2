/**
 * Loaded into a worker's workflow sandbox before anything else (local/setup/bundle). The SDK takes a stack at every promise that a
 * workflow makes, for the query `__stack_trace`, and maps each of its frames to our source: with V8's ten frames that is a
 * tenth of what an order costs the service. An error still says where it was made, and by whom it was called; what a saga
 * waits for, its query `progress` tells.
 */
Error.stackTraceLimit = 4;
