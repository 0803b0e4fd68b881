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

/**
 * The NIC with the most traffic and no work of its own is most likely the mirror; the next with a link is the target's. That with
 * the page's address is the target's, too, where there is no other.
 */
export function proposed(nics: Nic[]): { mirror: string[]; target: string } {
  const linked = nics.filter(nic => nic.link && nic.name !== "lo");
  const free = linked.filter(nic => nic.role !== "management");
  const byRate = [...free].sort(
    (a, b) => Number(b.role === "mirror") - Number(a.role === "mirror") || b.frames_per_second - a.frames_per_second,
  );
  const mirror = byRate[0];
  const target =
    byRate.find(nic => nic !== mirror && (nic.role === "target" || nic.addresses.length === 0)) ??
    byRate[1] ??
    linked.find(nic => nic.role === "management");
  return { mirror: mirror ? [mirror.name] : [], target: target?.name ?? "" };
}
