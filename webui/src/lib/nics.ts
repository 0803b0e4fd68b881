/** The machine's interfaces as a person chooses among them: by name, by Ethernet address, by place on the PCI bus. */
import type { Nic } from "../api/types";
import { t } from "../i18n";

/** What is known of one beside its name. */
export function about(nic: Nic): string {
  const link = t(!nic.up ? "link.down" : nic.link ? "link.up" : "link.none");
  return [nic.mac, nic.bus, nic.driver, link].filter(Boolean).join(" · ");
}

/** Every way to name each, with what it is. */
export function choices(nics: Nic[]): [value: string, text: string][] {
  const ways = (nic: Nic) => [nic.name, nic.mac, nic.bus].filter(way => way !== undefined);
  return nics.flatMap(nic => ways(nic).map(way => [way, `${nic.name} · ${about(nic)}`] as [string, string]));
}

/** What a text means, as a person reads it; nothing where the box has no such interface. */
export function meant(nics: Nic[], text: string): string | undefined {
  const wanted = text.toLowerCase();
  const isMeant = (nic: Nic) =>
    nic.name === text ||
    nic.mac === wanted ||
    (nic.bus !== undefined && (nic.bus === wanted || nic.bus === `0000:${wanted}`));
  const found = nics.filter(isMeant);
  return found.length === 1 && found[0] ? `${found[0].name} · ${about(found[0])}` : undefined;
}
