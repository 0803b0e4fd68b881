/** Sessions that are open now, and one of them turn by turn, origin and target side by side on one time line. */
import type { JSX } from "preact";
import { useResource } from "../api/poll";
import type { Outcome, Session, SessionDetail, Sessions as SessionList, Turn } from "../api/types";
import { Await, Empty, Facts, PageHead, Panel, State, Table, type Tone } from "../components/basics";
import { SelectField, TextField } from "../components/fields";
import { t, word } from "../i18n";
import { bytes, clock, duration, micros, number } from "../lib/format";
import { href, route, setQuery } from "../lib/router";
import { snapshot } from "../state";

const STATE_TONES: Record<Session["state"], Tone> = { replaying: "ok", waiting: "idle", not_replayed: "warn" };
export const OUTCOME_TONES: Record<Outcome, Tone> = {
  match: "ok",
  differ: "bad",
  incomparable: "idle",
  not_answered: "bad",
  not_replayed: "warn",
};

const LIMIT = 100;

export function Sessions(): JSX.Element {
  return route.value.id ? <OneSession id={route.value.id} /> : <AllSessions />;
}

function AllSessions(): JSX.Element {
  const { address = "", service = "", state = "" } = route.value.query;
  const search = new URLSearchParams({
    limit: String(LIMIT),
    ...(address ? { address } : {}),
    ...(service ? { service } : {}),
    ...(state ? { state } : {}),
  });
  const sessions = useResource<SessionList>(`/api/v1/sessions?${search}`, 2_000);
  const names = snapshot.value?.services.map(entry => entry.name) ?? [];
  const found = sessions.value;
  const note = found
    ? t("sessions.count", {
        shown: number(found.sessions.length),
        matching: number(found.matching),
        live: number(found.live),
      })
    : undefined;
  return (
    <>
      <PageHead title={t("nav.sessions")} note={note} />
      <form class="filters" onSubmit={event => event.preventDefault()}>
        <TextField
          label={t("sessions.address")}
          type="search"
          value={address}
          onChange={text => setQuery({ address: text })}
          placeholder="10.1.2.3"
          mono
        />
        <SelectField
          label={t("column.service")}
          value={service}
          options={[["", t("filter.all")], ...names.map(name => [name, name] as [string, string])]}
          onChange={chosen => setQuery({ service: chosen })}
        />
        <SelectField
          label={t("column.state")}
          value={state}
          options={[
            ["", t("filter.all")],
            ["replaying", t("session.replaying")],
            ["waiting", t("session.waiting")],
            ["not_replayed", t("session.not_replayed")],
          ]}
          onChange={chosen => setQuery({ state: chosen })}
        />
      </form>
      <Panel title={t("sessions.live")} flush>
        <Await of={sessions}>
          {({ sessions: rows }) => (
            <Table
              label={t("sessions.live")}
              rows={rows}
              keyOf={session => session.id}
              empty={<Empty title={t("sessions.none")}>{t("sessions.none_text")}</Empty>}
              columns={[
                {
                  head: t("column.client"),
                  isHead: true,
                  cell: session => (
                    <a class="mono" href={href("sessions", session.id)}>
                      {session.client}
                    </a>
                  ),
                },
                { head: t("column.origin"), cell: session => <span class="mono">{session.origin}</span> },
                { head: t("column.target"), cell: session => <span class="mono">{session.target ?? "–"}</span> },
                { head: t("column.service"), cell: session => session.service },
                { head: t("settings.protocol"), cell: session => session.protocol },
                {
                  head: t("column.state"),
                  cell: session => <State tone={STATE_TONES[session.state]}>{t(`session.${session.state}`)}</State>,
                },
                { head: t("column.requests"), number: true, cell: session => number(session.requests) },
                { head: t("column.age"), number: true, cell: session => duration(session.age_seconds) },
                { head: t("column.idle"), number: true, cell: session => duration(session.idle_seconds) },
              ]}
            />
          )}
        </Await>
      </Panel>
    </>
  );
}

function OneSession({ id }: { id: string }): JSX.Element {
  const detail = useResource<SessionDetail>(`/api/v1/sessions/${encodeURIComponent(id)}`, 2_000);
  return (
    <>
      <PageHead title={t("session.title", { id })} note={<a href={href("sessions")}>{t("sessions.back")}</a>} />
      <Await of={detail} isOne>
        {({ session, turns }) => (
          <>
            <Panel title={t("session.facts")}>{session ? <About session={session} /> : t("session.ended")}</Panel>
            <Panel
              title={t("session.turns")}
              flush
              aside={
                <>
                  <span class="key" data-series="origin">
                    {t("side.origin")}
                  </span>
                  <span class="key" data-series="target">
                    {t("side.target")}
                  </span>
                </>
              }
            >
              <Turns turns={turns} />
            </Panel>
          </>
        )}
      </Await>
    </>
  );
}

function About({ session }: { session: Session }): JSX.Element {
  const mono = (text: string | undefined) => <span class="mono">{text ?? "–"}</span>;
  return (
    <Facts
      rows={[
        [t("column.client"), mono(session.client)],
        [t("column.origin"), mono(session.origin)],
        [t("column.target"), mono(session.target)],
        [t("session.local"), mono(session.local)],
        [t("column.service"), session.service],
        [t("settings.protocol"), session.protocol],
        [
          t("column.state"),
          <State key="state" tone={STATE_TONES[session.state]}>
            {t(`session.${session.state}`)}
          </State>,
        ],
        [t("session.beginning"), t(session.midstream ? "session.midstream" : "session.whole")],
        [t("column.age"), duration(session.age_seconds)],
      ]}
    />
  );
}

/** From a request's last byte to its answer's last byte, as far as either side is known. */
const longest = (turn: Turn) => Math.max(turn.origin_last_us ?? 0, turn.target_last_us ?? 0);

/** So many turns are shown, the last first. */
const TURNS = 100;

function Turns({ turns: all }: { turns: Turn[] }): JSX.Element {
  const turns = all.toSorted((a, b) => b.exchange - a.exchange).slice(0, TURNS);
  const scale = Math.max(1, ...turns.map(longest));
  return (
    <Table
      label={t("session.turns")}
      rows={turns}
      keyOf={turn => turn.exchange}
      empty={<Empty title={t("session.no_turns")} />}
      columns={[
        { head: t("column.time"), isHead: true, cell: turn => <span class="mono">{clock(turn.at, true)}</span> },
        { head: t("column.request"), number: true, cell: turn => bytes(turn.request_bytes) },
        { head: t("session.timeline"), cell: turn => <TimeLine turn={turn} scale={scale} /> },
        { head: t("side.origin"), number: true, cell: turn => micros(turn.origin_last_us) },
        { head: t("side.target"), number: true, cell: turn => micros(turn.target_last_us) },
        {
          head: t("column.outcome"),
          cell: turn => (
            <span class="line tight">
              <State tone={OUTCOME_TONES[turn.outcome]}>{word("outcome", turn.outcome)}</State>
              {turn.reason ? <span class="small quiet">{word("reason", turn.reason)}</span> : null}
            </span>
          ),
        },
        {
          head: "",
          cell: turn =>
            turn.record === undefined ? "" : <a href={href("differences", `exchange-${turn.record}`)}>{t("open")}</a>,
        },
      ]}
    />
  );
}

const WIDTH = 240;

/** Two bars: until the first byte light, until the last byte full. */
function TimeLine({ turn, scale }: { turn: Turn; scale: number }): JSX.Element {
  const x = (value: number | undefined) => ((value ?? 0) / scale) * WIDTH;
  const bar = (first: number | undefined, last: number | undefined, y: number, name: "origin" | "target") =>
    last === undefined ? null : (
      <g fill={`var(--series-${name})`}>
        <rect x="0" y={y + 3} width={Math.max(1, x(first))} height="1.5" opacity="0.7" />
        <rect x={x(first)} y={y} width={Math.max(2, x(last) - x(first))} height="7" rx="1" />
      </g>
    );
  return (
    <svg
      class="time-line"
      viewBox={`0 0 ${WIDTH + 4} 22`}
      preserveAspectRatio="none"
      aria-hidden="true"
      focusable="false"
    >
      {bar(turn.origin_first_us, turn.origin_last_us, 2, "origin")}
      {bar(turn.target_first_us, turn.target_last_us, 13, "target")}
    </svg>
  );
}
