/** Two messages side by side: lines of text against each other, and JSON values by their place. */

export type Mark = "same" | "changed" | "origin" | "target";

export interface Row {
  mark: Mark;
  origin: string | undefined;
  target: string | undefined;
}

/** Beyond so many pairs of lines only those at the same place are held against each other. */
const LONGEST_TABLE = 1_000_000;

/** The rows of two texts, matched by their longest common sequence of lines. */
export function rowsOf(origin: string, target: string): Row[] {
  const left = origin.split("\n");
  const right = target.split("\n");
  if (left.length * right.length > LONGEST_TABLE) return byPlace(left, right);
  return paired(matched(left, right));
}

function byPlace(left: string[], right: string[]): Row[] {
  return Array.from({ length: Math.max(left.length, right.length) }, (_, index) => row(left[index], right[index]));
}

function row(origin: string | undefined, target: string | undefined): Row {
  if (origin === target) return { mark: "same", origin, target };
  if (origin === undefined) return { mark: "target", origin, target };
  return { mark: target === undefined ? "origin" : "changed", origin, target };
}

function matched(left: string[], right: string[]): Row[] {
  const width = right.length + 1;
  const lengths = new Uint32Array((left.length + 1) * width);
  const length = (i: number, j: number) => lengths[i * width + j] ?? 0;
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        left[i] === right[j] ? length(i + 1, j + 1) + 1 : Math.max(length(i + 1, j), length(i, j + 1));
    }
  }
  const rows: Row[] = [];
  let [i, j] = [0, 0];
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) rows.push(row(left[i++], right[j++]));
    else if (j >= right.length || (i < left.length && length(i + 1, j) >= length(i, j + 1)))
      rows.push(row(left[i++], undefined));
    else rows.push(row(undefined, right[j++]));
  }
  return rows;
}

/** A line that is gone beside one that is new is one that has changed. */
function paired(rows: Row[]): Row[] {
  const found: Row[] = [];
  for (let index = 0; index < rows.length; ) {
    let end = index;
    while (end < rows.length && rows[end]?.mark !== "same") end++;
    const block = rows.slice(index, end);
    const gone = block.filter(entry => entry.mark === "origin").map(entry => entry.origin ?? "");
    const come = block.filter(entry => entry.mark === "target").map(entry => entry.target ?? "");
    found.push(
      ...byPlace(gone, come).map(entry => ({
        ...entry,
        mark: entry.mark === "same" ? ("changed" as const) : entry.mark,
      })),
    );
    const same = rows[end];
    if (same) found.push(same);
    index = end + 1;
  }
  return found;
}

/** Where two lines begin and end to differ: the first byte, and the ends of either. */
export function middle(origin: string, target: string): { start: number; originEnd: number; targetEnd: number } {
  const shortest = Math.min(origin.length, target.length);
  let start = 0;
  while (start < shortest && origin[start] === target[start]) start++;
  let tail = 0;
  while (tail < shortest - start && origin[origin.length - 1 - tail] === target[target.length - 1 - tail]) tail++;
  return { start, originEnd: origin.length - tail, targetEnd: target.length - tail };
}

/** One place of two JSON values. */
export interface Node {
  key: string;
  /** As `$.items[3].price`. */
  path: string;
  mark: Mark;
  origin?: unknown;
  target?: unknown;
  children: Node[];
  /** Whether anything below differs. */
  differs: boolean;
}

const isTree = (value: unknown): value is object => value !== null && typeof value === "object";

/** Two JSON values as one tree. `undefined` is a value that is not there. */
export function treeOf(origin: unknown, target: unknown, key = "$", path = "$"): Node {
  if (isTree(origin) && isTree(target) && Array.isArray(origin) === Array.isArray(target)) {
    const keys = [...new Set([...Object.keys(origin), ...Object.keys(target)])];
    const children = keys.map(name => {
      const inner = Array.isArray(origin) ? `[${name}]` : `.${name}`;
      return treeOf(
        (origin as Record<string, unknown>)[name],
        (target as Record<string, unknown>)[name],
        name,
        path + inner,
      );
    });
    const differs = children.some(child => child.differs);
    return { key, path, mark: differs ? "changed" : "same", origin, target, children, differs };
  }
  const mark =
    origin === undefined ? "target" : target === undefined ? "origin" : sameJson(origin, target) ? "same" : "changed";
  return { key, path, mark, origin, target, children: [], differs: mark !== "same" };
}

function sameJson(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** Control and formatting characters as pictures, so that what is captured shows as text and does nothing. */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, found => {
    if (found === "\t" || found === "\n") return found;
    const code = found.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : "\ufffd";
  });
}
