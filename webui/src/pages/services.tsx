/** Each service: how its answers agree, and what it is set to. */
import type { JSX } from "preact";
import { useResource } from "../api/poll";
import type { Snapshot } from "../api/types";
import { Empty, Facts, PageHead, Panel, State, type Tone } from "../components/basics";
import { Strip } from "../components/strip";
import { type Key, t } from "../i18n";
import { at, type Document } from "../lib/document";
import { number, percent } from "../lib/format";
import { href, route } from "../lib/router";
import { snapshot } from "../state";

type Service = Snapshot["services"][number];

export function Services(): JSX.Element {
  const settings = useResource<Document>("/api/v1/settings", 10_000);
  const services = snapshot.value?.services ?? [];
  const chosen = route.value.id;
  const shown = chosen ? services.filter(service => service.name === chosen) : services;
  const written = at(settings.value, "service");
  return (
    <>
      <PageHead
        title={t("nav.services")}
        note={chosen ? <a href={href("services")}>{t("services.all")}</a> : undefined}
      >
        <a class="button" href={href("settings")}>
          {t("services.change")}
        </a>
      </PageHead>
      {shown.length === 0 ? (
        <Panel title={t("nav.services")}>
          <Empty title={t("services.none")} />
        </Panel>
      ) : null}
      <div class="columns wide">
        {shown.map(service => (
          <ServicePanel
            key={service.name}
            service={service}
            written={Array.isArray(written) ? written.find(entry => at(entry, "name") === service.name) : undefined}
          />
        ))}
      </div>
    </>
  );
}

function verdictOf({ match, differ, findings, not_answered, not_replayed }: Service): [Tone, Key] {
  if (match + differ + not_answered + not_replayed === 0) return ["idle", "service.quiet"];
  if (not_answered > match + differ) return ["bad", "service.unanswered"];
  if (findings > 0) return ["warn", "service.differs"];
  return ["ok", differ > 0 ? "service.noise" : "service.agrees"];
}

function ServicePanel({ service, written }: { service: Service; written: unknown }): JSX.Element {
  const [tone, key] = verdictOf(service);
  const { match, differ } = service;
  const list = (name: string) => {
    const found = at(written as Document, name);
    return Array.isArray(found) ? found.join("  ") : "–";
  };
  const one = (name: string) => String(at(written as Document, name) ?? "–");
  const figures: [Key, string][] = [
    ["verdict.match", number(match)],
    ["verdict.differ", number(differ)],
    ["differences.findings", number(service.findings)],
    ["verdict.incomparable", number(service.incomparable)],
    ["outcome.not_answered", number(service.not_answered)],
    ["outcome.not_replayed", number(service.not_replayed)],
  ];
  return (
    <Panel title={service.name} aside={<State tone={tone}>{t(key)}</State>}>
      <div class="stack loose">
        <div class="stack">
          <div class="line">
            <strong class="big-figure">{match + differ > 0 ? percent(match / (match + differ)) : "–"}</strong>
            <span class="second small">{t("service.share")}</span>
          </div>
          <Strip service={service} />
        </div>
        <dl class="tiles compact">
          {figures.map(([label, value]) => (
            <div key={label}>
              <dt>{t(label)}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
        {written ? (
          <Facts
            rows={[
              [
                t("settings.origins"),
                <span key="o" class="mono">
                  {list("origins")}
                </span>,
              ],
              [
                t("settings.targets"),
                <span key="t" class="mono">
                  {list("targets")}
                </span>,
              ],
              [t("settings.protocol"), one("protocol")],
              [t("settings.pacing"), one("pacing")],
              [t("settings.sample"), `${one("sample_percent")} %`],
              [t("settings.copies"), one("copies")],
            ]}
          />
        ) : null}
        <div class="line">
          <a href={href("sessions", "", { service: service.name })}>{t("service.sessions")}</a>
          <a href={href("differences", "exchanges", { service: service.name, verdict: "differ" })}>
            {t("service.differences")}
          </a>
          <a href={href("latency", "", { service: service.name })}>{t("nav.latency")}</a>
        </div>
      </div>
    </Panel>
  );
}
