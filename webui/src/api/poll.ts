/** Resources that are asked for again and again, while somebody can see them. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, getNewer } from "./client";

export interface Resource<T> {
  value: T | undefined;
  fault: ApiError | undefined;
  /** Asks at once. */
  reload: () => void;
}

const RETRY_MS = 2_000;

/** Resolves after the time, or as soon as the page is seen again or `wake` is called. */
function pause(ms: number, stop: AbortSignal, waker: { wake: () => void }): Promise<void> {
  return new Promise(resolve => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const done = () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
      stop.removeEventListener("abort", done);
      resolve();
    };
    const seen = () => {
      clearTimeout(timer);
      if (!document.hidden) timer = setTimeout(done, 0);
    };
    waker.wake = done;
    stop.addEventListener("abort", done);
    document.addEventListener("visibilitychange", seen);
    if (!document.hidden && ms !== Number.POSITIVE_INFINITY) timer = setTimeout(done, ms);
  });
}

/** Keeps calling `take` with what is new at the path until it is stopped. */
export async function follow<T>(
  path: string,
  periodMs: number,
  stop: AbortSignal,
  waker: { wake: () => void },
  take: (value: T | undefined, fault: ApiError | undefined, etag: string) => void,
): Promise<void> {
  let etag = "";
  while (!stop.aborted) {
    let wait = periodMs;
    try {
      const newer = await getNewer<T>(path, etag);
      if (stop.aborted) return;
      if (newer) {
        etag = newer.etag;
        take(newer.value, undefined, etag);
      }
    } catch (fault) {
      if (stop.aborted) return;
      wait = Math.max(RETRY_MS, Math.min(periodMs, 10_000));
      // Without an answer the last one is still shown; the frame says that the box cannot be reached.
      if (fault instanceof ApiError) {
        etag = "";
        take(undefined, fault, etag);
      }
    }
    await pause(wait, stop, waker);
  }
}

/** A resource on a page: asked for once, or each `periodMs`; `null` asks for nothing. */
export function useResource<T>(path: string | null, periodMs = Number.POSITIVE_INFINITY): Resource<T> {
  const [state, setState] = useState<{ path: string | null; value?: T; fault?: ApiError }>({ path });
  const waker = useRef({ wake: () => {} });
  useEffect(() => {
    if (path === null) return;
    const stop = new AbortController();
    void follow<T>(path, periodMs, stop.signal, waker.current, (value, fault) => {
      if (value !== undefined) setState({ path, value });
      else if (fault) setState(before => (before.path === path ? { ...before, fault } : { path, fault }));
    });
    return () => stop.abort();
  }, [path, periodMs]);
  return { value: state.value, fault: state.fault, reload: () => waker.current.wake() };
}
