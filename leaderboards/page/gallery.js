"use strict";
// Samples first: for each task the first frame, the instruction, and every model's video beside what was said of it.

const PER_PAGE = 8;
const BROUGHT = data.samples.some((row) => row.f);
const lost = (row) => row.f === null && row.w !== null;
const KINDS = [
  ["all", "All tasks", () => true],
  ["judges", "Judges disagree", (row) => rubrics(row).some((said) => new Set(said.map((s) => s[3])).size > 1)],
  ["replay", "IF and replay disagree", (row) => row.r !== undefined && row.r !== null
    && row.j.some((s) => heading(data.names.rubrics[s[1]]) === "IF" && s[3] !== null && (s[3] >= 0.5) !== row.r)],
  ["failed", "Something failed", (row) => lost(row) || row.r === false || row.j.some((s) => s[3] !== null && s[3] < 0.5)],
  ["missing", "No video or no answer", (row) => lost(row) || row.j.some((s) => s[3] === null)],
];

function rubrics(row) {
  const found = new Map();
  for (const said of row.j) if (said[3] !== null) found.set(said[1], (found.get(said[1]) || []).concat([said]));
  return [...found.values()];
}

// All samples of one task under one seed.
const groupsOf = (() => {
  const groups = new Map();
  for (const row of data.samples) {
    const key = `${row.t}/${row.s}`;
    if (!groups.has(key)) groups.set(key, { task: data.tasks[row.t], seed: row.s, rows: [] });
    groups.get(key).rows.push(row);
  }
  for (const group of groups.values()) group.rows.sort((one, other) => one.m - other.m);
  return [...groups.values()];
})();

// A video gets its file when it comes near, and gives it back when it is gone: a page of thousands loads a dozen.
const nearby = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !target.getAttribute("src")) { target.preload = "auto"; target.src = target.dataset.src; }
    if (!isIntersecting && target.paused && target.getAttribute("src")) { target.removeAttribute("src"); target.load(); }
  }
}, { rootMargin: "300px" });

function card(row, task) {
  const name = modelName(row.m);
  const about = data.models.find((model) => model.number === row.m && model.suite === task.suite);
  const link = about ? h("a", { href: address("model", about.board, name) }, bdi(name)) : bdi(name);
  const picture = row.f
    ? h("video", { "data-src": row.f, muted: true, playsinline: true, preload: "none", tabindex: "0", "aria-label": `Video by ${name}` })
    : lost(row) ? h("p", { class: "no-video" }, `no video: ${row.w}`)
    : BROUGHT ? h("p", { class: "no-video" }, "made, but not brought along") : null;
  if (row.f) { picture.muted = true; nearby.observe(picture); }
  const lines = [];
  for (const said of row.j) {
    const [judge, rubric, status, value, chance] = said;
    const answer = value === null ? h("span", { class: "quiet" }, status === "unparsed" ? "unparsed" : "judge error")
      : value === 0 || value === 1 ? verdict(value === 1) : h("b", null, number(value));
    lines.push(h("dt", { title: `${data.names.rubrics[rubric]}, ${data.names.judges[judge]}` }, heading(data.names.rubrics[rubric]),
      data.names.judges.length > 1 ? h("small", null, " ", bdi(data.names.judges[judge])) : null),
    h("dd", null, answer, chance === null ? "" : h("span", { class: "quiet", title: "probability of yes" }, ` P ${number(chance)}`)));
  }
  if (row.r !== undefined) {
    lines.push(h("dt", { title: "actions inferred from the video, replayed open loop" }, "Replay"),
      h("dd", null, row.r === null ? h("span", { class: "quiet" }, row.rw || "crashed") : verdict(row.r)));
  }
  if (about && about.success !== null) {
    const own = Object.prototype.hasOwnProperty.call(about.behaviors, task.behavior) ? about.behaviors[task.behavior] : null;
    lines.push(h("dt", { title: "success rate of the policy trained on this model's videos" }, "Policy"),
      h("dd", null, h("b", null, number(own === null ? about.success : own)), h("span", { class: "quiet" }, own === null ? " overall" : ` ${task.behavior}`)));
  }
  const replies = row.j.filter((said) => said[5]);
  return h("li", { class: "card", "data-model": name }, h("p", { class: "name" }, link), picture, h("dl", null, lines),
    replies.length ? h("details", null, h("summary", null, "Replies"), replies.map((said) => h("div", null,
      h("p", { class: "quiet" }, heading(data.names.rubrics[said[1]]), ", ", bdi(data.names.judges[said[0]])),
      h("pre", null, bdi(said[5]))))) : null);
}

// Videos of one task under one clock: the longest leads, and whoever strays is set right.
function inStep(videos) {
  let timer = null;
  const leader = () => videos.reduce((one, other) => ((other.duration || 0) > (one.duration || 0) ? other : one));
  const ready = (video) => new Promise((done) => {
    if (!video.getAttribute("src")) { video.preload = "auto"; video.src = video.dataset.src; }
    if (video.readyState >= 3) done();
    else {
      video.addEventListener("canplay", done, { once: true });
      video.addEventListener("error", done, { once: true });
    }
  });
  function align() {
    const lead = leader();
    if (lead.ended) { restart(); return; }
    for (const video of videos) {
      const at = Math.min(lead.currentTime, (video.duration || 0) - 0.01);
      if (video !== lead && !video.error && Math.abs(video.currentTime - at) > 0.08) video.currentTime = Math.max(at, 0);
    }
  }
  function restart() {
    for (const video of videos) { video.currentTime = 0; video.play().catch(() => {}); }
  }
  return {
    get playing() { return timer !== null; },
    async play() {
      timer = setInterval(align, 100);
      await Promise.all(videos.map(ready));
      if (timer !== null) restart();
    },
    pause() {
      clearInterval(timer);
      timer = null;
      for (const video of videos) video.pause();
    },
    async seek(share) {
      this.pause();
      await Promise.all(videos.map(ready));
      const end = leader().duration || 0;
      for (const video of videos) video.currentTime = Math.min(share * end, Math.max((video.duration || 0) - 0.01, 0));
    },
  };
}

function taskArticle(group, models) {
  const rows = group.rows.filter((row) => !models || models.has(row.m));
  const cards = rows.map((row) => card(row, group.task));
  const videos = cards.map((item) => item.querySelector("video")).filter(Boolean);
  const step = videos.length ? inStep(videos) : null;
  const button = h("button", { type: "button", class: "all", onclick: () => toggle() }, "Play in step");
  const slider = h("input", { type: "range", min: 0, max: 1000, value: 0, "aria-label": "Place in the videos",
    oninput: () => { step.seek(slider.value / 1000); button.textContent = "Play in step"; } });
  function toggle() {
    if (!step) return;
    if (step.playing) step.pause(); else step.play();
    button.textContent = step.playing ? "Pause" : "Play in step";
  }
  const task = group.task;
  const words = task.instruction === null ? h("span", { class: "quiet" }, "Instruction not given to this page") : h("span", null, "“", bdi(task.instruction), "”");
  const article = h("article", { tabindex: "-1", class: "task" },
    h("header", null, h("div", null, h("h3", null, words), h("p", { class: "quiet" }, bdi(task.suite), " · ", bdi(task.id),
      task.behavior ? ` · ${task.behavior}` : "", ` · seed ${group.seed} · `,
      h("a", { href: address("sample", task.suite, task.id, group.seed) }, "link to this sample"))),
    h("div", { class: "controls" }, step ? [button, slider] : null)),
    h("ul", { class: "cards" }, h("li", { class: "card asked" }, h("p", { class: "name" }, "First frame"),
      task.frame ? h("img", { src: task.frame, alt: `First frame of ${task.id}`, loading: "lazy", width: 160, height: 160 })
        : h("p", { class: "no-video" }, "not given to this page")), cards));
  article.toggle = toggle;
  article.leave = () => { if (step) step.pause(); for (const video of videos) nearby.unobserve(video); };
  return article;
}

function gallery(query) {
  const wanted = (name) => query.get(name) || "";
  const models = wanted("models") ? new Set(wanted("models").split(",").map(Number)) : null;
  const kind = KINDS.find(([name]) => name === wanted("only")) || KINDS[0];
  const text = wanted("text").toLowerCase();
  const found = groupsOf.filter((group) => (!wanted("suite") || group.task.suite === wanted("suite"))
    && (!wanted("behavior") || group.task.behavior === wanted("behavior"))
    && (!text || `${group.task.instruction} ${group.task.id}`.toLowerCase().includes(text))
    && group.rows.some((row) => (!models || models.has(row.m)) && kind[2](row)));
  const pages = Math.max(1, Math.ceil(found.length / PER_PAGE));
  const page = Math.min(Math.max(parseInt(wanted("page"), 10) || 1, 1), pages);
  const go = (changes) => {
    const next = new URLSearchParams(query);
    for (const [name, value] of Object.entries({ page: "", ...changes })) if (value) next.set(name, value); else next.delete(name);
    location.hash = `#/gallery${next.size ? `?${next}` : ""}`;
  };
  const choice = (name, words, options) => h("label", null, `${words} `, h("select", { name, onchange: (event) => go({ [name]: event.target.value }) },
    options.map(([value, label]) => h("option", { value, selected: value === wanted(name) }, label))));
  const unique = (key) => [...new Set(data.tasks.map((task) => task[key]))].filter(Boolean).sort().map((value) => [value, value]);
  const turn = (to, words) => h("button", { type: "button", disabled: to < 1 || to > pages, onclick: () => go({ page: String(to) }) }, words);
  const pager = () => h("p", { class: "pager" }, turn(page - 1, "← Earlier"), ` ${page} of ${pages} `, turn(page + 1, "Later →"));
  const absent = BROUGHT ? null : h("p", { class: "quiet" }, "The videos are not on this page: only what was said of them. "
    + "dreamgen-bench leaderboard --html OUT --videos RUN makes it with the videos of a run folder.");
  return h("section", null, h("h1", null, "Gallery"), absent,
    h("div", { class: "filters" }, choice("suite", "Suite", [["", "all"], ...unique("suite")]),
      choice("behavior", "Behavior", [["", "all"], ...unique("behavior")]),
      choice("only", "Show", KINDS.map(([name, words]) => [name === "all" ? "" : name, words])),
      h("label", null, "Search ", h("input", { type: "search", name: "text", value: wanted("text"), onchange: (event) => go({ text: event.target.value }) })),
      modelChoice(models, go), h("p", { class: "quiet", role: "status" }, `${count(found.length, "task", "tasks")}; keys: j and k go through them, space plays`)),
    pager(), found.slice((page - 1) * PER_PAGE, page * PER_PAGE).map((group) => taskArticle(group, models)), found.length > 3 ? pager() : null);
}

function modelChoice(models, go) {
  const boxes = data.names.models.map((name, at) => h("label", null, h("input", { type: "checkbox", value: at, checked: !models || models.has(at) }), " ", bdi(name)));
  const take = () => {
    const chosen = boxes.filter((box) => box.firstChild.checked).map((box) => box.firstChild.value);
    go({ models: chosen.length && chosen.length < boxes.length ? chosen.join(",") : "" });
  };
  const every = (on) => boxes.forEach((box) => { box.firstChild.checked = on; });
  return h("details", { class: "models" }, h("summary", null, models ? `${models.size} of ${boxes.length} models` : `All ${boxes.length} models`),
    h("div", { class: "boxes" }, boxes), h("p", null, h("button", { type: "button", onclick: () => every(true) }, "All"), " ",
      h("button", { type: "button", onclick: () => every(false) }, "None"), " ", h("button", { type: "button", onclick: take }, "Show these")));
}
