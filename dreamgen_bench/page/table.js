"use strict";
// The table of a board: sortable by its headings, filterable by name and group.

const GROUPS = [["trained", "World models"], ["control", "Controls"], ["reference", "Ceilings and floors without videos"]];

function cellOf(cell) {
  if (cell.mean === null) return h("td", { class: "number" }, h("span", { class: "quiet", title: cell.why }, "–"));
  const parts = [h("b", null, number(cell.mean))];
  if (cell.ci95) {
    const bar = h("span", { class: "bar", "aria-hidden": "true" }, h("i"));
    const at = (value) => Math.min(Math.max(value, 0), 1) * 100;
    bar.style.setProperty("--low", at(cell.ci95[0]));
    bar.style.setProperty("--high", at(cell.ci95[1]));
    bar.style.setProperty("--at", at(cell.mean));
    parts.push(" ", h("span", { class: "ends" }, `[${number(cell.ci95[0])}, ${number(cell.ci95[1])}]`), bar);
  }
  return h("td", { class: "number" }, parts);
}

function boardTable(board) {
  const columns = [["place", "Rank", (row) => row.rank], ["model", "Model", (row) => row.model]];
  for (const [column, words] of board.columns) {
    columns.push([column, words, (row) => row.cells[column].mean]);
    if (column === "bench" && board.rescaled) columns.push(["rescaled", "Rescaled", (row) => parseFloat(row.rescaled)]);
  }
  columns.push(["lost", "No video", (row) => parseFloat(row.lost)]);
  columns.push(["covered", "Coverage", (row) => parseFloat(row.covered)]);
  const state = { sort: null, up: true, text: "", groups: new Set(GROUPS.map(([name]) => name).concat("unknown")) };
  const body = h("tbody"), status = h("p", { class: "quiet", role: "status" });

  function draw() {
    let rows = board.rows.filter((row) => state.groups.has(row.group) && row.model.toLowerCase().includes(state.text));
    if (state.sort !== null) {
      const key = columns[state.sort][2], sign = state.up ? 1 : -1;
      const absent = (value) => value === null || value === undefined || Number.isNaN(value);
      rows = rows.slice().sort((one, other) => {
        const a = key(one), b = key(other);
        if (absent(a) || absent(b)) return absent(a) - absent(b);
        return (typeof a === "string" ? a.localeCompare(b) : a - b) * sign;
      });
    }
    body.replaceChildren(...rows.map((row) => rowOf(row)));
    heads.forEach((head, at) => {
      const sorted = at === state.sort ? (state.up ? "ascending" : "descending") : "none";
      head.setAttribute("aria-sort", sorted);
    });
    status.textContent = `${rows.length} of ${board.rows.length} rows`;
  }

  function rowOf(row) {
    const made = row.group !== "reference";
    const name = made ? h("a", { href: address("model", board.id, row.model) }, bdi(row.model)) : bdi(row.model);
    const kind = row.kind === row.group ? "" : h("small", null, row.kind.replace(`${row.group}, `, ""));
    return h("tr", { class: row.group }, columns.map(([column]) => {
      if (column === "model") return h("th", { scope: "row" }, name, kind);
      if (row.cells[column]) return cellOf(row.cells[column]);
      return h("td", { class: "count", title: column === "place" ? row.unranked : null }, row[column]);
    }));
  }

  function sortBy(at) {
    const first = columns[at][0] === "place" || columns[at][0] === "model" || columns[at][0] === "lost";
    state.up = state.sort === at ? !state.up : first;
    state.sort = at;
    draw();
  }

  const heads = columns.map(([name, words], at) => h("th", { scope: "col", class: name === "model" || board.columns.some(([column]) => column === name) ? "" : "count" },
    h("button", { type: "button", class: "sort", onclick: () => sortBy(at) }, words)));
  const search = h("input", { type: "search", placeholder: "Filter by name", "aria-label": "Filter by name",
    oninput: (event) => { state.text = event.target.value.toLowerCase(); draw(); } });
  const boxes = GROUPS.filter(([name]) => board.rows.some((row) => row.group === name)).map(([name, words]) =>
    h("label", null, h("input", { type: "checkbox", checked: true, onchange: (event) => {
      if (event.target.checked) state.groups.add(name); else state.groups.delete(name);
      draw();
    } }), ` ${words}`));
  const notes = board.notes.length ? h("ul", null, board.notes.map((note) => h("li", null, note))) : null;
  draw();
  return h("div", null, h("div", { class: "filters" }, search, boxes, status),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table of ${board.title}` },
      h("table", { class: "board" }, h("caption", null, h("span", null, board.caption), notes),
        h("thead", null, h("tr", null, heads)), body)));
}
