/** Loaded before a process of ours: its clock is off by SOAK_CLOCK_AHEAD_MS. */
const RealDate = Date;
const now = () => RealDate.now() + Number(process.env.SOAK_CLOCK_AHEAD_MS);

globalThis.Date = new Proxy(RealDate, {
  construct: (target, given, made) => Reflect.construct(target, given.length === 0 ? [now()] : given, made),
  apply: () => new RealDate(now()).toString(),
  get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
});
