import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/components.css";
import "./styles/pages.css";
import { render } from "preact";
import { App } from "./app";
import { preferredLanguage, setLanguage } from "./i18n";
import { startRouter } from "./lib/router";
import { startTheme } from "./lib/theme";
import { begin } from "./state";

startTheme();
startRouter();
void setLanguage(preferredLanguage());
void begin();
const place = document.getElementById("page");
if (place) render(<App />, place);
