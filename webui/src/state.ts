/** What all pages share: who is logged in, how the box is, and what it shows each second. */
import { computed, signal } from "@preact/signals";
import { ApiError, get, getEither, onLoggedOut, reachable, send, setCsrfToken, Unreachable } from "./api/client";
import { follow } from "./api/poll";
import type { Health, Identity, Role, Snapshot } from "./api/types";
import { t } from "./i18n";

export const health = signal<Health | undefined>(undefined);
export const me = signal<Identity | undefined>(undefined);
export const snapshot = signal<Snapshot | undefined>(undefined);
/** Set when the overview's resource cannot be had, though the box answers. */
export const snapshotFault = signal<ApiError | undefined>(undefined);
/** A login has come to its end while the page was open. */
export const hasExpired = signal(false);
/** Whether it is known by now if somebody is logged in. */
export const known = signal(false);

const RANKS: Role[] = ["viewer", "operator", "admin"];

/** Whether whoever is logged in may do what takes this role. */
export function may(role: Role): boolean {
  return me.value !== undefined && RANKS.indexOf(me.value.role) >= RANKS.indexOf(role);
}

export const isFirstRun = computed(() => snapshot.value?.state === "idle");

let watching: AbortController | undefined;
const waker = { wake: () => {} };

function watchSnapshot(): void {
  watching?.abort();
  watching = new AbortController();
  void follow<Snapshot>("/api/v1/snapshot", 1_000, watching.signal, waker, (value, fault) => {
    if (value) snapshot.value = value;
    snapshotFault.value = fault;
  });
}

/** Asks for the snapshot at once, after something has been changed. */
export function refreshSnapshot(): void {
  waker.wake();
}

function enter(identity: Identity): void {
  setCsrfToken(identity.csrf_token ?? "");
  hasExpired.value = false;
  me.value = identity;
  watchSnapshot();
}

function leave(): void {
  watching?.abort();
  setCsrfToken("");
  me.value = undefined;
  snapshot.value = undefined;
}

/** Finds out whether the box is claimed and whether the browser has a session; tries until the box answers. */
export async function begin(): Promise<void> {
  onLoggedOut.call = () => {
    // Several requests may be refused at once; after the first nobody is logged in any more.
    hasExpired.value ||= me.value !== undefined;
    leave();
  };
  try {
    health.value = await getEither<Health>("/api/v1/health");
    if (health.value.claimed !== false) enter(await get<Identity>("/api/v1/me"));
  } catch (fault) {
    if (fault instanceof Unreachable) {
      setTimeout(() => void begin(), 1_000);
      return;
    }
  }
  known.value = true;
}

export async function login(username: string, password: string): Promise<void> {
  enter(await send<Identity>("POST", "/api/v1/login", { username, password }));
}

export async function claim(token: string, password: string): Promise<void> {
  const identity = await send<Identity>("POST", "/api/v1/setup", { claim_token: token, password });
  if (health.value) health.value = { ...health.value, claimed: true };
  enter(identity);
}

export async function logout(): Promise<void> {
  await send("POST", "/api/v1/logout").catch(() => {});
  leave();
}

/* Short notices at the edge of the page. */
export interface Toast {
  id: number;
  tone: "ok" | "bad" | "info";
  text: string;
}

export const toasts = signal<Toast[]>([]);
let lastToast = 0;
const TOAST_MS = 6_000;

export function say(text: string, tone: Toast["tone"] = "ok"): void {
  lastToast += 1;
  const id = lastToast;
  toasts.value = [...toasts.value.slice(-3), { id, tone, text }];
  setTimeout(() => dismiss(id), tone === "bad" ? 2 * TOAST_MS : TOAST_MS);
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter(toast => toast.id !== id);
}

/** The sentence of whatever went wrong. */
export function sentence(fault: unknown): string {
  if (fault instanceof ApiError && fault.code === "changed") return t("settings.others.quicker");
  if (fault instanceof ApiError) return fault.isMissing ? t("missing.title") : fault.message;
  if (fault instanceof Unreachable) return t("link.lost");
  return String(fault);
}

/** Runs something that may fail; the failure is told at the edge of the page. Whether it went well. */
export async function attempt(action: () => Promise<unknown>, done?: string): Promise<boolean> {
  try {
    await action();
    if (done) say(done);
    return true;
  } catch (fault) {
    say(sentence(fault), "bad");
    return false;
  }
}

export { reachable };
