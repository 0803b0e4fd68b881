import { expect, test } from "vitest";
import { bits, bytes, duration, micros, percent, rate, short } from "../src/lib/format";

test.each([
  [0, "0 %"],
  [1, "100 %"],
  [0.99999999, ">99.99 %"],
  [0.9987, "99.87 %"],
  [0.000001, "<0.01 %"],
  [0.005, "0.5 %"],
  [0.25, "25 %"],
  [Number.NaN, "–"],
])("a share of %s is %s: neither all nor nothing by rounding", (share, text) => expect(percent(share)).toBe(text));

test.each([
  [0.4, "400 ms"],
  [59.9, "59 s"],
  [90, "1 min 30 s"],
  [3_600, "1 h"],
  [93_784, "1 d 2 h"],
])("%s seconds are %s", (seconds, text) => expect(duration(seconds)).toBe(text));

test.each([
  [999, "999 µs"],
  [1_234, "1.23 ms"],
  [2_500_000, "2.5 s"],
  [null, "–"],
])("%s µs are %s", (value, text) => expect(micros(value)).toBe(text));

test("sizes and rates keep three figures, and never a thousand of a unit", () => {
  expect(bytes(1_023)).toBe("1,023 B");
  expect(bytes(73_211_233)).toBe("69.8 MiB");
  expect(bits(310_000_000)).toBe("310 Mbit/s");
  expect(short(48_213)).toBe("48.2k");
  expect(short(9_999)).toBe("9,999");
  expect(rate(0.25)).toBe("0.25");
  expect(rate(1_502.7)).toBe("1,503");
});
