"use strict";
// Bench score against policy success, a point a model, with what the pointer or the keyboard rests on in words.

function curve(board) {
  const points = board.rows.filter((row) => row.cells.bench && row.cells.success
    && row.cells.bench.mean !== null && row.cells.success.mean !== null);
  if (points.length < 2) return null;
  const width = 640, height = 400, left = 56, low = 48, top = 14, right = 14;
  const x = (value) => left + Math.min(Math.max(value, 0), 1) * (width - left - right);
  const y = (value) => height - low - Math.min(Math.max(value, 0), 1) * (height - low - top);
  const told = h("p", { class: "told", role: "status" }, "Point at a model, or go through them with Tab.");
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "curve", role: "group",
    "aria-label": "Bench score against success rate; the table below has the same numbers" });
  for (const at of [0, 0.25, 0.5, 0.75, 1]) {
    picture.append(
      svg("line", { x1: x(at), x2: x(at), y1: y(0), y2: y(1), class: "grid" }),
      svg("line", { x1: x(0), x2: x(1), y1: y(at), y2: y(at), class: "grid" }),
      svg("text", { x: x(at), y: height - low + 16, "text-anchor": "middle" }, at.toFixed(2)),
      svg("text", { x: left - 8, y: y(at) + 4, "text-anchor": "end" }, at.toFixed(2)));
  }
  picture.append(svg("text", { x: x(0.5), y: height - 8, "text-anchor": "middle" }, "Bench score"),
    svg("text", { transform: `translate(14 ${y(0.5)}) rotate(-90)`, "text-anchor": "middle" }, "Success of the policy"));
  for (const row of board.rows.filter((row) => row.group === "reference" && row.cells.success.mean !== null)) {
    const at = y(row.cells.success.mean);
    picture.append(svg("line", { x1: x(0), x2: x(1), y1: at, y2: at, class: "reference" }),
      svg("text", { x: x(1) - 4, y: at - 4, "text-anchor": "end", class: "small" }, `${row.model} ${number(row.cells.success.mean)}`));
  }
  for (const row of points) picture.append(point(row, x, y, told, board));
  const words = board.agreement.map(([who, text]) => h("li", null, `${who}: ${text}`));
  return h("figure", null, h("h2", null, "Does the score predict success?"), h("ul", { class: "plain" }, words), picture, told,
    h("figcaption", null, "● trained, ◇ control; bars are 95 % intervals over tasks; dotted: ceilings and floors without videos."));
}

function point(row, x, y, told, board) {
  const bench = row.cells.bench, success = row.cells.success;
  const at = [x(bench.mean), y(success.mean)];
  const ends = (cell) => (cell.ci95 ? ` [${number(cell.ci95[0])}, ${number(cell.ci95[1])}]` : "");
  const words = `${row.model} (${row.kind}): Bench ${number(bench.mean)}${ends(bench)}, success ${number(success.mean)}${ends(success)}`;
  const tell = () => { told.replaceChildren(bdi(words)); };
  const shape = row.group === "trained"
    ? svg("circle", { cx: at[0], cy: at[1], r: 6 })
    : svg("path", { d: `M${at[0]} ${at[1] - 7}l7 7l-7 7l-7 -7z` });
  const group = svg("a", { href: address("model", board.id, row.model), class: `point ${row.group}`, "aria-label": words,
    onmouseenter: tell, onfocus: tell });
  if (bench.ci95) group.append(svg("line", { x1: x(bench.ci95[0]), x2: x(bench.ci95[1]), y1: at[1], y2: at[1] }));
  if (success.ci95) group.append(svg("line", { x1: at[0], x2: at[0], y1: y(success.ci95[0]), y2: y(success.ci95[1]) }));
  group.append(svg("circle", { cx: at[0], cy: at[1], r: 14, class: "hit" }), shape);
  return group;
}
