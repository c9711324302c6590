// The queue: how many are selected and for how much, a decision's row that goes by itself, and keys for whoever wants them.
// Everything works without this; htmx (vendored) carries the decisions of single rows.

const list = document.querySelector("[data-queue]");
const many = document.querySelector("[data-many]");
const cases = () => [...(list?.querySelectorAll("[data-case]") ?? [])];

// --- selected ---

const count = many?.querySelector("[data-many-count]");
const idle = count?.textContent;

function tell() {
  const picked = [...list.querySelectorAll("[data-pick]:checked")];
  for (const one of cases()) one.classList.toggle("is-selected", one.querySelector("[data-pick]")?.checked ?? false);
  if (!count) return;
  const sum = picked.reduce((total, pick) => total + Number(pick.dataset.minor), 0) / 10 ** Number(count.dataset.digits);
  const money = new Intl.NumberFormat(document.documentElement.lang, { style: "currency", currency: count.dataset.currency });
  count.textContent = picked.length ? `${picked.length} ${count.dataset.words} · ${money.format(sum)}` : idle;
}

list?.addEventListener("change", (event) => event.target.matches("[data-pick]") && tell());
many?.querySelector("[data-pick-all]")?.addEventListener("click", () => {
  const picks = [...list.querySelectorAll("[data-pick]")];
  const all = picks.every((pick) => pick.checked);
  for (const pick of picks) pick.checked = !all;
  tell();
});

// --- decided ---

// Ten seconds for Undo, then the row goes; unless somebody stands in it.
document.body.addEventListener("htmx:afterSettle", () => {
  for (const row of list?.querySelectorAll("[data-gone]:not([data-going])") ?? []) {
    row.dataset.going = "";
    if ("mine" in row.dataset) nextAfter(row)?.focus();
    const leave = () => (row.matches(":focus-within, :hover") ? setTimeout(leave, 2000) : row.remove());
    setTimeout(leave, 10000);
  }
  tell();
});

function nextAfter(row) {
  let next = row.nextElementSibling;
  while (next && !next.matches("[data-case]")) next = next.nextElementSibling;
  return (next ?? cases()[0])?.querySelector("a, button");
}

// --- keys ---

const toggle = document.querySelector("[data-keys]");
const help = document.getElementById("queue-keys");
const KEPT = "queue keys";

function switchKeys(on) {
  toggle?.setAttribute("aria-pressed", String(on));
  if (help) help.hidden = !on;
  try {
    localStorage.setItem(KEPT, on ? "on" : "off");
  } catch {
    // without storage they are on for this page alone
  }
}

try {
  if (localStorage.getItem(KEPT) === "on") switchKeys(true);
} catch {
  // as above
}
toggle?.addEventListener("click", () => switchKeys(toggle.getAttribute("aria-pressed") !== "true"));

document.addEventListener("keydown", (event) => {
  if (toggle?.getAttribute("aria-pressed") !== "true") return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), textarea, select")) return;
  const here = document.activeElement?.closest("[data-case]");
  const rows = cases();
  const place = here ? rows.indexOf(here) : -1;
  const act = {
    j: () => (rows[Math.min(place + 1, rows.length - 1)]?.querySelector("a"))?.focus(),
    k: () => (rows[Math.max(place - 1, 0)]?.querySelector("a"))?.focus(),
    a: () => here?.querySelector("[data-approve]")?.click(),
    r: () => {
      const more = here?.querySelector("[data-reject] details");
      if (more) more.open = true;
      more?.querySelector("select, textarea")?.focus();
    },
    x: () => here?.querySelector("[data-pick]")?.click(),
    "?": () => (help.hidden = !help.hidden),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
