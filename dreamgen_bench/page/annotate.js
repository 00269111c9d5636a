"use strict";
// One clip at a time by keyboard. An answer counts when the server has said that it is on its disk.

const at = (id) => document.getElementById(id);
const KEPT = "dreamgen-bench-rater";
let me = JSON.parse(sessionStorage.getItem(KEPT) || localStorage.getItem(KEPT) || "null");
let state = null, busy = false, revised = null;

async function ask(path, more) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...me, ...more }) });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

function show(found) {
  state = found;
  me = { rater: found.rater, secret: found.secret };
  sessionStorage.setItem(KEPT, JSON.stringify(me));
  localStorage.setItem(KEPT, JSON.stringify(me));
  at("who").textContent = `${me.rater} · code ${me.secret} · ${found.done} of ${found.planned}`;
  at("progress").value = found.planned ? found.done / found.planned : 0;
  at("join").hidden = true;
  present(revised || found.clip);
}

function present(clip) {
  at("work").hidden = !clip;
  at("end").hidden = Boolean(clip);
  at("back").disabled = !state.before.length || Boolean(revised);
  if (!clip) { at("video").pause(); return; }
  document.body.dataset.clip = clip.id;
  at("video").src = clip.video;
  at("question").textContent = clip.question;
  at("video").play().catch(() => {});
  if (state.after) { const next = document.createElement("video"); next.preload = "auto"; next.src = state.after; }
}

async function tell(path, more) {
  if (busy) return;
  busy = true;
  try {
    const found = await ask(path, more);
    revised = null;
    at("told").textContent = "";
    show(found);
  } catch (error) {
    at("told").textContent = `Not kept: ${error.message}. Is the program still running? Press the key again.`;
    if (!state) { at("join").hidden = false; at("code-line").hidden = !/taken/.test(error.message); me = null; }
  } finally {
    busy = false;
  }
}

const answer = (label) => { if (!at("work").hidden) tell("/answer", { clip: (revised || state.clip).id, label }); };
function undo() {
  if (!state || !state.before.length || revised) return;
  revised = state.before[0];
  at("told").textContent = `Your answer was ${revised.label ? "yes" : "no"}; answer again.`;
  present(revised);
}
function replay() { at("video").currentTime = 0; at("video").play().catch(() => {}); }

at("join").addEventListener("submit", (event) => {
  event.preventDefault();
  me = { rater: at("name").value, ...(at("code").value ? { secret: at("code").value } : {}) };
  tell("/join", {}).then(() => at("name").blur());
});
const KEYS = { 1: () => answer(1), y: () => answer(1), 0: () => answer(0), n: () => answer(0), s: () => answer(null), u: undo, " ": replay };
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.tagName === "INPUT") return;
  if (state && KEYS[event.key]) { event.preventDefault(); KEYS[event.key](); }
});
at("yes").addEventListener("click", () => answer(1));
at("no").addEventListener("click", () => answer(0));
at("skip").addEventListener("click", () => answer(null));
at("replay").addEventListener("click", replay);
at("back").addEventListener("click", undo);
if (me) tell("/join", {});
