/** Line drawings on a grid of 20; they take the colour of the text. */
import type { JSX } from "preact";

const PATHS = {
  overview: "M3 10h3l2-5 4 10 2-5h3",
  services: "M3 4h14v5H3zM3 11h14v5H3zM6 6.5h.01M6 13.5h.01",
  sessions: "M3 6h11l-3-3M17 14H6l3 3",
  differences: "M10 3v14M3 6h4M3 10h4M3 14h4M13 6h4M13 10h2M13 14h4",
  latency: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM10 6v4l3 2",
  mirror: "M3 5h14M10 5v6M6 15h8M10 11l-4 4M10 11l4 4",
  captures: "M10 3v9M6 8.5l4 4 4-4M3 16h14",
  settings: "M3 6h8M15 6h2M3 14h2M9 14h8M13 4v4M7 12v4",
  system: "M5 5h10v10H5zM8 2v3M12 2v3M8 15v3M12 15v3M2 8h3M2 12h3M15 8h3M15 12h3",
  menu: "M3 5h14M3 10h14M3 15h14",
  close: "M5 5l10 10M15 5L5 15",
  stop: "M6 6h8v8H6z",
  play: "M7 5l8 5-8 5z",
  user: "M10 9a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM4 17c0-3 2.7-5 6-5s6 2 6 5",
  leave: "M8 4H4v12h4M8 10h9M14 7l3 3-3 3",
  plus: "M10 4v12M4 10h12",
  remove: "M4 6h12M8 6V4h4v2M6 6l1 10h6l1-10",
  back: "M12 4l-6 6 6 6",
  next: "M8 4l6 6-6 6",
  search: "M9 14a5 5 0 1 0 0-10 5 5 0 0 0 0 10zM13 13l4 4",
  download: "M10 3v9M6 8.5l4 4 4-4M3 16h14",
  undo: "M4 8h8a4 4 0 0 1 0 8H8M4 8l3.5-3.5M4 8l3.5 3.5",
  refresh: "M16 10a6 6 0 1 1-2-4.5M16 3v4h-4",
  check: "M4 10.5l4 4 8-9",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false">
      <path
        d={PATHS[name]}
        fill={name === "stop" || name === "play" ? "currentColor" : "none"}
        stroke="currentColor"
        stroke-width="1.6"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  );
}

export function Mark(): JSX.Element {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="7" fill="#0b5fae" />
      <path
        d="M5 11h22M16 11v8.5a3 3 0 0 0 3 3h8"
        stroke="#fff"
        stroke-width="2.6"
        stroke-linecap="round"
        fill="none"
      />
      <circle cx="16" cy="11" r="2.9" fill="#7fd1ff" />
    </svg>
  );
}
