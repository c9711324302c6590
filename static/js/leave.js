// <form data-guarded>: asks before the page is left while something was changed in it and not sent.

const changed = new Set();

for (const form of document.querySelectorAll("form[data-guarded]")) {
  form.addEventListener("input", () => changed.add(form));
  form.addEventListener("submit", () => changed.delete(form));
}
window.addEventListener("beforeunload", (event) => {
  if (changed.size) event.preventDefault();
});
