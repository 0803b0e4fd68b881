/** Addresses behind the hash: `#/sessions/0-17?service=shop`. */
import { signal } from "@preact/signals";

export interface Route {
  page: string;
  /** What follows the page's name. */
  id: string;
  query: Record<string, string>;
}

export function parse(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  const [page = "", ...rest] = path.split("/");
  return {
    page: page || "overview",
    id: rest.map(decode).join("/"),
    query: Object.fromEntries(new URLSearchParams(search)),
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function href(page: string, id = "", query: Record<string, string | undefined> = {}): string {
  const pairs = Object.entries(query).filter((pair): pair is [string, string] => !!pair[1]);
  const search = new URLSearchParams(pairs).toString();
  return `#/${page}${id ? `/${encodeURIComponent(id)}` : ""}${search ? `?${search}` : ""}`;
}

export const route = signal<Route>(parse(globalThis.location?.hash ?? ""));

/** Follows the address bar from now on. */
export function startRouter(): void {
  addEventListener("hashchange", () => {
    route.value = parse(location.hash);
  });
}

/** Changes a page's filters without a new entry in the history. */
export function setQuery(change: Record<string, string>): void {
  const { page, id, query } = route.value;
  history.replaceState(null, "", href(page, id, { ...query, ...change }));
  route.value = parse(location.hash);
}
