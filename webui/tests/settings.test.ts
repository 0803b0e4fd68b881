/** Every setting that the program knows is described by the interface, and has a field on the page. */
import { readFileSync } from "node:fs";
import { h } from "preact";
import { renderToString } from "preact-render-to-string";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { changed, type Document, type Json } from "../src/lib/document";
import { draft } from "../src/pages/settings/draft";
import { Form, VOLATILE_HEADERS } from "../src/pages/settings/form";

const DAEMON = "../appliance/daemon/src/settings/reading.rs";

/** What the program takes out of a document: `service[0].copies`, by the code that reads it. */
function keysRead(): string[] {
  const code = readFileSync(DAEMON, "utf8");
  const readers = new Map<string, string>();
  for (const [, name = "", body = ""] of code.matchAll(/^impl (\w+) \{\n[\s\S]*?fn take\(([\s\S]*?)^\}/gm)) {
    readers.set(name, body);
  }
  const walk = (reader: string, path: string): string[] => {
    const found = (readers.get(reader) ?? "").matchAll(
      /section\s*\.(optional|list|section|section_if_there|sections)\(\s*"(\w+)"(?:, (\w+)::take)?/g,
    );
    return [...found].flatMap(([, kind, key, inner]) => {
      if (!inner) return [path + key];
      return walk(inner, `${path}${key}${kind === "sections" ? "[0]" : ""}.`);
    });
  };
  return walk("Document", "")
    .filter(path => path !== "schema_version")
    .sort();
}

interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
}

/** The leaves of the document in `openapi.yaml`, each with a value of its kind. */
function leavesOf(schema: Schema, path: string): [path: string, value: Json][] {
  if (schema.properties) {
    return Object.entries(schema.properties).flatMap(([key, inner]) => leavesOf(inner, path ? `${path}.${key}` : key));
  }
  if (schema.items?.properties) return leavesOf(schema.items, `${path}[0]`);
  const examples: Record<string, Json> = { array: ["x"], object: { x: "y" }, string: "x", boolean: true };
  return [[path, examples[schema.type ?? ""] ?? 1]];
}

const document = parse(readFileSync("openapi.yaml", "utf8"));
const leaves = leavesOf(document.components.schemas.Settings, "").filter(([path]) => path !== "schema_version");

test("the interface describes every key that the program reads, and no other", () => {
  expect(leaves.map(([path]) => path).sort()).toEqual(keysRead());
});

test("every key has a field", () => {
  const whole = leaves.reduce<Document>((tree, [path, value]) => changed(tree, path, value), {});
  // Keys that are of one mode only are shown in it.
  draft.value = changed(whole, "addressing.mode", "preserve");
  const html = renderToString(h(Form, { locked: false, nics: [] }));
  const names = new Set([...html.matchAll(/ name="([^"]+)"/g)].map(found => found[1]));
  expect(leaves.map(([path]) => path).filter(path => !names.has(path))).toEqual([]);
});

test("the usual headers are those of the engine", () => {
  const code = readFileSync("../appliance/engine/src/compare/rules.rs", "utf8");
  const told = /VOLATILE_HEADERS[^=]*=\s*\[([^\]]*)\]/.exec(code)?.[1] ?? "";
  expect([...told.matchAll(/"([^"]+)"/g)].map(found => found[1])).toEqual(VOLATILE_HEADERS);
});
