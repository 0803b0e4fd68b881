/** What differs: findings by rank, the exchanges behind them, and one exchange side by side. */
import type { JSX } from "preact";
import { PageHead } from "../../components/basics";
import { t } from "../../i18n";
import { href, route } from "../../lib/router";
import { OneExchange } from "./exchange";
import { Exchanges } from "./exchanges";
import { Findings } from "./findings";

export function Differences(): JSX.Element {
  const { id } = route.value;
  const record = /^exchange-(\d+)$/.exec(id)?.[1];
  if (record !== undefined) return <OneExchange id={record} />;
  const isList = id === "exchanges";
  return (
    <>
      <PageHead title={t("nav.differences")} />
      <nav class="tabs" aria-label={t("nav.differences")}>
        <a href={href("differences")} {...(isList ? {} : { "aria-current": "page" as const })}>
          {t("differences.findings")}
        </a>
        <a href={href("differences", "exchanges")} {...(isList ? { "aria-current": "page" as const } : {})}>
          {t("differences.exchanges")}
        </a>
      </nav>
      {isList ? <Exchanges /> : <Findings />}
    </>
  );
}
