// Sort a table by a column, filter all rows, open a cell. No library, no network.
"use strict";
const rows = [...document.querySelectorAll("tbody tr[data-words]")];
const words = document.getElementById("words-filter");
const verdict = document.getElementById("verdict-filter");
const shown = document.getElementById("shown");

function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of rows) {
    const text = row.dataset.words;
    const fits = wanted.every((word) => text.includes(word)) &&
      (!verdict.value || row.dataset.verdicts.split("|").includes(verdict.value));
    row.hidden = !fits;
    count += fits;
  }
  shown.textContent = `${count} of ${rows.length} rows`;
}
words.addEventListener("input", filter);
verdict.addEventListener("change", filter);

function value(row, column) {
  const cell = row.children[column];
  return cell ? (cell.dataset.sort ?? cell.textContent.trim()) : "";
}

function sort(head) {
  const table = head.closest("table");
  const body = table.tBodies[0];
  const column = [...head.parentNode.children].indexOf(head);
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const order = [...body.rows].map((row) => [value(row, column), row]);
  order.sort(([a], [b]) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const [x, y] = [Number(a), Number(b)];
    const sign = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
    return down ? -sign : sign;
  });
  body.append(...order.map(([, row]) => row));
}
for (const button of document.querySelectorAll("thead th button")) {
  button.addEventListener("click", () => sort(button.closest("th")));
}

const dialog = document.getElementById("details");
const content = document.getElementById("details-content");
function open(id) {
  const template = document.getElementById(id);
  if (!template) return;
  content.replaceChildren(template.content.cloneNode(true));
  for (const place of content.querySelectorAll("[data-run]")) {
    const run = document.getElementById(place.dataset.run);
    if (run) place.append(run.content.cloneNode(true));
  }
  dialog.showModal();
  dialog.scrollTop = 0;
}
for (const button of document.querySelectorAll("button.cell")) {
  button.addEventListener("click", () => open(button.dataset.opens));
}
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
filter();
