/** Light, dark, or as the system has it. */
import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const STORED = "tapcopy.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

export const theme = signal<Theme>("system");
/** Counts changes of what is seen, so that drawings with their own pixels are made again. */
export const themeChanges = signal(0);

export function setTheme(chosen: Theme): void {
  theme.value = chosen;
  if (chosen === "system") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem(STORED);
  } else {
    document.documentElement.dataset.theme = chosen;
    localStorage.setItem(STORED, chosen);
  }
  themeChanges.value += 1;
}

export function startTheme(): void {
  const stored = localStorage.getItem(STORED);
  if (stored === "light" || stored === "dark") setTheme(stored);
  dark.addEventListener("change", () => {
    themeChanges.value += 1;
  });
}

/** The colour of a token as the canvas wants it. */
export function colour(token: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(--${token})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
