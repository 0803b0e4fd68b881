/** Numbers, times and sizes as a person reads them. All are pure but for the language. */
import { language } from "../i18n";

const DASH = "–";

const plain = () => new Intl.NumberFormat(language.value);
const digits = (count: number) =>
  new Intl.NumberFormat(language.value, { maximumSignificantDigits: count, minimumSignificantDigits: 1 });

/** Groups of thousands: 12,345. */
export function number(value: number | null | undefined): string {
  return value === null || value === undefined ? DASH : plain().format(value);
}

/** Short, for tight places: 12.3k. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined) return DASH;
  if (Math.abs(value) < 10_000) return digits(value < 100 ? 3 : 4).format(value);
  return scaled(value, 1_000, ["", "k", "M", "G", "T"]);
}

function scaled(value: number, step: number, units: string[], separator = ""): string {
  let index = 0;
  let rest = value;
  while (Math.abs(rest) >= step && index < units.length - 1) {
    rest /= step;
    index += 1;
  }
  // 999.6 must not become "1,000 k".
  const shown = Math.abs(rest) >= 100 ? Math.round(rest) : Number(rest.toPrecision(3));
  return `${plain().format(shown)}${separator}${units[index]}`;
}

/** A rate: small ones with a fraction. */
export function rate(value: number | null | undefined): string {
  if (value === null || value === undefined) return DASH;
  if (value === 0) return "0";
  if (value < 10) return digits(2).format(value);
  return value < 10_000 ? plain().format(Math.round(value)) : short(value);
}

/** Microseconds as µs, ms or s. */
export function micros(value: number | null | undefined): string {
  if (value === null || value === undefined) return DASH;
  if (value < 1_000) return `${Math.round(value)} µs`;
  if (value < 1_000_000) return `${digits(3).format(value / 1_000)} ms`;
  return `${digits(3).format(value / 1_000_000)} s`;
}

export function bytes(value: number | null | undefined): string {
  return value === null || value === undefined ? DASH : scaled(value, 1_024, ["B", "KiB", "MiB", "GiB", "TiB"], " ");
}

export function bits(value: number | null | undefined): string {
  const units = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"];
  return value === null || value === undefined ? DASH : scaled(value, 1_000, units, " ");
}

/** A share as percent; what is not quite all is never shown as 100 %, and what is there never as 0 %. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return DASH;
  const value = share * 100;
  if (value > 0 && value < 0.01) return "<0.01 %";
  if (value < 100 && value > 99.99) return ">99.99 %";
  const fraction = value >= 99 && value < 100 ? 2 : value < 1 && value > 0 ? 2 : value < 10 || value % 1 !== 0 ? 1 : 0;
  return `${new Intl.NumberFormat(language.value, { maximumFractionDigits: fraction }).format(value)} %`;
}

/** Seconds as two units: 3 d 4 h. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return DASH;
  if (seconds < 1) return `${Math.round(seconds * 1_000)} ms`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const units: [number, string][] = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const first = units.findIndex(([size]) => seconds >= size);
  const [size, unit] = units[first] ?? [1, "s"];
  const next = units[first + 1];
  const rest = next ? Math.floor((seconds % size) / next[0]) : 0;
  const head = `${Math.floor(seconds / size)} ${unit}`;
  return next && rest > 0 ? `${head} ${rest} ${next[1]}` : head;
}

/** Seconds since the epoch as date and time. */
export function moment(at: number | null | undefined): string {
  if (!at) return DASH;
  const locale = language.value === "en" ? "en-GB" : language.value;
  const format = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
  return format.format(new Date(at * 1_000));
}

/** Seconds since the epoch as the time of day. */
export function clock(at: number, millis = false): string {
  const date = new Date(at * 1_000);
  const text = date.toLocaleTimeString("en-GB");
  return millis ? `${text}.${String(date.getMilliseconds()).padStart(3, "0")}` : text;
}
