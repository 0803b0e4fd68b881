import type { JSX } from "preact";
import { Empty } from "./components/basics";
import { Frame } from "./frame";
import { t } from "./i18n";
import { href, route } from "./lib/router";
import { Captures } from "./pages/captures";
import { Differences } from "./pages/differences";
import { Claim, Login } from "./pages/door";
import { Latency } from "./pages/latency";
import { Mirror } from "./pages/mirror";
import { Overview } from "./pages/overview";
import { Services } from "./pages/services";
import { Sessions } from "./pages/sessions";
import { Settings } from "./pages/settings";
import { System } from "./pages/system";
import { Wizard } from "./pages/wizard";
import { health, isFirstRun, known, may, me, reachable } from "./state";

const PAGES: Record<string, () => JSX.Element> = {
  overview: Overview,
  services: Services,
  sessions: Sessions,
  differences: Differences,
  latency: Latency,
  mirror: Mirror,
  captures: Captures,
  settings: Settings,
  system: System,
  wizard: Wizard,
};

export function App(): JSX.Element {
  if (!known.value) return <main>{<Empty title={t(reachable.value ? "loading" : "link.lost")} />}</main>;
  if (!me.value) return health.value?.claimed === false ? <Claim /> : <Login />;
  const { page } = route.value;
  // Once begun, the wizard stays until its end, though the box then has settings.
  if (isFirstRun.value && page === "overview" && may("operator")) location.replace(href("wizard"));
  const Shown = PAGES[page] ?? Overview;
  return (
    <Frame>
      <Shown key={page} />
    </Frame>
  );
}
