/** A recorded exchange, as far as the page shows it. */
import type { Outcome } from "../../api/types";

/** What one side said, masked; both parts in the same encoding. */
export interface Said {
  encoding: "utf-8" | "base64";
  head: string;
  body: string;
  body_bytes: number;
  body_bytes_kept: number;
  note?: string;
}

export interface Difference {
  field: string;
  offset?: number;
  origin?: string;
  target?: string;
}

export interface Exchange {
  id: number;
  service: string;
  outcome: Outcome;
  reason?: string;
  at?: number;
  endpoint?: string;
  client?: string;
  origin?: string;
  target?: string;
  request_bytes?: number;
  origin_last_us?: number;
  target_last_us?: number;
  differences?: Difference[];
  has_contents?: boolean;
  contents?: { request: Said; origin: Said; target: Said };
}

export interface Parts {
  head: string;
  body: string;
  /** The body's value, where it is JSON. */
  json?: unknown;
}

/** Head and body as text: bytes that are none are shown as hexadecimal lines. */
export function partsOf(said: Said): Parts {
  if (said.encoding === "base64") return { head: decoded(said.head), body: decoded(said.body) };
  const head = said.head.replaceAll("\r\n", "\n").trimEnd();
  return { head, body: said.body, ...jsonOf(said.body) };
}

function decoded(text: string): string {
  return hexOf(Uint8Array.from(atob(text), char => char.charCodeAt(0)));
}

function jsonOf(body: string): { json?: unknown } {
  if (!/^\s*[[{]/.test(body)) return {};
  try {
    return { json: JSON.parse(body) };
  } catch {
    return {};
  }
}

const ROW = 16;

export function hexOf(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let start = 0; start < bytes.length; start += ROW) {
    const row = [...bytes.subarray(start, start + ROW)];
    const hex = row.map(byte => byte.toString(16).padStart(2, "0")).join(" ");
    const text = row.map(byte => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    rows.push(`${start.toString(16).padStart(6, "0")}  ${hex.padEnd(ROW * 3 - 1)}  ${text}`);
  }
  return rows.join("\n");
}
