import { expect, test } from "vitest";
import { middle, rowsOf, treeOf, visible } from "../src/lib/diff";
import { hexOf, partsOf } from "../src/pages/differences/record";

const marks = (origin: string, target: string) => rowsOf(origin, target).map(row => row.mark);

test("lines are matched in order", () => {
  expect(marks("a\nb\nc", "a\nb\nc")).toEqual(["same", "same", "same"]);
  expect(marks("a\nb\nc", "a\nx\nc")).toEqual(["same", "changed", "same"]);
  expect(marks("a\nc", "a\nb\nc")).toEqual(["same", "target", "same"]);
  expect(marks("a\nb\nc", "c")).toEqual(["origin", "origin", "same"]);
});

test("texts too long for the table are still held against each other", () => {
  const long = Array.from({ length: 2_000 }, (_, line) => String(line)).join("\n");
  expect(marks(long, long.replace("\n7\n", "\nseven\n")).filter(mark => mark !== "same")).toEqual(["changed"]);
});

test("the middle of two lines is where they differ", () => {
  expect(middle("price: 19.99", "price: 18.99")).toEqual({ start: 8, originEnd: 9, targetEnd: 9 });
  expect(middle("aa", "aaa")).toEqual({ start: 2, originEnd: 2, targetEnd: 3 });
});

test("JSON is compared by place, not by the order of keys", () => {
  const tree = treeOf({ a: 1, b: [1, { c: "x" }] }, { b: [1, { c: "y" }, 2], a: 1 });
  const differing: string[] = [];
  const walk = (node: typeof tree) => {
    if (node.children.length === 0 && node.differs) differing.push(`${node.mark} ${node.path}`);
    node.children.forEach(walk);
  };
  walk(tree);
  expect(differing).toEqual(["changed $.b[1].c", "target $.b[2]"]);
});

test("a message is head and body, and JSON where it is", () => {
  const said = { encoding: "utf-8" as const, body_bytes: 7, body_bytes_kept: 7 };
  const head = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
  expect(partsOf({ ...said, head, body: '{"x":1}' })).toEqual({
    head: "HTTP/1.1 200 OK\nA: b",
    body: '{"x":1}',
    json: { x: 1 },
  });
  expect(partsOf({ ...said, head: "", body: "+OK\r\n" })).toEqual({ head: "", body: "+OK\r\n" });
  expect(partsOf({ ...said, encoding: "base64", head: "", body: "/w==" }).body).toMatch(/^000000 {2}ff /);
});

test("what is captured shows as text, and turns no line about", () => {
  expect(visible("a\u0000\u001b[31m\u202eb\n\t")).toBe("a␀␛[31m\ufffdb\n\t");
  expect(visible("<script>")).toBe("<script>");
});

test("bytes are shown in hexadecimal", () => {
  expect(hexOf(new Uint8Array([0, 65, 255]))).toMatch(/^000000 {2}00 41 ff +\.A\.$/);
});
