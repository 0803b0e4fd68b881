/** The page's words. English is bundled; another language's catalogue is fetched when it is chosen. */
import { signal } from "@preact/signals";
import { en } from "./en";

export type Key = keyof typeof en;
export type Catalogue = Record<Key, string>;
export type Language = "en" | "zh";

const STORED = "tapcopy.language";

export const language = signal<Language>("en");
const catalogue = signal<Catalogue>(en);
/** Sentences of the box in the language that was chosen, by where they stand in the ledger; it tells them in English. */
const sentences = signal<Record<string, string>>({});

/** The text of a key; `{name}` in it is replaced by the value of that name. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return catalogue.value[key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** The text of a key that is made from the box's words, or what else it says where the catalogue has none. */
export function word(prefix: string, code: string, otherwise = code.replaceAll("_", " ")): string {
  const key = `${prefix}.${code}`;
  return key in catalogue.value ? catalogue.value[key as Key] : otherwise;
}

/** The sentence of a reason of the ledger, or the box's own. */
export function reasonSentence(path: string, reason: string, told: string | undefined): string {
  return sentences.value[`${path}.${reason}`] ?? told ?? word("reason", reason);
}

export async function setLanguage(chosen: Language): Promise<void> {
  const [own, told] = chosen === "zh" ? await Promise.all([import("./zh"), import("./reasons.zh")]) : [];
  catalogue.value = own?.zh ?? en;
  sentences.value = told?.reasons ?? {};
  language.value = chosen;
  document.documentElement.lang = chosen === "zh" ? "zh-CN" : "en";
  localStorage.setItem(STORED, chosen);
}

/** What was chosen on this machine before, else what the browser prefers. */
export function preferredLanguage(): Language {
  const stored = localStorage.getItem(STORED);
  if (stored === "en" || stored === "zh") return stored;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}
