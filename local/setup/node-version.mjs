/**
 * Imported first, and for its effect: an unsuitable Node must say so in a sentence, not in a syntax error. Hence this file
 * uses nothing that an old Node would not understand, and a script that imports it imports the rest dynamically.
 */
const REQUIRED = [20, 19];

const version = process.versions.node.split('.').map(Number);
if (version[0] < REQUIRED[0] || (version[0] === REQUIRED[0] && version[1] < REQUIRED[1])) {
  process.stderr.write(
    'order-saga needs Node ' +
      REQUIRED.join('.') +
      ' or newer; this is ' +
      process.versions.node +
      ' (' +
      process.execPath +
      ').\n',
  );
  process.exit(1);
}
