/** A neighbour as the first screen shows it. */
export type Neighbour = {
  name: string;
  kind: 'postgres' | 'temporal' | 'workers' | 'gateway' | 'destination';
  /** unknown = nothing here can tell. */
  state: 'up' | 'late' | 'down' | 'unknown';
  detail: string;
  /** When it last did what it is there for; null = not known. */
  lastSuccess: string | null;
};
