import { beforeAll, expect, test, vi } from "vitest";
import { proposedPool } from "../src/lib/addresses";
import { at, changed, difference, steps } from "../src/lib/document";

const document = { nics: { mirror: ["a"] }, service: [{ name: "x", origins: ["1:1", "2:2"] }] };

test("paths", () => {
  expect(steps("service[0].origins[1]")).toEqual(["service", 0, "origins", 1]);
  expect(at(document, "service[0].origins[1]")).toBe("2:2");
  expect(at(document, "service[3].origins[1]")).toBeUndefined();
});

test("a change is a copy, and what it does not touch stays the same", () => {
  const other = changed(document, "service[0].origins[0]", undefined);
  expect(at(other, "service[0].origins")).toEqual(["2:2"]);
  expect(at(document, "service[0].origins")).toEqual(["1:1", "2:2"]);
  expect(other.nics).toBe(document.nics);
  expect(changed({}, "addressing.pool[0]", "p")).toEqual({ addressing: { pool: ["p"] } });
  expect(changed({ a: 1 }, "a", undefined)).toEqual({});
  expect(changed({ a: { b: { c: 1 } }, d: 2 }, "a.b.c", undefined)).toEqual({ d: 2 });
});

test("the difference names every leaf", () => {
  const other = changed(changed(document, "nics.target", "t"), "service[0].origins[1]", undefined);
  expect(difference(document, other)).toEqual([
    { path: "nics.target", to: "t" },
    { path: "service[0].origins[1]", from: "2:2" },
  ]);
  expect(difference(document, structuredClone(document))).toEqual([]);
  expect(difference({ pool: [] }, {})).toEqual([{ path: "pool", from: [] }]);
});

test("the pool lies beside the target and never holds it", () => {
  expect(proposedPool("10.1.2.31:80")).toBe("10.1.2.200-10.1.2.250/24");
  expect(proposedPool("10.1.2.222:80")).toBe("10.1.2.100-10.1.2.150/24");
  expect(proposedPool("[2001:db8::1]:80")).toBeUndefined();
});

beforeAll(() => {
  const kept = new Map<string, string>();
  vi.stubGlobal("sessionStorage", { getItem: (key: string) => kept.get(key) ?? null, setItem: kept.set.bind(kept) });
});

test("servers of one port and protocol are one service", async () => {
  const { toggled } = await import("../src/pages/wizard/state");
  const one = toggled([], "10.0.0.1:80", "http", true);
  const two = toggled(one, "10.0.0.2:80", "http", true);
  expect(two).toEqual([{ name: "http-80", origins: ["10.0.0.1:80", "10.0.0.2:80"], protocol: "http", target: "" }]);
  expect(toggled(two, "10.0.0.1:6379", "redis", true)).toHaveLength(2);
  expect(toggled(one, "10.0.0.1:80", "http", false)).toEqual([]);
});

test("the wizard's answers are settings", async () => {
  const { documentOf } = await import("../src/pages/wizard/state");
  const service = { name: "s", origins: ["10.0.0.1:80"], protocol: "http", target: "10.0.1.1:80, 10.0.1.2:80" };
  const pool = "10.0.1.5-10.0.1.6/24 10.0.1.9-10.0.1.9/24";
  const told = { step: 5, mirror: ["m"], target: "t", services: [service], mode: "pool" as const, isPoolOwn: false };
  expect(documentOf({ ...told, pool, link: "", gateway: " ", applied: false })).toEqual({
    schema_version: 1,
    nics: { mirror: ["m"], target: "t" },
    addressing: { mode: "pool", pool: ["10.0.1.5-10.0.1.6/24", "10.0.1.9-10.0.1.9/24"] },
    service: [{ name: "s", origins: ["10.0.0.1:80"], targets: ["10.0.1.1:80", "10.0.1.2:80"], protocol: "http" }],
  });
});
