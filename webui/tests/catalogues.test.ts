import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { en } from "../src/i18n/en";
import { reasons } from "../src/i18n/reasons.zh";
import { zh } from "../src/i18n/zh";

const values = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(found => found[0]).sort();

test("both catalogues have the same keys, and each text the same values", () => {
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  for (const [key, text] of Object.entries(en)) {
    expect(values(zh[key as keyof typeof en]), key).toEqual(values(text));
    expect(text.trim(), key).not.toBe("");
  }
});

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap(name => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return sources(path);
    return path.includes("i18n") || path.endsWith("schema.ts") ? [] : [readFileSync(path, "utf8")];
  });
}

test("no text is left that nothing shows", () => {
  const code = sources("src").join("\n");
  // Keys that are made of a part that stands here and one that does not.
  const words = [...code.matchAll(/word\("([a-z_.]+)"/g)].map(found => `^${found[1]}\\.`);
  const made = [...code.matchAll(/`([a-z_]+\.[a-z_.]*)\$\{[^}]+\}([a-z_.]*)`/g)];
  const forms = [...words, ...made.map(found => `^${found[1]}\\w+${found[2]}$`)].map(form => new RegExp(form));
  const isShown = (key: string) => code.includes(`"${key}"`) || forms.some(form => form.test(key));
  expect(Object.keys(en).filter(key => !isShown(key))).toEqual([]);
});

test("every reason of the ledger has its sentence in Chinese", () => {
  const ledger = readFileSync("../appliance/engine/src/ledger/reason.rs", "utf8");
  const groups = {
    "requests.not_replayed": "NotReplayed",
    "requests.not_answered": "NotAnswered",
    "verdicts.incomparable": "Incomparable",
  };
  const told = Object.entries(groups).flatMap(([path, name]) => {
    const body = new RegExp(`^    ${name} \\{([\\s\\S]*?)^    \\}`, "m").exec(ledger)?.[1] ?? "";
    return [...body.matchAll(/= "(\w+)",/g)].map(found => `${path}.${found[1]}`);
  });
  expect(Object.keys(reasons).sort()).toEqual(told.sort());
});
