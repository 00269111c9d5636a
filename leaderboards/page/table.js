"use strict";
// The table of a board: filterable by name and group here, sorted by sortable.min.js.

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
  // What each column is sorted by, and whether its least value comes first; what is absent comes last either way.
  const columns = [["place", "Rank", (row) => row.rank, true], ["model", "Model", (row) => row.model, true]];
  for (const [column, words] of board.columns) {
    columns.push([column, words, (row) => row.cells[column].mean, false]);
    if (column === "bench" && board.rescaled) columns.push(["rescaled", "Rescaled", (row) => parseFloat(row.rescaled), false]);
  }
  columns.push(["lost", "No video", (row) => parseFloat(row.lost), true]);
  columns.push(["covered", "Coverage", (row) => parseFloat(row.covered), false]);

  function rowOf(row) {
    const made = row.group !== "reference";
    const name = made ? h("a", { href: address("model", board.id, row.model) }, bdi(row.model)) : bdi(row.model);
    const kind = row.kind === row.group ? "" : h("small", null, row.kind.replace(`${row.group}, `, ""));
    return h("tr", { class: row.group }, columns.map(([column, , key]) => {
      const cell = column === "model" ? h("th", { scope: "row" }, name, kind) : row.cells[column] ? cellOf(row.cells[column])
        : h("td", { class: "count", title: column === "place" ? row.unranked : null }, row[column]);
      const value = key(row);
      cell.dataset.sort = value === null || value === undefined || Number.isNaN(value) ? "" : value;
      return cell;
    }));
  }

  const rows = board.rows.map((row) => [row, rowOf(row)]);
  const wanted = { text: "", groups: new Set(board.rows.map((row) => row.group)) };
  const status = h("p", { class: "quiet", role: "status" });

  function filter() {
    for (const [row, shown] of rows) shown.hidden = !wanted.groups.has(row.group) || !row.model.toLowerCase().includes(wanted.text);
    status.textContent = `${rows.filter(([, shown]) => !shown.hidden).length} of ${rows.length} rows`;
  }

  // The library's first click is always descending, and turns what is descending: so a name's first click is ascending.
  const turned = (event) => {
    const head = event.currentTarget.parentNode;
    if (!head.hasAttribute("aria-sort")) head.setAttribute("aria-sort", "descending");
  };
  const heads = columns.map(([name, words, , least]) => h("th", { scope: "col", class: name === "model" || board.columns.some(([column]) => column === name) ? "" : "count" },
    h("button", { type: "button", class: "sort", onclick: least ? turned : () => {} }, words)));
  const search = h("input", { type: "search", placeholder: "Filter by name", "aria-label": "Filter by name",
    oninput: (event) => { wanted.text = event.target.value.toLowerCase(); filter(); } });
  const boxes = GROUPS.filter(([name]) => board.rows.some((row) => row.group === name)).map(([name, words]) =>
    h("label", null, h("input", { type: "checkbox", checked: true, onchange: (event) => {
      if (event.target.checked) wanted.groups.add(name); else wanted.groups.delete(name);
      filter();
    } }), ` ${words}`));
  const notes = board.notes.length ? h("ul", null, board.notes.map((note) => h("li", null, note))) : null;
  filter();
  return h("div", null, h("div", { class: "filters" }, search, boxes, status),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table of ${board.title}` },
      h("table", { class: "board sortable n-last" }, h("caption", null, h("span", null, board.caption), notes),
        h("thead", null, h("tr", null, heads)), h("tbody", null, rows.map(([, shown]) => shown)))));
}
