/** The REST interface as a page to read: openapi.yaml as HTML, made at build, without a script. */

import { parse } from "yaml";

interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
  description?: string;
}
interface Media {
  schema?: Schema;
}
interface Parameter {
  $ref?: string;
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: Schema;
}
interface Answer {
  $ref?: string;
  description: string;
  content?: Record<string, Media>;
}
interface Call {
  operationId: string;
  tags: string[];
  summary?: string;
  description?: string;
  "x-role": string;
  parameters?: Parameter[];
  requestBody?: { content: Record<string, Media> };
  responses: Record<string, Answer>;
}
interface Interface {
  info: { description: string };
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Call> & { parameters?: Parameter[] }>;
  components: {
    parameters: Record<string, Parameter>;
    responses: Record<string, Answer>;
    schemas: Record<string, Schema>;
  };
}

const escaped = (text: string) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");

/** The little of Markdown that descriptions use: paragraphs, `code`, **strong words**. */
function prose(text: string | undefined): string {
  const inline = (part: string) =>
    escaped(part)
      .replace(/`([^`]+)`/g, "<code>$1</code>")
      .replace(/\*\*([^*]+)\*\*/g, "<strong>$1</strong>");
  const paragraphs = (text ?? "").trim().split(/\n\s*\n/);
  return paragraphs
    .filter(Boolean)
    .map(part => `<p>${inline(part)}</p>`)
    .join("");
}

/** A schema as a programmer would write its type. */
function shape(schema: Schema | undefined, indent = ""): string {
  if (!schema) return "anything";
  if (schema.$ref) {
    const name = escaped(schema.$ref.split("/").at(-1) ?? "");
    return `<a href="#${name}">${name}</a>`;
  }
  if (schema.const !== undefined) return escaped(JSON.stringify(schema.const));
  if (schema.enum) return schema.enum.map(value => escaped(JSON.stringify(value))).join(" | ");
  const parts = schema.oneOf ?? schema.anyOf;
  if (parts) return parts.map(part => shape(part, indent)).join(" | ");
  if (schema.allOf) return schema.allOf.map(part => shape(part, indent)).join(" &amp; ");
  if (schema.items) return `${shape(schema.items, indent)}[]`;
  if (schema.properties) return fields(schema, schema.properties, indent);
  if (typeof schema.additionalProperties === "object") return `{ *: ${shape(schema.additionalProperties, indent)} }`;
  return escaped([schema.type ?? "anything"].flat().join(" | "));
}

function fields(schema: Schema, properties: Record<string, Schema>, indent: string): string {
  const inner = `${indent}  `;
  const lines = Object.entries(properties).map(([name, field]) => {
    const mark = schema.required?.includes(name) ? "" : "?";
    const note = field.description ? `  <i>${escaped(field.description.trim().replace(/\s+/g, " "))}</i>` : "";
    return `${inner}${escaped(name)}${mark}: ${shape(field, inner)}${note}`;
  });
  return `{\n${lines.join("\n")}\n${indent}}`;
}

function bodies(content: Record<string, Media> | undefined): string {
  const all = Object.entries(content ?? {});
  return all.map(([kind, { schema }]) => `<p class="kind">${escaped(kind)}</p><pre>${shape(schema)}</pre>`).join("");
}

/** The page's body for a document. */
export function interfacePage(yaml: string): string {
  const document = parse(yaml, { merge: true }) as Interface;
  const { components, paths } = document;
  const named = <T>(all: Record<string, T>, one: T & { $ref?: string }): T =>
    one.$ref ? (all[one.$ref.split("/").at(-1) ?? ""] ?? one) : one;

  const parameter = (written: Parameter) => {
    const { name, in: place, required, description, schema } = named(components.parameters, written);
    const mark = required ? "" : "?";
    return `<tr><th scope="row"><code>${escaped(name)}${mark}</code></th><td>${escaped(place)}</td>
<td>${shape(schema)}</td><td>${prose(description)}</td></tr>`;
  };
  const answer = ([status, written]: [string, Answer]) => {
    const { description, content } = named(components.responses, written);
    return `<dt>${escaped(status)}</dt><dd>${prose(description)}${bodies(content)}</dd>`;
  };
  const article = (path: string, method: string, call: Call, common: Parameter[]) => {
    const parameters = [...common, ...(call.parameters ?? [])].map(parameter).join("");
    const asked = call.requestBody ? `<h4>Body</h4>${bodies(call.requestBody.content)}` : "";
    return `<article id="${escaped(call.operationId)}">
<h3><span class="method">${method.toUpperCase()}</span> <code>${escaped(path)}</code>
<span class="role">${escaped(call["x-role"])}</span></h3>
${prose(call.summary)}${prose(call.description)}
${parameters ? `<h4>Parameters</h4><div class="wide"><table>${parameters}</table></div>` : ""}${asked}
<h4>Answers</h4><dl>${Object.entries(call.responses).map(answer).join("")}</dl></article>`;
  };
  const calls = Object.entries(paths).flatMap(([path, { parameters, ...methods }]) =>
    Object.entries(methods as Record<string, Call>).map(([method, call]) => ({
      tag: call.tags[0],
      line: `<li><a href="#${escaped(call.operationId)}">${method.toUpperCase()} ${escaped(path)}</a></li>`,
      text: article(path, method, call, parameters ?? []),
    })),
  );
  const of = (tag: string) => calls.filter(call => call.tag === tag);
  const index = document.tags.map(
    ({ name }) =>
      `<li>${escaped(name)}<ul>${of(name)
        .map(({ line }) => line)
        .join("")}</ul></li>`,
  );
  const sections = document.tags.map(
    ({ name, description }) =>
      `<section><h2>${escaped(name)}</h2>${prose(description)}${of(name)
        .map(({ text }) => text)
        .join("")}</section>`,
  );
  const schemas = Object.entries(components.schemas).map(
    ([name, schema]) =>
      `<article id="${escaped(name)}"><h3>${escaped(name)}</h3>${prose(schema.description)}<pre>${shape(schema)}</pre></article>`,
  );
  return `<header><h1>TapCopy: the REST interface</h1>${prose(document.info.description)}
<p>For programs: <a href="/api/v1/openapi.yaml">openapi.yaml</a></p></header>
<nav aria-label="Calls"><ul>${index.join("")}</ul></nav>
<main>${sections.join("")}<section><h2>Shapes</h2>${schemas.join("")}</section></main>`;
}
