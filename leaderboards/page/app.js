"use strict";
// The address says what is shown, so that everything can be linked to: #/, #/board/ID, #/model/ID/NAME, #/gallery?..., #/sample/SUITE/TASK/SEED.

function boardPage(board) {
  const others = data.boards.length > 1 ? h("nav", { class: "boards", "aria-label": "Boards" }, data.boards.map((other) =>
    h("a", { href: address("board", other.id), "aria-current": other === board ? "page" : null }, bdi(other.title)))) : null;
  return h("section", null, h("h1", null, bdi(board.suite), h("small", null, " judged by ", bdi(board.judge))), others,
    h("ul", { class: "plain quiet" }, board.instrument.map((line) => h("li", null, bdi(line)))),
    boardTable(board), curve(board),
    board.figures.length ? h("section", null, h("h2", null, "Figures"), board.figures.map(([file, words]) =>
      h("figure", { class: "drawn" }, h("a", { href: `${file}.svg` }, h("img", { src: `${file}.svg`, alt: words, loading: "lazy" })),
        h("figcaption", null, words, " ", h("a", { href: `${file}.png` }, "PNG"))))) : null);
}

function modelPage(id, name) {
  const board = data.boards.find((board) => board.id === id);
  const row = board && board.rows.find((row) => row.model === name);
  const about = row && data.models.find((model) => model.board === id && modelName(model.number) === name);
  if (!about) return missing(`no model ${name} on board ${id}`);
  const mine = data.samples.filter((sample) => sample.m === about.number && data.tasks[sample.t].suite === board.suite);
  const table = h("dl", { class: "facts" }, about.facts.map(([key, value]) => [h("dt", null, key.replaceAll("_", " ")), h("dd", null, bdi(value))]));
  const scores = board.columns.map(([column, words]) => [h("dt", null, words), h("dd", null, cellOf(row.cells[column]).childNodes.length
    ? [...cellOf(row.cells[column]).childNodes] : "–")]);
  return h("section", null, h("h1", null, bdi(name)), h("p", { class: "quiet" }, h("a", { href: address("board", id) }, bdi(board.title)),
    row.rank ? ` · rank ${row.place}` : row.unranked ? ` · not ranked: ${row.unranked}` : ""),
  h("p", null, h("a", { href: `#/gallery?${new URLSearchParams({ suite: board.suite, models: about.number })}` }, `${count(mine.length, "video", "videos")} in the gallery`), " · ",
    h("a", { href: `#/gallery?${new URLSearchParams({ suite: board.suite, models: about.number, only: "failed" })}` }, "its failures")),
  h("h2", null, "Scores"), h("dl", { class: "facts" }, scores), byBehavior(mine, about), h("h2", null, "What it is"), table);
}

function byBehavior(samples, about) {
  const behaviors = new Map();
  for (const sample of samples) {
    const name = data.tasks[sample.t].behavior;
    if (!name) continue;
    const found = behaviors.get(name) || { n: 0, IF: [], PA: [], replay: [] };
    found.n += 1;
    const seen = new Set();
    for (const said of sample.j) {
      const column = heading(data.names.rubrics[said[1]]);
      if (found[column] && said[3] !== null && !seen.has(column)) { found[column].push(said[3]); seen.add(column); }
    }
    if (sample.r !== undefined && sample.r !== null) found.replay.push(Number(sample.r));
    behaviors.set(name, found);
  }
  if (!behaviors.size) return null;
  const mean = (values) => (values.length ? number(values.reduce((sum, value) => sum + value, 0) / values.length) : "–");
  const policy = new Map(Object.entries(about.behaviors));
  const rows = [...behaviors].sort(([one], [other]) => one.localeCompare(other)).map(([name, found]) => h("tr", null, h("th", { scope: "row" }, bdi(name)),
    [found.n, mean(found.IF), mean(found.PA), mean(found.replay), policy.has(name) ? number(policy.get(name)) : "–"].map((text) => h("td", { class: "count" }, String(text)))));
  return h("section", null, h("h2", null, "By behavior"), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Scores by behavior" },
    h("table", null, h("thead", null, h("tr", null, ["Behavior", "Videos", "IF", "PA", "Replay", "Policy"].map((text, at) =>
      h("th", { scope: "col", class: at ? "count" : "" }, text)))), h("tbody", null, rows))));
}

function samplePage(suite, id, seed) {
  const at = groupsOf.findIndex((group) => group.task.suite === suite && group.task.id === id && String(group.seed) === String(seed || 0));
  if (at < 0) return missing(`no sample ${suite} ${id} under seed ${seed}`);
  const link = (other, words) => (other ? h("a", { href: address("sample", other.task.suite, other.task.id, other.seed) }, words) : h("span", { class: "quiet" }, words));
  return h("section", null, h("h1", null, "Sample"), h("p", { class: "pager" }, link(groupsOf[at - 1], "← Earlier"), " · ", h("a", { href: "#/gallery" }, "Gallery"), " · ", link(groupsOf[at + 1], "Later →")),
    taskArticle(groupsOf[at], null));
}

const missing = (what) => h("section", null, h("h1", null, "Not here"), h("p", null, bdi(what)), h("p", null, h("a", { href: "#/" }, "To the board")));

function decoded(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}

function show() {
  if (!location.hash.startsWith("#/") && location.hash) return;
  const main = document.getElementById("main");
  for (const article of main.querySelectorAll("article.task")) article.leave();
  const [path, query] = location.hash.slice(2).split("?");
  const [page, ...parts] = path.split("/").map(decoded);
  const board = data.boards.find((board) => board.id === parts[0]) || data.boards[0];
  const shown = page === "gallery" ? gallery(new URLSearchParams(query || "")) : page === "model" ? modelPage(parts[0], parts[1])
    : page === "sample" ? samplePage(...parts) : boardPage(board);
  main.replaceChildren(shown);
  for (const link of document.querySelectorAll("nav a[data-page]")) {
    const current = link.dataset.page === (page === "gallery" || page === "sample" ? "gallery" : "board");
    if (current) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  const title = shown.querySelector("h1");
  document.title = `${title ? title.textContent : "Board"} – DreamGen-Bench`;
  scrollTo(0, 0);
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA|BUTTON|A|SUMMARY)$/.test(event.target.tagName)) return;
  const articles = [...document.querySelectorAll("article.task")];
  if (!articles.length) return;
  const at = articles.indexOf(document.activeElement.closest("article.task"));
  if (event.key === "j" || event.key === "k") {
    const next = articles[Math.min(Math.max(at + (event.key === "j" ? 1 : -1), 0), articles.length - 1)];
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "start" });
  } else if (event.key === " ") {
    articles[Math.max(at, 0)].toggle();
    event.preventDefault();
  }
}

document.getElementById("size").textContent = `${count(data.samples.length, "video", "videos")} · ${count(data.names.models ? data.names.models.length : 0, "model", "models")}`;
addEventListener("hashchange", show);
addEventListener("keydown", keys);
show();
