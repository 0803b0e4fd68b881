import { expect, test } from "vitest";
import { href, parse } from "../src/lib/router";

test("an address is a page, an id and filters, and back again", () => {
  expect(parse("#/sessions/0-17?service=a%20b")).toEqual({ page: "sessions", id: "0-17", query: { service: "a b" } });
  expect(parse("")).toEqual({ page: "overview", id: "", query: {} });
  const there = href("services", "a/b?c", { x: "1", y: "" });
  expect(parse(there)).toEqual({ page: "services", id: "a/b?c", query: { x: "1" } });
  expect(parse("#/services/%")).toEqual({ page: "services", id: "%", query: {} });
});
