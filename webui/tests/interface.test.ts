import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { interfacePage } from "../interface";

const yaml = readFileSync("openapi.yaml", "utf8");
const page = interfacePage(yaml);

describe("the interface as a page", () => {
  it("has every call, and every shape that is referred to", () => {
    const paths: Record<string, Record<string, { operationId?: string }>> = parse(yaml).paths;
    const calls = Object.values(paths).flatMap(methods =>
      Object.values(methods).flatMap(call => call.operationId ?? []),
    );
    expect(calls.length).toBeGreaterThan(50);
    const ids = [...page.matchAll(/<article id="([^"]+)"/g)].map(match => match[1]);
    expect(new Set(ids).size).toBe(ids.length);
    for (const call of calls) expect(ids).toContain(call);
    for (const [, name] of page.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(name);
    expect(page).not.toContain("undefined");
  });

  it("runs nothing and takes nothing for markup", () => {
    expect(page).not.toMatch(/<script|style=| on\w+=/);
    const hostile = yaml.replace("Whether the box is well", "<img src=x onerror=alert(1)>");
    expect(interfacePage(hostile)).toContain("&lt;img src=x");
  });
});
