import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parse } from "yaml";

const METHODS = ["get", "post", "put", "patch", "delete"];

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap(name => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return sources(path);
    return /\.tsx?$/.test(name) && name !== "schema.ts" ? [readFileSync(path, "utf8")] : [];
  });
}

/** Every URL of the interface that the page's sources name, with the method where it is written beside it. */
function asked(text: string): [string, string][] {
  const literals = text.matchAll(
    /(?:"(GET|POST|PUT|PATCH|DELETE)",\s*)?(?:"(\/(?:api|metrics)[^"]*)"|`(\/(?:api|metrics)[^`]*)`)/g,
  );
  return [...literals].map(([, method, plain, template]) => [method ?? "", plain ?? template ?? ""]);
}

it("asks for nothing that the document does not have", () => {
  const paths: Record<string, Record<string, unknown>> = parse(readFileSync("openapi.yaml", "utf8")).paths;
  const documented = Object.entries(paths).flatMap(([path, calls]) =>
    METHODS.filter(method => method in calls).map(method => `${method.toUpperCase()} ${path.replace(/\{\w+\}/g, "x")}`),
  );
  const all = sources("src").flatMap(asked);
  expect(all.length).toBeGreaterThan(40);
  const unknown = all.filter(([method, url]) => {
    const path = url.replace(/\$\{[^}]*\}/g, "*").replace(/\?.*/, "");
    const pattern = path.replace(/[.+^$()|[\]\\{}]/g, "\\$&").replace(/\*/g, "[^ ]*");
    return !documented.some(call => new RegExp(`^${method || "[A-Z]+"} ${pattern}$`).test(call));
  });
  expect(unknown).toEqual([]);
});
