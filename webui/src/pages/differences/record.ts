/** A recorded exchange, as far as the page shows it. */
import type { Outcome } from "../../api/types";

export interface Contents {
  encoding: "utf-8" | "base64";
  text: string;
  /** Length of the whole message, where more was seen than was kept. */
  bytes?: number;
  truncated?: boolean;
}

export interface Difference {
  field: string;
  origin?: unknown;
  target?: unknown;
}

interface Leg {
  first_byte_us?: number;
  last_byte_us?: number;
}

export interface Exchange {
  id: number;
  service: string;
  outcome: Outcome;
  reason?: string;
  at?: number;
  endpoint?: string;
  client?: string;
  latency?: { origin?: Leg; target?: Leg };
  differences?: Difference[];
  request?: Contents | null;
  origin_answer?: Contents | null;
  target_answer?: Contents | null;
}

/** Contents as text: bytes that are none are shown as hexadecimal lines. */
export function textOf(contents: Contents): string {
  if (contents.encoding === "utf-8") return contents.text;
  const bytes = Uint8Array.from(atob(contents.text), char => char.charCodeAt(0));
  return hexOf(bytes);
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
