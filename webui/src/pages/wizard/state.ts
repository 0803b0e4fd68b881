/** What the wizard has been told so far. It is kept by the browser until the box has it, so that a reload loses nothing. */
import { effect, signal } from "@preact/signals";
import { portOf } from "../../lib/addresses";
import type { Document } from "../../lib/document";

/** A service as the wizard knows it: origins of one port and protocol. */
export interface Chosen {
  name: string;
  origins: string[];
  protocol: string;
  target: string;
}

export interface Answers {
  step: number;
  /** The box's new name. */
  name?: string;
  mirror: string[];
  target: string;
  services: Chosen[];
  mode: "pool" | "preserve";
  pool: string;
  /** Whether somebody wrote the pool, so that no proposal replaces it. */
  isPoolOwn: boolean;
  link: string;
  gateway: string;
  applied: boolean;
}

const STORED = "tapcopy.wizard";

const EMPTY: Answers = {
  step: 0,
  mirror: [],
  target: "",
  services: [],
  mode: "pool",
  pool: "",
  isPoolOwn: false,
  link: "",
  gateway: "",
  applied: false,
};

function stored(): Answers {
  try {
    return { ...EMPTY, ...JSON.parse(sessionStorage.getItem(STORED) ?? "{}") };
  } catch {
    return EMPTY;
  }
}

export const answers = signal<Answers>(stored());

effect(() => sessionStorage.setItem(STORED, JSON.stringify(answers.value)));

export function tell(change: Partial<Answers>): void {
  answers.value = { ...answers.value, ...change };
}

export function forget(): void {
  answers.value = EMPTY;
}

/** Whether a text is an address and a port, as an origin is written. */
export const isOrigin = (text: string) => /^(\*|\d+(\.\d+){3}|\[[0-9a-f:.]+\]):\d+$/i.test(text);

/** Adds an origin to the service of its port and protocol, or takes it out. */
export function toggled(services: Chosen[], origin: string, protocol: string, isOn: boolean): Chosen[] {
  const without = services
    .map(service => ({ ...service, origins: service.origins.filter(own => own !== origin) }))
    .filter(service => service.origins.length > 0);
  if (!isOn) return without;
  const port = portOf(origin);
  const isSame = (service: Chosen) => service.protocol === protocol && portOf(service.origins[0] ?? "") === port;
  if (without.some(isSame)) {
    return without.map(service => (isSame(service) ? { ...service, origins: [...service.origins, origin] } : service));
  }
  return [
    ...without,
    { name: `${protocol === "auto" ? "service" : protocol}-${port}`, origins: [origin], protocol, target: "" },
  ];
}

const entries = (text: string) => text.split(/[\s,]+/).filter(Boolean);

/** The settings that the answers make. */
export function documentOf(told: Answers): Document {
  return {
    schema_version: 1,
    nics: { mirror: told.mirror, target: told.target },
    addressing: {
      mode: told.mode,
      pool: entries(told.pool),
      ...(entries(told.link).length > 0 ? { link: entries(told.link) } : {}),
      ...(told.gateway.trim() ? { gateway: told.gateway.trim() } : {}),
    },
    service: told.services.map(({ name, origins, protocol, target }) => ({
      name,
      origins,
      targets: entries(target),
      protocol,
    })),
  };
}
