import { expect, test } from "vitest";
import { distributions } from "../src/lib/latency";

const quantiles = (count: number) => ({ count, p50: 1, p90: 2, p99: 3, p999: 4 });
const times = (service: string, count: number, endpoint?: string) => {
  const side = { first_byte_us: quantiles(0), last_byte_us: quantiles(count) };
  return { service, origin: side, target: side, ...(endpoint ? { endpoint } : {}) };
};

test("each service stands before its endpoints, the busiest first", () => {
  const told = {
    services: [times("a", 9), times("b", 1)],
    endpoints: [times("b", 1, "/b"), times("a", 2, "/x"), times("a", 7, "/y")],
  };
  const rows = distributions(told).map(row => `${row.service}${row.endpoint} ${row.target.count}`);
  expect(rows).toEqual(["a 9", "a/y 7", "a/x 2", "b 1", "b/b 1"]);
});
