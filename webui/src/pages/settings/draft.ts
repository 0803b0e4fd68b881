/** The settings as they are being written on this page, the faults that the box finds in them, and what is pending. */
import { effect, signal } from "@preact/signals";
import { get, send } from "../../api/client";
import type { Fault, Pending } from "../../api/types";
import { changed, type Document, difference, type Json } from "../../lib/document";
import { attempt, may, refreshSnapshot } from "../../state";

export const inForce = signal<Document | undefined>(undefined);
export const draft = signal<Document | undefined>(undefined);
export const faults = signal<Fault[]>([]);

const CHECK_MS = 400;

export async function load(): Promise<void> {
  const found = await get<Document>("/api/v1/settings");
  // What somebody is writing is kept, what nobody has touched follows.
  if (!isChanged()) draft.value = found;
  inForce.value = found;
}

export function isChanged(): boolean {
  return draft.value !== undefined && difference(inForce.value, draft.value).length > 0;
}

export function edit(path: string, value: Json | undefined): void {
  if (draft.value) draft.value = changed(draft.value, path, value);
}

export function discard(): void {
  draft.value = inForce.value;
}

/** What the box says of a field. */
export function faultAt(path: string): string | undefined {
  const found = faults.value.filter(fault => fault.field === path);
  return found.length > 0 ? found.map(fault => fault.message).join(" ") : undefined;
}

// The box checks the draft whenever nobody has typed for a moment.
let timer: ReturnType<typeof setTimeout> | undefined;
let checked: Document | undefined;
effect(() => {
  const document = draft.value;
  clearTimeout(timer);
  if (!document || document === checked) return;
  timer = setTimeout(() => void check(document), CHECK_MS);
});

async function check(document: Document): Promise<void> {
  checked = document;
  const found = await send<{ faults: Fault[] }>("POST", "/api/v1/settings/check", document).catch(() => undefined);
  if (found && document === draft.value) faults.value = found.faults;
}

/** Stages a document and applies it; whether it could be. */
export function apply(document: Document, why: string): Promise<boolean> {
  return attempt(async () => {
    await send<Pending>("PUT", `/api/v1/settings?why=${encodeURIComponent(why)}`, document);
    await send<Pending>("POST", "/api/v1/settings/apply");
    draft.value = inForce.value;
    await load();
    refreshSnapshot();
  });
}

export function mayEdit(pending: Pending | undefined): boolean {
  return may("operator") && pending?.read_only === false && pending.state !== "applied";
}
