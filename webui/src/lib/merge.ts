/** Two people change the settings at once: what becomes of the one's changes when the other's come into force first. */
import { at, changed, type Document, difference } from "./document";

export interface Merged {
  document: Document;
  /** Both have changed the same; the document is that of the slower one, unchanged. */
  clash: boolean;
}

const isWithin = (path: string, whole: string) =>
  path === whole || path.startsWith(`${whole}.`) || path.startsWith(`${whole}[`);

/** The paths of the lists that a path leads through: `service` and `service[0].rule` for `service[0].rule[1].path`. */
const listsOf = (path: string) => [...path.matchAll(/\[\d+\]/g)].map(found => path.slice(0, found.index));

function lengthOf(document: Document, path: string): number {
  const found = at(document, path);
  return Array.isArray(found) ? found.length : 0;
}

/** `own` was made from `base`; now `next` is in force. */
export function merged(base: Document, own: Document, next: Document): Merged {
  const mine = difference(base, own).map(change => change.path);
  const theirs = difference(base, next).map(change => change.path);
  const hasMoved = (list: string, other: Document) => lengthOf(base, list) !== lengthOf(other, list);
  // Entries of a list have no name but their place; where it has another length, a place says nothing.
  const meet = (one: string, other: string) =>
    isWithin(one, other) ||
    isWithin(other, one) ||
    listsOf(one).some(list => isWithin(other, list) && (hasMoved(list, next) || hasMoved(list, own)));
  if (mine.some(one => theirs.some(other => meet(one, other)))) return { document: own, clash: true };
  const places = new Set(mine.map(path => listsOf(path).find(list => hasMoved(list, own)) ?? path));
  const document = [...places].reduce((tree, path) => changed(tree, path, at(own, path)), next);
  return { document, clash: false };
}
