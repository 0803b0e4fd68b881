/** Addresses that the wizard proposes; the box itself checks what is then written. */

const PREFIX = 24;
const RANGES: [number, number][] = [
  [200, 250],
  [100, 150],
];

/** Free-looking addresses beside a target, for the pool: none for IPv6, where a person knows better. */
export function proposedPool(target: string): string | undefined {
  const found = /^(\d+\.\d+\.\d+)\.(\d+):\d+$/.exec(target.trim());
  if (!found) return undefined;
  const [, network, host] = found;
  const own = Number(host);
  const range = RANGES.find(([first, last]) => own < first || own > last);
  return range ? `${network}.${range[0]}-${network}.${range[1]}/${PREFIX}` : undefined;
}

/** The port of `IP:PORT`. */
export function portOf(address: string): string {
  return address.slice(address.lastIndexOf(":") + 1);
}
