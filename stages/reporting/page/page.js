const data = id => JSON.parse(document.getElementById(id).textContent);
const notes = data("notes");

document.documentElement.classList.add("scripted");
const config = data("config");
const views = {};
await Promise.all(Object.entries(data("charts")).map(async ([id, spec]) => {
  try {
    const drawn = await window.vegaEmbed(document.getElementById(id), spec,
      {renderer: "svg", actions: false, mode: "vega-lite", config, tooltip: {theme: "page"}});
    views[id] = drawn.view;
  } catch (problem) {
    console.error(id, problem);
  }
}));

for (const select of document.querySelectorAll("select[data-chart]")) {
  const id = select.dataset.chart;
  const note = document.getElementById(`${id}-note`);
  const show = () => {
    views[id]?.signal("figure", select.value).runAsync();
    if (note) note.textContent = notes[id]?.[select.value] ?? "";
  };
  select.addEventListener("change", show);
  show();
}

const filters = document.getElementById("filters");
const claims = [...document.querySelectorAll(".claim")];
const words = new Map(claims.map(claim => [claim, claim.textContent.toLowerCase()]));

function filter() {
  const asked = Object.fromEntries(new FormData(filters));
  const sought = asked.words.toLowerCase().split(/\s+/).filter(Boolean);
  const counts = {};
  // Counts are of what the papers claim, unless another kind is asked for, or a verdict that only caveats have.
  const only = document.querySelector(`#counts [data-caveats] [data-verdict="${asked.verdict}"]`);
  const kind = asked.kind || (only ? "caveat" : "claim");
  let any = false;
  for (const claim of claims) {
    const kept = ["paper", "verdict", "kind"].every(name => !asked[name] || claim.dataset[name] === asked[name])
      && sought.every(word => words.get(claim).includes(word));
    claim.hidden = !kept;
    any ||= kept;
    if (kept && claim.dataset.kind === kind) counts[claim.dataset.verdict] = (counts[claim.dataset.verdict] ?? 0) + 1;
  }
  for (const count of document.querySelectorAll("#counts [data-verdict]")) {
    count.textContent = counts[count.dataset.verdict] ?? 0;
    const entry = count.parentElement;
    entry.hidden = "caveats" in entry.dataset && kind !== "caveat";
  }
  const named = [...filters.elements.kind.options].find(option => option.value === kind);
  if (named) document.getElementById("counted").textContent = `${named.dataset.counted}, by verdict`;
  document.getElementById("no-claim").hidden = any;
}

if (filters) {
  filters.addEventListener("input", filter);
  filters.addEventListener("submit", event => event.preventDefault());
  filters.addEventListener("reset", () => setTimeout(filter));
  filter();
}

function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.hidden) {
    filters.reset();
    filter();
  }
  for (let at = target; at; at = at.parentElement?.closest("details")) {
    if (at.tagName === "DETAILS") at.open = true;
  }
  target.scrollIntoView({block: target.tagName === "TR" ? "center" : "start"});
}

const nav = document.querySelector("nav");
const button = document.getElementById("contents");
const links = new Map([...nav.querySelectorAll("a")].map(link => [link.hash.slice(1), link]));
const sections = [...links.keys()].map(id => document.getElementById(id));

function follow() {
  const line = Math.min(160, innerHeight / 4);
  const bottom = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
  const passed = sections.filter(section => section.getBoundingClientRect().top <= line);
  const here = bottom && scrollY > 0 ? sections.at(-1) : passed.at(-1) ?? sections[0];
  for (const [id, link] of links) {
    if (id === here.id) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  document.getElementById("here").textContent = links.get(here.id).textContent;
}

function unfold(shown) {
  nav.classList.toggle("open", shown);
  button.setAttribute("aria-expanded", String(shown));
}

button.addEventListener("click", () => unfold(!nav.classList.contains("open")));
nav.addEventListener("click", event => { if (event.target.closest("a")) unfold(false); });
addEventListener("scroll", follow, {passive: true});
addEventListener("resize", follow);
follow();

const missing = /^[–\s]*$/;
const number = words => {
  const found = words.replaceAll("−", "-").replaceAll(",", "").match(/^[^\d\w+-]*([+-]?\d*\.?\d+(?:e[+-]?\d+)?)/i);
  return found ? Number(found[1]) : NaN;
};

function sorted(rows, column, direction) {
  const keys = new Map(rows.map(row => [row, row.cells[column]?.textContent.trim() ?? ""]));
  const filled = rows.filter(row => !missing.test(keys.get(row)));
  const numbers = filled.every(row => !Number.isNaN(number(keys.get(row))));
  const compare = numbers ? (a, b) => number(keys.get(a)) - number(keys.get(b))
    : (a, b) => keys.get(a).localeCompare(keys.get(b), undefined, {numeric: true});
  filled.sort((a, b) => direction * compare(a, b));
  return [...filled, ...rows.filter(row => missing.test(keys.get(row)))];
}

for (const table of document.querySelectorAll("table.sortable")) {
  const parts = [...table.tBodies].map(body => ({body, first: [...body.querySelectorAll(".part")],
    rows: [...body.rows].filter(row => !row.classList.contains("part"))}));
  const heads = [table.rows[0].cells[0], ...[...table.tHead.rows].flatMap(row => [...row.cells])
    .filter(head => head !== table.rows[0].cells[0] && head.scope === "col")];
  for (const [column, head] of heads.entries()) {
    const sort = document.createElement("button");
    sort.className = "sorts";
    sort.type = "button";
    sort.append(...head.childNodes);
    head.append(sort);
    sort.addEventListener("click", () => {
      const next = {ascending: "", descending: "ascending"}[head.ariaSort] ?? "descending";
      for (const other of heads) other.removeAttribute("aria-sort");
      if (next) head.setAttribute("aria-sort", next);
      for (const {body, first, rows} of parts) {
        body.append(...first, ...(next ? sorted(rows, column, next === "ascending" ? 1 : -1) : rows));
      }
    });
  }
}

window.addEventListener("hashchange", () => {
  unfold(false);
  open();
});
document.documentElement.dataset.drawn = Object.keys(views).length;
open();
