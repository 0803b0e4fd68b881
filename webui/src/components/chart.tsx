/** Lines over time, drawn by uPlot. What it shows is also said in words beside it. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clock } from "../lib/format";
import { colour, themeChanges } from "../lib/theme";

export interface Line {
  label: string;
  /** Which of the chart colours; `bad` for what is lost. */
  series: "origin" | "target" | "third" | "fourth" | "bad";
  values: (number | null)[];
  fill?: boolean;
}

interface Props {
  label: string;
  /** Seconds since the epoch, or any rising number with `formatX`. */
  x: number[];
  lines: Line[];
  format: (value: number | null | undefined) => string;
  formatX?: (value: number) => string;
  logarithmic?: boolean;
  height?: number;
}

const HEIGHT = 168;
const token = (line: Line) => (line.series === "bad" ? "bad" : `series-${line.series}`);

function options(props: Props, width: number): uPlot.Options {
  const ink = colour("ink-third");
  const grid = { stroke: colour("line"), width: 1 };
  const font = "11px system-ui, sans-serif";
  const formatX = props.formatX ?? (value => clock(value));
  return {
    width,
    height: props.height ?? HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: {
      x: { time: props.formatX === undefined, distr: props.logarithmic ? 3 : 1 },
      y: { range: (_chart, _low, high) => [0, high > 0 ? high * 1.12 : 1] },
    },
    axes: [
      {
        stroke: ink,
        grid: { show: false },
        ticks: grid,
        font,
        size: 26,
        values: (_chart, ticks) => ticks.map(formatX),
        // uPlot would show powers of ten only.
        ...(props.logarithmic ? { splits: () => props.x, filter: (_chart: uPlot, splits: number[]) => splits } : {}),
        space: 84,
      },
      {
        stroke: ink,
        grid,
        ticks: { show: false },
        font,
        size: 58,
        values: (_chart, ticks) => ticks.map(props.format),
        space: 34,
      },
    ],
    series: [
      {},
      ...props.lines.map(line => ({
        label: line.label,
        stroke: colour(token(line)),
        width: 1.6,
        points: { show: false },
        spanGaps: false,
        ...(line.fill ? { fill: colour(token(line)).replace(/^rgb\((.*)\)$/, "rgba($1, 0.12)") } : {}),
      })),
    ],
  };
}

export function Chart(props: Props): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const latest = useRef(props);
  latest.current = props;
  const key = `${themeChanges.value} ${props.lines.map(line => line.label).join()} ${props.logarithmic}`;

  // The key says when the drawing must be made anew.
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const data = () => [latest.current.x, ...latest.current.lines.map(line => line.values)] as uPlot.AlignedData;
    const drawn = new uPlot(options(latest.current, element.clientWidth || 300), data(), element);
    chart.current = drawn;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) drawn.setSize({ width: element.clientWidth, height: props.height ?? HEIGHT });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      drawn.destroy();
    };
  }, [key]);

  useEffect(() => {
    chart.current?.setData([props.x, ...props.lines.map(line => line.values)] as uPlot.AlignedData);
  }, [props.x, props.lines]);

  const last = (line: Line) => line.values.findLast(value => value !== null);
  const words = props.lines.map(line => `${line.label} ${props.format(last(line))}`).join(", ");
  return (
    <figure class="chart">
      <div class="legend" aria-hidden="true">
        {props.lines.map(line => (
          <span key={line.label} class="key" data-series={line.series}>
            {line.label} {props.logarithmic ? null : <b>{props.format(last(line))}</b>}
          </span>
        ))}
      </div>
      <div ref={place} role="img" aria-label={props.logarithmic ? props.label : `${props.label}: ${words}`} />
    </figure>
  );
}
