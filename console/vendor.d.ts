/** What the console takes of packages: the modules under vendor/ are the API's to serve (api/console/files.ts). */
declare module '*vendor/preact.js' {
  export type Node = unknown;
  export type Ref<T> = { current: T };
  export function html(strings: TemplateStringsArray, ...values: unknown[]): Node;
  export function h(type: unknown, props: object | null, ...children: unknown[]): Node;
  export function render(tree: Node, parent: Element): void;
  export type Context<T> = { Provider: unknown; of: T };
  export function createContext<T>(value: T): Context<T>;
  export function useContext<T>(context: Context<T>): T;
  export function useState<T>(initial: T | (() => T)): [T, (next: T | ((before: T) => T)) => void];
  export function useEffect(effect: () => unknown, inputs?: readonly unknown[]): void;
  export function useLayoutEffect(effect: () => unknown, inputs?: readonly unknown[]): void;
  export function useRef<T>(initial: T): Ref<T>;
  export function useMemo<T>(make: () => T, inputs: readonly unknown[]): T;
  export function useCallback<T>(callback: T, inputs: readonly unknown[]): T;
  export function useErrorBoundary(caught?: (error: Error) => void): [Error | undefined, () => void];
}
