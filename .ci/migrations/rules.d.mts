export type Finding = { rule: string; line: number; what: string; dropped?: string };
export type History = { checks: Map<string, string>; validated: Set<string> };
export const RULES: Record<string, string>;
export function newHistory(): History;
export function lint(sql: string, history?: History): Promise<Finding[]>;
