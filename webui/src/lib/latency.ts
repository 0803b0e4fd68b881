/** The latency resource as rows of a table. */

export interface Side {
  p50?: number | undefined;
  p90?: number | undefined;
  p99?: number | undefined;
  p999?: number | undefined;
  /** Pairs of quantile and microseconds, where the box gives the whole distribution. */
  curve?: [number, number][];
}

export interface Distribution {
  service: string;
  /** Empty for the service as a whole. */
  endpoint: string;
  count: number;
  last_byte: { origin: Side; target: Side };
}

/** Every service and every endpoint of it. */
export function distributions(told: unknown): Distribution[] {
  const { services } = Object(told) as { services?: unknown };
  if (!Array.isArray(services)) return [];
  return services.flatMap(service => {
    const { name = "", endpoints = [] } = Object(service);
    const whole = distribution(String(name), "", service);
    const inner = Array.isArray(endpoints) ? endpoints : [];
    return [whole, ...inner.map(entry => distribution(String(name), String(Object(entry).endpoint ?? ""), entry))];
  });
}

function distribution(service: string, endpoint: string, told: unknown): Distribution {
  const { count, exchanges, origin, target } = Object(told);
  return {
    service,
    endpoint,
    count: Number(count ?? exchanges ?? 0),
    last_byte: { origin: side(origin), target: side(target) },
  };
}

function side(told: unknown): Side {
  const found = Object(told);
  const last = Object(found.last_byte_us ?? found.last_byte ?? found);
  return {
    p50: last.p50,
    p90: last.p90,
    p99: last.p99,
    p999: last.p999 ?? last["p99.9"] ?? last.p99_9,
    ...(Array.isArray(last.curve) ? { curve: last.curve } : {}),
  };
}
