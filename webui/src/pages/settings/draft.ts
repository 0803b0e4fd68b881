/** The settings as they are being written on this page, the faults that the box finds in them, and what is pending. */
import { effect, signal } from "@preact/signals";
import { ApiError, getNewer, send } from "../../api/client";
import type { Change, Fault, Pending } from "../../api/types";
import { changed, type Document, difference, type Json } from "../../lib/document";
import { merged } from "../../lib/merge";
import { attempt, may, refreshSnapshot, snapshot } from "../../state";

export const inForce = signal<Document | undefined>(undefined);
export const draft = signal<Document | undefined>(undefined);
export const faults = signal<Fault[]>([]);
/** What others have changed while somebody was writing here. */
export const others = signal<{ changes: Change[]; clash: boolean } | undefined>(undefined);
/** What was applied here, and taken back since nobody confirmed it. */
export const takenBack = signal<Document | undefined>(undefined);

const PATH = "/api/v1/settings";
const CHECK_MS = 400;

/** What the settings in force are known by. */
let tag = "";
/** What was applied here, and what was in force before, until it is confirmed or taken back. */
let applied: { own: Document; before: Document | undefined } | undefined;

/** The settings in force are these now: what nobody has touched follows, what somebody is writing is kept upon them. */
export function take(next: Document, etag: string): void {
  const [base, own] = [inForce.value, draft.value];
  tag = etag;
  inForce.value = next;
  if (!base || !own || difference(base, own).length === 0) {
    draft.value = next;
    return;
  }
  const changes = difference(base, next);
  if (changes.length === 0) return;
  const { document, clash } = merged(base, own, next);
  draft.value = document;
  others.value = { changes, clash: clash || others.value?.clash === true };
}

export async function load(): Promise<void> {
  const found = await getNewer<Document>(PATH, "");
  if (found) take(found.value, found.etag);
}

export function isChanged(): boolean {
  return draft.value !== undefined && difference(inForce.value, draft.value).length > 0;
}

export function edit(path: string, value: Json | undefined): void {
  if (draft.value) draft.value = changed(draft.value, path, value);
}

export function discard(): void {
  draft.value = inForce.value;
  others.value = undefined;
}

/** Takes up again what was taken back. */
export function takeUp(): void {
  draft.value = takenBack.value;
  takenBack.value = undefined;
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

/** Stages a document and applies it, unless the settings are no longer those that it was made from; whether it could be. */
export function apply(document: Document, why: string, madeFrom = ""): Promise<boolean> {
  return attempt(async () => {
    const headers = madeFrom ? { "If-Match": madeFrom } : {};
    const query = new URLSearchParams({ why });
    await send<Pending>("PUT", `${PATH}?${query}`, document, { headers }).catch(async fault => {
      if (fault instanceof ApiError && fault.code === "changed") await load();
      throw fault;
    });
    await send<Pending>("POST", `${PATH}/apply`);
    applied = { own: document, before: inForce.value };
    discard();
    await load();
    refreshSnapshot();
  });
}

export function applyDraft(document: Document, why: string): Promise<boolean> {
  return apply(document, why, tag);
}

// Whether what was applied here is kept is known when it no longer waits.
let wasWaiting = false;
effect(() => {
  const isWaiting = snapshot.value?.pending_state === "applied";
  if (wasWaiting && !isWaiting && snapshot.value) void settle();
  wasWaiting = isWaiting;
});

async function settle(): Promise<void> {
  const settled = applied;
  applied = undefined;
  if (!settled?.before) return;
  await load().catch(() => {});
  // What is in force says more than what was written: the box fills in what was left out.
  if (difference(inForce.value, settled.before).length === 0) takenBack.value = settled.own;
}

export function mayEdit(pending: Pending | undefined): boolean {
  return may("operator") && pending?.read_only === false && pending.state !== "applied";
}
