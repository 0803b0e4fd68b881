/** How the answers of a service agreed, span by span, as a row of small bars. */
import type { JSX } from "preact";
import { t } from "../i18n";
import { number, percent } from "../lib/format";

export interface Span {
  at: number;
  match: number;
  differ: number;
  other: number;
}

const SPANS = 60;
const WIDTH = 4;

interface Shown {
  name: string;
  findings: number;
  strip: Span[];
}

/** The colour of a span: what differs must be seen, however little it is, unless it is production's own noise. */
export function toneOf(
  { match, differ, other }: Span,
  findings: number,
): "none" | "match" | "noise" | "mixed" | "differ" {
  const answers = match + differ;
  if (answers + other === 0) return "none";
  if (findings === 0 && differ > 0 && other <= answers / 10) return "noise";
  if (differ > 0 && differ >= answers / 10) return "differ";
  return differ > 0 || other > match / 10 ? "mixed" : "match";
}

export function Strip({ service }: { service: Shown }): JSX.Element {
  const { name, findings, strip } = service;
  const shown = strip.slice(-SPANS);
  const match = shown.reduce((sum, span) => sum + span.match, 0);
  const differ = shown.reduce((sum, span) => sum + span.differ, 0);
  const share = match + differ > 0 ? percent(match / (match + differ)) : "–";
  const label = t("strip.label", { name, share, differ: number(differ) });
  const missing = SPANS - shown.length;
  return (
    <svg class="strip" viewBox={`0 0 ${SPANS * WIDTH} 20`} preserveAspectRatio="none" role="img" aria-label={label}>
      {Array.from({ length: missing }, (_, index) => (
        <rect key={`none-${index}`} x={index * WIDTH} y="0" width={WIDTH - 1} height="20" fill="var(--strip-none)" />
      ))}
      {shown.map((span, index) => (
        <rect
          key={span.at}
          x={(missing + index) * WIDTH}
          y="0"
          width={WIDTH - 1}
          height="20"
          fill={`var(--strip-${toneOf(span, findings)})`}
        />
      ))}
    </svg>
  );
}

/** A small line of recent values. */
export function Sparkline({ values }: { values: (number | null)[] }): JSX.Element | null {
  const shown = values.slice(-120).map(value => value ?? 0);
  if (shown.length < 2) return null;
  const high = Math.max(...shown, 1e-9);
  const points = shown.map((value, index) => `${(index / (shown.length - 1)) * 100},${28 - (value / high) * 26}`);
  return (
    <svg class="sparkline" viewBox="0 0 100 29" preserveAspectRatio="none" aria-hidden="true" focusable="false">
      <polygon points={`0,29 ${points.join(" ")} 100,29`} />
      <polyline points={points.join(" ")} vector-effect="non-scaling-stroke" />
    </svg>
  );
}
