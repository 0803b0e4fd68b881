/** The box itself, and who may use it. */
import type { JSX } from "preact";
import { PageHead } from "../../components/basics";
import { t } from "../../i18n";
import { href, route } from "../../lib/router";
import { may } from "../../state";
import { Account } from "./account";
import { Audit } from "./audit";
import { Box } from "./box";
import { Tokens } from "./tokens";
import { Users } from "./users";

const TABS = { box: Box, users: Users, tokens: Tokens, audit: Audit, account: Account };
type Tab = keyof typeof TABS;
const ADMIN_TABS: Tab[] = ["users", "tokens", "audit"];

export function System(): JSX.Element {
  const tabs = (Object.keys(TABS) as Tab[]).filter(name => may("admin") || !ADMIN_TABS.includes(name));
  const tab = tabs.find(name => name === route.value.id) ?? "box";
  const Shown = TABS[tab];
  return (
    <>
      <PageHead title={t("nav.system")} />
      <nav class="tabs" aria-label={t("nav.system")}>
        {tabs.map(name => (
          <a key={name} href={href("system", name)} {...(tab === name ? { "aria-current": "page" as const } : {})}>
            {t(`system.tab.${name}`)}
          </a>
        ))}
      </nav>
      <Shown />
    </>
  );
}
