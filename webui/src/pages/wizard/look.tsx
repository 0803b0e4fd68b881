/** The steps that look at the network: NICs, the doctor's verdict, and what is spoken on the mirror. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useResource } from "../../api/poll";
import type { Discovery, DoctorReport, Nic } from "../../api/types";
import { Await, Button, Empty, Notice, Panel, State, Table } from "../../components/basics";
import { Check, TextField } from "../../components/fields";
import { Report } from "../../components/report";
import { t } from "../../i18n";
import { bits, number, rate } from "../../lib/format";
import { proposed } from "../../lib/nics";
import { answers, isOrigin, tell, toggled } from "./state";

const LOOK_SECONDS = 4;

export function Nics(): JSX.Element {
  const nics = useResource<{ nics: Nic[] }>("/api/v1/nics?listen=true", 1_000);
  const { mirror, target } = answers.value;
  const isChosen = mirror.length > 0 || target !== "";
  useEffect(() => {
    // A second look: at the first one no rate is known yet.
    if (!isChosen && nics.value?.nics.some(nic => nic.frames_per_second > 0)) tell(proposed(nics.value.nics));
  }, [nics.value, isChosen]);
  const choose = (name: string, role: "mirror" | "target" | "none") => {
    const others = mirror.filter(own => own !== name);
    tell({
      mirror: role === "mirror" ? [...others, name] : others,
      target: role === "target" ? name : target === name ? "" : target,
    });
  };
  const roleOf = (name: string) => (mirror.includes(name) ? "mirror" : target === name ? "target" : "none");
  return (
    <Await of={nics}>
      {({ nics: all }) => (
        <Table
          label={t("wizard.nics")}
          rows={all.filter(nic => nic.name !== "lo")}
          keyOf={nic => nic.name}
          isChosen={nic => roleOf(nic.name) !== "none"}
          empty={<Empty title={t("wizard.no_nics")} />}
          columns={[
            {
              head: t("column.nic"),
              isHead: true,
              cell: nic => (
                <>
                  <span class="mono">{nic.name}</span>
                  <br />
                  <span class="small quiet">{[nic.mac, nic.bus, nic.driver].filter(Boolean).join(" · ")}</span>
                </>
              ),
            },
            { head: t("column.link"), cell: nic => <Link nic={nic} /> },
            { head: t("column.frames"), number: true, cell: nic => `${rate(nic.frames_per_second)}/s` },
            { head: t("column.bits"), number: true, cell: nic => bits(nic.bits_per_second) },
            { head: t("column.addresses"), cell: nic => <span class="mono">{nic.addresses.join(" ") || "–"}</span> },
            {
              head: t("column.role"),
              cell: nic => (
                <fieldset class="roles">
                  <legend class="hidden">{t("wizard.role_of", { nic: nic.name })}</legend>
                  {(["mirror", "target", "none"] as const).map(role => (
                    <Check
                      key={role}
                      radio={`role-${nic.name}`}
                      label={t(`role.${role}`)}
                      checked={roleOf(nic.name) === role}
                      disabled={nic.role === "management" && role === "mirror"}
                      onChange={() => choose(nic.name, role)}
                    />
                  ))}
                </fieldset>
              ),
            },
          ]}
        />
      )}
    </Await>
  );
}

export function Link({ nic }: { nic: Nic }): JSX.Element {
  if (!nic.up) return <State tone="idle">{t("link.down")}</State>;
  return nic.link ? (
    <State tone="ok">{nic.line_bits_per_second ? bits(nic.line_bits_per_second) : t("link.up")}</State>
  ) : (
    <State tone="bad">{t("link.none")}</State>
  );
}

function lookPath(resource: string): string {
  return `/api/v1/${resource}?seconds=${LOOK_SECONDS}&nic=${encodeURIComponent(answers.value.mirror.join(","))}`;
}

export function Doctor(): JSX.Element {
  const report = useResource<DoctorReport>(lookPath("doctor"));
  return <Looking of={report}>{value => <Report report={value} />}</Looking>;
}

interface LookingProps<T> {
  of: ReturnType<typeof useResource<T>>;
  children: (value: T) => JSX.Element;
}

function Looking<T>({ of, children }: LookingProps<T>): JSX.Element {
  if (!of.value && !of.fault) {
    return (
      <div class="empty" role="status">
        <span class="spinner" aria-hidden="true" />
        <strong>{t("wizard.looking", { seconds: LOOK_SECONDS })}</strong>
      </div>
    );
  }
  return (
    <div class="stack">
      <Await of={of}>{children}</Await>
      <span>
        <Button icon="refresh" onPress={of.reload}>
          {t("wizard.look_again")}
        </Button>
      </span>
    </div>
  );
}

export function Services(): JSX.Element {
  const discovery = useResource<Discovery>(lookPath("discovery"));
  return (
    <div class="stack loose">
      <Looking of={discovery}>
        {({ services: seen }) =>
          seen.length === 0 ? (
            <Notice tone="warn">{t("wizard.no_services")}</Notice>
          ) : (
            <Panel title={t("wizard.services")} flush>
              <Seen servers={seen} />
            </Panel>
          )
        }
      </Looking>
      {discovery.value ? <ByHand seen={discovery.value.services.map(server => server.origin)} /> : null}
    </div>
  );
}

const isOn = (origin: string) => answers.value.services.some(service => service.origins.includes(origin));
const pick = (origin: string, protocol: string, picked: boolean) =>
  tell({ services: toggled(answers.value.services, origin, protocol, picked) });

function Seen({ servers }: { servers: Discovery["services"] }): JSX.Element {
  return (
    <Table
      label={t("wizard.services")}
      rows={servers}
      keyOf={server => server.origin}
      isChosen={server => isOn(server.origin)}
      columns={[
        {
          head: t("column.server"),
          isHead: true,
          cell: server => (
            <Check
              label={<span class="mono">{server.origin}</span>}
              checked={isOn(server.origin)}
              onChange={checked => pick(server.origin, server.setting_protocol, checked)}
            />
          ),
        },
        { head: t("settings.protocol"), cell: server => server.protocol },
        { head: t("column.turns"), number: true, cell: server => `${rate(server.turns_per_second)}/s` },
        { head: t("column.bits"), number: true, cell: server => bits(server.bits_per_second) },
        { head: t("column.sessions"), number: true, cell: server => number(server.sessions) },
        { head: t("column.clients"), number: true, cell: server => number(server.clients) },
        {
          head: t("column.remark"),
          cell: server =>
            server.one_way > 0 ? <State tone="warn">{t("wizard.one_way", { count: server.one_way })}</State> : "",
        },
      ]}
    />
  );
}

/** Servers that are quiet just now. */
function ByHand({ seen }: { seen: string[] }): JSX.Element {
  const [text, setText] = useState("");
  const origin = text.trim();
  const others = answers.value.services.flatMap(service => service.origins).filter(own => !seen.includes(own));
  const add = (event: Event) => {
    event.preventDefault();
    if (!isOrigin(origin)) return;
    pick(origin, "auto", true);
    setText("");
  };
  return (
    <div class="stack">
      {others.map(own => (
        <Check key={own} label={<span class="mono">{own}</span>} checked onChange={() => pick(own, "auto", false)} />
      ))}
      <details class="more" open={seen.length === 0}>
        <summary>{t("wizard.by_hand")}</summary>
        <form class="filters" onSubmit={add}>
          <TextField
            label={t("wizard.by_hand.server")}
            hint={t("settings.origins_hint")}
            value={text}
            onChange={setText}
            placeholder="192.0.2.10:8080"
            mono
          />
          <Button submit disabled={!isOrigin(origin)}>
            {t("add")}
          </Button>
        </form>
      </details>
    </div>
  );
}
