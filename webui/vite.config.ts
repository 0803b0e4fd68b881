import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";
import { interfacePage } from "./interface";

const OUT = "dist";
/** Where the development server finds a running box: `BOX=https://192.0.2.7 npm run dev`. */
const BOX = process.env.BOX ?? "http://127.0.0.1:8080";

function* filesOf(folder: string): Generator<string> {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* filesOf(path);
    else yield path;
  }
}

/** Leaves each file's compressed forms beside it, so that the box never compresses the page. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    closeBundle() {
      for (const path of [...filesOf(OUT)]) {
        const bytes = readFileSync(path);
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
        writeFileSync(`${path}.br`, brotliCompressSync(bytes));
      }
    },
  };
}

/** The REST interface as a page to read. */
function readable(): Plugin {
  return {
    name: "readable",
    transformIndexHtml: html =>
      html.replace("<!-- interface -->", () => interfacePage(readFileSync("openapi.yaml", "utf8"))),
  };
}

export default defineConfig({
  plugins: [readable(), compressed()],
  build: {
    outDir: OUT,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: ["index.html", "api.html"] },
  },
  server: {
    proxy: Object.fromEntries(
      ["/api", "/metrics"].map(path => [path, { target: BOX, secure: false, changeOrigin: true }]),
    ),
  },
});
