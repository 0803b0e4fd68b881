/** Rules of the comparison, made from a difference. */
import { at, changed, type Document, type Json } from "./document";

/** The pattern of paths, or of commands with their keys, that a rule for this endpoint has: its folded parts match anything. */
export function patternOf(endpoint: string): string {
  const path = endpoint.replace(/^[A-Z]+ (?=\/)/, "");
  return path.replace(/\{[^}]*\}/g, "*") || "*";
}

/** What a rule ignores for this field: a JSON path, a field of a reply, or the whole body where lines differ. */
export function ignored(field: string): string {
  if (field.startsWith("header:")) return field;
  if (field.startsWith("body") && !field.startsWith("body:$")) return "body";
  return field
    .replace(/^body:/, "")
    .replace(/\[\d+\]/g, "[*]")
    .replace(/^(result) (?:\d+|\*) /, "")
    .replace(/^(row|column) \d+/, "$1 *");
}

/** The document with one more ignored field. */
export function withRule(document: Document, service: string, endpoint: string, field: string): Document | undefined {
  const services = at(document, "service");
  const index = Array.isArray(services) ? services.findIndex(entry => at(entry, "name") === service) : -1;
  if (index < 0) return undefined;
  const path = patternOf(endpoint);
  const rules = at(document, `service[${index}].rule`);
  const known = Array.isArray(rules) ? rules : [];
  const place = known.findIndex(rule => at(rule, "path") === path);
  if (place < 0)
    return changed(document, `service[${index}].rule[${known.length}]`, { path, ignore: [ignored(field)] });
  const list = at(known[place], "ignore");
  const fields: Json[] = Array.isArray(list) ? list : [];
  return changed(document, `service[${index}].rule[${place}].ignore`, [...new Set([...fields, ignored(field)])]);
}
