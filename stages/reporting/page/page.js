const data = id => JSON.parse(document.getElementById(id).textContent);
const notes = data("notes");

const views = {};
await Promise.all(Object.entries(data("charts")).map(async ([id, spec]) => {
  try {
    const drawn = await window.vegaEmbed(document.getElementById(id), spec,
      {renderer: "svg", actions: false, mode: "vega-lite", tooltip: {theme: "page"}});
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
  let any = false;
  for (const claim of claims) {
    const kept = ["paper", "verdict", "kind"].every(name => !asked[name] || claim.dataset[name] === asked[name])
      && sought.every(word => words.get(claim).includes(word));
    claim.hidden = !kept;
    any ||= kept;
    // Counts are of what the papers claim, unless another kind is asked for.
    if (kept && (asked.kind || claim.dataset.kind === "claim")) counts[claim.dataset.verdict] = (counts[claim.dataset.verdict] ?? 0) + 1;
  }
  for (const count of document.querySelectorAll("#counts [data-verdict]")) {
    count.textContent = counts[count.dataset.verdict] ?? 0;
  }
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

window.addEventListener("hashchange", open);
document.documentElement.dataset.drawn = Object.keys(views).length;
open();
