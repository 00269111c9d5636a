"use strict";
// One question at a time by keyboard. An answer counts when the server has said that it is on its disk.

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
  if (!clip) { at("videos").replaceChildren(); return; }
  document.body.dataset.clip = clip.id;
  at("question").textContent = clip.question;
  at("videos").replaceChildren(...clip.videos.map((source) => {
    const video = document.createElement("video");
    Object.assign(video, { src: source, muted: true, playsInline: true, onended: again });
    return video;
  }));
  at("choices").replaceChildren(...state.choices.map((choice) => {
    const button = document.createElement("button"), key = document.createElement("kbd");
    key.textContent = choice.keys[0];
    button.append(key, ` ${choice.words}`);
    button.onclick = () => answer(choice.label);
    return button;
  }));
  replay();
  for (const source of state.after) { const next = document.createElement("video"); next.preload = "auto"; next.src = source; }
}

const shown = () => [...document.querySelectorAll("#videos video")];
function replay() { for (const video of shown()) { video.currentTime = 0; video.play().catch(() => {}); } }
// Two videos begin together each time, whatever their lengths.
function again() { if (shown().every((video) => video.ended)) replay(); }

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
  const said = state.choices.find((choice) => choice.label === revised.label);
  at("told").textContent = `Your answer was “${said.words}”; answer again.`;
  present(revised);
}

at("join").addEventListener("submit", (event) => {
  event.preventDefault();
  me = { rater: at("name").value, ...(at("code").value ? { secret: at("code").value } : {}) };
  tell("/join", {}).then(() => at("name").blur());
});
const KEYS = { s: () => answer(null), u: undo, " ": replay };
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.tagName === "INPUT") return;
  if (!state) return;
  const choice = state.choices.find((choice) => choice.keys.includes(event.key));
  if (!choice && !KEYS[event.key]) return;
  event.preventDefault();
  if (choice) answer(choice.label); else KEYS[event.key]();
});
at("skip").addEventListener("click", () => answer(null));
at("replay").addEventListener("click", replay);
at("back").addEventListener("click", undo);
if (me) tell("/join", {});
