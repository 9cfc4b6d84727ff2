export type PreviousBuild =
  | { release: string; dir: string; knows: string[]; isBuilt: boolean; missing?: undefined }
  | { missing: string };
export function previousBuild(): PreviousBuild;
export function newSince(knows: string[]): string[];
