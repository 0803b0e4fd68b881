/** The settings document as a tree: reading, changing and comparing it by paths such as `service[0].origins[1]`. */
import type { Change } from "../api/types";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Document = { [key: string]: Json };

/** `service[0].origins[1]` as `["service", 0, "origins", 1]`. */
export function steps(path: string): (string | number)[] {
  return [...path.matchAll(/\[(\d+)\]|([^.[\]]+)/g)].map(found =>
    found[1] === undefined ? (found[2] ?? "") : Number(found[1]),
  );
}

export function at(tree: Json | undefined, path: string): Json | undefined {
  return steps(path).reduce<Json | undefined>((value, step) => {
    if (Array.isArray(value)) return typeof step === "number" ? value[step] : undefined;
    return value !== null && typeof value === "object" ? value[step] : undefined;
  }, tree);
}

/** A copy of the tree with another value at the path; `undefined` takes it out, with the objects that it leaves empty. */
export function changed(tree: Document, path: string, value: Json | undefined): Document {
  return (put(tree, steps(path), value) ?? {}) as Document;
}

function put(tree: Json | undefined, path: (string | number)[], value: Json | undefined): Json | undefined {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (typeof step === "number") {
    const list = Array.isArray(tree) ? [...tree] : [];
    const inner = put(list[step], rest, value);
    if (inner === undefined) list.splice(step, 1);
    else list[step] = inner;
    return list;
  }
  const object = tree !== null && typeof tree === "object" && !Array.isArray(tree) ? { ...tree } : {};
  const inner = put(object[step], rest, value);
  if (inner !== undefined) return { ...object, [step]: inner };
  delete object[step];
  return Object.keys(object).length > 0 ? object : undefined;
}

/** The leaves in which two trees differ, in the order of their paths. */
export function difference(from: Json | undefined, to: Json | undefined, path = ""): Change[] {
  if (from === to) return [];
  const isTree = (value: Json | undefined) => value !== null && typeof value === "object";
  if (isTree(from) || isTree(to)) {
    const keys = new Set([...keysOf(from), ...keysOf(to)]);
    if (keys.size > 0 || (isTree(from) && isTree(to))) {
      return [...keys].flatMap(key => difference(child(from, key), child(to, key), joined(path, key)));
    }
  }
  return [{ path, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) } as Change];
}

function keysOf(tree: Json | undefined): (string | number)[] {
  if (Array.isArray(tree)) return tree.map((_, index) => index);
  return tree !== null && typeof tree === "object" ? Object.keys(tree) : [];
}

function child(tree: Json | undefined, key: string | number): Json | undefined {
  if (Array.isArray(tree)) return typeof key === "number" ? tree[key] : undefined;
  return tree !== null && typeof tree === "object" ? tree[key] : undefined;
}

function joined(path: string, key: string | number): string {
  if (typeof key === "number") return `${path}[${key}]`;
  return path ? `${path}.${key}` : key;
}
