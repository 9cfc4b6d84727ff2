// The layers, as import fences. Each comment is an invariant that ARCHITECTURE.md refers to; there is no second list.
const layer = (name, from, to, comment) => ({ name, severity: 'error', comment, from: { path: from }, to });
const ours =
  '^(contracts|workflows|activities|domain|gateways|sagas|runtime|api|workers|explanation|reconciliation|verification|simulation|relay|service|sandbox|issuer|ops|local|testbed|prisma|clients|examples|bench|soak|test)/';
const notType = { dependencyTypesNot: ['type-only'] };

module.exports = {
  forbidden: [
    layer(
      'contracts-are-pure-data',
      '^contracts/',
      { path: ours, pathNot: '^contracts/' },
      'contracts/ imports nothing of ours: it is the vocabulary that both sides of every boundary share, the workflow sandbox included.',
    ),
    layer(
      'workflows-know-contracts-only',
      '^workflows/',
      { path: ours, pathNot: '^(workflows|contracts)/', ...notType },
      'workflows/ reaches only contracts/ at run time: anything else would enter the deterministic bundle and break replay.',
    ),
    layer(
      'workflows-are-deterministic',
      '^workflows/',
      { path: '^(node:|fs|net|crypto|pg|stripe|typebox|uuid|pino)', ...notType },
      'workflows/ uses no Node module and no schema library: the bundle must stay deterministic and small.',
    ),
    layer(
      'domain-knows-no-one-above',
      '^domain/',
      { path: ours, pathNot: '^(domain|contracts|prisma/generated)/|^runtime/tracing/spans\\.ts$' },
      'domain/ states facts in Postgres; it knows neither Temporal nor HTTP nor the gateway, so that every caller gets the same rules; of the process around it only which trace the work belongs to.',
    ),
    layer(
      'gateways-know-contracts-only',
      '^gateways/',
      { path: ours, pathNot: '^(gateways|contracts)/|^runtime/tracing/spans\\.ts$' },
      'gateways/ translates systems that are not ours; it does not touch our database, so that each effect has one home; of the process around it it knows which trace the work belongs to.',
    ),
    layer(
      'activities-sit-on-domain-and-gateways',
      '^activities/',
      { path: ours, pathNot: '^(activities|domain|gateways|contracts|runtime/errors)/' },
      'activities/ composes domain/ and gateways/; it does not know how the process around it runs, but for what may be said of an error.',
    ),
    layer(
      'sagas-are-seen-from-outside',
      '^sagas/',
      { path: ours, pathNot: '^(sagas|domain|contracts|runtime/errors)/|^runtime/tracing/spans\\.ts$' },
      'sagas/ asks Temporal and Postgres about running sagas, for whoever shows or moves them; it runs none. Of the process around it it knows which trace a start belongs to, and what may be said of an error.',
    ),
    layer(
      'explanation-only-reads',
      '^explanation/',
      { path: ours, pathNot: '^(explanation|sagas|domain|contracts|gateways/(marks|payments)|runtime/errors)' },
      'explanation/ says of one order what its four sources say; whoever asks hands it the sources, and it changes nothing.',
    ),
    layer(
      'runtime-knows-nothing-of-ours',
      '^runtime/',
      { path: ours, pathNot: '^(runtime|prisma/generated)/|^prisma/(session|plain-text|secret-files)\\.mjs' },
      'runtime/ is how any process runs; the sandbox uses it too, so it can know nothing about orders.',
    ),
    layer(
      'api-does-not-run-steps',
      '^api/',
      { path: '^(activities|gateways|workers|relay|sandbox|local)/', ...notType },
      'api/ turns HTTP into domain calls and workflow messages; it never runs a step, so that only a saga changes an accepted order.',
    ),
    layer(
      'relay-does-not-run-steps',
      '^relay/',
      { path: '^(activities|gateways|workers|api|sandbox|local)/', ...notType },
      'relay/ moves the outbox and starts orphaned sagas; of an order it decides nothing but that its deadline has come.',
    ),
    layer(
      'workers-are-leaves',
      '^workers/',
      { path: '^(api|relay|sandbox|local)/' },
      'workers/ hosts workflows and activities; processes do not know each other.',
    ),
    layer(
      'reconciliation-compares-ledgers',
      '^reconciliation/',
      { path: ours, pathNot: '^(reconciliation|activities|domain|gateways|contracts|runtime|sagas)/', ...notType },
      'reconciliation/ compares the gateway’s ledger with ours on a loop of its own; it knows neither HTTP nor workers, so that any process can run it.',
    ),
    layer(
      'verification-only-compares',
      '^verification/',
      { path: ours, pathNot: '^(verification|contracts|runtime|prisma/generated)/|^gateways/(marks|payments)\\.ts$' },
      'verification/ reads what the ledgers say with statements of its own: code that it shared with those who write them would share their mistakes. Of the gateway it takes the port and what the marks mean.',
    ),
    layer(
      'workers-load-workflows-by-path',
      '^workers/',
      { path: '^workflows/', ...notType },
      'workers/ loads workflow code by path into its sandbox; an import would run it outside.',
    ),
    layer(
      'sandbox-shares-no-gateway-code',
      '^sandbox/',
      { path: ours, pathNot: '^(sandbox|runtime)/' },
      'sandbox/ shares no code with our gateway: shared code would hide our misreadings of the provider.',
    ),
    layer(
      'issuer-shares-no-code',
      '^issuer/',
      { path: ours, pathNot: '^(issuer|runtime)/' },
      'issuer/ stands in for somebody else’s identity provider; it shares no code with what verifies its tokens.',
    ),
    layer(
      'clients-know-the-contract-only',
      '^clients/',
      { path: ours, pathNot: '^clients/' },
      'clients/ knows the API by its document alone, as the programs of other people do, into which it is copied.',
    ),
    layer(
      'product-does-not-call-itself',
      '^(?!test/|clients/)',
      { path: '^clients/' },
      'The product does not use its own client: that is for those outside, and for tests.',
    ),
    layer(
      'examples-stand-alone',
      '^examples/',
      { path: ours, pathNot: '^examples/' },
      'examples/ are other people’s programs: they get nothing but events, so they share no code with us.',
    ),
    layer(
      'yardsticks-share-no-code',
      '^bench/yardsticks/',
      { path: ours, pathNot: '^bench/' },
      'bench/yardsticks/ is what the service is measured against; code of the service in it would measure the service against itself.',
    ),
    layer(
      'api-http-knows-no-route',
      '^api/(http|access|load)/',
      { path: '^api/(routes|openapi)/|^api/(server|api|dispatcher)\\.ts' },
      'api/http, access and load are what every request passes; what a single route does is in api/routes.',
    ),
    layer(
      'testbed-is-for-tests-bench-and-soak',
      '^(?!testbed/|bench/|soak/|test/)',
      { path: '^testbed/' },
      'testbed/ has servers and brokers to be tested and measured against; the product is given its neighbours by address.',
    ),
    layer(
      'product-does-not-import-the-bench',
      '^(?!bench/|test/)',
      { path: '^bench/' },
      'The product does not know how it is measured.',
    ),
    layer(
      'soak-stands-outside',
      '^soak/',
      { path: ours, pathNot: '^(soak|testbed|local|verification|simulation|contracts|prisma/session)' },
      'soak/ starts, harms and asks the product as others would, and reads its ledgers with the invariants’ own readers: code of the product in it would share the product’s mistakes.',
    ),
    layer(
      'product-does-not-import-the-soak',
      '^(?!soak/|test/)',
      { path: '^soak/' },
      'The product does not know who harms it.',
    ),
    layer(
      'simulation-imports-the-vocabulary-only',
      '^simulation/',
      { path: ours, pathNot: '^(simulation|contracts|verification)/|^gateways/look-up-windows\\.ts$' },
      'simulation/ carries out workflows and activities as they were built, by loading them into a context of its own; what it imported would run outside of it. Its gateway reads the windows that the real adapter reads: arithmetic without state.',
    ),
    layer(
      'product-does-not-import-the-simulation',
      '^(?!simulation/|test/)',
      { path: '^simulation/' },
      'The product does not know how it is simulated.',
    ),
    layer(
      'nobody-imports-a-main',
      '',
      { path: '/main\\.ts$' },
      'Nobody imports a main.ts: a process is a leaf; what it is made of lives in files beside it.',
    ),
    layer('product-does-not-import-tests', '^(?!test/)', { path: '^test/' }, 'The product does not know its tests.'),
    layer('no-circles', '', { circular: true }, 'No import circles: the arrows of the house point one way.'),
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: ['node_modules', '^prisma/generated'] },
    exclude: { path: ['^dist', '^prisma/generated/.*'] },
  },
};
