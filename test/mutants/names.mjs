/** A test's name as it stands in the source: what stands in it for a value may become anything. */
export const patternOf = (name) =>
  name
    .split(/%[sdijpo]|\$\w+|\$\{[^}]*\}/)
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*');
