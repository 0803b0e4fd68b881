/** The latency resource as rows of a table: each service, and below it its endpoints. */

export interface Quantiles {
  count: number;
  p50: number;
  p90: number;
  p99: number;
  p999: number;
}

interface Side {
  first_byte_us: Quantiles;
  last_byte_us: Quantiles;
}

interface Times {
  service: string;
  endpoint?: string;
  origin: Side;
  target: Side;
  /** Answers that our own retransmission held up; they are in no distribution. */
  stalled?: number;
}

export interface Latencies {
  services: Times[];
  endpoints: Times[];
}

export interface Distribution {
  service: string;
  /** Empty for the service as a whole. */
  endpoint: string;
  stalled: number;
  origin: Quantiles;
  target: Quantiles;
}

export function distributions({ services, endpoints }: Latencies): Distribution[] {
  return services.flatMap(service => [
    distribution(service),
    ...endpoints
      .filter(endpoint => endpoint.service === service.service)
      .map(distribution)
      .sort((a, b) => b.target.count - a.target.count),
  ]);
}

function distribution({ service, endpoint = "", origin, target, stalled = 0 }: Times): Distribution {
  return { service, endpoint, stalled, origin: origin.last_byte_us, target: target.last_byte_us };
}
