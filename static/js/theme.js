// The theme switch without a page load. Without this script its form posts and the page comes back.
// The server keeps the choice in a cookie either way.

for (const form of document.querySelectorAll("form[data-theme-switch]")) {
  form.addEventListener("submit", async (event) => {
    const button = event.submitter;
    if (!button) return;
    event.preventDefault();
    const body = new FormData(form, button);
    show(button.value, form);
    const answer = await fetch(form.action, { method: "POST", body, redirect: "manual" }).catch(() => null);
    // A redirect the script may not follow is the expected answer; anything else: let the browser send the form.
    if (!answer || (answer.type !== "opaqueredirect" && !answer.ok)) HTMLFormElement.prototype.submit.call(withChoice(form, button));
  });
}

function show(choice, form) {
  const root = document.documentElement;
  root.dataset.themeChoice = choice;
  if (choice === "system") delete root.dataset.bsTheme;
  else root.dataset.bsTheme = choice;
  document.querySelector('meta[name="color-scheme"]')?.setAttribute("content", choice === "system" ? "light dark" : choice);
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === choice));
}

function withChoice(form, button) {
  const field = document.createElement("input");
  Object.assign(field, { type: "hidden", name: button.name, value: button.value });
  form.append(field);
  return form;
}
