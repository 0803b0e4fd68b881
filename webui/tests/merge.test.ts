import { expect, test } from "vitest";
import { merged } from "../src/lib/merge";

const A = { name: "a", copies: 1 };
const B = { name: "b", copies: 1 };
const BASE = { nics: { mirror: ["m0"] }, service: [A, B] };

test("changes of other places come together", () => {
  const own = { ...BASE, service: [A, { name: "b", copies: 2 }] };
  const next = { ...BASE, nics: { mirror: ["m0", "m1"] } };
  expect(merged(BASE, own, next)).toEqual({ document: { ...own, nics: next.nics }, clash: false });
  const other = { ...BASE, service: [{ name: "a", copies: 3 }, B] };
  expect(merged(BASE, own, other).document.service).toEqual([other.service[0], own.service[1]]);
});

test("what nobody has changed follows, and what nobody else has changed stays", () => {
  const other = { ...BASE, service: [] };
  expect(merged(BASE, BASE, other)).toEqual({ document: other, clash: false });
  expect(merged(BASE, other, BASE)).toEqual({ document: other, clash: false });
});

test("the same place is a clash", () => {
  const own = { ...BASE, nics: { mirror: ["m1"] } };
  const next = { ...BASE, nics: { mirror: ["m2"] } };
  expect(merged(BASE, own, next)).toEqual({ document: own, clash: true });
});

test("a list that has another length clashes with whatever is changed in it", () => {
  const removed = { ...BASE, service: [B] };
  const own = { ...BASE, service: [A, { name: "b", copies: 2 }] };
  expect(merged(BASE, own, removed).clash).toBe(true);
  expect(merged(BASE, removed, own).clash).toBe(true);
});

test("an entry that was taken out is taken out of what is in force now", () => {
  const own = { ...BASE, service: [B] };
  const next = { ...BASE, nics: { mirror: ["m9"] } };
  expect(merged(BASE, own, next)).toEqual({ document: { ...own, nics: next.nics }, clash: false });
});
