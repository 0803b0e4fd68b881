/** Calls to the box. Whether it can be reached at all is known here, and shown by the frame. */
import { signal } from "@preact/signals";
import type { Fault } from "./types";

/** An answer that is a fault, with the box's own sentence. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly faults: Fault[] = [],
    readonly retryAfter = 0,
  ) {
    super(message);
  }

  /** The endpoint is not there: an older box, or one without that part. */
  get isMissing(): boolean {
    return this.status === 404 && this.code === "not_found";
  }
}

/** No answer at all. */
export class Unreachable extends Error {}

/** Whether the last call got an answer. */
export const reachable = signal(true);
/** Set by whoever keeps the login; called when the box says that there is none. */
export const onLoggedOut: { call: () => void } = { call: () => {} };

let csrfToken = "";

export function setCsrfToken(token: string): void {
  csrfToken = token;
}

const LONGEST_MS = 45_000;
/** A file takes its time to the box. */
const LONGEST_UPLOAD_MS = 900_000;

interface Options {
  type?: string;
  headers?: Record<string, string>;
}

async function call(method: string, path: string, body?: unknown, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  if (method !== "GET") headers["X-CSRF-Token"] = csrfToken;
  const init: RequestInit = { method, headers, cache: "no-store", credentials: "same-origin" };
  if (body instanceof Blob) {
    headers["Content-Type"] = "application/octet-stream";
    init.body = body;
  } else if (body !== undefined) {
    headers["Content-Type"] = options.type ?? "application/json";
    init.body = typeof body === "string" && options.type ? body : JSON.stringify(body);
  }
  init.signal = AbortSignal.timeout(body instanceof Blob ? LONGEST_UPLOAD_MS : LONGEST_MS);
  try {
    const response = await fetch(path, init);
    reachable.value = true;
    return response;
  } catch (fault) {
    reachable.value = false;
    throw new Unreachable(String(fault));
  }
}

async function faultOf(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  let told: { error?: Fault; faults?: Fault[] } = {};
  try {
    told = JSON.parse(text);
  } catch {
    // Not the box's own answer; its status has to do.
  }
  const error = told.error ?? { code: `http_${response.status}`, message: `${response.status} ${response.statusText}` };
  const retry = Number(response.headers.get("Retry-After") ?? 0);
  return new ApiError(response.status, error.code, error.message, told.faults ?? (told.error ? [error] : []), retry);
}

async function checked(response: Response): Promise<Response> {
  if (response.ok) return response;
  const fault = await faultOf(response);
  if (fault.status === 401) onLoggedOut.call();
  throw fault;
}

/** A resource as JSON. */
export async function get<T>(path: string): Promise<T> {
  return (await checked(await call("GET", path))).json() as Promise<T>;
}

/** A resource as text, and the name that the box gives to the file. */
export async function getText(path: string): Promise<string> {
  return (await checked(await call("GET", path, undefined, { headers: { Accept: "*/*" } }))).text();
}

/** The box's health, which is told with 200 and with 503. */
export async function getEither<T>(path: string): Promise<T> {
  const response = await call("GET", path);
  if (response.ok || response.status === 503) return response.json() as Promise<T>;
  throw await faultOf(response);
}

/** A resource unless it is the one that is known already: `undefined` then. */
export async function getNewer<T>(path: string, etag: string): Promise<{ value: T; etag: string } | undefined> {
  const response = await call("GET", path, undefined, etag ? { headers: { "If-None-Match": etag } } : {});
  if (response.status === 304) return undefined;
  const value = (await (await checked(response)).json()) as T;
  return { value, etag: response.headers.get("ETag") ?? "" };
}

/** A call that changes something; its answer, if it has one. */
export async function send<T = undefined>(
  method: string,
  path: string,
  body?: unknown,
  options: Options = {},
): Promise<T> {
  const response = await checked(await call(method, path, body, options));
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}
