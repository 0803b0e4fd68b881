import { expect, test } from "vitest";
import { at } from "../src/lib/document";
import { ignored, patternOf, withRule } from "../src/lib/rules";

test("a field is ignored by a rule of its endpoint", () => {
  expect(patternOf("GET /api/items/{number}")).toBe("/api/items/*");
  expect(patternOf("HGETALL")).toBe("HGETALL");
  expect(patternOf("GET user:{number}")).toBe("GET user:*");
  expect(patternOf("")).toBe("*");
  expect(ignored("header:etag")).toBe("header:etag");
  expect(ignored("body:line 12")).toBe("body");
  expect(ignored("body:$.items[3].price")).toBe("$.items[*].price");
  expect(ignored("reply[2].name")).toBe("reply[*].name");
  expect(ignored("result 2 row 3.price")).toBe("row *.price");
  expect(ignored("value[*].data")).toBe("value[*].data");
  const once = withRule({ service: [{ name: "s" }] }, "s", "GET /a/{id}", "header:etag");
  const twice = once && withRule(once, "s", "GET /a/{id}", "body:$.t");
  expect(at(twice, "service[0].rule")).toEqual([{ path: "/a/*", ignore: ["header:etag", "$.t"] }]);
  expect(withRule({ service: [] }, "s", "GET /", "status")).toBeUndefined();
});
