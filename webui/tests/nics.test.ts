import { expect, test } from "vitest";
import type { Nic } from "../src/api/types";
import { choices, meant, proposed } from "../src/lib/nics";

const nic = (name: string, mac: string, more: Partial<Nic> = {}): Nic => ({
  name,
  mac,
  up: true,
  link: true,
  role: "none",
  addresses: [],
  frames_per_second: 0,
  bits_per_second: 0,
  ...more,
});
const NICS = [
  nic("enp1s0f0", "52:54:00:00:00:01", { bus: "0000:01:00.0", driver: "igb" }),
  nic("veth0", "52:54:00:00:00:02", { link: false }),
];

test("an interface is offered by all that names it", () => {
  expect(choices(NICS).map(([value]) => value)).toEqual([
    "enp1s0f0",
    "52:54:00:00:00:01",
    "0000:01:00.0",
    "veth0",
    "52:54:00:00:00:02",
  ]);
});

test("the page's own NIC is the target's only where there is no other", () => {
  const busy = { frames_per_second: 9 };
  const page = nic("enp0s4", "52:54:00:00:00:04", { role: "management", addresses: ["192.0.2.1"], ...busy });
  expect(proposed([NICS[0] as Nic, page])).toEqual({ mirror: ["enp1s0f0"], target: "enp0s4" });
  const third = nic("enp0s5", "52:54:00:00:00:05", busy);
  expect(proposed([NICS[0] as Nic, page, third])).toEqual({ mirror: ["enp0s5"], target: "enp1s0f0" });
});

test("what a text means is told in full", () => {
  const told = "enp1s0f0 · 52:54:00:00:00:01 · 0000:01:00.0 · igb · Up";
  for (const text of ["enp1s0f0", "52:54:00:00:00:01", "01:00.0"]) expect(meant(NICS, text)).toBe(told);
  expect(meant(NICS, "veth0")).toBe("veth0 · 52:54:00:00:00:02 · No link");
  expect(meant(NICS, "eth9")).toBeUndefined();
});
